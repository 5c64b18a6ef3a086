/**
 * Clients that live longer than their monitor, or than the QEMU behind it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { connect } from "../lib/client/mod.ts";
import { within } from "./support/deadline.ts";
import { Fake } from "./support/fake.ts";
import { emptyReturn, eventLine, type FakeQemuManners } from "./support/fake_qemu.ts";
import { Lines } from "./support/lines.ts";
import { kill } from "./support/qmpmux.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Runs the example at a monitor, and returns the lines that it prints. */
async function printed(manners: FakeQemuManners, count: number): Promise<unknown[]> {
  await using fake = new Fake(manners);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", `${ROOT}examples/client_restart.ts`, fake.path],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  try {
    const lines = new Lines(child.stdout);
    const found: unknown[] = [];
    while (found.length < count) found.push(await lines.next());
    return found;
  } finally {
    kill(child);
    await within("its end", child.status);
  }
}

Deno.test("examples/client_restart.ts prints events, and the state after a restart", async () => {
  let connections = 0;
  const lines = await printed({
    answer: ({ name, id }, { say, finish }) => {
      if (name === "query-status") return '{"return": {"status": "paused"}}\r\n';
      connections++;
      say(emptyReturn({ id }) + eventLine(connections === 1 ? "RESUME" : "STOP"));
      if (connections === 1) finish();
      return "";
    },
  }, 3);
  assertEquals(lines.sort(), ["RESUME", "STOP", "paused"]);
});

Deno.test("examples/client_restart.ts goes on after a loss while it asks for the state", async () => {
  let connections = 0;
  const lines = await printed({
    answer: ({ name }, { hangUp, finish }) => {
      if (name === "qmp_capabilities") {
        if (++connections === 1) finish();
        return undefined;
      }
      if (connections > 2) return '{"return": {"status": "paused"}}\r\n';
      hangUp();
      return "";
    },
  }, 1);
  assertEquals([lines, connections], [["paused"], 3]);
});

/** Returns the names of all events in a stream, without the prefix of qmpmux. */
async function namesOf(stream: AsyncIterable<{ readonly name: string }>): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of stream) names.push(name.replace("__org.qmpmux_", ""));
  return names;
}

/** The events of a qmpmux whose QEMU is restarted. */
const LOST = eventLine("__org.qmpmux_QEMU_LOST", { reason: "QEMU disconnected" });
const BACK = eventLine("__org.qmpmux_QEMU_BACK", { version: "7.2.22" });

Deno.test("examples/client_restart.ts prints the state after a restart behind on-loss=hold", async () => {
  let isAway = true;
  const away = '{"error": {"class": "GenericError", "desc": "QEMU is away"}}\r\n';
  const lines = await printed({
    answer: ({ name, id }) => {
      if (name === "qmp_capabilities") return emptyReturn({ id }) + LOST + BACK + LOST + BACK;
      if (!isAway) return '{"return": {"status": "paused"}}\r\n';
      isAway = false;
      return away + LOST + BACK;
    },
  }, 1);
  assertEquals(lines, ["paused"]);
});

Deno.test("each stream gets a gap when QEMU is back behind on-loss=hold, whatever its globs are", async () => {
  await using fake = new Fake({
    answer: ({ name }) =>
      name === "cont" ? `${LOST}${BACK}${eventLine("STOP")}{"return": {}}\r\n` : undefined,
  });
  await using qmp = await connect(fake.path);
  const streams = [qmp.events(["STOP"]), qmp.events(["*QEMU_BACK"]), qmp.events()];
  await qmp.execute("cont");
  await qmp.close();
  assertEquals(await Promise.all(streams.map(namesOf)), [
    ["GAP", "STOP"],
    ["QEMU_BACK", "GAP"],
    ["QEMU_LOST", "QEMU_BACK", "GAP", "STOP"],
  ]);
});

Deno.test("a gap that comes before the first stream is kept for it", async () => {
  await using fake = new Fake({
    answer: ({ name, id }) =>
      name === "qmp_capabilities" ? emptyReturn({ id }) + BACK + eventLine("STOP") : undefined,
  });
  await using qmp = await connect(fake.path);
  const stream = qmp.events(["STOP"]);
  await qmp.execute("query-status").catch(() => {});
  await qmp.close();
  assertEquals(await namesOf(stream), ["GAP", "STOP"]);
});

Deno.test("gaps between events that are dropped take no room", async () => {
  const rounds = 1000;
  await using fake = new Fake({
    answer: ({ name }) =>
      name === "cont"
        ? `${`${eventLine("STOP")}${BACK}`.repeat(rounds)}{"return": {}}\r\n`
        : undefined,
  });
  await using qmp = await connect(fake.path);
  const stream = qmp.events(["STOP"], { limit: 1 });
  await qmp.execute("cont");
  await qmp.close();
  assertEquals(await namesOf(stream), ["STOP", "GAP"]);
});
