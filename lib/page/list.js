/**
 * The list of messages, of which only the rows in view are elements of the page.
 *
 * @module
 */

import { clockText, durationText } from "./format.js";
import { answerOf, headOf, make, signOf, tailOf, whoOf } from "./words.js";

/** The height of a row, in pixels; the style sheet has it as well. */
export const ROW = 28;

/** The rows above and below the visible ones that are made. */
const MORE = 8;

/** The cells of a row. */
const CELLS = ["time", "who", "what", "answer", "waited", "ran"];

/** @typedef {import("./model.js").Model} Model */

/** The list. */
export class List {
  /**
   * @param {{ frame: HTMLElement, body: HTMLElement }} elements
   * @param {Model} model
   * @param {(index: number) => void} chosen
   */
  constructor({ frame, body }, model, chosen) {
    this.frame = frame;
    this.body = body;
    this.model = model;
    /** @type {Int32Array} the rows that are listed */
    this.indices = new Int32Array(0);
    this.selected = -1;
    /** @type {{ element: HTMLElement, index: number }[]} */
    this.nodes = [];
    this.pending = false;
    frame.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(frame);
    body.addEventListener("click", (event) => {
      const element = event.target instanceof Element && event.target.closest("[data-index]");
      if (element instanceof HTMLElement) chosen(Number(element.dataset.index));
    });
  }

  /**
   * Lists these rows.
   *
   * @param {Int32Array} indices in order
   */
  show(indices) {
    this.indices = indices;
    this.body.style.height = `${indices.length * ROW}px`;
    this.frame.setAttribute("aria-rowcount", String(indices.length));
    this.draw();
  }

  /**
   * Returns the place of the first listed row that is not before this one.
   *
   * @param {number} index
   */
  placeOf(index) {
    let [low, high] = [0, this.indices.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.indices[middle] ?? 0) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Marks a row, and brings it into view if it is listed.
   *
   * @param {number} index -1 marks none
   */
  select(index) {
    this.selected = index;
    const place = this.placeOf(index);
    if (this.indices[place] === index) {
      const { scrollTop, clientHeight } = this.frame;
      const top = place * ROW;
      if (top < scrollTop || top + ROW > scrollTop + clientHeight) {
        this.frame.scrollTop = top - clientHeight / 3;
      }
    }
    this.draw();
  }

  /** Makes the rows in view in the next frame. */
  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.#fill();
    });
  }

  #fill() {
    const { scrollTop, clientHeight } = this.frame;
    const first = Math.max(Math.floor(scrollTop / ROW) - MORE, 0);
    const last = Math.min(Math.ceil((scrollTop + clientHeight) / ROW) + MORE, this.indices.length);
    const count = Math.max(last - first, 0);
    while (this.nodes.length < count) this.#add();
    for (const [place, node] of this.nodes.entries()) {
      // A row keeps its element while it is in view.
      const at = first +
        (place - first % this.nodes.length + this.nodes.length) % this.nodes.length;
      this.#set(node, at < last ? at : -1);
    }
    const place = this.placeOf(this.selected);
    const isListed = this.indices[place] === this.selected && place >= first && place < last;
    this.frame.setAttribute("aria-activedescendant", isListed ? `row-${this.selected}` : "");
  }

  #add() {
    const element = make("div", "row");
    element.setAttribute("role", "row");
    for (const name of CELLS) {
      const cell = make("span", name);
      cell.setAttribute("role", "gridcell");
      element.append(cell);
    }
    this.body.append(element);
    this.nodes.push({ element, index: -1 });
  }

  /**
   * @param {{ element: HTMLElement, index: number }} node
   * @param {number} place
   */
  #set(node, place) {
    const { element } = node;
    const index = this.indices[place] ?? -1;
    const row = this.model.rows[index];
    element.hidden = row === undefined;
    if (!row) return;
    const isSelected = index === this.selected;
    element.style.transform = `translateY(${place * ROW}px)`;
    element.classList.toggle("selected", isSelected);
    element.setAttribute("aria-selected", String(isSelected));
    element.setAttribute("aria-rowindex", String(place + 1));
    element.classList.toggle("odd", place % 2 === 1);
    if (node.index === index) return;
    node.index = index;
    element.id = `row-${index}`;
    element.dataset.index = String(index);
    element.dataset.kind = row.k;
    element.classList.toggle("failed", this.model.failed[index] === 1);
    const [time, who, what, answer, waited, ran] = element.children;
    if (!time || !who || !what || !answer || !waited || !ran) return;
    time.textContent = clockText(this.model.content.start, row.t, 3);
    const program = this.model.clientOf(row)?.p;
    who.replaceChildren(whoOf(this.model, row), ...program ? [make("small", "", program)] : []);
    const [sign, kind] = signOf(row);
    const mark = make("i", "", sign);
    mark.title = kind;
    const head = make("b", "", headOf(row));
    what.replaceChildren(
      ...sign ? [mark] : [],
      head,
      ...row.o ? [make("em", "", "oob")] : [],
      tailOf(row),
    );
    answer.textContent = (row.x === "e" || row.x === "n" ? "✕ " : "") + answerOf(row);
    waited.textContent = row.w === undefined ? "" : durationText(row.w);
    ran.textContent = row.r === undefined ? "" : durationText(row.r);
  }
}
