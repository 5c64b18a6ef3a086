/**
 * The head of the page: the VM, the figures of the recording, and what it leaves out.
 *
 * @module
 */

import { clockText, counted, countText, dayText, durationText, visible } from "./format.js";
import { isFailed } from "./model.js";
import { find, make } from "./words.js";

/** @typedef {import("./model.js").Content} Content */

/**
 * Fills the head.
 *
 * @param {Content} content
 */
export function fillHead(content) {
  const { vm, qemu, version, start, rows, clients } = content;
  const first = rows.reduce((least, { t }) => Math.min(least, t), Infinity);
  const last = rows.reduce((most, { t, e = t }) => Math.max(most, e), 0);
  const title = document.querySelector("h1");
  if (title) title.textContent = visible(vm ?? "Recording");
  const began = Number.isFinite(first) ? first : 0;
  const parts = [
    qemu && `QEMU ${qemu}`,
    `${dayText(start, began)} ${clockText(start, began, 3).slice(0, 8)} UTC`,
    durationText(Math.max(last - began, 0)),
    version && `recorded by qmpmux ${version}`,
  ];
  find("about", HTMLElement).textContent = visible(parts.filter((part) => part).join(" · "));
  const commands = rows.filter(({ k }) => k === "c");
  const failed = rows.filter(isFailed).length;
  const longest = (/** @type {"w" | "r"} */ member) =>
    commands.reduce((most, row) => Math.max(most, row[member] ?? 0), 0);
  const figures = /** @type {[text: string, name: string, isFailed?: boolean][]} */ ([
    [...figure(commands.length, "command")],
    [...figure(failed, "error"), failed > 0],
    [...figure(rows.filter(({ k }) => k === "e").length, "event")],
    [...figure(clients.filter(({ q }) => !q).length, "client")],
    [durationText(longest("w")), "longest wait"],
    [durationText(longest("r")), "longest run"],
  ]);
  const list = find("figures", HTMLElement);
  for (const [text, name, isBad] of figures) {
    const item = make("li", isBad ? "failed" : "");
    item.append(make("b", "", text), make("span", "", name));
    list.append(item);
  }
  const notes = notesOf(content);
  const frame = find("notes", HTMLElement);
  frame.hidden = notes.length === 0;
  frame.replaceChildren(...notes.map((note) => make("p", "", note)));
}

/**
 * @param {number} count
 * @param {string} noun
 * @returns {[text: string, name: string]}
 */
function figure(count, noun) {
  return [countText(count), count === 1 ? noun : `${noun}s`];
}

/**
 * Returns what the page leaves out, in sentences.
 *
 * @param {Content} content
 */
export function notesOf({ start, left, cut, damaged, filters }) {
  const notes = [];
  if (left) {
    const { commands, events, others, from, to } = left;
    const kinds = [
      ...commands ? [counted(commands, "command")] : [],
      ...events ? [counted(events, "event")] : [],
      ...others ? [`${countText(others)} others`] : [],
    ].join(", ");
    const times = `${clockText(start, from, 3)} to ${clockText(start, to, 3)} UTC`;
    notes.push(
      `This page has the beginning of the recording. It leaves out ${kinds}, from ${times}. ` +
        "Choose others with --from or the filters of qmpmux show.",
    );
  }
  if (cut) {
    const [are, them] = cut === 1 ? ["is", "it"] : ["are", "them"];
    notes.push(`${counted(cut, "long text")} ${are} cut; the recording has all of ${them}.`);
  }
  if (damaged) {
    notes.push(`${counted(damaged, "damaged line")} ${damaged === 1 ? "is" : "are"} left out.`);
  }
  if (filters.length > 0) notes.push(`Filtered: ${filters.join(" ")}`);
  return notes;
}
