/**
 * Checks of generated TypeScript: its types, and its form.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { within } from "./deadline.ts";
import { makePlace } from "./place.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Checking of types from scratch is slow. */
const PATIENCE_MS = 180_000;

/** Checks the types of files, by name, as strictly as this project's own. */
export async function checkTypes(files: Readonly<Record<string, string>>): Promise<void> {
  await run(files, ["check", `--config=${ROOT}deno.json`]);
}

/** Checks that files have the form that `deno fmt` gives them by default. */
export async function checkForm(files: Readonly<Record<string, string>>): Promise<void> {
  const unignored = Object.entries(files).map(([name, text]) => [
    name,
    text.replace("// deno-fmt-ignore-file\n", ""),
  ]);
  await run(Object.fromEntries(unignored), ["fmt", "--no-config", "--check"]);
}

async function run(files: Readonly<Record<string, string>>, args: string[]): Promise<void> {
  using place = makePlace();
  const paths = Object.entries(files).map(([name, text]) => {
    const path = `${place.path}/${name}`;
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(path, text);
    return path;
  });
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args, ...paths],
    env: { NO_COLOR: "1" },
    stdin: "null",
  });
  const { code, stderr } = await within(args[0]!, command.output(), PATIENCE_MS);
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}
