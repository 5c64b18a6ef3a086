/**
 * Compiles the program to one file that needs no Deno, for one target or for all.
 *
 * `compile.ts` creates dist/qmpmux for this machine; `--output FILE` selects another path, `--all`
 * creates dist/qmpmux-TARGET for every target. Flags and permissions are those of the task `qmpmux`
 * in deno.json.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { rmSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** The targets that Deno compiles for and QEMU runs on. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
] as const;

/** A target of a program. */
export type Target = typeof TARGETS[number];

const ROOT = resolve(import.meta.dirname!, "..");

/**
 * The directory of the bundle, which is removed at the end. It is as deep as the sources in `lib/`, because
 * `lib/platform/own_files.ts` finds files by the place of its module.
 */
const BUNDLE = "dist/bundle";

/** A failure of `deno compile`, with its message. */
export class NotCompiled extends Error {}

/** Returns the flags of the program: permissions and those of V8. */
export function runFlags(root: string): string[] {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`));
  const words = (tasks.qmpmux.command as string).split(" ");
  if (words.shift() !== "deno" || words.shift() !== "run" || words.pop() !== "main.ts") {
    throw new Error("The task qmpmux of deno.json is not: deno run FLAGS main.ts");
  }
  return words;
}

/** Returns the commit of this tree, for `--version`. */
function commitOf(root: string): string {
  try {
    const { success, stdout } = new Deno.Command("git", {
      args: ["-C", root, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
      stderr: "null",
    }).outputSync();
    if (success) return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return "unknown";
}

/** The options of a compilation. */
export interface CompileOptions {
  /** The target; by default this machine. */
  readonly target?: Target;
  /** Further variables for Deno's environment; `--version` prints `QMPMUX_COMMIT`. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Joins the modules that are loaded together, because each module takes time at the start of the program.
 * Subcommands keep modules of their own. Deno gets esbuild from npm for this.
 *
 * @returns the path of the main module, from `root`
 * @throws NotCompiled if it fails
 */
async function bundle(root: string): Promise<string> {
  await deno(root, Deno.env.toObject(), [
    "bundle",
    "--quiet",
    "--code-splitting",
    "--outdir",
    BUNDLE,
    "main.ts",
  ]);
  return `${BUNDLE}/main.js`;
}

/** Runs Deno; @throws NotCompiled with the reason if it fails */
async function deno(
  cwd: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[],
): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { ...env, NO_COLOR: "1" },
    clearEnv: true,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new NotCompiled(reason(new TextDecoder().decode(stderr)));
}

/** The directories with files that the program reads while it runs. */
const INCLUDED = ["lib/page"];

/** Compiles the program in `root`; @throws NotCompiled when there is no denort for it */
export async function compile(
  root: string,
  output: string,
  { target, env: more = {} }: CompileOptions = {},
): Promise<void> {
  Deno.mkdirSync(dirname(output), { recursive: true });
  const environment = Deno.makeTempFileSync({ suffix: ".env" });
  try {
    const env = { ...Deno.env.toObject(), ...more };
    Deno.writeTextFileSync(environment, `QMPMUX_COMMIT=${env.QMPMUX_COMMIT ?? commitOf(root)}\n`);
    // DENORT_BIN is for this machine, but Deno would use it for any other target, too.
    if (target !== undefined && target !== Deno.build.target) delete env.DENORT_BIN;
    await deno(root, env, [
      "compile",
      "--quiet",
      // The task ok:types checks types, with the right Deno; other versions have other types.
      "--no-check",
      // Compiled code would be cached in /tmp, where other users can replace it.
      "--no-code-cache",
      `--env-file=${environment}`,
      ...INCLUDED.flatMap((path) => ["--include", path]),
      ...runFlags(root),
      ...(target === undefined ? [] : ["--target", target]),
      ...["--output", output, await bundle(root)],
    ]);
  } finally {
    Deno.removeSync(environment);
    rmSync(resolve(root, BUNDLE), { recursive: true, force: true });
  }
  if (target !== undefined && !isFor(output, target)) {
    Deno.removeSync(output);
    throw new NotCompiled("the denort that was used is of another kind of machine");
  }
  if ((target ?? Deno.build.target) === Deno.build.target && !await isOfThisDeno(output)) {
    Deno.removeSync(output);
    throw new NotCompiled(`the denort that was used is not of Deno ${Deno.version.deno}`);
  }
}

/** Returns whether a program runs here, with the same version of Deno as this script. */
async function isOfThisDeno(path: string): Promise<boolean> {
  const { stdout } = await new Deno.Command(path, { args: ["--version"], stdin: "null" }).output();
  return new TextDecoder().decode(stdout).includes(` Deno ${Deno.version.deno} `);
}

/** Returns the innermost cause of an error of Deno, or all of it if it names none. */
function reason(said: string): string {
  const [text = ""] = said.split("\nStack backtrace:");
  const causes = [...text.matchAll(/^ {4}(?:\d+: )?(.*)$/gm)].map(([, cause]) => cause!);
  const told = causes.find((cause) => cause.includes("://")) ?? causes.at(-1);
  return told ?? text.trim();
}

const ELF_MACHINES: Readonly<Record<number, string>> = { 62: "x86_64", 183: "aarch64" };
const MACH_O_MACHINES: Readonly<Record<number, string>> = {
  0x0100_0007: "x86_64",
  0x0100_000c: "aarch64",
};

/** Returns whether, by its first bytes, a program is for this target. */
function isFor(path: string, target: Target): boolean {
  const head = new Uint8Array(20);
  using file = Deno.openSync(path);
  file.readSync(head);
  const view = new DataView(head.buffer);
  const [machine] = target.split("-");
  if (target.includes("linux")) {
    return view.getUint32(0) === 0x7f45_4c46 && ELF_MACHINES[view.getUint16(18, true)] === machine;
  }
  return view.getUint32(0, true) === 0xfeed_facf &&
    MACH_O_MACHINES[view.getUint32(4, true)] === machine;
}

/**
 * Compiles for every target; returns the programs, and the targets that failed, with the reason.
 * The earlier program of a target that failed is removed.
 */
export async function compileAll(
  root: string,
  output: (target: Target) => string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ made: Map<Target, string>; missing: Map<Target, string> }> {
  const made = new Map<Target, string>();
  const missing = new Map<Target, string>();
  for (const target of TARGETS) {
    try {
      await compile(root, output(target), { target, env });
      made.set(target, output(target));
    } catch (error) {
      if (!(error instanceof NotCompiled)) throw error;
      missing.set(target, error.message);
      rmSync(output(target), { force: true });
    }
  }
  return { made, missing };
}

async function main(): Promise<number> {
  const wrong: string[] = [];
  const told = parseArgs(Deno.args, {
    boolean: ["all"],
    string: ["output"],
    unknown: (arg) => wrong.push(arg) === 0,
  });
  const { all, output } = told;
  if (wrong.length > 0 || (all && output !== undefined)) {
    console.error("Usage: compile [--all | --output FILE]");
    return 64;
  }
  if (!all) {
    try {
      await compile(ROOT, resolve(output ?? `${ROOT}/dist/qmpmux`));
      return 0;
    } catch (error) {
      if (!(error instanceof NotCompiled)) throw error;
      console.error(`Not compiled: ${error.message}`);
      return 1;
    }
  }
  const { made, missing } = await compileAll(ROOT, (target) => `${ROOT}/dist/qmpmux-${target}`);
  for (const path of made.values()) console.log(path);
  for (const [target, why] of missing) console.error(`Not compiled: qmpmux-${target}: ${why}`);
  return missing.size === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
