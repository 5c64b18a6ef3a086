/**
 * A test that leaks on purpose, for `sanitizer_test.ts`, which runs it as a child.
 *
 * @module
 */

const [kind] = Deno.args;

Deno.test("leaks", async () => {
  if (kind === "resource") await Deno.open(new URL("../../deno.json", import.meta.url));
  if (kind === "op") void Deno.listen({ port: 0 }).accept().catch(() => {});
  await Promise.resolve();
});
