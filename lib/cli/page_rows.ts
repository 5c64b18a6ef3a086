/**
 * The rows of the page of a recording, one for each entry, and what the page leaves out.
 *
 * The number of rows and their size are limited: a browser must hold them all. The first ones are
 * kept.
 *
 * @module
 */

import type { RecordedMessage } from "../observe/recording_line.ts";
import { embedded } from "./page_document.ts";
import type { CommandEntry, Entry } from "./traffic_entries.ts";
import { clientText, versionOf } from "./traffic_text.ts";

const ENCODER = new TextEncoder();

/** The most characters of a text on the page. */
export const PAGE_TEXT_LIMIT = 256 << 10;

/** The limits of a page. */
export interface PageLimits {
  /** The most rows. */
  readonly rows: number;
  /** The most bytes of all rows. */
  readonly bytes: number;
  /** The most clients that have lanes of their own. */
  readonly clients: number;
}

/** The default limits. */
export const PAGE_LIMITS: PageLimits = { rows: 200_000, bytes: 50_000_000, clients: 2000 };

/** The rows that are left out. */
export interface LeftOut {
  /** Commands. */
  commands: number;
  /** Events. */
  events: number;
  /** Connections and damage. */
  others: number;
  /** Seconds of the first of them. */
  from: number;
  /** Seconds of the last. */
  to: number;
}

/** A client as the page tells about it; the names are short because the page has them often. */
export type PageClient = Readonly<Record<string, string | number | undefined>>;

/** The maker of rows. */
export class PageRows {
  readonly #limits: PageLimits;
  readonly #vm: string | undefined;
  /** The clients by their names. */
  readonly #numbers = new Map<string, number>();
  readonly #clients: PageClient[] = [];
  #rows = 0;
  #bytes = 0;
  #cut = 0;
  #left: LeftOut | undefined;
  #qemu: string | undefined;

  /** Creates a maker without rows. */
  constructor(vm: string | undefined, limits: PageLimits = PAGE_LIMITS) {
    this.#vm = vm;
    this.#limits = limits;
  }

  /** Returns an entry as JSON for an element of the page; `undefined` if it is left out. */
  row(entry: Entry): string | undefined {
    if (this.#left !== undefined) return this.#leave(entry, this.#left);
    const row = embedded(JSON.stringify(this.#members(entry)));
    const { length } = ENCODER.encode(row);
    if (this.#rows >= this.#limits.rows || this.#bytes + length > this.#limits.bytes) {
      this.#left = { commands: 0, events: 0, others: 0, from: entry.t, to: entry.t };
      return this.#leave(entry, this.#left);
    }
    this.#rows++;
    this.#bytes += length;
    return row;
  }

  /** The clients, whose numbers are in the rows. */
  get clients(): readonly PageClient[] {
    return this.#clients;
  }

  /** The number of rows on the page. */
  get count(): number {
    return this.#rows;
  }

  /** The number of texts that are cut. */
  get cut(): number {
    return this.#cut;
  }

  /** The version of the first QEMU in the rows, if it is that of the only VM. */
  get qemu(): string | undefined {
    return this.#qemu;
  }

  /** The rows that are left out, if there are any. */
  get left(): Readonly<LeftOut> | undefined {
    return this.#left;
  }

  #leave({ kind, t }: Entry, left: LeftOut): undefined {
    if (kind === "command") left.commands++;
    else if (kind === "event") left.events++;
    else left.others++;
    left.from = Math.min(left.from, t);
    left.to = Math.max(left.to, t);
  }

  /** Returns the members of a row, as `lib/page/model.js` names them. */
  #members(entry: Entry): object {
    const { line: l, t } = entry;
    if (entry.kind === "gap") return { k: "x", l, t, z: entry.dropped };
    const c = this.#client(entry);
    switch (entry.kind) {
      case "command":
        return { k: "c", l, t, c, ...this.#commandMembers(entry) };
      case "event":
        return { k: "e", l, t, c, n: entry.name, a: this.#text(entry.data) };
      case "connect":
        return { k: "+", l, t, c, a: clientText(entry.message) };
      case "disconnect":
        return { k: "-", l, t, c, a: this.#text(entry.message.reason) };
      case "greeting": {
        const version = versionOf(entry.message.text ?? "");
        if (c === undefined) this.#qemu ??= version;
        return { k: "g", l, t, c, a: version && `QEMU ${version}` };
      }
      case "damage":
        return { k: "d", l, t, c, a: this.#text(entry.message.reason), z: entry.message.length };
    }
  }

  #commandMembers(
    { name: n, args, oob, answer, replyLine, ended, wait, run }: CommandEntry,
  ): object {
    const o = oob ? 1 : undefined;
    const of = { n, a: this.#text(args), o, m: replyLine, e: ended, w: wait, r: run };
    switch (answer.kind) {
      case "return":
        return { ...of, x: "r", v: this.#text(answer.value) };
      case "error":
        return { ...of, x: "e", y: this.#text(answer.errorClass), v: this.#text(answer.desc) };
      case "other":
        return { ...of, x: "o", v: this.#text(answer.text) };
      case "none":
        return { ...of, x: "n", v: answer.because };
    }
  }

  /** Returns a text, and counts it if it has been cut. */
  #text<Text extends string | undefined>(text: Text): Text {
    if (text?.length === PAGE_TEXT_LIMIT && text.endsWith("…")) this.#cut++;
    return text;
  }

  /** Returns the number of an entry's client; `undefined` for QEMU, unless that is of another VM. */
  #client(entry: Entry): number | undefined {
    const { client, vm, peer } = entry;
    if (client === undefined && vm === this.#vm) return undefined;
    const n = client ?? "QEMU";
    const message = entry.kind === "connect" ? entry.message : undefined;
    const key = `${vm}\n${client ?? ""}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) {
      if (message) this.#clients[known] = { ...this.#clients[known], ...toldBy(message) };
      return known;
    }
    if (this.#clients.length >= this.#limits.clients) return this.#others();
    const process = { p: peer?.comm, pid: peer?.pid, uid: peer?.uid };
    const other = vm === this.#vm ? undefined : vm;
    const isQemu = client === undefined ? 1 : undefined;
    const told = { n, vm: other, q: isQemu, ...process, ...message && toldBy(message) };
    const number = this.#clients.push(told) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  /** Returns the number of the client that stands for those without a lane. */
  #others(): number {
    if (this.#clients.length === this.#limits.clients) this.#clients.push({ n: "other clients" });
    return this.#limits.clients;
  }
}

/** Returns what a connect line tells about its client. */
function toldBy({ role, dialect, listener }: RecordedMessage): PageClient {
  return { role, dialect, listener };
}
