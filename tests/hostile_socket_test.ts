/**
 * The program in front of a QEMU that mutates real conversations, over sockets.
 *
 * Every second connection is hostile, the others are honest and must not be affected.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { FakeQemu } from "./support/fake_qemu.ts";
import type { Command } from "../lib/wire/message.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { mutated, readConversations } from "./support/mutation.ts";
import { makePlace } from "./support/place.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { Random } from "./support/random.ts";
import { memoryOf } from "./support/process.ts";

/** The number of pairs of connections; qmpmux waits longer each time before it reconnects. */
const ROUNDS = 6;
/** The maximum number of commands sent over one hostile connection. */
const COMMANDS = 40;
/** Memory varies by some tens of MiB. */
const GROWTH_BYTES = 192 << 20;

/** The first command and reply of the first hostile connections. */
const FIRST: readonly (readonly [command: string, reply: string])[] = [
  ["query-commands", '{"return": [nope]}'],
  ["add-fd", '{"return": nope}'],
  ["query-commands", '{"return": [{"name": 7}]}'],
];

const [CONVERSATION] = readConversations();
const { commands, replies, events } = CONVERSATION!;

/** Starts a QEMU whose connections are honest and hostile in turn. */
function startHostile(path: string, random: Random): FakeQemu {
  let qemu: FakeQemu | undefined = undefined;
  const answer = ({ name, oob }: Command): string | undefined => {
    if (name === "qmp_capabilities" || oob) return undefined;
    if (name === "x-garbage") return "\x1b[2Jgarbage\u202e\r\n";
    const isHostile = qemu!.connections % 2 === 0;
    const known = replies.get(name) ?? ['{"return": {}}'];
    const line = name === "add-fd" ? '{"return": {"fdset-id": 1, "fd": 20}}' : random.pick(known);
    if (!isHostile) return `${line}\r\n`;
    const [first, reply] = FIRST[qemu!.connections / 2 - 1] ?? [];
    if (name === first) return `${reply}\r\n`;
    // Replies that qmpmux reads itself are mutated each time.
    if (name === "query-commands") return ended(mutated(line, random, "type").text);
    const event = random.oneIn(4) ? ended(mutated(random.pick(events), random).text) : "";
    return event + (random.oneIn(2) ? ended(mutated(line, random).text) : `${line}\r\n`);
  };
  return qemu = new FakeQemu(path, {
    answer: (command, connection) => {
      if (command.name !== "x-hang-up") return answer(command);
      connection.hangUp();
      return "";
    },
  });
}

/** Closes what a text leaves open: the test must not wait for a message that never ends. */
function ended(text: string): string {
  // An event in place of the reply would leave the command pending.
  if (text.startsWith('{"event": "')) return `{"return": ${text.slice('{"event": '.length)}`;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (inString && char === "\\") at++;
    else if (char === '"') inString = !inString;
    else if (inString) continue;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
  }
  const open = (inString ? ' "' : "") + "}".repeat(Math.max(0, depth));
  return open === "" ? text : `${text}${open}\r\n`;
}

/** Sends a command and waits for the reply; returns whether QEMU's reply arrived. */
async function asks(client: TestClient, command: string, id: string): Promise<boolean> {
  if (!await client.trySend(`${command.slice(0, -1)},"id":"${id}"}`)) return false;
  try {
    const line = await client.lines.until(new RegExp(`"id": "${id}"`));
    return !/QEMU disconnected|QEMU is away|could not be read/.test(line);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("No line like")) return false;
    throw error;
  }
}

/** Returns the number of internal errors in the metrics. */
async function internalErrors(path: string): Promise<number> {
  using socket = await Deno.connect({ transport: "unix", path });
  await socket.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  const text = await new Response(socket.readable).text();
  const counts = [...text.matchAll(/^qmpmux_internal_errors_total\{.*\} (\d+)$/gm)];
  assert(counts.length > 0, text);
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

for (const onLoss of ["hold", "close"] as const) {
  Deno.test(`qmpmux serves the next QEMU after each hostile one, on-loss=${onLoss}`, async () => {
    using place = makePlace();
    const at = (name: string): string => `${place.path}/${name}`;
    const random = new Random(onLoss === "hold" ? 7 : 8);
    await using qemu = startHostile(at("vm"), random);
    await using mux = await startQmpmux([
      ...["--qemu", qemu.path, "--on-loss", onLoss, "--metrics", at("metrics")],
      ...["--listen", `${at("full")},fds=on`, "--listen", `${at("watch")},role=observer`],
    ]);
    await mux.log.until(/connected to QEMU/);
    let ids = 0;
    const stayed = [await TestClient.ready(at("full")), await TestClient.ready(at("watch"))];
    const before = memoryOf(mux.pid);
    const ends: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      // An honest QEMU: the connected client is served, as is a new one.
      using bystander = await TestClient.ready(at("full"));
      for (const client of onLoss === "hold" ? [...stayed, bystander] : [bystander]) {
        assert(await asks(client, '{"execute":"query-status"}', `x${++ids}`), "not served");
      }
      await bystander.send('{"execute":"x-hang-up"}');
      await mux.log.until(/connected to QEMU/);
      const { connections } = qemu;
      assertEquals(connections % 2, 0);
      using one = await TestClient.ready(at("full"));
      using two = await TestClient.ready(at("watch"));
      const clients = onLoss === "hold" ? [...stayed, one, two] : [one, two];
      const isUp = (): boolean => qemu.connections === connections;
      for (let i = 0; i < COMMANDS && isUp(); i++) {
        const [first] = FIRST[round] ?? [];
        const command = i === 0 && first
          ? `{"execute":"${first}"}`
          : random.oneIn(4)
          ? random.pick(['{"execute":"query-commands"}', '{"execute":"add-fd"}'])
          : random.pick(commands);
        const client = i === 0 ? one : random.pick(clients);
        if (!await asks(client, command, `x${++ids}`)) break;
      }
      // A connection without an error so far sends one now.
      if (isUp()) await one.trySend('{"execute":"x-garbage"}');
      const seen = mux.log.seen.length;
      await mux.log.until(/connected to QEMU/);
      ends.push(...mux.log.seen.slice(seen).filter((line) => !/connected to QEMU/.test(line)));
      assertEquals(qemu.connections, connections + 1);
    }
    using last = await TestClient.ready(at("full"));
    assert(await asks(last, '{"execute":"query-status"}', "last"));
    for (const client of stayed) {
      assertEquals(await asks(client, '{"execute":"query-status"}', "stayed"), onLoss === "hold");
      client[Symbol.dispose]();
    }
    assert(ends.length >= ROUNDS, ends.join("\n"));
    for (const line of mux.log.seen) {
      // Each is one line, escaped and cut.
      assertMatch(line, /^qmpmux: /);
      assert(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(line), line);
      assert(line.length < 1000, `${line.length}: ${line}`);
      assert(!/internal error/.test(line), line);
    }
    assertEquals(await internalErrors(at("metrics")), 0);
    const grown = memoryOf(mux.pid) - before;
    assert(grown < GROWTH_BYTES, `memory has grown by ${grown} bytes`);
    mux.kill("SIGTERM");
    assertEquals((await within("the end", mux.ended)).code, 0);
  });
}
