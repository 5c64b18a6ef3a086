/**
 * Completions that a monitor is asked for: commands, arguments, values, events, clients, VMs.
 *
 * The monitors are a real QEMU behind qmpmux, a bare one, and a hostile one. The shells are real.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { completionText } from "../lib/cli/completion.ts";
import { argumentsFor } from "../lib/cli/completion_arguments.ts";
import type { Row } from "../lib/cli/table.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { SHELLS, WITHIN } from "./support/shells.ts";

const WITHOUT = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",");

function withoutShell(name: string): boolean {
  return WITHOUT.includes(name) || WITHOUT.includes("python3");
}

/** A schema with one command that has every form of argument. */
const SCHEMA: readonly Row[] = [
  { name: "add", "meta-type": "command", "arg-type": "1" },
  {
    name: "1",
    "meta-type": "object",
    tag: "driver",
    members: [
      { name: "driver", type: "2" },
      { name: "on", type: "bool", default: null },
      { name: "count", type: "int", default: null },
      { name: "file", type: "3" },
      { name: "list", type: "[str]" },
      { name: "none", type: "null", default: null },
    ],
    variants: [{ case: "raw", type: "4" }, { case: "same", type: "1" }],
  },
  { name: "2", "meta-type": "enum", values: ["raw", "qcow2"] },
  { name: "3", "meta-type": "alternate", members: [{ type: "1" }, { type: "str" }, { type: "2" }] },
  { name: "4", "meta-type": "object", members: [{ name: "offset", type: "number" }] },
  { name: "[str]", "meta-type": "array", "element-type": "str" },
  ...Object.entries({ str: "string", int: "int", number: "number", bool: "boolean", null: "null" })
    .map(([name, type]) => ({ name, "meta-type": "builtin", "json-type": type })),
];

function offered(earlier: string, begun: string, schema = SCHEMA): string[] {
  const words = earlier.split(" ").filter(Boolean);
  return argumentsFor(schema, "add", words, begun).map(([word]) => word);
}

Deno.test("argumentsFor() offers the members of the arguments that are not given", () => {
  const all = ["driver=", "on=", "count=", "file.", "file=", "list="];
  assertEquals(offered("", ""), all);
  assertEquals(offered("on=true list=[]", ""), ["driver=", "count=", "file.", "file="]);
  assertEquals(offered("driver=raw", ""), [...all.slice(1), "offset="]);
  assertEquals(argumentsFor(SCHEMA, "other", [], ""), []);
  assertEquals(argumentsFor(SCHEMA, "add", [], "").map(([, help]) => help), [
    "one of 2 words",
    "optional true or false",
    "optional integer",
    "object",
    "text",
    "array",
  ]);
});

Deno.test("argumentsFor() offers the members of an object, and those of its variant", () => {
  assertEquals(offered("", "file.o")[0], "file.driver=");
  assertEquals(offered("file.driver=raw", "file.").at(-1), "file.offset=");
  assertEquals(offered("driver=raw", "file.").includes("file.offset="), false);
  assertEquals(offered("file.file.driver=raw", "file.file.").at(-1), "file.file.offset=");
  assertEquals(offered("", "count."), []);
  assertEquals(offered("", "nothing."), []);
});

Deno.test("argumentsFor() offers the words of an enumeration, and truth values", () => {
  assertEquals(offered("", "driver="), ["driver=raw", "driver=qcow2"]);
  assertEquals(offered("", "file.on="), ["file.on=true", "file.on=false"]);
  assertEquals(offered("", "file=q"), ["file=raw", "file=qcow2"]);
  assertEquals(offered("", "count="), []);
  assertEquals(offered("", "nothing="), []);
});

Deno.test("argumentsFor() offers no name that a shell could interpret, from any schema", () => {
  const names = [
    "$(id)",
    "a b",
    "a'",
    'a"',
    "a;b",
    "a\nb",
    "\x1b[2J",
    "--flag",
    "",
    "a.b",
    "é",
    "a`",
  ];
  const hostile = names.map((name) => ({ name, type: "str" }));
  const schema: readonly Row[] = [
    { name: "add", "meta-type": "command", "arg-type": "1" },
    {
      name: "1",
      "meta-type": "object",
      members: [...hostile, 1, null, { name: "e", type: "2" }, { name: 7, type: {} }, {
        name: "x",
        type: "nothing",
      }],
      variants: "no",
    },
    { name: "2", "meta-type": "enum", values: [...names, 5, null, "fine"] },
    { name: "str", "meta-type": "builtin", "json-type": "\x1b[2J" },
  ];
  assertEquals(offered("", "", schema), ["e="]);
  assertEquals(offered("", "e=", schema), ["e=fine"]);
  for (const odd of [{ members: 1 }, { members: {} }, { "meta-type": 4 }, { variants: [[]] }]) {
    const [first, second, ...rest] = schema;
    offered("", "", [first!, { ...second!, ...odd }, ...rest]);
  }
});

Deno.test("argumentsFor() offers no long name, few names, and each once, from any schema", () => {
  const row = (name: string): Row => ({ name, type: "str" });
  const many = Array.from({ length: 40_000 }, (_, at) => row(`m${at}`));
  const schema: readonly Row[] = [
    { name: "add", "meta-type": "command", "arg-type": "1" },
    {
      name: "1",
      "meta-type": "object",
      tag: "driver",
      members: [row("x".repeat(257)), row("y".repeat(256)), { name: "driver", type: "2" }],
      variants: Array.from({ length: 40_000 }, () => ({ case: "raw", type: "3" })),
    },
    { name: "2", "meta-type": "alternate", members: Array(40_000).fill({ type: "4" }) },
    { name: "3", "meta-type": "object", members: many },
    {
      name: "4",
      "meta-type": "enum",
      values: ["x".repeat(257), ...Array.from({ length: 40_000 }, (_, at) => `v${at}`)],
    },
    { name: "str", "meta-type": "builtin", "json-type": "string" },
  ];
  assertEquals(offered("", "", schema), [`${"y".repeat(256)}=`, "driver="]);
  assertEquals(offered("driver=raw", "", schema).length, 4096);
  const values = offered("", "driver=", schema);
  assertEquals([values.length, values[0]], [4096, "driver=v0"]);
});

/** Returns the output of `qmpmux __complete`, line by line; it prints nothing else. */
async function completed(...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await runQmpmux(["__complete", WITHIN, ...words]);
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n").slice(0, -1);
}

Deno.test("qmpmux __complete asks a listener of the file for what can may judge", async () => {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  await using _qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) =>
      name === "query-qmp-schema" ? `{"return": ${JSON.stringify(SCHEMA)}}\r\n` : undefined,
  });
  Deno.writeTextFileSync(
    file,
    `qemu = "${place.path}/vm"\n[[role]]\nname = "own"\nrules = [{ allow = "query-qmp-schema" }]\n` +
      `[[listen]]\naddress = "${place.path}/mux"\nrole = "own"\n`,
  );
  const can = (...words: string[]): Promise<string[]> =>
    completed("can", "--config", file, "--as", "own", ...words);
  // The commands that QEMU is known to have are offered while nothing listens.
  assert((await can("query-versi")).includes("query-version"));
  await using mux = await startQmpmux(["--config", file], { listeners: 1 });
  await mux.log.until(/connected to QEMU/);
  assertEquals(await can("add"), ["add"]);
  assertEquals(await can("add", "driver=r"), ["driver=raw"]);
});

Deno.test("qmpmux __complete does not read a file that may keep it waiting", async () => {
  using place = makePlace();
  const fifo = `${place.path}/fifo`;
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  const builtin = ["full", "observer", "operator", "admin"];
  for (const file of [fifo, "/dev/zero", place.path, `${place.path}/none`]) {
    const lines = await completed("can", "--config", file, "--as", "");
    assertEquals(lines, builtin, file);
    assertEquals(await completed("serve", "--config", file, "--listen", "x,role=f"), [
      "x,role=full",
    ]);
    const commands = await completed("can", "--config", file, "--as", "x", "query-versi");
    assertEquals(commands, ["query-version"]);
  }
});

Deno.test("qmpmux __complete offers no name of a monitor that is too long", async () => {
  using place = makePlace();
  const names = ["x".repeat(100_000), "x".repeat(257), "xy"].map((name) => ({ name }));
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name, id }) => {
      if (name === "qmp_capabilities") return undefined;
      const own = id === undefined ? "" : `, "id": ${id}`;
      return `{"return": ${JSON.stringify(names)}${own}}\r\n`;
    },
  });
  assertEquals(await completed("exec", "-s", qemu.path, "x"), ["xy"]);
  assertEquals(await completed("kick", "-s", qemu.path, "x"), ["xy"]);
});

/** The typed words, and the last word after a tab; `MUX` and `CONTROL` stand for the sockets. */
const LIVE: readonly (readonly [typed: string, word: string])[] = [
  ["exec -s MUX query-versi", "query-version"],
  ["exec --socket=MUX query-qmp-", "query-qmp-schema"],
  ["exec -s MUX blockdev-add driv", "driver"],
  ["exec -s MUX blockdev-add driver=null-a", "driver=null-aio"],
  ["exec -s MUX blockdev-add driver=qcow2 lazy", "lazy-refcounts"],
  ["exec -s MUX blockdev-add driver=qcow2 cache.no-f", "cache.no-flush"],
  ["exec -s MUX blockdev-add driver=qcow2 file.driver=fil", "file.driver=file"],
  ["exec -s MUX blockdev-add driver=qcow2 file.driver=file file.filen", "file.filename"],
  ["exec -s MUX blockdev-add read-only=t", "read-only=true"],
  ["exec -s MUX no-such-command a", "a"],
  ["wait -s MUX --event SHUTD", "SHUTDOWN"],
  ["events -s MUX --filter=BLOCK_JOB_REA", "--filter=BLOCK_JOB_READY"],
  ["kick --control CONTROL watch", "watch/1"],
  ["status --control CONTROL --vm def", "default"],
  ["can --as obs", "observer"],
  ["can --as observer query-versi", "query-version"],
];

/** Words after a socket whose path has a space, quoted in each way, and the last word after a tab. */
const QUOTED: readonly (readonly [typed: string, word: string])[] = [
  [`exec --socket "MUX" query-versi`, "query-version"],
  [`exec --socket 'MUX' query-versi`, "query-version"],
  [`exec --socket="MUX" query-versi`, "query-version"],
  [`exec --socket='MUX' query-versi`, "query-version"],
  [`exec -s "DIR"/mux query-versi`, "query-version"],
  [`exec -s DIR\\ two/mux query-versi`, "query-version"],
  [`exec -s "MUX" 'query-versi`, "query-version"],
  [`exec -s "MUX" "query-versi`, "query-version"],
  [`exec --socket "DIR/mu`, "MUX"],
  [`exec --socket 'DIR/mu`, "MUX"],
  [`exec --socket="DIR/mu`, "--socket=MUX"],
  [`exec --socket "DIR"/mu`, "MUX"],
  [`exec --socket="DIR"/mu`, "--socket=MUX"],
  [`exec --socket='DIR/mu`, "--socket=MUX"],
];

for (const [how, shell] of Object.entries(SHELLS)) {
  const name = how.split(",")[0]!;
  if (how !== name) continue;
  Deno.test({
    name: `${name} completes what a real QEMU behind qmpmux knows`,
    ignore: withoutShell(name) || WITHOUT_QEMU,
    fn: async () => {
      using place = makePlace();
      const [vm, mux, watch, control] = ["vm", "mux", "watch", "control"]
        .map((each) => `${place.path}/${each}`);
      await using _qemu = await startQemu(vm!);
      const args = ["--qemu", vm!, "--listen", mux!, "--listen", watch!, "--control", control!];
      await using running = await startQmpmux(args);
      await running.log.until(/connected to QEMU/);
      using _client = await TestClient.ready(watch!);
      const script = `${place.path}/_qmpmux`;
      Deno.writeTextFileSync(script, completionText(name));
      const typed = LIVE.map(([each]) => each.replace("MUX", mux!).replace("CONTROL", control!));
      const words = await shell(script, typed);
      // zsh removes the equals sign if no value follows.
      assertEquals(
        words.map((word, i) => [LIVE[i]![0], word.replace(/=$/, "")]),
        LIVE.map((each) => [...each]),
      );
    },
  });

  Deno.test({
    name: `${name} completes words in quotes, and words after them`,
    ignore: withoutShell(name),
    fn: async () => {
      using place = makePlace();
      const directory = `${place.path}/one`;
      Deno.mkdirSync(directory);
      Deno.symlinkSync(directory, `${place.path}/of two`);
      await using qemu = new FakeQemu(`${place.path}/vm`, {
        answer: ({ name, id }) => {
          if (name === "qmp_capabilities") return undefined;
          const own = id === undefined ? "" : `, "id": ${id}`;
          return `{"return": [{"name": "query-version"}]${own}}\r\n`;
        },
      });
      Deno.symlinkSync(qemu.path, `${directory}/mux`);
      const script = `${place.path}/_qmpmux`;
      Deno.writeTextFileSync(script, completionText(name));
      const [dir, mux] = [`${place.path}/of two`, `${place.path}/of two/mux`];
      const typed = QUOTED.map(([each]) =>
        each.replace("DIR\\ two", `${place.path}/of\\ two`).replace("MUX", mux).replace("DIR", dir)
      );
      const words = await shell(script, typed);
      assertEquals(
        words.map((word, i) => [QUOTED[i]![0], word]),
        QUOTED.map(([typed, word]) => [typed, word.replace("MUX", mux)]),
      );
    },
  });

  Deno.test({
    name: `${name} is not offered the names of a hostile monitor`,
    ignore: withoutShell(name),
    fn: async () => {
      using place = makePlace();
      const touched = `${place.path}/touched`;
      const names = [
        `x$(touch ${touched})`,
        `x\`touch ${touched}\``,
        `x;touch ${touched};`,
        `x'; touch ${touched}; '`,
        `x"; touch ${touched}; "`,
        `x\ntouch ${touched}\n`,
        `x\rtouch ${touched}\r`,
        "x\x1b[2J",
        "x y",
        "x\ty",
        "x\\",
        "--x",
        "xé",
        "xsafe",
      ].map((each) => ({ name: each, "meta-type": "event" }));
      const value = JSON.stringify(names).replace(
        /[\x7f-\uffff]/g,
        (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
      );
      await using qemu = new FakeQemu(`${place.path}/vm`, {
        answer: ({ name, id }) => {
          if (name === "qmp_capabilities") return undefined;
          return `{"return": ${value}${id === undefined ? "" : `, "id": ${id}`}}\r\n`;
        },
      });
      const script = `${place.path}/_qmpmux`;
      Deno.writeTextFileSync(script, completionText(name));
      const typed = [`exec -s ${qemu.path} x`, `wait -s ${qemu.path} --event x`];
      assertEquals(await shell(script, typed), ["xsafe", "xsafe"]);
      assertEquals([...Deno.readDirSync(place.path)].filter((each) => each.name === "touched"), []);
      assertEquals(await completed("exec", "-s", qemu.path, ""), ["xsafe"]);
    },
  });
}

Deno.test({
  name: "qmpmux __complete asks a bare QEMU that is free, and leaves it to the next client",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    assertEquals(await completed("exec", "-s", qemu.path, "query-versi"), ["query-version"]);
    {
      using holder = await TestClient.ready(qemu.path);
      // While it is held, there are no candidates, and the holder does not notice.
      const { code, stdout, stderr } = await runQmpmux(
        ["__complete", "exec", "-s", qemu.path, "query-versi"],
      );
      assertEquals([code, stdout, stderr], [0, "", ""]);
      assertEquals(JSON.parse(await holder.ask({ execute: "query-name" })), { return: {} });
    }
    assertEquals(await completed("exec", "-s", qemu.path, "query-versi"), ["query-version"]);
  },
});

/** Command lines that make no sense. */
const ODD: readonly (readonly string[])[] = [
  [],
  [""],
  ["--within=1"],
  ["--within=x", ""],
  ["exec", "--socket"],
  ["exec", "--socket", "--socket", "", "--"],
  ["exec", "--nonsense", "a", "b"],
  ["exec", "-s", "tcp:127.0.0.1:1", "stop", "{"],
  ["exec", "-s", "\0", "stop", "a.b.c="],
  ["can", "--config", "/dev/null", "--as", "x", "a", "b="],
  ["serve", "--config", "/nonsense", "--listen", "x,role=a,"],
  ["kick", "--control", "tcp:127.0.0.1:1", ""],
  ["__complete", ""],
  ["$(id)", "`id`"],
];

for (const words of ODD) {
  Deno.test(`qmpmux __complete ${JSON.stringify(words)} exits with 0 and reports nothing`, async () => {
    // An argument of a program has no NUL.
    const given = words.map((word) => word.replace("\0", ""));
    const { code, stdout, stderr } = await runQmpmux(["__complete", ...given]);
    assertEquals([code, stderr], [0, ""]);
    assert(!/[^\x20-\x7e\t\n]/.test(stdout), stdout);
  });
}
