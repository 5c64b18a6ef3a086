/**
 * The configuration file: the settings of the command line, in TOML.
 *
 * A file is for one QEMU. All its problems are reported at once, each with its
 * line. An unknown key is a problem.
 *
 * @module
 */

import { ConfigError, invalidValue, naming, UsageError } from "../policy/usage_error.ts";
import { conflicts, type SettingPlace } from "./conflicts.ts";
import { listenerOf, unknownKeys } from "./listener_form.ts";
import { KNOWN_OPTIONS, type ListenerSettings, unknownOption } from "./options.ts";
import { Role } from "../policy/policy.ts";
import type { RolePart } from "../policy/role_form.ts";
import { readOwnForm, ROLES } from "../policy/roles.ts";
import {
  SETTING_NAMES,
  type SettingName,
  SETTINGS,
  type SettingValues,
  VM_SETTING_NAMES,
  type VmTable,
} from "./settings.ts";
import { instead } from "../policy/suggestion.ts";
import { isVmName, VM_NAME_EXPECTED } from "../policy/vm_template.ts";
import { NotToml, type Table, TomlFile } from "./toml.ts";

/** A file's content, read and checked. */
export interface Config {
  /** The settings that the file gives. */
  readonly values: Partial<SettingValues>;
  /** The listeners; may be none. */
  readonly listeners: readonly ListenerSettings[];
  /** The VMs that it names; may be none. */
  readonly vms: readonly VmTable[];
  /** The roles: the built-in ones and the file's own. */
  readonly roles: ReadonlyMap<string, Role>;
  /** The contradictions within the file, without regard to flags; each with its line. */
  readonly conflicts: readonly string[];
  /** The users, groups and paths in the file that the host lacks, in the order of the file. */
  readonly lacks: readonly Lack[];
  /** The texts of both, in the order of the file. */
  readonly problems: readonly string[];
}

/** A user, group or path that the file names and the host lacks. */
export interface Lack {
  /** The setting, or the listener, that needs it. */
  readonly of: "listen" | "vm" | "metrics" | "audit" | "record";
  /** The text of the error, with its line. */
  readonly problem: string;
}

/** The lookups on the host: whether what a file names exists there. */
export interface Host {
  /** Returns the options that name a missing user or group, each with an error text. */
  missingNames(listener: ListenerSettings): Iterable<readonly [option: string, text: string]>;
  /** Returns why the audit cannot be written to a path; `undefined` if the file is writable or can be created. */
  auditProblem(place: string): string | undefined;
  /** Returns why a recording cannot be written to a path, likewise. */
  recordProblem(path: string): string | undefined;
}

/** A host on which nothing is looked up, so that nothing is missing. */
const ANY_HOST: Host = {
  missingNames: () => [],
  auditProblem: () => undefined,
  recordProblem: () => undefined,
};

/** The keys of the top level, in the order in which they are documented. */
export const CONFIG_KEYS: readonly string[] = [...SETTING_NAMES, "role", "listen"];

/** The keys of a VM, in the order in which they are documented. */
export const VM_KEYS: readonly string[] = ["name", "qemu", ...VM_SETTING_NAMES, "listen"];

/**
 * Reads a configuration file.
 *
 * @param text its content
 * @param file its name, for messages
 * @param host the host that the file is for; without it nothing is looked up
 * @throws ConfigError
 */
export function readConfig(text: string, file: string, host: Host = ANY_HOST): Config {
  try {
    return new Reader(new TomlFile(text), file, host).read();
  } catch (error) {
    if (error instanceof NotToml) {
      throw new ConfigError([`${file}:${error.line}: ${error.message}`]);
    }
    throw error;
  }
}

/** An error and its line. */
interface Problem {
  readonly line: number;
  readonly text: string;
}

/** The problems that are reported at most: clients are not served while more are looked for. */
const PROBLEMS_LIMIT = 1000;

function tooMany(line: number): Problem {
  return { line, text: "there may be more problems; correct these first" };
}

/** The thing that needs what the host lacks. */
type Lacking = Pick<Lack, "of">;

/** A function that returns the line of a key of one table; without a key, that of its header. */
type LineIn = (key?: string) => number;

class Reader {
  readonly #file: string;
  readonly #toml: TomlFile;
  readonly #host: Host;
  readonly #problems: Problem[] = [];

  constructor(toml: TomlFile, file: string, host: Host) {
    this.#toml = toml;
    this.#file = file;
    this.#host = host;
  }

  read(): Config {
    const { table } = this.#toml;
    for (const key of Object.keys(table)) {
      if (CONFIG_KEYS.includes(key)) continue;
      this.#wrong(this.#lineOf(key), `unknown key "${key}"${instead(key, CONFIG_KEYS)}`);
    }
    const roles = this.#roles(table);
    const values = this.#values(table);
    const [listeners, lines] = this.#listeners(table, roles);
    const forms: [form: Table, lineIn: LineIn, lines: readonly LineIn[]][] = [];
    const vms: VmTable[] = [];
    this.#each(table, "vm", (form, lineIn) => {
      const [own, lines] = this.#listeners(form, roles, lineIn);
      const vm = this.#vm(form, lineIn, own);
      if (vm === undefined) return;
      vms.push(vm);
      forms.push([form, lineIn, lines]);
    });
    const lineOf = (place: SettingPlace): number => {
      if ("setting" in place) return this.#lineOf(place.setting);
      const [, lineInVm, linesOfVm] = place.vm === undefined ? [] : forms[place.vm]!;
      if (!("listener" in place)) return lineInVm!(place.option);
      return (linesOfVm ?? lines)[place.listener]!(place.option);
    };
    const given = { ...values, listeners, vms };
    const found = [...conflicts(given).take(PROBLEMS_LIMIT)].filter(({ place, missing }) => {
      // A key that is present and invalid is reported already.
      const form = "vm" in place && place.vm !== undefined ? forms[place.vm]![0] : {};
      return missing === undefined || !(missing in form) && !(missing in table);
    }).map(({ place, text }) => ({ line: lineOf(place), text }));
    if (found.length >= PROBLEMS_LIMIT) {
      found.push(tooMany(found.reduce((last, { line }) => Math.max(last, line), 1)));
    }
    const lacks = [...this.#lacks(values, { listeners, vms }, lineOf)];
    if (this.#problems.length > 0) throw this.#error([...this.#problems, ...found, ...lacks]);
    return {
      values,
      listeners,
      vms,
      roles,
      conflicts: this.#error(found).problems,
      lacks: lacks.map((lack) => ({ of: lack.of, problem: this.#told(lack) })),
      problems: this.#error([...found, ...lacks]).problems,
    };
  }

  /** Finds what the file names and the host lacks, in the order of the file. */
  #lacks(
    { metrics, audit, record }: Partial<SettingValues>,
    { listeners, vms }: Pick<Config, "listeners" | "vms">,
    lineOf: (place: SettingPlace) => number,
  ): (Problem & Lacking)[] {
    const { missingNames, auditProblem, recordProblem } = this.#host;
    const lacksOf = (all: readonly ListenerSettings[], vm?: number): (Problem & Lacking)[] =>
      all.flatMap((each, listener) =>
        [...missingNames(each)].map(([option, text]) => {
          const place = vm === undefined ? { listener, option } : { vm, listener, option };
          return { of: vm === undefined ? "listen" : "vm", line: lineOf(place), text };
        })
      );
    const ofVms = vms.flatMap((each, vm) => lacksOf(each.listeners, vm));
    const ofMetrics = metrics === undefined ? [] : [...missingNames(metrics)].map(([, text]) => {
      return { of: "metrics" as const, line: lineOf({ setting: "metrics" }), text };
    });
    const ofFile = (setting: "audit" | "record", text: string | undefined): typeof ofVms =>
      text === undefined ? [] : [{ of: setting, line: lineOf({ setting }), text }];
    const ofAudit = ofFile("audit", audit && auditProblem(audit));
    const ofRecord = ofFile("record", record && recordProblem(record));
    return [...lacksOf(listeners), ...ofVms, ...ofMetrics, ...ofAudit, ...ofRecord]
      .toSorted((a, b) => a.line - b.line);
  }

  #error(problems: readonly Problem[]): ConfigError {
    const sorted = problems.toSorted((a, b) => a.line - b.line);
    return new ConfigError(sorted.map((problem) => this.#told(problem)));
  }

  #told({ line, text }: Problem): string {
    return `${this.#file}:${line}: ${text}`;
  }

  /** Notes a problem; @throws ConfigError if there are too many */
  #wrong(line: number, text: string): void {
    this.#problems.push({ line, text });
    if (this.#problems.length >= PROBLEMS_LIMIT) {
      throw this.#error([...this.#problems, tooMany(line)]);
    }
  }

  /** Calls `read`; a UsageError is reported at the line of its option. */
  #attempt<T>(lineOf: (option: string) => number, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#wrong(lineOf(error.option ?? "address"), error.message);
      return undefined;
    }
  }

  /** Reads the settings that the file gives. */
  #values(table: Table): Partial<SettingValues> {
    const isSetting = (name: SettingName): boolean => name !== "vm" || !isOfTables(table[name]);
    return this.#given(table, SETTING_NAMES.filter(isSetting), (name) => this.#lineOf(name));
  }

  /** Reads the given ones of some settings. */
  #given(
    table: Table,
    names: readonly SettingName[],
    lineOf: (name: string) => number,
  ): Partial<SettingValues> {
    const entries = names.filter((name) => name in table).map((name): [SettingName, unknown] => [
      name,
      this.#attempt(() => lineOf(name), () => settingOf(name, table[name])),
    ]);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }

  /** Reads a VM; `undefined` if it has no name that can be read. */
  #vm(
    form: Table,
    lineIn: LineIn,
    listeners: readonly ListenerSettings[],
  ): VmTable | undefined {
    for (const key of Object.keys(form)) {
      if (VM_KEYS.includes(key)) continue;
      const text = SETTING_NAMES.some((name) => name === key)
        ? `${key} is the same for all VMs; write it above all tables`
        : `unknown key "${key}"${instead(key, VM_KEYS)}`;
      this.#wrong(lineIn(key), text);
    }
    const { qemu, ...values } = this.#given(form, ["qemu", ...VM_SETTING_NAMES], lineIn);
    const { name } = form;
    if (name === undefined) throw new UsageError(`name is missing; write name = "NAME"`);
    if (typeof name === "string" && isVmName(name)) return { name, qemu, listeners, values };
    throw invalidValue(name, "name", VM_NAME_EXPECTED);
  }

  /** Reads the roles. An invalid role keeps its name, so that listeners with this role are not reported too. */
  #roles(table: Table): ReadonlyMap<string, Role> {
    const roles = new Map(ROLES);
    // `[role]` instead of `[[role]]` is reported below, and its name is never read.
    let hasNameless = !Array.isArray(table.role ?? []);
    this.#each(table, "role", (form, lineIn) => {
      const lineOf = (part: RolePart): number =>
        typeof part === "number" ? this.#toml.lineOf(form.rules, part)! : lineIn(part);
      const sourceOf = (rule: number): string => `${this.#file}:${lineOf(rule)}`;
      const { name, role, problems } = readOwnForm(form, sourceOf);
      for (const { part, text } of problems) this.#wrong(lineOf(part), text);
      if (name === undefined) hasNameless = true;
      if (name === undefined || ROLES.has(name)) return;
      if (roles.has(name)) {
        this.#wrong(lineOf("name"), `role ${name} is defined twice; choose another name`);
      } else {
        roles.set(name, role ?? emptyRole(name));
      }
    });
    return hasNameless ? new AnyRole(roles) : roles;
  }

  /** Reads the listeners of the top level or of a VM; also returns the lines of each. */
  #listeners(
    table: Table,
    roles: ReadonlyMap<string, Role>,
    ofVm?: LineIn,
  ): [listeners: readonly ListenerSettings[], lines: readonly LineIn[]] {
    const listeners: ListenerSettings[] = [];
    const lines: LineIn[] = [];
    this.#each(table, "listen", (form, lineIn) => {
      const listener = this.#listener(form, lineIn, roles);
      if (listener === undefined) return;
      listeners.push(listener);
      lines.push(lineIn);
    }, ofVm);
    return [listeners, lines];
  }

  /** Reads each table of an array of tables. An error is reported at its key, or at the table's header. */
  #each(
    table: Table,
    key: string,
    read: (form: Table, lineIn: LineIn) => void,
    ofVm?: LineIn,
  ): void {
    const forms = table[key] ?? [];
    // The key vm can also be the name of the only VM.
    if (key === "vm" && !isOfTables(forms)) return;
    if (!Array.isArray(forms)) {
      const header = ofVm === undefined ? key : `vm.${key}`;
      const line = ofVm?.(key) ?? this.#lineOf(key);
      return this.#wrong(line, `${key} is a single table; begin it with [[${header}]]`);
    }
    for (const [index, form] of forms.entries()) {
      const header = this.#toml.lineOf(forms, index)!;
      const lineIn: LineIn = (option = "") => this.#toml.lineOf(form, option) ?? header;
      this.#attempt(lineIn, () => read(form, lineIn));
    }
  }

  /**
   * Reads a listener. An invalid option is reported, and the listener is read again without it.
   *
   * @returns `undefined` if the listener is invalid without it too
   * @throws UsageError if the error is not in an option
   */
  #listener(
    form: Table,
    lineIn: LineIn,
    roles: ReadonlyMap<string, Role>,
  ): ListenerSettings | undefined {
    const unknown = unknownKeys(form);
    for (const key of unknown) this.#wrong(lineIn(key), unknownOption(key, KNOWN_OPTIONS).message);
    let left = unknown.length === 0 ? form : without(form, unknown);
    for (;;) {
      try {
        return listenerOf(left, roles);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        const { option } = error;
        if (option === undefined || !(option in left)) {
          // This error may only be a consequence of the option left out before.
          if (left !== form) return undefined;
          throw error;
        }
        this.#wrong(lineIn(option), error.message);
        left = without(left, [option]);
      }
    }
  }

  /** Returns the line of a key of the top level. */
  #lineOf(key: string): number {
    return this.#toml.lineOf(this.#toml.table, key) ?? 1;
  }
}

/** Returns a table without some of its keys. */
function without(form: Table, keys: readonly string[]): Table {
  const removed = new Set(keys);
  return Object.fromEntries(Object.entries(form).filter(([key]) => !removed.has(key)));
}

/** Roles of which one has no readable name. It may be the one a listener means, so every name is found. */
class AnyRole extends Map<string, Role> {
  override get(name: string): Role {
    return super.get(name) ?? emptyRole(name);
  }
}

/** Tells whether a value is a table, or an array, which may be one of tables. */
function isOfTables(value: unknown): boolean {
  return typeof value === "object" && value !== null && !(value instanceof Date);
}

function emptyRole(name: string): Role {
  return new Role({ name, rules: [], events: undefined, administers: false });
}

/** Reads a setting's value; @throws UsageError for an invalid one */
function settingOf(name: SettingName, value: unknown): unknown {
  const { readFile, expected } = SETTINGS[name];
  const read = naming<unknown>(name, () => readFile(value));
  if (read !== undefined) return read;
  throw invalidValue(value, name, expected);
}
