/**
 * The manual pages and the program agree.
 *
 * The pages are generated from the program's tables. Everything else in them is compared with the
 * program: names, words, defaults, examples.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { SUBCOMMANDS } from "../lib/cli/command_table.ts";
import type { Flag, SubcommandName } from "../lib/cli/command_table.ts";
import { helpText, overviewText } from "../lib/cli/help.ts";
import { readFlags } from "../lib/cli/flags.ts";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { VERSION } from "../lib/cli/version.ts";
import { RFC2010 } from "../lib/session/dialect.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { CONFIG_KEYS, readConfig, VM_KEYS } from "../lib/config/config.ts";
import { configText } from "../lib/config/config_text.ts";
import { LIMIT_NAMES } from "../lib/policy/limits.ts";
import { OPTION_NAMES, type OptionRow, OPTIONS, parseListener } from "../lib/config/options.ts";
import { readRole, ROLES } from "../lib/policy/roles.ts";
import { fileName, manualPages } from "../tools/manual.ts";
import { roffOf } from "../tools/manual/roff.ts";
import { EXAMPLE } from "../tools/manual/toml.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";
import { grant, Stage } from "./support/stage.ts";

const ROOT = new URL("../", import.meta.url);
const WITHOUT = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",");

const PAGES = new Map(
  manualPages().map((page) => [fileName(page), roffOf(page, VERSION, "2026-01-31")]),
);
const COMMANDS = Object.keys(SUBCOMMANDS) as SubcommandName[];

/** Returns a page without its fonts and escapes. */
function plain(file: string): string {
  return PAGES.get(file)!
    .replace(/\\f[BIR]/g, "")
    .replace(/\\-/g, "-")
    .replace(/\\\(aq/g, "'")
    .replaceAll("\\e", "\\");
}

/** Returns the text of a section or subsection of a page. */
function part(file: string, title: string): string {
  const found = new RegExp(`^\\.S[HS] ${title}\n(.*?)(?=^\\.S[HS] |(?![^]))`, "ms").exec(
    plain(file),
  );
  assert(found, `${file} has no part ${title}`);
  return found[1]!;
}

/** Returns the terms of a list in a text. */
function termsIn(text: string): string[] {
  return [...text.matchAll(/^\.TP\n(.*)$/gm)].map(([, term]) => term!);
}

function settingsWith(...args: string[]): unknown {
  return serveSettings(["--qemu", "/run/q", "--listen", "/run/m", ...args]);
}

for (const name of COMMANDS) {
  Deno.test(`qmpmux.1 and the help of ${name} list exactly the flags that readFlags() accepts`, () => {
    const flags = termsIn(part("qmpmux.1", `qmpmux ${name}`))
      .flatMap((term) => /--([a-z-]+)( \S+)?$/.exec(term)?.slice(1, 3).join("") ?? [])
      .filter((flag) => flag !== "help");
    assert(flags.length > 0 || ["completion", "help", "version"].includes(name));
    for (const flag of flags) {
      const [key, value] = flag.split(" ");
      const given = readFlags(name, value === undefined ? [`--${key}`] : [`--${key}`, "x"]);
      assertEquals(
        value === undefined ? given.has(key!) : given.all(key!),
        value === undefined || ["x"],
      );
      assert(helpText(name).includes(` --${flag}`), `--${flag} is not in the help`);
    }
    assertEquals(flags.map((flag) => flag.split(" ")[0]), Object.keys(SUBCOMMANDS[name].flags));
    assertThrows(() => readFlags(name, ["--frobnicate", "x"]), UsageError, "unknown flag");
  });
}

Deno.test("overviewText() names every subcommand with its usage and its purpose", () => {
  for (const name of COMMANDS) {
    const { summary, usage } = SUBCOMMANDS[name];
    for (const words of usage) {
      assert(overviewText().includes(`\n${`  qmpmux ${name} ${words}`.trimEnd()}\n`), name);
    }
    assert(overviewText().includes(`  ${summary}\n`), name);
  }
  assertEquals(overviewText().split("\n").filter((line) => line.length > 100), []);
});

for (const [name, flag] of Object.entries(SUBCOMMANDS.serve.flags as Record<string, Flag>)) {
  const { words, kind } = flag;
  if (words === undefined || kind !== undefined) continue;
  Deno.test(`qmpmux serve accepts for --${name}, and for its key, the words in the manual`, () => {
    const more = name === "audit-failure" ? "journal" : undefined;
    for (const word of words) {
      settingsWith(`--${name}`, word, ...(more ? ["--audit", more] : []));
      readConfig(`${name} = "${word}"`, "f");
    }
    const known = `expected ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
    assertThrows(() => settingsWith(`--${name}`, "nonsense"), UsageError, known);
    assertThrows(() => readConfig(`${name} = "nonsense"`, "f"), Error, name);
  });
}

for (const [name, { value }] of Object.entries(SUBCOMMANDS.serve.flags as Record<string, Flag>)) {
  if (value === undefined) continue;
  Deno.test(`qmpmux serve reads the value of --${name}`, () => {
    const others = { "--qemu": "/run/q", "--listen": "/run/m" };
    const args = Object.entries({ ...others, [`--${name}`]: "" }).flat();
    assertThrows(() => serveSettings(args));
  });
}

Deno.test("qmpmux serve has the defaults in the manual", () => {
  const settings = serveSettings(["--qemu", "/run/q", "--listen", "/run/m"]);
  const lines = configText(settings).split("\n");
  for (
    const [name, { initial }] of Object.entries(SUBCOMMANDS.serve.flags as Record<string, Flag>)
  ) {
    if (
      initial === undefined || /^(vm|log-format|audit-failure|record-size|record-files)$/.test(name)
    ) continue;
    const value = typeof initial === "string" ? JSON.stringify(initial) : initial;
    assert(lines.includes(`${name} = ${value}`), `${name} is not ${value}`);
  }
  for (const name of OPTION_NAMES) {
    const { initial, value }: OptionRow = OPTIONS[name];
    if (
      initial === undefined ||
      /^(name|events|allow-remote|identity|log-clients|fds|directory-mode)$/.test(name)
    ) continue;
    const shown = value === "on|off" ? initial === "on" : JSON.stringify(initial);
    assert(lines.includes(`${name} = ${shown}`), `${name} is not ${shown}`);
  }
});

Deno.test("the keys of the file are the flags of serve, and tables", () => {
  const flags = Object.keys(SUBCOMMANDS.serve.flags);
  const only = (names: readonly string[], others: readonly string[]): string[] =>
    names.filter((name) => !others.includes(name)).sort();
  assertEquals(only(flags, CONFIG_KEYS), ["config", "print-config"]);
  assertEquals(only(CONFIG_KEYS, flags), ["deadline", "role"]);
  assertEquals(termsIn(part("qmpmux.toml.5", "TOP LEVEL")), [...CONFIG_KEYS]);
});

Deno.test("qmpmux.toml.5 has exactly the keys that a VM can have", () => {
  assertEquals(termsIn(part("qmpmux.toml.5", "VMS")), [...VM_KEYS]);
});

/** An invalid value for each option. */
const WRONG: Readonly<Record<keyof typeof OPTIONS, string>> = {
  "name": "a b",
  "role": "nobody",
  "dialect": "latin",
  "absent": "perhaps",
  "events": "{}",
  "mode": "rwx",
  "user": "",
  "group": "",
  "directory-mode": "rwx",
  "identity": "perhaps",
  "log-clients": "perhaps",
  "allow": "a b",
  "role-for": "a",
  "fds": "perhaps",
  "allow-remote": "perhaps",
  "cache": "perhaps",
  "join": "perhaps",
};

for (const name of OPTION_NAMES) {
  Deno.test(`--listen accepts for ${name}= the words in the manual, and reads it`, () => {
    const { words = [] }: OptionRow = OPTIONS[name];
    for (const word of words) parseListener(`/run/m,${name}=${word}`);
    assertThrows(() => parseListener(`/run/m,${name}=${WRONG[name]}`), UsageError);
  });
}

Deno.test("qmpmux.1 and qmpmux.toml.5 list exactly the options and limits that --listen knows", () => {
  const error = assertThrows(() => parseListener("/run/m,frobnicate=1"), UsageError);
  const known = /: expected (.*)$/.exec(error.message)![1]!.split(", ");
  assertEquals(known, [...OPTION_NAMES, ...LIMIT_NAMES]);
  const options = `${part("qmpmux.1", "LISTENER OPTIONS")}\n${part("qmpmux.1", "Limits")}`;
  assertEquals(termsIn(options).map((term) => term.split("=")[0]!), known);
  assertEquals(termsIn(part("qmpmux.toml.5", "LISTENERS")), ["address", ...known]);
});

Deno.test("qmpmux.toml.5 lists exactly the keys of roles and rules", () => {
  const known = (role: unknown): string[] => {
    const { message } = assertThrows(() => readRole(role, "f"), UsageError);
    return /^f: .*unknown key "frobnicate": expected (.*)$/m.exec(message)![1]!.split(", ").sort();
  };
  const told = (title: string): string[] =>
    termsIn(part("qmpmux.toml.5", title)).flatMap((term) => term.split(/, | or /)).sort();
  assertEquals(told("ROLES"), known({ frobnicate: 1 }));
  assertEquals(told("Rules"), known({ name: "r", rules: [{ frobnicate: 1 }] }));
});

Deno.test("qmpmux.1 lists every built-in role", () => {
  assertEquals(termsIn(part("qmpmux.1", "ROLES")).sort(), [...ROLES.keys()].sort());
});

Deno.test("the examples in the pages are valid", () => {
  const examples = part("qmpmux.1", "EXAMPLES").replaceAll("\\\n", "");
  const lines = [...examples.matchAll(/^qmpmux (.*)$/gm)].map(([, line]) => line!);
  assert(lines.length >= 8);
  for (const line of lines) {
    const [name, ...args] = line.replaceAll("'", "").split(/ +/);
    const given = readFlags(name as SubcommandName, args);
    if (name === "serve") serveSettings(args);
    else assertEquals(given.all("socket").length, 1, line);
  }
  assertEquals(readConfig(EXAMPLE, "f").listeners.length, 2);
  assert(part("qmpmux.toml.5", "EXAMPLE").includes(EXAMPLE.trimEnd()));
});

/** Returns the sources of the files of a floor, and of its rooms. */
function sources(floor: string): string {
  const directory = new URL(`lib/${floor}/`, ROOT);
  const texts = [...Deno.readDirSync(directory)].map(({ name, isDirectory }) =>
    isDirectory ? sources(`${floor}/${name}`) : Deno.readTextFileSync(new URL(name, directory))
  );
  return texts.join("\n");
}

Deno.test("qmpmux.1 lists every signal and every environment variable that the program uses", () => {
  const code = ["platform", "daemon", "cli"].map(sources).join("\n");
  // The events of readline have the names of the signals that its keys stand for elsewhere.
  const signals = new Set(
    [...code.matchAll(/(?<!\.on\()"(SIG[A-Z0-9]+)"/g)].map(([, signal]) => signal!),
  );
  const told = termsIn(part("qmpmux.1", "SIGNALS")).flatMap((term) => term.split(", "));
  assertEquals(told.sort(), [...signals].sort());
  const variables = new Set(
    [...code.matchAll(/\bget\("([A-Z_]{4,})"\)/g)].map(([, name]) => name!),
  );
  assertEquals(
    termsIn(part("qmpmux.1", "ENVIRONMENT")).sort(),
    [...variables].sort(),
  );
});

/**
 * Connects a client that administers qmpmux, with a QEMU. The result returns the value of a
 * command.
 */
function administrator(stage: Stage): (command: string) => unknown {
  stage.qemuReady();
  const client = stage.connect("a", grant({ role: ROLES.get("admin")! }));
  client.say('{"execute":"qmp_capabilities"}');
  client.peer.take();
  return (command) => {
    client.say(JSON.stringify({ execute: `__org.qmpmux_${command}` }));
    const [line] = client.peer.take();
    return JSON.parse(line!).return;
  };
}

Deno.test("qmpmux-protocol.7 lists exactly the commands of qmpmux's own", () => {
  const asks = administrator(new Stage());
  const { commands } = asks("query-self") as { commands: string[] };
  const told = [
    "For every client",
    "For clients whose role may lease",
    "For clients whose role administers qmpmux",
  ].flatMap((title) => termsIn(part("qmpmux-protocol.7", title)))
    .map((term) => term.split(" ")[0]!);
  assertEquals(told.sort(), commands.sort());
});

Deno.test("qmpmux-protocol.7 lists every member that qmpmux's own commands return", () => {
  const asks = administrator(new Stage());
  const page = plain("qmpmux-protocol.7");
  for (const command of ["query-self", "query-status", "query-clients"]) {
    const answer = asks(command);
    const [first] = Array.isArray(answer) ? answer : [answer];
    const told = new RegExp(`^__org.qmpmux_${command}(?: .*?)?\n(.*?)(?=\n\\.)`, "ms").exec(
      page,
    )![1]!;
    for (const member of Object.keys(first as object)) {
      assert(new RegExp(`(^|\\W)${member}\\b`).test(told), `${command} returns ${member}`);
    }
  }
});

Deno.test("qmpmux-protocol.7 lists qmpmux's own events with their data", () => {
  const stage = new Stage(60, { onLoss: "hold" });
  administrator(stage);
  const client = stage.clients.get("a")!;
  client.say('{"execute":"__org.qmpmux_subscribe","arguments":{"bookmarks":"each"}}');
  client.peer.take();
  stage.qemuGoes();
  stage.qemuReady();
  const members = new Map(
    client.peer.take().map((line) => JSON.parse(line)).map(({ event, data }) => [
      event,
      Object.keys(data),
    ]),
  );
  const list = part("qmpmux-protocol.7", "OWN EVENTS");
  const terms = termsIn(list);
  assertEquals(terms.toSorted(), [...members.keys()].toSorted());
  for (const [at, told] of list.split(".TP").slice(1).entries()) {
    assertEquals(members.get(terms[at]!)!.filter((member) => !told.includes(member)), []);
  }
});

Deno.test("qmpmux-protocol.7 lists every command of the dialect of 2010", () => {
  const rfc = part("qmpmux-protocol.7", "RFC 2010");
  const { own, exceptions } = RFC2010;
  const silent = part("qmpmux-protocol.7", "Where the proposal is silent");
  for (const name of [...own.negotiation.keys(), ...own.command.keys(), ...exceptions]) {
    assert(`${rfc}${silent}`.includes(name), name);
  }
});

Deno.test("the task manual writes the pages, and nothing else, with the given date", async () => {
  using place = makePlace();
  const out = `${place.path}/man`;
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  const [, ...words] = (tasks.manual.command as string).split(" ");
  const command = new Deno.Command(Deno.execPath(), {
    args: [...words, "--out", out],
    cwd: ROOT,
    env: { SOURCE_DATE_EPOCH: "86400" },
    stderr: "null",
  });
  assertEquals((await within("the pages", command.output())).code, 0);
  const written = [...Deno.readDirSync(out)].map(({ name }) => name);
  assertEquals(written.sort(), [...PAGES.keys()].sort());
  for (const page of manualPages()) {
    const text = Deno.readTextFileSync(`${out}/${fileName(page)}`);
    assertEquals(text, roffOf(page, VERSION, "1970-01-02"));
  }
});

for (const [tool, ...args] of [["mandoc", "-Tlint"], ["groff", "-man", "-ww", "-z", "-Tutf8"]]) {
  for (const [file, text] of PAGES) {
    Deno.test({
      name: `${tool} reports nothing about ${file}`,
      ignore: WITHOUT.includes(tool!),
      fn: async () => {
        using place = makePlace();
        const path = `${place.path}/${file}`;
        Deno.writeTextFileSync(path, text);
        const command = new Deno.Command(tool!, { args: [...args, path] });
        const { code, stdout, stderr } = await within(tool!, command.output());
        const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
        assertEquals([code, ...said], [0, "", ""]);
      },
    });
  }
}
