/**
 * The calls that the hub makes to its recorder, and their order.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { MuxOptions } from "../lib/hub/mux_options.ts";
import { ROLES } from "../lib/policy/roles.ts";
import { Notebook } from "./support/recording.ts";
import { grant, Stage, type StageClient } from "./support/stage.ts";

/** Returns a stage with a recorder; the test sets its clock. */
function staged(more: Partial<MuxOptions> = {}): {
  stage: Stage;
  book: Notebook;
  clock: { now: number };
} {
  const book = new Notebook();
  const clock = { now: 100 };
  const stage = new Stage(60, { clock: () => clock.now, ...more, recording: book.recording });
  stage.qemuReady();
  return { stage, book, clock };
}

/** Connects a client through a listener with a role, and negotiates. */
function inRole(stage: Stage, name: string, role: string): StageClient {
  const client = stage.connect(name, grant({ role: ROLES.get(role)! }));
  client.say('{"execute":"qmp_capabilities"}');
  client.peer.take();
  return client;
}

const STOPPED = '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}';

Deno.test("Mux records that QEMU has connected and which command a client ran", () => {
  const { stage, book } = staged();
  stage.ready("a").say('{"execute":"stop"}');
  stage.qemuSays('{"return": {}}');
  assertEquals(book.take(), [
    "ready",
    "stage/1 full qmp_capabilities return",
    "stage/1 full stop return",
  ]);
});

Deno.test("Mux records how long a command waited and how long it took", () => {
  const { stage, book, clock } = staged();
  const clients = ["a", "b", "c", "d", "e"].map((name) => stage.ready(name));
  for (const client of clients) client.say('{"execute":"stop"}');
  clock.now = 103;
  stage.qemuSays('{"return": {}}');
  clock.now = 104;
  for (let i = 0; i < 4; i++) stage.qemuSays('{"return": {}}');
  const last = book.outcomes.filter(({ waited }) => waited !== undefined);
  assertEquals(last.map(({ waited, took }) => [waited, took]), [
    [0, 3],
    [0, 4],
    [0, 4],
    [0, 4],
    [3, 4],
  ]);
});

Deno.test("Mux records an error with its reply", () => {
  const { stage, book } = staged();
  stage.ready("a").say('{"execute":"stop"}');
  stage.qemuSays('{"error": {"class": "GenericError", "desc": "no"}}');
  assertEquals(book.lines.at(-1), "stage/1 full stop error");
  assertEquals(book.outcomes.at(-1)?.reply?.kind, "error");
});

Deno.test("Mux records commands that a role refuses", () => {
  const { stage, book } = staged();
  inRole(stage, "a", "observer").say('{"execute":"stop"}');
  assertEquals(book.lines.at(-1), "stage/1 observer stop refused");
  assertEquals(book.outcomes.at(-1)?.rule, "role observer: no rule allows it");
  stage.clients.get("a")!.say('{"execute":"screendump"}');
  assertEquals(book.outcomes.at(-1)?.rule, "role observer: refuse screendump");
});

Deno.test("Mux records which client joined, and then both results", () => {
  const { stage, book } = staged();
  stage.ready("c").say('{"execute":"stop"}');
  for (const name of ["d", "e", "f"]) stage.ready(name).say('{"execute":"cont"}');
  stage.ready("a").say('{"execute":"query-status"}');
  stage.ready("b").say('{"execute":"query-status"}');
  assertEquals(book.take().at(-1), "joined");
  for (let i = 0; i < 5; i++) stage.qemuSays('{"return": {}}');
  assertEquals(book.take().slice(-2), [
    "stage/5 full query-status return",
    "stage/6 full query-status return",
  ]);
});

Deno.test("Mux records a cached reply, without a time at QEMU", () => {
  const { stage, book } = staged();
  const client = stage.ready("a");
  client.say('{"execute":"query-version"}');
  stage.qemuSays('{"return": {}}');
  book.take();
  client.say('{"execute":"query-version"}');
  assertEquals(book.take(), ["cached", "stage/1 full query-version return"]);
  assertEquals(book.outcomes.at(-1)?.waited, undefined);
});

Deno.test("Mux records a command of qmpmux's own that is sent out of band", () => {
  const { stage, book } = staged();
  const client = stage.connect("a", grant({ role: ROLES.get("admin")! }));
  client.say('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}');
  client.say('{"exec-oob":"__org.qmpmux_disconnect-client","arguments":{"name":"stage/1"}}');
  assertEquals(book.lines.at(-1), "stage/1 admin __org.qmpmux_disconnect-client error");
});

Deno.test("Mux records commands of qmpmux's own, and those it refuses", () => {
  const { stage, book } = staged();
  inRole(stage, "a", "admin").say('{"execute":"__org.qmpmux_reload"}');
  stage.reloadProblems = ["bad"];
  stage.clients.get("a")!.say('{"execute":"__org.qmpmux_reload"}');
  stage.clients.get("a")!.say('{"execute":"__org.qmpmux_query-status"}');
  inRole(stage, "b", "full").say('{"execute":"__org.qmpmux_query-status"}');
  assertEquals(book.take().filter((line) => line.includes("__org")), [
    "stage/1 admin __org.qmpmux_reload return",
    "stage/1 admin __org.qmpmux_reload error",
    "stage/1 admin __org.qmpmux_query-status return",
    "stage/2 full __org.qmpmux_query-status refused",
  ]);
});

Deno.test("Mux records commands at a lost QEMU as lost, and waiting ones as dropped", () => {
  const { stage, book } = staged();
  for (const name of ["a", "b", "c", "d", "e"]) stage.ready(name).say('{"execute":"stop"}');
  book.take();
  stage.qemuGoes();
  assertEquals(book.take(), [
    "stage/1 full stop lost",
    "stage/2 full stop lost",
    "stage/3 full stop lost",
    "stage/4 full stop lost",
    "stage/5 full stop dropped",
    ..."left: qemu,".repeat(5).split(",").slice(0, 5),
  ]);
});

Deno.test("Mux records that a command ran whose client has disconnected", () => {
  const { stage, book } = staged();
  const client = stage.ready("a");
  client.say('{"execute":"stop"}');
  client.leave();
  book.take();
  stage.qemuSays('{"return": {}}');
  assertEquals(book.take(), ["stage/1 full stop return"]);
});

Deno.test("Mux records a command dropped with its client", () => {
  const { stage, book } = staged();
  for (const name of ["a", "b", "c", "d"]) stage.ready(name).say('{"execute":"stop"}');
  const last = stage.ready("e");
  last.say('{"execute":"stop"}');
  book.take();
  last.leave();
  assertEquals(book.take(), ["left: left", "stage/5 full stop dropped"]);
});

Deno.test("Mux records a command that timed out as lost, and nothing when its reply arrives", () => {
  const { stage, book } = staged({ deadlines: [{ glob: "stop", seconds: 5 }] });
  stage.ready("a").say('{"execute":"stop"}');
  stage.mux.tick(6);
  assertEquals(book.take().at(-1), "stage/1 full stop lost");
  stage.qemuSays('{"return": {}}');
  assertEquals(book.take(), []);
});

Deno.test("Mux records a waiting command of qmpmux's own as dropped with its client", () => {
  const { stage, book, clock } = staged();
  const client = stage.ready("a", ["oob"]);
  client.say('{"execute":"query-version"}');
  stage.qemuSays('{"return": {}}');
  client.say('{"execute":"stop"}{"execute":"query-version"}{"execute":"qmp_capabilities"}');
  client.say('{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":[]}}');
  book.take();
  clock.now = 104;
  client.leave();
  assertEquals(book.take(), [
    "left: left",
    "stage/1 full query-version dropped",
    "stage/1 full qmp_capabilities dropped",
    "stage/1 full __org.qmpmux_set-event-filter dropped",
  ]);
  assertEquals(book.outcomes.at(-1), { result: "dropped", took: 4 });
  stage.qemuSays('{"return": {}}');
  assertEquals(book.take(), ["stage/1 full stop return"]);
});

Deno.test("Mux records once a command that disconnects its own client, and those around it", () => {
  const { stage, book } = staged();
  const enable = '"arguments":{"enable":["oob"]}';
  const root = stage.connect("root", grant({ role: ROLES.get("admin")! }));
  root.say(`{"execute":"qmp_capabilities",${enable}}{"execute":"stop"}`);
  book.take();
  const self = '"arguments":{"name":"stage/1"}';
  root.say('{"execute":"__org.qmpmux_query-self"}');
  root.say(`{"execute":"__org.qmpmux_disconnect-client",${self}}`);
  root.say('{"execute":"__org.qmpmux_query-clients"}');
  stage.qemuSays('{"return": {}}');
  assertEquals(book.take(), [
    "stage/1 admin stop return",
    "stage/1 admin __org.qmpmux_query-self return",
    "left: kicked",
    "stage/1 admin __org.qmpmux_query-clients dropped",
    "stage/1 admin __org.qmpmux_disconnect-client return",
  ]);
});

Deno.test("Mux records that a reload ran whose client has disconnected", () => {
  const { stage, book } = staged();
  let done = (_problems: readonly string[]): void => {};
  stage.reloads = (then): void => void (done = then);
  const client = inRole(stage, "a", "admin");
  client.say('{"execute":"__org.qmpmux_reload"}');
  book.take();
  client.leave();
  done([]);
  assertEquals(book.take(), ["left: left", "stage/1 admin __org.qmpmux_reload return"]);
});

Deno.test("Mux records commands that it refuses while draining as dropped", () => {
  const { stage, book } = staged();
  const client = stage.ready("a");
  stage.mux.drain();
  client.say('{"execute":"stop"}');
  assertEquals(book.lines.at(-1), "stage/1 full stop dropped");
});

Deno.test("Mux records commands that it refuses while QEMU is away as dropped", () => {
  const { stage, book } = staged({ onLoss: "hold" });
  const client = stage.ready("a");
  stage.qemuGoes();
  client.say('{"execute":"stop"}');
  assertEquals(book.lines.at(-1), "stage/1 full stop dropped");
});

Deno.test("Mux records a handshake sent out of band as an error", () => {
  const { stage, book } = staged();
  stage.ready("a", ["oob"]).say('{"exec-oob":"qmp_capabilities"}');
  assertEquals(book.lines.at(-1), "stage/1 full qmp_capabilities error");
});

Deno.test("Mux records to how many clients an event was sent", () => {
  const { stage, book } = staged();
  stage.ready("a");
  stage.ready("b");
  stage.connect("c");
  stage.qemuSays(STOPPED);
  assertEquals(book.lines.at(-1), "STOP to 2");
});

Deno.test("Mux records why a client has disconnected, once", () => {
  const { stage, book } = staged();
  const client = stage.ready("a");
  client.leave();
  client.leave();
  inRole(stage, "b", "admin");
  stage.clients.get("b")!.say(
    '{"execute":"__org.qmpmux_disconnect-client","arguments":{"name":"stage/2"}}',
  );
  stage.ready("c");
  stage.mux.dismissAll("the end");
  assertEquals(book.take().filter((line) => line.startsWith("left")), [
    "left: left",
    "left: kicked",
    "left: shutdown",
  ]);
});

Deno.test("Mux records a client that waited for QEMU in vain", () => {
  const book = new Notebook();
  const stage = new Stage(60, { recording: book.recording });
  stage.connect("a");
  stage.mux.tick(61);
  assertEquals(book.take(), ["left: handshake"]);
});

Deno.test("Mux.received() refuses a command to which its recorder objects, in its place", () => {
  const { stage, book } = staged();
  const client = stage.ready("a");
  book.objected = "its audit record cannot be written";
  client.say('{"execute":"stop","id":7}');
  assertEquals(client.peer.take(), [
    '{"id": 7, "error": {"class": "GenericError", "desc": ' +
    '"The command stop has been refused: its audit record cannot be written"}}',
  ]);
  assertEquals(book.lines.at(-1), "stage/1 full stop refused");
  assertEquals(stage.qemu.heard, []);
});

Deno.test("Mux measures from tick to tick if it has no clock", () => {
  const book = new Notebook();
  const stage = new Stage(60, { recording: book.recording });
  stage.qemuReady();
  stage.mux.tick(10);
  stage.ready("a").say('{"execute":"stop"}');
  stage.mux.tick(12);
  stage.qemuSays('{"return": {}}');
  assertEquals(book.outcomes.at(-1)?.took, 2);
});

Deno.test("Mux notifies each of several observers, and asks the gate", () => {
  const books = [new Notebook(), new Notebook()];
  const stage = new Stage(60, { recording: { observers: books, gate: books[1] } });
  stage.qemuReady();
  const client = stage.ready("a");
  client.say('{"execute":"query-version"}');
  stage.qemuSays('{"return": {}}');
  client.say('{"execute":"query-version"}');
  stage.qemuSays(STOPPED);
  for (const name of ["c", "d", "e"]) stage.ready(name).say('{"execute":"cont"}');
  stage.ready("f").say('{"execute":"stop"}');
  for (const name of ["g", "h"]) stage.ready(name).say('{"execute":"query-status"}');
  books[1]!.objected = "no";
  client.say('{"execute":"stop"}');
  client.leave();
  assertEquals(books[0]!.lines, books[1]!.lines);
  assertEquals(books[0]!.lines.slice(-2), ["stage/1 full stop refused", "left: left"]);
  assertEquals(books[0]!.lines.includes("joined"), true);
});

Deno.test("Mux.gauges() counts clients by role, and commands in flight", () => {
  const { stage } = staged();
  for (const name of ["a", "b", "c", "d", "e"]) stage.ready(name).say('{"execute":"stop"}');
  const watcher = inRole(stage, "f", "observer");
  Object.assign(watcher.peer, { unread: 12 });
  watcher.say('{"execute":"__org.qmpmux_subscribe"}');
  stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 423160}, "event": "STOP"}');
  assertEquals(stage.mux.gauges(), {
    clients: new Map([["full", 5], ["observer", 1]]),
    inFlight: 4,
    waiting: 1,
    unread: 12,
    up: true,
    subscribers: 1,
    keptBytes: 72,
    keptEvents: 1,
  });
  stage.qemuGoes();
  assertEquals(stage.mux.gauges().up, false);
});
