/**
 * The timeline: a canvas with its mouse, and the overview of the whole recording above it.
 *
 * @module
 */

import { AXIS, Layout } from "./layout.js";
import { firstSeen } from "./model.js";
import { Painter } from "./painter.js";
import { readPalette } from "./palette.js";
import { BAR, LEAST_BAR } from "./shapes.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./view.js").View} View */

/** The width of the names of lanes. */
const LABELS = 200;
const NARROW_LABELS = 104;
const NARROW = 720;

/** The distance within which the mouse meets a bar, and that from which it drags, in pixels. */
const REACH = 4;
const DRAG = 4;

/**
 * The reactions to the mouse.
 *
 * @typedef {{ changed: () => void, chosen: (index: number | undefined) => void,
 *   client: (name: string) => void, hovered: (index: number | undefined, x: number, y: number) => void
 * }} Reactions
 */

/** The timeline. */
export class Timeline {
  /**
   * @param {{ frame: HTMLElement, canvas: HTMLCanvasElement, spacer: HTMLElement }} elements
   * @param {Model} model
   * @param {View} view
   * @param {Reactions} reactions
   */
  constructor({ frame, canvas, spacer }, model, view, reactions) {
    this.frame = frame;
    this.canvas = canvas;
    this.model = model;
    this.view = view;
    this.reactions = reactions;
    this.layout = new Layout(model);
    this.space = spacer;
    this.painter = new Painter(this.layout);
    this.palette = readPalette();
    this.selected = -1;
    this.hovered = -1;
    /** @type {Uint8Array | undefined} */
    this.matches = undefined;
    this.width = 0;
    this.height = 0;
    this.pending = false;
    frame.style.setProperty("--wanted", `${this.layout.height + AXIS}px`);
    new ResizeObserver(() => this.#resize()).observe(frame);
    frame.addEventListener("scroll", () => this.draw());
    this.#listen();
  }

  /** The width of the names of lanes. */
  get labels() {
    return this.width < NARROW ? NARROW_LABELS : LABELS;
  }

  /** Paints in the next frame. */
  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.#paint();
    });
  }

  /** Reads the colours again. */
  recolour() {
    this.palette = readPalette();
    this.draw();
  }

  /**
   * Selects a row, and brings its lane into view.
   *
   * @param {number} index
   */
  select(index) {
    this.selected = index;
    this.#arrange();
    const top = this.layout.barTop(index);
    const { scrollTop } = this.frame;
    if (top < scrollTop) this.frame.scrollTop = top - 8;
    else if (top + BAR > scrollTop + this.height - AXIS) {
      this.frame.scrollTop = top + BAR + 8 - this.height + AXIS;
    }
    this.draw();
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    const ratio = devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.frame.parentElement?.style.setProperty("--labels", `${this.labels}px`);
    // The canvas is empty now, and must not be seen.
    this.#paint();
  }

  #arrange() {
    this.layout.arrange(this.view, this.matches);
    this.space.style.height = `${this.layout.height + AXIS}px`;
  }

  #paint() {
    const context = this.canvas.getContext("2d", { alpha: false });
    if (!context) return;
    this.#arrange();
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { palette, view, width, height, labels, selected, hovered, matches } = this;
    const scroll = this.frame.scrollTop;
    this.painter.paint({
      ...{ context, palette, view, width, height, labels, scroll, selected, hovered, matches },
    });
  }

  /**
   * Returns the time at a place.
   *
   * @param {number} x
   */
  timeAt(x) {
    const { view, labels, width } = this;
    return view.from + (x - labels) / (width - labels) * (view.to - view.from);
  }

  /**
   * Returns the row whose bar is at a place, the nearest one of several.
   *
   * @param {number} x
   * @param {number} y
   */
  rowAt(x, y) {
    const down = y - AXIS + this.frame.scrollTop;
    const number = this.layout.laneAt(down);
    const lane = number === undefined ? undefined : this.model.lanes[number];
    if (!lane || y < AXIS || x < this.labels) return undefined;
    const reach = this.timeAt(x + REACH) - this.timeAt(x);
    const least = this.timeAt(x + LEAST_BAR) - this.timeAt(x);
    const t = this.timeAt(x);
    let best;
    let nearest = Infinity;
    for (let at = firstSeen(lane, t - reach - least); at < lane.rows.length; at++) {
      const index = lane.rows[at] ?? 0;
      const begin = this.model.begin[index] ?? 0;
      if (begin > t + reach * 2) break;
      const end = Math.max(this.model.end[index] ?? 0, begin + least);
      const top = this.layout.barTop(index);
      if (down < top - 1 || down > top + BAR + 1) continue;
      const distance = t < begin ? begin - t : Math.max(t - end, 0);
      const isMatch = this.matches === undefined || this.matches[index] === 1;
      if (distance > reach || distance > nearest || !isMatch) continue;
      [best, nearest] = [index, distance];
    }
    return best;
  }

  #listen() {
    const { canvas } = this;
    /** @type {{ x: number, y: number, from: number, to: number, scroll: number } | undefined} */
    let drag;
    let moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const { from, to } = this.view;
      drag = { x: event.offsetX, y: event.clientY, from, to, scroll: this.frame.scrollTop };
      moved = false;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag) return this.#hover(event);
      const [right, down] = [event.offsetX - drag.x, event.clientY - drag.y];
      moved ||= Math.hypot(right, down) > DRAG;
      if (!moved) return;
      this.#hover(undefined);
      const step = right / (this.width - this.labels) * (drag.to - drag.from);
      this.view.show(drag.from - step, drag.to - step);
      this.frame.scrollTop = drag.scroll - down;
      this.reactions.changed();
    });
    const end = () => drag = undefined;
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerup", (event) => {
      if (drag && !moved) this.#click(event);
      end();
    });
    canvas.addEventListener("pointerleave", () => this.#hover(undefined));
    canvas.addEventListener("dblclick", (event) => {
      if (event.offsetX < this.labels) return;
      const index = this.rowAt(event.offsetX, event.offsetY);
      if (index === undefined) this.view.zoom(0.25, this.timeAt(event.offsetX));
      else this.view.show(...this.model.around(index));
      this.reactions.changed();
    });
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    const { deltaX, deltaY, ctrlKey, metaKey, shiftKey, offsetX } = event;
    const scrolls = this.layout.height + AXIS > this.height + 1;
    const isZoom = ctrlKey || metaKey ||
      (!scrolls && !shiftKey && Math.abs(deltaY) > Math.abs(deltaX));
    if (isZoom) {
      this.view.zoom(Math.exp(deltaY * 0.0025), this.timeAt(Math.max(offsetX, this.labels)));
    } else if (shiftKey || Math.abs(deltaX) > Math.abs(deltaY)) {
      this.view.pan((deltaX || deltaY) / (this.width - this.labels));
    } else return;
    event.preventDefault();
    this.reactions.changed();
  }

  /** @param {PointerEvent | undefined} event */
  #hover(event) {
    const index = event && this.rowAt(event.offsetX, event.offsetY);
    this.canvas.style.cursor = index === undefined ? "" : "pointer";
    this.reactions.hovered(index, event?.clientX ?? 0, event?.clientY ?? 0);
    if (this.hovered === (index ?? -1)) return;
    this.hovered = index ?? -1;
    this.draw();
  }

  /** @param {PointerEvent} event */
  #click({ offsetX, offsetY }) {
    if (offsetX >= this.labels) return this.reactions.chosen(this.rowAt(offsetX, offsetY));
    const number = this.layout.laneAt(offsetY - AXIS + this.frame.scrollTop);
    const lane = number === undefined ? undefined : this.model.lanes[number];
    if (lane && offsetY >= AXIS) this.reactions.client(lane.client?.n ?? "QEMU");
  }
}
