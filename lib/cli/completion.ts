/**
 * `qmpmux completion`: what a shell needs to complete the command line.
 *
 * Each script is made of the table in `manual.ts` and needs no qmpmux while it
 * completes. The way of a shell is in its own words; what there is to say is not.
 *
 * @module
 */

import type { ExitStatus } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { UsageError } from "../policy/address.ts";
import { LIMIT_NAMES } from "../policy/limits.ts";
import { OPTION_NAMES, type OptionRow, OPTIONS } from "../config/options.ts";
import { instead } from "../policy/suggestion.ts";
import { readFlags } from "./flags.ts";
import { showHelp } from "./help.ts";
import { type Flag, GLOBAL_FLAGS, type Subcommand, SUBCOMMANDS } from "./command_table.ts";

const SCRIPTS: Readonly<Record<string, () => string>> = { bash, zsh, fish };

/**
 * Runs `qmpmux completion`.
 *
 * @throws UsageError
 */
export function runCompletion(args: string[]): ExitStatus {
  const given = readFlags("completion", args);
  if (given.help) return showHelp("completion");
  const [shell] = given.operands;
  if (shell === undefined) {
    throw new UsageError("completion: the shell is missing; see qmpmux completion --help");
  }
  print(completionText(shell).trimEnd());
  return 0;
}

/**
 * The script for a shell.
 *
 * @throws UsageError where there is none
 */
export function completionText(shell: string): string {
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script) return script();
  throw new UsageError(
    `completion: unknown shell "${shell}"${instead(shell, Object.keys(SCRIPTS))}`,
  );
}

/** What an address can begin with; a path too. */
const FORMS = ["unix:", "unix-abstract:", "tcp:"];
/** What `--listen` takes besides. */
const PASSED = "fd:";

const COMMANDS: readonly (readonly [name: string, row: Subcommand])[] = Object.entries(SUBCOMMANDS);
const OPTION_KEYS = [...OPTION_NAMES, ...LIMIT_NAMES].map((name) => `${name}=`);

/** The options of a listener whose values are few, with them. */
const WORDED: readonly (readonly [name: string, words: readonly string[]])[] = OPTION_NAMES.flatMap(
  (name) => {
    const { words }: OptionRow = OPTIONS[name];
    return words ? [[name, words] as const] : [];
  },
);

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bash(): string {
  const flags = COMMANDS.map(([name, { flags, operands = [] }]) => {
    const words = operands.flatMap(({ words = [] }) => words);
    const names = [...Object.keys(flags).map((flag) => `--${flag}`), "--help"];
    const rest = words.length > 0 ? words.join(" ") : "";
    return `    ${name}) flags="${names.join(" ")}" rest="${rest}" ;;`;
  });
  const values = COMMANDS.flatMap(([name, { flags }]) =>
    Object.entries(flags).flatMap(([flag, row]) => {
      const act = bashValue(row);
      const patterns = [`--${flag}`, ...shortOf(row)].map((each) => `"${name} ${each}"`);
      return act === undefined ? [] : [`    ${patterns.join(" | ")}) ${act} ;;`];
    })
  );
  const globals = GLOBAL_FLAGS.map(({ name }) => `--${name}`).join(" ");
  const options = WORDED.map(([name, words]) =>
    `    ${name}=*) _qmpmux_words "$before$name=" "\${last#*=}" ${words.join(" ")} ;;`
  );
  return `# Completions of qmpmux for bash, made by: qmpmux completion bash

# Adds those of some words that begin as the second argument does, behind the first.
_qmpmux_words() {
  local before=$1 begin=$2 each
  shift 2
  for each; do
    [[ $each == "$begin"* ]] && COMPREPLY+=("$before$each")
  done
}

# Adds files, behind the first argument.
_qmpmux_files() {
  local each
  compopt -o filenames 2>/dev/null
  while IFS= read -r each; do
    COMPREPLY+=("$1$each")
  done < <(compgen -f -- "$2")
}

# Adds addresses: of a file, or what one can begin with.
_qmpmux_address() {
  case $1 in
    unix:*) _qmpmux_files unix: "\${1#unix:}" ;;
    */* | .*) _qmpmux_files "" "$1" ;;
    *)
      _qmpmux_words "" "$@"
      if ((\${#COMPREPLY[@]})); then
        compopt -o nospace 2>/dev/null
      else
        _qmpmux_files "" "$1"
      fi
      ;;
  esac
}

# Adds an address with the options of a listener.
_qmpmux_listener() {
  local before=\${1%"\${1##*,}"} last=\${1##*,} name
  if [[ $1 != *,* ]]; then
    _qmpmux_address "$@"
    return
  fi
  compopt -o nospace 2>/dev/null
  name=\${last%%=*}
  case $last in
${options.join("\n")}
    *=*) ;;
    *) _qmpmux_words "$before" "$last" ${OPTION_KEYS.join(" ")} ;;
  esac
}

_qmpmux() {
  local line=\${COMP_LINE:0:COMP_POINT} words word value head="" flag="" flags="" rest="" cut i
  COMPREPLY=()
  # bash's own words are split at = and : too, which addresses and options have.
  read -r -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  word=\${words[\${#words[@]} - 1]}
  if ((\${#words[@]} <= 2)); then
    _qmpmux_words "" "$word" ${COMMANDS.map(([name]) => name).join(" ")}
    [[ $word == -* ]] && _qmpmux_words "" "$word" ${globals}
    return
  fi
  case \${words[1]} in
${flags.join("\n")}
    *) return ;;
  esac
  if [[ $word == --*=* ]]; then
    flag=\${word%%=*} value=\${word#*=} head=$flag=
  else
    flag=\${words[\${#words[@]} - 2]} value=$word
  fi
  case "\${words[1]} $flag" in
${values.join("\n")}
    *)
      # Word splitting is wanted.
      # shellcheck disable=SC2086
      if [[ $head ]]; then
        return
      elif [[ $word == -* ]]; then
        _qmpmux_words "" "$word" $flags
      else
        _qmpmux_words "" "$word" $rest
      fi
      ;;
  esac
  # What bash takes for the word begins behind the last of its own breaks.
  cut=$word
  while [[ $cut && ( $cut != *[=:] || $COMP_WORDBREAKS != *"\${cut: -1}"* ) ]]; do cut=\${cut%?}; done
  for i in "\${!COMPREPLY[@]}"; do
    COMPREPLY[i]=$head\${COMPREPLY[i]}
    COMPREPLY[i]=\${COMPREPLY[i]#"$cut"}
  done
}

complete -F _qmpmux qmpmux
`;
}

/** A flag's letter behind a hyphen, if it has one. */
function shortOf({ short }: Flag): string[] {
  return short === undefined ? [] : [`-${short}`];
}

/** How bash completes a flag's value; a switch has none. */
function bashValue({ value, words = [], kind }: Flag): string | undefined {
  if (value === undefined) return undefined;
  const own = words.length > 0 ? [`_qmpmux_words "" "$value" ${words.join(" ")}`] : [];
  if (kind === "file") return [...own, '_qmpmux_files "" "$value"'].join("; ");
  if (kind !== undefined) return `_qmpmux_${kind} "$value" ${formsOf(kind).join(" ")}`;
  return own[0] ?? ":";
}

function formsOf(kind: Flag["kind"]): string[] {
  return kind === "listener" ? [...FORMS, PASSED] : FORMS;
}

function zsh(): string {
  const subcommands = COMMANDS.map(([name, { summary }]) =>
    `        ${quoted(`${name}:${summary}`)}`
  );
  const globals = GLOBAL_FLAGS.map(({ name, short, help }) =>
    `    '(- *)'{-${short},--${name}}${quoted(`[${zshText(help)}]`)} \\`
  );
  const cases = COMMANDS.map(([name, { flags, operands = [] }]) => {
    const specs = Object.entries(flags).map(([flag, row]) => zshFlag(flag, row));
    specs.push("'(- *)'{-h,--help}'[its help]'");
    for (const { value, words = [], many } of operands) {
      // With an empty list, unlike with nothing, flags are completed all the same.
      const action = `(${words.join(" ")})`;
      specs.push(quoted(`${many ? "*" : ""}:${zshText(value)}:${action}`));
    }
    const lines = specs.map((spec) => `            ${spec}`).join(" \\\n");
    return `        ${name})\n          _arguments \\\n${lines} && ret=0\n          ;;`;
  });
  const options = WORDED.map(([name, words]) =>
    `  elif compset -P ${quoted(`${name}=`)}; then\n    compadd -S '' -- ${words.join(" ")}`
  );
  return `#compdef qmpmux
# Completions of qmpmux for zsh, made by: qmpmux completion zsh

# An address: of a file, or what one can begin with.
_qmpmux_address() {
  if compset -P unix: || [[ $PREFIX == */* || $PREFIX == .* ]]; then
    _files
  else
    compadd -S '' -- ${FORMS.join(" ")} "$@" || _files
  fi
}

# An address with the options of a listener.
_qmpmux_listener() {
  if ! compset -P '*,'; then
    _qmpmux_address ${PASSED}
${options.join("\n")}
  elif [[ $PREFIX != *=* ]]; then
    compadd -S '' -- ${OPTION_KEYS.join(" ")}
  fi
}

_qmpmux() {
  local curcontext=$curcontext state line ret=1
  typeset -A opt_args
  _arguments -C \\
${globals.join("\n")}
    ':subcommand:->subcommand' \\
    '*::argument:->argument' && ret=0
  case $state in
    subcommand)
      local -a subcommands=(
${subcommands.join("\n")}
      )
      _describe -t commands subcommand subcommands && ret=0
      ;;
    argument)
      case $words[1] in
${cases.join("\n")}
      esac
      ;;
  esac
  return ret
}

if [[ $funcstack[1] == _qmpmux ]]; then
  _qmpmux "$@"
else
  compdef _qmpmux qmpmux
fi
`;
}

/** A flag as zsh's `_arguments` takes it. */
function zshFlag(name: string, row: Flag): string {
  const { value, words = [], kind, many, short, help } = row;
  const told = `[${zshText(help)}]`;
  const head = `${many ? "*" : ""}--${name}`;
  if (value === undefined) return quoted(`${head}${told}`);
  const action = kind === "file"
    ? words.length > 0 ? `{compadd -- ${words.join(" ")}; _files}` : "_files"
    : kind !== undefined
    ? `_qmpmux_${kind}`
    : words.length > 0
    ? `(${words.join(" ")})`
    : "";
  const rest = `${told}:${zshText(value)}:${action}`;
  if (short === undefined) return quoted(`${head}=${rest}`);
  return `'(-${short} --${name})'{-${short}+,--${name}=}${quoted(rest)}`;
}

/** What means something in the specifications of `_arguments`, made to mean itself. */
function zshText(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&");
}

function fish(): string {
  const subcommands = COMMANDS.map(([name, { summary }]) =>
    `complete -c qmpmux -n __qmpmux_first -a ${name} -d ${fishQuoted(summary)}`
  );
  const globals = GLOBAL_FLAGS.map(({ name, short, help }) =>
    `complete -c qmpmux -n __qmpmux_first -s ${short} -l ${name} -d ${fishQuoted(help)}`
  );
  const flags = COMMANDS.flatMap(([name, { flags, operands = [] }]) => {
    const begin = `complete -c qmpmux -n '__qmpmux_in ${name}'`;
    const words = operands.flatMap(({ words = [] }) => words);
    return [
      "",
      ...Object.entries(flags).map(([flag, row]) =>
        `${begin}${row.short === undefined ? "" : ` -s ${row.short}`} -l ${flag}${
          fishValue(row)
        } -d ${fishQuoted(row.help)}`
      ),
      `${begin} -s h -l help -d 'its help'`,
      ...words.map((word) => `${begin} -a ${word}`),
    ];
  });
  const options = WORDED.map(([name, words]) =>
    `        case '${name}=*'\n            printf '%s\\n' {$before}${name}={${words.join(",")}}`
  );
  return `# Completions of qmpmux for fish, made by: qmpmux completion fish

# Is the subcommand still to come?
function __qmpmux_first
    test (count (commandline -opc)) -eq 1
end

# Is this the subcommand?
function __qmpmux_in
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = $argv[1]
end

# What of the flag's value is there.
function __qmpmux_value
    commandline -ct | string replace -r '^--[a-z-]+=' ''
end

# Addresses: of a file, or what one can begin with.
function __qmpmux_address
    set -l value (__qmpmux_value)
    switch "$value"
        case 'unix:*' '*/*' '.*'
            set -l path (string replace -r '^unix:' '' -- $value)
            set -l before (string replace -r '^(unix:)?.*' '$1' -- $value)
            for file in $path*
                test -d $file; and echo $before$file/; or echo $before$file
            end
        case '*'
            set -l forms ${FORMS.join(" ")} $argv
            if string match -q -- "$value*" $forms
                printf '%s\\n' $forms
            else
                for file in $value*
                    test -d $file; and echo $file/; or echo $file
                end
            end
    end
end

# An address with the options of a listener.
function __qmpmux_listener
    set -l value (__qmpmux_value)
    set -l before (string replace -r '[^,]*$' '' -- $value)
    set -l last (string replace -r '.*,' '' -- $value)
    if test -z "$before"
        __qmpmux_address ${PASSED}
        return
    end
    switch "$last"
${options.join("\n")}
        case '*=*'
        case '*'
            printf '%s\\n' $before{${OPTION_KEYS.join(",")}}
    end
end

complete -c qmpmux -f
${[...subcommands, ...globals, ...flags].join("\n")}
`;
}

function fishQuoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

/** How fish completes a flag's value. */
function fishValue({ value, words = [], kind }: Flag): string {
  if (value === undefined) return "";
  const own = words.length > 0 ? ` -a '${words.join(" ")}'` : "";
  if (kind === "file") return ` -r -F${own}`;
  return kind === undefined ? ` -x${own}` : ` -x -a '(__qmpmux_${kind})'`;
}
