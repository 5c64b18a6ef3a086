/**
 * Records QEMU's replies to common commands, for the tests that mutate them:
 * `tests/fixtures/conversations.jsonl`.
 *
 *     tools/deno run -A tools/record_conversations.ts QEMU...
 *
 * Each QEMU is a program that takes QEMU's arguments. It runs a machine with some devices that
 * does not start. A line of the file has a command and the messages up to its reply; the
 * first line of a QEMU has no command.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { within } from "../tests/support/deadline.ts";
import { listens, makePlace } from "../tests/support/place.ts";

const FIXTURE = new URL("../tests/fixtures/conversations.jsonl", import.meta.url);

/** The length above which replies are omitted, except for the list of commands. */
const REPLY_CHARS_LIMIT = 2500;

const MACHINE = [
  ..."-machine pc -nodefaults -display none -S".split(" "),
  ..."-blockdev driver=null-co,node-name=disk,size=1048576".split(" "),
  ..."-device virtio-blk-pci,id=blk,drive=disk -device virtio-serial-pci,id=ser".split(" "),
  ..."-chardev ringbuf,id=ring,size=1024 -object memory-backend-ram,id=mem,size=65536".split(" "),
];

/** The commands that change something, and those that fail. */
const COMMANDS: readonly (readonly [name: string, args?: object])[] = [
  ["cont"],
  ["stop"],
  ["blockdev-add", { driver: "null-co", "node-name": "other", size: 65536 }],
  ["blockdev-mirror", {
    "job-id": "job",
    device: "disk",
    target: "other",
    sync: "full",
    speed: 1,
  }],
  ["query-jobs"],
  ["job-cancel", { id: "job" }],
  ["blockdev-del", { "node-name": "none" }],
  ["object-add", { "qom-type": "memory-backend-ram", id: "more", size: 65536 }],
  ["object-del", { id: "more" }],
  ["qom-list", { path: "/machine" }],
  ["qom-get", { path: "/machine", property: "type" }],
  ["human-monitor-command", { "command-line": "info version" }],
  ["ringbuf-write", { device: "ring", data: 'a "quoted" text,\nof lines: \u00e9}' }],
  ["ringbuf-read", { device: "ring", size: 1000 }],
  ["getfd", { fdname: "none" }],
  ["add-fd"],
  ["remove-fd", { "fdset-id": 7 }],
  ["closefd", { fdname: "none" }],
  ["device_del", { id: "none" }],
  ["no-such-command"],
  ["query-status", { none: 1 }],
  ["migrate", { uri: "tcp" }],
  ["device_del", { id: "blk" }],
  ["system_reset"],
];

/** Kills a program, which may have exited already. */
function end(program: Deno.ChildProcess): void {
  try {
    program.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

async function record(program: string): Promise<string[]> {
  using place = makePlace();
  const path = `${place.path}/qmp`;
  const qemu = new Deno.Command(program, {
    args: [...MACHINE, "-qmp", `unix:${path},server=on,wait=off`],
    stdin: "null",
    stdout: "null",
  }).spawn();
  try {
    await within("QEMU to listen", listens(path));
    const socket = await Deno.connect({ transport: "unix", path });
    const lines = socket.readable
      .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      .pipeThrough(new TextLineStream()).getReader();
    const writer = socket.writable.getWriter();
    const line = async (): Promise<string> => (await lines.read()).value ?? "";
    const ask = async (command: string): Promise<string[]> => {
      await writer.write(new TextEncoder().encode(command));
      const heard = [await within(command, line())];
      while (/^\{"timestamp"/.test(heard.at(-1)!)) heard.push(await within(command, line()));
      return heard;
    };
    const records = [JSON.stringify({ heard: [await line()] })];
    const keep = async (execute: string, args?: object): Promise<string[]> => {
      const command = JSON.stringify(args ? { execute, arguments: args } : { execute });
      const heard = await ask(command);
      const isShort = heard.every(({ length }) => length <= REPLY_CHARS_LIMIT);
      if (isShort || execute === "query-commands") records.push(JSON.stringify({ command, heard }));
      return heard;
    };
    await keep("qmp_capabilities");
    const [list = ""] = await keep("query-commands");
    const names = (JSON.parse(list).return as { name: string }[]).map(({ name }) => name);
    for (const name of names.sort()) {
      if (/^query-(?!commands$)/.test(name)) await keep(name);
    }
    for (const [name, args] of COMMANDS) await keep(name, args);
    socket.close();
    return records;
  } finally {
    end(qemu);
    await qemu.status;
  }
}

if (import.meta.main) {
  const records: string[] = [];
  for (const program of Deno.args) records.push(...await record(program));
  Deno.writeTextFileSync(FIXTURE, records.map((each) => `${each}\n`).join(""));
}
