/**
 * tools/std_sources.ts, with a standard library of a few lines.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";

/** Writes a package as a checkout of the standard library has it. */
function writePackage(checkout: string, name: string, version: string, module: string): void {
  Deno.mkdirSync(`${checkout}/${name}`);
  const exports = { ".": "./mod.ts", "./parse-args": "./mod.ts" };
  const config = JSON.stringify({ name: `@std/${name}`, version, exports });
  Deno.writeTextFileSync(`${checkout}/${name}/deno.json`, config);
  Deno.writeTextFileSync(`${checkout}/${name}/mod.ts`, module);
}

/** Returns the packages and versions that deno.json imports. */
function imported(): [name: string, version: string][] {
  const text = Deno.readTextFileSync(new URL("../deno.json", import.meta.url));
  const { imports } = JSON.parse(text) as { imports: Record<string, string> };
  return Object.values(imports).flatMap((each): [string, string][] => {
    const [, name, version] = /^jsr:@std\/([a-z]+)@(.+)$/.exec(each) ?? [];
    return name && version ? [[name, version]] : [];
  });
}

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const tool = new URL("../tools/std_sources.ts", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-all", tool, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
  });
  const { code, stdout, stderr } = await within("std_sources.ts", command.output());
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("std_sources.ts runs Deno with the packages of a checkout, and their imports", async () => {
  using place = makePlace();
  for (const [name, version] of imported()) {
    const module =
      'import { told } from "@std/other";\nexport const parseArgs = (): string => told;\n';
    writePackage(place.path, name, version, name === "cli" ? module : "export {};\n");
  }
  writePackage(place.path, "other", "1.2.3", 'export const told = "by its own sources";\n');
  const script = 'import { parseArgs } from "@std/cli/parse-args"; console.log(parseArgs());';
  const { stdout } = await run(place.path, "eval", "--quiet", script);
  assertEquals(stdout, "by its own sources\n");
});

Deno.test("std_sources.ts refuses a checkout of another release, and names the versions", async () => {
  using place = makePlace();
  const [[name, version], ...others] = imported() as [[string, string], ...[string, string][]];
  writePackage(place.path, name, "9.9.9", "");
  for (const other of others) writePackage(place.path, ...other, "");
  const { code, stderr } = await run(place.path);
  assertEquals(stderr, `deno.json imports @std/${name} ${version}, the checkout has 9.9.9\n`);
  assertEquals(code, 69);
});

Deno.test("std_sources.ts asks for a checkout if none is named", async () => {
  const { code, stderr } = await run();
  assertEquals(code, 64);
  assertEquals(stderr.startsWith("Usage: std_sources.ts DIR [ARG…], where DIR is "), true);
});
