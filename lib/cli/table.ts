/**
 * Tables of text: rows under a heading, in columns as wide as necessary.
 *
 * @module
 */

import { printable } from "../wire/printable.ts";
import { shortened } from "../wire/shortened.ts";

/** An object of a list, decoded from JSON. */
export type Row = Readonly<Record<string, unknown>>;

/** A column: its heading, and the member that it shows. */
export interface Column {
  /** The heading. */
  readonly heading: string;
  /** The member's name. */
  readonly member: string;
  /** Returns a member as text; `undefined` if it is of another form than qmpmux sends. */
  cell(value: unknown): string | undefined;
}

/** The limit of a cell's width; the longest filter that qmpmux returns just fits. */
const CELL_LIMIT = 256;

/** Returns columns that show a member each, with its name as their heading. */
export function columnsOf(members: readonly string[]): readonly Column[] {
  return members.map((member) => ({ heading: member.toUpperCase(), member, cell: cellOf }));
}

/** Returns whether a value is an object of a list. */
export function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns rows as a table; `undefined` if a value is of another form than qmpmux sends. */
export function tableOf(rows: readonly Row[], columns: readonly Column[]): string | undefined {
  const cells = rows.map((row) => columns.map(({ member, cell }) => cell(row[member])));
  if (!cells.every((row) => row.every((cell) => cell !== undefined))) return undefined;
  const table = [columns.map(({ heading }) => heading), ...cells as string[][]];
  const widths = columns.map((_, column) =>
    table.reduce((widest, row) => Math.max(widest, row[column]!.length), 0)
  );
  return table
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
    .join("\n");
}

/** Returns a value as text; `undefined` if qmpmux never sends such a value. */
export function cellOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return "-";
  if (typeof value === "number") return String(Math.round(value));
  if (typeof value === "string") return shortened(printable(value), CELL_LIMIT);
  if (Array.isArray(value)) {
    if (!value.every((item) => typeof item === "string")) return undefined;
    return shortened(printable(value.join("+")), CELL_LIMIT) || "none";
  }
  const { uid, gid, pid } = Object(value) as Row;
  if (![uid, gid, pid].every((id) => typeof id === "number")) return undefined;
  return `${uid}:${gid}/${pid}`;
}
