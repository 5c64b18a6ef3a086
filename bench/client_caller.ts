/**
 * A caller for the bench of the client library, on Deno, Node or Bun.
 *
 * `client_caller.ts WAY SOCKET COUNT` runs `query-status` so many times, one after the other, and
 * prints the median in microseconds. The WAY is `library`; or `bare`, the least that a program can do
 * with the runtime's own sockets. Neither sends an id: QEMU takes longer to read one.
 *
 * @module
 */

import type { Socket } from "node:net";
import process from "node:process";
import { connect } from "../lib/client/mod.ts";

/** Runs a command. */
type Ask = () => Promise<unknown>;

const COMMAND = "query-status";

async function library(path: string): Promise<Ask> {
  const qmp = await connect(path);
  return () => qmp.execute(COMMAND);
}

/** A connection of Deno's own. */
async function bareDeno(path: string): Promise<Ask> {
  const socket = await Deno.connect({ transport: "unix", path });
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  const line = async (): Promise<unknown> => {
    let text = "";
    do {
      const length = await socket.read(buffer);
      text += decoder.decode(buffer.subarray(0, length!));
    } while (!text.endsWith("\n"));
    return JSON.parse(text);
  };
  const ask = async (execute: string): Promise<unknown> => {
    const bytes = encoder.encode(`${JSON.stringify({ execute })}\n`);
    for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
    return (await line() as { return: unknown }).return;
  };
  await line();
  await ask("qmp_capabilities");
  return () => ask(COMMAND);
}

/** A socket of `node:net`. */
async function bareNode(path: string): Promise<Ask> {
  const { createConnection } = await import("node:net");
  const socket: Socket = createConnection({ path });
  socket.setEncoding("utf8");
  let text = "";
  let resolve = (_message: unknown): void => {};
  socket.on("data", (chunk: string) => {
    text += chunk;
    if (!text.endsWith("\n")) return;
    const message = JSON.parse(text);
    text = "";
    resolve(message);
  });
  const line = (): Promise<unknown> => new Promise((done) => resolve = done);
  const ask = async (execute: string): Promise<unknown> => {
    socket.write(`${JSON.stringify({ execute })}\n`);
    return (await line() as { return: unknown }).return;
  };
  await line();
  await ask("qmp_capabilities");
  return () => ask(COMMAND);
}

const [way, path, count] = process.argv.slice(2) as [string, string, string];
const open = way === "library" ? library : "Deno" in globalThis ? bareDeno : bareNode;
const ask = await open(path);
const times: number[] = [];
for (let done = 0; done < Number(count); done++) {
  const began = performance.now();
  await ask();
  times.push(performance.now() - began);
}
// The first ones run before the compiler has seen them.
const late = times.slice(times.length / 4).sort((a, b) => a - b);
console.log(late[late.length >> 1]! * 1000);
process.exit();
