/**
 * `qmpmux status`, `clients`, `kick` and `reload` against a running qmpmux.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { StandIn } from "../tools/stand_in.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";

interface Set extends AsyncDisposable {
  readonly mux: TestQmpmux;
  readonly file: string;
  readonly admin: string;
  readonly open: string;
}

/** A qmpmux with a listener for administrators and one for everybody else. */
async function setUp(): Promise<Set> {
  await using made = new AsyncDisposableStack();
  const { path } = made.use(makePlace());
  made.use(new StandIn(`${path}/vm`));
  const [file, admin, open] = [`${path}/x.toml`, `${path}/admin`, `${path}/open`];
  Deno.writeTextFileSync(
    file,
    `qemu = "${path}/vm"\n[[listen]]\naddress = "${admin}"\nrole = "admin"\n[[listen]]\naddress = "${open}"\n`,
  );
  const mux = made.use(await startQmpmux(["--config", file]));
  await mux.log.until(/connected to QEMU/);
  const owned = made.move();
  return { mux, file, admin, open, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

Deno.test("qmpmux status and clients tell who is there", async () => {
  await using set = await setUp();
  using client = await TestClient.ready(set.open, ["oob"]);
  await client.ask({ execute: "query-status" });

  const status = JSON.parse((await runQmpmux(["status", "--socket", set.admin, "--json"])).stdout);
  assertEquals(
    { ...status, age: 0 },
    {
      qemu: "ready",
      version: "0.0.0",
      sessions: 1,
      clients: 2,
      waiting: 0,
      "in-flight": 0,
      age: 0,
    },
  );
  assertMatch((await runQmpmux(["status", "--socket", set.admin])).stdout, /^qemu: ready$/m);

  const listed = await runQmpmux(["clients", "--socket", set.admin, "--json"]);
  const [first] = JSON.parse(listed.stdout);
  assertEquals({ ...first, age: 0 }, {
    name: "open/1",
    peer: null,
    listener: "open",
    role: "full",
    dialect: "qmp",
    mode: "command",
    capabilities: ["oob"],
    filter: null,
    "in-flight": 0,
    waiting: 0,
    "unread-bytes": 0,
    commands: 2,
    "last-command": "query-status",
    age: 0,
  });
  const table = (await runQmpmux(["clients"], { QMPMUX_SOCKET: set.admin })).stdout.split("\n");
  assertMatch(table[0]!, /^NAME +PEER +ROLE +MODE +CAPABILITIES +FILTER +IN-FLIGHT +WAITING/);
  assertMatch(table[1]!, /^open\/1 +- +full +command +oob +- +0 +0 +0 +2 +query-status +\d+$/);
});

Deno.test("qmpmux kick ends one client and says so where there is none", async () => {
  await using set = await setUp();
  using client = await TestClient.ready(set.open);
  using other = await TestClient.ready(set.open);
  assertEquals(await runQmpmux(["kick", "--socket", set.admin, "open/1"]), {
    code: 0,
    stdout: "",
    stderr: "",
  });
  assertEquals(await client.lines.rest(), []);
  assertMatch(await other.ask({ execute: "query-status" }), /"return"/);
  assertEquals(await runQmpmux(["kick", "--socket", set.admin, "open/1"]), {
    code: 1,
    stdout: "",
    stderr: "qmpmux: kick: Client 'open/1' not found\n",
  });
});

Deno.test("qmpmux reload returns with the outcome", async () => {
  await using set = await setUp();
  assertEquals((await runQmpmux(["reload", "--socket", set.admin])).code, 0);
  Deno.writeTextFileSync(set.file, "qemu = 1\n");
  const { code, stderr } = await runQmpmux(["reload", "--socket", set.admin]);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^qmpmux: reload: .*x\.toml:1: invalid value 1 for qemu: expected text in quotes\n$/,
  );
});

Deno.test("administration is refused to other roles, and to those who ask wrongly", async () => {
  await using set = await setUp();
  for (const args of [["status"], ["clients"], ["kick", "open/1"], ["reload"]]) {
    const { code, stderr } = await runQmpmux([...args, "--socket", set.open]);
    assertEquals(code, 77, stderr);
    assertMatch(stderr, /role full: it is for roles that administer qmpmux/);
  }
  assertEquals((await runQmpmux(["kick", "--socket", set.admin])).code, 64);
  assertEquals((await runQmpmux(["status", "more", "--socket", set.admin])).code, 64);
});

Deno.test("administration says so where something else than a qmpmux answers", async () => {
  using place = makePlace();
  await using qemu = new StandIn(`${place.path}/vm`);
  const { code, stderr } = await runQmpmux(["clients", "--socket", qemu.path]);
  assertEquals(code, 69);
  assertMatch(
    stderr,
    /^qmpmux: clients: unix:.*\/vm is not a socket of qmpmux; name a listener .*\n$/,
  );
});

Deno.test("an administrator can end itself", async () => {
  await using set = await setUp();
  using client = await TestClient.ready(set.admin);
  await client.send({
    execute: "__org.qmpmux_disconnect-client",
    arguments: { name: "admin/1" },
  });
  assertEquals(await client.lines.rest(), []);
});
