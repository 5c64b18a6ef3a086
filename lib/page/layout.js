/**
 * The places of lanes and bars: a lane that has nothing in the range in view takes no room.
 *
 * @module
 */

import { firstSeen } from "./model.js";

/** The height of the axis, the distance of bars, and the space around the bars of a lane, in pixels. */
export const AXIS = 26;
export const PITCH = 14;
export const PADDING = 7;

/** @typedef {import("./model.js").Lane} Lane */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./view.js").View} View */

/** The places. */
export class Layout {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    /** The place of each lane from the top, without the axis. */
    this.tops = new Float64Array(model.lanes.length + 1);
    /** The number of lanes in view. */
    this.count = 0;
    this.arrange(undefined, undefined);
  }

  /** The height of all lanes in view. */
  get height() {
    return this.tops.at(-1) ?? 0;
  }

  /**
   * Places the lanes that have something in view. With matches, only these count.
   *
   * @param {View | undefined} view `undefined` for the whole time
   * @param {Uint8Array | undefined} matches
   */
  arrange(view, matches) {
    const { lanes } = this.model;
    let top = 0;
    this.count = 0;
    for (const [number, lane] of lanes.entries()) {
      this.tops[number] = top;
      const isUsed = number === 0
        ? lane.rows.length > 0 || lanes.length === 1
        : view === undefined || isInView(lane, this.model, view, matches);
      if (!isUsed) continue;
      top += lane.depth * PITCH + 2 * PADDING;
      this.count++;
    }
    this.tops[lanes.length] = top;
  }

  /**
   * Returns the lane at a height.
   *
   * @param {number} y from the top of the first lane
   */
  laneAt(y) {
    const next = this.tops.findIndex((top) => top > y);
    return y < 0 || next < 1 ? undefined : next - 1;
  }

  /**
   * Returns the place of a row's bar.
   *
   * @param {number} index
   */
  barTop(index) {
    const { lane, slot } = this.model;
    return (this.tops[lane[index] ?? 0] ?? 0) + PADDING + (slot[index] ?? 0) * PITCH + 1;
  }
}

/**
 * @param {Lane} lane
 * @param {Model} model
 * @param {View} view
 * @param {Uint8Array | undefined} matches
 */
function isInView(lane, { begin, end }, { from, to }, matches) {
  if (matches === undefined && lane.spans.some((span) => span[0] <= to && span[1] >= from)) {
    return true;
  }
  for (let at = firstSeen(lane, from); at < lane.rows.length; at++) {
    const index = lane.rows[at] ?? 0;
    if ((begin[index] ?? 0) > to) return false;
    if ((end[index] ?? 0) >= from && (matches === undefined || matches[index] === 1)) return true;
  }
  return false;
}
