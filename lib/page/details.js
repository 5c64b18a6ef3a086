/**
 * The details of one row: its times, its client, and the whole texts.
 *
 * @module
 */

import { clockText, countText, dayText, visible } from "./format.js";
import { piecesOf } from "./json_text.js";
import { headOf, make, signOf, timesOf, whoOf } from "./words.js";

/** The most pieces of JSON that have elements of their own. */
const PIECES = 4000;

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Row} Row */

/**
 * Fills an element with the details of a row.
 *
 * @param {HTMLElement} frame
 * @param {Model} model
 * @param {number} index
 */
export function showDetails(frame, model, index) {
  const row = model.rows[index];
  if (!row) return frame.replaceChildren();
  const head = make("h2", "", headOf(row));
  if (row.o) head.append(" ", make("em", "", "out of band"));
  const isFailed = model.failed[index] === 1;
  const kind = row.k === "c" ? "command" : signOf(row)[1];
  const badge = make("p", `badge ${isFailed ? "failed" : kindClass(row)}`);
  badge.textContent = row.k === "c" ? statusOf(row) : kind;
  frame.replaceChildren(badge, head, ...timesBar(row), factsOf(model, row), ...textsOf(row));
  frame.scrollTop = 0;
}

/** @param {Row} row */
function kindClass(row) {
  return row.k === "c" ? row.r === undefined ? "own" : "run" : row.k === "e" ? "event" : "connect";
}

/** @param {Row} row */
function statusOf({ x, r }) {
  if (x === "e") return "✕ error";
  if (x === "n") return "✕ no reply";
  return r === undefined ? "answered by qmpmux" : "returned";
}

/**
 * Makes a bar of the time that a command waited and ran.
 *
 * @param {Row} row
 */
function timesBar(row) {
  const whole = (row.w ?? 0) + (row.r ?? 0);
  if (row.r === undefined || whole === 0) return [];
  const bar = make("div", "times");
  const wait = make("span", "wait");
  wait.style.width = `${(row.w ?? 0) / whole * 100}%`;
  const run = make("span", row.x === "e" ? "run failed" : "run");
  run.style.flex = "1";
  bar.append(wait, run);
  bar.setAttribute("aria-hidden", "true");
  return [bar];
}

/**
 * @param {Model} model
 * @param {Row} row
 */
function factsOf(model, row) {
  const { start, vm } = model.content;
  const client = model.clientOf(row);
  const list = make("dl");
  const add = (/** @type {string} */ name, /** @type {string | undefined} */ text) => {
    if (text === undefined || text === "") return;
    const pair = make("div");
    pair.append(make("dt", "", name), make("dd", "", text));
    if (text.length > 18) pair.className = "wide";
    list.append(pair);
  };
  for (const [name, text] of timesOf(row)) add(name, text);
  add("time", `${dayText(start, row.t)} ${clockText(start, row.t, 6)} UTC`);
  add("client", whoOf(model, row));
  if (client?.p || client?.pid) {
    add(
      "program",
      [client.p, client.pid].filter((each) => each).join(" "),
    );
  }
  add("user", client?.uid === undefined ? undefined : String(client.uid));
  add("role", client?.role);
  add("dialect", client?.dialect);
  add("listener", client?.listener);
  add("VM", client?.vm ?? vm);
  const lines = row.m === undefined
    ? countText(row.l)
    : `${countText(row.l)}, reply ${countText(row.m)}`;
  add("line", lines);
  return list;
}

/** @param {Row} row */
function textsOf(row) {
  const sections = [];
  if (row.a !== undefined) {
    const title = { c: "Arguments", e: "Data" }[/** @type {string} */ (row.k)] ?? "";
    const isText = row.n === undefined;
    sections.push(textSection(row.k === "c" && isText ? "Command" : title, row.a, isText));
  }
  if (row.k !== "c") return sections;
  if (row.x === "e") {
    sections.push(textSection(`Error: ${row.y ?? ""}`, row.v ?? "", true, true));
  } else if (row.x === "r") {
    const value = row.v ?? "";
    const lines = linesIn(value);
    if (lines === undefined) sections.push(textSection("Return value", value, false));
    else sections.push(textSection("Return value, as text", lines, true));
  } else sections.push(textSection("Reply", row.v ?? "", true, row.x === "n"));
  return sections;
}

/**
 * Returns the text of a JSON string that has several lines, as those of the human monitor.
 *
 * @param {string} json
 */
function linesIn(json) {
  if (!/^".*\\n.*"$/.test(json)) return undefined;
  try {
    return String(JSON.parse(json)).replaceAll("\r\n", "\n");
  } catch {
    return undefined;
  }
}

/**
 * @param {string} title
 * @param {string} text
 * @param {boolean} isText false for JSON
 * @param {boolean} isFailed
 */
function textSection(title, text, isText, isFailed = false) {
  const section = make("section", isFailed ? "failed" : "");
  const bar = make("header");
  bar.append(make("h3", "", title || "Text"));
  const copy = make("button", "quiet", "Copy");
  copy.type = "button";
  copy.addEventListener("click", () => {
    const fail = () => copy.textContent = "Cannot copy";
    // Some browsers have no clipboard for local files.
    if (navigator.clipboard) {
      navigator.clipboard.writeText(text).then(() => copy.textContent = "Copied", fail);
    } else fail();
  });
  bar.append(copy);
  const block = make("pre");
  block.tabIndex = 0;
  block.setAttribute("aria-label", visible(title || "Text"));
  if (isText) block.textContent = visible(text);
  else block.append(...jsonNodes(text));
  section.append(bar, block);
  return section;
}

/** @param {string} json */
function jsonNodes(json) {
  const pieces = piecesOf(json);
  const nodes = pieces.slice(0, PIECES).map(([text, kind]) =>
    kind === "" ? visible(text) : make("span", kind, text)
  );
  const rest = pieces.slice(PIECES).map(([text]) => text).join("");
  return rest === "" ? nodes : [...nodes, visible(rest)];
}
