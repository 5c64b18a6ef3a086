/**
 * Rows in words: for the list, the hint of the mouse and the details.
 *
 * @module
 */

import { counted, durationText, oneLine, visible } from "./format.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Row} Row */

/** The most characters of a text in the list. */
const LIST_LIMIT = 300;

/** The signs of kinds, and their names. */
const SIGNS = /** @type {Record<Row["k"], [sign: string, name: string]>} */ ({
  c: ["", "command"],
  e: ["◆", "event"],
  "+": ["▶", "connected"],
  "-": ["◀", "disconnected"],
  g: ["▶", "QEMU connected"],
  d: ["▲", "damage"],
  x: ["▮", "messages not recorded"],
});

/**
 * Returns the sign of a row's kind, and its name.
 *
 * @param {Row} row
 */
export function signOf({ k }) {
  return SIGNS[k];
}

/**
 * Returns the name of a row's client.
 *
 * @param {Model} model
 * @param {Row} row
 */
export function whoOf(model, row) {
  if (row.k === "x") return "recording";
  const client = model.clientOf(row);
  if (client === undefined) return "QEMU";
  return oneLine(client.vm ? `${client.vm} ${client.n}` : client.n, LIST_LIMIT);
}

/**
 * Returns the head of a row: the name of a command or an event, or what happened.
 *
 * @param {Row} row
 */
export function headOf(row) {
  switch (row.k) {
    case "c":
      if (row.n !== undefined) return oneLine(row.n, LIST_LIMIT);
      return row.a === undefined ? "command not in the recording" : "unreadable command";
    case "e":
      return row.n === undefined ? "unreadable event" : oneLine(row.n, LIST_LIMIT);
    case "d":
      return row.z === undefined ? "damage" : `damage of ${counted(row.z, "byte")}`;
    case "x":
      return `${counted(row.z ?? 0, "message")} not recorded`;
    default:
      return signOf(row)[1];
  }
}

/**
 * Returns the arguments, the data or the reason, on one line.
 *
 * @param {Row} row
 */
export function tailOf({ a = "" }) {
  return a === "{}" ? "" : oneLine(a, LIST_LIMIT);
}

/**
 * Returns the answer to a command on one line.
 *
 * @param {Row} row
 */
export function answerOf({ k, x, y, v = "" }) {
  if (k !== "c") return "";
  if (x === "e") return oneLine(`${y}: ${v}`, LIST_LIMIT);
  return oneLine(x === "o" ? `unreadable: ${v}` : v, LIST_LIMIT);
}

/**
 * Returns the times of a command, each with its name.
 *
 * @param {Row} row
 * @returns {[name: string, text: string][]}
 */
export function timesOf(row) {
  if (row.k !== "c") return [];
  /** @type {[string, string][]} */
  const times = [];
  if (row.w !== undefined) times.push(["waited", durationText(row.w)]);
  if (row.r !== undefined) times.push(["ran", durationText(row.r)]);
  if (row.e !== undefined) times.push(["in all", durationText(row.e - row.t)]);
  return times;
}

/**
 * Makes an element with a class and a text, in which nothing is invisible.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} [name]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name !== "") element.className = name;
  if (text !== "") element.textContent = visible(text);
  return element;
}

/**
 * Returns an element of the page.
 *
 * @template {HTMLElement} E
 * @param {string} id
 * @param {new () => E} type
 * @returns {E}
 */
export function find(id, type) {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`The page has no ${id}`);
}
