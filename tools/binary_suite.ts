/**
 * All tests that start qmpmux as a program, on the compiled one.
 *
 * `binary_suite.ts [FLAG…]`, with `QMPMUX_BINARY`: finds them by what they
 * import, and hands the flags on to `deno test`. What an older Deno cannot do is
 * listed in tests/not_on_2_4.json; that list is held to be exact.
 *
 * @module
 */

import { basename, join, resolve } from "node:path";
import { denoOfBinary, isOld, LACKS, turnedName } from "../tests/not_on_2_4.ts";

const ROOT = resolve(import.meta.dirname!, "..");
const TESTS = join(ROOT, "tests");

/** The modules of tests/ that a file imports, by path. */
function imports(path: string): string[] {
  const text = Deno.readTextFileSync(path);
  return Array.from(
    text.matchAll(/from "(\.[^"]+\.ts)"/g),
    ([, name]) => resolve(path, "..", name!),
  )
    .filter((name) => name.startsWith(TESTS));
}

/** Does a file start the program, itself or through what it imports? */
function starts(path: string, seen = new Set<string>()): boolean {
  if (seen.has(path)) return false;
  seen.add(path);
  return basename(path) === "qmpmux.ts" || imports(path).some((name) => starts(name, seen));
}

/** The test files that start the program. */
export function programTests(): string[] {
  return Array.from(Deno.readDirSync(TESTS), ({ name }) => join(TESTS, name))
    .filter((path) => path.endsWith("_test.ts") && starts(path))
    .sort();
}

/** The names in a report in JUnit's format. */
function reported(path: string): Set<string> {
  const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'" };
  const names = Deno.readTextFileSync(path).matchAll(/<testcase name="([^"]*)"/g);
  return new Set(
    Array.from(
      names,
      ([, name]) =>
        name!.replaceAll(/&(lt|gt|quot|apos);/g, (_, entity) => entities[entity]!)
          .replaceAll("&amp;", "&"),
    ),
  );
}

async function main(): Promise<number> {
  const deno = denoOfBinary();
  if (deno === undefined) {
    console.error("QMPMUX_BINARY names no qmpmux: run the task compile, then test:binary");
    return 1;
  }
  const report = Deno.makeTempFileSync({ suffix: ".xml" });
  try {
    const old = isOld(deno);
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["test", "--no-prompt", "--allow-all", "--trace-leaks", `--junit-path=${report}`],
        ...(old ? [`--preload=${join(TESTS, "not_on_2_4.ts")}`] : []),
        ...Deno.args,
        ...programTests(),
      ],
      cwd: ROOT,
      env: old ? { QMPMUX_TURN_ROUND: "yes" } : {},
    }).spawn().status;
    if (code !== 0 || !old) return code;
    const run = reported(report);
    const gone = LACKS.flatMap(({ tests }) => tests).filter((name) => !run.has(turnedName(name)));
    for (const name of gone) console.error(`tests/not_on_2_4.json: there is no test "${name}"`);
    return gone.length === 0 ? 0 : 1;
  } finally {
    Deno.removeSync(report);
  }
}

if (import.meta.main) Deno.exit(await main());
