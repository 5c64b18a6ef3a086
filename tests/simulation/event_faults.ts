/**
 * Faults planted in the event log and its readers.
 *
 * @module
 */

import type { Fault } from "./faults.ts";

const LOG = "sharing/event_log.ts";
const READER = "session/subscription.ts";
const MONITOR = "session/monitor.ts";
const HUB = "hub/subscriptions.ts";
const MUX = "hub/mux.ts";

/** The lines of the hub that begin a further session, in their order. */
const SESSION_GAP = "    this.#subscriptions.beginSession(this.#sessions);\n";
const SESSION_EVENT =
  "    // A reload may have changed `onLoss`: those who were told of the loss wait for this event.\n" +
  "    if (this.#hasToldLoss) this.#spread(returnEvent(greeting, this.#options.timeOfDay()));\n" +
  "    this.#hasToldLoss = false;\n";

/** Each of these loses, doubles or misplaces an event, or tells the wrong thing about it. */
export const EVENT_FAULTS: readonly Fault[] = [
  {
    name: "a reply does not end the stretch before it",
    file: MONITOR,
    from: "this.#reader?.hold();\n    for (const part",
    to: "for (const part",
  },
  {
    name: "a stretch that has ended gets later events",
    file: READER,
    from: "this.#open.to = this.#held = this.#log.last;",
    to: "this.#held = this.#log.last;",
  },
  {
    name: "kept events wait for the next event",
    file: MONITOR,
    from: "this.#reader?.goOn();",
    to: "",
  },
  {
    name: "an event overtakes those that are in the queue",
    file: READER,
    from: "if (this.#queue.stretches > 0 ||",
    to: "if (this.#at < told.number - 1 ||",
  },
  {
    name: "an event that was sent at once is read again",
    file: READER,
    from: "      this.#at = told.number;\n      if (!wants) return false;",
    to: "      if (!wants) return false;",
  },
  {
    name: "a client without room gets a new event at once",
    file: READER,
    from: "(peer.unread ?? 0) > ROOM_BYTES) this.#read();",
    to: "(peer.unread ?? 0) > 1e9) this.#read();",
  },
  {
    name: "a filter changes events before its reply",
    file: READER,
    from: "if (!this.#sees(name, filter)) continue;",
    to: "if (!this.#sees(name, this.#filter)) continue;",
  },
  {
    name: "a second subscription leaves the first one open",
    file: MONITOR,
    from: "this.#reader?.hold();\n    this.#reader = reader;",
    to: "this.#reader = reader;",
  },
  {
    name: "a client that is disconnected gets later events",
    file: MONITOR,
    from: "this.#ending = ending;\n    this.#reader?.hold();",
    to: "this.#ending = ending;",
  },
  {
    name: "the last events before a disconnect are lost",
    file: READER,
    from: "const last = Math.min(stretch.to, log.last);",
    to: "const last = Math.min(stretch.to, log.last) - (stretch.to === Infinity ? 0 : 1);",
  },
  {
    name: "a client that the log overtakes is not told",
    file: READER,
    from: "if (missing > 0 && this.#at < last) {\n      this.#at += missing;",
    to: "if (missing > 0 && this.#at < last) this.#at += missing;\n    if (missing > 1e9) {",
  },
  {
    name: "a gap skips one event too many",
    file: READER,
    from: "this.#at += missing;",
    to: "this.#at += missing + 1;",
  },
  {
    name: "a gap is told behind a reply, not before it",
    file: READER,
    from: "if (missing > 0 && this.#at < last) {",
    to: "if (missing > 0 && this.#at < last && stretch.to === Infinity) {",
  },
  {
    name: "a bookmark is that of the last event, not of the client's",
    file: READER,
    from: "this.#mark = this.#marks.bookmark(this.#at);",
    to: "this.#mark = this.#marks.bookmark(this.#log.last);",
  },
  {
    name: "a bookmark by time overtakes events in the queue",
    file: READER,
    from: "if (this.#queue.stretches === 0 && (peer.unread ?? 0) <= ROOM_BYTES) {",
    to: "if ((peer.unread ?? 0) <= ROOM_BYTES) {",
  },
  {
    name: "a bookmark by time is forgotten while the client is behind",
    file: READER,
    from: "this.#isMarkDue = true;",
    to: "",
  },
  {
    name: "a gap has no bookmark",
    file: READER,
    from: "this.#at += missing;\n      this.#reached();",
    to: "this.#at += missing;",
  },
  {
    name: "an old bookmark is sent again",
    file: HUB,
    from: "if (this.#made?.number !== number) {",
    to: "if (this.#made === undefined) {",
  },
  {
    name: "bookmarks come late",
    file: HUB,
    from: "if (now < due) continue;",
    to: "if (now <= due) continue;",
  },
  {
    name: "an earlier subscription's bookmarks continue",
    file: HUB,
    from: "else this.#due.delete(monitor);",
    to: "",
  },
  {
    name: "a client that has left is still told",
    file: HUB,
    from: "  left(monitor: Monitor): void {\n    this.#all.delete(monitor);",
    to: "  left(monitor: Monitor): void {",
  },
  {
    name: "kept events ignore the role",
    file: READER,
    from: "filter.passes(name)) && this.#client.maySee(name);",
    to: "filter.passes(name));",
  },
  {
    name: "subscribers get ordinary events too",
    file: MONITOR,
    from: "return this.#reader === undefined && this.chooses(name);",
    to: "return this.chooses(name);",
  },
  {
    name: "a new session has no gap",
    file: HUB,
    from: "if (session === 1) return;",
    to: "if (session > 0) return;",
  },
  {
    name: "a gap between sessions is filtered",
    file: READER,
    from: "const name = log.nameAt(++this.#at);",
    to: "const name = log.nameAt(++this.#at);\n      if (name === undefined) continue;",
  },
  {
    name: "cursors name the session before",
    file: HUB,
    from: "this.#log.beginSession(session);",
    to: "this.#log.beginSession(session - 1);",
  },
  {
    name: "a cursor of another run is taken",
    file: LOG,
    from: "if (run !== this.#run) {",
    to: "if (run === undefined) {",
  },
  {
    name: "a cursor that is too old is taken for the oldest",
    file: LOG,
    from: "return { after: oldest, gap: `${missing}",
    to:
      "if (missing < 3) return { after: oldest };\n      return { after: oldest, gap: `${missing}",
  },
  {
    name: "a cursor of the future is taken",
    file: LOG,
    from: "if (number > this.#last || Number(session) !== this.#sessionOf(number)) {",
    to: "if (false) {",
  },
  {
    name: "a cursor continues one event too early",
    file: LOG,
    from: "return { after: number };",
    to: "return { after: Math.max(oldest, number - 1) };",
  },
  {
    name: "the log keeps one event fewer",
    file: LOG,
    from: "this.size > events) {",
    to: "this.size > Math.max(0, events - 1)) {",
  },
  {
    name: "the log keeps more bytes than it may",
    file: LOG,
    from: "while (this.#bytes > bytes ||",
    to: "while (this.#bytes > bytes + 200 ||",
  },
  {
    name: "a reload does not change the log",
    file: HUB,
    from: "this.#log.adopt(eventLog);",
    to: "void eventLog;",
  },
  {
    name: "the events of a long event's log stay",
    file: LOG,
    from: "this.#oldest = number + 1;",
    to: "this.#oldest = number;",
  },
  {
    name: "the name of an event in a block is that of the one before",
    file: LOG,
    from: "return names[number - first];",
    to: "return names[Math.max(0, number - first - 1)];",
  },
  {
    name: "a bookmark by time comes before the gap, and is too old",
    file: READER,
    from: "if (this.#isMarkDue && missing <= 0) {",
    to: "if (this.#isMarkDue) {",
  },
  {
    name: "a second subscription overtakes the queue of the first",
    file: READER,
    from: "previous === undefined ? { stretches: 0 } : previous.#queue",
    to: "{ stretches: 0 }",
  },
  {
    name: "a subscription keeps an earlier filter",
    file: MONITOR,
    from: "this.#reader = reader;\n    this.#filter = filter;",
    to: "this.#reader = reader;",
  },
  {
    name: "a new filter does not hold for a subscription",
    file: MONITOR,
    from: "this.#reader?.choose(filter);",
    to: "",
  },
  {
    name: "a subscriber in the dialect of 2010 gets only what it has enabled",
    file: MONITOR,
    from: "events !== undefined && !this.#reader && !events.has(",
    to: "events !== undefined && !events.has(",
  },
  {
    name: "the first bookmark by time comes at once",
    file: HUB,
    from: "this.#deps.time() + bookmarks",
    to: "bookmarks",
  },
  {
    name: "a client that is behind is shown the end of the log as its place",
    file: HUB,
    from: "cursor: this.#log.cursor(at),",
    to: "cursor: this.#log.cursor(this.#log.last),",
  },
  {
    name: "a client that is behind is told that it is not",
    file: HUB,
    from: "behind: this.#log.last - at,",
    to: "behind: 0,",
  },
  {
    name: "the gap between two sessions comes behind the first event of the second",
    file: MUX,
    from: SESSION_GAP + SESSION_EVENT,
    to: SESSION_EVENT + SESSION_GAP,
  },
  {
    name: "a client that is disconnected is not told that QEMU was lost",
    file: MUX,
    from: "if (wasReady && isAskedFor(name, monitor)) monitor.peer.send(lost.bytes);",
    to: "",
  },
  {
    name: "a client that has not asked is told that QEMU was lost",
    file: MUX,
    from: "if (wasReady && isAskedFor(name, monitor))",
    to: "if (wasReady)",
  },
  {
    name: "a cursor at the end of a session names the next one",
    file: LOG,
    from: "after < number)?.session",
    to: "after <= number)?.session",
  },
  {
    name: "the session before the oldest event is forgotten",
    file: LOG,
    from: "sessions[1]!.after < this.#oldest - 1",
    to: "sessions[1]!.after < this.#oldest",
  },
  {
    name: "a cursor right before the oldest event has a gap",
    file: LOG,
    from: "if (number < oldest) {",
    to: "if (number <= oldest) {",
  },
  {
    name: "the bytes of events before a long one stay counted",
    file: LOG,
    from: "this.#bytes = 0;\n      this.#oldest",
    to: "this.#oldest",
  },
  {
    name: "the blocks of events before a long one stay",
    file: LOG,
    from: "this.#blocks.length = 0;",
    to: "",
  },
  {
    name: "a block that is used again keeps its names",
    file: LOG,
    from: "block.names.length = 0;",
    to: "",
  },
  {
    name: "a block that is used again keeps its number",
    file: LOG,
    from: "block.first = first;",
    to: "",
  },
  {
    name: "the first event of a block is looked for in the one before",
    file: LOG,
    from: "this.#blocks[middle]!.first <= number",
    to: "this.#blocks[middle]!.first < number",
  },
  {
    name: "a lost QEMU is not in the log",
    file: MUX,
    from: "let clients = this.#subscriptions.tell(name, event.bytes);",
    to:
      'let clients = event.name.endsWith("LOST") ? 0 : this.#subscriptions.tell(name, event.bytes);',
  },
];
