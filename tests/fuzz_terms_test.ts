/**
 * Properties that hold for everything people and clients write, right or wrong.
 *
 *  1. A reader returns a value, or throws the one class of error it names; nothing else.
 *  2. An error is one line with the finding and the remedy; it shows no place in
 *     the program, and no value that may be a secret.
 *  3. A value that is accepted is written back, and read again as the same.
 *  4. No accepted path of a socket has more than 107 bytes, or a NUL except in front.
 *  5. A fault in a file is reported with the file's name and the right line, and no other is.
 *  6. A command of qmpmux's own is answered once, with its id, by a reply of QMP's form,
 *     and never reaches QEMU; a role that does not administer gets nothing by it.
 *  7. Bytes of QEMU's, however damaged, are read as a message or rejected; nothing throws.
 *     A reply with an id put in and taken out again is the reply.
 *  8. Nothing that is written gets into the prototype of all objects.
 *  9. A very long text is read to its end: the work grows as the text does.
 *
 * `QMPMUX_FUZZ_SEED` repeats a run, `QMPMUX_FUZZ_COUNT` bounds it; `deno task fuzz`
 * tries many more. Inputs that failed once are kept in `tests/corpus/inputs/` and are
 * tried first.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { runCheck } from "../lib/cli/check.ts";
import { readArguments } from "../lib/cli/exec.ts";
import { readFlags, secondsOf, socketOf } from "../lib/cli/flags.ts";
import { showHelp } from "../lib/cli/help.ts";
import { type Flag, type SubcommandName, SUBCOMMANDS } from "../lib/cli/command_table.ts";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { isOwn } from "../lib/hub/own_commands.ts";
import { Failure } from "../lib/platform/failure.ts";
import { printable } from "../lib/wire/printable.ts";
import {
  type Address,
  addressText,
  type ListenAddress,
  parseAddress,
  parseListenAddress,
  PATH_BYTES_LIMIT,
} from "../lib/policy/address.ts";
import { ConfigError, UsageError } from "../lib/policy/usage_error.ts";
import { pathText, readPath } from "../lib/policy/argument_path.ts";
import { readConfig } from "../lib/config/config.ts";
import { configText } from "../lib/config/config_text.ts";
import { EventFilter } from "../lib/policy/event_filter.ts";
import { globAllows, globMatches } from "../lib/policy/glob.ts";
import { parseListener, parseQemu } from "../lib/config/options.ts";
import type { ServeSettings } from "../lib/config/settings.ts";
import { parseMetrics, placeText } from "../lib/config/recording.ts";
import { judge, refusesEntirely, refusesNothing } from "../lib/policy/policy.ts";
import { readRole, ROLES } from "../lib/policy/roles.ts";
import { MessageSplitter } from "../lib/wire/message_splitter.ts";
import { readMessage } from "../lib/wire/message.ts";
import { withId } from "../lib/wire/reply.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { CORPORA } from "./support/corpus.ts";
import { TestClient } from "./support/client.ts";
import { randomCut } from "./support/cuts.ts";
import { makePlace } from "./support/place.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { Random } from "./support/random.ts";
import { grant, GREETING, Stage, StageClient } from "./support/stage.ts";
import { FaultyFile } from "./support/faulty_file.ts";
import { UserText } from "./support/user_text.ts";
import { commandOf } from "./support/verdicts.ts";

const LONG = Deno.args.includes("--long");
const SEED = Number(Deno.env.get("QMPMUX_FUZZ_SEED") ?? Math.floor(Math.random() * 2 ** 32));
const COUNT = Number(Deno.env.get("QMPMUX_FUZZ_COUNT") ?? (LONG ? 1_000_000 : 10_000));
const ENCODER = new TextEncoder();

/** The names in the prototype of all objects, before any input was read. */
const INHERITED = Object.getOwnPropertyNames(Object.prototype).join();

/** Tries the inputs that were found earlier, then that many random ones. */
function fuzz<T>(
  what: string,
  count: number,
  make: (texts: UserText, random: Random) => T,
  check: (input: T, random: Random) => void,
): void {
  const kind = what.split(" ")[0]!;
  Deno.test(`${what} keep their promises for ${count} inputs of seed ${SEED}`, () => {
    const random = new Random(SEED);
    const texts = new UserText(random);
    const found = foundIn(kind) as T[];
    for (let at = 0; at < found.length + count; at++) {
      const input = at < found.length ? found[at]! : make(texts, random);
      try {
        check(input, random);
      } catch (error) {
        const shown = JSON.stringify(input);
        const note = `Input ${at} of seed ${SEED}; keep it in tests/corpus/inputs/${kind}.jsonl`;
        throw new Error(`${note}: ${shown}`, { cause: error });
      }
    }
    assertEquals(Object.getOwnPropertyNames(Object.prototype).join(), INHERITED);
  });
}

/** Returns the inputs of one kind that were found earlier: one JSON value per line. */
function foundIn(kind: string): unknown[] {
  const url = new URL(`./corpus/inputs/${kind}.jsonl`, import.meta.url);
  return Deno.readTextFileSync(url).split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** Returns the result of a reader, or `undefined` if it throws one of its documented errors. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    isTelling(error);
    return undefined;
  }
}

/**
 * Asserts that an error is meant for users: of a known class, and one line with the problem and the
 * remedy.
 */
function isTelling(error: unknown): void {
  const known = error instanceof UsageError || error instanceof Failure ||
    error instanceof ConfigError;
  if (!known) throw error;
  for (const line of error instanceof ConfigError ? error.problems : [error.message]) {
    assert(!/[\n\r\u2028]/.test(printable(line)));
    assert(/: | is no /.test(line), `says too little: ${line}`);
    assert(/; |write |: expected |invalid TOML|the limit of/.test(line), `has no remedy: ${line}`);
    assert(!/\.ts:\d|^\s*at /.test(line), `shows the program: ${line}`);
    assert(!line.includes("undefined") && !line.includes("[object"), `is not finished: ${line}`);
  }
}

function isSound(place: ListenAddress): void {
  if (place.transport === "tcp") {
    assert(place.port >= 0 && place.port <= 65535 && Number.isInteger(place.port));
    assert(/^[\w.:%-]+$/.test(place.hostname), "invalid characters in a host name");
  } else if (place.transport === "unix") {
    assert(ENCODER.encode(place.path).length <= PATH_BYTES_LIMIT, "too long");
    assert(place.path !== "" && !place.path.includes("\0", 1), "a NUL");
  } else assert(/^[^:]+$/.test(place.name) && ![...place.name].some((sign) => sign < " "));
}

fuzz("address readers", COUNT, (texts) => texts.address(), (text) => {
  const place = attempt(() => parseListenAddress(text));
  const address = attempt(() => parseAddress(text));
  if (place === undefined) return assertEquals(address, undefined);
  isSound(place);
  assertEquals(parseListenAddress(addressText(place)), place);
  if (place.transport === "fd") assertEquals(address, undefined);
  else assertEquals(address, place);
});

/** Complete settings that contain the one under test. */
function settingsWith(part: Partial<ServeSettings>): ServeSettings {
  const settings = serveSettings(["--qemu", "/run/fuzz.vm", "--listen", "/run/fuzz.mux"]);
  return { ...settings, ...part };
}

fuzz("listener readers", COUNT, (texts) => texts.listener(), (text) => {
  const listener = attempt(() => parseListener(text));
  if (listener !== undefined) {
    isSound(listener.address);
    assert(listener.mode >= 0 && listener.mode <= 0o777);
    const printed = configText(settingsWith({ listeners: [listener] }));
    assertEquals(readConfig(printed, "f").listeners, [listener]);
  }
  const metrics = attempt(() => parseMetrics(text));
  if (metrics !== undefined) assertEquals(parseMetrics(placeText(metrics)), metrics);
  const qemu: Address | undefined = attempt(() => parseQemu(text));
  if (qemu !== undefined) assertEquals(parseQemu(addressText(qemu)), qemu);
});

const NAMES = Object.keys(SUBCOMMANDS) as SubcommandName[];

fuzz(
  "command-line readers",
  COUNT / 2,
  (texts, random): [SubcommandName, ...string[]] => {
    const name = random.oneIn(2) ? "serve" : random.pick(NAMES);
    const { flags } = SUBCOMMANDS[name];
    return [name, ...texts.commandLine([...Object.keys(flags), "help", "h"])];
  },
  ([name, ...words]) => {
    const given = attempt(() => readFlags(name, words));
    if (given === undefined) return;
    for (const [flag, { value }] of Object.entries<Flag>(SUBCOMMANDS[name].flags)) {
      if (value === undefined) continue;
      attempt(() => given.one(flag));
      for (const value of given.all(flag)) {
        assertEquals(typeof value, "string");
        const time = attempt(() => secondsOf(name, flag, value));
        assert(time === undefined || (time > 0 && time <= 86400));
      }
    }
    if (name !== "serve") attempt(() => socketOf(name, given));
    if (name === "exec") {
      const text = attempt(() => readArguments(given.operands.slice(1)));
      if (text !== undefined) assert(JSON.parse(text) instanceof Object);
    }
    if (name === "serve" && !words.some((word) => word.startsWith("--config"))) {
      const settings = attempt(() => serveSettings(words));
      if (settings === undefined) return;
      isReadBack(settings);
    }
  },
);

/** Asserts that the output of `--print-config` is read as the same settings. */
function isReadBack(settings: ServeSettings): void {
  using place = makePlace();
  const file = `${place.path}/printed.toml`;
  Deno.writeTextFileSync(file, configText(settings));
  assertEquals(serveSettings(["--config", file]), settings);
}

Deno.test(`check refuses invalid command lines, of seed ${SEED}`, async () => {
  using place = makePlace();
  const texts = new UserText(new Random(SEED));
  const { stdout } = Deno;
  const { writeSync } = stdout;
  // The help's text is not compared here.
  stdout.writeSync = ({ length }): number => length;
  using _restored = { [Symbol.dispose]: (): void => void (stdout.writeSync = writeSync) };
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, 'qemu = "/run/vm"\n');
  for (let i = 0; i < COUNT / 100; i++) {
    const words = ["--config", file, texts.text(), ...texts.commandLine(["timeout", "config"])];
    try {
      const given = readFlags("check", words);
      await (given.help ? showHelp("check") : runCheck(given));
    } catch (error) {
      isTelling(error);
    }
  }
});

fuzz(
  "toml readers",
  COUNT / 10,
  (_, random) => new FaultyFile(random).made(),
  ({ text, line }) => {
    let problems: readonly string[] = [];
    try {
      readConfig(text, "some file.toml");
    } catch (error) {
      assert(error instanceof ConfigError, String(error));
      isTelling(error);
      problems = error.problems;
    }
    const lines = problems.map((problem) => /^some file\.toml:(\d+): /.exec(problem)?.[1]);
    assertEquals(lines, line === undefined ? [] : [String(line)], problems.join("\n"));
  },
);

fuzz(
  "damaged-toml readers",
  COUNT / 10,
  (_, random) => new FaultyFile(random).damaged(),
  (text) => {
    const config = attempt(() => readConfig(text, "f"));
    for (const listener of config?.listeners ?? []) isSound(listener.address);
  },
);

fuzz("path readers", COUNT / 4, (texts, random) => {
  return random.oneIn(3)
    ? texts.text()
    : random.pick(["a.b", "a[*].b", '"a.b".c', "a.**"]) + texts.text();
}, (text) => {
  let path;
  try {
    path = readPath(text);
  } catch (error) {
    assert(error instanceof RangeError);
    assert(error.message.includes(": expected "));
    return;
  }
  assertEquals(readPath(pathText(path)), path);
});

const COMMANDS = [
  '{"execute":"query-status"}',
  '{"execute":"c","arguments":{"a":{"b":["x",1,null]},"__proto__":"x","1":"/a/../b"}}',
].map((text) => commandOf(text));

fuzz(
  "role readers",
  COUNT / 4,
  (texts, random) => {
    const value = (): unknown =>
      random.oneIn(3) ? JSON.parse(texts.json(2)) : random.pick<unknown>(["c", "*", "a.b", ["c"]]);
    const paths = (): unknown =>
      random.oneIn(3) ? value() : { [random.pick(["a", "a.b[*]", "**", "1", "a["])]: value() };
    const rule = (): unknown => ({
      [random.oneIn(3) ? "refuse" : "allow"]: value(),
      ...random.oneIn(2) && { where: paths() },
      ...random.oneIn(2) && { only: paths() },
      ...random.oneIn(4) && { [random.pick(["present", "absent", "because", "x"])]: value() },
    });
    return {
      name: random.oneIn(6) ? value() : "r",
      rules: random.oneIn(9) ? value() : Array.from({ length: random.below(4) }, rule),
      ...random.oneIn(3) && { events: value() },
      ...random.oneIn(9) && { [texts.key()]: value() },
    };
  },
  (form) => {
    let role;
    try {
      role = readRole(form, "f:1");
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      for (const line of error.message.split("\n")) isTelling(new UsageError(line));
      return;
    }
    for (const command of COMMANDS) {
      const { allow } = judge(role, command);
      assert(!allow || !refusesEntirely(role, command.name), "hidden, but allowed");
      assert(allow || !refusesNothing(role), "refused by a role that refuses nothing");
    }
  },
);

/** A secret that a client might send in the wrong place. */
const SECRET = "s3cr3t-s3cr3t";

const OWN_NAMES = [
  ..."set-event-filter query-self query-clients query-status disconnect-client reload".split(" "),
  ..."QUERY-SELF query-self2 _tap __proto__ constructor".split(" "),
];

fuzz(
  "admin commands",
  COUNT / 4,
  (texts, random): { role: string; oob: boolean; name: string; args: string | undefined } => ({
    role: random.pick(["admin", "full", "observer", "operator"]),
    oob: random.oneIn(12),
    name: random.oneIn(20) ? texts.key() : `__org.qmpmux_${random.pick(OWN_NAMES)}`,
    args: random.pick([
      () => undefined,
      () => "{}",
      () => `{${JSON.stringify(texts.key())}:${texts.json(3)}}`,
      () => `{"enable":[${texts.json(0)},${texts.json(1)}]}`,
      () => `{"name":${texts.json(1)}}`,
      () => `{"name":"${SECRET}","foo":"${SECRET}"}`,
      () => `{"enable":{"a":"${SECRET}"}}`,
      () => texts.json(2),
    ])(),
  }),
  ({ role, oob, name, args }) => {
    const stage = new Stage();
    stage.reloadProblems = ["f:1: it is wrong; mend it"];
    stage.qemuReady();
    stage.ready("other");
    const client = new StageClient(stage.mux, grant({ role: ROLES.get(role)! }));
    client.say('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}');
    client.peer.take();
    const verb = oob ? "exec-oob" : "execute";
    const middle = args === undefined ? "" : `,"arguments":${args}`;
    client.say(`{"${verb}":${JSON.stringify(name)}${middle},"id":["${name.length}",1e400]}`);
    const toQemu = stage.qemu.take();
    if (!isOwn(name) || (args !== undefined && !args.startsWith("{"))) return;
    assertEquals(toQemu, [], "QEMU heard of it");
    const heard = client.peer.take();
    assertEquals(heard.length, 1);
    const id = `"id": ["${name.length}", inf]`;
    assert(heard[0]!.includes(id), heard[0]);
    const reply = JSON.parse(heard[0]!.replace(id, '"id": 7'));
    assertEquals(Object.keys(reply).length, 2);
    if ("error" in reply) {
      const { class: kind, desc } = reply.error;
      assert(kind === "GenericError" || kind === "CommandNotFound");
      // The error names the missing client, as the request did.
      const named = name.endsWith("disconnect-client");
      assert(desc.length > 10 && (named || !/[\n\r]/.test(desc)), desc);
      assert(named || !desc.includes(SECRET), desc);
    } else {
      const mayAdminister = role === "admin" || /set-event-filter|query-self/.test(name);
      assert(mayAdminister && !oob, `${role} may ${name}`);
    }
    if (client.peer.closed !== undefined) return;
    client.say('{"execute":"__org.qmpmux_query-self","id":8}');
    const [after, ...more] = client.peer.take();
    assertEquals([JSON.parse(after!).id, more], [8, []], "no more replies");
  },
);

const SAID = [
  GREETING,
  '{"return": {}, "id": 7}',
  '{"return": {"running": true, "status": "running"}}',
  '{"id": 7, "error": {"class": "GenericError", "desc": "No \\"x\\", \\u00e9"}}',
  '{"error": {"class": "CommandNotFound", "desc": "x"}}',
  '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}',
  '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RTC_CHANGE", "data": {"a": [1]}}',
  '{\r\n    "return": {\r\n    },\r\n    "id": 7\r\n}',
  '{"return": [1, {"id": 7}, "}"], "id": 8}',
];

/** QEMU's own lines, as recorded, except the longest. */
const RECORDED = CORPORA[0]!.cases.flatMap(({ heard }) => heard.split("\r\n"))
  .filter((line) => line.length > 0 && line.length < 2000);

fuzz(
  "qemu messages",
  COUNT,
  (texts, random) => {
    let said = random.pick(random.oneIn(3) ? RECORDED : SAID);
    if (random.oneIn(2)) {
      const at = random.below(said.length);
      said = said.slice(0, at) + random.pick(["", '"', "{", "}", "]", texts.text(), "7", "\\"]) +
        said.slice(at + random.below(3));
    }
    return said;
  },
  (said, random) => {
    const bytes = ENCODER.encode(`${said}\r\n`);
    for (const chunks of [[bytes], randomCut(bytes, random)]) {
      for (const piece of messagesIn(chunks)) {
        const message = readMessage(piece);
        if (message?.kind !== "return" && message?.kind !== "error") continue;
        const { kind, bytes: bare, id } = message;
        assert(id === undefined || typeof id === "string");
        if (!isPlain(bare)) continue;
        const again = readMessage(withId({ kind, bytes: bare }, "77"));
        assertEquals(again, { kind, bytes: bare, id: "77" });
      }
    }
  },
);

/** Yields the messages before the first syntax error. */
function* messagesIn(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  const splitter = new MessageSplitter();
  for (const chunk of chunks) {
    splitter.load(chunk);
    for (let piece = splitter.next(); piece !== undefined; piece = splitter.next()) {
      if ("damage" in piece) return;
      yield piece;
    }
  }
}

/** Returns whether bytes are a reply without an id, in QEMU's own plain form. */
function isPlain(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes);
  return /^\{"return": (\{\}|\{"running": true[^"]*"status": "running"\})\}\r\n$/.test(text) ||
    /^\{"error": \{"class": "\w+", "desc": "[^"\\]*"\}\}\r\n$/.test(text);
}

fuzz(
  "hub messages",
  COUNT / 20,
  (texts, random) => {
    const lines = Array.from({ length: 1 + random.below(6) }, () => random.pick(SAID));
    return lines.map((line) => {
      if (!random.oneIn(3)) return line;
      const at = random.below(line.length);
      const put = random.pick(["", '"', "{", "}", "[", "7", texts.text().toWellFormed()]);
      return line.slice(0, at) + put + line.slice(at + 1);
    }).join("\r\n");
  },
  (said) => {
    const stage = new Stage();
    stage.qemuReady();
    const client = stage.ready("a", ["oob"]);
    client.say('{"execute":"stop","id":1}{"exec-oob":"query-yank","id":2}');
    stage.qemuSays(said);
    for (const line of client.peer.take()) assert(line.startsWith("{"), line);
  },
);

Deno.test("readers terminate with very many characters", () => {
  const many = 200_000;
  for (
    const part of ["x", ",", "=", "a=b,", "[", '"', '\\"', "*", "?", ".", ":", "+", " ", "\n", "é"]
  ) {
    const long = part.repeat(many / part.length);
    for (const lead of ["", "unix:", "tcp:", "[", "fd:"]) {
      attempt(() => parseListenAddress(lead + long));
    }
    attempt(() => parseListener(`/run/a,events=${long}`));
    attempt(() => parseListener(`/run/a,${long}`));
    attempt(() => parseQemu(long));
    attempt(() => parseMetrics(long));
    attempt(() => readFlags("serve", [`--${long}`, long]));
    attempt(() => readArguments([long]));
    attempt(() => readConfig(`a = "${long}`, "f"));
    attempt(() => readConfig(`# ${long}`, "f"));
    globMatches("*a*a*a*a*b", long);
    globAllows("/backup/*", long);
    try {
      readPath(long);
    } catch (error) {
      assert(error instanceof RangeError);
    }
  }
});

Deno.test("EventFilter.passes() terminates with the slowest globs", () => {
  const filter = new EventFilter(Array(256).fill(`${"*A".repeat(127)}?`));
  for (let i = 0; i < 100; i++) assertEquals(filter.passes(`${"A".repeat(64)}B${i}`), false);
});

Deno.test(`admin commands keep their promises through a socket, of seed ${SEED}`, async () => {
  using place = makePlace();
  const [vm, door, file] = ["vm", "door", "x.toml"].map((name) => `${place.path}/${name}`);
  await using _qemu = new FakeQemu(vm!);
  Deno.writeTextFileSync(
    file!,
    `qemu = "${vm}"\n[[listen]]\naddress = "${door}"\nrole = "admin"\n`,
  );
  await using mux = await startQmpmux(["--config", file!]);
  await mux.log.until(/connected to QEMU/);
  const random = new Random(SEED);
  const texts = new UserText(random);
  using client = await TestClient.ready(door!);
  for (let i = 0; i < COUNT / 100; i++) {
    const name = random.pick(["set-event-filter", "query-self", "query-clients", "query-status"]);
    const args = `{${JSON.stringify(texts.key())}:${texts.json(3)}}`;
    const text = `{"execute":"__org.qmpmux_${name}","arguments":${args},"id":${i}}`;
    await client.send(text);
    assertEquals(JSON.parse(await client.line()).id, i, text);
  }
});
