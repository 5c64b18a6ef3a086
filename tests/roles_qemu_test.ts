/**
 * Roles on a real QEMU, with the program as users run it.
 *
 * QEMU itself records each command that it handles: a command that a role refuses must not be
 * there, and one that it allows must.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { allCommands, argumentsWith, leaves, refusalOf } from "./support/verdicts.ts";
import { ROLES } from "../lib/policy/roles.ts";

/** A QEMU that records its commands, and a client in each of some roles. */
interface Scene extends AsyncDisposable {
  readonly directory: string;
  client(role: string): TestClient;
  /** Returns the commands that QEMU has handled since the last call, without our negotiation. */
  handled(): string[];
}

async function setUp(roles: readonly string[], extra: readonly string[] = []): Promise<Scene> {
  await using made = new AsyncDisposableStack();
  const { path: directory } = made.use(makePlace());
  const log = `${directory}/log`;
  const trace = ["-trace", "handle_qmp_command", "-D", log, ...extra];
  const qemu = made.use(await startQemu(`${directory}/vm`, trace));
  const listen = roles.flatMap((role) => ["--listen", `${directory}/${role},role=${role}`]);
  const mux = made.use(await startQmpmux(["--qemu", qemu.path, ...listen]));
  await mux.log.until(/connected to QEMU/);
  const clients = new Map<string, TestClient>();
  for (const role of roles) {
    clients.set(role, made.use(await TestClient.ready(`${directory}/${role}`)));
  }
  let seen = 1;
  const owned = made.move();
  return {
    directory,
    client: (role) => clients.get(role)!,
    handled(): string[] {
      const lines = Deno.readTextFileSync(log).split("\n").filter((line) => /"exec/.test(line));
      const commands = lines.map((line) => JSON.parse(/req: (.*)/.exec(line)![1]!).execute);
      const since = commands.slice(seen);
      seen = commands.length;
      return since;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function test(name: string, run: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_QEMU, fn: run });
}

for (const name of ["observer", "operator"]) {
  const role = ROLES.get(name)!;

  test(`no command that ${name} refuses reaches QEMU`, async () => {
    await using set = await setUp([name]);
    const client = set.client(name);
    let refused = 0;
    for (const [command, paths] of allCommands()) {
      for (const args of [{}, ...leaves(paths).map(argumentsWith)]) {
        if (refusalOf(role, command, args) === undefined) continue;
        if (command === "qmp_capabilities") continue;
        const { error } = JSON.parse(await client.ask({ execute: command, arguments: args }));
        assertEquals(error.class, "CommandNotFound");
        assertStringIncludes(error.desc, `The command ${command} has been refused: role ${name}, `);
        refused++;
      }
    }
    assert(refused > 500, `${refused}`);
    assertMatch(await client.ask({ execute: "query-name" }), /"return"/);
    assertEquals(set.handled(), ["query-name"]);
  });

  test(`query-commands lists for ${name} the QEMU commands it may run, in QEMU's spelling`, async () => {
    await using set = await setUp([name, "full"]);
    const whole = await set.client("full").ask({ execute: "query-commands" });
    const names: string[] = JSON.parse(whole).return.map((entry: { name: string }) => entry.name);
    const listed = await set.client(name).ask({ execute: "query-commands" });
    const expected = names.filter((command) =>
      command in written(name) ? written(name)[command] : false
    );
    const items = expected.map((command) => `{"name": "${command}"}`).join(", ");
    assertEquals(listed, `{"return": [${items}]}`);
    assert(expected.length > 60 && expected.length < names.length);
    assertEquals(set.handled(), ["query-commands"]);
  });
}

/**
 * Returns whether each command is allowed, if only with certain arguments, according to the table
 * in the documents.
 */
function written(role: string): Record<string, boolean> {
  const table = Deno.readTextFileSync(new URL("fixtures/verdicts.txt", import.meta.url));
  const pairs = table.split("\n").map((line) => /^(\S+) (\S+): (allowed|mostly)?/.exec(line));
  return Object.fromEntries(
    pairs.filter((found) => found?.[1] === role).map((
      found,
    ) => [found![2], found![3] !== undefined]),
  );
}

test("commands that observer allows run, and cause no events", async () => {
  await using set = await setUp(["observer", "full"], ["-machine", "pc"]);
  const client = set.client("observer");
  const ran: string[] = [];
  const before = await set.client("full").ask({ execute: "qom-list", arguments: { path: "/" } });
  const has = new Set(
    JSON.parse(await client.ask({ execute: "query-commands" })).return.map(
      (entry: { name: string }) => entry.name,
    ),
  );
  for (const name of allCommands().keys()) {
    if (!has.has(name) || name === "qmp_capabilities") continue;
    if (refusalOf(ROLES.get("observer")!, name) !== undefined) continue;
    // No event may be first: the next line is the reply.
    const answer = JSON.parse(await client.ask({ execute: name, id: name }));
    assertEquals(answer.id, name);
    ran.push(name);
  }
  assert(ran.length > 60);
  const after = await set.client("full").ask({ execute: "qom-list", arguments: { path: "/" } });
  assertEquals(after, before);
});

test("spellings that QEMU reads as a refused command are refused", async () => {
  await using set = await setUp(["operator"]);
  const client = set.client("operator");
  const target = `${set.directory}/out`;
  const spellings = [
    `{"execute":"human-monitor-command","arguments":{"command-line":"migrate exec:touch ${target}"}}`,
    String
      .raw`{"execute":"human-monitor-command","arguments":{"command-line":"info version\nmigrate exec:x"}}`,
    `{'execute':'memsave','arguments':{'val':0,'size':1,'filename':'${target}'}}`,
    String.raw`{"execute":"\u0070memsave","arguments":{"val":0,"size":1,"filename":"${target}"}}`,
    `{"arguments":{"filename":"${target}"},"exe\\u0063ute":"screendump"}`,
    `{"execute":"transaction","arguments":{"actions":[{"type":"abort","data":{}},` +
    `{"type":"blockdev-snapshot-sync","data":{"device":"a","\\u0073napshot-file":"${target}"}}]}}`,
  ];
  for (const text of spellings) {
    assertMatch(
      await client.ask(text),
      /has been refused: role operator, rule 'refuse [a-z-]+( if .* is given)?': (it|only) /,
    );
  }
  await client.ask({ execute: "query-name" });
  assertEquals(set.handled(), ["query-name"]);
  assertEquals([...Deno.readDirSync(set.directory)].map(({ name }) => name).includes("out"), false);
});

test("a node name from an operator is never used as a file name", async () => {
  await using set = await setUp(["operator"], ["-machine", "pc"]);
  const file = `${set.directory}/disk`;
  Deno.writeFileSync(file, new Uint8Array(512));
  const names = [file, `file:${file}`, `json:{"driver":"file","filename":"${file}"}`, "nbd:x:1"];
  for (const name of names) {
    const args = { driver: "raw", "node-name": "n", file: name };
    const answer = await set.client("operator").ask({ execute: "blockdev-add", arguments: args });
    assertMatch(answer, /Cannot find device=/);
    const disk = { driver: "virtio-blk-pci", drive: name };
    const plugged = await set.client("operator").ask({ execute: "device_add", arguments: disk });
    assertMatch(plugged, /can't find value/);
  }
  assertEquals(set.handled().length, 2 * names.length);
});

test("an operator runs a machine: pause, nodes, devices, objects, transactions", async () => {
  await using set = await setUp(["operator"], ["-machine", "pc"]);
  const client = set.client("operator");
  const commands = [
    { execute: "stop" },
    { execute: "blockdev-add", arguments: { driver: "null-co", "node-name": "n0", size: 1 << 20 } },
    { execute: "blockdev-add", arguments: { driver: "raw", "node-name": "n1", file: "n0" } },
    { execute: "device_add", arguments: { driver: "virtio-blk-pci", drive: "n1", id: "d0" } },
    { execute: "object-add", arguments: { "qom-type": "iothread", id: "io0" } },
    { execute: "netdev_add", arguments: { type: "hubport", id: "h0", hubid: 0 } },
    { execute: "chardev-add", arguments: { id: "c0", backend: { type: "null", data: {} } } },
    {
      execute: "transaction",
      arguments: {
        actions: [{ type: "block-dirty-bitmap-add", data: { node: "n1", name: "b0" } }],
      },
    },
    { execute: "device_del", arguments: { id: "d0" } },
  ];
  for (const command of commands) assertEquals(await client.ask(command), '{"return": {}}');
  const info = { "command-line": "info status" };
  assertMatch(
    await client.ask({ execute: "human-monitor-command", arguments: info }),
    /VM status: paused/,
  );
  assertEquals(set.handled(), [
    ...commands.map(({ execute }) => execute),
    "human-monitor-command",
  ]);
});
