/**
 * The parts of a release, from which archives and packages are made.
 *
 * @module
 */

import { dirname } from "node:path";

/** The files of every archive and package. */
export interface Parts {
  /** The compiled program. */
  readonly program: string;
  /** The tree of the commit that is released. */
  readonly source: string;
  /** The manual pages. */
  readonly pages: readonly string[];
  /** The files of docs/, by name. */
  readonly documents: readonly string[];
  readonly completions: Readonly<Record<Shell, string>>;
}

/** The shells that have completions. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** A shell that has completions. */
export type Shell = typeof SHELLS[number];

/** An error for something that cannot be made here, with a message of one line. */
export class Unmade extends Error {}

/** Copies a file to its path. */
export function put(from: string, to: string, mode = 0o644): void {
  Deno.mkdirSync(dirname(to), { recursive: true });
  Deno.copyFileSync(from, to);
  Deno.chmodSync(to, mode);
}

/** Compresses a file, without its name and time. */
export async function gzip(from: string, to: string): Promise<void> {
  Deno.mkdirSync(dirname(to), { recursive: true });
  const child = new Deno.Command("gzip", {
    args: ["--no-name", "--best", "--stdout", from],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  using file = Deno.createSync(to);
  for await (const bytes of child.stdout) {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(file.writeSync(rest));
  }
  if (!(await child.status).success) throw new Unmade(`gzip ${from} failed`);
  Deno.chmodSync(to, 0o644);
}

/** Runs a program and returns its output; @throws Unmade with its error output */
export async function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    const command: Deno.CommandOptions = { args: [...args], stdin: "null", ...options };
    output = await new Deno.Command(program, command).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Unmade(`${program} is missing`);
    throw error;
  }
  const decoder = new TextDecoder();
  if (!output.success) {
    const said = decoder.decode(output.stdout) + decoder.decode(output.stderr);
    const last = said.trim().split("\n").slice(-20).join("\n");
    throw new Unmade(`${program} ${args.join(" ")} failed:\n${last}`);
  }
  return decoder.decode(output.stdout);
}
