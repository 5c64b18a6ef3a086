/**
 * The search: words that a row must contain, in any letter case, and words with a prefix.
 *
 * `is:error`, `is:command`, `is:event` and `is:connection` choose kinds, `client:NAME` a client. The rows
 * are looked through in slices, so that the page answers meanwhile.
 *
 * @module
 */

import { isFailed } from "./model.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Row} Row */
/** @typedef {(row: Row, client: string) => boolean} Test */

/** The time of a slice, in milliseconds, and the rows between two looks at the clock. */
const SLICE_MS = 6;
const STRIDE = 64;

/** @type {Record<string, (row: Row) => boolean>} */
const KINDS = {
  error: isFailed,
  command: ({ k }) => k === "c",
  event: ({ k }) => k === "e",
  connection: ({ k }) => k === "+" || k === "-" || k === "g",
};

/**
 * Compiles a query.
 *
 * @param {string} query
 * @returns {Test[]} all of which a row must pass
 */
export function testsOf(query) {
  return query.split(/\s+/).filter((word) => word !== "").map((word) => {
    const kind = /^is:(\w+)$/.exec(word)?.[1];
    const accepts = kind === undefined ? undefined : KINDS[kind.replace(/s$/, "")];
    if (accepts) return accepts;
    const name = /^client:(.+)$/.exec(word)?.[1];
    if (name !== undefined) return (_row, client) => client === name;
    const pattern = new RegExp(word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), "i");
    return ({ n = "", a = "", v = "", y = "" }, client) =>
      pattern.test(n) || pattern.test(a) || pattern.test(v) || pattern.test(y) ||
      pattern.test(client);
  });
}

/** A search, which a new one replaces. */
export class Search {
  /**
   * @param {Model} model
   * @param {(matches: Uint8Array | undefined) => void} found called at the end of a search
   */
  constructor(model, found) {
    this.model = model;
    this.found = found;
    this.query = "";
    this.run = 0;
  }

  /**
   * Begins a search; an empty query matches everything.
   *
   * @param {string} query
   */
  start(query) {
    this.query = query;
    this.run++;
    const tests = testsOf(query);
    if (tests.length === 0) return this.found(undefined);
    this.#slice(tests, new Uint8Array(this.model.rows.length), 0, this.run);
  }

  /**
   * @param {Test[]} tests
   * @param {Uint8Array} matches
   * @param {number} from
   * @param {number} run
   */
  #slice(tests, matches, from, run) {
    if (run !== this.run) return;
    const { rows } = this.model;
    const until = performance.now() + SLICE_MS;
    let at = from;
    while (at < rows.length) {
      const end = Math.min(at + STRIDE, rows.length);
      for (; at < end; at++) {
        const row = rows[at];
        if (!row) continue;
        const client = this.model.clientOf(row)?.n ?? "QEMU";
        matches[at] = tests.every((test) => test(row, client)) ? 1 : 0;
      }
      if (performance.now() > until) break;
    }
    if (at < rows.length) setTimeout(() => this.#slice(tests, matches, at, run));
    else this.found(matches);
  }
}
