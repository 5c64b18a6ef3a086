/**
 * `qmpmux can`: tells whether a role may run a command, which rule decides, and what would be allowed.
 *
 * It judges as a listener does: with the roles of a file, or with those of a running qmpmux, which it
 * asks on the control socket. Nothing is run.
 *
 * @module
 */

import { readConfigFile } from "../platform/config_file.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { say } from "../platform/log.ts";
import { print } from "../platform/output.ts";
import { permissionOf } from "../hub/own_commands.ts";
import { type Permission, roleNamed } from "../hub/permission.ts";
import { ArgumentError } from "../session/arguments.ts";
import { type Address, addressText } from "../policy/address.ts";
import type { Role } from "../policy/policy.ts";
import { ROLES, unknownCommand } from "../policy/roles.ts";
import { ConfigError, UsageError } from "../policy/usage_error.ts";
import { readCommand } from "../wire/command_reader.ts";
import { FrameSplitter } from "../wire/frame.ts";
import { qemuText } from "../wire/qemu_json.ts";
import type { Command } from "../wire/message.ts";
import { printable } from "../wire/printable.ts";
import { isNotFound } from "./admin.ts";
import { inSession, unanswered } from "./deadline.ts";
import { readArguments } from "./exec.ts";
import { controlOf, type Given, secondsOf } from "./flags.ts";
import { replyTo, statusOfError } from "./replies.ts";
import { isRow } from "./table.ts";

/** The question: a role, a command and its arguments as JSON. */
interface Question {
  readonly role: string;
  readonly command: string;
  readonly argumentsText: string;
}

/**
 * Runs `qmpmux can`.
 *
 * @returns 0 if the role allows the command, 1 if it refuses it
 * @throws UsageError, ConfigError, Failure
 */
export async function runCan(given: Given): Promise<ExitStatus> {
  const [command, ...words] = given.operands;
  const role = given.one("as");
  const file = given.one("config");
  if (!role) throw new UsageError("can: --as is missing; name the role");
  if (command === undefined) {
    throw new UsageError("can: the command is missing; see qmpmux can --help");
  }
  if (file !== undefined && given.one("control") !== undefined) {
    throw new UsageError("can: --config and --control exclude each other; give one");
  }
  const question = { role, command, argumentsText: readArguments(words, "can") };
  const timeout = given.one("timeout");
  const seconds = timeout === undefined ? undefined : secondsOf("can", "timeout", timeout);
  // A wrong argument is reported before anything is asked.
  const read = commandOf(question);
  const isLocal = file !== undefined || given.one("control") === undefined && ROLES.has(role);
  const control = isLocal ? undefined : controlOf("can", given);
  const json = control === undefined
    ? qemuText(permissionOf(found(role, file), read))
    : await asked(question, control, seconds);
  const answer: unknown = JSON.parse(json);
  if (!isPermission(answer)) throw otherForm(control!);
  const warning = unknownCommand(command);
  if (warning !== undefined) say(`can: warning: ${warning}`);
  print(given.has("json") ? json : permissionText(answer));
  return answer.allowed ? 0 : 1;
}

/** Returns the command as a listener reads it; @throws UsageError if QEMU's JSON cannot express it */
function commandOf({ command, argumentsText }: Question): Command {
  const splitter = new FrameSplitter();
  const text = `{"execute":${JSON.stringify(command)},"arguments":${argumentsText}}\n`;
  splitter.load(new TextEncoder().encode(text));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame) {
    throw new UsageError(`can: invalid arguments: ${frame?.damage ?? "not one JSON value"}`);
  }
  const read = readCommand(frame, false);
  if ("because" in read) throw new UsageError(`can: invalid arguments: ${read.because}`);
  return read;
}

/**
 * Finds a role: among those of a file, or the built-in ones.
 *
 * @throws ConfigError if the file is invalid; UsageError if there is no such role
 */
function found(name: string, file: string | undefined): Role {
  const config = file === undefined ? undefined : readConfigFile(file);
  if (config && config.problems.length > 0) throw new ConfigError(config.problems);
  try {
    return roleNamed(name, config?.roles ?? ROLES);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const remedy = config === undefined && !error.message.includes(";")
      ? "; give --config FILE or --control ADDR for the roles of a file"
      : "";
    throw new UsageError(`can: ${error.message}${remedy}`);
  }
}

/** Asks a running qmpmux; returns its answer as JSON. */
async function asked(
  { role, command, argumentsText }: Question,
  address: Address,
  seconds: number | undefined,
): Promise<string> {
  const late = (): string => unanswered(seconds);
  const args = `{"role":${JSON.stringify(role)},"command":${JSON.stringify(command)},` +
    `"arguments":${argumentsText}}`;
  const session = inSession({ command: "can", address, seconds, late }, async (qmp) => {
    const answer = await replyTo(qmp, "__org.qmpmux_can", args);
    if ("value" in answer) return answer.value;
    if (isNotFound(answer)) throw otherForm(address);
    const status = statusOfError(answer);
    throw new Failure(status === 1 ? 64 : status, `can: ${answer.desc}`);
  });
  try {
    return await session;
  } catch (error) {
    // 1 would mean that the role refuses the command.
    if (error instanceof Failure && error.status === 1) throw new Failure(69, error.message);
    throw error;
  }
}

function otherForm(address: Address): Failure {
  return new Failure(
    69,
    `can: ${addressText(address)} does not answer __org.qmpmux_can; ` +
      "name a control socket of qmpmux of the same version",
  );
}

/** Returns whether a value has the form of an answer. */
function isPermission(value: unknown): value is Permission {
  if (!isRow(value)) return false;
  const { allowed, because, nearest, command } = value;
  if (![because, command].every((text) => typeof text === "string")) return false;
  if (typeof allowed !== "boolean") return false;
  if (nearest === null) return true;
  return isRow(nearest) && typeof nearest.rule === "string" &&
    (nearest.source === null || typeof nearest.source === "string") &&
    Array.isArray(nearest.differences) &&
    nearest.differences.every((each) =>
      isRow(each) && typeof each.argument === "string" && typeof each.text === "string"
    );
}

/** Returns an answer as text for people. */
function permissionText({ allowed, because, command, nearest }: Permission): string {
  const lines = [`${allowed ? "allowed" : "refused"}: ${because}`];
  if (nearest !== null) {
    const { rule, source, differences } = nearest;
    const name = source === null ? `'${rule}'` : `${source} (${rule})`;
    lines.push(
      differences.length === 0
        ? `rule ${name} would allow it, but an earlier rule refuses it`
        : `the nearest rule that allows ${command} is ${name}, but`,
      ...differences.map(({ argument, text }) => `  ${argument} ${text}`),
    );
  }
  return lines.map(printable).join("\n");
}
