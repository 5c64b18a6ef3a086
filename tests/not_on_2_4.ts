/**
 * What a qmpmux compiled with a Deno before 2.9 cannot do, by the names of tests.
 *
 * `not_on_2_4.json` is the list. Loaded before the tests of such a program, this
 * turns those that are on it round: each of them must fail, and one that passes
 * is a mistake in the list.
 *
 * @module
 */

/** One thing it cannot do. */
export interface Lack {
  readonly what: string;
  /** What it says instead; `{deno}` is its version. */
  readonly says: string;
  /** What it ends with when it is asked to do that and then to end. */
  readonly status: number;
  /** The tests that fail therefore. */
  readonly tests: readonly string[];
}

/** The whole list. */
export const LACKS: readonly Lack[] = JSON.parse(
  Deno.readTextFileSync(new URL("not_on_2_4.json", import.meta.url)),
);

/** Is a Deno of this version too old for what is on the list? */
export function isOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < 2 || (major === 2 && minor < 9);
}

/** The version of the Deno that the program in `QMPMUX_BINARY` was compiled with, if one is named. */
export function denoOfBinary(): string | undefined {
  const binary = Deno.env.get("QMPMUX_BINARY");
  if (!binary) return undefined;
  const path = binary.startsWith("/") ? binary : new URL(`../${binary}`, import.meta.url).pathname;
  const { stdout } = new Deno.Command(path, { args: ["--version"] }).outputSync();
  return /Deno (\d\S*?),? /.exec(`${new TextDecoder().decode(stdout)} `)?.[1];
}

/** What a test on the list is called when it is turned round. */
export function turnedName(name: string): string {
  return `${name} (not with this Deno)`;
}

/** Passes where a test fails, and fails where it passes. */
function turned(test: Deno.TestDefinition): Deno.TestDefinition {
  const fn = async (context: Deno.TestContext): Promise<void> => {
    try {
      await test.fn(context);
    } catch {
      return;
    }
    throw new Error("It can: take this test off tests/not_on_2_4.json");
  };
  return { ...test, name: turnedName(test.name), fn };
}

/** Makes `Deno.test` turn the tests of these names. */
function turnRound(names: ReadonlySet<string>): void {
  const register = Deno.test;
  const replacement = (...told: Parameters<typeof Deno.test>): void => {
    const [first, second] = told as unknown[];
    const test = (typeof first === "string" ? { name: first, fn: second } : first) as
      | Deno.TestDefinition
      | undefined;
    if (test?.name !== undefined && names.has(test.name)) register(turned(test));
    else register(...told);
  };
  Object.defineProperty(Deno, "test", { value: Object.assign(replacement, register) });
}

const deno = denoOfBinary();
// Imported by a test of the source it only tells what is on the list.
if (deno !== undefined && isOld(deno) && Deno.env.get("QMPMUX_TURN_ROUND") === "yes") {
  turnRound(new Set(LACKS.flatMap(({ tests }) => tests)));
}
