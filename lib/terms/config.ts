/**
 * The configuration file: what the command line says, in TOML.
 *
 * One file, one QEMU. All that is wrong in it is told at once, each with its
 * line; an unknown key is wrong.
 *
 * @module
 */

import { parse } from "@std/toml/parse";
import { addressText, UsageError } from "./address.ts";
import { ConfigError } from "./config_error.ts";
import { parseQemu, readListener } from "./options.ts";
import type {
  AuditFailure,
  Deadline,
  ListenerSettings,
  LogFormat,
  OnLoss,
  ReadyWhen,
  WatchdogOf,
} from "./settings.ts";
import { CLIENTS_IN_ALL, isLimitName, limitRange, readLimit } from "./limits.ts";
import type { Role } from "./policy.ts";
import { AUDIT_FAILURES, LOG_FORMATS, parseAudit, parseMetrics, wordOf } from "./recording.ts";
import { readRole, ROLES } from "./roles.ts";
import { TomlLines } from "./toml_lines.ts";

/** What a file says; what it does not say is `undefined`. */
export interface Config {
  /** QEMU's monitor, checked. */
  readonly qemu: ReturnType<typeof parseQemu> | undefined;
  /** Where clients connect; may be none. */
  readonly listeners: readonly ListenerSettings[];
  /** The roles there are: the built-in ones and the file's own. */
  readonly roles: ReadonlyMap<string, Role>;
  /** End with QEMU. */
  readonly once: boolean | undefined;
  /** When readiness is told. */
  readonly readyWhen: ReadyWhen | undefined;
  /** Seconds QEMU may take for its greeting. */
  readonly greetingTime: number | undefined;
  /** Seconds a client may wait for QEMU's greeting. */
  readonly handshakeTime: number | undefined;
  /** Seconds for what is under way at the end. */
  readonly drainTime: number | undefined;
  /** What becomes of the clients when QEMU goes. */
  readonly onLoss: OnLoss | undefined;
  /** Seconds QEMU may be silent, though asked. */
  readonly stallTime: number | undefined;
  /** What keeps the service manager's watchdog quiet. */
  readonly watchdogOf: WatchdogOf | undefined;
  /** How long commands may take, in the order of the file. */
  readonly deadlines: readonly Deadline[];
  /** How many clients there may be in all. */
  readonly maxClients: number | undefined;
  /** The form of the log. */
  readonly logFormat: LogFormat | undefined;
  /** Where metrics can be fetched. */
  readonly metrics: ListenerSettings | undefined;
  /** Where records of commands go. */
  readonly audit: string | undefined;
  /** What becomes of what cannot be put on record. */
  readonly auditFailure: AuditFailure | undefined;
  /** Is what only reads put on record too? */
  readonly auditAll: boolean | undefined;
}

/** The keys of the top level, in the order in which they are documented. */
export const CONFIG_KEYS = [
  "qemu",
  "once",
  "ready",
  "greeting-timeout",
  "handshake-timeout",
  "drain-timeout",
  "stall-timeout",
  "on-loss",
  "watchdog",
  "max-clients",
  "log-format",
  "metrics",
  "audit",
  "audit-failure",
  "audit-all",
  "deadline",
  "role",
  "listen",
] as const;

/** The parser's work grows with the square of a table's keys; so many take it 30 ms. */
const KEYS_LIMIT = 500;

type Table = Readonly<Record<string, unknown>>;

/**
 * Reads a configuration file.
 *
 * @param text its content
 * @param file its name, for messages
 * @throws ConfigError
 */
export function readConfig(text: string, file: string): Config {
  return new Reader(text, file).read();
}

class Reader {
  readonly #text: string;
  readonly #file: string;
  readonly #lines: TomlLines;
  readonly #problems: { line: number; text: string }[] = [];

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
    this.#lines = new TomlLines(text);
  }

  read(): Config {
    const table = this.#parsed();
    for (const line of this.#lines.leftOut()) {
      this.#wrong(line, 'there is no key "__proto__"; remove it');
    }
    for (const line of this.#lines.repeated) {
      this.#wrong(line, "this key is given twice; give it once");
    }
    for (const key of Object.keys(table)) {
      if ((CONFIG_KEYS as readonly string[]).includes(key)) continue;
      const known = CONFIG_KEYS.join(", ");
      this.#wrong(this.#lines.of(key), `there is no key "${key}"; there are ${known}`);
    }
    const roles = new Map(ROLES);
    this.#each(table, "role", (form, where) => {
      const role = readRole(form, where);
      if (roles.has(role.name)) {
        throw new UsageError(`${where}: there is a role ${role.name} already`);
      }
      roles.set(role.name, role);
    });
    const qemu = this.#value(table, "qemu", (value) => parseQemu(textOf(value)));
    const metrics = this.#value(table, "metrics", (value) => parseMetrics(textOf(value)));
    const taken = new Set(
      [qemu, metrics?.address].flatMap((each) => each ? [addressText(each)] : []),
    );
    const listeners: ListenerSettings[] = [];
    this.#each(table, "listen", (form, where) => {
      const listener = listenerOf(form, where, roles);
      const text = addressText(listener.address);
      if (taken.has(text) && !text.endsWith(":0")) {
        throw new UsageError(`${where}: ${text} is given twice; every address has its own use`);
      }
      taken.add(text);
      if (listener.descriptors && qemu?.transport === "tcp") {
        throw new UsageError(
          `${where}: descriptors pass through unix sockets only; let QEMU listen on one`,
          "fds",
        );
      }
      listeners.push(listener);
    });
    const config: Config = {
      qemu,
      listeners,
      roles,
      once: this.#value(table, "once", switchOf),
      readyWhen: this.#value(table, "ready", oneOf("listening", "qemu")),
      greetingTime: this.#value(table, "greeting-timeout", secondsOf),
      handshakeTime: this.#value(table, "handshake-timeout", secondsOf),
      drainTime: this.#value(table, "drain-timeout", secondsOf),
      stallTime: this.#value(table, "stall-timeout", secondsOf),
      onLoss: this.#value(table, "on-loss", oneOf("close", "hold")),
      watchdogOf: this.#value(table, "watchdog", oneOf("loop", "qemu")),
      deadlines: this.#value(table, "deadline", deadlinesOf) ?? [],
      maxClients: this.#value(table, "max-clients", clientsOf),
      logFormat: this.#value(table, "log-format", (value) => wordOf(LOG_FORMATS)(textOf(value))),
      metrics,
      audit: this.#value(table, "audit", (value) => parseAudit(textOf(value))),
      auditFailure: this.#value(
        table,
        "audit-failure",
        (value) => wordOf(AUDIT_FAILURES)(textOf(value)),
      ),
      auditAll: this.#value(table, "audit-all", switchOf),
    };
    if (this.#problems.length === 0) return config;
    const sorted = this.#problems.toSorted((a, b) => a.line - b.line);
    throw new ConfigError(sorted.map(({ line, text }) => `${this.#file}:${line}: ${text}`));
  }

  #parsed(): Table {
    const crowded = this.#lines.crowded(KEYS_LIMIT);
    if (crowded !== undefined) {
      const problem = `this table has more than ${KEYS_LIMIT} keys; write fewer`;
      throw new ConfigError([`${this.#file}:${crowded}: ${problem}`]);
    }
    try {
      return parse(this.#text);
    } catch (error) {
      const { line, text } = this.#notToml() ?? syntaxError(error);
      throw new ConfigError([`${this.#file}:${line}: this is no TOML: ${text}`]);
    }
  }

  /** What is no TOML even by itself: the parser tells the line where it has given up. */
  #notToml(): { line: number; text: string } | undefined {
    for (const { line: first, text: part } of this.#lines.parts) {
      try {
        parse(part);
      } catch (error) {
        const { line, text } = syntaxError(error);
        return { line: Math.min(first + line - 1, first + part.split("\n").length - 1), text };
      }
    }
    return undefined;
  }

  #wrong(line: number, text: string): void {
    this.#problems.push({ line, text });
  }

  /** Reads something; what is wrong with it becomes a problem of its line. */
  #attempt<T>(lineOf: (option: string) => number, read: (where: string) => T): T | undefined {
    try {
      return read("");
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#wrong(lineOf(error.option ?? "address"), error.message.replace(/^: /, ""));
      return undefined;
    }
  }

  #value<T>(table: Table, key: string, read: (value: unknown) => T): T | undefined {
    if (!(key in table)) return undefined;
    return this.#attempt(() => this.#lines.of(key), () => {
      try {
        return read(table[key]);
      } catch (error) {
        if (error instanceof UsageError) throw new UsageError(`${key}: ${error.message}`);
        throw error;
      }
    });
  }

  /** Reads each table of an array of tables, each at the line of its header. */
  #each(table: Table, key: string, read: (form: Table, where: string) => void): void {
    const forms = table[key] ?? [];
    if (!Array.isArray(forms)) {
      return this.#wrong(this.#lines.of(key), `${key} is one table; begin it with [[${key}]]`);
    }
    for (const [index, form] of forms.entries()) {
      this.#attempt(
        (option) => this.#lines.inTable(key, index, option) ?? this.#lines.ofTable(key, index),
        (where) => read(form, where),
      );
    }
  }
}

/** What the parser says, and of which line. */
function syntaxError(error: unknown): { line: number; text: string } {
  if (!(error instanceof Error)) throw error;
  const [, line, text] = /^Parse error on line (\d+), column \d+: (.*)$/s.exec(error.message) ?? [];
  return { line: Number(line ?? 1), text: text ?? error.message };
}

/** A listener's table: `address`, and the options of `--listen`. */
function listenerOf(
  { address, ...options }: Table,
  where: string,
  roles: ReadonlyMap<string, Role>,
): ListenerSettings {
  if (address === undefined) {
    throw new UsageError(`${where}: address is missing; write address = "unix:/path"`);
  }
  const pairs = Object.entries(options).map(([key, value]) =>
    [key, optionText(key, value)] as const
  );
  return readListener(textOf(address), pairs, where, roles);
}

/** An option's value as the command line has it. */
function optionText(key: string, value: unknown): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) {
    return value.join("+");
  }
  if (typeof value === "string") return value;
  if (typeof value === "number" && isLimitName(key)) return String(value);
  throw new UsageError(
    `${key} is ${JSON.stringify(value)}; write text, true, false or a list of texts`,
    key,
  );
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  throw new UsageError(`${JSON.stringify(value)} is no text; write it in quotes`);
}

function switchOf(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new UsageError(`${JSON.stringify(value)} is not possible; write true or false`);
}

/** Takes one of two words. */
function oneOf<A extends string, B extends string>(a: A, b: B): (value: unknown) => A | B {
  return (value) => {
    if (value === a || value === b) return value as A | B;
    throw new UsageError(`${JSON.stringify(value)} is not possible; write "${a}" or "${b}"`);
  };
}

/** A table of globs of commands, each with its seconds. */
function deadlinesOf(value: unknown): Deadline[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UsageError(
      `${JSON.stringify(value)} is no table; write [deadline] and "GLOB" = SECONDS`,
    );
  }
  return Object.entries(value).map(([glob, seconds]) => ({ glob, seconds: secondsOf(seconds) }));
}

function clientsOf(value: unknown): number {
  const count = typeof value === "number" ? readLimit(CLIENTS_IN_ALL, String(value)) : undefined;
  if (count !== undefined) return count;
  throw new UsageError(
    `${JSON.stringify(value)} is not possible; write ${limitRange(CLIENTS_IN_ALL)}`,
  );
}

function secondsOf(value: unknown): number {
  if (typeof value === "number" && value > 0 && value <= 86400) return value;
  throw new UsageError(
    `${JSON.stringify(value)} is no time; write seconds, above 0 and up to 86400`,
  );
}
