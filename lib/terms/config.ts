/**
 * The configuration file: what the command line says, in TOML.
 *
 * One file, one QEMU. All that is wrong in it is reported at once, each problem
 * with its line; an unknown key is wrong.
 *
 * @module
 */

import { parse } from "@std/toml/parse";
import { UsageError } from "./address.ts";
import { ConfigError } from "./config_error.ts";
import { conflicts, type Place } from "./conflicts.ts";
import type { ListenerSettings } from "./listener_settings.ts";
import { OPTION_NAMES, readListener } from "./options.ts";
import type { Role } from "./policy.ts";
import { readRole, ROLES } from "./roles.ts";
import { SETTING_NAMES, type SettingName, SETTINGS, type SettingValues } from "./settings.ts";
import { instead } from "./suggestion.ts";
import { TomlLines } from "./toml_lines.ts";

/** A file's content, read and checked. */
export interface Config {
  /** The settings that the file gives. */
  readonly values: Partial<SettingValues>;
  /** The listeners; may be none. */
  readonly listeners: readonly ListenerSettings[];
  /** The roles: the built-in ones and the file's own. */
  readonly roles: ReadonlyMap<string, Role>;
  /** What of the file contradicts itself when no flag is given; each with its line. */
  readonly conflicts: readonly string[];
}

/** The keys of the top level, in the order in which they are documented. */
export const CONFIG_KEYS: readonly string[] = [...SETTING_NAMES, "role", "listen"];

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
      this.#wrong(line, 'unknown key "__proto__"; remove it');
    }
    for (const line of this.#lines.repeated) {
      this.#wrong(line, "this key is given twice; give it once");
    }
    for (const key of Object.keys(table)) {
      if (CONFIG_KEYS.includes(key)) continue;
      this.#wrong(this.#lines.of(key), `unknown key "${key}"${instead(key, CONFIG_KEYS)}`);
    }
    const roles = new Map(ROLES);
    this.#each(table, "role", (form, where) => {
      const role = readRole(form, where);
      if (roles.has(role.name)) {
        throw new UsageError(`${where}: there is a role ${role.name} already`);
      }
      roles.set(role.name, role);
    });
    const values = this.#values(table);
    const listeners: ListenerSettings[] = [];
    /** The numbers of their tables: one that is wrong is not among the listeners. */
    const numbers: number[] = [];
    this.#each(table, "listen", (form, where, index) => {
      listeners.push(listenerOf(form, where, roles));
      numbers.push(index);
    });
    const lineOf = (place: Place): number => {
      if ("setting" in place) return this.#lines.of(place.setting);
      return this.#lineIn("listen", numbers[place.listener]!, place.option);
    };
    const found = [...conflicts(values, listeners)]
      .map(({ place, text }) => ({ line: lineOf(place), text }));
    if (this.#problems.length > 0) throw this.#error([...this.#problems, ...found]);
    return { values, listeners, roles, conflicts: this.#error(found).problems };
  }

  #error(problems: readonly { line: number; text: string }[]): ConfigError {
    const sorted = problems.toSorted((a, b) => a.line - b.line);
    return new ConfigError(sorted.map(({ line, text }) => `${this.#file}:${line}: ${text}`));
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
      throw new ConfigError([`${this.#file}:${line}: invalid TOML: ${text}`]);
    }
  }

  /** Finds what is invalid even by itself: the parser reports the line where it has given up. */
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

  /** Reads something; an error becomes a problem of its line. */
  #attempt<T>(lineOf: (option: string) => number, read: (where: string) => T): T | undefined {
    try {
      return read("");
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#wrong(lineOf(error.option ?? "address"), error.message.replace(/^: /, ""));
      return undefined;
    }
  }

  /** Reads the settings that the file gives. */
  #values(table: Table): Partial<SettingValues> {
    const given = SETTING_NAMES.filter((name) => name in table);
    const entries = given.map((name): [SettingName, unknown] => [
      name,
      this.#attempt(() => this.#lines.of(name), () => settingOf(name, table[name])),
    ]);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }

  /** Reads each table of an array of tables; an error is reported at the key, or the header. */
  #each(
    table: Table,
    key: string,
    read: (form: Table, where: string, index: number) => void,
  ): void {
    const forms = table[key] ?? [];
    if (!Array.isArray(forms)) {
      return this.#wrong(this.#lines.of(key), `${key} is a single table; begin it with [[${key}]]`);
    }
    for (const [index, form] of forms.entries()) {
      this.#attempt(
        (option) => this.#lineIn(key, index, option),
        (where) => read(form, where, index),
      );
    }
  }

  #lineIn(table: string, index: number, key: string): number {
    return this.#lines.inTable(table, index, key) ?? this.#lines.ofTable(table, index);
  }
}

/** A parser's error: its text, and the line it is about. */
function syntaxError(error: unknown): { line: number; text: string } {
  if (!(error instanceof Error)) throw error;
  const [, line, text] = /^Parse error on line (\d+), column \d+: (.*)$/s.exec(error.message) ?? [];
  return { line: Number(line ?? 1), text: text ?? error.message };
}

/** A setting's value; @throws UsageError for an invalid one */
function settingOf(name: SettingName, value: unknown): unknown {
  const { readFile, expected } = SETTINGS[name];
  try {
    const read = readFile(value);
    if (read !== undefined) return read;
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${name}: ${error.message}`);
    throw error;
  }
  throw new UsageError(`invalid value ${JSON.stringify(value)} for ${name}: expected ${expected}`);
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
  if (typeof address !== "string") {
    throw new UsageError(
      `invalid value ${JSON.stringify(address)} for address: expected text in quotes`,
    );
  }
  const pairs = Object.entries(options).map(([key, value]) =>
    [key, optionText(key, value)] as const
  );
  return readListener(address, pairs, where, roles);
}

/** An option's value as the command line has it. */
function optionText(key: string, value: unknown): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) {
    return value.join("+");
  }
  if (typeof value === "string") return value;
  // A number belongs to a limit; of an unknown option the name is reported, whatever its value.
  const isNamed = OPTION_NAMES.some((name) => name === key);
  if (typeof value === "number" && !isNamed) return String(value);
  throw new UsageError(
    `invalid value ${JSON.stringify(value)} for ${key}: ` +
      "expected text, true, false or a list of texts",
    key,
  );
}
