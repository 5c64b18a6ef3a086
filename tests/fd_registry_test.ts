/**
 * What belongs to whom: what the transcripts of descriptors do not show.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { FdRegistry } from "../lib/sharing/fd_registry.ts";
import { takesSurely } from "../lib/sharing/fd_references.ts";
import { frameOf } from "../lib/wire/frame.ts";
import { type Command, readCommand } from "../lib/wire/message.ts";
import { errorReply, returnReply } from "../lib/wire/reply.ts";

const DONE = returnReply("{}");
const FAILED = errorReply("GenericError", "no");

function command(name: string, args?: unknown): Command {
  const text = args === undefined ? "" : `,"arguments":${JSON.stringify(args)}`;
  return readCommand(frameOf(`{"execute":"${name}"${text}}`), true) as Command;
}

const getfd = (fdname: string): Command => command("getfd", { fdname });

/** FdRegistry where `a` has given these names. */
function having(...names: string[]): FdRegistry<string> {
  const registry = new FdRegistry<string>();
  for (const name of names) {
    registry.sent("a", getfd(name));
    registry.settled("a", getfd(name), DONE);
  }
  return registry;
}

const TAKES: [string, boolean][] = [
  ['{"execute":"getfd","arguments":{"fdname":"f"}}', true],
  ['{"execute":"getfd","arguments":{"fdname":""}}', true],
  ['{"execute":"getfd","arguments":{"fdname":5}}', false],
  ['{"execute":"getfd","arguments":{"fdname":"f","x":1}}', false],
  ['{"execute":"getfd"}', false],
  ['{"execute":"add-fd"}', true],
  ['{"execute":"add-fd","arguments":{}}', true],
  ['{"execute":"add-fd","arguments":{"opaque":"x","fdset-id":7}}', true],
  ['{"execute":"add-fd","arguments":{"fdset-id":-7}}', false],
  ['{"execute":"add-fd","arguments":{"fdset-id":7e0}}', false],
  ['{"execute":"add-fd","arguments":{"fdset-id":9999999999}}', false],
  ['{"execute":"add-fd","arguments":{"opaque":null}}', false],
];

for (const [text, takes] of TAKES) {
  Deno.test(`takesSurely() says ${takes} of ${text}`, () => {
    assertEquals(takesSurely(readCommand(frameOf(text), true) as Command), takes);
  });
}

const USES: [name: string, args: unknown, mentions: boolean][] = [
  ["migrate", { uri: "fd:f" }, true],
  ["migrate", { uri: "fd:ff" }, false],
  ["migrate-incoming", { uri: "fd:f" }, true],
  ["dump-guest-memory", { paging: false, protocol: "fd:f" }, true],
  ["add_client", { protocol: "vnc", fdname: "f" }, true],
  ["netdev_add", { type: "tap", id: "n", fd: "f" }, true],
  ["netdev_add", { type: "tap", id: "n", fds: "e:f:g" }, true],
  ["netdev_add", { type: "tap", id: "n", vhostfd: "f" }, true],
  ["netdev_add", { type: "tap", id: "n", vhostfds: "e:f" }, true],
  ["netdev_add", { type: "stream", id: "n", addr: { type: "fd", str: "f" } }, true],
  ["blockdev-add", { driver: "nbd", "node-name": "n", server: { type: "fd", str: "f" } }, true],
  ["netdev_add", { type: "af-xdp", id: "n", "sock-fds": "e:f" }, true],
  ["netdev_add", { type: "user", id: "n", dnssearch: [{ str: "f" }] }, false],
  ["device_add", { driver: "vhost-vsock-pci", vhostfd: "f" }, true],
  ["device_add", { driver: "virtio-net-pci", "ebpf-rss-fds": ["e", "f"] }, true],
  ["qom-set", { path: "/objects/i", property: "fd", value: "f" }, true],
  ["qom-set", { path: "/objects/i", property: "id", value: "f" }, false],
  ["drive-mirror", { target: 'json:{"driver":"nbd","server":{"type":"fd","str":"f"}}' }, true],
  ["drive-mirror", { target: "json:{'server.type':'fd','server.str':'f'}" }, true],
  ["drive-mirror", { target: 'json:{"file":"json:{\\"fd\\":\\"f\\"}"}' }, true],
  ["drive-mirror", { target: 'json:{"server":' }, false],
  ["human-monitor-command", { "command-line": "fd:f" }, false],
  ["device_add", { driver: "x", id: "f" }, false],
  ["closefd", { fdname: "e:f" }, false],
  ["netdev_add", { type: "tap", id: "f", fd: 5 }, false],
  // QEMU's own numbers can be anybody's.
  ["netdev_add", { type: "tap", id: "n", fd: "5" }, true],
  ["netdev_add", { type: "tap", id: "n", fds: "e:5" }, true],
  ["netdev_add", { type: "tap", id: "n", fd: "5up" }, false],
  ["netdev_add", { type: "user", id: "n", hostname: "5" }, false],
  ["closefd", { fdname: "5" }, false],
  // Measured on QEMU 7.2 to 11.1: these take numbers too.
  ["netdev_add", { type: "stream", id: "n", addr: { type: "fd", str: "5" } }, true],
  ["netdev_add", { type: "dgram", id: "n", local: { type: "fd", str: "5" } }, true],
  ["migrate-incoming", { uri: "fd:5" }, true],
  ["migrate-incoming", { uri: "tcp:5" }, false],
  // The name of an object, not of a descriptor.
  ["device_add", { driver: "vfio-pci", iommufd: "f" }, false],
  ["object-add", { "qom-type": "iommufd", id: "i", fd: "f" }, true],
  // An element of a list is one name.
  ["device_add", { driver: "virtio-net-pci", "ebpf-rss-fds": ["e:f"] }, false],
  // QEMU spells NUL as C0 80, so that the text goes on behind it.
  ["drive-mirror", { target: 'json:{"x":"\0","fd":"f"}' }, true],
  // More than one value: QEMU opens nothing.
  ["drive-mirror", { target: 'json:{"fd":"f"} {}' }, false],
  ["drive-mirror", { target: 'json:{"fd":"f"} "' }, false],
  ["drive-mirror", { target: 'json: {"fd":"f"}\n' }, true],
];

for (const [name, args, mentions] of USES) {
  Deno.test(`FdRegistry.objection() ${mentions ? "sees" : "sees no"} name in ${name} ${JSON.stringify(args)}`, () => {
    const registry = having("f");
    assertEquals(registry.objection("a", command(name, args)), undefined);
    assertEquals(registry.objection("b", command(name, args)) !== undefined, mentions);
  });
}

Deno.test("FdRegistry.objection() takes several names for several, and not for one with colons", () => {
  const use = command("netdev_add", { type: "tap", id: "n", fds: "e:f" });
  assertEquals(having("e:f").objection("b", use), undefined);
});

Deno.test("FdRegistry.concerns() is false of what has nothing to do with descriptors", () => {
  const none = new FdRegistry<string>();
  assertEquals(none.concerns(command("netdev_add", { fd: "f" })), false);
  assertEquals(none.concerns(getfd("f")), true);
  const some = having("f");
  assertEquals(some.concerns(command("netdev_add", { fd: "f" })), true);
  assertEquals(some.concerns(command("query-status")), false);
});

Deno.test("FdRegistry.settled() keeps a name whose use has failed: who knows", () => {
  const registry = having("f");
  const use = command("migrate", { uri: "fd:f" });
  registry.sent("a", use);
  registry.settled("a", use, FAILED);
  assertEquals(registry.leftovers("a").map(({ name }) => name), ["closefd"]);
  assertEquals(registry.leftovers("a"), []);
});

Deno.test("FdRegistry.settled() keeps a name whose closefd QEMU did not run, and one that is only a text", () => {
  for (
    const [use, reply] of [
      [command("closefd", { fdname: "f", x: 1 }), FAILED],
      [command("human-monitor-command", { "command-line": "fd:f" }), DONE],
      [command("netdev_add", { type: "user", id: "n", dnssearch: [{ str: "f" }] }), DONE],
    ] as const
  ) {
    const registry = having("f");
    registry.sent("a", use);
    registry.settled("a", use, reply);
    assertEquals(
      registry.objection("b", command("closefd", { fdname: "f" })) !== undefined,
      true,
    );
    assertEquals(registry.leftovers("a").map(({ name }) => name), ["closefd"]);
  }
});

Deno.test("FdRegistry.settled() forgets a name that QEMU says it has not", () => {
  const registry = having("f");
  const closing = command("closefd", { fdname: "f" });
  registry.sent("a", closing);
  registry.settled("a", closing, FAILED);
  assertEquals(registry.leftovers("a"), []);
});

Deno.test("FdRegistry.objection() lets a client use the numbers of its own descriptors, and all where nobody else has any", () => {
  const use = command("netdev_add", { type: "tap", id: "n", fd: "9" });
  const registry = having("f");
  registry.settled("b", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
  assertEquals(registry.objection("b", use), undefined);
  assertEquals(
    registry.objection("a", use),
    "File descriptor named '9' has not been found",
  );
  assertEquals(having("f").objection("a", use), undefined);
});

Deno.test("FdRegistry.leftovers() spells a name so that QEMU reads it as it was", () => {
  const name = 'q"\\ü\u0001';
  const [closing] = having(name).leftovers("a");
  const args = JSON.parse(new TextDecoder().decode(closing!.argumentBytes));
  assertEquals(args, { fdname: name });
});

Deno.test("FdRegistry.leftovers() leaves a set that a command names, also while it is on its way", () => {
  for (const reply of [undefined, DONE, FAILED]) {
    const registry = new FdRegistry<string>();
    const add = command("add-fd");
    registry.sent("a", add);
    registry.settled("a", add, returnReply('{"fd": 9, "fdset-id": 4}'));
    const use = command("blockdev-add", { filename: "/dev/fdset/4" });
    registry.sent("b", use);
    if (reply) registry.settled("b", use, reply);
    const left = registry.leftovers("a").map(({ name }) => name);
    assertEquals(left, reply === FAILED ? ["remove-fd"] : []);
    // It is nobody's now.
    assertEquals(registry.objection("b", command("remove-fd", { "fdset-id": 4 })), undefined);
  }
});

for (
  const filename of [
    "/dev/fdset/4",
    "/dev/fdset/004",
    "/dev/fdset/ +4",
    'json:{"driver":"file","filename":"\\/dev\\/fdset\\/4"}',
  ]
) {
  Deno.test(`FdRegistry.leftovers() leaves a set that a command names as ${filename}`, () => {
    const registry = new FdRegistry<string>();
    registry.settled("a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
    const use = command("blockdev-snapshot-sync", { "snapshot-file": filename });
    registry.sent("b", use);
    registry.settled("b", use, DONE);
    assertEquals(registry.leftovers("a"), []);
  });
}

type Made = [name: string, args: unknown, end: string, endArgs: unknown, closes: boolean];
const DISK = { driver: "file", "node-name": "n", filename: "/dev/fdset/4" };
const MADE: Made[] = [
  ["blockdev-add", DISK, "blockdev-del", { "node-name": "n" }, true],
  ["blockdev-add", DISK, "blockdev-del", { "node-name": "other" }, false],
  ["blockdev-add", DISK, "chardev-remove", { id: "n" }, false],
  // What is inside can be in use by others after the whole is gone.
  ["blockdev-add", { "node-name": "o", file: DISK }, "blockdev-del", { "node-name": "o" }, false],
  [
    "chardev-add",
    { id: "c", backend: { type: "file", data: { out: "/dev/fdset/4", in: "/dev/fdset/4" } } },
    "chardev-remove",
    { id: "c" },
    true,
  ],
  ["object-add", { id: "o", "mem-path": "/dev/fdset/4" }, "object-del", { id: "o" }, true],
  ["screendump", { filename: "/dev/fdset/4" }, "query-status", undefined, true],
  ["migrate", { uri: "file:/dev/fdset/4" }, "query-status", undefined, false],
];

for (const [name, args, end, endArgs, closes] of MADE) {
  Deno.test(`FdRegistry.leftovers() ${closes ? "closes" : "leaves"} a set after ${name} ${JSON.stringify(args)} and ${end} ${JSON.stringify(endArgs)}`, () => {
    const registry = new FdRegistry<string>();
    registry.settled("a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
    for (const each of [command(name, args), command(end, endArgs)]) {
      registry.sent("b", each);
      registry.settled("b", each, DONE);
    }
    assertEquals(registry.leftovers("a").map(({ name }) => name), closes ? ["remove-fd"] : []);
  });
}

Deno.test("FdRegistry.leftovers() leaves a set whose user could not be ended", () => {
  const registry = new FdRegistry<string>();
  registry.settled("a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
  const add = command("blockdev-add", DISK);
  registry.sent("a", add);
  registry.settled("a", add, DONE);
  registry.settled("a", command("blockdev-del", { "node-name": "n" }), FAILED);
  assertEquals(registry.leftovers("a"), []);
});

Deno.test("FdRegistry.freed() ends what was left in a set when the last use of it is over", () => {
  const registry = new FdRegistry<string>();
  const run = (owner: string, name: string, args: unknown, reply = DONE): void => {
    const asked = command(name, args);
    registry.sent(owner, asked);
    registry.settled(owner, asked, reply);
  };
  run("a", "add-fd", {}, returnReply('{"fdset-id": 0, "fd": 9}'));
  run("a", "add-fd", { "fdset-id": 0 }, returnReply('{"fdset-id": 0, "fd": 10}'));
  for (const name of ["n", "m"]) {
    run("b", "blockdev-add", { "node-name": name, "filename": "/dev/fdset/0" });
  }
  assertEquals(registry.leftovers("a"), []);
  run("b", "blockdev-del", { "node-name": "n" });
  assertEquals(registry.freed(), []);
  run("b", "blockdev-del", { "node-name": "m" }, FAILED);
  assertEquals(registry.freed(), []);
  // What somebody has removed, and put there anew, is not what was left.
  run("b", "remove-fd", { "fdset-id": 0, "fd": 10 });
  run("b", "add-fd", { "fdset-id": 0 }, returnReply('{"fdset-id": 0, "fd": 10}'));
  run("b", "blockdev-del", { "node-name": "m" });
  const freed = registry.freed().map((
    { owner, command: { name, argumentBytes } },
  ) => [owner, name, new TextDecoder().decode(argumentBytes)]);
  assertEquals(freed, [["a", "remove-fd", '{"fdset-id":0,"fd":9}']]);
  assertEquals(registry.freed(), []);
});

Deno.test("FdRegistry.settled() takes a set that QEMU has made anew as a new one", () => {
  const registry = new FdRegistry<string>();
  const add = command("add-fd");
  const made = returnReply('{"fd": 9, "fdset-id": 4}');
  registry.settled("a", add, made);
  const use = command("blockdev-add", { filename: "/dev/fdset/4" });
  registry.sent("a", use);
  registry.settled("a", use, DONE);
  registry.settled("b", add, made);
  assertEquals(registry.leftovers("b").map(({ name }) => name), ["remove-fd"]);
});

Deno.test("FdRegistry.settled() forgets a descriptor that was removed, and the set with its last", () => {
  const registry = new FdRegistry<string>();
  registry.settled("a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
  registry.settled(
    "a",
    command("add-fd", { "fdset-id": 4 }),
    returnReply('{"fd": 10, "fdset-id": 4}'),
  );
  registry.settled("a", command("remove-fd", { "fdset-id": 4, fd: 9 }), DONE);
  assertEquals(
    registry.objection("b", command("remove-fd", { "fdset-id": 4, fd: 9 })),
    undefined,
  );
  assertEquals(
    registry.objection("b", command("remove-fd", { "fdset-id": 4, fd: 10 })) === undefined,
    false,
  );
  registry.settled("a", command("remove-fd", { "fdset-id": 4 }), DONE);
  assertEquals(registry.leftovers("a"), []);
});
