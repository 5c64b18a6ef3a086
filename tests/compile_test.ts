/**
 * The task `compile` when it fails: its errors and its exit status.
 *
 * Everything that runs on `dist/qmpmux` tests the program it builds.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { compileAll, TARGETS } from "../tools/compile.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";

const ROOT = new URL("..", import.meta.url).pathname;
/** A target takes some seconds. */
const PATIENCE_MS = 120_000;

/** Runs the tool; `denort` is the runtime that it appends the program to. */
async function compile(args: string[], denort = ""): Promise<{ code: number; said: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-all", `${ROOT}tools/compile.ts`, ...args],
    env: { NO_COLOR: "1", DENORT_BIN: denort },
    stdin: "null",
    stdout: "null",
  });
  const { code, stderr } = await within("compile", command.output(), PATIENCE_MS);
  return { code, said: new TextDecoder().decode(stderr) };
}

/** Returns an environment in which no denort can be found. */
function withoutDenort(place: string): Record<string, string> {
  return {
    DENO_DIR: `${place}/deno`,
    HTTPS_PROXY: "http://127.0.0.1:1",
    DENORT_BIN: `${place}/none`,
  };
}

Deno.test("compileAll() names every target whose denort cannot be found", async () => {
  using place = makePlace();
  const compiled = compileAll(
    ROOT,
    (target) => `${place.path}/${target}`,
    withoutDenort(place.path),
  );
  const { made, missing } = await within("compileAll()", compiled, PATIENCE_MS);
  assertEquals([...made.keys()], []);
  assertEquals([...missing.keys()], [...TARGETS]);
  assertEquals([...missing.values()].filter((why) => why === "" || why.includes("\n")), []);
});

Deno.test("compileAll() removes an earlier program if it builds none", async () => {
  using place = makePlace();
  const earlier = TARGETS.map((target) => `${place.path}/qmpmux-${target}`);
  for (const path of earlier) Deno.writeTextFileSync(path, "");
  const compiled = compileAll(
    ROOT,
    (target) => `${place.path}/qmpmux-${target}`,
    withoutDenort(place.path),
  );
  const { missing } = await within("compileAll()", compiled, PATIENCE_MS);
  assertEquals([...missing.keys()], [...TARGETS]);
  const names = [...Deno.readDirSync(place.path)].map(({ name }) => name);
  assertEquals(names.filter((name) => name.startsWith("qmpmux-")), []);
});

Deno.test("compile removes a program that a different Deno built, reports it and exits with 1", async () => {
  using place = makePlace();
  const output = `${place.path}/qmpmux`;
  assertEquals(await compile(["--output", output], "/bin/true"), {
    code: 1,
    said: `Not compiled: the denort that was used is not of Deno ${Deno.version.deno}\n`,
  });
  assertEquals([...Deno.readDirSync(place.path)], []);
});

for (const args of [["--frobnicate"], ["here"], ["--all", "--output", "x"]]) {
  Deno.test(`compile ${args.join(" ")} prints its usage and exits with 64`, async () => {
    const said = "Usage: compile [--all | --output FILE]\n";
    assertEquals(await compile(args), { code: 64, said });
  });
}
