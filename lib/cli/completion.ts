/**
 * `qmpmux completion`: scripts that make a shell ask `qmpmux __complete`.
 *
 * Each hands over the words up to the cursor, and takes a candidate a line. Behind
 * one that ends with `=`, `:`, `/` or `,` something is still to come, so no space.
 *
 * @module
 */

import type { ExitStatus } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { UsageError } from "../policy/usage_error.ts";
import { instead } from "../policy/suggestion.ts";
import { readFlags } from "./flags.ts";
import { showHelp } from "./help.ts";

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# Completions of qmpmux for bash, made by: qmpmux completion bash

_qmpmux() {
  local line=\${COMP_LINE:0:COMP_POINT} words cut each
  COMPREPLY=()
  # bash's own words are split at = and : too, which addresses and options have.
  # shellcheck disable=SC2162
  read -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cut=\${words[\${#words[@]} - 1]}
  # What bash takes for the word begins behind the last of its own breaks.
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
 * Returns the script for a shell.
 *
 * @throws UsageError where there is none
 */
export function completionText(shell: string): string {
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script) return script;
  throw new UsageError(
    `completion: unknown shell "${shell}"${instead(shell, Object.keys(SCRIPTS))}`,
  );
}
