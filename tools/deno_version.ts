/**
 * The version of Deno that qmpmux is built for, and that of a compiled program.
 *
 * @module
 */

/** The oldest Deno that qmpmux is built for: major and minor version. */
const BUILT_FOR = [2, 9] as const;

/** Returns whether a version of Deno is older than the version qmpmux is built for. */
export function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < BUILT_FOR[0] || (major === BUILT_FOR[0] && minor < BUILT_FOR[1]);
}

/** Returns the version of Deno that a qmpmux runs on, from its `--version`. */
export function denoOf(program: string): string {
  const { stdout } = new Deno.Command(program, { args: ["--version"], stdin: "null" }).outputSync();
  const said = new TextDecoder().decode(stdout);
  const [, version] = / Deno (\d\S*)/.exec(said) ?? [];
  if (version === undefined) throw new Error(`${program} --version names no Deno: ${said}`);
  return version;
}
