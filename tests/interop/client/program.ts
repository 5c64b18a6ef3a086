/**
 * A program of the client library, the same for Deno, Node and Bun: `program.ts SOCKET`.
 *
 * It needs a monitor with the objects `m1` to `m4` of that many pages, whose QEMU is started again
 * after `quit`. It prints the names of its steps, and fails with the first one that fails. An error
 * that nobody handles ends it, and so does a step that never ends.
 *
 * @module
 */

import assert from "node:assert/strict";
import process from "node:process";
import {
  connect,
  ConnectError,
  ConnectionLost,
  NotQmpError,
  ProtocolError,
  QmpError,
  TimeoutError,
} from "../../../lib/client/mod.ts";
import { Random } from "../../support/random.ts";
import { GREETING, Peer } from "./peer.ts";

/** The commands that are in flight by the hundred. */
const COUNT = 3000;

const path = process.argv[2]!;

/** Returns whether this runtime has `await using`. */
function hasUsing(): boolean {
  try {
    new Function("return async () => { await using nothing = null; }");
    return true;
  } catch (error) {
    assert(error instanceof SyntaxError);
    return false;
  }
}

const STEPS: Readonly<Record<string, () => Promise<void>>> = {
  async commands(): Promise<void> {
    const qmp = await connect(path);
    const { major } = qmp.greeting.version["qemu"] as { major: number };
    assert(major >= 7);
    const { running } = await qmp.execute("query-status");
    assert.equal(running, false);
    const pages = Array.from({ length: 400 }, (_, number) => 1 + number % 4);
    const sizes = await Promise.all(
      pages.map((each) => qmp.execute("qom-get", { path: `/objects/m${each}`, property: "size" })),
    );
    assert.deepEqual(sizes, pages.map((each) => each * 4096));
    assert.match(await qmp.executeText("query-name"), /^\{"return": \{\}.*\}$/);
    await qmp.close();
  },

  async "many commands, some given up"(): Promise<void> {
    const qmp = await connect(path);
    const random = new Random(COUNT);
    const reason = new Error("enough");
    const controllers: AbortController[] = [];
    let [started, right, givenUp] = [0, 0, 0];
    const worker = async (): Promise<void> => {
      while (started++ < COUNT) {
        const page = 1 + random.below(4);
        const controller = new AbortController();
        if (random.oneIn(4)) controllers.push(controller);
        if (random.oneIn(8)) controllers.splice(0).forEach((each) => each.abort(reason));
        const place = { path: `/objects/m${page}`, property: "size" };
        const { signal } = controller;
        const limits = random.oneIn(4) ? { signal, timeout: random.below(20) } : { signal };
        try {
          assert.equal(await qmp.execute("qom-get", place, limits), page * 4096);
          right++;
        } catch (error) {
          if (error !== reason && !(error instanceof TimeoutError)) throw error;
          givenUp++;
        }
      }
    };
    await Promise.all(Array.from({ length: 200 }, worker));
    assert.equal(right + givenUp, COUNT);
    assert(right > 0 && givenUp > 0);
    assert.equal((await qmp.execute("query-status")).running, false);
    await qmp.close();
  },

  async "exact integers"(): Promise<void> {
    const qmp = await connect(path);
    for (const [name, value] of [["long", 2n ** 62n + 1n], ["short", 2 ** 40]] as const) {
      await qmp.execute("object-add", { "qom-type": "iothread", id: name, "poll-max-ns": value });
      const place = { path: `/objects/${name}`, property: "poll-max-ns" };
      assert.equal(await qmp.execute("qom-get", place), value);
      await qmp.execute("object-del", { id: name });
    }
    await qmp.close();
  },

  async errors(): Promise<void> {
    const qmp = await connect(path);
    const refused = await qmp.execute("no-such-command").catch((error) => error);
    assert(refused instanceof QmpError);
    assert.equal(refused.errorClass, "CommandNotFound");
    assert.equal(refused.command, "no-such-command");
    await assert.rejects(() => qmp.execute("query-status", { odd: 1 }), { name: "QmpError" });
    await assert.rejects(() => qmp.execute("device_del", { id: "no" }), /no: |Device 'no'/);
    await qmp.execute("query-status");
    await qmp.close();
  },

  async events(): Promise<void> {
    const qmp = await connect(path);
    const all = qmp.events();
    const some = qmp.events(["R*"]);
    const resumed = qmp.waitFor("RESUME");
    await qmp.execute("cont");
    assert((await resumed).timestamp.seconds > 1.7e9);
    const stopped = qmp.waitFor("*", { match: ({ name }) => name === "STOP" });
    await qmp.execute("stop");
    await stopped;
    for await (const { name } of some) {
      assert.equal(name, "RESUME");
      break;
    }
    await qmp.close();
    const names = [];
    for await (const { name } of all) names.push(name);
    assert.deepEqual(names, ["RESUME", "STOP"]);
    assert.deepEqual(await some.next(), { done: true, value: undefined });
  },

  async "events since a cursor"(): Promise<void> {
    const qmp = await connect(path);
    const stream = qmp.events(["RESUME", "STOP"], { since: "now" });
    try {
      await qmp.execute("__org.qmpmux_query-self");
    } catch (error) {
      // QEMU itself keeps no events.
      assert(error instanceof QmpError);
      await assert.rejects(() => stream.next(), QmpError);
      return await qmp.close();
    }
    await qmp.execute("cont");
    await qmp.execute("stop");
    assert.equal((await stream.next()).value?.name, "RESUME");
    const since = qmp.cursor!;
    await qmp.close();
    const again = await connect(path);
    const rest = again.events(["*"], { since });
    assert.equal((await rest.next()).value?.name, "STOP");
    await again.close();
  },

  async "out of band"(): Promise<void> {
    const qmp = await connect(path, { enable: ["oob"] });
    assert.deepEqual(await qmp.execute("yank", { instances: [] }, { oob: true }), {});
    await qmp.close();
    await assert.rejects(() => connect(path, { enable: ["nope"] }), QmpError);
  },

  async "giving up"(): Promise<void> {
    const reason = new Error("enough");
    const aborted = { signal: AbortSignal.abort(reason) };
    await assert.rejects(() => connect(path, aborted), reason);
    await assert.rejects(() => connect("/nowhere", aborted), reason);
    const qmp = await connect(path);
    await assert.rejects(() => qmp.execute("cont", {}, aborted), reason);
    await assert.rejects(() => qmp.waitFor("STOP", aborted), reason);
    const controller = new AbortController();
    const { signal } = controller;
    const both = [qmp.execute("query-qmp-schema", {}, { signal }), qmp.waitFor("STOP", { signal })];
    controller.abort(reason);
    for (const each of both) await assert.rejects(() => each, reason);
    await assert.rejects(() => qmp.waitFor("STOP", { timeout: 1 }), TimeoutError);
    assert.equal((await qmp.execute("query-status")).running, false);
    await qmp.close();
  },

  async closing(): Promise<void> {
    const qmp = await connect(path);
    const stream = qmp.events();
    const command = assert.rejects(() => qmp.execute("query-qmp-schema"), ConnectionLost);
    const wait = assert.rejects(() => qmp.waitFor("STOP"), ConnectionLost);
    await Promise.all([qmp.close(), qmp.close(), command, wait]);
    await qmp.close();
    assert.equal(await qmp.closed, undefined);
    assert.equal((await stream.next()).done, true);
    assert.equal((await qmp.events().next()).done, true);
    await assert.rejects(() => qmp.execute("query-status"), /query-status was not sent/);
  },

  async "other ends"(): Promise<void> {
    const absent = await connect("/nowhere/at/all").catch((error) => error);
    assert(absent instanceof ConnectError);
    assert.equal(absent.problem, "absent");
    const web = await Peer.listen(() => "HTTP/1.1 400 Bad Request\r\n\r\n");
    await assert.rejects(() => connect(web.address), NotQmpError);
    await web.close();
    await assert.rejects(() => connect(web.address), { problem: "refused" });
    const silent = await Peer.listen(() => "", `qmpmux-silent-${process.pid}`);
    await assert.rejects(() => connect(silent.address, { timeout: 20 }), TimeoutError);
    const controller = new AbortController();
    const connecting = connect(silent.address, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(() => connecting, /enough/);
    await silent.close();
  },

  async "losing the connection"(): Promise<void> {
    const replies = [GREETING, '{"return": {}}\r\n'];
    const peer = await Peer.listen(() => replies.shift());
    const qmp = await connect(peer.address);
    const commands = ["a", "b"].map((name) => qmp.execute(name).catch((error) => error));
    const [first, second] = await Promise.all(commands);
    assert(first instanceof ConnectionLost && second instanceof ConnectionLost);
    assert.deepEqual([first.command, second.command, first.inFlight], ["a", "b", ["a", "b"]]);
    assert(await qmp.closed instanceof ConnectionLost);
    await assert.rejects(() => qmp.events().next(), ConnectionLost);
    await peer.close();
  },

  async "hostile ends"(): Promise<void> {
    const long = [GREETING, '{"return": {}}\r\n', `{"return": "${"x".repeat(2 << 20)}`];
    const talker = await Peer.listen(() => long.shift() ?? "");
    const told = await connect(talker.address, { messageLimit: 1 << 20 });
    await assert.rejects(() => told.execute("query-status"), ProtocolError);
    assert(await told.closed instanceof ProtocolError);
    await talker.close();
    const few = [GREETING, '{"return": {}}\r\n'];
    const deaf = await Peer.listen(() => few.shift() ?? null, `qmpmux-deaf-${process.pid}`);
    const qmp = await connect(deaf.address);
    const args = { text: "x".repeat(1 << 20) };
    for (let round = 0; round < 8; round++) {
      await assert.rejects(() => qmp.execute("eat", args, { timeout: 1 }), TimeoutError);
    }
    const stuck = [1, 2].map(() => qmp.execute("eat", args).catch((error) => error));
    // A turn in which the write begins.
    await new Promise((resolve) => setTimeout(resolve));
    await qmp.close();
    for (const error of await Promise.all(stuck)) {
      assert(error instanceof ConnectionLost, String(error));
      assert.match(error.message, /: eat (was not sent|got no reply)/);
    }
    assert.equal(await qmp.closed, undefined);
    await deaf.close();
  },

  async "connecting again"(): Promise<void> {
    const qmp = await connect(path, { reconnect: true });
    const events = qmp.events(["__*"]);
    await qmp.execute("quit");
    assert.equal((await events.next()).value!.name, "__org.qmpmux_GAP");
    assert.equal((await qmp.execute("query-status")).running, false);
    await qmp.close();
  },

  async "await using"(): Promise<void> {
    if (!hasUsing()) return;
    const { disposed } = await import("./disposal.ts");
    const qmp = await disposed(path);
    assert.equal(await qmp.closed, undefined);
  },
};

const done = [];
for (const [name, step] of Object.entries(STEPS)) {
  // A program that waits for nothing that could come ends with this status.
  process.exitCode = 13;
  await step();
  done.push(name);
}
process.exitCode = 0;
console.log(JSON.stringify({ done, hasUsing: hasUsing() }));
