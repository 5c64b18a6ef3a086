/**
 * Reading of the subcommands' command lines.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Address, isFile, parseAddress } from "../policy/address.ts";
import { naming, UsageError } from "../policy/usage_error.ts";
import { nearest } from "../policy/suggestion.ts";
import { SECONDS } from "../config/value_kinds.ts";
import { type Subcommand, type SubcommandName, SUBCOMMANDS } from "./command_table.ts";

/** The content of a command line. */
export interface Given {
  /** Whether help was requested. */
  readonly help: boolean;
  /** Returns whether a switch is on. */
  has(flag: string): boolean;
  /** Returns every value of a flag, in order. */
  all(flag: string): string[];
  /** Returns the value of a flag that may be given once; @throws UsageError if it is repeated */
  one(flag: string): string | undefined;
  /** The positional arguments. */
  readonly operands: readonly string[];
}

/**
 * Reads a subcommand's command line, according to its row in the table.
 *
 * @throws UsageError if a flag is unknown or lacks its value, or if there are too many arguments
 */
export function readFlags(command: SubcommandName, args: string[]): Given {
  const { flags: known, operands: taken = [] }: Subcommand = SUBCOMMANDS[command];
  const isValued = (flag: string): boolean => known[flag]?.value !== undefined;
  const values = Object.keys(known).filter(isValued);
  const switches = [...Object.keys(known).filter((flag) => !isValued(flag)), "help"];
  const shorts = Object.fromEntries(
    Object.entries(known).flatMap(([flag, { short }]) =>
      short === undefined ? [] : [[short, flag]]
    ),
  );
  const operands = taken.some(({ many }) => many) ? Infinity : taken.length;
  const unknown = (argument: string): UsageError => unknownFlag(command, argument);
  // The parser keeps positional arguments under the name _.
  const end = args.indexOf("--");
  const own = args.slice(0, end < 0 ? args.length : end).find((arg) => /^(--|-[^-]*)_/.test(arg));
  if (own !== undefined) throw unknown(own);
  const read = end < 0 ? args : args.slice(0, end);
  const flagOf = (argument: string): string | undefined => flagIn(argument, known, shorts);
  checkValues(command, read, flagOf);
  const valued = switches.find((flag) => args.some((arg) => arg.startsWith(`--${flag}=`)));
  if (valued !== undefined) {
    const argument = args.find((arg) => arg.startsWith(`--${valued}=`));
    throw new UsageError(
      `${command}: ${argument}: expected no value; write --${valued} alone`,
    );
  }
  const flags: Record<string, unknown> = parseArgs([
    ...attached(read, flagOf, isValued),
    ...args.slice(read.length),
  ], {
    string: [...values, "_"],
    boolean: switches,
    alias: { h: "help", ...shorts },
    collect: values,
    unknown: (argument: string, key?: string) => {
      if (key !== undefined) throw unknown(argument);
    },
  });
  const rest = (flags["_"] as (string | number)[]).map(String);
  if (rest.length > operands) {
    throw new UsageError(
      `${command}: unexpected argument ${rest[operands] || '""'}; see qmpmux ${command} --help`,
    );
  }
  const all = (flag: string): string[] => (flags[flag] ?? []) as string[];
  return {
    help: flags["help"] === true,
    has: (flag) => flags[flag] === true,
    all,
    one: (flag) => {
      const [value, ...more] = all(flag);
      if (more.length > 0) {
        throw new UsageError(`${command}: --${flag} is given twice; remove one`);
      }
      return value;
    },
    operands: rest,
  };
}

/**
 * Returns the flag that an argument is without its value; `undefined` if it is none.
 *
 * @param shorts the flags by their short forms
 */
function flagIn(
  argument: string,
  flags: Subcommand["flags"],
  shorts: Readonly<Record<string, string>>,
): string | undefined {
  const name = /^--([^=]+)$/.exec(argument)?.[1] ?? shorts[/^-(\w)$/.exec(argument)?.[1] ?? ""];
  return name !== undefined && Object.hasOwn(flags, name) ? name : undefined;
}

/** Attaches empty values to their flags: the parser takes an empty argument for a positional one. */
function attached(
  args: readonly string[],
  flagOf: (argument: string) => string | undefined,
  isValued: (flag: string) => boolean,
): string[] {
  const found: string[] = [];
  for (const argument of args) {
    const flag = argument === "" ? flagOf(found.at(-1) ?? "") : undefined;
    if (flag !== undefined && isValued(flag)) found.splice(-1, 1, `--${flag}=`);
    else found.push(argument);
  }
  return found;
}

/**
 * Checks that each flag with a value has one: the parser takes an argument that begins with - for a flag.
 *
 * @param flagOf returns the flag that an argument is
 * @throws UsageError if one is missing, or must be attached
 */
function checkValues(
  command: SubcommandName,
  args: readonly string[],
  flagOf: (argument: string) => string | undefined,
): void {
  const { flags }: Subcommand = SUBCOMMANDS[command];
  for (const [index, argument] of args.entries()) {
    const name = flagOf(argument);
    const value = name === undefined ? undefined : flags[name]?.value;
    if (value === undefined) continue;
    const next = args[index + 1];
    const isFlag = next === undefined || flagOf(next.replace(/=.*/s, "")) !== undefined;
    if (isFlag || next === "--" || next === "-h" || next === "--help") {
      throw new UsageError(
        `${command}: --${name}: the value is missing; write --${name} ${value}`,
      );
    }
    if (!next.startsWith("-")) continue;
    throw new UsageError(
      `${command}: ${argument} ${next}: a value that begins with - must be attached; ` +
        `write --${name}=${next}`,
    );
  }
}

/** Returns the error for a flag that the subcommand does not have. */
function unknownFlag(command: SubcommandName, argument: string): UsageError {
  const [, name = argument] = /^--([^=]+)/.exec(argument) ?? [];
  const meant = nearest(name, [...Object.keys(SUBCOMMANDS[command].flags), "help"]);
  const instead = meant === undefined ? `see qmpmux ${command} --help` : `did you mean --${meant}?`;
  return new UsageError(
    `${command}: unknown flag ${argument.replace(/=.*/s, "")}; ${instead}`,
  );
}

/**
 * Reads a time in seconds.
 *
 * @throws UsageError if it is invalid, or more than a day
 */
export function secondsOf(command: string, flag: string, text: string): number {
  const seconds = SECONDS.read(text);
  if (seconds !== undefined) return seconds;
  throw new UsageError(
    `${command}: invalid value "${text}" for --${flag}: expected ${SECONDS.expected}`,
  );
}

/**
 * Reads the address of the monitor for a one-shot command: `--socket`, else `QMPMUX_SOCKET`.
 *
 * @throws UsageError if neither is given, or it is not an address
 */
export function socketOf(command: string, given: Given): Address {
  const found = socketFlag(command, given) ?? socketVariable(command);
  if (found !== undefined) return found;
  throw new UsageError(
    `${command}: no monitor is named; give --socket ADDR or set QMPMUX_SOCKET`,
  );
}

/**
 * Reads the address of the socket for an administrative subcommand: `--control` or `--socket`, else
 * `QMPMUX_CONTROL`, else `QMPMUX_SOCKET`.
 *
 * @throws UsageError if none is given, if both flags are given, or if it is not a valid address
 */
export function administrationOf(command: string, given: Given): Address {
  const flag = given.one("control");
  if (flag !== undefined && given.one("socket") !== undefined) {
    throw new UsageError(`${command}: --control and --socket exclude each other; give one`);
  }
  const socket = socketFlag(command, given);
  if (socket !== undefined) return socket;
  const control = controlOf(command, given);
  if (control !== undefined) return control;
  const other = socketVariable(command);
  if (other !== undefined) return other;
  throw new UsageError(
    `${command}: no socket is named; give --control ADDR or --socket ADDR, or set QMPMUX_CONTROL`,
  );
}

/**
 * Reads the address of a control socket: `--control`, else `QMPMUX_CONTROL`; `undefined` if neither is given.
 *
 * @throws UsageError if it is not the path of a unix socket
 */
export function controlOf(command: string, given: Given): Address | undefined {
  const flag = given.one("control");
  if (flag !== undefined) return controlAddress(command, "--control", flag);
  const variable = Deno.env.get("QMPMUX_CONTROL");
  return variable ? controlAddress(command, "QMPMUX_CONTROL", variable) : undefined;
}

function socketFlag(command: string, given: Given): Address | undefined {
  const text = given.one("socket");
  return text === undefined ? undefined : addressFrom(command, "--socket", text);
}

function socketVariable(command: string): Address | undefined {
  const text = Deno.env.get("QMPMUX_SOCKET");
  return text ? addressFrom(command, "QMPMUX_SOCKET", text) : undefined;
}

/** Reads the address of a control socket, which must have a path: file permissions protect it. */
function controlAddress(command: string, source: string, text: string): Address {
  const address = addressFrom(command, source, text);
  if (isFile(address)) return address;
  throw new UsageError(
    `${command}: invalid value "${text}" for ${source}: expected the path of a unix socket`,
  );
}

function addressFrom(command: string, source: string, text: string): Address {
  return naming(`${command}: ${source}`, () => parseAddress(text));
}
