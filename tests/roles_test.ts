/**
 * The built-in roles and every command of QEMU.
 *
 * The commands are recorded (`tools/record_commands.ts`). Each role's verdicts are a fixture, which
 * makes a change of policy visible in a diff.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { readPath } from "../lib/policy/argument_path.ts";
import { OBSERVER_COMMANDS, OBSERVER_REFUSALS } from "../lib/policy/observer_role.ts";
import { operatorRows, type Row } from "../lib/policy/operator_role.ts";
import { refusesEntirely, type Role } from "../lib/policy/policy.ts";
import { ROLES } from "../lib/policy/roles.ts";
import { PAGE, VERDICTS, writtenPage } from "../tools/record_roles.ts";
import { type Commands, RECORDED, recordedCommands } from "./support/commands.ts";
import { TestClient } from "./support/client.ts";
import { commandsOf } from "./support/commands.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { grant, Stage } from "./support/stage.ts";
import { allCommands, argumentsWith, leaves, refusalOf, verdictTable } from "./support/verdicts.ts";

const observer = roleOf("observer");
const operator = roleOf("operator");

function roleOf(name: string): Role {
  return ROLES.get(name)!;
}

/** Commands whose arguments depend on a kind: all but listed kinds are refused. */
const BY_KIND = ["blockdev-add", "chardev-add", "netdev_add", "object-add"];

/** Returns whether a row names this path, or one around it or below it. */
function isNamed({ cases, refused }: Row, path: string): boolean {
  const named = [...cases.flatMap(({ only }) => Object.keys(only)), ...Object.keys(refused)];
  return named.some((other) =>
    other === path || isBelow(other, path) || (other in refused && isBelow(path, other)) ||
    (other.endsWith(".**") && `${path}.`.startsWith(other.slice(0, -2)))
  );
}

function isBelow(path: string, other: string): boolean {
  return path.startsWith(`${other}.`) || path.startsWith(`${other}[`);
}

/** Commands and arguments that the operator's table does not name. */
function unnamed(commands: Commands): string[] {
  return Object.entries(commands).flatMap(([name, paths]) => {
    const row = operatorRows().get(name);
    if (row === undefined) return [name];
    if (row.cases.length === 0 || BY_KIND.includes(name)) return [];
    return paths.filter((path) => !isNamed(row, path)).map((path) => `${name} ${path}`);
  });
}

for (const version of RECORDED) {
  Deno.test(`the operator's table names every command and argument of QEMU ${version}`, () => {
    const commands = recordedCommands(version);
    assert(Object.keys(commands).length > 200);
    assertEquals(unnamed(commands), []);
  });
}

Deno.test({
  name: "the operator's table names every command and argument of the installed QEMU",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    using client = await TestClient.ready(qemu.path);
    const schema = JSON.parse(await client.ask({ execute: "query-qmp-schema" })).return;
    assertEquals(unnamed(commandsOf(schema)), []);
  },
});

Deno.test("a new command, argument or member is reported as missing from the operator's table", () => {
  const commands = {
    "new": [],
    "balloon": ["value", "new"],
    "transaction": ["actions[*].data.new"],
  };
  assertEquals(unnamed(commands), ["new", "balloon new", "transaction actions[*].data.new"]);
});

Deno.test("the operator's table has no row and no argument that QEMU lacks", () => {
  const all = allCommands();
  const strange = [...operatorRows()].flatMap(([name, { cases, refused }]) => {
    const paths = all.get(name);
    if (paths === undefined) return [name];
    // The schema does not describe the arguments of `device_add`.
    if (name === "device_add") return [];
    return [...cases.flatMap(({ only }) => Object.keys(only)), ...Object.keys(refused)]
      .filter((path) => !path.endsWith("**") && !paths.includes(path))
      .map((path) => `${name} ${path}`);
  });
  assertEquals(strange, []);
});

Deno.test("the observer's lists name no command that QEMU lacks", () => {
  const all = allCommands();
  const names = [...OBSERVER_COMMANDS, ...Object.keys(OBSERVER_REFUSALS)];
  assertEquals(names.filter((name) => !all.has(name)), []);
  assertEquals(names.filter((name, index) => names.indexOf(name) !== index), []);
});

Deno.test("the observer allows every query of QEMU, or refuses it with a reason", () => {
  const silent = [...allCommands().keys()].filter((name) =>
    /^(x-)?(query|qom-(get|list))/.test(name) && refusalOf(observer, name) === "no rule allows it"
  );
  assertEquals(silent, []);
});

Deno.test("the roles' verdicts on every command are those in the fixture", () => {
  const written = Deno.readTextFileSync(VERDICTS);
  // To change it: tools/deno run -A tools/record_roles.ts
  assertEquals(verdictTable().split("\n"), written.split("\n"));
});

Deno.test("docs/roles.md lists what the roles allow", () => {
  const page = Deno.readTextFileSync(PAGE);
  assertEquals(writtenPage(page).split("\n"), page.split("\n"));
});

Deno.test("a client gets the refusal that docs/roles.md shows", () => {
  const page = Deno.readTextFileSync(PAGE);
  const text = /\{"execute": "migrate".*\}/.exec(page)![0];
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.connect("a", grant({ role: operator }));
  client.say('{"execute":"qmp_capabilities"}');
  client.peer.take();
  client.say(text);
  const [answer] = client.peer.take();
  assert(page.includes(`-> ${text}\n<- ${answer}\n`), answer);
});

Deno.test("full and admin refuse nothing", () => {
  for (const name of ["full", "admin"]) {
    for (const [command, paths] of allCommands()) {
      assertEquals(refusalOf(roleOf(name), command), undefined);
      for (const path of leaves(paths)) {
        assertEquals(refusalOf(roleOf(name), command, argumentsWith(path)), undefined);
      }
    }
  }
});

Deno.test("the operator may do everything that the observer may", () => {
  for (const name of OBSERVER_COMMANDS) assertEquals(refusesEntirely(operator, name), false, name);
  for (const [name, paths] of allCommands()) {
    for (const path of leaves(paths)) {
      const args = argumentsWith(path);
      if (refusalOf(observer, name, args) === undefined) {
        assertEquals(refusalOf(operator, name, args), undefined, `${name} ${path}`);
      }
    }
  }
});

Deno.test("observer and operator refuse commands unknown to qmpmux", () => {
  for (const role of [observer, operator]) {
    for (const name of ["query-new", "new", "", "__org.other_new", "toString"]) {
      assertEquals(refusalOf(role, name), "no rule allows it", `${role.name} ${name}`);
      assertEquals(refusesEntirely(role, name), true);
    }
  }
});

Deno.test("observer and operator allow no command whose name begins with x-", () => {
  const unstable = [...allCommands().keys()].filter((name) => name.startsWith("x-"));
  assert(unstable.length > 20);
  for (const name of [...unstable, "x-query-new"]) {
    for (const role of [observer, operator]) assert(refusesEntirely(role, name), name);
    for (const role of [roleOf("full"), roleOf("admin")]) {
      assert(!refusesEntirely(role, name), name);
    }
  }
});

Deno.test("docs/roles.md has the text of each built-in rule", () => {
  const page = Deno.readTextFileSync(PAGE);
  for (const role of [observer, operator]) {
    for (const { name: { text }, effect } of role.rules) {
      // The observer's commands are listed there by name.
      if (role === observer && effect === "allow") continue;
      assert(page.includes(`\`${text}\``), text);
    }
  }
});

Deno.test("operator refuses an argument that its table does not name, for any command", () => {
  for (const name of allCommands().keys()) {
    assert(refusalOf(operator, name, { "new-argument": 1 }) !== undefined, name);
    assert(refusalOf(operator, name, { "new-argument": {} }) !== undefined, name);
  }
});

Deno.test("every path in the operator's table can be read and is listed once", () => {
  for (const [name, { cases, refused }] of operatorRows()) {
    for (const { only } of cases) {
      for (const path of Object.keys(only)) {
        assert(readPath(path).length > 0);
        assert(!(path in refused), `${name} ${path}`);
      }
    }
  }
});

/** Commands with arguments that an operator may send. */
const ALLOWED: [string, unknown][] = [
  ["human-monitor-command", { "command-line": "info status" }],
  ["human-monitor-command", { "command-line": "info block", "cpu-index": 0 }],
  ["qom-get", { path: "/machine", property: "type" }],
  ["qom-set", { path: "/machine/peripheral/vm0", property: "requested-size", value: 1 << 30 }],
  ["object-add", { "qom-type": "iothread", id: "io0", "poll-max-ns": 5 }],
  ["object-add", { "qom-type": "throttle-group", id: "t", limits: { "iops-total": 5 } }],
  ["object-add", { "qom-type": "memory-backend-ram", id: "m", size: 1, "host-nodes": [0] }],
  ["device_add", { driver: "virtio-blk-pci", drive: "node0", id: "d", bus: "pci.0" }],
  ["device_add", { driver: "scsi-hd", drive: "node0", "scsi-id": 1, lun: 0, serial: "x" }],
  ["device_add", { driver: "qemu64-x86_64-cpu", "core-id": 1, "socket-id": 0, "thread-id": 0 }],
  ["blockdev-add", { driver: "raw", "node-name": "n", file: "node0", offset: 512 }],
  ["blockdev-add", { driver: "null-co", "node-name": "n", size: 512 }],
  ["blockdev-mirror", { device: "a", target: "b", sync: "full", "job-id": "j" }],
  ["blockdev-snapshot", { node: "a", overlay: "b" }],
  ["block-commit", { device: "a", "base-node": "b" }],
  ["chardev-add", { id: "c", backend: { type: "ringbuf", data: { size: 4096 } } }],
  ["netdev_add", { type: "hubport", id: "n", hubid: 1 }],
  ["migrate-set-parameters", { "max-bandwidth": 1 }],
  ["migrate-set-capabilities", { capabilities: [{ capability: "xbzrle", state: true }] }],
  ["send-key", { keys: [{ type: "qcode", data: "ctrl" }] }],
  ["input-send-event", {
    events: [{ type: "key", data: { down: true, key: { type: "qcode", data: "a" } } }],
  }],
  ["query-cpu-model-expansion", { type: "full", model: { name: "max", props: { "x": true } } }],
  ["transaction", {
    actions: [{ type: "block-dirty-bitmap-add", data: { node: "a", name: "b" } }],
  }],
];

for (const [name, args] of ALLOWED) {
  Deno.test(`operator may ${name} ${JSON.stringify(args)}`, () => {
    assertEquals(refusalOf(operator, name, args), undefined);
  });
}

/** Commands that an operator may not send, and the text of each refusal. */
const REFUSED: [string, unknown, string][] = [
  ["human-monitor-command", { "command-line": "info" }, "listed info"],
  ["human-monitor-command", { "command-line": "info status " }, "listed info"],
  ["human-monitor-command", { "command-line": "info status\nquit" }, "listed info"],
  ["human-monitor-command", { "command-line": "info status;quit" }, "listed info"],
  ["human-monitor-command", { "command-line": "info registers" }, "listed info"],
  ["human-monitor-command", { "command-line": "info qom-tree /objects" }, "listed info"],
  ["human-monitor-command", { "command-line": "INFO status" }, "listed info"],
  ["human-monitor-command", { "command-line": ["info status"] }, "listed info"],
  ["human-monitor-command", { "command-line": "xp /16x 0" }, "listed info"],
  ["qom-get", { path: "/objects/secret0", property: "data" }, "may be read"],
  ["qom-set", { path: "/machine", property: "firmware", value: "/etc/x" }, "may be written"],
  ["qom-set", { path: "/machine", property: ["requested-size"], value: 1 }, "may be written"],
  ["object-add", { "qom-type": "secret", id: "s", file: "/etc/shadow" }, "may be created"],
  ["object-add", { "qom-type": "secret", id: "s", data: "x" }, "may be created"],
  ["object-add", { "qom-type": "monitor-qmp", id: "m", chardev: "c" }, "may be created"],
  [
    "object-add",
    { "qom-type": "memory-backend-file", id: "m", "mem-path": "/x" },
    "may be created",
  ],
  ["object-add", { "qom-type": "memory-backend-ram", id: "m", "mem-path": "/x" }, "may be created"],
  ["object-add", { "qom-type": "iothread", id: "i", size: 1 }, "may be created"],
  ["object-add", { id: "i" }, "may be created"],
  ["device_add", { driver: "virtio-net-pci", romfile: "/etc/x" }, "it names a file"],
  ["device_add", { driver: "loader", file: "/etc/x" }, "only listed devices"],
  ["device_add", { driver: "vfio-pci", host: "0000:01:00.0" }, "only listed devices"],
  ["device_add", { driver: "virtio-blk-pci", drive: { driver: "file" } }, "only listed devices"],
  ["device_add", { driver: "virtio-blk-pci", "x-new": 1 }, "only listed devices"],
  ["device_add", { id: "x" }, "only listed devices"],
  [
    "blockdev-add",
    { driver: "file", filename: "/etc/x", "node-name": "n" },
    "only null devices and filters",
  ],
  [
    "blockdev-add",
    { driver: "raw", file: { driver: "file", filename: "/x" } },
    "only null devices and filters",
  ],
  ["blockdev-add", { driver: "qcow2", file: "node0" }, "only null devices and filters"],
  ["blockdev-add", { driver: "null-co", file: "node0" }, "only null devices and filters"],
  [
    "blockdev-add",
    { driver: "raw", file: "n", "file.filename": "/etc/x" },
    "only null devices and filters",
  ],
  [
    "blockdev-add",
    { driver: "nbd", server: { type: "unix", path: "/x" } },
    "only null devices and filters",
  ],
  ["block-commit", { device: "a", "backing-file": "/etc/x" }, "it names a file"],
  ["chardev-add", { id: "c", backend: { type: "file", data: { out: "/etc/x" } } }, "null and"],
  ["chardev-add", { id: "c", backend: { type: "socket", data: {} } }, "null and ringbuf"],
  ["chardev-add", { id: "c", backend: { type: "ringbuf", data: { logfile: "/x" } } }, "null and"],
  ["netdev_add", { type: "user", id: "n", hostfwd: [{ str: "tcp::22-:22" }] }, "host's network"],
  ["netdev_add", { type: "tap", id: "n", script: "/bin/sh" }, "host's network"],
  ["netdev_add", { type: "hubport", id: "n", hubid: 1, script: "/bin/sh" }, "host's network"],
  ["migrate", { uri: "exec:id" }, "a socket, a file or a program"],
  ["migrate", { channels: [{ "channel-type": "main" }] }, "a socket, a file or a program"],
  ["migrate", {}, "a socket, a file or a program"],
  ["migrate-set-parameters", { "tls-creds": "" }, "use of TLS credentials"],
  ["migrate-set-parameters", { "cpr-exec-command": ["sh"] }, "it names a program"],
  ["screendump", { filename: "/etc/passwd" }, "it writes a file"],
  ["blockdev-backup", { device: "a", target: "b", sync: "full" }, "QEMU crashes"],
  ["blockdev-add", { driver: "null-co", size: -1 }, "QEMU crashes or hangs on such a value"],
  [
    "blockdev-add",
    { driver: "copy-before-write", file: "a", target: "b" },
    "only null devices and filters",
  ],
  ["set_password", { protocol: "vnc", password: "x" }, "it contains a secret"],
  ["transaction", { actions: [] }, "each action"],
  [
    "transaction",
    { actions: [{ type: "abort", data: {} }, { type: "blockdev-snapshot-sync", data: {} }] },
    "each action",
  ],
  [
    "transaction",
    { actions: [{ type: "blockdev-backup", data: { device: "a", target: "b", sync: "full" } }] },
    "it belongs to a backup",
  ],
];

for (const [name, args, because] of REFUSED) {
  Deno.test(`operator may not ${name} ${JSON.stringify(args)}`, () => {
    const refusal = refusalOf(operator, name, args) ?? "allowed";
    assert(refusal.includes(because), refusal);
  });
}

Deno.test("observer reads only listed properties", () => {
  const get = (property: unknown): string | undefined =>
    refusalOf(observer, "qom-get", { path: "/objects/secret0", property });
  assertEquals(get("type"), undefined);
  for (const property of ["data", "rawdata", "Type", "type\0", ["type"], null]) {
    assert(get(property) !== undefined, String(property));
  }
});
