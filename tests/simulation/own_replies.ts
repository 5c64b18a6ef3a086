/**
 * The replies that qmpmux gives by itself: handshakes, refusals, and its own commands.
 *
 * @module
 */

import type { Answer, Awaited, Command, Seat } from "./seat.ts";
import { type Journal, RUN } from "./journal.ts";
import { EVENTS, generic, type ReplyContent, replyLine } from "./rules.ts";
import { type Chosen, Stream } from "./stream.ts";

/** The prefix of qmpmux's own commands and events. */
export const OWN = "__org.qmpmux_";

/** A step of a handshake: its reply, and the change that the reply makes. */
export interface Handshake {
  readonly outcome: ReplyContent;
  readonly then?: () => void;
}

/** Returns the only valid reply, as one line. */
export function lineFor(seat: Seat, id: string | undefined, outcome: ReplyContent): string {
  return replyLine(seat.grant.dialect, id, outcome);
}

/** Returns the error that malformed input must get. */
export function damageAnswer({ grant, positioned }: Seat): Answer {
  if (grant.dialect === "rfc2010") {
    const desc = "Invalid JSON syntax";
    return [replyLine("rfc2010", undefined, { errorClass: "JSONParsing", desc })];
  }
  const where = positioned ? "\\d+:\\d+: " : "";
  const what = `(${where}JSON parse error, [^\\r]*|JSON token size limit exceeded)`;
  const form = new RegExp(
    `^\\{"error": \\{"class": "GenericError", "desc": "${what}"\\}\\}\\r\\n$`,
  );
  return (line) => form.test(line);
}

/** Returns the refusal that a command outside the client's role must get. */
export function refusal(seat: Seat, id: string | undefined, name: string): Answer {
  const desc = `The command ${name} has been refused: role ${seat.grant.role}`;
  const whole = lineFor(seat, id, { errorClass: "CommandNotFound", desc });
  const at = whole.indexOf(desc) + desc.length;
  const end = whole.slice(at);
  return (line) => line.startsWith(whole.slice(0, at)) && line.endsWith(end);
}

/** Returns the handshake step of today's dialect, or `undefined` if a command is not part of it. */
export function qmpHandshake(
  seat: Seat,
  { name, args, oob }: Command,
  offersOob: boolean,
): Handshake | undefined {
  const negotiates = name === "qmp_capabilities";
  if (seat.phase === "command" && !negotiates) return undefined;
  if (!negotiates) {
    const desc = "Expecting capabilities negotiation with 'qmp_capabilities'";
    return { outcome: { errorClass: "CommandNotFound", desc } };
  }
  const { enable = [] } = JSON.parse(args);
  if (!Array.isArray(enable)) {
    return { outcome: generic("Invalid parameter type for 'enable', expected: array") };
  }
  const other = enable.find((each) => each !== "oob");
  if (other !== undefined) {
    return { outcome: generic(`Parameter 'null' does not accept value '${other}'`) };
  }
  if (seat.phase === "command") {
    const desc = "Capabilities negotiation is already complete, command ignored";
    return { outcome: { errorClass: "CommandNotFound", desc } };
  }
  if (enable.length > 0 && !offersOob && !oob) {
    return { outcome: generic(`Capability ${enable.join(", ")} not available`) };
  }
  const then = (): void => {
    seat.phase = "command";
    seat.oob = enable.length > 0;
  };
  return { outcome: { value: "{}" }, then };
}

/**
 * Returns the handshake step of the dialect of 2010, or `undefined` if a command is not part of it.
 */
export function rfcHandshake(seat: Seat, { name, args }: Command): Handshake | undefined {
  const desc = "The issued command is invalid in this mode";
  const invalid = { outcome: { errorClass: "QMPInvalidModeCommad", desc } };
  const operational = seat.phase === "command";
  const given = JSON.parse(args);
  const wrong = (what: string): Handshake => ({
    outcome: {
      errorClass: "InvalidParameter",
      desc: `Invalid parameter ${what}`,
      data: `{"name": "${what}"}`,
    },
  });
  switch (name) {
    case "query-qmp-mode": {
      const mode = operational ? "operational" : "handshake";
      return { outcome: { value: `{"mode": "${mode}"}` } };
    }
    case "async_msg_enable":
    case "async_msg_disable":
      if (operational) return invalid;
      if (!EVENTS.includes(given.name)) return wrong("name");
      return {
        outcome: { value: "{}" },
        then: (): void => {
          if (name === "async_msg_enable") seat.enabled.add(given.name);
          else seat.enabled.delete(given.name);
        },
      };
    case "qmp_switch_mode":
      if (operational) return invalid;
      if (given.mode !== "operational") return wrong("mode");
      return { outcome: { value: "{}" }, then: () => void (seat.phase = "command") };
    case "qmp_capabilities":
      if (!operational) return invalid;
      return {
        outcome: { errorClass: "CommandNotFound", desc: `The command ${name} has not been found` },
      };
  }
  if (operational || name === "query-version" || name === "query-commands") return undefined;
  return invalid;
}

/** The parts of the world that the replies depend on. */
export interface Around {
  readonly journal: Journal;
  /** Disconnects a client; returns whether it is known. */
  disconnect(client: string): boolean;
  seats(): Iterable<Seat>;
  now(): number;
}

/** Returns the reply to one of qmpmux's own commands, and the change that it makes. */
export function ownReply(
  seat: Seat,
  command: Command,
  { journal, disconnect, seats, now }: Around,
): [answer: Awaited, then?: () => void] {
  const { name, id, args } = command;
  if (name === `${OWN}subscribe`) return subscribed(seat, command, journal, now);
  if (name === `${OWN}set-event-filter`) {
    const { enable } = JSON.parse(args);
    if (!Array.isArray(enable)) {
      const desc = "Invalid parameter type for 'enable', expected: array";
      return [[lineFor(seat, id, generic(desc))]];
    }
    const then = (): void => {
      seat.filter = enable;
      seat.change = { enable };
    };
    return [[lineFor(seat, id, { value: "{}" })], then];
  }
  if (name.endsWith("-client")) {
    return [() => {
      const { name: client } = JSON.parse(args);
      const outcome = disconnect(client)
        ? { value: "{}" }
        : generic(`Client '${client}' not found`);
      return [lineFor(seat, id, outcome)];
    }];
  }
  if (name.endsWith("-clients")) return [() => clientsListed(seats(), id)];
  return [() => sessionShown(seat, id, journal)];
}

/** Returns the reply to a subscription, and the change that it makes. */
function subscribed(
  seat: Seat,
  { id, args }: Command,
  journal: Journal,
  now: () => number,
): [answer: Awaited, then: () => void] {
  const { since, enable, bookmarks } = JSON.parse(args);
  const refuse = (
    desc: string,
  ): Answer => [lineFor(seat, id, generic(desc.replaceAll('"', '\\"')))];
  let chosen: Chosen | undefined;
  const answer = (): Answer => {
    if (since !== undefined && typeof since !== "string") {
      return refuse("Invalid parameter type for 'since', expected: string");
    }
    if (enable !== undefined && !Array.isArray(enable)) {
      return refuse("Invalid parameter type for 'enable', expected: array");
    }
    if (bookmarks === 0 || bookmarks === "x") {
      const seconds = "a number of seconds from 1 to 86400";
      return refuse(`Parameter 'bookmarks' expects 'each' or ${seconds}`);
    }
    const found = since === undefined ? { after: journal.last } : journal.find(since);
    if ("error" in found) return refuse(found.error);
    const { after, gap } = found;
    chosen = { after, enable, bookmarks };
    const more = gap === undefined ? "" : `, "gap": {"reason": "${gap}"}`;
    return [lineFor(seat, id, { value: `{"cursor": "${journal.cursor(after)}"${more}}` })];
  };
  const then = (): void => {
    if (chosen === undefined) return;
    seat.filter = enable;
    seat.stream = new Stream(seat, journal, chosen, now());
    seat.change = { begins: seat.stream };
  };
  return [answer, then];
}

/** Returns a test for the list of the clients that are connected. */
function clientsListed(seats: Iterable<Seat>, id: string | undefined): Answer {
  const there = [...seats].filter(({ closed }) => !closed);
  const names = there.map(({ number }) => number).sort((a, b) => a - b).map((n) => `stage/${n}`);
  return returned(id, "[", (heard) => {
    const listed = heard.map((each: { name: string }) => each.name);
    return JSON.stringify(listed) === JSON.stringify(names);
  });
}

/** Returns a test for the description of a client's own session. */
function sessionShown(seat: Seat, id: string | undefined, journal: Journal): Answer {
  const { grant, phase, filter = null } = seat;
  const [before, after] = grant.dialect === "rfc2010"
    ? ["handshake", "operational"]
    : ["negotiation", "command"];
  const expected = {
    name: `${grant.name}/${seat.number}`,
    role: grant.role,
    mode: phase === "command" ? after : before,
    capabilities: seat.oob ? ["oob"] : [],
    filter,
  };
  return returned(
    id,
    "{",
    (heard) =>
      Object.entries(expected).every(([key, value]) =>
        JSON.stringify(heard[key]) === JSON.stringify(value)
      ) &&
      isPlaceOf(seat.stream, heard.subscription, journal),
  );
}

/** Returns whether `heard` describes a subscription and the place that it has reached. */
function isPlaceOf(
  stream: Stream | undefined,
  heard: { cursor: string; bookmarks: unknown; behind: number } | null,
  journal: Journal,
): boolean {
  if (stream === undefined || heard === null) return stream === undefined && heard === null;
  const { at, bookmarks = null } = stream;
  // A cursor that is too old need not name its session.
  const isExact = heard.cursor === journal.cursor(at) ||
    at < journal.oldest - 1 && heard.cursor === `${RUN}.0.${at}`;
  return isExact && heard.behind === journal.last - at && heard.bookmarks === bookmarks;
}

/** Returns a test for a reply that returns a value which begins with `opening` and passes `test`. */
function returned(
  id: string | undefined,
  opening: "{" | "[",
  // deno-lint-ignore no-explicit-any -- JSON of any form
  test: (value: any) => boolean,
): Answer {
  const [head, tail] = ['{"return": ', id === undefined ? "}\r\n" : `, "id": ${id}}\r\n`];
  return (line) =>
    line.startsWith(head + opening) && line.endsWith(tail) &&
    test(JSON.parse(line.slice(head.length, -tail.length)));
}
