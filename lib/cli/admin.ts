/**
 * `qmpmux status`, `clients`, `kick` and `reload`: administration from a shell.
 *
 * Each runs one of qmpmux's own commands and prints the reply for people or, with
 * `--json`, unchanged. It uses the control socket, which works without QEMU, or a
 * listener whose role administers.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { printable } from "../wire/printable.ts";
import { print } from "../platform/output.ts";
import { type Address, addressText } from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import { attemptOf, inSession, unanswered } from "./deadline.ts";
import { administrationOf, type Given } from "./flags.ts";
import { cellOf, type Column, columnsOf, isRow, type Row, tableOf } from "./table.ts";
import { type ErrorReply, replyTo, statusOfError } from "./replies.ts";

/** The subcommands. */
export type AdminCommand = "status" | "clients" | "kick" | "reload";

/** The command that a subcommand runs, and how its reply is shown. */
interface Inquiry {
  readonly command: string;
  /** The name of the command's argument, if it has one. */
  readonly operand?: string;
  /**
   * Returns the reply as text for people; an empty text is not printed.
   *
   * @param value the value of the reply, which is not checked
   * @returns `undefined` if the value does not have the form of qmpmux's replies
   */
  show(value: unknown): string | undefined;
}

const INQUIRIES: Readonly<Record<AdminCommand, Inquiry>> = {
  status: { command: "query-status", show: statusText },
  clients: { command: "query-clients", show: clientsText },
  kick: { command: "disconnect-client", operand: "name", show: () => "" },
  reload: { command: "reload", show: () => "" },
};

/** The limit of a reply; a list of 4096 clients with long filters has a third of it. */
const ANSWER_LENGTH_LIMIT = 16 << 20;

/** The members of the status that are shown first; others follow in the order of the reply. */
const STATUS_ORDER: readonly string[] = [
  "vm",
  "qemu",
  "reason",
  "version",
  "qemu-pid",
  "up-since",
  "sessions",
  "clients",
  "in-flight",
  "waiting",
  "events",
  "age",
];

/** The columns of a table of VMs. */
const STATUS_COLUMNS: readonly Column[] = [
  ...columnsOf(["vm", "version"]),
  { heading: "STATE", member: "qemu", cell: cellOf },
  ...columnsOf(["clients", "in-flight", "waiting", "events"]),
  {
    heading: "UP-SINCE",
    member: "up-since",
    cell: (value) => typeof value === "number" ? timeText(value) : cellOf(value),
  },
];

/** Returns the status of many VMs as a table, or the members of one VM's, each on its own line. */
function statusText(value: unknown): string | undefined {
  if (Array.isArray(value) && value.every(isRow)) {
    const nameOf = ({ vm }: Row): string => typeof vm === "string" ? vm : "";
    const rows = value.toSorted((a, b) => nameOf(a) < nameOf(b) ? -1 : 1);
    const reason = rows.some((row) => "reason" in row) ? columnsOf(["reason"]) : [];
    return tableOf(rows, [...STATUS_COLUMNS, ...reason]);
  }
  if (!isRow(value)) return undefined;
  const placeOf = ([key]: [string, unknown]): number =>
    STATUS_ORDER.includes(key) ? STATUS_ORDER.indexOf(key) : STATUS_ORDER.length;
  const members = Object.entries(value).toSorted((a, b) => placeOf(a) - placeOf(b));
  return members.map(([key, item]) => printable(`${key}: ${valueText(key, item)}`)).join("\n");
}

/** Writes a member of the status. */
function valueText(key: string, value: unknown): string {
  if (value === null) return "none";
  if (typeof value === "number") {
    if (key === "age") return durationText(value);
    if (key === "up-since") return timeText(value);
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Writes a time of day in seconds since 1970, as RFC 3339 has it; one that no calendar has as a number. */
function timeText(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime())
    ? String(seconds)
    : time.toISOString().replace(/\.\d+Z$/, "Z");
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

/** The members of clients that are shown. */
const CLIENT_MEMBERS: readonly string[] = [
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
];

/** Returns clients as a table, with a column for their VMs if the reply names them. */
function clientsText(value: unknown): string | undefined {
  if (!Array.isArray(value) || !value.every(isRow)) return undefined;
  const vm = value.some((row) => "vm" in row) ? ["vm"] : [];
  return tableOf(value, columnsOf([...vm, ...CLIENT_MEMBERS]));
}

/**
 * Runs one of the four subcommands.
 *
 * @throws UsageError, Failure
 */
export async function runAdmin(name: AdminCommand, given: Given): Promise<ExitStatus> {
  const { command, operand, show } = INQUIRIES[name];
  const [value] = given.operands;
  if (operand !== undefined && value === undefined) {
    throw new UsageError(`${name}: the ${operand} is missing; see qmpmux ${name} --help`);
  }
  // Without --vm, JSON.stringify leaves the member out.
  const vm = given.one("vm");
  const argumentsText = JSON.stringify({ ...(operand && { [operand]: value }), vm });
  const attempt = attemptOf(name, given, administrationOf);
  const { address } = attempt;
  const late = (): string => unanswered(attempt.seconds);
  return await inSession(
    { command: name, ...attempt, late },
    async (qmp): Promise<ExitStatus> => {
      const answer = await replyTo(qmp, `__org.qmpmux_${command}`, argumentsText);
      if ("desc" in answer) throw refusalOf(name, answer, address);
      const { value: json } = answer;
      const text = json.length > ANSWER_LENGTH_LIMIT ? undefined : show(JSON.parse(json));
      if (text === undefined) throw otherForm(name, command, address);
      if (given.has("json")) print(json);
      else if (text !== "") print(text);
      return 0;
    },
  );
}

/** Returns the error for a reply that does not have the form of qmpmux's. */
function otherForm(name: string, command: string, address: Address): Failure {
  return new Failure(
    69,
    `${name}: ${addressText(address)} sent an unexpected reply to __org.qmpmux_${command}; ` +
      "name a socket of qmpmux, preferably of the same version",
  );
}

/** Returns whether the monitor does not know the command: it is not a qmpmux, or an older one. */
export function isNotFound({ errorClass, desc }: ErrorReply): boolean {
  return errorClass === "CommandNotFound" && desc.endsWith("has not been found");
}

/** Returns the error for a command that was refused or has failed. */
function refusalOf(name: string, refusal: ErrorReply, address: Address): Failure {
  const { desc } = refusal;
  if (isNotFound(refusal)) {
    return new Failure(
      69,
      `${name}: ${addressText(address)} is not a socket of qmpmux; ` +
        "name its control socket, or a listener whose role administers",
    );
  }
  return new Failure(statusOfError(refusal), `${name}: ${desc}`);
}
