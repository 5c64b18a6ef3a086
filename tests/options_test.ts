/**
 * `--listen` and `--qemu`, as text and as values.
 *
 * Every error names the whole flag, the problem in it, and the expected form.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import type { Address } from "../lib/policy/address.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { GLOB_LENGTH_LIMIT } from "../lib/policy/event_filter.ts";
import { defaultLimits } from "../lib/policy/limits.ts";
import { EVERYBODY } from "../lib/policy/admission.ts";
import { parseListener, parseQemu } from "../lib/config/options.ts";
import { FULL } from "../lib/policy/roles.ts";

Deno.test("parseListener() sets the defaults of an address without options", () => {
  assertEquals(parseListener("unix:/run/mux.sock"), {
    address: { transport: "unix", path: "/run/mux.sock" },
    remote: false,
    grant: {
      name: "mux",
      role: FULL,
      dialect: "qmp",
      events: undefined,
      caches: true,
      joins: true,
      limits: defaultLimits("full"),
    },
    admission: EVERYBODY,
    identity: false,
    descriptors: false,
    absent: "wait",
    mode: 0o600,
    user: undefined,
    group: undefined,
    directoryMode: undefined,
    logsClients: false,
  });
});

Deno.test("parseListener() reads every option", () => {
  const { address, grant, mode, user, group } = parseListener(
    "/run/a.sock,name=libvirt-1,dialect=rfc2010,events=STOP+BLOCK_*,mode=0660,user=alice,group=kvm",
  );
  assertEquals(address, { transport: "unix", path: "/run/a.sock" });
  assertEquals([grant.name, grant.dialect], ["libvirt-1", "rfc2010"]);
  assertEquals(grant.events?.globs, ["STOP", "BLOCK_*"]);
  assertEquals([mode, user, group], [0o660, "alice", "kvm"]);
});

Deno.test("parseListener() has missing directories of a VM's socket made, and others on demand", () => {
  const of = (text: string): unknown => parseListener(text).directoryMode;
  assertEquals(of("/run/{vm}/a.sock"), 0o755);
  assertEquals(of("/run/{vm}/a.sock,directory-mode=0750"), 0o750);
  assertEquals(of("/run/a/a.sock,directory-mode=700"), 0o700);
  for (const text of ["unix-abstract:{vm}", "fd:{vm}", "/run/a.sock"]) {
    assertEquals(of(text), undefined);
  }
});

Deno.test("parseListener() accepts QEMU's own option names", () => {
  assertEquals(
    parseListener("unix:/run/mux.sock,server=on,wait=off"),
    parseListener("unix:/run/mux.sock"),
  );
});

const NAMES: [string, string][] = [
  ["unix:/run/mux.sock", "mux"],
  ["/run/mux.socket", "mux"],
  ["/run/mux", "mux"],
  ["./mux.sock", "mux"],
  ["unix:mux.sock", "mux"],
  ["unix-abstract:mux", "mux"],
  ["tcp:127.0.0.1:4444", "127.0.0.1:4444"],
  ["[::1]:4444", "[::1]:4444"],
  ["/run/mux.sock,name=A-b_c.9", "A-b_c.9"],
  ["/run/{vm}/mux.sock", "mux"],
  ["/run/mux-{vm}.sock", "mux-{vm}"],
  ["fd:{vm}", "{vm}"],
  ["unix-abstract:{vm}/{}", "__"],
  ["/run/{vm}.sock,name={vm}:a", "{vm}:a"],
  [`/run/${"x".repeat(62)}{vm}.sock`, "x".repeat(62)],
  [`/run/${"x".repeat(60)}{vm}.sock`, `${"x".repeat(60)}{vm}`],
];

for (const [text, name] of NAMES) {
  Deno.test(`parseListener() gives ${text} the name ${name}`, () => {
    assertEquals(parseListener(text).grant.name, name);
  });
}

Deno.test("parseListener() reads events= as no events", () => {
  assertEquals(parseListener("/run/a,events=").grant.events?.globs, []);
});

Deno.test("parseListener() accepts dialect=qmp", () => {
  assertEquals(parseListener("/run/a,dialect=qmp").grant.dialect, "qmp");
});

Deno.test("parseListener() can switch off what clients share", () => {
  const { caches, joins } = parseListener("/run/a,cache=off,join=off").grant;
  assertEquals([caches, joins], [false, false]);
});

for (const name of ["full", "observer", "operator", "admin"]) {
  Deno.test(`parseListener() accepts role=${name}`, () => {
    assertEquals(parseListener(`/run/a,role=${name}`).grant.role.name, name);
  });
}

Deno.test("parseListener() accepts a mode of three digits", () => {
  assertEquals(parseListener("/run/a,mode=666").mode, 0o666);
});

for (const text of ["0.0.0.0:4444", "192.168.0.1:4444", "[::]:4444"]) {
  Deno.test(`parseListener() accepts ${text} only with allow-remote=on`, () => {
    const refusal = `--listen ${text}: other machines could control the VM through this address; ` +
      "listen on a unix socket or on 127.0.0.1, or add allow-remote=on";
    assertThrows(() => parseListener(text), UsageError, refusal);
    assertThrows(
      () => parseListener(`${text},allow-remote=off`),
      UsageError,
      "add allow-remote=on",
    );
    assertEquals(parseListener(`${text},allow-remote=on`).address.transport, "tcp");
  });
}

const KNOWN =
  "expected name, role, dialect, absent, events, mode, user, group, directory-mode, identity, log-clients, allow, " +
  "role-for, fds, allow-remote, cache, join";

const BAD: [string, string][] = [
  ["", 'invalid address "": expected unix:/path'],
  ["/run/a,", '/run/a,: "" has no value; write option=value'],
  ["/run/a,server", '/run/a,server: "server" has no value; write option=value'],
  ["/run/a,colour=red", `--listen /run/a,colour=red: unknown option "colour": ${KNOWN}`],
  ["/run/a,Mode=0600", `unknown option "Mode"; did you mean "mode"?`],
  ["/run/a,=on", `unknown option "": ${KNOWN}`],
  ["/run/a,toString=on", `unknown option "toString": ${KNOWN}`],
  ["/run/a,__proto__=on", `unknown option "__proto__": ${KNOWN}`],
  ["/run/a,server=off", "--listen /run/a,server=off: server=off is not supported; leave it out"],
  ["/run/a,wait=on", "--listen /run/a,wait=on: wait=on is not supported; leave it out"],
  ["/run/a,name=x,name=y", "name= is given twice; remove one"],
  ["/run/a,name=", 'invalid value "" for name: expected 1 to 64 letters'],
  ["/run/a,name=a b", 'invalid value "a b" for name: expected 1 to 64 letters'],
  [`/run/a,name=${"a".repeat(65)}`, " for name: expected 1 to 64 letters"],
  ["/run/a,role=root", 'unknown role "root": expected full, observer, operator, admin'],
  ["/run/a,role=", 'unknown role "": expected full, observer, operator, admin'],
  ["/run/a,role=Full", 'unknown role "Full"; did you mean "full"?'],
  ["/run/a,role=obsrever", 'unknown role "obsrever"; did you mean "observer"?'],
  ["/run/a,dialect=hmp", 'invalid value "hmp" for dialect: expected qmp or rfc2010'],
  ["/run/a,dialect=", 'invalid value "" for dialect: expected qmp or rfc2010'],
  [
    "/run/a,events=STOP+",
    'invalid value "" for events: expected names of events with * and ?, joined by +',
  ],
  ["/run/a,events=STOP;RESUME", 'invalid value "STOP;RESUME" for events: expected names'],
  [
    "/run/a,events=STOP+RESUNE",
    ': unknown event "RESUNE"; did you mean "RESUME"? To use it anyway, write "RESUNE*"',
  ],
  [`/run/a,events=${"A".repeat(GLOB_LENGTH_LIMIT + 1)}`, ": Event glob too long: 257 characters"],
  [`/run/a,events=${"A+".repeat(256)}A`, ": Too many event globs: 257 exceed the limit of 256"],
  ["/run/a,mode=", 'invalid value "" for mode: expected three octal digits, such as 0660'],
  ["/run/a,mode=0800", 'invalid value "0800" for mode: expected three octal digits, such as 0660'],
  ["/run/a,mode=4755", 'invalid value "4755" for mode: expected three octal digits, such as 0660'],
  ["/run/a,mode=rw", 'invalid value "rw" for mode: expected three octal digits, such as 0660'],
  ["/run/a,user=", 'invalid value "" for user: expected a name or a number'],
  ["/run/a,group=", 'invalid value "" for group: expected a name or a number'],
  ["/run/a,allow-remote=yes", 'invalid value "yes" for allow-remote: expected on or off'],
  ["/run/a,cache=no", 'invalid value "no" for cache: expected on or off'],
  ["/run/a,join=", 'invalid value "" for join: expected on or off'],
  ["127.0.0.1:1,mode=0600", "mode= is for socket files only; leave it out"],
  ["127.0.0.1:1,user=root", "user= is for socket files only; leave it out"],
  ["unix-abstract:a,group=kvm", "group= is for socket files only; leave it out"],
  ["fd:mux,mode=0600", "mode= is for socket files only; leave it out"],
  ["fd:mux,user=root", "user= is for socket files only; leave it out"],
  ["fd:mux,group=kvm", "group= is for socket files only; leave it out"],
  ["fd:", 'invalid address "fd:": expected fd:NAME, '],
];

for (const [text, message] of BAD) {
  const name = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  Deno.test(`parseListener() refuses ${JSON.stringify(name)} and names the expected form`, () => {
    assertThrows(() => parseListener(text), UsageError, message);
  });
}

Deno.test("parseQemu() reads an address with QEMU's own options after it", () => {
  const address: Address = { transport: "unix", path: "/run/vm.sock" };
  assertEquals(parseQemu("unix:/run/vm.sock,server=on,wait=off"), address);
  assertEquals(parseQemu("/run/vm.sock,wait=on,server=off"), address);
  assertEquals(parseQemu("/run/vm.sock"), address);
});

Deno.test("parseQemu() accepts a QEMU on another machine", () => {
  assertEquals(parseQemu("10.0.0.1:4444"), {
    transport: "tcp",
    hostname: "10.0.0.1",
    port: 4444,
  });
});

const BAD_QEMU: [string, string][] = [
  [
    "/run/vm,mode=0600",
    '--qemu /run/vm,mode=0600: unknown option "mode": expected server, wait',
  ],
  ["/run/vm,toString=on", 'unknown option "toString": expected server, wait'],
  ["/run/vm,server=1", '--qemu /run/vm,server=1: invalid value "1" for server: expected on or off'],
  ["/run/vm,wait", '/run/vm,wait: "wait" has no value; write option=value'],
  ["a b", 'invalid address "a b": expected unix:/path'],
];

for (const [text, message] of BAD_QEMU) {
  Deno.test(`parseQemu() refuses ${JSON.stringify(text)} and names the expected form`, () => {
    assertThrows(() => parseQemu(text), UsageError, message);
  });
}
