/**
 * What belongs to whom: what the transcripts of descriptors do not show.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Belongings, takesSurely } from "../lib/sharing/belongings.ts";
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

/** Belongings where `a` has given these names. */
function having(...names: string[]): Belongings<string> {
  const belongings = new Belongings<string>();
  for (const name of names) {
    belongings.sent("a", getfd(name));
    belongings.settled("a", getfd(name), DONE);
  }
  return belongings;
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
  ["device_add", { driver: "vhost-vsock-pci", vhostfd: "f" }, true],
  ["device_add", { driver: "x", id: "f" }, false],
  ["closefd", { fdname: "e:f" }, false],
  ["netdev_add", { type: "tap", id: "f", fd: 5 }, false],
];

for (const [name, args, mentions] of USES) {
  Deno.test(`Belongings.objection() ${mentions ? "sees" : "sees no"} name in ${name} ${JSON.stringify(args)}`, () => {
    const belongings = having("f");
    assertEquals(belongings.objection("a", command(name, args)), undefined);
    assertEquals(belongings.objection("b", command(name, args)) !== undefined, mentions);
  });
}

Deno.test("Belongings.concerns() is false of what has nothing to do with descriptors", () => {
  const none = new Belongings<string>();
  assertEquals(none.concerns(command("netdev_add", { fd: "f" })), false);
  assertEquals(none.concerns(getfd("f")), true);
  const some = having("f");
  assertEquals(some.concerns(command("netdev_add", { fd: "f" })), true);
  assertEquals(some.concerns(command("query-status")), false);
});

Deno.test("Belongings.settled() keeps a name whose use has failed: who knows", () => {
  const belongings = having("f");
  const use = command("migrate", { uri: "fd:f" });
  belongings.sent("a", use);
  belongings.settled("a", use, FAILED);
  assertEquals(belongings.leftovers("a").map(({ name }) => name), ["closefd"]);
  assertEquals(belongings.leftovers("a"), []);
});

Deno.test("Belongings.leftovers() spells a name so that QEMU reads it as it was", () => {
  const name = 'q"\\ü\u0001';
  const [closing] = having(name).leftovers("a");
  const args = JSON.parse(new TextDecoder().decode(closing!.argumentBytes));
  assertEquals(args, { fdname: name });
});

Deno.test("Belongings.leftovers() leaves a set that a command names, also while it is on its way", () => {
  for (const reply of [undefined, DONE, FAILED]) {
    const belongings = new Belongings<string>();
    const add = command("add-fd");
    belongings.sent("a", add);
    belongings.settled("a", add, returnReply('{"fd": 9, "fdset-id": 4}'));
    const use = command("blockdev-add", { filename: "/dev/fdset/4" });
    belongings.sent("b", use);
    if (reply) belongings.settled("b", use, reply);
    const left = belongings.leftovers("a").map(({ name }) => name);
    assertEquals(left, reply === FAILED ? ["remove-fd"] : []);
    // It is nobody's now.
    assertEquals(belongings.objection("b", command("remove-fd", { "fdset-id": 4 })), undefined);
  }
});

Deno.test("Belongings.settled() takes a set that QEMU has made anew as a new one", () => {
  const belongings = new Belongings<string>();
  const add = command("add-fd");
  const made = returnReply('{"fd": 9, "fdset-id": 4}');
  belongings.settled("a", add, made);
  const use = command("blockdev-add", { filename: "/dev/fdset/4" });
  belongings.sent("a", use);
  belongings.settled("a", use, DONE);
  belongings.settled("b", add, made);
  assertEquals(belongings.leftovers("b").map(({ name }) => name), ["remove-fd"]);
});

Deno.test("Belongings.settled() forgets a descriptor that was removed, and the set with its last", () => {
  const belongings = new Belongings<string>();
  belongings.settled("a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
  belongings.settled(
    "a",
    command("add-fd", { "fdset-id": 4 }),
    returnReply('{"fd": 10, "fdset-id": 4}'),
  );
  belongings.settled("a", command("remove-fd", { "fdset-id": 4, fd: 9 }), DONE);
  assertEquals(
    belongings.objection("b", command("remove-fd", { "fdset-id": 4, fd: 9 })),
    undefined,
  );
  assertEquals(
    belongings.objection("b", command("remove-fd", { "fdset-id": 4, fd: 10 })) === undefined,
    false,
  );
  belongings.settled("a", command("remove-fd", { "fdset-id": 4 }), DONE);
  assertEquals(belongings.leftovers("a"), []);
});
