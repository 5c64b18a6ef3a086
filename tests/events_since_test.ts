/**
 * `qmpmux events --since --cursor-file`: events that came while nobody listened, each printed once, or
 * the last one twice if the program was killed.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Bookmark } from "../lib/cli/events_since.ts";
import { readFlags } from "../lib/cli/flags.ts";
import { connect } from "../lib/client/mod.ts";
import { type EventStage, startEvents } from "./support/event_source.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { kill, programCommand, runQmpmux } from "./support/qmpmux.ts";
import { Random } from "./support/random.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";

/** Waits until qmpmux has taken all events of the source. */
async function settled({ path }: EventStage): Promise<void> {
  using client = await TestClient.ready(path);
  while (!(await client.ask({ execute: "mark" })).startsWith('{"return"'));
}

/** Returns the number of the event on a line; its name if it has none. */
function numberOn(line: string): unknown {
  const { event, data } = JSON.parse(line);
  return data?.n ?? event;
}

/** Waits until the file `cursor` in a directory has a certain text, or none; returns it. */
async function changed(
  place: string,
  isIt: (text: string | undefined) => boolean,
): Promise<string | undefined> {
  const read = (): string | undefined => {
    try {
      return Deno.readTextFileSync(`${place}/cursor`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  };
  using watcher = Deno.watchFs(place);
  if (!isIt(read())) { for await (const _ of watcher) if (isIt(read())) break; }
  return read();
}

/** Runs `qmpmux events` to its end. */
async function events(path: string, ...args: string[]): Promise<unknown[]> {
  const { code, stdout, stderr } = await runQmpmux(["events", "--socket", path, ...args]);
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n").slice(0, -1).map(numberOn);
}

Deno.test("qmpmux events --since oldest prints the kept events first", async () => {
  await using at = await startEvents();
  at.source.emit(3);
  await settled(at);
  assertEquals(await events(at.path, "--since", "oldest", "--count", "3"), [1, 2, 3]);
  at.source.emit(1, "STOP");
  at.source.emit(1);
  await settled(at);
  const filtered = ["--filter", "STOP", "--since", "oldest", "--count", "1"];
  assertEquals(await events(at.path, ...filtered), [4]);
});

Deno.test("qmpmux events --cursor-file continues behind the last event that it has printed", async () => {
  await using at = await startEvents();
  const file = `${at.place}/cursor`;
  const args = ["--since", "oldest", "--cursor-file", file];
  at.source.emit(5);
  await settled(at);
  assertEquals(await events(at.path, ...args, "--count", "2"), [1, 2]);
  const cursor = Deno.readTextFileSync(file);
  assertMatch(cursor, /^\S+\n$/);
  assertEquals(await events(at.path, ...args, "--count", "3"), [3, 4, 5]);
  assert(Deno.readTextFileSync(file) !== cursor);
  assertEquals(await events(at.path, "--since", cursor.trim(), "--count", "1"), [3]);
  assertEquals([...Deno.readDirSync(at.place)].filter(({ name }) => name.endsWith(".new")), []);
});

Deno.test("qmpmux events --cursor-file without --since begins now, and keeps a quiet place", async () => {
  await using at = await startEvents();
  const file = `${at.place}/cursor`;
  at.source.emit(2);
  await settled(at);
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, "events", "-s", at.path, "--filter", "STOP", "--cursor-file", file],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = new Lines(child.stdout);
  const begun = await changed(at.place, (text) => text !== undefined);
  // An event that is not printed moves the cursor on, too.
  at.source.emit(1);
  await changed(at.place, (text) => text !== begun);
  kill(child);
  await lines.rest();
  await child.status;
  at.source.emit(1);
  await settled(at);
  assertEquals(await events(at.path, "--cursor-file", file, "--count", "1"), [4]);
});

Deno.test("qmpmux events --cursor-file keeps the place where it begins, before any event", async () => {
  await using at = await startEvents();
  const file = `${at.place}/cursor`;
  await using qmp = await connect(at.path);
  const bookmark = new Bookmark(readFlags("events", ["--cursor-file", file]));
  qmp.events(["*"], { since: bookmark.since });
  await bookmark.begun(qmp);
  assertEquals(Deno.readTextFileSync(file), `${qmp.cursor}\n`);
  at.source.emit(2);
  await settled(at);
  assertEquals(await events(at.path, "--cursor-file", file, "--count", "2"), [1, 2]);
});

Deno.test("qmpmux events --since prints gaps, and does not count them", async () => {
  await using at = await startEvents("--on-loss", "hold");
  at.source.emit(1);
  await settled(at);
  const file = `${at.place}/cursor`;
  Deno.writeTextFileSync(file, "other.1.7\n");
  const args = ["--cursor-file", file, "--count", "1"];
  assertEquals(await events(at.path, ...args), ["__org.qmpmux_GAP", 1]);
});

Deno.test("qmpmux events --cursor-file that is killed at any moment repeats at most the last event, and skips none", async () => {
  const random = new Random(20261130);
  await using at = await startEvents();
  const args = ["-s", at.path, "--since", "oldest", "--cursor-file", `${at.place}/cursor`];
  const [command, first] = programCommand();
  let [last, repeated, kills] = [0, 0, 0];
  while (kills < 25) {
    at.source.emit(random.below(40));
    const child = new Deno.Command(command, {
      args: [...first, "events", ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const lines = new Lines(child.stdout);
    const found: string[] = [];
    const waiting = at.source.sent - last;
    if (waiting === 0) at.source.emit(1);
    for (let left = random.below(Math.max(1, waiting)); left >= 0; left--) {
      found.push((await lines.next())!);
    }
    kill(child);
    kills++;
    found.push(...await lines.rest());
    await child.status;
    for (const [index, number] of found.map(numberOn).entries()) {
      if (index === 0 && number === last && last > 0) repeated++;
      else assertEquals(number, ++last, `after ${kills} kills`);
    }
  }
  assert(repeated < kills, `${repeated} of ${kills} events were repeated`);
});

/** A file for the cursor, and the message about it. */
const FILES: readonly (readonly [
  what: string,
  make: (path: string) => void,
  code: number,
  said: string,
])[] = [
  [
    "is empty",
    (path) => Deno.writeTextFileSync(path, ""),
    1,
    "FILE: it is empty; remove it to begin anew",
  ],
  [
    "has two lines",
    (path) => Deno.writeTextFileSync(path, "a.1.1\nb\n"),
    1,
    "FILE: it does not have one line with a cursor; remove it to begin anew",
  ],
  [
    "is binary",
    (path) => Deno.writeFileSync(path, new Uint8Array([0, 1, 2])),
    1,
    "FILE: it does not have one line with a cursor; remove it to begin anew",
  ],
  [
    "has something else",
    (path) => Deno.writeTextFileSync(path, "hello\n"),
    1,
    'events: FILE: "hello" is not a cursor; remove the file to begin anew',
  ],
  [
    "is a directory",
    (path) => Deno.mkdirSync(path),
    64,
    "FILE is not a regular file; name one, or a path for a new one",
  ],
];

Deno.test("qmpmux events refuses a file that is not one of a cursor, and says why", async () => {
  await using at = await startEvents();
  for (const [what, make, code, said] of FILES) {
    const file = `${at.place}/${what.replaceAll(" ", "-")}`;
    make(file);
    const args = ["events", "--socket", at.path, "--cursor-file", file];
    assertEquals(await runQmpmux(args), {
      code,
      stdout: "",
      stderr: `qmpmux: ${said.replace("FILE", file)}\n`,
    }, what);
  }
  const none = `${at.place}/none/cursor`;
  const { code, stderr } = await runQmpmux(["events", "--socket", at.path, "--cursor-file", none]);
  assertEquals([code, stderr], [
    1,
    `qmpmux: ${none} cannot be written: the directory ${at.place}/none does not exist; create it first\n`,
  ]);
});

Deno.test("qmpmux events reports a directory in which it may not write the cursor", async () => {
  using place = makePlace();
  Deno.mkdirSync(`${place.path}/closed`, { mode: 0o500 });
  const file = `${place.path}/closed/cursor`;
  const program = [...programCommand().flat(), "events", "-s", "/x", "--cursor-file", file];
  // Root may write anywhere with this capability.
  const without = ["setpriv", "--bounding-set", "-dac_override"];
  const [command, ...args] = Deno.uid() === 0 ? [...without, ...program] : program;
  const { code, stderr } = await within(
    "qmpmux events to end",
    new Deno.Command(command!, { args, stdin: "null" }).output(),
  );
  assertEquals(code, 77);
  assertMatch(
    new TextDecoder().decode(stderr),
    /cannot be written: no permission for a new file in .*closed; choose/,
  );
});

Deno.test("qmpmux events --cursor-file keeps a symbolic link, and removes what a killed run has left", async () => {
  await using at = await startEvents();
  at.source.emit(1);
  await settled(at);
  const [file, link] = [`${at.place}/file`, `${at.place}/link`];
  Deno.writeTextFileSync(file, "other.1.7\n");
  Deno.writeTextFileSync(`${at.place}/.file.new`, "cut");
  Deno.symlinkSync(file, link);
  const args = ["--cursor-file", link, "--count", "1"];
  assertEquals(await events(at.path, ...args), ["__org.qmpmux_GAP", 1]);
  assertEquals(Deno.readLinkSync(link), file);
  assert(Deno.readTextFileSync(file) !== "other.1.7\n");
});

Deno.test("qmpmux events --since needs a qmpmux and a cursor", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  await using _qemu = new FakeQemu(path);
  assertEquals(await runQmpmux(["events", "-s", path, "--since", "oldest"]), {
    code: 69,
    stdout: "",
    stderr:
      `qmpmux: events: unix:${path} keeps no events: it is not a qmpmux; name a listener of qmpmux\n`,
  });
  await using at = await startEvents();
  assertEquals(await runQmpmux(["events", "-s", at.path, "--since", "yesterday"]), {
    code: 64,
    stdout: "",
    stderr: 'qmpmux: events: --since: "yesterday" is not a cursor; write a cursor, oldest or now\n',
  });
  for (const flag of ["--since", "--cursor-file"]) {
    const { code, stderr } = await runQmpmux(["events", "-s", path, `${flag}=`]);
    assertEquals(code, 64);
    assertMatch(stderr, new RegExp(`invalid value "" for ${flag}: expected `));
  }
});
