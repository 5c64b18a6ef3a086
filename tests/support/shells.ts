/**
 * Shells with the completions of qmpmux: a tab pressed after words.
 *
 * bash and zsh run in a terminal, and the words that the program then receives are returned. fish is
 * asked for its candidates.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { within } from "./deadline.ts";
import { programCommand } from "./qmpmux.ts";

const TYPIST = new URL("typist.py", import.meta.url).pathname;

/** The time that a monitor has in tests, which may run on a busy machine. */
export const WITHIN = "--within=60000";

/** Runs a command with lines as its input; returns the lines of its output. */
async function linesOf(command: string, args: string[], input: string[]): Promise<string[]> {
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input.map((line) => `${line}\n`).join("")));
  await writer.close();
  const { code, stdout } = await within(`${command} to end`, child.output());
  assertEquals(code, 0);
  return new TextDecoder().decode(stdout).split("\n").slice(0, -1);
}

/** A way to complete: the last word of each line that is typed, after a tab. */
export type Shell = (script: string, typed: string[]) => Promise<string[]>;

/** Returns the longest common prefix of the candidates. */
export function commonBeginning(words: readonly string[]): string {
  let common = words[0] ?? "";
  while (!words.every((word) => word.startsWith(common))) common = common.slice(0, -1);
  return common;
}

/** Writes a program that runs the qmpmux under test, in any working directory. */
function writeProgram(path: string): string {
  const [command, args] = programCommand();
  // The shells have an environment of their own.
  const env = ["DENO_DIR", "JSR_URL"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [`${name}=${value}`];
  });
  const words = ["env", ...env, command, ...args].map((word) => `'${word}'`).join(" ");
  Deno.writeTextFileSync(
    path,
    `#!/bin/sh
[ "$1" != __complete ] || { shift; set -- __complete ${WITHIN} "$@"; }
exec ${words} "$@"
`,
    { mode: 0o755 },
  );
  return path;
}

function typist(how: string): Shell {
  return async (script, typed) => {
    const input = typed.map((line) => JSON.stringify(line));
    const program = writeProgram(`${script}-program`);
    const lines = await linesOf("python3", [TYPIST, how, script, program], input);
    return lines.map((line) => JSON.parse(line).at(-1) ?? "");
  };
}

/** The shells; a name begins with that of the program. */
export const SHELLS: Readonly<Record<string, Shell>> = {
  "bash": typist("bash"),
  "zsh": typist("zsh"),
  "zsh, from where it looks for functions,": typist("zsh PLACES"),
  "fish": async (script, typed) => {
    Deno.mkdirSync(`${script}-bin`);
    writeProgram(`${script}-bin/qmpmux`);
    const ask =
      `cd (dirname ${script}); set PATH ${script}-bin $PATH; source ${script}; while read -l line; complete -C "qmpmux $line"; echo =; end`;
    const lines = await linesOf("fish", ["--no-config", "-c", ask], typed);
    const answers = `\n${lines.join("\n")}`.split(/\n=(?=\n|$)/).slice(0, -1);
    return answers.map((answer, i) => {
      const words = answer.split("\n").slice(1).map((line) => line.split("\t")[0]!);
      const last = typed[i]!.split(/(?<!\\) /).at(-1)!.replaceAll("\\", "");
      // fish 4 also offers words that contain the letters; those that begin with them are first.
      const begun = words.filter((word) => word.startsWith(last));
      return words.length > 0 ? commonBeginning(begun.length > 0 ? begun : words) : last;
    });
  },
};
