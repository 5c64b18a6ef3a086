/**
 * The messages for a client that cannot be installed.
 *
 * @module
 */

import { assert, assertMatch } from "@std/assert";
import { run } from "./setup.ts";

/** Tries to install a client on a machine with no programs; returns the outcome. */
async function withoutPrograms(get: string): Promise<string> {
  const setup = new URL("setup.ts", import.meta.url).href;
  const script = `await (await import(${JSON.stringify(setup)})).${get}()`;
  const { code, stderr } = await run(Deno.execPath(), ["eval", "--quiet", script], {
    env: { PATH: "/nonexistent" },
  });
  assert(code !== 0);
  return stderr;
}

Deno.test("getGo() names what is not tested if there is no Go", async () => {
  const said = await withoutPrograms("getGo");
  assertMatch(said, /^NOT TESTED: what needs go; Cannot get go-qemu \(go\): install golang-go /m);
});

Deno.test("getRust() names what is not tested if there is no cargo", async () => {
  const said = await withoutPrograms("getRust");
  assertMatch(said, /^NOT TESTED: what needs rust; Cannot get qapi \(rust\): .* no cargo here$/m);
});

Deno.test("getRuntimes() names what is not tested if there is no npm", async () => {
  const said = await withoutPrograms("getRuntimes");
  assertMatch(
    said,
    /^NOT TESTED: what needs node; Cannot get Node and Bun \(node\): install npm /m,
  );
});
