/**
 * `qmpmux completion`: scripts that make a shell call `qmpmux __complete`, and its output.
 *
 * A script passes the words up to the cursor, and reads one candidate per line. It adds
 * no space after a candidate that ends with `=`, `:`, `/` or `,`, because more follows.
 * `__complete` reports no errors: if something fails, it prints no candidates.
 *
 * @module
 */

import { withTimeout } from "../platform/clock.ts";
import type { ExitStatus } from "../platform/failure.ts";
import { UsageError } from "../policy/usage_error.ts";
import { instead } from "../policy/suggestion.ts";
import { OPTIONS } from "../config/options.ts";
import type { CompletionKind } from "../config/value_kinds.ts";
import { connect } from "../client/qmp.ts";
import { print } from "../platform/output.ts";
import { pathsFrom } from "../platform/paths.ts";
import { type Address, addressText } from "../policy/address.ts";
import { EVENT_NAMES } from "../policy/event_filter.ts";
import { LIMITS } from "../policy/limits.ts";
import {
  type Flag,
  GLOBAL_FLAGS,
  isSubcommand,
  type Subcommand,
  type SubcommandName,
  SUBCOMMANDS,
} from "./command_table.ts";
import { administrationOf, type Given, readFlags, socketOf } from "./flags.ts";

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# Completions of qmpmux for bash, made by: qmpmux completion bash

_qmpmux() {
  local line=\${COMP_LINE:0:COMP_POINT} words cut each
  COMPREPLY=()
  # bash also splits words at = and :, which occur in addresses and options.
  # shellcheck disable=SC2162
  read -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cut=\${words[\${#words[@]} - 1]}
  # bash replaces only the part after the last of its own word breaks.
  while [[ $cut && ( $cut != *[=:] || $COMP_WORDBREAKS != *"\${cut: -1}"* ) ]]; do cut=\${cut%?}; done
  while IFS=$'\\t' read -r each _; do
    [[ $each == *[=:/,] ]] && compopt -o nospace 2>/dev/null
    each=\${each#"$cut"}
    [[ $each == *[!A-Za-z0-9_./:=,@%+-]* ]] && printf -v each %q "$each"
    COMPREPLY+=("$each")
  done < <("\${words[0]}" __complete "\${words[@]:1}" 2>/dev/null)
}

complete -F _qmpmux qmpmux
`,
  zsh: `#compdef qmpmux
# Completions of qmpmux for zsh, made by: qmpmux completion zsh

_qmpmux() {
  local each value help ret=1
  local -a closed open
  while IFS=$'\\t' read -r value help; do
    each=\${value//:/\\\\:}\${help:+:$help}
    [[ $value == *[=:/,] ]] && open+=("$each") || closed+=("$each")
  done < <("\${(Q)words[1]}" __complete "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)
  _describe -V qmpmux open -S '' && ret=0
  _describe -V qmpmux closed && ret=0
  return ret
}

if [[ $funcstack[1] == _qmpmux ]]; then
  _qmpmux "$@"
else
  compdef _qmpmux qmpmux
fi
`,
  fish: `# Completions of qmpmux for fish, made by: qmpmux completion fish

function __qmpmux_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct | string unescape)
    $words[1] __complete $words[2..] "$last" 2>/dev/null
end

complete -c qmpmux -f -a '(__qmpmux_complete)'
`,
};

/**
 * Runs `qmpmux completion`.
 *
 * @throws UsageError
 */
export function runCompletion(given: Given): ExitStatus {
  const [shell] = given.operands;
  if (shell === undefined) {
    throw new UsageError("completion: the shell is missing; see qmpmux completion --help");
  }
  print(completionText(shell).trimEnd());
  return 0;
}

/**
 * Returns the script for a shell.
 *
 * @throws UsageError if the shell is unknown
 */
export function completionText(shell: string): string {
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script) return script;
  throw new UsageError(
    `completion: unknown shell "${shell}"${instead(shell, Object.keys(SCRIPTS))}`,
  );
}

/** The timeout for a monitor's reply. */
const PATIENCE_MS = 300;

/** The prefixes of an address; the last is for listeners only. */
const FORMS = ["unix:", "unix-abstract:", "tcp:", "fd:"];

/** A word that can replace the last word of the command line, and its help. */
export type Candidate = readonly [word: string, ...help: string[]];

/** A function that returns the candidates for a value; `given` returns the flags and operands before it. */
type Finder = (begun: string, command: SubcommandName, given: () => Given) =>
  | readonly Candidate[]
  | Promise<readonly Candidate[]>;

const KINDS: Readonly<Record<CompletionKind, Finder>> = {
  file: (begun) => pathsFrom(begun, false).map((path) => [path]),
  address: (begun) => addresses(begun, FORMS.slice(0, -1)),
  listener: listeners,
  command: (_, command, given) => namesOf("query-commands", socketOf(command, given())),
  client: (_, command, given) =>
    namesOf("__org.qmpmux_query-clients", administrationOf(command, given())),
  vm: (_, command, given) =>
    namesOf("__org.qmpmux_query-status", administrationOf(command, given()), ({ vm }) => vm),
  role: (_begun, _command, given) => roles(given),
  event: async (_, command, given) => {
    const eventName = (row: Row): unknown => row["meta-type"] === "event" ? row["name"] : undefined;
    const found = await orNone(() =>
      namesOf("query-qmp-schema", socketOf(command, given()), eventName)
    );
    return found.length > 0 ? found : EVENT_NAMES.map((name) => [name]);
  },
};

/** Prints the candidates for the last word, one per line, each followed by a tab and its help. */
export async function runComplete(words: readonly string[]): Promise<0> {
  const found = await candidates(words);
  const lines = found.filter(([word]) => !/\p{Cc}/u.test(word)).map((each) => each.join("\t"));
  if (lines.length > 0) print(lines.join("\n"));
  return 0;
}

/** Returns the candidates for the last word of a command line, which is given without the program's name. */
export async function candidates(words: readonly string[]): Promise<readonly Candidate[]> {
  const [command = "", ...before] = words;
  const last = before.pop();
  if (last === undefined) {
    const globals = GLOBAL_FLAGS.map(({ name, help }): Candidate => [`--${name}`, help]);
    const names = Object.entries(SUBCOMMANDS).map(([name, { summary }]) =>
      [name, summary] as const
    );
    return beginning(command, command.startsWith("-") ? globals : names);
  }
  if (!isSubcommand(command)) return [];
  const { flags, operands = [] }: Subcommand = SUBCOMMANDS[command];
  const valued = (word = ""): Flag | undefined =>
    Object.entries(flags).find(([name, { short, value }]) =>
      value !== undefined && (word === `--${name}` || word === `-${short}`)
    )?.[1];
  const valuesOf = async ({ words = [], kind }: Pick<Flag, "words" | "kind">, begun: string) => {
    const given = (): Given => readFlags(command, before);
    const found = await orNone(async () => kind ? await KINDS[kind](begun, command, given) : []);
    return beginning(begun, [...words.map((word): Candidate => [word]), ...found]);
  };
  const [, head, begun = ""] = /^(--[^=]+)=(.*)$/s.exec(last) ?? [];
  if (head !== undefined) {
    const found = await valuesOf(valued(head) ?? {}, begun);
    return found.map(([word, ...help]): Candidate => [`${head}=${word}`, ...help]);
  }
  const flag = valued(before.at(-1));
  if (flag !== undefined) {
    before.pop();
    return await valuesOf(flag, last);
  }
  if (last.startsWith("-")) {
    const named = Object.entries(flags).map(([name, { help }]): Candidate => [`--${name}`, help]);
    return beginning(last, [...named, ["--help", "print this help"]]);
  }
  const earlier = before.filter((word, i) => !word.startsWith("-") && !valued(before[i - 1]));
  return await valuesOf(operands[earlier.length] ?? {}, last);
}

/** Returns the result of a function, or an empty list if it fails. */
async function orNone<T>(run: () => Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await run();
  } catch {
    return [];
  }
}

function beginning(begun: string, candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.filter(([word]) => word.startsWith(begun));
}

/** Returns the forms of an address that begin with a text; if there are none, paths. */
function addresses(begun: string, forms: readonly string[]): readonly Candidate[] {
  const fitting = beginning(begun, forms.map((form) => [form]));
  if (fitting.length > 0) return fitting;
  const scheme = begun.startsWith("unix:") ? "unix:" : "";
  return pathsFrom(begun.slice(scheme.length), true).map((path) => [`${scheme}${path}`]);
}

async function listeners(
  begun: string,
  _command: SubcommandName,
  given: () => Given,
): Promise<readonly Candidate[]> {
  const end = begun.lastIndexOf(",") + 1;
  if (end === 0) return addresses(begun, FORMS);
  const [head, [key = "", value]] = [begun.slice(0, end), begun.slice(end).split("=")];
  const rows: Readonly<Record<string, { help: string; words?: readonly string[] }>> = {
    ...OPTIONS,
    ...LIMITS,
  };
  if (value === undefined) {
    return Object.entries(rows).map(([name, { help }]) => [`${head}${name}=`, help]);
  }
  const words = key === "role"
    ? (await roles(given)).map(([name]) => name)
    : rows[key]?.words ?? [];
  return words.map((word) => [`${head}${key}=${word}`]);
}

/** Returns the built-in roles and those of the configuration file, if the command line names one. */
async function roles(given: () => Given): Promise<readonly Candidate[]> {
  const ofFile = await orNone(async () => {
    const { readConfigFile } = await import("../platform/config_file.ts");
    return [...readConfigFile(given().one("config")!).roles.keys()];
  });
  return [...new Set([...OPTIONS.role.words, ...ofFile])].map((name) => [name]);
}

type Row = Readonly<Record<string, unknown>>;

/**
 * Returns names that a monitor reports; none if it does not reply in time.
 *
 * @param ask a command that returns an object, or a list of them
 * @param nameOf returns the name in an object, if it is wanted
 */
async function namesOf(
  ask: string,
  address: Address,
  nameOf = ({ name }: Row): unknown => name,
): Promise<readonly Candidate[]> {
  const answer = async (): Promise<readonly Row[]> => {
    await using qmp = await connect(addressText(address), { timeout: PATIENCE_MS });
    return [await qmp.execute(ask)].flat();
  };
  const rows = await withTimeout(PATIENCE_MS, answer(), []);
  const names = rows.map(nameOf).filter((name) => name !== undefined);
  return names.map((name) => [String(name)]);
}
