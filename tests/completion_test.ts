/**
 * Completions, each in its shell: a tab pressed after a word.
 *
 * `completion_live_test.ts` has what a monitor is asked for.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { candidates, completionText } from "../lib/cli/completion.ts";
import { type Flag, GLOBAL_FLAGS, type Subcommand, SUBCOMMANDS } from "../lib/cli/command_table.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { LIMIT_NAMES } from "../lib/policy/limits.ts";
import { OPTION_NAMES, type OptionRow, OPTIONS } from "../lib/config/options.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { commonBeginning, SHELLS, WITHIN } from "./support/shells.ts";

const WITHOUT = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",");
const COMMANDS: readonly (readonly [string, Subcommand])[] = Object.entries(SUBCOMMANDS);

/** The words that are typed, and the last word after the tab. */
type Case = readonly [typed: string, word: string];

/** Returns a word without its last letter, after other words; the tab must restore it. */
function cut(before: string, word: string, joined = ""): Case {
  return [`${before}${joined}${word.slice(0, -1)}`, `${joined}${word}`];
}

/**
 * Returns a case for each word, cut where it becomes unique. A word that is a prefix of another is
 * cut by one letter.
 */
function each(before: string, words: readonly string[], joined = ""): Case[] {
  return words.map((word) => {
    const others = words.filter((other) => other !== word);
    const isShared = (begin: string): boolean => others.some((other) => other.startsWith(begin));
    let typed = word.slice(0, word.startsWith("--") ? 3 : 1);
    while (typed.length < word.length - 1 && isShared(typed)) {
      typed = word.slice(0, typed.length + 1);
    }
    return [
      `${before}${joined}${typed}`,
      joined + commonBeginning(words.filter((other) => other.startsWith(typed))),
    ];
  });
}

/** Creates the files and sockets that are completed, in a directory. */
function fill(place: string): Disposable {
  Deno.mkdirSync(`${place}/run`);
  for (const file of ["vm.toml", "spaced file.toml"]) {
    Deno.writeTextFileSync(`${place}/${file}`, "");
  }
  const made = new DisposableStack();
  for (const path of ["qmp.sock", "run/vm.sock"]) {
    made.use(Deno.listen({ transport: "unix", path: `${place}/${path}` }));
  }
  return made;
}

function lastWord([typed, line]: Case): Case {
  return [typed, line.split(" ").at(-1)!];
}

/** The number of cases that complete files; they are last. */
const FILE_CASES = 8;

/** All cases; files are those of a directory. */
function cases(place: string): Case[] {
  const flagsOf = (row: Subcommand): string[] => [
    ...Object.keys(row.flags).map((flag) => `--${flag}`),
    "--help",
  ];
  const valuesOf = (before: string, { words = [], kind }: Flag): Case[] => [
    // A file's name may be there as well.
    ...each(`${before} `, words).map((one) => kind ? cut(`${before} `, one[1]) : one),
    ...words.slice(0, 1).map((word) => cut("", `${before}=${word}`)).map(lastWord),
  ];
  return [
    ...each("", [...COMMANDS.map(([name]) => name)]),
    ...each("", GLOBAL_FLAGS.map(({ name }) => `--${name}`)),
    ...COMMANDS.flatMap(([name, row]) => each(`${name} `, flagsOf(row))),
    ...COMMANDS.flatMap(([name, { flags }]) =>
      Object.entries(flags).flatMap(([flag, row]) => valuesOf(`${name} --${flag}`, row))
    ),
    ...each("completion ", ["bash", "zsh", "fish"]),
    ...each("help ", [...COMMANDS.map(([name]) => name)]),
    ...each("serve --listen ", [...OPTION_NAMES, ...LIMIT_NAMES], "/x,mode=0600,"),
    ...OPTION_NAMES.flatMap((name) => {
      const { words = [] }: OptionRow = OPTIONS[name];
      return each("serve --listen ", words, `unix:/x,${name}=`);
    }),
    cut("serve ", "rfc2010", "--listen=unix:/x,dialect="),
    ...each("serve --qemu ", ["unix:", "unix-abstract:", "tcp:"]),
    ...each("serve --listen ", ["unix:", "unix-abstract:", "tcp:", "fd:"]),
    // Unknown words are not changed.
    ["serve --frobnicat", "--frobnicat"],
    ["serve --listen /x,frobnicat", "/x,frobnicat"],
    ["serve --listen /x,mode=06", "/x,mode=06"],
    ["frobnicate --hel", "--hel"],
    ["exec query-statu", "query-statu"],
    ["serve --drain-timeout 1", "1"],
    // Files and addresses.
    cut("serve --config ", `${place}/vm.toml`),
    cut("check ", `${place}/vm.toml`, "--config="),
    cut("serve --audit ", `${place}/vm.toml`),
    cut("serve --qemu ", `${place}/qmp.sock`),
    cut("serve --qemu ", `unix:${place}/qmp.sock`),
    cut("serve --listen ", `unix:${place}/qmp.sock`),
    cut("exec ", `unix:${place}/qmp.sock`, "--socket="),
    cut("exec -s ", `${place}/qmp.sock`),
  ];
}

Deno.test("candidates() completes every subcommand, flag, option and word of the manual", async () => {
  using place = makePlace();
  using _files = fill(place.path);
  const all = cases(place.path);
  assert(all.length > 100);
  for (const [typed, word] of all) {
    const words = typed.split(" ");
    const found = (await candidates(words)).map(([word]) => word);
    const completed = found.length > 0 ? commonBeginning(found) : words.at(-1);
    assertEquals([typed, completed!.replace(/=$/, "")], [typed, word.replace(/=$/, "")]);
  }
});

/** A part of the cases: some of each kind, and all cases with files. */
function sample(place: string): Case[] {
  return [
    ...["ser", "--vers", "events --fil", "status --h"].map((typed): Case => [
      typed,
      { ser: "serve", "--vers": "--version", "events --fil": "--filter" }[typed] ?? "--help",
    ]),
    ["completion z", "zsh"],
    ["help comp", "completion"],
    ["serve --log-format jo", "journal"],
    ["serve --log-format=jo", "--log-format=journal"],
    ["serve --listen /x,mode=0600,dia", "/x,mode=0600,dialect"],
    ["serve --listen unix:/x,dialect=rf", "unix:/x,dialect=rfc2010"],
    ["serve --listen=unix:/x,dialect=rf", "--listen=unix:/x,dialect=rfc2010"],
    ["wait --event SHUTD", "SHUTDOWN"],
    ["exec stop --until SHUTD", "SHUTDOWN"],
    ...cases(place).slice(-FILE_CASES),
    ["serve --config sp", "spaced file.toml"],
    ["serve --config spaced\\ fi", "spaced file.toml"],
  ];
}

for (const [how, shell] of Object.entries(SHELLS)) {
  const name = how.split(",")[0]!;
  Deno.test({
    name: `${how} asks qmpmux for what a tab completes`,
    ignore: WITHOUT.includes(name) || WITHOUT.includes("python3"),
    fn: async () => {
      using place = makePlace();
      using _files = fill(place.path);
      const script = `${place.path}/_qmpmux`;
      Deno.writeTextFileSync(script, completionText(name));
      const all = sample(place.path);
      const words = await shell(script, all.map(([typed]) => typed));
      // zsh removes the equals sign if no value follows.
      const seen = (word: string): string => word.replace(/=$/, "");
      assertEquals(
        words.map((word, i) => [all[i]![0], seen(word)]),
        all.map(([typed, word]) => [typed, seen(word)]),
      );
    },
  });
}

/** The names that `qmpmux __complete` prints; it prints nothing else. */
async function completed(
  words: string[],
  env: Record<string, string> = {},
  time = WITHIN,
): Promise<string[]> {
  const { code, stdout, stderr } = await runQmpmux(["__complete", time, ...words], env);
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n").slice(0, -1).map((line) => line.split("\t")[0]!);
}

Deno.test("qmpmux __complete asks a running qmpmux for commands, events, jobs and clients", async () => {
  using place = makePlace();
  const [vm, open, control] = ["vm", "open", "control"].map((name) => `${place.path}/${name}`);
  const names: Readonly<Record<string, string>> = {
    "query-commands": '[{"name": "query-status"}, {"name": "quit"}, {"name": "stop"}]',
    "query-qmp-schema": '[{"name": "stop", "meta-type": "command"}, ' +
      '{"name": "STRANGE", "meta-type": "event"}, {"name": "0", "meta-type": "object"}]',
    "query-jobs": '[{"id": "copy0", "status": "running"}, {"id": "drive0"}]',
  };
  await using _qemu = new FakeQemu(vm!, {
    answer: ({ name }) => names[name] && `{"return": ${names[name]}}\r\n`,
  });
  const args = ["--qemu", vm!, "--listen", open!, "--control", control!];
  await using mux = await startQmpmux(args);
  await mux.log.until(/connected to QEMU/);
  using _client = await TestClient.ready(open!);

  assertEquals(await completed(["exec", "-s", open!, "qu"]), ["query-status", "quit"]);
  assertEquals(await completed(["exec", "qu"], { QMPMUX_SOCKET: open! }), ["query-status", "quit"]);
  assertEquals(await completed(["exec", "-s", open!, "quit", "qu"]), []);
  assertEquals(await completed(["events", `--socket=${open}`, "--filter", "S"]), ["STRANGE"]);
  assertEquals(await completed(["wait", "-s", open!, "--event=S"]), ["--event=STRANGE"]);
  assertEquals(await completed(["exec", "-s", open!, "quit", "--until", "S"]), ["STRANGE"]);
  assertEquals(await completed(["exec", "-s", open!, "--job", "c"]), ["copy0"]);
  assertEquals(await completed(["kick", "--control", control!, "open"]), ["open/1"]);
  assertEquals(await completed(["kick", "--control", control!, "--vm", "def"]), ["default"]);
});

Deno.test("qmpmux __complete prints nothing if no monitor answers", async () => {
  using place = makePlace();
  const path = `${place.path}/silent`;
  using _listener = Deno.listen({ transport: "unix", path });
  const soon = (...words: string[]): Promise<string[]> => completed(words, {}, "--within=100");
  for (const socket of [path, `${place.path}/none`, "tcp:", ""]) {
    assertEquals(await soon("exec", "--socket", socket, "query-"), []);
    assertEquals(await soon("exec", "--socket", socket, "stop", "a"), []);
    assertEquals(await soon("wait", "-s", socket, "--event", "SHUTD"), ["SHUTDOWN"]);
  }
  assertEquals(await soon("kick", "o"), []);
  assertEquals(await soon("exec", "--socket", `${place.path}/none/`), []);
});

Deno.test("qmpmux __complete knows the roles of the configuration file", async () => {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, '[[role]]\nname = "observing"\nrules = []\n');
  const words = ["serve", "--config", file, "--listen", "/x,role=obs"];
  assertEquals(await completed(words), ["/x,role=observer", "/x,role=observing"]);
  Deno.writeTextFileSync(file, "x");
  assertEquals(await completed(words), ["/x,role=observer"]);
});

for (const shell of ["bash", "zsh", "fish"]) {
  Deno.test(`qmpmux completion ${shell} prints the completions and nothing else`, async () => {
    const { code, stdout, stderr } = await runQmpmux(["completion", shell]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout, completionText(shell));
  });
}

Deno.test("completionText() refuses an unknown shell", () => {
  for (const shell of ["tcsh", "toString", ""]) {
    assertThrows(() => completionText(shell), UsageError, "expected bash, zsh, fish");
  }
});

Deno.test("qmpmux completion reports that the shell is missing", async () => {
  assertEquals(await runQmpmux(["completion"]), {
    code: 64,
    stdout: "",
    stderr: "qmpmux: completion: the shell is missing; see qmpmux completion --help\n",
  });
});
