/**
 * `qmpmux completion`: scripts that make a shell call `qmpmux __complete`, and its output.
 *
 * A script passes the words up to the cursor, and reads one candidate per line. It adds
 * no space after a candidate that ends with `=`, `:`, `/`, `,` or `.`, because more follows.
 * `__complete` reports no errors: if something fails, it prints no candidates.
 *
 * @module
 */

import type { ExitStatus } from "../platform/failure.ts";
import { UsageError } from "../policy/usage_error.ts";
import { instead } from "../policy/suggestion.ts";
import { OPTIONS } from "../config/options.ts";
import type { CompletionKind } from "../config/value_kinds.ts";
import { print } from "../platform/output.ts";
import { pathsFrom } from "../platform/paths.ts";
import type { Address } from "../policy/address.ts";
import { isTemplate } from "../policy/vm_template.ts";
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
import { argumentsFor } from "./completion_arguments.ts";
import { namesOf, rowsOf } from "./completion_names.ts";
import { administrationOf, type Given, readFlags, socketOf } from "./flags.ts";
import type { Row } from "./table.ts";

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# Completions of qmpmux for bash, made by: qmpmux completion bash

_qmpmux() {
  local line=\${COMP_LINE:0:COMP_POINT} word='' begun='' cut='' quote='' open='' char each i
  local -a words=()
  COMPREPLY=()
  # The words are read here: bash also splits them at = and :, which occur in addresses and options.
  # It replaces only the part after the last of its own word breaks, or after a quote that is open.
  for ((i = 0; i < \${#line}; i++)); do
    char=\${line:i:1}
    if [[ $quote && $char == "$quote" ]]; then
      quote=''
    elif [[ $char == \\\\ && $quote != \\' ]]; then
      char=\${line:$((++i)):1}
      [[ $quote && $char != [\\"\\\\\\$\\\`] ]] && word+=\\\\
      word+=$char begun=1
    elif [[ $quote ]]; then
      word+=$char
    elif [[ $char == [\\"\\'] ]]; then
      quote=$char begun=1 open=$word
    elif [[ $char == [[:space:]] ]]; then
      [[ $begun ]] && words+=("$word")
      word='' cut='' begun=''
    else
      word+=$char begun=1
      [[ $char == [=:] && $COMP_WORDBREAKS == *"$char"* ]] && cut=$word
    fi
  done
  [[ $quote ]] && cut=$open
  while IFS=$'\\t' read -r each _; do
    [[ $each == *[=:/,.] ]] && compopt -o nospace 2>/dev/null
    each=\${each#"$cut"}
    case $quote in
      \\') [[ $each == *\\'* ]] && continue ;;
      \\")
        each=\${each//\\\\/\\\\\\\\} each=\${each//\\"/\\\\\\"}
        each=\${each//\\$/\\\\\\$} each=\${each//\\\`/\\\\\\\`}
        ;;
      *) [[ $each == *[!A-Za-z0-9_./:=,@%+-]* ]] && printf -v each %q "$each" ;;
    esac
    COMPREPLY+=("$each")
  done < <("\${words[0]}" __complete "\${words[@]:1}" "$word" 2>/dev/null)
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
    [[ $value == *[=:/,.] ]] && open+=("$each") || closed+=("$each")
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

/** The time for a monitor's replies: a user who has pressed tab waits for them. */
const PATIENCE_MS = 100;

/** The prefixes of an address; the last is for listeners only. */
const FORMS = ["unix:", "unix-abstract:", "tcp:", "fd:"];

/** A word that can replace the last word of the command line, and its help. */
export type Candidate = readonly [word: string, ...help: string[]];

/** The begun value, and the words before it. */
interface Place {
  /** The beginning of the value. */
  readonly begun: string;
  /** The subcommand. */
  readonly command: SubcommandName;
  /** The time for a monitor's replies in milliseconds. */
  readonly patience: number;
  /** Returns the flags and operands before it. */
  given(): Given;
}

/** A function that returns the candidates for a value. */
type Finder = (place: Place) => readonly Candidate[] | Promise<readonly Candidate[]>;

const KINDS: Readonly<Record<CompletionKind, Finder>> = {
  file: ({ begun }) => pathsFrom(begun, false).map((path) => [path]),
  address: ({ begun }) => addresses(begun, FORMS.slice(0, -1)),
  listener: listeners,
  command: async (place) => {
    if (place.command !== "can") return await askedMonitor(place, "query-commands");
    // The schema has the commands that the listener's role refuses too.
    const found = await orNone(() => askedMonitor(place, "query-qmp-schema", nameIf("command")));
    return found.length > 0 ? found : await knownCommands();
  },
  argument: async (place) => {
    const { given, patience, begun } = place;
    const [name, ...earlier] = given().operands;
    if (begun.startsWith("@")) return pathsFrom(begun.slice(1), false).map((path) => [`@${path}`]);
    if (name === undefined || begun.startsWith("{")) return [];
    const schema = await rowsOf("query-qmp-schema", await monitorOf(place), patience);
    return argumentsFor(schema, name, earlier, begun);
  },
  job: (place) => askedMonitor(place, "query-jobs", ({ id }) => id),
  client: (place) => askedAdministrator(place, "query-clients"),
  vm: (place) => askedAdministrator(place, "query-status", ({ vm }) => vm),
  role: (place) => roles(place),
  event: async (place) => {
    const found = await orNone(() => askedMonitor(place, "query-qmp-schema", nameIf("event")));
    return found.length > 0 ? found : EVENT_NAMES.map((name) => [name]);
  },
};

/** Returns a function that returns the name of a row of the schema, if the row is of a kind. */
function nameIf(kind: "command" | "event"): (row: Row) => unknown {
  return (row) => row["meta-type"] === kind ? row["name"] : undefined;
}

/**
 * Returns the monitor to ask: that on the command line, a listener of the configuration file there, or
 * that of the environment.
 *
 * @throws Error if there is none
 */
async function monitorOf({ command, given }: Place): Promise<Address> {
  const file = command === "can" ? given().one("config") : undefined;
  if (file === undefined) return socketOf(command, given());
  const { readConfigFileNow } = await import("../platform/config_file.ts");
  for (const { address } of readConfigFileNow(file).listeners) {
    if (address.transport !== "fd" && !isTemplate(address)) return address;
  }
  return socketOf(command, given());
}

/** Returns names that the monitor on the command line reports; @throws Error if it does not answer */
async function askedMonitor(
  place: Place,
  ask: string,
  nameOf?: (row: Row) => unknown,
): Promise<readonly Candidate[]> {
  const names = await namesOf(ask, await monitorOf(place), place.patience, nameOf);
  return names.map((name) => [name]);
}

/** Returns names that a qmpmux reports to administrators; @throws Error if it does not answer */
async function askedAdministrator(
  { command, given, patience }: Place,
  ask: string,
  nameOf?: (row: Row) => unknown,
): Promise<readonly Candidate[]> {
  const address = administrationOf(command, given());
  const names = await namesOf(`__org.qmpmux_${ask}`, address, patience, nameOf);
  return names.map((name) => [name]);
}

/** Returns the commands of all known versions of QEMU. */
async function knownCommands(): Promise<readonly Candidate[]> {
  const { operatorRows } = await import("../policy/operator_role.ts");
  return [...operatorRows().keys()].map((name) => [name]);
}

/** The first word after `__complete` that sets the time for a monitor's replies; the scripts give none. */
const WITHIN = /^--within=(\d{1,6})$/;

/**
 * Prints the candidates for the last word, one per line, each followed by a tab and its help.
 *
 * A shell asks while a user types: an error is not reported there, whatever it is.
 */
export async function runComplete(words: readonly string[]): Promise<0> {
  const [, time] = WITHIN.exec(words[0] ?? "") ?? [];
  const rest = time === undefined ? words : words.slice(1);
  await orNone(async () => {
    const found = await candidates(rest, time === undefined ? PATIENCE_MS : Number(time));
    const lines = found.filter(([word]) => !/\p{Cc}/u.test(word)).map((each) => each.join("\t"));
    if (lines.length > 0) print(lines.join("\n"));
    return [];
  });
  return 0;
}

/**
 * Returns the candidates for the last word of a command line.
 *
 * @param words the words without the program's name
 * @param patience the time for a monitor's replies in milliseconds
 */
export async function candidates(
  words: readonly string[],
  patience = PATIENCE_MS,
): Promise<readonly Candidate[]> {
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
    const place: Place = { begun, command, patience, given };
    const found = await orNone(async () => kind ? await KINDS[kind](place) : []);
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
  const rest = operands.at(-1)?.many ? operands.at(-1) : undefined;
  return await valuesOf(operands[earlier.length] ?? rest ?? {}, last);
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

async function listeners(place: Place): Promise<readonly Candidate[]> {
  const { begun } = place;
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
    ? (await roles(place)).map(([name]) => name)
    : rows[key]?.words ?? [];
  return words.map((word) => [`${head}${key}=${word}`]);
}

/** Returns the built-in roles and those of the configuration file, if the command line names one. */
async function roles({ given }: Place): Promise<readonly Candidate[]> {
  const ofFile = await orNone(async () => {
    const { readConfigFileNow } = await import("../platform/config_file.ts");
    return [...readConfigFileNow(given().one("config")!).roles.keys()];
  });
  return [...new Set([...OPTIONS.role.words, ...ofFile])].map((name) => [name]);
}
