/**
 * `qmpmux status`, `clients`, `kick` and `reload`: administration from a shell.
 *
 * Each is one of qmpmux's own commands, told for people or, with `--json`, as it
 * was answered. The socket must be of a role that administers.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../rim/failure.ts";
import { printable } from "../rim/log.ts";
import { print } from "../rim/output.ts";
import type { Refusal } from "../rim/session.ts";
import { type Address, addressText, UsageError } from "../terms/address.ts";
import { inSession } from "./deadline.ts";
import { readFlags } from "./flags.ts";
import { showHelp } from "./help.ts";

/** The subcommands. */
export type AdminCommand = "status" | "clients" | "kick" | "reload";

/** What a subcommand asks, and how it shows the answer. */
interface Inquiry {
  readonly command: string;
  /** The name of its one argument, if it has one. */
  readonly operand?: string;
  /** The answer for people; nothing is printed where it is empty. */
  show(value: unknown): string;
}

const INQUIRIES: Readonly<Record<AdminCommand, Inquiry>> = {
  status: {
    command: "query-status",
    show: (value) =>
      Object.entries(value as object)
        .map(([key, item]) => printable(`${key}: ${item ?? "none"}`)).join("\n"),
  },
  clients: {
    command: "query-clients",
    show: (value) => tableOf(value as Row[]),
  },
  kick: {
    command: "disconnect-client",
    operand: "name",
    show: () => "",
  },
  reload: {
    command: "reload",
    show: () => "",
  },
};

type Row = Readonly<Record<string, unknown>>;

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

/** Rows under a heading, in columns as wide as they need. */
function tableOf(rows: readonly Row[]): string {
  const cells = [
    COLUMNS.map((column) => column.toUpperCase()),
    ...rows.map((row) => COLUMNS.map((column) => cellOf(row[column]))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
    .join("\n");
}

/** A client has chosen what its last command is called, and its filter. */
function cellOf(value: unknown): string {
  if (typeof value === "number") return String(Math.round(value));
  if (Array.isArray(value)) return printable(value.join("+")) || "none";
  if (typeof value === "object" && value !== null) {
    const { uid, gid, pid } = value as Row;
    return `${uid}:${gid}/${pid}`;
  }
  return printable(String(value ?? "-"));
}

/**
 * Runs one of the four.
 *
 * @throws UsageError, Failure
 */
export async function runAdmin(name: AdminCommand, args: string[]): Promise<ExitStatus> {
  const { command, operand, show } = INQUIRIES[name];
  const given = readFlags(name, args);
  if (given.help) return showHelp(name);
  const [value] = given.operands;
  if (operand !== undefined && value === undefined) {
    throw new UsageError(`${name}: the ${operand} is missing; see qmpmux ${name} --help`);
  }
  const argumentsText = operand === undefined ? "{}" : JSON.stringify({ [operand]: value });
  return await inSession(name, given, async (session, address) => {
    const answer = await session.execute(`__org.qmpmux_${command}`, argumentsText);
    if ("desc" in answer) throw refusalOf(name, answer, address);
    const text = given.has("json") ? answer.value : show(JSON.parse(answer.value));
    if (text !== "") print(text);
    return 0;
  });
}

/** Why a command of ours was not done. */
function refusalOf(name: string, { errorClass, desc }: Refusal, address: Address): Failure {
  if (errorClass !== "CommandNotFound") return new Failure(1, `${name}: ${desc}`);
  if (!desc.endsWith("has not been found")) return new Failure(77, `${name}: ${desc}`);
  const text = addressText(address);
  return new Failure(69, `${name}: ${text} is no qmpmux; name a listener whose role administers`);
}
