/**
 * `qmpmux status`, `clients`, `kick` and `reload`: administration from a shell.
 *
 * Each is one of qmpmux's own commands, told for people or, with `--json`, as it
 * was answered. The socket must be of a role that administers.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../rim/failure.ts";
import { Session } from "../rim/session.ts";
import { UsageError } from "../terms/address.ts";
import { readFlags, socketOf } from "./flags.ts";

/** The subcommands. */
export type AdminCommand = "status" | "clients" | "kick" | "reload";

/** What a subcommand asks, and how it shows the answer. */
interface Inquiry {
  readonly help: string;
  readonly command: string;
  /** The name of its one argument, if it has one. */
  readonly operand?: string;
  /** The answer for people; nothing is printed where it is empty. */
  show(value: unknown): string;
}

const COMMON = `
  --socket ADDR   a listener of a role that administers (QMPMUX_SOCKET)
  --json          print the answer as JSON
  -h, --help      this text
`;

const INQUIRIES: Readonly<Record<AdminCommand, Inquiry>> = {
  status: {
    help: `Usage: qmpmux status [--socket ADDR] [--json]

Tells how a running qmpmux stands.
${COMMON}`,
    command: "query-status",
    show: (value) =>
      Object.entries(value as object).map(([key, item]) => `${key}: ${item ?? "none"}`).join("\n"),
  },
  clients: {
    help: `Usage: qmpmux clients [--socket ADDR] [--json]

Lists the clients of a running qmpmux.
${COMMON}`,
    command: "query-clients",
    show: (value) => tableOf(value as Row[]),
  },
  kick: {
    help: `Usage: qmpmux kick [--socket ADDR] NAME

Ends a client, behind what is queued for it.
${COMMON}`,
    command: "disconnect-client",
    operand: "name",
    show: () => "",
  },
  reload: {
    help: `Usage: qmpmux reload [--socket ADDR]

Has a running qmpmux read its configuration file again, and tells the outcome.
${COMMON}`,
    command: "reload",
    show: () => "",
  },
};

type Row = Readonly<Record<string, unknown>>;

const COLUMNS = [
  "name",
  "role",
  "mode",
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

function cellOf(value: unknown): string {
  return typeof value === "number" ? String(Math.round(value)) : String(value ?? "-");
}

/**
 * Runs one of the four.
 *
 * @throws UsageError, Failure
 */
export async function runAdmin(name: AdminCommand, args: string[]): Promise<ExitStatus> {
  const { help, command, operand, show } = INQUIRIES[name];
  const operands = operand === undefined ? 0 : 1;
  const given = readFlags(name, args, { values: ["socket"], switches: ["json"], operands });
  if (given.help) {
    console.log(help.trimEnd());
    return 0;
  }
  const [value] = given.operands;
  if (operand !== undefined && value === undefined) {
    throw new UsageError(`${name}: the ${operand} is missing; see qmpmux ${name} --help`);
  }
  const argumentsText = operand === undefined ? "{}" : JSON.stringify({ [operand]: value });
  using session = await Session.open(socketOf(name, given));
  const answer = await session.execute(`__org.qmpmux_${command}`, argumentsText);
  if ("desc" in answer) {
    throw new Failure(answer.errorClass === "CommandNotFound" ? 77 : 1, `${name}: ${answer.desc}`);
  }
  const text = given.has("json") ? answer.value : show(JSON.parse(answer.value));
  if (text !== "") console.log(text);
  return 0;
}
