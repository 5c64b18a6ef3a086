/**
 * The client library on Deno, Node and Bun: one program, with QEMU alone and through qmpmux.
 *
 * The library is used as it is, for these runtimes strip types, and as the JavaScript that Deno's
 * transpiler makes of each module: a registry for npm makes its packages in the same way.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { makePlace } from "../support/place.ts";
import { startQemu, type TestQemu } from "../support/qemu.ts";
import { startQmpmux } from "../support/qmpmux.ts";
import { getRuntimes, run, type Runtimes, without } from "./setup.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const PROGRAM = "tests/interop/client/program";

/** A time for all steps on a slow machine. */
const PATIENCE_MS = 120_000;

/** Memory of four sizes. */
const OBJECTS = [1, 2, 3, 4].flatMap((number) => [
  "-object",
  `memory-backend-ram,id=m${number},size=${number * 4096}`,
]);

/** The steps of the program. */
const STEPS = [
  ...["commands", "exact integers", "errors", "events", "out of band", "giving up", "closing"],
  ...["other ends", "losing the connection", "connecting again", "await using"],
];

interface Runtime {
  readonly name: string;
  /** Whether it has `await using`. */
  readonly hasUsing: boolean;
  command(runtimes: Runtimes): readonly [string, ...string[]];
}

const RUNTIMES: readonly Runtime[] = [
  {
    name: "Deno",
    hasUsing: true,
    command: () => [Deno.execPath(), "run", "--no-prompt", "--allow-all", "--no-check"],
  },
  { name: "Node 22", hasUsing: false, command: ({ node22 }) => [node22] },
  { name: "the newest Node", hasUsing: true, command: ({ node }) => [node] },
  { name: "Bun", hasUsing: true, command: ({ bun }) => [bun, "run"] },
];

/** Writes the program and what it imports as JavaScript; returns the directory. */
async function transpile(place: string): Promise<string> {
  const { code, stdout, stderr } = await run(Deno.execPath(), [
    "info",
    "--json",
    `${ROOT}${PROGRAM}.ts`,
  ]);
  assertEquals(code, 0, stderr);
  const { modules } = JSON.parse(stdout) as { modules: { specifier: string; local?: string }[] };
  const files = modules.flatMap(({ local }) => local?.startsWith(ROOT) ? [local] : []);
  const made = await run(Deno.execPath(), [
    ...["transpile", "--no-check", "--outdir", place],
    ...files.map((file) => file.slice(ROOT.length)),
  ], { cwd: ROOT });
  assertEquals(made.code, 0, made.stderr);
  for (const file of files) {
    const path = join(place, file.slice(ROOT.length).replace(/\.ts$/, ".js"));
    const text = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, text.replaceAll(/((?:from|import\() ?")(\..*)\.ts"/g, '$1$2.js"'));
  }
  Deno.writeTextFileSync(join(place, "package.json"), '{ "type": "module" }\n');
  return place;
}

/** Runs the program at a monitor, and starts QEMU again after it has quit. */
async function play(runtime: Runtime, program: string, isThrough: boolean): Promise<void> {
  const [command, ...args] = runtime.command(await getRuntimes());
  using place = makePlace();
  const at = (name: string): string => join(place.path, name);
  await using made = new AsyncDisposableStack();
  const first = await startQemu(at("qemu"), OBJECTS);
  const path = isThrough ? at("mux") : first.path;
  if (isThrough) made.use(await startQmpmux(["--qemu", first.path, "--listen", path]));
  let isOver = false;
  const again = async (): Promise<TestQemu | undefined> => {
    await first.ended;
    return isOver ? undefined : await startQemu(at("qemu"), OBJECTS);
  };
  const second = again();
  made.defer(async () => await (await second)?.[Symbol.asyncDispose]());
  // The first QEMU ends before that.
  made.use(first);
  const { code, stdout, stderr } = await run(command, [...args, program, path], {
    patience: PATIENCE_MS,
    env: { NO_COLOR: "1" },
  });
  isOver = true;
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), { done: STEPS, hasUsing: runtime.hasUsing });
}

for (const runtime of RUNTIMES) {
  for (const [monitor, isThrough] of [["QEMU", false], ["qmpmux", true]] as const) {
    Deno.test(
      `the client library on ${runtime.name} talks to ${monitor}`,
      { ignore: without("node") },
      () => play(runtime, `${ROOT}${PROGRAM}.ts`, isThrough),
    );
  }
  Deno.test(
    `the client library as JavaScript on ${runtime.name} talks to QEMU`,
    { ignore: without("node") },
    async () => {
      using place = makePlace();
      await play(runtime, join(await transpile(place.path), `${PROGRAM}.js`), false);
    },
  );
}
