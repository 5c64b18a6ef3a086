/**
 * `qmpmux status`, `clients`, `kick` and `reload`: administration from a shell.
 *
 * Each is one of qmpmux's own commands, told for people or, with `--json`, as it
 * was answered. They talk to the control socket, which needs no QEMU, or to a
 * listener of a role that administers.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { printable } from "../platform/log.ts";
import { print } from "../platform/output.ts";
import type { ErrorReply } from "../client/session.ts";
import { type Address, addressText } from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import { attemptOf, inSession, statusOfError, unanswered } from "./deadline.ts";
import { administrationOf, type Given } from "./flags.ts";
import { shortened } from "../wire/shortened.ts";

/** The subcommands. */
export type AdminCommand = "status" | "clients" | "kick" | "reload";

/** The question of a subcommand, and how the answer is shown. */
interface Inquiry {
  readonly command: string;
  /** The name of its one argument, if it has one. */
  readonly operand?: string;
  /**
   * Returns the answer for people; nothing is printed where it is empty.
   *
   * @param value the answer, of any form
   * @returns `undefined` where it has another form than a qmpmux gives
   */
  show(value: unknown): string | undefined;
}

const INQUIRIES: Readonly<Record<AdminCommand, Inquiry>> = {
  status: { command: "query-status", show: statusText },
  clients: { command: "query-clients", show: clientsText },
  kick: { command: "disconnect-client", operand: "name", show: () => "" },
  reload: { command: "reload", show: () => "" },
};

/** The longest answer that is read; 4096 clients with long filters have a third of it. */
const ANSWER_LENGTH_LIMIT = 16 << 20;

type Row = Readonly<Record<string, unknown>>;

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The members of the status that come first; the others follow as they were answered. */
const STATUS_ORDER: readonly string[] = [
  "vm",
  "qemu",
  "version",
  "qemu-pid",
  "sessions",
  "clients",
  "in-flight",
  "waiting",
  "age",
];

/** Writes each member of the status on a line of its own. */
function statusText(value: unknown): string | undefined {
  if (!isRow(value)) return undefined;
  const placeOf = ([key]: [string, unknown]): number =>
    STATUS_ORDER.includes(key) ? STATUS_ORDER.indexOf(key) : STATUS_ORDER.length;
  const members = Object.entries(value).toSorted((a, b) => placeOf(a) - placeOf(b));
  const lines = members.map(([key, item]) =>
    `${key}: ${key === "age" && typeof item === "number" ? durationText(item) : valueText(item)}`
  );
  return lines.map(printable).join("\n");
}

function valueText(value: unknown): string {
  if (value === null) return "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The units of a duration, the largest first, in seconds. */
const UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
];

/** Writes a duration in seconds with the two units that matter, as `2 h 5 min`. */
export function durationText(seconds: number): string {
  let rest = Math.round(seconds);
  // Up to two minutes, seconds alone read better.
  const at = rest < 120 ? -1 : UNITS.findIndex(([, each]) => rest >= each);
  if (at < 0) return `${rest} s`;
  const [name, unit] = UNITS[at]!;
  const count = Math.floor(rest / unit);
  rest -= count * unit;
  const [smaller, size] = UNITS[at + 1] ?? ["s", 1];
  return `${count} ${name} ${Math.floor(rest / size)} ${smaller}`;
}

const COLUMNS = [
  "name",
  "peer",
  "role",
  "mode",
  "capabilities",
  "filter",
  "in-flight",
  "waiting",
  "unread-bytes",
  "commands",
  "last-command",
  "age",
] as const;

/** The width of a cell at most; the longest filter that qmpmux gives just fits. */
const CELL_LIMIT = 256;

/** Writes clients as rows under a heading, in columns as wide as they need. */
function clientsText(value: unknown): string | undefined {
  if (!Array.isArray(value) || !value.every(isRow)) return undefined;
  const cells = value.map((row) => COLUMNS.map((column) => cellOf(row[column])));
  if (!cells.every((row) => row.every((cell) => cell !== undefined))) return undefined;
  const table = [COLUMNS.map((column) => column.toUpperCase()), ...cells as string[][]];
  const widths = COLUMNS.map((_, column) =>
    table.reduce((widest, row) => Math.max(widest, row[column]!.length), 0)
  );
  return table
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
    .join("\n");
}

/** A value of a client as text; `undefined` where no client has such a one. */
function cellOf(value: unknown): string | undefined {
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

/**
 * Runs one of the four.
 *
 * @throws UsageError, Failure
 */
export async function runAdmin(name: AdminCommand, given: Given): Promise<ExitStatus> {
  const { command, operand, show } = INQUIRIES[name];
  const [value] = given.operands;
  if (operand !== undefined && value === undefined) {
    throw new UsageError(`${name}: the ${operand} is missing; see qmpmux ${name} --help`);
  }
  const argumentsText = operand === undefined ? "{}" : JSON.stringify({ [operand]: value });
  const attempt = attemptOf(name, given, administrationOf);
  const { address } = attempt;
  const late = (): string => unanswered(attempt.seconds);
  return await inSession({ command: name, ...attempt, late }, async (session) => {
    const answer = await session.execute(`__org.qmpmux_${command}`, argumentsText);
    if ("desc" in answer) throw refusalOf(name, answer, address);
    const { value: json } = answer;
    const text = json.length > ANSWER_LENGTH_LIMIT ? undefined : show(JSON.parse(json));
    if (text === undefined) throw otherForm(name, command, address);
    if (given.has("json")) print(json);
    else if (text !== "") print(text);
    return 0;
  });
}

/** The error for an answer that no qmpmux gives. */
function otherForm(name: string, command: string, address: Address): Failure {
  return new Failure(
    69,
    `${name}: ${addressText(address)} gave another answer to __org.qmpmux_${command} than qmpmux ` +
      "does; name a socket of qmpmux, of the same version if you can",
  );
}

/** The error for a command of ours that was not done. */
function refusalOf(name: string, refusal: ErrorReply, address: Address): Failure {
  const { errorClass, desc } = refusal;
  if (errorClass === "CommandNotFound" && desc.endsWith("has not been found")) {
    return new Failure(
      69,
      `${name}: ${addressText(address)} is not a socket of qmpmux; ` +
        "name its control socket, or a listener whose role administers",
    );
  }
  return new Failure(statusOfError(refusal), `${name}: ${desc}`);
}
