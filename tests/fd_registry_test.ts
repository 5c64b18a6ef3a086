/**
 * The owners of QEMU's descriptors: the parts that the transcripts do not show.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { DOUBTED_LIMIT } from "../lib/sharing/fd_names.ts";
import { FdRegistry } from "../lib/sharing/fd_registry.ts";
import { takesSurely } from "../lib/sharing/fd_commands.ts";
import { frameOf } from "../lib/wire/frame.ts";
import { readCommand } from "../lib/wire/command_reader.ts";
import type { Command, Reply } from "../lib/wire/message.ts";
import { errorReply, returnReply } from "../lib/wire/reply.ts";
import { Tags } from "../lib/wire/tags.ts";

const DONE = returnReply("{}");
const FAILED = errorReply("GenericError", "no");

function command(name: string, args?: unknown): Command {
  const text = args === undefined ? "" : `,"arguments":${JSON.stringify(args)}`;
  return readCommand(frameOf(`{"execute":"${name}"${text}}`), true) as Command;
}

const getfd = (fdname: string): Command => command("getfd", { fdname });

/** Returns a registry with a QEMU, and the tag for unknown names. */
function emptyRegistry(): FdRegistry<string> {
  const registry = new FdRegistry<string>();
  registry.arrived(SECRET);
  return registry;
}

const SECRET = "1234567890123456";
const MARK = new Tags(SECRET).mark;

/** Runs a command and its reply; returns the text that QEMU was sent, or the refusal. */
function run(
  registry: FdRegistry<string>,
  owner: string,
  asked: Command,
  reply: Reply = DONE,
): string {
  const bytes = registry.goes(owner, asked);
  if (typeof bytes === "string") return bytes;
  registry.settled(owner, asked, reply);
  return new TextDecoder().decode(bytes);
}

/** Returns a registry where `a` owns these names. */
function having(...names: string[]): FdRegistry<string> {
  const registry = emptyRegistry();
  for (const name of names) run(registry, "a", getfd(name));
  return registry;
}

/** Returns the commands that close what a client has left, as sent to QEMU. */
function leftBy(registry: FdRegistry<string>, owner: string): string[] {
  return registry.leftovers(owner).map(({ name, argumentBytes }) =>
    `${name} ${new TextDecoder().decode(argumentBytes)}`
  );
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
  Deno.test(`takesSurely() returns ${takes} for ${text}`, () => {
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
  // QEMU's own numbers may belong to any client.
  ["netdev_add", { type: "tap", id: "n", fd: "5" }, true],
  ["netdev_add", { type: "tap", id: "n", fds: "e:5" }, true],
  ["netdev_add", { type: "tap", id: "n", fd: "5up" }, false],
  ["netdev_add", { type: "user", id: "n", hostname: "5" }, false],
  ["closefd", { fdname: "5" }, false],
  // QEMU 7.2 to 11.1 accept numbers too (measured).
  ["netdev_add", { type: "stream", id: "n", addr: { type: "fd", str: "5" } }, true],
  ["netdev_add", { type: "dgram", id: "n", local: { type: "fd", str: "5" } }, true],
  ["migrate-incoming", { uri: "fd:5" }, true],
  ["migrate-incoming", { uri: "tcp:5" }, false],
  // The name of an object, not of a descriptor.
  ["device_add", { driver: "vfio-pci", iommufd: "f" }, false],
  ["object-add", { "qom-type": "iommufd", id: "i", fd: "f" }, true],
  // An element of a list is one name.
  ["device_add", { driver: "virtio-net-pci", "ebpf-rss-fds": ["e:f"] }, false],
  // QEMU writes NUL as C0 80: the text continues after it.
  ["drive-mirror", { target: 'json:{"x":"\0","fd":"f"}' }, true],
  // More than one value: QEMU opens nothing.
  ["drive-mirror", { target: 'json:{"fd":"f"} {}' }, false],
  ["drive-mirror", { target: 'json:{"fd":"f"} "' }, false],
  ["drive-mirror", { target: 'json: {"fd":"f"}\n' }, true],
  // QEMU reads a number as C does when no monitor is at hand.
  ["netdev_add", { type: "stream", id: "n", addr: { type: "fd", str: "+5" } }, true],
  ["netdev_add", { type: "stream", id: "n", addr: { type: "fd", str: "\t 05" } }, true],
  // Texts that other parsers of QEMU's take apart.
  ["netdev_add", { type: "user", guestfwd: [{ str: "tcp:1:1-unix:fd=f" }] }, true],
  ["netdev_add", { type: "user", guestfwd: [{ str: "tcp:1:1-unix:a" }] }, false],
  ["drive-mirror", { target: 'blkdebug::json:{"fd":"f"}' }, true],
  ["drive-mirror", { target: 'blkverify:/i:json:{"fd":"f"}' }, true],
  ["blockdev-add", { file: 'json:{"file":"blkdebug::json:{}"}' }, true],
  ["human-monitor-command", { "command-line": 'drive_add 0 file=json:{"fd":"f"}' }, false],
];

/** Returns whether the text that QEMU is sent differs from the client's text. */
function isChanged(registry: FdRegistry<string>, owner: string, asked: Command): boolean {
  const bytes = registry.goes(owner, asked);
  return typeof bytes === "string" || bytes !== asked.bytes;
}

for (const [name, args, mentions] of USES) {
  Deno.test(`FdRegistry.goes() finds ${mentions ? "a" : "no"} reference in ${name} ${JSON.stringify(args)}`, () => {
    assertEquals(isChanged(having("f"), "a", command(name, args)), false);
    assertEquals(isChanged(having("f"), "b", command(name, args)), mentions);
  });
}

Deno.test("FdRegistry.goes() splits several names, but not a name that contains colons", () => {
  const use = command("netdev_add", { type: "tap", id: "n", fds: "e:f" });
  assertEquals(isChanged(having("e:f"), "b", use), false);
  // An element of a list is one name, colons and all.
  const list = command("device_add", { driver: "x", "ebpf-rss-fds": ["e:f"] });
  assertEquals(isChanged(having("e:f"), "b", list), true);
});

const [ONE, NONE] = [`${MARK}1~`, `${MARK}0~`];
const TAGGED: [text: string, upstream: string][] = [
  ['{"uri":"fd:f"}', `{"uri":"fd:f${ONE}"}`],
  ['{"fds":"e:f:g:f"}', `{"fds":"e:f${ONE}:g:f${ONE}"}`],
  // Escapes, pairs of them and UTF-8 are not changed. QEMU gets the client's single quotes.
  ['{"fds":"\\u0065\\u003A\\u0066:g"}', `{"fds":"\\u0065\\u003A\\u0066${ONE}:g"}`],
  ['{"fds":"\\ud83d\\ude00:f:😀:f"}', `{"fds":"\\ud83d\\ude00:f${ONE}:😀:f${ONE}"}`],
  ['{"fds":"é€\\n\\/:f","a":1.50}', `{"fds":"é€\\n\\/:f${ONE}","a":1.50}`],
  ['{"a":[{"data":{"x.str":"\\u0066"}},"f"]}', `{"a":[{"data":{"x.str":"\\u0066${ONE}"}},"f"]}`],
  ['{"fd":"u"}', '{"fd":"u"}'],
  [
    '{"target":"json:{\'server.str\':\'f\',\\"x\\":\\"\\\\u00e9é\\"}"}',
    `{"target":"json:{\\"server.str\\":\\"f${ONE}\\",\\"x\\":\\"\\\\u00e9é\\"}"}`,
  ],
  [
    '{"target":"json:{\\"file\\":\\"json:{\'fd\':\'f\'}\\"}"}',
    `{"target":"json:{\\"file\\":\\"json:{\\\\\\"fd\\\\\\":\\\\\\"f${ONE}\\\\\\"}\\"}"}`,
  ],
  // A name that its client has not passed belongs to no client.
  ['{"fd":"h"}', `{"fd":"h${NONE}"}`],
  ['{"fds":"h:f"}', `{"fds":"h${NONE}:f${ONE}"}`],
  // The same holds for a text that looks like another client's name at QEMU, and for one like a
  // tag.
  [`{"fd":"f${ONE}"}`, `{"fd":"f${ONE}${NONE}"}`],
  [`{"fd":"x${MARK}"}`, `{"fd":"x${MARK}${NONE}"}`],
];

for (const [text, upstream] of TAGGED) {
  Deno.test(`FdRegistry.goes() sends QEMU its own names in ${text}`, () => {
    const registry = having("f", "h");
    assertEquals(
      run(registry, "b", getfd("f")),
      `{"execute":"getfd","arguments":{"fdname":"f${ONE}"}}`,
    );
    const asked = readCommand(frameOf(`{"arguments":${text},"id":7,"execute":"x"}`), true);
    const went = run(registry, "b", asked as Command);
    assertEquals(went, `{"arguments":${upstream},"execute":"x"}`);
    const said = registry.withOwnNames(new TextEncoder().encode(upstream));
    const own = text.includes("json:") ? upstream.replace(ONE, "") : text;
    assertEquals(new TextDecoder().decode(said), own);
  });
}

Deno.test("FdRegistry.goes() gives each name of another client a fresh tag", () => {
  const registry = having("f");
  const tags = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const went = run(registry, "b", getfd("f"));
    const again = run(registry, "b", getfd("f"));
    assertEquals(again, went);
    tags.add(went);
    run(registry, "b", command("closefd", { fdname: "f" }));
  }
  assertEquals(tags.size, 50);
  registry.clear();
  run(registry, "a", getfd("f"));
  assertEquals(tags.has(run(registry, "b", getfd("f"))), false);
});

Deno.test("FdRegistry.goes() sends a name unchanged when the other client no longer owns it", () => {
  const registry = having("f");
  run(registry, "a", command("closefd", { fdname: "f" }));
  assertEquals(isChanged(registry, "b", getfd("f")), false);
});

Deno.test("FdRegistry.goes() chooses another name while QEMU is closing one, or may still create one", () => {
  const registry = having("f");
  const [closing] = registry.leftovers("a");
  assertEquals(registry.goes("a", closing!), closing!.bytes);
  assertEquals(isChanged(registry, "b", getfd("f")), true);
  registry.settled("a", closing!, DONE);
  assertEquals(isChanged(registry, "c", getfd("f")), false);

  const coming = emptyRegistry();
  const mine = getfd("f");
  assertEquals(coming.goes("a", mine), mine.bytes);
  assertEquals(isChanged(coming, "b", getfd("f")), true);
  coming.settled("a", mine, FAILED);
  assertEquals(isChanged(coming, "c", getfd("f")), false);
});

Deno.test("FdRegistry.settled() keeps a name from other clients until QEMU has answered all commands with it", () => {
  for (const worked of [DONE, FAILED]) {
    const registry = having("f");
    const late = command("closefd", { fdname: "f" });
    const later = command("x", { fd: "f" });
    registry.goes("a", late);
    registry.goes("a", later);
    run(registry, "a", command("migrate", { uri: "fd:f" }));
    assertEquals(leftBy(registry, "a"), []);
    assertEquals(isChanged(registry, "b", command("x", { fd: "f" })), true);
    registry.settled("a", late, FAILED);
    assertEquals(isChanged(registry, "b", command("x", { fd: "f" })), true);
    registry.settled("a", later, worked);
    assertEquals(leftBy(registry, "a"), []);
    assertEquals(isChanged(registry, "b", getfd("f")), false);
  }
});

Deno.test("FdRegistry.goes() checks 1,024 references of a command, and refuses more", () => {
  const registry = having("f");
  const names = (count: number): string => Array(count).fill("f").join(":");
  const sets = (count: number): string[] => Array(count).fill("/dev/fdset/1");
  const few = command("netdev_add", { type: "tap", id: "n", fds: names(1024) });
  assertEquals(run(registry, "b", few).split(NONE).length, 1025);
  const refused = [
    command("netdev_add", { id: "n", fds: names(1025) }),
    command("netdev_add", { id: "n", fd: Array(1025).fill("7") }),
    command("blockdev-add", { fd: names(1).split(":"), a: sets(1024) }),
    command("blockdev-add", { a: Array(129).fill("json:{}") }),
    command("blockdev-add", { a: `json:{"a":"${"x".repeat(65536)}"}` }),
  ];
  for (const asked of refused) {
    assertEquals(
      run(registry, "b", asked),
      "A command may refer to at most 1024 file descriptors, and have at most 128 file names in " +
        "JSON, of 64 KiB in all; use several commands",
    );
  }
  const others = command("blockdev-add", {
    a: Array(2000).fill("f"),
    b: Array(128).fill("json:{}"),
  });
  assertEquals(JSON.parse(run(registry, "b", others)).arguments.a.length, 2000);
});

Deno.test("FdRegistry.withOwnNames() does not change messages before the first tag is sent", () => {
  const registry = having("f");
  const said = new TextEncoder().encode(`{"return": "x${ONE}"}`);
  assertEquals(registry.withOwnNames(said), said);
  run(registry, "b", command("closefd", { fdname: "f" }));
  assertEquals(
    new TextDecoder().decode(registry.withOwnNames(said)),
    '{"return": "x"}',
  );
});

Deno.test("FdRegistry.concerns() is false for commands without descriptors", () => {
  const none = emptyRegistry();
  assertEquals(none.concerns(command("netdev_add", { fd: "f" })), false);
  assertEquals(none.concerns(getfd("f")), true);
  const some = having("f");
  assertEquals(some.concerns(command("netdev_add", { fd: "f" })), true);
  assertEquals(some.concerns(command("query-status")), false);
});

const KEPT: [name: string, args: unknown, reply: Reply][] = [
  ["migrate", { uri: "fd:f" }, FAILED],
  ["closefd", { fdname: "f", x: 1 }, FAILED],
  ["human-monitor-command", { "command-line": "fd:f" }, DONE],
  ["netdev_add", { type: "user", id: "n", dnssearch: [{ str: "f" }] }, DONE],
  // These succeed and keep the name (measured on QEMU 7.2 to 11.1), or may.
  ["netdev_add", { type: "stream", id: "n", addr: { type: "fd", str: "f" } }, DONE],
  ["chardev-add", { id: "c", backend: { data: { addr: { data: { str: "f" } } } } }, DONE],
  ["change-backing-file", { "backing-file": 'json:{"fd":"f"}' }, DONE],
];

for (const [name, args, reply] of KEPT) {
  Deno.test(`FdRegistry.settled() keeps a name after ${name} ${JSON.stringify(args)}`, () => {
    const registry = having("f");
    run(registry, "a", command(name, args), reply);
    assertEquals(isChanged(registry, "b", command("closefd", { fdname: "f" })), true);
    assertEquals(leftBy(registry, "a"), ['closefd {"fdname":"f"}']);
    assertEquals(leftBy(registry, "a"), []);
  });
}

const TAKEN: [name: string, args: unknown, reply: Reply][] = [
  ["closefd", { fdname: "f" }, DONE],
  // QEMU replies that it does not have it.
  ["closefd", { fdname: "f" }, FAILED],
  ["migrate", { uri: "fd:f" }, DONE],
  ["migrate-incoming", { uri: "fd:f" }, DONE],
  ["dump-guest-memory", { paging: false, protocol: "fd:f" }, DONE],
  ["add_client", { protocol: "vnc", fdname: "f" }, DONE],
  ["netdev_add", { type: "tap", id: "n", fds: "e:f" }, DONE],
  ["netdev_add", { type: "tap", id: "n", vhostfd: "f" }, DONE],
];

for (const [name, args, reply] of TAKEN) {
  Deno.test(`FdRegistry.settled() forgets a name after ${name} ${JSON.stringify(args)}`, () => {
    const registry = having("f");
    run(registry, "a", command(name, args), reply);
    assertEquals(isChanged(registry, "b", command("closefd", { fdname: "f" })), false);
    assertEquals(leftBy(registry, "a"), []);
  });
}

Deno.test("FdRegistry.freed() closes the oldest of a client's uncertain names, past their limit", () => {
  const registry = emptyRegistry();
  const doubt = (name: string): void => {
    run(registry, "a", getfd(name));
    run(registry, "a", command("device_add", { driver: "x", fd: name }));
  };
  for (let i = 0; i < DOUBTED_LIMIT; i++) doubt(`n${i}`);
  // A name that is passed again is certain again; one that becomes uncertain again is the newest.
  doubt("n0");
  assertEquals(registry.freed(), []);
  doubt("more");
  const [ending, ...others] = registry.freed();
  assertEquals(others, []);
  assertEquals(new TextDecoder().decode(ending!.command.argumentBytes), '{"fdname":"n1"}');
  assertEquals(registry.freed(), []);
  // Its owner does not have it now, and can pass it again, while QEMU closes it.
  assertEquals(registry.goes("a", ending!.command), ending!.command.bytes);
  assertEquals(
    run(registry, "a", getfd("n1")),
    `{"execute":"getfd","arguments":{"fdname":"n1${ONE}"}}`,
  );
  registry.settled("a", ending!.command, FAILED);
  assertEquals(isChanged(registry, "b", getfd("n1")), false);
});

Deno.test("FdRegistry.clear() removes all owners, and freed() closes what the same QEMU may still have", () => {
  const registry = having("f", "g");
  run(registry, "b", getfd("f"));
  registry.goes("b", getfd("coming"));
  const [closing] = registry.leftovers("a");
  registry.goes("a", closing!);
  registry.clear();
  const use = command("x", { fds: "f:g:coming" });
  assertEquals(
    run(registry, "b", use),
    `{"execute":"x","arguments":{"fds":"f${NONE}:g${NONE}:coming${NONE}"}}`,
  );
  assertEquals([registry.leftovers("a"), registry.leftovers("b")], [[], []]);
  const closed = registry.freed().map(({ owner, command }) => {
    assertEquals(registry.goes(owner, command), command.bytes);
    registry.settled(owner, command, FAILED);
    return new TextDecoder().decode(command.argumentBytes);
  });
  assertEquals(closed, ["f", "g", `f${ONE}`, "coming"].map((name) => `{"fdname":"${name}"}`));
  assertEquals(registry.freed(), []);
  for (const name of ["f", "g", "coming"]) {
    assertEquals(isChanged(registry, "c", getfd(name)), false);
  }
});

Deno.test("FdRegistry.goes() lets a client use its own descriptors' numbers, and all if no other client has any", () => {
  const use = command("netdev_add", { type: "tap", id: "n", fd: "9" });
  const registry = having("f");
  run(registry, "b", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
  assertEquals(registry.goes("b", use), use.bytes);
  assertEquals(registry.goes("a", use), "File descriptor named '9' has not been found");
  assertEquals(having("f").goes("a", use), use.bytes);
});

Deno.test("FdRegistry.leftovers() writes a name so that QEMU reads the original", () => {
  const name = 'q"\\ü\u0001';
  const [closing] = having(name).leftovers("a");
  const args = JSON.parse(new TextDecoder().decode(closing!.argumentBytes));
  assertEquals(args, { fdname: name });
});

Deno.test("FdRegistry.leftovers() keeps a set that a command names, even while the command is in flight", () => {
  for (const reply of [undefined, DONE, FAILED]) {
    const registry = emptyRegistry();
    const add = command("add-fd");
    run(registry, "a", add, returnReply('{"fd": 9, "fdset-id": 4}'));
    const use = command("blockdev-add", { filename: "/dev/fdset/4" });
    registry.goes("b", use);
    if (reply) registry.settled("b", use, reply);
    const left = registry.leftovers("a").map(({ name }) => name);
    assertEquals(left, reply === FAILED ? ["remove-fd"] : []);
    // It belongs to no client now.
    assertEquals(isChanged(registry, "b", command("remove-fd", { "fdset-id": 4 })), false);
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
  Deno.test(`FdRegistry.leftovers() keeps a set that a command names as ${filename}`, () => {
    const registry = emptyRegistry();
    run(registry, "a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
    const use = command("blockdev-snapshot-sync", { "snapshot-file": filename });
    run(registry, "b", use);
    assertEquals(registry.leftovers("a"), []);
  });
}

type Made = [name: string, args: unknown, end: string, endArgs: unknown, closes: boolean];
const DISK = { driver: "file", "node-name": "n", filename: "/dev/fdset/4" };
const MADE: Made[] = [
  ["blockdev-add", DISK, "blockdev-del", { "node-name": "n" }, true],
  ["blockdev-add", DISK, "blockdev-del", { "node-name": "other" }, false],
  ["blockdev-add", DISK, "chardev-remove", { id: "n" }, false],
  // A part can be in use by others after the whole has been removed.
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
  Deno.test(`FdRegistry.leftovers() ${closes ? "closes" : "keeps"} a set after ${name} ${JSON.stringify(args)} and ${end} ${JSON.stringify(endArgs)}`, () => {
    const registry = emptyRegistry();
    run(registry, "a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
    for (const each of [command(name, args), command(end, endArgs)]) {
      run(registry, "b", each);
    }
    assertEquals(registry.leftovers("a").map(({ name }) => name), closes ? ["remove-fd"] : []);
  });
}

Deno.test("FdRegistry.leftovers() keeps a set whose user could not be removed", () => {
  const registry = emptyRegistry();
  run(registry, "a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
  const add = command("blockdev-add", DISK);
  run(registry, "a", add);
  run(registry, "a", command("blockdev-del", { "node-name": "n" }), FAILED);
  assertEquals(registry.leftovers("a"), []);
});

Deno.test("FdRegistry.freed() removes the rest of a set when its last use ends", () => {
  const registry = emptyRegistry();
  const ask = (owner: string, name: string, args: unknown, reply = DONE): void => {
    run(registry, owner, command(name, args), reply);
  };
  ask("a", "add-fd", {}, returnReply('{"fdset-id": 0, "fd": 9}'));
  ask("a", "add-fd", { "fdset-id": 0 }, returnReply('{"fdset-id": 0, "fd": 10}'));
  for (const name of ["n", "m"]) {
    ask("b", "blockdev-add", { "node-name": name, "filename": "/dev/fdset/0" });
  }
  assertEquals(registry.leftovers("a"), []);
  ask("b", "blockdev-del", { "node-name": "n" });
  assertEquals(registry.freed(), []);
  ask("b", "blockdev-del", { "node-name": "m" }, FAILED);
  assertEquals(registry.freed(), []);
  // A descriptor that was removed and added again is not the one left behind.
  ask("b", "remove-fd", { "fdset-id": 0, "fd": 10 });
  ask("b", "add-fd", { "fdset-id": 0 }, returnReply('{"fdset-id": 0, "fd": 10}'));
  ask("b", "blockdev-del", { "node-name": "m" });
  const freed = registry.freed().map((
    { owner, command: { name, argumentBytes } },
  ) => [owner, name, new TextDecoder().decode(argumentBytes)]);
  assertEquals(freed, [["a", "remove-fd", '{"fdset-id":0,"fd":9}']]);
  assertEquals(registry.freed(), []);
});

Deno.test("FdRegistry.settled() treats a set that QEMU has created again as a new one", () => {
  const registry = emptyRegistry();
  const add = command("add-fd");
  const made = returnReply('{"fd": 9, "fdset-id": 4}');
  run(registry, "a", add, made);
  const use = command("blockdev-add", { filename: "/dev/fdset/4" });
  run(registry, "a", use);
  run(registry, "b", command("add-fd"), made);
  assertEquals(registry.leftovers("b").map(({ name }) => name), ["remove-fd"]);
});

Deno.test("FdRegistry.settled() forgets a removed descriptor, and the set with its last descriptor", () => {
  const registry = emptyRegistry();
  run(registry, "a", command("add-fd"), returnReply('{"fd": 9, "fdset-id": 4}'));
  run(
    registry,
    "a",
    command("add-fd", { "fdset-id": 4 }),
    returnReply('{"fd": 10, "fdset-id": 4}'),
  );
  run(registry, "a", command("remove-fd", { "fdset-id": 4, fd: 9 }));
  assertEquals(isChanged(registry, "b", command("remove-fd", { "fdset-id": 4, fd: 9 })), false);
  assertEquals(
    run(registry, "b", command("remove-fd", { "fdset-id": 4, fd: 10 })),
    "File descriptor set 4 belongs to another client; it is removed after that client disconnects",
  );
  run(registry, "a", command("remove-fd", { "fdset-id": 4 }));
  assertEquals(registry.leftovers("a"), []);
});
