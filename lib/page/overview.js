/**
 * The overview: the number of messages and errors over the whole time, and the range in view.
 *
 * @module
 */

import { readPalette } from "./palette.js";

/** The width of a column of the overview, in pixels. */
const COLUMN = 3;

/** The width within which an edge of the range is taken, in pixels. */
const EDGE = 7;

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./view.js").View} View */

/**
 * Counts the rows, and those with errors, in columns of equal time.
 *
 * @param {Model} model
 * @param {View} view
 * @param {number} columns
 */
export function densityOf(model, { min, max }, columns) {
  const all = new Uint32Array(columns);
  const failed = new Uint32Array(columns);
  for (let index = 0; index < model.rows.length; index++) {
    const part = ((model.begin[index] ?? 0) - min) / (max - min);
    const column = Math.min(Math.floor(part * columns), columns - 1);
    all[column] = (all[column] ?? 0) + 1;
    if (model.failed[index]) failed[column] = (failed[column] ?? 0) + 1;
  }
  return { all, failed };
}

/** The overview. */
export class Overview {
  /**
   * @param {{ frame: HTMLElement, canvas: HTMLCanvasElement, range: HTMLElement }} elements
   * @param {Model} model
   * @param {View} view
   * @param {() => void} changed
   */
  constructor({ frame, canvas, range }, model, view, changed) {
    this.frame = frame;
    this.canvas = canvas;
    this.range = range;
    this.model = model;
    this.view = view;
    this.changed = changed;
    new ResizeObserver(() => this.paint()).observe(frame);
    this.#listen();
  }

  /** Paints the columns. */
  paint() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    if (!context || width < COLUMN) return;
    context.scale(ratio, ratio);
    const palette = readPalette();
    const columns = Math.floor(width / COLUMN);
    const { all, failed } = densityOf(this.model, this.view, columns);
    const most = Math.sqrt(all.reduce((most, each) => Math.max(most, each), 1));
    for (let column = 0; column < columns; column++) {
      const tall = (/** @type {number} */ count) =>
        count === 0 ? 0 : Math.max(Math.sqrt(count) / most * (height - 4), 2);
      const x = column * width / columns;
      context.fillStyle = palette.run;
      context.globalAlpha = 0.55;
      context.fillRect(x, height, COLUMN - 1, -tall(all[column] ?? 0));
      context.fillStyle = palette.error;
      context.globalAlpha = 1;
      context.fillRect(x, height, COLUMN - 1, -tall(failed[column] ?? 0));
    }
    this.update();
  }

  /** Shows the range in view. */
  update() {
    const { min, max, from, to, isWhole } = this.view;
    const whole = max - min;
    this.range.style.left = `${(from - min) / whole * 100}%`;
    this.range.style.width = `${(to - from) / whole * 100}%`;
    this.range.classList.toggle("whole", isWhole);
  }

  #listen() {
    const { frame, view } = this;
    /** @type {((x: number) => void) | undefined} */
    let drag;
    const timeOf = (/** @type {number} */ x) =>
      view.min + x / Math.max(frame.clientWidth, 1) * (view.max - view.min);
    const placeIn = (/** @type {PointerEvent} */ event) =>
      event.clientX - frame.getBoundingClientRect().left;
    frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const x = placeIn(event);
      const { from, to } = view;
      const edge = timeOf(EDGE) - timeOf(0);
      const t = timeOf(x);
      if (!view.isWhole && Math.abs(t - from) < edge) drag = (now) => view.show(timeOf(now), to);
      else if (!view.isWhole && Math.abs(t - to) < edge) {
        drag = (now) => view.show(from, timeOf(now));
      } else if (!view.isWhole && t > from && t < to) {
        drag = (now) => view.show(from + timeOf(now) - t, to + timeOf(now) - t);
      } else {
        drag = (now) => {
          if (Math.abs(now - x) > EDGE / 2) {
            view.show(Math.min(t, timeOf(now)), Math.max(t, timeOf(now)));
          }
        };
      }
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener("pointermove", (event) => {
      if (!drag) return;
      drag(placeIn(event));
      this.changed();
    });
    const end = () => drag = undefined;
    frame.addEventListener("pointerup", end);
    frame.addEventListener("pointercancel", end);
    frame.addEventListener("dblclick", () => {
      view.showAll();
      this.changed();
    });
  }
}
