/**
 * The keyboard, the theme and the dialog that explains both.
 *
 * @module
 */

import { find, make } from "./words.js";

/** @typedef {import("./main.js").Page} Page */

/** The keys, as the dialog tells them. */
const TOLD = [
  ["/", "search"],
  ["Enter", "next match, in the search"],
  ["↑ ↓ or k j", "previous or next message"],
  ["e, E", "next or previous error"],
  ["← →", "move in time"],
  ["+ −", "zoom in or out"],
  ["0", "the whole time"],
  ["t", "light or dark"],
  ["Esc", "close the details, end the search"],
  ["Wheel", "zoom; with Ctrl if the lanes scroll"],
  ["Shift and wheel", "move in time"],
  ["Drag", "move; in the overview: choose a range"],
  ["Click on a name", "only this client"],
  ["is:error, is:event, client:NAME", "words for the search"],
];

/** The part of the range by which the arrows move. */
const STEP = 0.15;

/**
 * Makes the page answer to keys.
 *
 * @param {Page} page
 */
export function bindKeys(page) {
  const dialog = find("keys", HTMLDialogElement);
  const list = find("key-list", HTMLElement);
  for (const [key = "", text = ""] of TOLD) {
    const pair = make("div");
    const term = make("dt");
    term.append(make("kbd", "", key));
    pair.append(term, make("dd", "", text));
    list.append(pair);
  }
  find("help", HTMLButtonElement).addEventListener("click", () => dialog.showModal());
  find("theme", HTMLButtonElement).addEventListener("click", () => toggleTheme(page));
  page.query.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      page.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      page.query.value = "";
      page.finder.start("");
      find("list", HTMLElement).focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    const { target, key, ctrlKey, metaKey, altKey } = event;
    if (ctrlKey || metaKey || altKey || dialog.open) return;
    if (target instanceof HTMLInputElement) return;
    const isText = target instanceof HTMLPreElement && /^Arrow|^Page|^Home|^End/.test(key);
    const run = isText ? undefined : actionOf(page, key);
    if (!run) return;
    event.preventDefault();
    run();
  });
}

/**
 * @param {Page} page
 * @param {string} key
 * @returns {(() => void) | undefined}
 */
function actionOf(page, key) {
  const { view, model } = page;
  const isFailed = (/** @type {number} */ index) => model.failed[index] === 1;
  const moving = (/** @type {() => void} */ move) => () => {
    move();
    page.moved();
  };
  /** @type {Record<string, () => void>} */
  const actions = {
    "/": () => page.query.select(),
    "?": () => find("keys", HTMLDialogElement).showModal(),
    ArrowDown: () => page.step(1),
    j: () => page.step(1),
    ArrowUp: () => page.step(-1),
    k: () => page.step(-1),
    e: () => page.step(1, isFailed),
    E: () => page.step(-1, isFailed),
    ArrowLeft: moving(() => view.pan(-STEP)),
    ArrowRight: moving(() => view.pan(STEP)),
    "+": () => page.zoom(0.5),
    "=": () => page.zoom(0.5),
    "-": () => page.zoom(2),
    "0": moving(() => view.showAll()),
    t: () => toggleTheme(page),
    Escape: () => page.choose(-1),
  };
  return Object.hasOwn(actions, key) ? actions[key] : undefined;
}

/** @param {Page} page */
function toggleTheme(page) {
  const root = document.documentElement;
  const isDark = root.dataset.theme === undefined
    ? matchMedia("(prefers-color-scheme: dark)").matches
    : root.dataset.theme === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
  page.recolour();
}
