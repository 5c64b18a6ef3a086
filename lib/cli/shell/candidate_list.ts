/**
 * The list of candidates that a second look at a completion shows.
 *
 * @module
 */

import type { Candidate } from "../completion.ts";
import { shortened } from "../../wire/shortened.ts";

/** The space between two columns. */
const GAP = 2;

/**
 * Returns the candidates as lines: with their help, one a line; without, in columns.
 *
 * @param begun the begun word; only what follows its last `=`, dot or slash is shown
 */
export function listOf(
  words: readonly Candidate[],
  begun: string,
  columns: number,
  rows: number,
): string {
  const cut = Math.max(begun.lastIndexOf("="), begun.lastIndexOf("/"), begun.lastIndexOf(".")) + 1;
  const shown = words.map(([word, help]) => [word.slice(cut), help ?? ""] as const);
  const limit = Math.max(4, rows - 4);
  const lines = shown.some(([, help]) => help !== "")
    ? withHelp(shown, columns)
    : inColumns(shown.map(([word]) => word), columns);
  if (lines.length <= limit) return lines.join("\n");
  return [...lines.slice(0, limit), `… ${words.length} in all; type more of the word`].join("\n");
}

function withHelp(
  rows: readonly (readonly [word: string, help: string])[],
  columns: number,
): readonly string[] {
  const width = Math.max(...rows.map(([word]) => word.length));
  return rows.map(([word, help]) =>
    shortened(`${word.padEnd(width + GAP)}${help}`.trimEnd(), Math.max(1, columns - 1))
  );
}

/** Returns words in columns, sorted down each column. */
function inColumns(words: readonly string[], columns: number): readonly string[] {
  const width = Math.max(...words.map((word) => word.length)) + GAP;
  const across = Math.max(1, Math.floor((columns - 1) / width));
  const height = Math.ceil(words.length / across);
  return Array.from({ length: height }, (_, row) => {
    const line = words.filter((_, index) => index % height === row);
    return line.map((word) => word.padEnd(width)).join("").trimEnd();
  });
}
