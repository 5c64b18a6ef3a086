/**
 * Generates the manual pages: `manual.ts --out DIR`.
 *
 * Flags, options, limits and keys are taken from the tables of the program itself; the other texts
 * are in `manual/`.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { VERSION } from "../lib/cli/version.ts";
import { protocolPage } from "./manual/protocol.ts";
import { qmpmuxPage } from "./manual/qmpmux.ts";
import { type Page, roffOf } from "./manual/roff.ts";
import { tomlPage } from "./manual/toml.ts";

/** Returns all pages. */
export function manualPages(): Page[] {
  return [qmpmuxPage(), tomlPage(), protocolPage()];
}

/** Returns the name of a page's file. */
export function fileName({ name, section }: Page): string {
  return `${name}.${section}`;
}

/** Returns the date of the pages: SOURCE_DATE_EPOCH, else the last commit's, else today. */
async function day(): Promise<string> {
  const given = Deno.env.get("SOURCE_DATE_EPOCH") ?? await commitTime();
  const time = given === undefined ? Date.now() : Number(given) * 1000;
  if (!Number.isFinite(time)) {
    throw new Error(`SOURCE_DATE_EPOCH ${given} is not a number of seconds`);
  }
  return new Date(time).toISOString().slice(0, 10);
}

/** Returns the time of the last commit; `undefined` when git has none. */
async function commitTime(): Promise<string | undefined> {
  const cwd = new URL("..", import.meta.url).pathname;
  const args = ["log", "-1", "--format=%ct"];
  try {
    const { success, stdout } = await new Deno.Command("git", { args, cwd, stderr: "null" })
      .output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

if (import.meta.main) {
  const { out, _: rest } = parseArgs(Deno.args, { string: ["out"] });
  if (typeof out !== "string" || out === "" || rest.length > 0) {
    console.error("Usage: manual.ts --out DIR");
    Deno.exit(64);
  }
  Deno.mkdirSync(out, { recursive: true });
  const date = await day();
  for (const page of manualPages()) {
    Deno.writeTextFileSync(`${out}/${fileName(page)}`, roffOf(page, VERSION, date));
  }
}
