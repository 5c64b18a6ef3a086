/**
 * The examples for the tests of other programs: pytest and Go's `testing`, with `qmpmux replay`.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { makePlace } from "../support/place.ts";
import { programCommand } from "../support/qmpmux.ts";
import { type Exit, getGoExample, getPython, run, without } from "./setup.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url).pathname;

/** A time for three tests, each of which starts qmpmux, on a slow machine. */
const PATIENCE_MS = 120_000;

/** A copy of the examples, and qmpmux on PATH. */
class Copy implements Disposable {
  readonly #place = makePlace();

  constructor() {
    const { path } = this.#place;
    for (const name of ["python", "go", "bin"]) Deno.mkdirSync(join(path, name));
    for (const name of ["power_off.jsonl", "python/power_off.py", "python/test_power_off.py"]) {
      Deno.copyFileSync(EXAMPLES + name, join(path, name));
    }
    const [command, args] = programCommand();
    const words = [command, ...args].map((word) => `'${word}'`).join(" ");
    Deno.writeTextFileSync(join(path, "bin/qmpmux"), `#!/bin/sh\nexec ${words} "$@"\n`, {
      mode: 0o755,
    });
  }

  /** Removes the command `quit` from the recording. */
  forgetQuit(): void {
    const path = join(this.#place.path, "power_off.jsonl");
    const text = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, text.replaceAll(String.raw`\"quit\"`, String.raw`\"stop\"`));
  }

  /** Runs the example for pytest. */
  async pytest(): Promise<Exit> {
    const env = { ...this.#env, PYTHONPATH: await getPython(), PYTHONDONTWRITEBYTECODE: "1" };
    const args = ["-m", "pytest", "-p", "no:cacheprovider", "--color=no", "."];
    const cwd = join(this.#place.path, "python");
    return await run("python3", args, { env, cwd, patience: PATIENCE_MS });
  }

  /** Runs the example for Go. */
  async goTest(): Promise<Exit> {
    const cwd = join(this.#place.path, "go");
    const env = this.#env;
    return await run(await getGoExample(), ["-test.v"], { env, cwd, patience: PATIENCE_MS });
  }

  get #env(): Record<string, string> {
    return { PATH: `${join(this.#place.path, "bin")}:${Deno.env.get("PATH")}` };
  }

  [Symbol.dispose](): void {
    this.#place[Symbol.dispose]();
  }
}

const NOT_RECORDED = /client 1: quit: The command quit is not in the recording; /;

Deno.test("pytest runs examples/python", { ignore: without("python") }, async () => {
  using copy = new Copy();
  const { code, stdout } = await copy.pytest();
  assertMatch(stdout, /= 3 passed in /);
  assertEquals(code, 0);
});

Deno.test(
  "the example for pytest fails if a command was not recorded, and names it",
  { ignore: without("python") },
  async () => {
    using copy = new Copy();
    copy.forgetQuit();
    const { code, stdout } = await copy.pytest();
    assertMatch(stdout, NOT_RECORDED);
    assertEquals(code, 1);
  },
);

Deno.test("go test runs examples/go", { ignore: without("go") }, async () => {
  using copy = new Copy();
  const { code, stdout } = await copy.goTest();
  assertEquals(stdout.match(/^--- PASS: /gm)?.length, 3);
  assertEquals(code, 0);
});

Deno.test(
  "the example for Go fails if a command was not recorded, and names it",
  { ignore: without("go") },
  async () => {
    using copy = new Copy();
    copy.forgetQuit();
    const { code, stdout } = await copy.goTest();
    assertMatch(stdout, NOT_RECORDED);
    assertEquals(code, 1);
  },
);
