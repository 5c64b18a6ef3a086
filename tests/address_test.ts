/**
 * Addresses: their forms, their meaning, and their errors.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Address,
  addressText,
  isLocal,
  parseAddress,
  parseListenAddress,
  PATH_BYTES_LIMIT,
} from "../lib/policy/address.ts";
import { UsageError } from "../lib/policy/usage_error.ts";

const FORMS = "unix:/path, /path, unix-abstract:NAME, tcp:HOST:PORT or HOST:PORT";

const GOOD: [string, Address][] = [
  ["unix:/run/vm.sock", { transport: "unix", path: "/run/vm.sock" }],
  ["/run/vm.sock", { transport: "unix", path: "/run/vm.sock" }],
  ["./vm.sock", { transport: "unix", path: "./vm.sock" }],
  ["vm.sock", { transport: "unix", path: "vm.sock" }],
  ["vm1", { transport: "unix", path: "vm1" }],
  ["VM_1-a+b@c.sock", { transport: "unix", path: "VM_1-a+b@c.sock" }],
  ["ü.sock", { transport: "unix", path: "ü.sock" }],
  ["run/vm.sock", { transport: "unix", path: "run/vm.sock" }],
  ["../vm.sock", { transport: "unix", path: "../vm.sock" }],
  ["a b/vm:1", { transport: "unix", path: "a b/vm:1" }],
  ["unix:vm.sock", { transport: "unix", path: "vm.sock" }],
  ["/run/a:4444", { transport: "unix", path: "/run/a:4444" }],
  ["unix:localhost:4444", { transport: "unix", path: "localhost:4444" }],
  ["unix-abstract:vm", { transport: "unix", path: "\0vm" }],
  ["tcp:localhost:4444", { transport: "tcp", hostname: "localhost", port: 4444 }],
  ["localhost:4444", { transport: "tcp", hostname: "localhost", port: 4444 }],
  ["127.0.0.1:0", { transport: "tcp", hostname: "127.0.0.1", port: 0 }],
  ["h:65535", { transport: "tcp", hostname: "h", port: 65535 }],
  ["[::1]:4444", { transport: "tcp", hostname: "::1", port: 4444 }],
  ["tcp:[fe80::1%eth0]:4444", { transport: "tcp", hostname: "fe80::1%eth0", port: 4444 }],
  [":4444", { transport: "tcp", hostname: "127.0.0.1", port: 4444 }],
  ["tcp::4444", { transport: "tcp", hostname: "127.0.0.1", port: 4444 }],
];

for (const [text, address] of GOOD) {
  Deno.test(`parseAddress() reads ${text}`, () => {
    assertEquals(parseAddress(text), address);
  });
}

const BAD: [string, string][] = [
  ["", `invalid address "": expected ${FORMS}`],
  ["tcp", `invalid address "tcp": expected ${FORMS}`],
  ["fd", `invalid address "fd": expected ${FORMS}`],
  ["unix-abstract", `invalid address "unix-abstract": expected ${FORMS}`],
  ["role=full", `invalid address "role=full": expected ${FORMS}`],
  ["-vm", `invalid address "-vm": expected ${FORMS}`],
  ["my vm", `invalid address "my vm": expected ${FORMS}`],
  ["vsock:2:1", `invalid address "vsock:2:1": expected ${FORMS}`],
  ["4444", 'invalid address "4444": expected :4444 for a port or ./4444 for a file'],
  ["unix", `invalid address "unix": expected ${FORMS}`],
  ["tcp:", `invalid address "tcp:": expected ${FORMS}`],
  ["tcp:host", `invalid address "tcp:host": expected ${FORMS}`],
  ["host:", `invalid address "host:": expected ${FORMS}`],
  ["host:http", `invalid address "host:http": expected ${FORMS}`],
  ["host:-1", `invalid address "host:-1": expected ${FORMS}`],
  ["host:80 ", `invalid address "host:80 ": expected ${FORMS}`],
  ["::1:4444", `invalid address "::1:4444": expected ${FORMS}`],
  ["[]:4444", `invalid address "[]:4444": expected ${FORMS}`],
  ["UNIX:/run/vm.sock", `invalid address "UNIX:/run/vm.sock": expected ${FORMS}`],
  ["two\nlines", `invalid address "two\\nlines": expected ${FORMS}`],
  ["host:65536", "host:65536: port 65536 is out of range; ports are 0 to 65535"],
  [
    "host:99999999999999999999",
    "host:99999999999999999999: port 99999999999999999999 is out of range; ports are 0 to 65535",
  ],
  ["unix:", "unix:: the path is empty; write unix:/path"],
  ["unix-abstract:", "unix-abstract:: the name is empty; write unix-abstract:NAME"],
  ["/run/\0vm", "/run/\0vm: the path contains a NUL"],
  ["unix-abstract:a\0b", "@a\0b: the path contains a NUL"],
];

for (const [text, message] of BAD) {
  Deno.test(`parseAddress() refuses ${JSON.stringify(text)} and names the expected form`, () => {
    assertThrows(() => parseAddress(text), UsageError, message);
  });
}

for (const name of ["mux", "qmpmux@vm1.socket", "a b"]) {
  Deno.test(`parseListenAddress() accepts fd:${name}, a passed socket`, () => {
    const place = parseListenAddress(`fd:${name}`);
    assertEquals(place, { transport: "fd", name });
    assertEquals(addressText(place), `fd:${name}`);
    assert(isLocal(place));
  });
}

Deno.test("parseListenAddress() accepts what parseAddress() accepts", () => {
  assertEquals(parseListenAddress("/run/vm.sock"), parseAddress("/run/vm.sock"));
});

for (const name of ["", "a:b", "a\nb", "a".repeat(256)]) {
  const text = JSON.stringify(name);
  Deno.test(`parseListenAddress() refuses the name ${text.slice(0, 20)} of a passed socket`, () => {
    const message = `invalid address ${JSON.stringify(`fd:${name}`)}: expected fd:NAME, `;
    assertThrows(() => parseListenAddress(`fd:${name}`), UsageError, message);
  });
}

Deno.test("parseAddress() refuses a passed socket", () => {
  const message = `fd:mux: only --listen accepts passed sockets; write ${FORMS}`;
  assertThrows(() => parseAddress("fd:mux"), UsageError, message);
});

Deno.test("parseAddress() accepts the longest path that fits a socket address", () => {
  const path = `/${"a".repeat(PATH_BYTES_LIMIT - 1)}`;
  assertEquals(parseAddress(path), { transport: "unix", path });
});

Deno.test("parseAddress() refuses a path that is one byte too long, and reports its name and length", () => {
  const path = `/${"a".repeat(PATH_BYTES_LIMIT)}`;
  assertThrows(
    () => parseAddress(`unix:${path}`),
    UsageError,
    `${path}: the path has 108 bytes, but a socket's has at most 107; use a shorter path`,
  );
});

Deno.test("parseAddress() counts a path's bytes, not its characters", () => {
  const path = `/${"ä".repeat(54)}`;
  assertThrows(() => parseAddress(path), UsageError, "the path has 109 bytes");
});

Deno.test("parseAddress() counts the leading NUL of an abstract name", () => {
  const name = "a".repeat(PATH_BYTES_LIMIT);
  assertEquals(parseAddress(`unix-abstract:${name.slice(1)}`).transport, "unix");
  assertThrows(() => parseAddress(`unix-abstract:${name}`), UsageError, `@${name}: the path has`);
});

for (
  const text of ["unix:/run/vm.sock", "unix-abstract:vm", "tcp:localhost:4444", "tcp:[::1]:4444"]
) {
  Deno.test(`addressText() writes ${text} as it was read`, () => {
    assertEquals(addressText(parseAddress(text)), text);
  });
}

const LOCAL: [string, boolean][] = [
  ["/run/vm.sock", true],
  ["unix-abstract:vm", true],
  [":4444", true],
  ["localhost:4444", true],
  ["[::1]:4444", true],
  ["127.255.0.1:4444", true],
  ["0.0.0.0:4444", false],
  ["[::]:4444", false],
  ["192.168.0.1:4444", false],
  ["127.0.0.1.example.org:4444", false],
  ["localhost.example.org:4444", false],
  ["127.0.0:4444", false],
];

for (const [text, local] of LOCAL) {
  Deno.test(`isLocal() returns ${local} for ${text}`, () => {
    assertEquals(isLocal(parseAddress(text)), local);
  });
}
