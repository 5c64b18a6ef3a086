/**
 * Many VMs in the settings: `{vm}` in addresses, `[[vm]]` tables, and what contradicts them.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { readConfig } from "../lib/config/config.ts";
import { configText } from "../lib/config/config_text.ts";
import { machinesOf } from "../lib/config/machines.ts";
import { changedForRestart, type ServeSettings } from "../lib/config/settings.ts";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { ConfigError, UsageError } from "../lib/policy/usage_error.ts";
import { readConfigFile } from "../lib/platform/config_file.ts";
import { makePlace } from "./support/place.ts";

const TEMPLATES = `qemu = "/q/{vm}/qmp.sock"
[[listen]]
address = "/m/{vm}/mux.sock"
`;

function settingsOf(text: string, ...args: string[]): ServeSettings {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, text);
  return serveSettings(["--config", file, ...args]);
}

function problems(text: string): readonly string[] {
  try {
    return readConfig(text, "f").problems;
  } catch (error) {
    assert(error instanceof ConfigError);
    return error.problems;
  }
}

Deno.test("readConfig() reads VMs with addresses, listeners and settings of their own", () => {
  const settings = settingsOf(`on-loss = "hold"
stall-timeout = 3
deadline = { "query-*" = 5 }
[[listen]]
address = "/m/{vm}.sock"
[[vm]]
name = "a"
qemu = "/q/a.sock"
[[vm]]
name = "b"
qemu = "tcp:127.0.0.1:4444"
on-loss = "close"
greeting-timeout = 1
handshake-timeout = 2
max-message = "1M"
[vm.deadline]
stop = 1
[[vm.listen]]
address = "/other/{vm}.sock"
role = "observer"
[[vm.listen]]
address = "127.0.0.1:4445"
`);
  const { named, many, pattern } = machinesOf(settings);
  assertEquals([[...named.keys()], many, pattern], [["a", "b"], true, undefined]);
  const [a, b] = [named.get("a")!, named.get("b")!];
  assertEquals(a.qemu, { transport: "unix", path: "/q/a.sock" });
  assertEquals([a["on-loss"], a["stall-timeout"], a.deadline.length], ["hold", 3, 1]);
  assertEquals(a.listeners.map(({ address, grant }) => [address, grant.name]), [
    [{ transport: "unix", path: "/m/a.sock" }, "a"],
  ]);
  assertEquals(b.qemu.transport, "tcp");
  assertEquals([b["on-loss"], b["stall-timeout"]], ["close", 3]);
  assertEquals([b["greeting-timeout"], b["handshake-timeout"], b["max-message"]], [1, 2, 1 << 20]);
  assertEquals(b.deadline, [{ glob: "stop", seconds: 1 }]);
  assertEquals(b.listeners.map(({ grant }) => grant.name), ["b", "127.0.0.1:4445"]);
});

Deno.test("a [[vm]] of the name of a VM that is found has its own settings", () => {
  const { settingsOf: of, named } = machinesOf(
    settingsOf(`${TEMPLATES}[[vm]]\nname = "a"\non-loss = "hold"\n`),
  );
  assertEquals([...named.keys()], ["a"]);
  assertEquals([of("a")["on-loss"], of("b")["on-loss"]], ["hold", "close"]);
  assertEquals(of("a").qemu, { transport: "unix", path: "/q/a/qmp.sock" });
});

Deno.test("the directory of a VM's own listener is made, also without {vm} in its address", () => {
  const listeners = settingsOf(`${TEMPLATES}[[vm]]
name = "a"
[[vm.listen]]
address = "/run/here/a/mux.sock"
[[vm.listen]]
address = "/run/here/a/admin.sock"
directory-mode = "0700"
[[vm.listen]]
address = "/q/a/mux.sock"
`);
  const modes = machinesOf(listeners).named.get("a")!.listeners.map((each) => each.directoryMode);
  // The directory of QEMU is never made.
  assertEquals(modes, [0o755, 0o700, undefined]);
});

Deno.test("configText() is read as the VMs it was made of", () => {
  const settings = settingsOf(`${TEMPLATES}directory-mode = "0700"
[[role]]
name = "mine"
rules = []
[[vm]]
name = "a"
deadline = {}
[[vm]]
name = "b"
qemu = "/q/{vm}/other.sock"
on-loss = "hold"
[[vm.listen]]
address = "/b/{vm}/{vm}.sock"
name = "b-{vm}"
role = "mine"
[[vm.listen]]
address = "/b/one.sock"
[vm.deadline]
"query-*" = 2
`);
  const again = settingsOf(configText(settings));
  assertEquals(configText(again), configText(settings));
  assertEquals(machinesOf(again).named.get("b")!.listeners[0]!.grant.role.name, "mine");
  assertEquals(again.vms.map(({ values }) => values), settings.vms.map(({ values }) => values));
});

Deno.test("vm in the file is a name, and [[vm]] is a table", () => {
  assertEquals(readConfig('vm = "a"', "f").values.vm, "a");
  assertEquals(problems("vm = 1"), [
    "f:1: invalid value 1 for vm: expected 1 to 255 letters, digits, _, . or -, and not . or ..",
  ]);
  assertEquals(problems("[vm]\nname = 'a'"), [
    "f:1: vm is a single table; begin it with [[vm]]",
  ]);
  assertEquals(problems("vm = 'a'\n[[vm]]\nname = 'b'"), [
    "f:2: this key is given twice; remove one",
  ]);
});

Deno.test("a file of 2,048 VMs with two listeners each can be read", () => {
  using place = makePlace();
  const path = `${place.path}/x.toml`;
  const tables = Array.from({ length: 2048 }, (_, i) =>
    `[[vm]]
name = "customer-vm-${i}"
qemu = "unix:/run/qemu/customer-vm-${i}/qmp.sock"
on-loss = "hold"

[[vm.listen]]
address = "unix:/run/qmpmux/customer-vm-${i}/observer.sock"
role = "observer"
mode = "0660"

[[vm.listen]]
address = "unix:/run/qmpmux/customer-vm-${i}/admin.sock"
role = "admin"

`);
  Deno.writeTextFileSync(path, tables.join(""));
  const { vms, problems } = readConfigFile(path);
  assertEquals([vms.length, problems], [2048, []]);
});

Deno.test("readConfig() bounds the addresses that it compares", () => {
  const listeners = Array.from(
    { length: 5000 },
    (_, i) => `[[listen]]\naddress = "/m/{vm}/${i}"\n`,
  ).join("");
  const vms = Array.from({ length: 10_000 }, (_, i) => `[[vm]]\nname = "${i}"\n`).join("");
  assertEquals(problems(`qemu = "/q/{vm}"\nmax-vms = 65536\n${listeners}${vms}`), [
    "f:68: a VM has at most 32 listeners in common with the others; write more of them into " +
    "[[vm]] tables",
    "f:17644: there are more than 131072 addresses; use several qmpmux",
  ]);
});

const VM = '[[vm]]\nname = "a"\nqemu = "/q/a"\n[[vm.listen]]\naddress = "/m/a"\n';

const WRONG: [what: string, text: string, ...problems: string[]][] = [
  ["a VM without a name", '[[vm]]\nqemu = "/q"', '1: name is missing; write name = "NAME"'],
  [
    "a name that climbs",
    '[[vm]]\nname = ".."',
    '2: invalid value ".." for name: expected 1 to 255 letters, digits, _, . or -, ' +
    "and not . or ..",
  ],
  [
    "a name with a slash",
    '[[vm]]\nname = "a/b"',
    '2: invalid value "a/b" for name: expected 1 to 255 letters, digits, _, . or -, ' +
    "and not . or ..",
  ],
  [
    "a name that is a number",
    "[[vm]]\nname = 7",
    "2: invalid value 7 for name: expected 1 to 255 letters, digits, _, . or -, and not . or ..",
  ],
  [
    "an unknown key",
    `${VM}[[vm]]\nname = "b"\nqemuu = 1\nqemu = "/q/b"\n[[vm.listen]]\naddress = "/m/b"`,
    '8: unknown key "qemuu"; did you mean "qemu"?',
  ],
  [
    "a setting of the process",
    `[[vm]]\nname = "a"\nmax-clients = 5\nqemu = "/q"\nlisten = [{ address = "/m" }]`,
    "3: max-clients is the same for all VMs; write it above all tables",
  ],
  [
    "wrong values, each",
    '[[vm]]\nname = "a"\nqemu = 1\non-loss = "x"\n[[vm.listen]]\naddress = "/m"\nmode = "9"\n',
    "3: invalid value 1 for qemu: expected text in quotes",
    '4: invalid value "x" for on-loss: expected close or hold',
    '7: invalid value "9" for mode: expected three octal digits, such as 0660',
  ],
  [
    "a single table of a listener",
    '[[vm]]\nname = "a"\nqemu = "/q"\n[vm.listen]\naddress = "/m"\n',
    "4: listen is a single table; begin it with [[vm.listen]]",
  ],
  [
    "a VM without a monitor",
    '[[listen]]\naddress = "/m/{vm}"\n[[vm]]\nname = "a"',
    '3: VM a: qemu is missing; write qemu = "unix:/path"',
  ],
  [
    "a VM without a listener",
    '[[vm]]\nname = "a"\nqemu = "/q"',
    "1: VM a: listen is missing; write [[vm.listen]], with an address",
  ],
  [
    "a name twice",
    `${VM}[[vm]]\nname = "a"\nqemu = "/q/b"\n[[vm.listen]]\naddress = "/m/b"`,
    "7: VM a is given twice; choose another name",
  ],
  [
    "more VMs than max-vms",
    `max-vms = 1\n${VM}[[vm]]\nname = "b"\nqemu = "/q/b"\n[[vm.listen]]\naddress = "/m/b"`,
    "8: VM b is one more than max-vms, which is 1; raise max-vms",
  ],
  [
    "one monitor beside VMs",
    `qemu = "/q/x"\n${VM}`,
    "1: unix:/q/x is the monitor of one VM, beside [[vm]]; " +
    "make it a [[vm]] of its own, or put {vm} in its path",
  ],
  [
    "{vm} in the listener alone",
    'qemu = "/q"\n[[listen]]\naddress = "/m/{vm}"',
    "3: unix:/m/{vm} has {vm} and qemu has not; put {vm} in both or in neither",
  ],
  [
    "{vm} in qemu alone",
    'qemu = "/q/{vm}"\n[[listen]]\naddress = "/m"\n[[listen]]\naddress = "tcp::1"\n',
    "3: unix:/m has no {vm}, but every VM needs its own address; put {vm} in its path",
    "5: tcp:127.0.0.1:1 has no {vm}, but every VM needs its own address; put {vm} in its path",
  ],
  [
    "a listener without {vm} beside VMs",
    `[[listen]]\naddress = "/m/x"\n${VM}`,
    "2: unix:/m/x has no {vm}, but every VM needs its own address; put {vm} in its path",
  ],
  [
    "{vm} twice in qemu",
    'qemu = "/q/{vm}/{vm}"',
    "1: qemu: unix:/q/{vm}/{vm}: {vm} is given twice; give it once",
  ],
  [
    "{vm} in a relative path",
    'qemu = "./{vm}"',
    "1: qemu: unix:./{vm}: a path with {vm} must be absolute; write unix:/path/{vm}/qmp.sock",
  ],
  [
    "{vm} in an abstract name",
    'qemu = "unix-abstract:{vm}"',
    "1: qemu: unix-abstract:{vm}: a path with {vm} must be absolute; " +
    "write unix:/path/{vm}/qmp.sock",
  ],
  [
    "{vm} in TCP addresses",
    'qemu = "tcp:{vm}:1"\n[[listen]]\naddress = "{vm}:2"',
    '1: qemu: invalid address "tcp:{vm}:1": {vm} is only for unix sockets; write unix:/path',
    '3: invalid address "{vm}:2": {vm} is only for unix sockets; write unix:/path',
  ],
  [
    "a path that leaves the directory of its VM",
    'qemu = "/q/{vm}/../a"\n[[listen]]\naddress = "/m/{vm}/.."',
    "1: qemu: unix:/q/{vm}/../a: .. behind {vm} leads away from the directory of the VM; " +
    "leave .. out",
    "3: unix:/m/{vm}/..: .. behind {vm} leads away from the directory of the VM; leave .. out",
  ],
  [
    "{vm} in what all VMs share",
    'control = "/c/{vm}"\nmetrics = "/n/{vm}"\naudit = "/a/{vm}"',
    "1: control: /c/{vm}: this socket is for all VMs; leave {vm} out",
    "2: metrics: /n/{vm}: this socket is for all VMs; leave {vm} out",
    "3: audit: /a/{vm}: the audit is for all VMs; leave {vm} out",
  ],
  [
    "{vm} in the name of a listener without it",
    '[[listen]]\naddress = "/m"\nname = "a-{vm}"',
    "3: name=a-{vm} has {vm} and the address has not; leave {vm} out",
  ],
  [
    "what is for one VM",
    `once = true\nwatchdog = "qemu"\nvm = "a"\n${TEMPLATES}`,
    "1: once is for one VM: with many, the first QEMU that disconnects would end qmpmux; " +
    "leave once out",
    "2: watchdog=qemu is for one VM: with many, each stalled QEMU would restart qmpmux; use loop",
    "3: vm is the name of one VM, and {vm} or [[vm]] names many; leave vm out",
  ],
  [
    "one monitor for two VMs",
    `${VM}[[vm]]\nname = "b"\nqemu = "/q/../q/a"\n[[vm.listen]]\naddress = "/m/b"`,
    "8: unix:/q/../q/a is also an address of VM a; use each address only once",
  ],
  [
    "one listener for two VMs",
    `${VM}[[vm]]\nname = "b"\nqemu = "/q/b"\n[[vm.listen]]\naddress = "/m/a"`,
    "10: unix:/m/a is also an address of VM a; use each address only once",
  ],
  [
    "a listener at the monitor of another VM",
    `${VM}[[vm]]\nname = "b"\nqemu = "/q/b"\n[[vm.listen]]\naddress = "/q/a"`,
    "10: unix:/q/a is also an address of VM a; use each address only once",
  ],
  [
    "the control socket at a VM's listener",
    `control = "/m/a"\n${VM}`,
    "6: unix:/m/a is given twice; use each address only once",
  ],
  [
    "a listener that all VMs have, at one VM's",
    `[[listen]]\naddress = "/m/{vm}"\n[[vm]]\nname = "b"\nqemu = "/q/b"\n${VM}`,
  ],
  [
    "a VM's own listener at that of another VM, by {vm}",
    `[[listen]]\naddress = "/m/{vm}"\n[[vm]]\nname = "a"\nqemu = "/q/b"\n${
      VM.replace('"a"', '"b"')
    }`,
    "10: unix:/m/a is also an address of VM a; use each address only once",
  ],
  [
    "a monitor that is found as another VM",
    `${TEMPLATES}[[vm]]\nname = "a"\nqemu = "/q/b/qmp.sock"`,
    "6: unix:/q/b/qmp.sock is the address of VM b by unix:/q/{vm}/qmp.sock; use another path",
  ],
  [
    "the metrics where a VM can have its listener",
    `metrics = "/m/a/mux.sock"\n${TEMPLATES}`,
    "1: unix:/m/a/mux.sock is the address of VM a by unix:/m/{vm}/mux.sock; use another path",
  ],
  [
    "listeners where QEMUs are found",
    'qemu = "/run/{vm}.sock"\n[[listen]]\naddress = "/run/{vm}-mux.sock"',
    "3: unix:/run/{vm}-mux.sock is also a place where qmpmux looks for QEMU " +
    "(unix:/run/{vm}.sock); use another directory",
  ],
  [
    "the path of QEMUs for listeners",
    'qemu = "/run/{vm}"\n[[listen]]\naddress = "/run/./{vm}"',
    "3: unix:/run/./{vm} is given twice; use each address only once",
  ],
  [
    "a path too long for a VM",
    `[[listen]]\naddress = "/m/{vm}/mux.sock"\n[[vm]]\nname = "${"a".repeat(100)}"\nqemu = "/q"`,
    `4: VM ${"a".repeat(100)}: unix:/m/${"a".repeat(100)}/mux.sock: the path has 112 bytes, ` +
    "a socket's has at most 107; use a shorter path or name",
  ],
  [
    "descriptors for QEMUs at TCP addresses",
    '[[listen]]\naddress = "/m/{vm}"\nfds = true\n[[vm]]\nname = "a"\nqemu = "tcp::1"\n' +
    '[[vm]]\nname = "b"\nqemu = "tcp::2"\n[[vm.listen]]\naddress = "/b"\nfds = true\n',
    "6: fds=on: only unix sockets carry descriptors; let QEMU listen on one",
    "12: fds=on: only unix sockets carry descriptors; let QEMU listen on one",
  ],
];

for (const [what, text, ...expected] of WRONG) {
  Deno.test(`readConfig() reports ${what}`, () => {
    assertEquals(problems(text), expected.map((problem) => `f:${problem}`));
  });
}

const FLAGS: [args: string[], problem: string][] = [
  [
    ["--qemu", "/q/{vm}", "--listen", "/m"],
    "serve: unix:/m has no {vm}, but every VM needs its own address; put {vm} in its path",
  ],
  [
    ["--qemu", "/q", "--listen", "/m/{vm}"],
    "serve: unix:/m/{vm} has {vm} and qemu has not; put {vm} in both or in neither",
  ],
  [
    ["--qemu", "/q/{vm}", "--listen", "/m/{vm}", "--vm", "a"],
    "serve: vm is the name of one VM, and {vm} or [[vm]] names many; leave vm out",
  ],
  [
    ["--qemu", "/q/{vm}/{vm}", "--listen", "/m/{vm}"],
    "serve: --qemu: unix:/q/{vm}/{vm}: {vm} is given twice; give it once",
  ],
];

for (const [args, problem] of FLAGS) {
  Deno.test(`serveSettings() refuses ${args.join(" ")}`, () => {
    assertEquals(assertThrows(() => serveSettings(args), UsageError).message, problem);
  });
}

Deno.test("serveSettings() takes the VMs of the file and the templates of the flags", () => {
  const file = '[[vm]]\nname = "a"\n';
  const flags = ["--qemu", "/q/{vm}", "--listen", "/m/{vm}"];
  assertEquals(machinesOf(settingsOf(file, ...flags)).named.get("a")!.listeners.length, 1);
  assertThrows(() => settingsOf(file, ...flags.slice(0, 2)), UsageError, "--listen is missing");
  assertThrows(() => settingsOf(file), ConfigError, "VM a: qemu is missing");
  assertThrows(() => settingsOf(VM, "--qemu", "/q"), UsageError, "unix:/q is the monitor of one");
});

Deno.test("changedForRestart() lets QEMUs and VMs change, but not one VM become many", () => {
  const one = settingsOf('qemu = "/q"\n[[listen]]\naddress = "/m"');
  const other = settingsOf('qemu = "/r"\ncontrol = "/c"\n[[listen]]\naddress = "/m"');
  const many = settingsOf(TEMPLATES);
  const more = settingsOf(`${TEMPLATES}${VM}`);
  assertEquals(changedForRestart(one, other), []);
  assertEquals(changedForRestart(many, more), []);
  assertEquals(changedForRestart(one, many), ["qemu"]);
  assertEquals(changedForRestart(settingsOf(VM), one), ["qemu"]);
});
