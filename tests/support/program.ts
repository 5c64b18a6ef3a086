/**
 * Programs of the tests' own, run to their end.
 *
 * @module
 */

/**
 * Returns the JSON that a program of this directory prints. Its coverage is not measured, because
 * that would make it slow.
 */
export async function printedBy(script: string, ...args: string[]): Promise<unknown> {
  const path = new URL(script, import.meta.url).pathname;
  const { DENO_COVERAGE_DIR: _, ...env } = Deno.env.toObject();
  const options = { args: ["run", path, ...args], clearEnv: true, env };
  const command = new Deno.Command(Deno.execPath(), options);
  const { stdout, success } = await command.output();
  if (!success) throw new Error(`${script} failed`);
  return JSON.parse(new TextDecoder().decode(stdout));
}
