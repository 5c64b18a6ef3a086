/**
 * The painter of the timeline: lanes with bars for waiting and running, events and connections.
 *
 * Only lanes and rows in view are painted. Of rows that fall on the same pixels one is painted, and
 * an error is painted always.
 *
 * @module
 */

import { clockText, oneLine } from "./format.js";
import { AXIS, PADDING, PITCH } from "./layout.js";
import { firstSeen, REGISTER_OF_MARKS, REGISTERS } from "./model.js";
import { BAR, command, LEAST_BAR, LEAST_MARK, mark, placeOf } from "./shapes.js";
import { marksOf } from "./view.js";

/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {import("./model.js").Lane} Lane */
/** @typedef {import("./shapes.js").Scene} Scene */

/** The least width of a row in pixels, by its register. */
const LEAST = Array.from(
  { length: REGISTERS },
  (_, register) => register === REGISTER_OF_MARKS ? LEAST_MARK : LEAST_BAR,
);

/** The painter. */
export class Painter {
  /** @param {Layout} layout */
  constructor(layout) {
    this.layout = layout;
    this.model = layout.model;
  }

  /**
   * Paints everything.
   *
   * @param {Scene} scene
   */
  paint(scene) {
    const { context, palette, width, height, labels } = scene;
    context.clearRect(0, 0, width, height);
    context.fillStyle = palette.surface;
    context.fillRect(0, 0, width, height);
    const marks = marksFor(scene, this.model.content.start);
    context.save();
    context.beginPath();
    context.rect(0, AXIS, width, height - AXIS);
    context.clip();
    context.translate(0, AXIS - scene.scroll);
    this.#grid(scene, marks.times);
    const { tops } = this.layout;
    for (let lane = 0; lane < this.model.lanes.length; lane++) {
      const [top, bottom] = [tops[lane] ?? 0, tops[lane + 1] ?? 0];
      if (top === bottom || bottom < scene.scroll || top > scene.scroll + height) continue;
      this.#lane(scene, lane, top, bottom);
    }
    context.restore();
    this.#gaps(scene);
    context.fillStyle = palette.raised;
    context.fillRect(0, 0, width, AXIS);
    axis(scene, marks, this.model.content.start);
    context.fillStyle = palette.line;
    context.fillRect(0, AXIS - 1, width, 1);
    context.fillRect(labels - 1, 0, 1, height);
  }

  /**
   * @param {Scene} scene
   * @param {readonly number[]} times
   */
  #grid(scene, times) {
    const { context, palette, scroll, height } = scene;
    context.fillStyle = palette.grid;
    for (const t of times) context.fillRect(Math.round(placeOf(scene, t)), scroll, 1, height);
  }

  /**
   * @param {Scene} scene
   * @param {number} number
   * @param {number} top
   * @param {number} bottom
   */
  #lane(scene, number, top, bottom) {
    const { context, palette, width, labels } = scene;
    const lane = this.model.lanes[number];
    if (!lane) return;
    context.save();
    context.beginPath();
    context.rect(labels, top, width - labels, bottom - top);
    context.clip();
    context.fillStyle = palette.line;
    const middle = top + PADDING + (lane.depth * PITCH) / 2;
    for (const [from, to] of lane.spans) {
      const x = Math.max(placeOf(scene, from), labels - 4);
      const end = Math.min(placeOf(scene, to), width + 4);
      if (end > x) context.fillRect(x, Math.round(middle), end - x, 1);
    }
    this.#rows(scene, lane);
    context.restore();
    label(scene, lane, top, bottom);
    context.fillStyle = palette.grid;
    context.fillRect(0, bottom - 1, width, 1);
  }

  /**
   * Paints the rows of a lane. A lane may have very many, of which most fall on the same pixels.
   *
   * @param {Scene} scene
   * @param {Lane} lane
   */
  #rows(scene, lane) {
    const { view, labels, width, matches, selected, hovered } = scene;
    const { begin, end, register } = this.model;
    const scale = (width - labels) / (view.to - view.from);
    // Matches have registers of their own, so that nothing hides them.
    const painted = new Float64Array(2 * REGISTERS).fill(-Infinity);
    for (let at = firstSeen(lane, view.from); at < lane.rows.length; at++) {
      const index = lane.rows[at] ?? 0;
      const t = begin[index] ?? 0;
      if (t > view.to) break;
      const until = end[index] ?? 0;
      if (until < view.from) continue;
      const isDim = matches !== undefined && matches[index] === 0;
      const kind = register[index] ?? 0;
      const place = isDim ? kind + REGISTERS : kind;
      const x = labels + (t - view.from) * scale;
      const right = Math.max(labels + (until - view.from) * scale, x + (LEAST[kind] ?? 0));
      const isChosen = index === selected || index === hovered;
      if (!isChosen && right <= (painted[place] ?? 0) + 1) continue;
      painted[place] = right;
      this.#row(scene, index, { x, end: right, isDim });
    }
  }

  /**
   * @param {Scene} scene
   * @param {number} index
   * @param {{ x: number, end: number, isDim: boolean }} place
   */
  #row(scene, index, { x, end, isDim }) {
    const row = this.model.rows[index];
    if (!row) return;
    const { context, selected, hovered } = scene;
    const isFailed = this.model.failed[index] === 1;
    const isChosen = index === selected || index === hovered;
    context.globalAlpha = isDim ? 0.15 : 1;
    const y = this.layout.barTop(index);
    if (row.k === "c") command(scene, row, { x, end, y, isFailed });
    else mark(scene, row, x, y + BAR / 2);
    context.globalAlpha = 1;
    if (isChosen) {
      context.strokeStyle = index === selected ? scene.palette.accent : scene.palette.muted;
      context.lineWidth = 2;
      const [left, right] = row.k === "c" ? [x, end] : [x - 6, x + 6];
      context.beginPath();
      context.roundRect(left - 2, y - 2, right - left + 4, BAR + 4, 4);
      context.stroke();
    }
  }

  /** @param {Scene} scene */
  #gaps(scene) {
    const { context, palette, height, labels, width } = scene;
    context.strokeStyle = palette.error;
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.beginPath();
    let painted = -Infinity;
    for (const row of this.model.gaps) {
      const x = Math.round(placeOf(scene, row.t));
      if (x < labels || x > width) continue;
      if (x <= painted) continue;
      painted = x;
      context.moveTo(x + 0.5, AXIS);
      context.lineTo(x + 0.5, height);
    }
    context.stroke();
    context.setLineDash([]);
  }
}

/**
 * Paints the name of a lane.
 *
 * @param {Scene} scene
 * @param {Lane} lane
 * @param {number} top
 * @param {number} bottom
 */
function label({ context, palette, labels }, lane, top, bottom) {
  const { client } = lane;
  context.save();
  context.textBaseline = "middle";
  const y = (top + bottom) / 2;
  context.font = FONT_BOLD;
  context.fillStyle = palette.text;
  const name = client === undefined ? "QEMU" : client.vm ? `${client.vm} ${client.n}` : client.n;
  const right = fittingText(context, oneLine(name, NAME_LIMIT), 14, y, labels - 22);
  context.font = FONT;
  context.fillStyle = palette.muted;
  const more = client === undefined || client.q ? "events" : client.p ?? client.role ?? "";
  fittingText(context, oneLine(more, NAME_LIMIT), right + 8, y, labels - 16 - right);
  context.restore();
}

/** The most characters of a name that are painted. */
const NAME_LIMIT = 60;

/**
 * Paints a text that is cut where it has no room; returns its right end.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {number} room
 */
function fittingText(context, text, x, y, room) {
  if (room < 16) return x;
  let shown = text;
  while (shown.length > 1 && context.measureText(shown).width > room) {
    shown = `${shown.replace(/…$/, "").slice(0, -1)}…`;
  }
  context.fillText(shown, x, y);
  return x + context.measureText(shown).width;
}

const FAMILY = 'system-ui, -apple-system, "Segoe UI", sans-serif';
const FONT = `12px ${FAMILY}`;
const FONT_BOLD = `600 12px ${FAMILY}`;

/** The least distance between marks of the axis, in pixels. */
const MARK_DISTANCE = 100;

/**
 * @param {Scene} scene
 * @param {number} start
 */
function marksFor({ view, width, labels }, start) {
  const count = Math.floor((width - labels) / MARK_DISTANCE);
  return marksOf(view.from, view.to, count, (start % 86400000) / 1000);
}

/**
 * @param {Scene} scene
 * @param {{ times: number[], places: number }} marks
 * @param {number} start
 */
function axis(scene, { times, places }, start) {
  const { context, palette, labels, width } = scene;
  context.font = FONT;
  context.textBaseline = "middle";
  context.fillStyle = palette.muted;
  context.fillText("UTC", 14, AXIS / 2);
  context.save();
  context.beginPath();
  context.rect(labels, 0, width - labels, AXIS);
  context.clip();
  for (const t of times) {
    const x = Math.round(placeOf(scene, t));
    context.fillStyle = palette.line;
    context.fillRect(x, AXIS - 7, 1, 7);
    context.fillStyle = palette.muted;
    const text = clockText(start, t, places);
    if (x + 5 + context.measureText(text).width < width) context.fillText(text, x + 5, AXIS / 2);
  }
  context.restore();
}
