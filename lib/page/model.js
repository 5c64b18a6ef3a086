/**
 * The recording as the page has it: rows in the order of time, columns of numbers for fast loops, and a
 * lane for QEMU and for each client.
 *
 * @module
 */

/**
 * A row. `k` is its kind: `c` a command, `e` an event, `+` a connect, `-` a disconnect, `g` a greeting of
 * QEMU, `d` damage, `x` a gap. `l` is the number of the line, `t` the time in seconds, `c` the client.
 *
 * A command has `n`, its name; `a`, its arguments; `o` if it is out of band; `m` and `e`, the line and the
 * time of its reply; `w` and `r`, the seconds that it waited and ran. `x` is the kind of its answer: `r` a
 * value, `e` an error, `o` another text, `n` none. `v` is the text of the answer, `y` the class of an error.
 *
 * An event has its name in `n` and its data in `a`. The other kinds have a text for people in `a`, and a
 * number of bytes or of messages in `z`.
 *
 * @typedef {{
 *   k: "c" | "e" | "+" | "-" | "g" | "d" | "x", l: number, t: number, c?: number, n?: string, a?: string,
 *   o?: 1, m?: number, e?: number, w?: number, r?: number, x?: "r" | "e" | "o" | "n", v?: string, y?: string,
 *   z?: number,
 * }} Row
 */

/**
 * A client: its name, its VM if that is another one, its program, process and user, its role, dialect and
 * listener. `q` marks the QEMU of another VM.
 *
 * @typedef {{ n: string, vm?: string, q?: 1, p?: string, pid?: number, uid?: number, role?: string,
 *   dialect?: string, listener?: string }} Client
 */

/**
 * The whole content of the page.
 *
 * @typedef {{
 *   start: number, vm?: string, qemu?: string, version?: string, filters: string[], clients: Client[],
 *   left?: { commands: number, events: number, others: number, from: number, to: number }, cut: number,
 *   damaged: number, rows: Row[],
 * }} Content
 */

/**
 * A lane of the timeline.
 *
 * @typedef {{ client: Client | undefined, rows: number[], latest: Float64Array, depth: number,
 *   spans: [from: number, to: number][] }} Lane
 */

/** The most commands that a lane shows above each other. */
const DEPTH_LIMIT = 5;

/** The number of registers, and those of errors and of marks. */
export const REGISTERS = 8;
const REGISTER_OF_ERRORS = 6;
export const REGISTER_OF_MARKS = 7;

/** The rows and their lanes. */
export class Model {
  /** @param {Content} content */
  constructor(content) {
    this.content = content;
    this.rows = content.rows.sort((a, b) => a.t - b.t || a.l - b.l);
    const count = this.rows.length;
    /** The times of the rows, and of their replies. */
    this.begin = new Float64Array(count);
    this.end = new Float64Array(count);
    /** The lane of each row; lane 0 is that of QEMU. */
    this.lane = new Int32Array(count);
    /** The place of a command among those of its lane that overlap it. */
    this.slot = new Uint8Array(count);
    /** The rows of a register hide each other: that of a slot, that of errors, and that of marks. */
    this.register = new Uint8Array(count);
    /** 1 for an error. */
    this.failed = new Uint8Array(count);
    this.first = this.rows[0]?.t ?? 0;
    this.last = this.first;
    /** @type {Lane[]} */
    this.lanes = [undefined, ...content.clients].map((client) => ({
      client,
      rows: [],
      latest: new Float64Array(0),
      depth: 1,
      spans: [],
    }));
    /** The gaps, which concern all lanes. */
    this.gaps = this.rows.filter(({ k }) => k === "x");
    for (const [index, row] of this.rows.entries()) this.#take(index, row);
    for (const lane of this.lanes) this.#finish(lane);
  }

  /**
   * Returns the client of a row; `undefined` for QEMU.
   *
   * @param {Row} row
   */
  clientOf(row) {
    return row.c === undefined ? undefined : this.content.clients[row.c];
  }

  /**
   * Returns a range of time in which a row is seen well.
   *
   * @param {number} index
   * @returns {[from: number, to: number]}
   */
  around(index) {
    const [begin, end] = [this.begin[index] ?? 0, this.end[index] ?? 0];
    const room = Math.max(end - begin, 1e-3);
    return [begin - room, end + room];
  }

  /**
   * @param {number} index
   * @param {Row} row
   */
  #take(index, row) {
    this.begin[index] = row.t;
    this.end[index] = row.e ?? row.t;
    this.lane[index] = row.c === undefined ? 0 : row.c + 1;
    this.failed[index] = isFailed(row) ? 1 : 0;
    this.last = Math.max(this.last, row.e ?? row.t);
    if (row.k !== "x") this.lanes[this.lane[index] ?? 0]?.rows.push(index);
  }

  /** @param {Lane} lane */
  #finish(lane) {
    this.#connect(lane);
    /** @type {number[]} */
    const ends = [];
    lane.latest = new Float64Array(lane.rows.length);
    let latest = -Infinity;
    let span = 0;
    for (const [place, index] of lane.rows.entries()) {
      const row = this.rows[index];
      if (row?.k === "c") {
        if (row.x === "n") {
          // Rows and spans are in the order of time: an earlier span has no later row.
          while ((lane.spans[span]?.[1] ?? Infinity) < row.t) span++;
          const [from, to] = lane.spans[span] ?? [Infinity, Infinity];
          // A command without a reply was given up when its client left.
          this.end[index] = Math.min(from <= row.t ? to : Infinity, this.last);
        }
        const free = ends.findIndex((end) => end <= row.t);
        const slot = free >= 0 ? free : Math.min(ends.length, DEPTH_LIMIT - 1);
        ends[slot] = this.end[index] ?? row.t;
        this.slot[index] = slot;
      }
      this.register[index] = this.failed[index] === 1
        ? REGISTER_OF_ERRORS
        : row?.k === "c"
        ? this.slot[index] ?? 0
        : REGISTER_OF_MARKS;
      latest = Math.max(latest, this.end[index] ?? 0);
      lane.latest[place] = latest;
    }
    lane.depth = Math.max(1, ends.length);
  }

  /**
   * Finds the times at which the client of a lane was connected.
   *
   * @param {Lane} lane
   */
  #connect(lane) {
    for (const index of lane.rows) {
      const row = this.rows[index];
      const span = lane.spans.at(-1);
      if (row?.k === "+" || row?.k === "g") lane.spans.push([row.t, Infinity]);
      else if (row?.k === "-" && span?.[1] === Infinity) span[1] = row.t;
      else if (row?.k === "-" && span === undefined) lane.spans.push([-Infinity, row.t]);
    }
  }
}

/**
 * Returns whether a row is an error, or tells about one.
 *
 * @param {Row} row
 */
export function isFailed(row) {
  return row.k === "d" || row.k === "x" || (row.k === "c" && (row.x === "e" || row.x === "n"));
}

/**
 * Returns the first place in a lane whose row may be seen at or after a time.
 *
 * @param {Lane} lane
 * @param {number} t
 */
export function firstSeen(lane, t) {
  let [low, high] = [0, lane.rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lane.latest[middle] ?? 0) < t) low = middle + 1;
    else high = middle;
  }
  return low;
}
