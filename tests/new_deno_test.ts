/**
 * Tests that are skipped if the program has an older Deno: their list is complete.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { isOlder } from "../tools/deno_version.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";

Deno.test("isOlder() is true before 2.9", () => {
  const versions = ["1.46.3", "2.6.10", "2.8.0", "2.9.0", "2.10.1", "3.0.0"];
  assertEquals(versions.map(isOlder), [true, true, true, false, false, false]);
});

/**
 * Runs a test that needs a new Deno, with a program of a version. Returns whether it ran, and the
 * list.
 */
async function outcome(version: string): Promise<{ run: boolean; listed: string }> {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  const says = `#!/bin/sh\necho "qmpmux 0.1.0 (from source) Deno ${version} V8 1"\n`;
  Deno.writeTextFileSync(at("qmpmux"), says, { mode: 0o755 });
  Deno.writeTextFileSync(at("list"), "");
  Deno.writeTextFileSync(
    at("one_test.ts"),
    `import { newDenoTest } from "${new URL("./support/new_deno.ts", import.meta.url)}";
    newDenoTest({ name: "one", fn: () => Deno.writeTextFileSync("${at("run")}", "") });`,
  );
  const config = new URL("../deno.json", import.meta.url).pathname;
  const args = ["test", "--allow-all", "--no-check", `--config=${config}`, at("one_test.ts")];
  const env = { QMPMUX_BINARY: at("qmpmux"), QMPMUX_LEFT_OUT: at("list") };
  const command = new Deno.Command(Deno.execPath(), { args, env, stdin: "null" });
  await within("the test", command.output());
  const files = Array.from(Deno.readDirSync(place.path), ({ name }) => name);
  return { run: files.includes("run"), listed: Deno.readTextFileSync(at("list")) };
}

Deno.test("newDenoTest() skips a test if the program has an older Deno, and lists it", async () => {
  assertEquals(await outcome("2.8.3"), { run: false, listed: "one\n" });
});

Deno.test("newDenoTest() runs a test if the program has a supported Deno", async () => {
  assertEquals(await outcome("2.9.6"), { run: true, listed: "" });
});
