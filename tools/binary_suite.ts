/**
 * Runs all tests that start qmpmux as a program, with the compiled one.
 *
 * `binary_suite.ts [FLAG…]`, with `QMPMUX_BINARY`, finds them by their imports, and passes the
 * flags to `deno test`. If the program has an older Deno than it is built for, the tests that
 * are skipped for that reason are listed at the end (tests/support/new_deno.ts).
 *
 * @module
 */

import { basename, join, resolve } from "node:path";
import { denoOf } from "./deno_version.ts";

const ROOT = resolve(import.meta.dirname!, "..");
const TESTS = join(ROOT, "tests");

/** Returns the modules of tests/ that a file imports, by path. A text in a file may look like an import. */
function imports(path: string): string[] {
  const text = Deno.readTextFileSync(path);
  return Array.from(
    text.matchAll(/^(?:import|export|\}).*\bfrom "(\.[^"]+\.ts)"/gm),
    ([, name]) => resolve(path, "..", name!),
  )
    .filter((name) => name.startsWith(TESTS));
}

/** Returns whether a file starts the program, itself or through its imports. */
function starts(path: string, seen = new Set<string>()): boolean {
  if (seen.has(path)) return false;
  seen.add(path);
  return basename(path) === "qmpmux.ts" || imports(path).some((name) => starts(name, seen));
}

/** Returns the test files that start the program. */
export function programTests(): string[] {
  return Array.from(Deno.readDirSync(TESTS), ({ name }) => join(TESTS, name))
    .filter((path) => path.endsWith("_test.ts") && starts(path))
    .sort();
}

async function main(): Promise<number> {
  const binary = Deno.env.get("QMPMUX_BINARY");
  if (!binary) {
    console.error("QMPMUX_BINARY names no qmpmux: run the task compile, then test:binary");
    return 1;
  }
  const deno = denoOf(resolve(ROOT, binary));
  const leftOut = Deno.makeTempFileSync();
  try {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["test", "--no-prompt", "--allow-all", "--trace-leaks"],
        ...Deno.args,
        ...programTests(),
      ],
      cwd: ROOT,
      env: { QMPMUX_LEFT_OUT: leftOut },
    }).spawn().status;
    const names = Deno.readTextFileSync(leftOut).split("\n").filter(Boolean);
    if (names.length > 0) {
      console.log(`${names.length} tests need a newer Deno than ${binary} has (${deno}):`);
      for (const name of names) console.log(`- ${name}`);
    }
    return code;
  } finally {
    Deno.removeSync(leftOut);
  }
}

if (import.meta.main) Deno.exit(await main());
