/**
 * Entries of traffic as lines for people, safe for a terminal.
 *
 * The times are those of the day in UTC; a line in between tells when another day begins.
 *
 * @module
 */

import type { RecordedMessage, RecordingHeader } from "../observe/recording_line.ts";
import { memberTexts } from "../wire/json_text.ts";
import { printable } from "../wire/printable.ts";
import type { Answer, CommandEntry, Entry } from "./traffic_entries.ts";

/** The most characters of arguments and data that a line shows. */
const ARGUMENTS_LIMIT = 400;

/** The most characters of a value that a line shows. */
const VALUE_LIMIT = 160;

/** The most characters of texts that an entry must hold for these lines. */
export const LINE_TEXT_LIMIT = 512;

/** Settings of the lines. */
export interface TrafficTextOptions {
  /** The time from which entries count, in milliseconds since 1970. */
  readonly start: number;
  /** Whether a terminal shows the lines, in colours. */
  readonly isColoured: boolean;
  /** The name of the VM that need not be told on each line. */
  readonly vm?: string | undefined;
}

/** The colours: the numbers of ANSI's "select graphic rendition". */
const COLOURS = { time: 2, client: 36, name: 1, event: 33, error: 31, note: 2 } as const;

/** The writer of lines; it remembers the day. */
export class TrafficText {
  readonly #start: number;
  readonly #isColoured: boolean;
  readonly #vm: string | undefined;
  #day = "";

  /** Creates a writer before the first line. */
  constructor({ start, isColoured, vm }: TrafficTextOptions) {
    this.#start = start;
    this.#isColoured = isColoured;
    this.#vm = vm;
  }

  /** Returns the lines that introduce a recording. */
  header({ vm, version, greeting }: RecordingHeader): readonly string[] {
    const qemu = greeting === undefined ? undefined : versionOf(greeting);
    const parts = [
      vm,
      qemu && `QEMU ${qemu}`,
      version && `recorded by qmpmux ${version}`,
    ].filter((part) => part !== undefined && part !== "");
    return [...parts.length > 0 ? [this.#note(parts.join(", "))] : [], ...this.#newDay(0)];
  }

  /** Returns the line of an entry, and one before it if another day has begun. */
  lines(entry: Entry): readonly string[] {
    const time = new Date(this.#start + entry.t * 1000).toISOString().slice(11, 23);
    const who = this.#in("client", printable(nameOf(entry, this.#vm)));
    return [
      ...this.#newDay(entry.t),
      `${this.#in("time", time)} ${who}: ${this.#told(entry)}`,
    ];
  }

  #newDay(t: number): readonly string[] {
    const day = new Date(this.#start + t * 1000).toISOString().replace(/T.*/, "");
    if (day === this.#day) return [];
    this.#day = day;
    return [this.#note(`${day} UTC`)];
  }

  #note(text: string): string {
    return this.#in("note", `-- ${printable(text)}`);
  }

  #told(entry: Entry): string {
    switch (entry.kind) {
      case "command":
        return this.#command(entry);
      case "event": {
        const name = this.#in("event", printable(entry.name ?? "unreadable event"));
        return entry.data === undefined ? name : `${name} ${cut(entry.data, ARGUMENTS_LIMIT)}`;
      }
      case "gap":
        return this.#in("error", `${messages(entry.dropped)} not recorded`);
      case "greeting": {
        const version = versionOf(entry.message.text ?? "");
        return `connected${version === undefined ? "" : `, QEMU ${printable(version)}`}`;
      }
      case "connect":
        return ["connected", clientText(entry.message)].filter((part) => part !== "").join(": ");
      case "disconnect":
        return `disconnected${reasonText(entry.message)}`;
      case "damage": {
        const { length } = entry.message;
        const bytes = length === undefined
          ? ""
          : ` of ${length} ${length === 1 ? "byte" : "bytes"}`;
        return this.#in("error", `damage${bytes}${reasonText(entry.message)}`);
      }
    }
  }

  #command(entry: CommandEntry): string {
    const { name, args, oob, answer, wait, run } = entry;
    const unknown = args === undefined
      ? "a command that is not in the recording"
      : "unreadable command";
    const what = [
      name === undefined ? unknown : this.#in("name", printable(name)),
      ...oob ? ["(out of band)"] : [],
      ...args === undefined || args === "{}" ? [] : [cut(args, ARGUMENTS_LIMIT)],
    ].join(" ");
    const times = [
      ...wait === undefined ? [] : [`waited ${durationText(wait)}`],
      ...run === undefined ? [] : [`ran ${durationText(run)}`],
    ];
    const took = times.length === 0 ? "" : ` ${this.#in("note", `[${times.join(", ")}]`)}`;
    const isError = answer.kind === "error" || answer.kind === "none";
    const text = answerText(answer);
    return `${what} → ${isError ? this.#in("error", text) : text}${took}`;
  }

  #in(colour: keyof typeof COLOURS, text: string): string {
    return this.#isColoured ? `\x1b[${COLOURS[colour]}m${text}\x1b[0m` : text;
  }
}

/** Returns a duration of some seconds as text for people, with three digits or two units. */
export function durationText(seconds: number): string {
  if (seconds >= 5999.5) {
    return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  }
  if (seconds >= 99.95) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds) % 60} s`;
  const [value, unit] = seconds >= 0.9995
    ? [seconds, "s"]
    : seconds >= 0.9995e-3
    ? [seconds * 1000, "ms"]
    : [seconds * 1e6, "µs"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

/** Returns the number of messages with its noun. */
function messages(count: number): string {
  return count === 1 ? "1 message" : `${count} messages`;
}

/** Returns the name of a client with its program, or that of QEMU, behind a VM other than the usual one. */
function nameOf({ kind, vm, client, peer }: Entry, usual: string | undefined): string {
  const name = kind === "gap" ? "recording" : client ?? "QEMU";
  const program = [peer?.comm, peer?.pid].filter((each) => each !== undefined).join(" ");
  return `${vm === usual ? "" : `${vm} `}${name}${program && ` (${program})`}`;
}

/** Returns an answer as text. */
function answerText(answer: Answer): string {
  switch (answer.kind) {
    case "return":
      return cut(answer.value, VALUE_LIMIT);
    case "error":
      return cut(`${answer.errorClass}: ${answer.desc}`, ARGUMENTS_LIMIT);
    case "other":
      return `unreadable reply ${cut(answer.text, VALUE_LIMIT)}`;
    case "none":
      return answer.because;
  }
}

/** Returns a client as its connect line tells about it: role, dialect, mode, capabilities, events. */
export function clientText({ role, dialect, mode, capabilities, filter }: RecordedMessage): string {
  const parts = [
    role === undefined ? [] : [`role ${role}`],
    dialect === undefined ? [] : [`dialect ${dialect}`],
    mode === undefined ? [] : [`mode ${mode}`],
    capabilities === undefined || capabilities.length === 0 ? [] : [capabilities.join("+")],
    filter === undefined ? [] : [`events ${filter.length === 0 ? "none" : filter.join("+")}`],
  ].flat();
  return cut(parts.join(", "), ARGUMENTS_LIMIT);
}

function reasonText({ reason }: RecordedMessage): string {
  return reason === undefined ? "" : `: ${cut(reason, ARGUMENTS_LIMIT)}`;
}

/** Returns a text without line ends and what a terminal interprets, and no longer than a limit. */
function cut(text: string, limit: number): string {
  const whole = text.length > 2 * limit ? text.slice(0, 2 * limit) : text;
  const line = printable(/[\r\n]/.test(whole) ? whole.replace(/\s*[\r\n]+\s*/g, " ") : whole);
  return line.length > limit ? `${line.slice(0, limit - 1).toWellFormed()}…` : line;
}

/** Returns the version in QEMU's greeting, such as `7.2.22`. */
export function versionOf(greeting: string): string | undefined {
  const version = memberTexts(memberTexts(greeting)?.get("QMP") ?? "")?.get("version");
  const { major, minor, micro } = numbersIn(memberTexts(version ?? "")?.get("qemu"));
  if (major === undefined || minor === undefined) return undefined;
  return [major, minor, micro ?? "0"].join(".");
}

function numbersIn(json = ""): Readonly<Record<string, string | undefined>> {
  const pairs = [...memberTexts(json) ?? []].filter(([, value]) => /^\d{1,9}$/.test(value));
  return Object.fromEntries(pairs);
}
