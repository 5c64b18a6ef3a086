/**
 * The check behind the other tests: a leak makes them fail.
 *
 * Deno 2.9 has its sanitizers off unless `deno.json` switches them on.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";

async function childTest(kind: string): Promise<{ code: number; said: string }> {
  const file = new URL("support/leaks.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-prompt", "--allow-all", file, "--", kind],
    env: { NO_COLOR: "1" },
    clearEnv: false,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
}

Deno.test("a test that leaks a resource fails", async () => {
  const { code, said } = await childTest("resource");
  assertEquals(code, 1, said);
  assertMatch(said, /leak/i);
});

Deno.test("a test that leaks an operation fails", async () => {
  const { code, said } = await childTest("op");
  assertEquals(code, 1, said);
  assertMatch(said, /leak/i);
});

Deno.test("the same test without a leak passes", async () => {
  const { code, said } = await childTest("nothing");
  assertEquals(code, 0, said);
});
