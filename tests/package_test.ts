/**
 * The package: the published library, and that it can be published.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Checking all modules from scratch is slow. */
const PATIENCE_MS = 120_000;

/** Returns the files that would be published, in alphabetical order. */
async function published(): Promise<string[]> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
  });
  const { code, stderr } = await within("the dry run", command.output(), PATIENCE_MS);
  const said = new TextDecoder().decode(stderr);
  assertEquals(code, 0, said);
  assert(!/^warning/mi.test(said), said);
  const files = said.matchAll(/^ *(file:\S+) \(.*\)$/gm);
  return [...files].map(([, url]) => new URL(url!).pathname.slice(ROOT.length)).sort();
}

Deno.test("deno publish includes the core, its example and its documents, and nothing else", async () => {
  const files = await published();
  const places = new Set(files.map((file) => file.replace(/(?<=^lib\/[a-z]+)\/.*/, "")));
  assertEquals(files.filter((file) => file.startsWith("lib/platform")), [
    "lib/platform/client_socket.ts",
    "lib/platform/clock.ts",
    "lib/platform/server_socket.ts",
    "lib/platform/whole_file.ts",
  ]);
  assertEquals([...places], [
    "CHANGELOG.md",
    "LICENSE",
    "deno.json",
    "docs/client.md",
    "docs/library.md",
    "docs/testing.md",
    "examples/client.ts",
    "examples/client_restart.ts",
    "examples/client_since.ts",
    "examples/fake_qemu.ts",
    "examples/power_off.jsonl",
    "examples/power_off.ts",
    "examples/power_off_node.ts",
    "examples/power_off_test.ts",
    "examples/two_clients.ts",
    "lib/client",
    "lib/config",
    "lib/hub",
    "lib/mod.ts",
    "lib/observe",
    "lib/platform",
    "lib/policy",
    "lib/session",
    "lib/sharing",
    "lib/testing",
    "lib/wire",
  ]);
});

Deno.test("every published file imports only published ones", async () => {
  const files = new Set(await published());
  const missing = [...files].filter((file) => file.startsWith("lib/")).flatMap((file) => {
    const text = Deno.readTextFileSync(ROOT + file).replace(/\/\*[^]*?\*\//g, "");
    return [...text.matchAll(/(?:\bfrom |\bimport\()"(\.[^"]+)"/g)].map(([, path]) =>
      new URL(path!, `file://${ROOT}${file}`).pathname.slice(ROOT.length)
    ).filter((path) => !files.has(path)).map((path) => `${file} imports ${path}`);
  });
  assertEquals(missing, []);
});

Deno.test("the library loads without any permission", async () => {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", `${ROOT}examples/two_clients.ts`],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
  });
  const { code, stderr } = await within("the example", command.output());
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
});

for (const module of ["lib/mod.ts", "lib/client/mod.ts", "lib/testing/mod.ts"]) {
  Deno.test(`the example in the documentation of ${module} compiles`, () => compileExample(module));
}

async function compileExample(module: string): Promise<void> {
  using place = makePlace();
  const text = Deno.readTextFileSync(`${ROOT}${module}`);
  const [, example] = /^ \* ```ts\n(.*?)^ \* ```$/ms.exec(text) ?? [];
  assert(example !== undefined);
  const path = `${place.path}/example.ts`;
  Deno.writeTextFileSync(path, example.replace(/^ \* ?/gm, ""));
  const command = new Deno.Command(Deno.execPath(), {
    args: ["check", `--config=${ROOT}deno.json`, path],
    env: { NO_COLOR: "1" },
    stdin: "null",
  });
  const { code, stderr } = await within("the check", command.output(), PATIENCE_MS);
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}
