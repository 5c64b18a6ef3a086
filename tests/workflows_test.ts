/**
 * The forge's workflows: they name things that exist, and have only the permissions they need.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const DIRECTORY = new URL(".github/workflows/", ROOT);

const WORKFLOWS = [...Deno.readDirSync(DIRECTORY)].map(({ name }) => ({
  name,
  text: Deno.readTextFileSync(new URL(name, DIRECTORY)),
}));

/** Returns the first group of all lines that match. */
function all(text: string, form: RegExp): string[] {
  return [...text.matchAll(form)].map(([, found]) => found!);
}

Deno.test("a workflow pins actions to a commit, and names their version", () => {
  for (const { name, text } of WORKFLOWS) {
    const uses = all(text, /\buses: (.+)/g);
    assert(uses.length > 0, name);
    for (const action of uses) {
      // Otherwise it is another workflow of this project.
      const ours = WORKFLOWS.some((other) => action === `./.github/workflows/${other.name}`);
      assert(ours || /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v[\d.]+$/.test(action), `${name}: ${action}`);
    }
  }
});

/** The first version of each action that runs on Node 24; runners have no older Node. */
const ON_NODE_24: Readonly<Record<string, readonly number[]>> = {
  "actions/checkout": [5, 0, 0],
  "actions/download-artifact": [7, 0, 0],
  "actions/upload-artifact": [6, 0, 0],
  "denoland/setup-deno": [2, 0, 4],
};

Deno.test("a workflow uses actions that run on the runners' Node", () => {
  for (const { name, text } of WORKFLOWS) {
    for (const [, action, version] of text.matchAll(/\buses: (\S+)@\S+ # v([\d.]+)$/gm)) {
      const first = ON_NODE_24[action!];
      assert(first, `${name}: note in ON_NODE_24 since when ${action} runs on Node 24`);
      const found = version!.split(".").map(Number);
      const at = first.findIndex((part, i) => part !== found[i]);
      assert(
        at < 0 || found[at]! > first[at]!,
        `${name}: ${action} v${version} runs on an older Node`,
      );
    }
  }
});

Deno.test("a workflow passes root the path of the user's programs and toolchains", () => {
  const runs = WORKFLOWS.flatMap(({ text }) => all(text, /(sudo [^\n]*(?:\\\n[^\n]*)*\.ci\/run)/g));
  assertEquals(runs.length, 1);
  for (const name of ["PATH", "RUSTUP_HOME", "CARGO_HOME"]) {
    assertMatch(runs[0]!, new RegExp(`"${name}=`));
  }
});

Deno.test("a workflow runs the tests where every user may read them", () => {
  const [run] = WORKFLOWS.flatMap(({ text }) => all(text, /run: \|\n((?: {10}.*\n)*).*\.ci\/run/g));
  assertMatch(run!, /sudo cp --recursive \. \/srv\/qmpmux\n +cd \/srv\/qmpmux\n/);
});

Deno.test("a workflow runs with the Deno of tools/deno, or with the newest", () => {
  const tool = Deno.readTextFileSync(new URL("tools/deno", ROOT));
  const [, version] = /^NPM_DENO=(\S+)/m.exec(tool) ?? [];
  for (const { name, text } of WORKFLOWS) {
    const versions = [
      ...all(text, /deno-version: (v\S+)/g),
      ...all(text, /\bdeno: \[(.*)\]/g).flatMap((list) => list.split(", ")),
    ];
    assert(versions.includes(`v${version}`), name);
    for (const each of versions) assert([`v${version}`, "vx.x.x"].includes(each), each);
  }
});

Deno.test("a workflow names tasks that exist", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  for (const { text } of WORKFLOWS) {
    for (const task of all(text, /deno task ([\w:-]+)/g)) assert(task in tasks, task);
  }
});

Deno.test("a workflow may only read, except to make a release", () => {
  const granted = WORKFLOWS.flatMap(({ name, text }) => {
    assertMatch(text, /^permissions:( \{\}|\n {2}contents: read\n\n)/m, name);
    return all(text, /^ +([\w-]+: write)\b/gm).map((right) => `${name} ${right}`);
  });
  assertEquals(granted, ["release.yml contents: write", "release.yml id-token: write"]);
});

Deno.test("a workflow keeps no credentials in its checkout", () => {
  for (const { name, text } of WORKFLOWS) {
    assertEquals(
      all(text, /(actions\/checkout@)/g).length,
      all(text, /(persist-credentials: false)/g).length,
      name,
    );
  }
});
