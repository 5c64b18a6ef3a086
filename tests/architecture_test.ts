/**
 * The walls: which floor may import which, and what the core may not use.
 *
 * The picture is in `docs/architecture.md`. A change that has to move a wall
 * changes the table here and the picture there.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** The floors from the top; a file imports its own floor and those below. */
const FLOORS = [
  "cli",
  "testing",
  "client",
  "daemon",
  "platform",
  "hub",
  "session",
  "sharing",
  "config",
  "policy",
  "observe",
  "wire",
] as const;
type Floor = typeof FLOORS[number];
/** Floors that use sockets and clocks. */
const WAITING: readonly Floor[] = ["testing", "client", "daemon", "platform"];
const CORE: readonly Floor[] = FLOORS.slice(FLOORS.indexOf("hub"));

/** Along these arrows files of one floor import each other; `a: ["b"]` means a ─► b. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  "testing/answer": ["testing/fault"],
  "testing/argument_check": ["testing/masked_types"],
  "testing/answering": [
    "testing/answer",
    "testing/fake_connection",
    "testing/fake_kind",
    "testing/fault",
    "testing/sent_answer",
  ],
  "testing/emptiest": ["testing/answer"],
  "testing/fake_kind": [
    "testing/fake_server",
    "testing/fault",
    "testing/schema_check",
    "testing/sent_answer",
  ],
  "testing/fake_qemu": [
    "testing/answer",
    "testing/answering",
    "testing/fake_kind",
    "testing/fake_server",
    "testing/fault",
    "testing/known_members",
    "testing/qemu_version",
    "testing/recorded",
    "testing/schema_answers",
    "testing/schema_check",
    "testing/script",
  ],
  "testing/fake_server": ["testing/memory_socket"],
  "testing/fault": ["testing/negotiation"],
  "testing/mod": [
    "testing/answer",
    "testing/fake_qemu",
    "testing/play",
    "testing/recorded",
    "testing/schema_answers",
    "testing/script",
  ],
  "testing/play_file": [
    "testing/play",
    "testing/qemu_version",
    "testing/recording_play",
  ],
  "testing/player": ["testing/play", "testing/recorded_match"],
  "testing/recorded": [
    "testing/fake_kind",
    "testing/fault",
    "testing/play",
    "testing/play_file",
    "testing/replay",
  ],
  "testing/recorded_match": ["testing/play", "testing/same"],
  "testing/recording_play": [
    "testing/negotiation",
    "testing/play",
    "testing/recorded_id",
    "testing/recorded_message",
  ],
  "testing/recorded_schema": [
    "testing/emptiest",
    "testing/play",
    "testing/respelt",
    "testing/schema_check",
  ],
  "testing/replay": [
    "testing/answer",
    "testing/fake_connection",
    "testing/fake_kind",
    "testing/fault",
    "testing/play",
    "testing/player",
    "testing/recorded_match",
    "testing/recorded_schema",
    "testing/schema_check",
    "testing/sent_answer",
  ],
  "testing/replies_play": [
    "testing/negotiation",
    "testing/play",
    "testing/qemu_version",
    "testing/recorded_id",
    "testing/respelt",
  ],
  "testing/schema_answers": [
    "testing/answer",
    "testing/emptiest",
    "testing/qemu_version",
    "testing/schema_check",
  ],
  "testing/schema_check": [
    "testing/argument_check",
    "testing/masked_types",
    "testing/unchecked",
  ],
  "testing/sent_answer": ["testing/answer", "testing/fake_connection"],
  "testing/unchecked": ["testing/masked_types"],
  "testing/script": [
    "testing/answer",
    "testing/fault",
    "testing/known_members",
    "testing/same",
  ],
  "client/declarations": [
    "client/introspection",
    "client/type_graph",
    "client/type_line",
    "client/type_names",
  ],
  "client/attempt_errors": ["client/errors"],
  "client/event_stream": ["client/queue", "client/schema"],
  "client/early_events": ["client/event_stream", "client/schema"],
  "client/event_wait": ["client/event_stream", "client/schema"],
  "client/limits": ["client/errors"],
  "client/link": [
    "client/errors",
    "client/nesting",
    "client/odd_numbers",
    "client/schema",
    "client/way",
  ],
  "client/mod": [
    "client/byte_streams",
    "client/errors",
    "client/event_stream",
    "client/exact_json",
    "client/link",
    "client/options",
    "client/qmp",
    "client/schema",
  ],
  "client/monitor_address": ["client/errors"],
  "client/way": ["client/byte_streams", "client/monitor_address"],
  "client/odd_numbers": ["client/exact_json"],
  "client/options": ["client/schema"],
  "client/qmp": [
    "client/arrival",
    "client/attempt_errors",
    "client/byte_streams",
    "client/errors",
    "client/event_stream",
    "client/event_wait",
    "client/exact_json",
    "client/globs",
    "client/limits",
    "client/link",
    "client/options",
    "client/pauses",
    "client/readers",
    "client/schema",
    "client/sendable",
    "client/way",
  ],
  "client/pauses": ["client/limits"],
  "client/readers": [
    "client/early_events",
    "client/event_stream",
    "client/link",
    "client/schema",
    "client/subscription",
  ],
  "client/subscription": [
    "client/errors",
    "client/event_stream",
    "client/link",
    "client/schema",
  ],
  "client/type_classes": ["client/type_graph"],
  "client/type_graph": ["client/introspection"],
  "client/type_line": ["client/introspection", "client/type_graph"],
  "client/type_names": ["client/type_classes", "client/type_graph", "client/type_line"],
  "daemon/client": ["daemon/deps", "daemon/fd_budget", "daemon/inbox", "daemon/limit_log"],
  "daemon/client_registry": [
    "daemon/client",
    "daemon/deps",
    "daemon/fd_budget",
    "daemon/web_guard",
  ],
  "daemon/control": ["daemon/client_registry", "daemon/limit_log", "daemon/machine"],
  "daemon/control_tap": ["daemon/records"],
  "daemon/daemon": [
    "daemon/control",
    "daemon/limit_log",
    "daemon/machine",
    "daemon/machine_set",
    "daemon/metrics_server",
    "daemon/recording",
    "daemon/records",
  ],
  "daemon/deps": ["daemon/fd_budget", "daemon/limit_log"],
  "daemon/fd_budget": ["daemon/limit_log"],
  "daemon/listener_addresses": ["daemon/vm_entry"],
  "daemon/machine": [
    "daemon/client_registry",
    "daemon/limit_log",
    "daemon/qemu_link",
    "daemon/records",
  ],
  "daemon/machine_set": [
    "daemon/discovery",
    "daemon/listener_addresses",
    "daemon/machine",
    "daemon/overview",
    "daemon/unserved",
    "daemon/vm_entry",
  ],
  "daemon/overview": ["daemon/machine", "daemon/unserved", "daemon/vm_entry"],
  "daemon/qemu": ["daemon/deps"],
  "daemon/qemu_link": ["daemon/deps", "daemon/qemu"],
  "daemon/recorder": ["daemon/control_tap", "daemon/records"],
  "daemon/recording": ["daemon/recorder"],
  "daemon/records": ["daemon/audit_trail", "daemon/limit_log"],
  "daemon/unserved": ["daemon/limit_log", "daemon/machine", "daemon/vm_entry"],
  "daemon/vm_entry": ["daemon/machine"],
  "platform/audit_file": ["platform/failure", "platform/socket_file"],
  "platform/binding": [
    "platform/descriptor_store",
    "platform/failure",
    "platform/listening_addresses",
    "platform/poller",
    "platform/socket_activation",
    "platform/socket_file",
    "platform/stream",
    "platform/unix_socket",
  ],
  "platform/config_file": [
    "platform/audit_file",
    "platform/rotated_file",
    "platform/text_file",
    "platform/users",
  ],
  "platform/connection": [
    "platform/reply_budget",
    "platform/stream",
    "platform/turns",
    "platform/write_queue",
    "platform/write_starts",
  ],
  "platform/cursor_file": ["platform/failure", "platform/socket_file", "platform/text_file"],
  "platform/descriptor_store": [
    "platform/descriptors",
    "platform/libc",
    "platform/log",
    "platform/poller",
    "platform/socket_file",
    "platform/systemd",
    "platform/unix_socket",
  ],
  "platform/dial": [
    "platform/failure",
    "platform/libc",
    "platform/socket_file",
    "platform/stream",
    "platform/unix_socket",
  ],
  "platform/directory_watch": ["platform/socket_file"],
  "platform/history_file": ["platform/failure", "platform/socket_file", "platform/text_file"],
  "platform/input": ["platform/failure"],
  "platform/journal": ["platform/audit_file", "platform/failure", "platform/systemd"],
  "platform/libc": [
    "platform/descriptors",
    "platform/libc_symbols",
    "platform/listening_addresses",
  ],
  "platform/line_file": ["platform/input"],
  "platform/listener": [
    "platform/binding",
    "platform/clock",
    "platform/descriptor_store",
    "platform/failure",
    "platform/log",
    "platform/poller",
    "platform/socket_file",
    "platform/stream",
    "platform/users",
  ],
  "platform/monitor_holder": ["platform/libc", "platform/libc_symbols"],
  "platform/output": ["platform/failure"],
  "platform/output_file": ["platform/failure", "platform/output"],
  "platform/paths": ["platform/failure"],
  "platform/poller": ["platform/libc", "platform/libc_symbols", "platform/log"],
  "platform/process_name": ["platform/libc_symbols"],
  "platform/recording_file": ["platform/failure", "platform/socket_file"],
  "platform/rotated_file": ["platform/failure", "platform/socket_file"],
  "platform/server_socket": ["platform/client_socket"],
  "platform/socket_activation": ["platform/failure", "platform/runtime", "platform/stream"],
  "platform/socket_file": ["platform/failure", "platform/stream", "platform/users"],
  "platform/stream": ["platform/libc"],
  "platform/stream_socket": ["platform/client_socket", "platform/stream"],
  "platform/systemd": ["platform/clock", "platform/failure", "platform/log", "platform/runtime"],
  "platform/text_file": ["platform/failure"],
  "platform/turns": ["platform/clock"],
  "platform/unix_socket": [
    "platform/descriptors",
    "platform/libc",
    "platform/poller",
    "platform/stream",
  ],
  "platform/users": ["platform/failure"],
  "hub/dispatch": [
    "hub/fd_gate",
    "hub/lease_gate",
    "hub/listing",
    "hub/request",
    "hub/request_recorder",
    "hub/tapping",
  ],
  "hub/lease_commands": ["hub/administration", "hub/lease_gate", "hub/own_command"],
  "hub/lease_gate": ["hub/administration", "hub/request"],
  "hub/own_command": [
    "hub/administration",
    "hub/lease_gate",
    "hub/request_recorder",
    "hub/subscriptions",
    "hub/tap_request",
  ],
  "hub/gauges": ["hub/administration"],
  "hub/intake": [
    "hub/dispatch",
    "hub/mux_options",
    "hub/own_command",
    "hub/own_commands",
    "hub/request",
    "hub/tapping",
  ],
  "hub/mux": [
    "hub/administration",
    "hub/dispatch",
    "hub/fd_gate",
    "hub/gauges",
    "hub/intake",
    "hub/mux_options",
    "hub/no_message",
    "hub/own_command",
    "hub/own_events",
    "hub/request",
    "hub/request_recorder",
    "hub/subscriptions",
    "hub/tapping",
  ],
  "hub/mux_options": ["hub/administration", "hub/tap_request"],
  "hub/own_commands": [
    "hub/administration",
    "hub/lease_commands",
    "hub/own_command",
    "hub/own_events",
    "hub/permission",
    "hub/tap_request",
  ],
  "hub/subscriptions": ["hub/mux_options", "hub/own_events"],
  "hub/tapping": ["hub/request"],
  "session/dialect": ["session/arguments"],
  "session/handshake": ["session/dialect"],
  "session/monitor": [
    "session/dialect",
    "session/reply_style",
    "session/slot",
    "session/subscription",
  ],
  "session/upstream": ["session/handshake"],
  "sharing/leases": ["sharing/lease"],
  "sharing/fd_names": ["sharing/fd_commands", "sharing/fd_references"],
  "sharing/fd_references": ["sharing/fd_commands"],
  "sharing/fd_registry": [
    "sharing/fd_commands",
    "sharing/fd_names",
    "sharing/fd_references",
    "sharing/fd_sets",
  ],
  "sharing/fd_sets": ["sharing/fd_commands"],
  "config/config": [
    "config/conflicts",
    "config/listener_form",
    "config/options",
    "config/settings",
    "config/toml",
  ],
  "config/config_text": [
    "config/options",
    "config/recording",
    "config/settings",
    "config/value_kinds",
  ],
  "config/conflicts": ["config/options", "config/settings"],
  "config/listener_form": ["config/options", "config/toml"],
  "config/machines": ["config/options", "config/settings"],
  "config/recording": ["config/options"],
  "config/settings": ["config/options", "config/recording", "config/value_kinds"],
  "policy/address": ["policy/usage_error"],
  "policy/admission": [
    "policy/event_filter",
    "policy/limits",
    "policy/policy",
    "policy/usage_error",
  ],
  "policy/argument_list": ["policy/argument_path", "policy/glob_list"],
  "policy/event_filter": ["policy/glob", "policy/suggestion"],
  "policy/glob_list": ["policy/glob"],
  "policy/lease_scope": [
    "policy/argument_path",
    "policy/glob",
    "policy/glob_overlap",
    "policy/observer_role",
    "policy/policy",
  ],
  "policy/limits": ["policy/usage_error"],
  "policy/nearest_rule": [
    "policy/argument_list",
    "policy/argument_path",
    "policy/glob",
    "policy/glob_list",
    "policy/policy",
  ],
  "policy/operator_role": ["policy/observer_role"],
  "policy/policy": [
    "policy/argument_list",
    "policy/argument_path",
    "policy/event_filter",
    "policy/glob",
    "policy/glob_list",
  ],
  "policy/role_form": [
    "policy/argument_list",
    "policy/argument_path",
    "policy/event_filter",
    "policy/lease_scope",
    "policy/policy",
    "policy/suggestion",
    "policy/usage_error",
  ],
  "policy/roles": [
    "policy/glob",
    "policy/observer_role",
    "policy/operator_role",
    "policy/policy",
    "policy/role_form",
    "policy/suggestion",
    "policy/usage_error",
  ],
  "policy/vm_template": ["policy/address", "policy/usage_error"],
  "observe/audit": ["observe/observer", "observe/secrets"],
  "observe/line_members": ["observe/traffic", "observe/traffic_texts"],
  "observe/metrics_recorder": ["observe/observer", "observe/prometheus"],
  "observe/recording_reader": ["observe/recording_line"],
  "observe/recording_sequence": ["observe/recording_line", "observe/recording_reader"],
  "observe/recording_writer": [
    "observe/line_members",
    "observe/recording_line",
    "observe/source_lines",
    "observe/traffic",
    "observe/traffic_texts",
  ],
  "observe/source_lines": ["observe/line_members", "observe/traffic", "observe/traffic_texts"],
  "observe/secrets": ["observe/human_line"],
  "observe/taps": ["observe/traffic"],
  "observe/traffic": ["observe/observer"],
  "observe/traffic_texts": ["observe/human_line", "observe/secrets"],
  "wire/command_reader": [
    "wire/frame",
    "wire/message",
    "wire/names",
    "wire/order",
    "wire/printer",
    "wire/text",
  ],
  "wire/cursor": ["wire/names", "wire/qemu_json", "wire/scan", "wire/text"],
  "wire/frame": ["wire/grammar", "wire/lexer", "wire/normalizer", "wire/scan", "wire/text"],
  "wire/json_text": ["wire/utf8"],
  "wire/keys": ["wire/text"],
  "wire/lexer": ["wire/output"],
  "wire/message": ["wire/cursor", "wire/frame", "wire/names", "wire/qemu_json", "wire/text"],
  "wire/message_splitter": ["wire/frame", "wire/text"],
  "wire/names": ["wire/spelling", "wire/text"],
  "wire/normalizer": [
    "wire/grammar",
    "wire/keys",
    "wire/lexer",
    "wire/output",
    "wire/scan",
    "wire/spelling",
    "wire/text",
  ],
  "wire/order": ["wire/names", "wire/scan", "wire/spelling", "wire/text"],
  "wire/output": ["wire/text"],
  "wire/printer": [
    "wire/number",
    "wire/order",
    "wire/output",
    "wire/scan",
    "wire/spelling",
    "wire/text",
  ],
  "wire/qemu_json": ["wire/number", "wire/output", "wire/printer", "wire/spelling", "wire/text"],
  "wire/reply": ["wire/message", "wire/qemu_json", "wire/text"],
  "wire/spelling": ["wire/text"],
  "wire/tags": ["wire/text"],
  "wire/text": ["wire/scan"],
};

/** Words that do not occur in the core, which does no I/O and does not wait. */
const OUTSIDE_WORK =
  /\basync\b|\bawait\b|\bPromise\b|\bset(?:Timeout|Interval)\b|\bDeno\.|\bDate\.now\b|\bperformance\b|\bcrypto\b|\bconsole\b/;

/** The runtime and the system; only `platform` uses them. */
const RUNTIME = /\bDeno\.[\w.]+|"node:[\w/]+"|\bgetBuiltinModule\b/g;

/** The command line, the environment, the versions and the exit belong to the program itself. */
const OF_PROGRAM = /^Deno\.(?:args|env\.get|exit|std(?:in|out|err)\.isTerminal|version\.\w+)$/;

/** Code that reads single bytes. Only `wire` has it; the other floors pass bytes on unread. */
const BYTE_WORK =
  /charCodeAt|\bsubarray\(|\.indexOf\(0x|\w\[[^\]\n]+\]!?\s*(?:[<>]=?|[!=]==)\s*(?:0x|[A-Z][A-Z\d_]*\b)/;

interface SourceFile {
  /** `floor/name`. */
  readonly name: string;
  readonly floor: Floor;
  /** The file's text without comments. */
  readonly source: string;
  /** The file's text without string literals. */
  readonly code: string;
  /** The project's files that it imports, as `floor/name`. */
  readonly imports: readonly string[];
  /** Those that are loaded with it: it imports more than their types. */
  readonly loads: readonly string[];
}

const files = FLOORS.flatMap((floor) => [...filesOf(floor)]);

/** Yields the files of a floor, with those in its rooms. */
function* filesOf(floor: Floor, room = ""): Generator<SourceFile> {
  const directory = new URL(`lib/${floor}/${room}`, ROOT);
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(directory)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const { name: file, isDirectory } of entries) {
    if (isDirectory) {
      yield* filesOf(floor, `${room}${file}/`);
      continue;
    }
    const url = new URL(file, directory);
    const source = uncommented(Deno.readTextFileSync(url));
    const code = source.replace(/"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, '""');
    const nameOf = ([, path]: RegExpMatchArray): string =>
      new URL(path!, url).pathname.replace(/^.*\/lib\//, "").replace(/\.ts$/, "");
    const imports = [...source.matchAll(/\bfrom "(\.[^"]+)"/g)].map(nameOf);
    const loads = [...source.matchAll(/^(?:im|ex)port (?!type )[^;]*? from "(\.[^"]+)"/gm)].map(
      nameOf,
    );
    yield {
      name: `${floor}/${room}${file.replace(/\.ts$/, "")}`,
      floor,
      source,
      code,
      imports,
      loads,
    };
  }
}

function uncommented(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}

function floorOf(file: string): Floor {
  return file.split("/")[0] as Floor;
}

/** Files that consist of tables, which may have any length, with the reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  "policy/operator_role": "one row for each command that the role allows",
};

const FILE_LINES = 400;
const FUNCTION_LINES = 70;

/** The beginning of the first line of a function or a method, as `deno fmt` writes it. */
const FUNCTION_HEAD =
  /^(?!(?:if|for|while|switch|catch|return|await|throw)\b)(?:(?:export|default|static|async|override|get|set|function)\*? )*[*#\w[\].]+(?:<.*>)?\(/;

/** The end of the line that opens the body of a function. */
const BODY_OPENS = /(?:\)(?:: .+)?|=>) \{$/;

/** Yields the functions in a text: the first line of each, and its number of lines. */
function* functionsIn(text: string): Generator<readonly [head: string, lines: number]> {
  // A text of several lines is not indented as code is.
  const lines = text.replace(/`[^`]*`/g, (each) => each.replace(/\n.+/g, "\n")).split("\n");
  for (const [at, line] of lines.entries()) {
    const head = line.trimStart();
    if (!FUNCTION_HEAD.test(head) && !head.endsWith("=> {")) continue;
    const indent = line.slice(0, line.length - head.length);
    const isLevel = (each: string): boolean =>
      each.startsWith(indent) && /^\S/.test(each.slice(indent.length));
    let [end, opened] = [at, BODY_OPENS.test(line)];
    for (;;) {
      end = lines.findIndex((each, index) => index > end && isLevel(each));
      if (end < 0 || !/^[)}]/.test(lines[end]!.trimStart()) || !lines[end]!.endsWith("{")) break;
      opened ||= BODY_OPENS.test(lines[end]!);
    }
    if (end > 0 && opened) yield [head, end - at + 1];
  }
}

Deno.test("files import their own floor along an arrow, or a floor below", () => {
  assert(files.length > 20);
  for (const { name, floor, imports } of files) {
    for (const imported of imports) {
      const down = FLOORS.indexOf(floorOf(imported)) - FLOORS.indexOf(floor);
      const along = ARROWS[name]?.includes(imported) ?? false;
      assert(down > 0 || (down === 0 && (along || floor === "cli")), `${name} imports ${imported}`);
    }
  }
});

Deno.test("every arrow stands for an import that exists", () => {
  for (const [from, targets] of Object.entries(ARROWS)) {
    const file = files.find(({ name }) => name === from);
    assertEquals(targets.filter((target) => !file?.imports.includes(target)), [], from);
  }
});

Deno.test("every arrow in the picture of docs/architecture.md stands for an import", () => {
  const page = Deno.readTextFileSync(new URL("docs/architecture.md", ROOT));
  const [, picture] = /```text\n([\s\S]*?)```/.exec(page)!;
  let [floor, arrows] = ["", 0];
  for (const line of picture!.split("\n")) {
    [, floor = floor] = /^lib\/(\w+)\//.exec(line) ?? [];
    for (const [, from, to] of line.matchAll(/(\w+) ─► (?=(\w+))/g)) {
      const file = files.find(({ name }) => name === `${floor}/${from}`);
      assert(file?.imports.includes(`${floor}/${to}`), `${floor}: ${from} ─► ${to}`);
      arrows++;
    }
  }
  assert(arrows > 10, `${arrows} arrows`);
});

Deno.test("qmpmux serve loads the modules that read TOML only for a file", () => {
  const loaded = new Set(["cli/serve"]);
  for (const name of loaded) {
    files.find((file) => file.name === name)?.loads.forEach((each) => loaded.add(each));
  }
  assert(loaded.has("daemon/daemon"));
  assertEquals(["config/config", "config/toml"].filter((name) => loaded.has(name)), []);
});

Deno.test("the core does not wait and does no I/O", () => {
  for (const { name, floor, code } of files) {
    if (!CORE.includes(floor)) continue;
    assertEquals(code.match(OUTSIDE_WORK)?.[0], undefined, name);
  }
});

Deno.test("only platform uses Deno and the system; the program has its command line and exit", () => {
  const main = uncommented(Deno.readTextFileSync(new URL("main.ts", ROOT)));
  for (const { name, floor, source } of [...files, { name: "main", floor: "cli", source: main }]) {
    if (floor === "platform") continue;
    const used = [...source.matchAll(RUNTIME)].map(([text]) => text);
    const foreign = used.filter((text) => floor !== "cli" || !OF_PROGRAM.test(text));
    assertEquals(foreign, [], name);
  }
});

Deno.test("functionsIn() measures functions, methods and arrow functions", () => {
  const text = `export function a(
  b: string,
): void {
  if (b) {
    c();
  }
}
class D {
  async #e({ f }: G): Promise<void> {
    await f.map((g) => {
      g();
    });
    h({
      i,
    });
  }
  constructor({
    j,
  }: K) {
    l();
  }
}
`;
  assertEquals([...functionsIn(text)], [
    ["export function a(", 7],
    ["async #e({ f }: G): Promise<void> {", 8],
    ["await f.map((g) => {", 3],
    ["constructor({", 5],
  ]);
});

Deno.test("no file is longer than 400 lines, no function longer than 70, except those with a reason", () => {
  const long: string[] = [];
  const excepted = new Set(Object.keys(LONG_FILES));
  const look = (name: string, lines: number, limit: number): void => {
    if (lines > limit && !excepted.delete(name)) long.push(`${name} ${lines} lines`);
  };
  for (const { name } of files) {
    const text = Deno.readTextFileSync(new URL(`lib/${name}.ts`, ROOT));
    look(name, text.split("\n").length - 1, FILE_LINES);
    for (const [head, lines] of functionsIn(text)) look(`${name}: ${head}`, lines, FUNCTION_LINES);
  }
  assertEquals(long, []);
  assertEquals([...excepted], [], "These are short enough now");
});

Deno.test("only wire reads single bytes", () => {
  for (const { name, floor, code } of files) {
    if (floor === "wire" || WAITING.includes(floor)) continue;
    assertEquals(code.match(BYTE_WORK)?.[0], undefined, name);
  }
});

Deno.test("every file begins with a comment that states its idea, and can be imported alone", async () => {
  for (const { name } of files) {
    const text = Deno.readTextFileSync(new URL(`lib/${name}.ts`, ROOT));
    assert(/^\/\*\*\n \* \S[\s\S]*?\n \* @module\n \*\/\n/.test(text), name);
    assert(Object.keys(await import(`../lib/${name}.ts`)).length >= 0, name);
  }
});

/** Words that do not occur in the page of a recording: it loads nothing, and makes no markup of texts. */
const OUTSIDE_THE_PAGE =
  /\bDeno\b|\bfetch\b|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\bimport\(|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function/;

Deno.test("the page of a recording has short files that load nothing", () => {
  const names = [...Deno.readDirSync(new URL("lib/page/", ROOT))].map(({ name }) => name);
  assert(names.length > 15);
  for (const name of names) {
    const text = Deno.readTextFileSync(new URL(`lib/page/${name}`, ROOT));
    assert(text.split("\n").length - 1 <= FILE_LINES, name);
    if (!name.endsWith(".js")) continue;
    assert(/^\/\*\*\n \* \S[\s\S]*?\n \* @module\n \*\/\n/.test(text), name);
    assertEquals(uncommented(text).match(OUTSIDE_THE_PAGE)?.[0], undefined, name);
    for (const [head, lines] of functionsIn(text)) {
      assert(lines <= FUNCTION_LINES, `${name}: ${head}`);
    }
  }
});

Deno.test("the program reports the version of deno.json", async () => {
  const { VERSION } = await import("../lib/cli/version.ts");
  assertEquals(VERSION, JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))).version);
});
