/**
 * The client library on Deno, Node and Bun: one program, with QEMU alone and through qmpmux.
 *
 * The library is used as it is, for these runtimes strip types, and as the JavaScript that Deno's
 * transpiler makes of each module: the package for npm has the same.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { basename, join } from "node:path";
import { blocksOf } from "../support/document.ts";
import { makePlace } from "../support/place.ts";
import { startQemu, type TestQemu } from "../support/qemu.ts";
import { startQmpmux } from "../support/qmpmux.ts";
import { recordedSchema } from "../support/schemas.ts";
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
  ...["commands", "many commands, some given up", "exact integers", "errors", "events"],
  ...[
    "events since a cursor",
    "out of band",
    "giving up",
    "closing",
    "other ends",
    "losing the connection",
  ],
  ...["hostile ends", "connecting again", "await using"],
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

/** Writes a module and what it imports as JavaScript below a directory. */
async function transpile(module: string, place: string): Promise<void> {
  const { code, stdout, stderr } = await run(Deno.execPath(), ["info", "--json", ROOT + module]);
  assertEquals(code, 0, stderr);
  const { modules } = JSON.parse(stdout) as { modules: { local?: string }[] };
  const files = modules.flatMap(({ local }) => local?.startsWith(ROOT) ? [local] : [])
    .map((file) => file.slice(ROOT.length));
  const args = ["transpile", "--no-check", "--outdir", place, ...files];
  const made = await run(Deno.execPath(), args, { cwd: ROOT });
  assertEquals(made.code, 0, made.stderr);
  for (const file of files) {
    const path = join(place, file.replace(/\.ts$/, ".js"));
    const text = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, text.replaceAll(/((?:from|import\() ?")(\..*)\.ts"/g, '$1$2.js"'));
  }
}

/** Creates programs beside the package, as a registry for npm installs it; returns the path of the first. */
async function npmPackage(place: string, ...programs: string[]): Promise<string> {
  const folder = join(place, "node_modules/@qmpmux/qmpmux");
  for (const name of ["client", "testing"]) await transpile(`lib/${name}/mod.ts`, folder);
  const exports = { "./client": "./lib/client/mod.js", "./testing": "./lib/testing/mod.js" };
  Deno.writeTextFileSync(join(folder, "package.json"), JSON.stringify({ type: "module", exports }));
  Deno.writeTextFileSync(join(place, "package.json"), '{ "type": "module" }');
  const paths = programs.map((program) => join(place, basename(program)));
  for (const [at, path] of paths.entries()) Deno.copyFileSync(ROOT + programs[at]!, path);
  return paths[0]!;
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
      await transpile(`${PROGRAM}.ts`, place.path);
      Deno.writeTextFileSync(join(place.path, "package.json"), '{ "type": "module" }');
      await play(runtime, join(place.path, `${PROGRAM}.js`), false);
    },
  );
  Deno.test(
    `examples/client.ts runs on ${runtime.name} with the package for npm`,
    { ignore: without("node") },
    async () => {
      using place = makePlace();
      await using qemu = await startQemu(join(place.path, "qemu"));
      const program = await npmPackage(place.path, "examples/client.ts");
      const [command, ...args] = runtime.command(await getRuntimes());
      const env = { NO_COLOR: "1" };
      const ran = await run(command, [...args, program, qemu.path], { env, cwd: place.path });
      assertEquals(ran, {
        code: 0,
        stderr: "",
        stdout: exampleOutput("docs/client.md", "examples/client.ts"),
      });
    },
  );
  Deno.test(
    `examples/fake_qemu.ts runs on ${runtime.name} with the package for npm`,
    { ignore: without("node") },
    async () => {
      using place = makePlace();
      const schema = join(place.path, "schema.json");
      Deno.writeTextFileSync(schema, JSON.stringify(await recordedSchema("7.2")));
      const program = await npmPackage(place.path, "examples/fake_qemu.ts");
      const [command, ...args] = runtime.command(await getRuntimes());
      const env = { NO_COLOR: "1" };
      const ran = await run(command, [...args, program, schema], { env, cwd: place.path });
      const stdout = exampleOutput("docs/testing.md", "examples/fake_qemu.ts");
      assertEquals(ran, { code: 0, stderr: "", stdout });
    },
  );
}

for (const runtime of RUNTIMES.filter(({ name }) => name.includes("Node"))) {
  Deno.test(
    `${runtime.name} runs the tests in examples/power_off_node.ts with the package for npm`,
    { ignore: without("node") },
    async () => {
      using place = makePlace();
      const tests = await npmPackage(
        place.path,
        "examples/power_off_node.ts",
        "examples/power_off.ts",
        "examples/power_off.jsonl",
      );
      const [command] = runtime.command(await getRuntimes());
      const args = ["--test", "--test-reporter=tap", tests];
      const { code, stdout } = await run(command, args, { cwd: place.path });
      assertEquals(code, 0, stdout);
      assertMatch(stdout, /^# pass 4$/m);
    },
  );
}

/** Returns the output of an example, as its document shows it. */
function exampleOutput(document: string, example: string): string {
  const block = blocksOf(document).find(({ kind, lines }) =>
    kind === "console" && lines[0]!.includes(example)
  );
  return block!.lines.slice(1).map((line) => `${line}\n`).join("");
}
