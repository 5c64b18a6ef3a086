/**
 * The page: reads the recording, and connects the search, the timeline, the list and the details.
 *
 * @module
 */

import { showDetails } from "./details.js";
import { fillHead } from "./head.js";
import { bindKeys } from "./keys.js";
import { List } from "./list.js";
import { Model } from "./model.js";
import { Overview } from "./overview.js";
import { Search } from "./search.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";
import { counted, countText, durationText } from "./format.js";
import { answerOf, find, headOf, make, timesOf, whoOf } from "./words.js";

/** The kinds that can be chosen, each with the row kinds that it has. */
const CHIPS = /** @type {const} */ ([
  ["Commands", "c"],
  ["Events", "e"],
  ["Connections", "+-g"],
  ["Errors only", ""],
]);

/** The pause after the last key of a search, in milliseconds. */
const PAUSE_MS = 80;

/** The page. */
export class Page {
  /** @param {import("./model.js").Content} content */
  constructor(content) {
    const model = new Model(content);
    this.model = model;
    this.view = new View(model.first, model.last);
    this.selected = -1;
    /** @type {Uint8Array | undefined} */
    this.found = undefined;
    this.onlyErrors = false;
    this.kinds = new Set("ce+-gdx");
    this.query = find("query", HTMLInputElement);
    this.hint = find("hint", HTMLElement);
    this.count = find("count", HTMLElement);
    const choose = (/** @type {number | undefined} */ index) => this.choose(index ?? -1);
    this.list = new List(
      {
        frame: find("list", HTMLElement),
        body: find("rows", HTMLElement),
      },
      model,
      choose,
    );
    const space = find("space", HTMLElement);
    const canvas = space.querySelector("canvas") ?? make("canvas");
    canvas.setAttribute(
      "aria-label",
      `Timeline of ${counted(model.lanes.length, "lane")}; the list below has the same messages`,
    );
    this.timeline = new Timeline(
      { frame: find("lanes", HTMLElement), canvas, spacer: space },
      model,
      this.view,
      {
        changed: () => this.moved(),
        chosen: choose,
        client: (name) => this.search(`client:${name}`),
        hovered: (index, x, y) => this.#hover(index, x, y),
      },
    );
    const overview = find("overview", HTMLElement);
    this.overview = new Overview(
      {
        frame: overview,
        canvas: overview.querySelector("canvas") ?? make("canvas"),
        range: find("range", HTMLElement),
      },
      model,
      this.view,
      () => this.moved(),
    );
    this.finder = new Search(model, (found) => {
      this.found = found;
      this.filter();
    });
    this.#chips();
    this.#listen();
    this.filter();
  }

  /** Searches for a text; the same text again ends the search. */
  search(/** @type {string} */ text) {
    this.query.value = this.query.value === text ? "" : text;
    this.finder.start(this.query.value);
  }

  /** Shows what has changed in the range of time. */
  moved() {
    this.timeline.draw();
    this.overview.update();
    this.#listView();
  }

  /** Applies the search and the kinds. */
  filter() {
    const { rows } = this.model;
    const isAll = this.found === undefined && !this.onlyErrors && this.kinds.size === 7;
    /** @type {Uint8Array | undefined} */
    let matches;
    if (!isAll) {
      matches = new Uint8Array(rows.length);
      for (const [index, row] of rows.entries()) {
        const isKind = this.kinds.has(row.k) &&
          (!this.onlyErrors || this.model.failed[index] === 1);
        matches[index] = isKind && this.found?.[index] !== 0 ? 1 : 0;
      }
    }
    this.timeline.matches = matches;
    this.timeline.draw();
    this.#listView();
  }

  /** Lists the rows that match and overlap the range in view. */
  #listView() {
    const { begin, end, rows, lanes } = this.model;
    const { matches } = this.timeline;
    const { from, to, isWhole } = this.view;
    const indices = new Int32Array(rows.length);
    let [count, matching] = [0, 0];
    for (let index = 0; index < rows.length; index++) {
      if (matches !== undefined && matches[index] === 0) continue;
      matching++;
      if ((end[index] ?? 0) >= from && (begin[index] ?? 0) <= to) indices[count++] = index;
    }
    this.list.show(indices.slice(0, count));
    find("none", HTMLElement).hidden = count > 0;
    this.timeline.layout.arrange(this.view, matches);
    const shown = this.timeline.layout.count;
    const all = counted(rows.length, "message");
    this.count.textContent = [
      count === rows.length ? all : `${countText(count)} of ${all}`,
      ...matching < rows.length ? [`${countText(matching)} match`] : [],
      ...isWhole ? [] : [`in ${durationText(to - from)} of time`],
      `${countText(shown)} of ${counted(lanes.length, "lane")}`,
    ].join(" · ");
  }

  /**
   * Selects a row, and shows its details; -1 closes them.
   *
   * @param {number} index
   */
  choose(index) {
    this.selected = index;
    const details = find("details", HTMLElement);
    const wasHidden = details.hidden;
    details.hidden = index < 0;
    const row = this.model.rows[index];
    if (row) {
      this.view.reveal(row.t);
      showDetails(find("detail", HTMLElement), this.model, index);
      this.timeline.select(index);
      this.moved();
    } else {
      this.timeline.selected = -1;
      this.timeline.draw();
      if (!wasHidden && document.activeElement === document.body) find("list", HTMLElement).focus();
    }
    this.list.select(index);
  }

  /**
   * Selects the next listed row that passes a test, in a direction.
   *
   * @param {1 | -1} step
   * @param {(index: number) => boolean} [test]
   */
  step(step, test = () => true) {
    const { indices } = this.list;
    const place = this.list.placeOf(this.selected);
    let at = step > 0 && indices[place] !== this.selected ? place : place + step;
    while (at >= 0 && at < indices.length && !test(indices[at] ?? 0)) at += step;
    const index = indices[at];
    if (index !== undefined) this.choose(index);
  }

  /**
   * Zooms around the selected row if it is in view, otherwise around the middle.
   *
   * @param {number} factor less than 1 shows more detail
   */
  zoom(factor) {
    const { from, to } = this.view;
    const t = this.model.rows[this.selected]?.t ?? -Infinity;
    this.view.zoom(factor, t >= from && t <= to ? t : (from + to) / 2);
    this.moved();
  }

  /** Shows everything again. */
  clear() {
    this.query.value = "";
    this.onlyErrors = false;
    this.kinds = new Set("ce+-gdx");
    for (const chip of document.querySelectorAll("#chips button")) {
      chip.setAttribute("aria-pressed", String(chip.textContent !== "Errors only"));
    }
    this.view.showAll();
    this.finder.start("");
    this.moved();
  }

  #chips() {
    const frame = find("chips", HTMLElement);
    for (const [name, kinds] of CHIPS) {
      const chip = make("button", "", name);
      chip.type = "button";
      chip.setAttribute("aria-pressed", String(kinds !== ""));
      chip.addEventListener("click", () => {
        const isOn = chip.getAttribute("aria-pressed") !== "true";
        chip.setAttribute("aria-pressed", String(isOn));
        if (kinds === "") this.onlyErrors = isOn;
        for (const kind of kinds) isOn ? this.kinds.add(kind) : this.kinds.delete(kind);
        this.filter();
      });
      frame.append(chip);
    }
  }

  #listen() {
    let timer = 0;
    this.query.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.finder.start(this.query.value), PAUSE_MS);
    });
    const press = (/** @type {string} */ id, /** @type {() => void} */ run) =>
      find(id, HTMLButtonElement).addEventListener("click", run);
    press("in", () => this.zoom(0.5));
    press("out", () => this.zoom(2));
    press("all", () => {
      this.view.showAll();
      this.moved();
    });
    press("clear", () => this.clear());
    press("close", () => this.choose(-1));
    press("previous", () => this.step(-1));
    press("next", () => this.step(1));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
  }

  /** Paints in the colours of the theme. */
  recolour() {
    this.timeline.recolour();
    this.overview.paint();
  }

  /**
   * Shows a hint beside the mouse.
   *
   * @param {number | undefined} index
   * @param {number} x
   * @param {number} y
   */
  #hover(index, x, y) {
    const row = index === undefined ? undefined : this.model.rows[index];
    this.hint.hidden = row === undefined;
    if (!row) return;
    const times = timesOf(row).map(([name, text]) => `${name} ${text}`).join(" · ");
    this.hint.replaceChildren(
      make("b", "", headOf(row)),
      make("small", "", `${whoOf(this.model, row)}${times && ` · ${times}`}`),
      make(
        "span",
        row.x === "e" || row.x === "n" ? "failed" : "",
        answerOf(row) || (row.a ?? "").slice(0, 200),
      ),
    );
    const { offsetWidth, offsetHeight } = this.hint;
    this.hint.style.left = `${Math.max(Math.min(x + 14, innerWidth - offsetWidth - 8), 8)}px`;
    this.hint.style.top = `${
      y + 18 + offsetHeight > innerHeight ? y - offsetHeight - 12 : y + 18
    }px`;
  }
}

const element = document.getElementById("content");
if (element) {
  /** @type {import("./model.js").Content} */
  const content = JSON.parse(element.textContent ?? "");
  element.remove();
  fillHead(content);
  const page = new Page(content);
  bindKeys(page);
  document.body.classList.add("ready");
}
