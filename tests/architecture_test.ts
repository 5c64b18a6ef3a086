/**
 * The walls of the house: which floor may import which, and what pure rooms do without.
 *
 * The picture is in `docs/architecture.md`. A change that has to move a wall
 * changes the table here and the picture there.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** The floors from the top; a room imports its own floor and those below. */
const FLOORS = [
  "cli",
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
/** Floors that wait for sockets and clocks. */
const WAITING: readonly Floor[] = ["client", "daemon", "platform"];
const PURE: readonly Floor[] = [
  "hub",
  "session",
  "sharing",
  "config",
  "policy",
  "observe",
  "wire",
];

/** Along these arrows rooms of one floor import each other; `a: ["b"]` is a ─► b. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  "daemon/client": [
    "daemon/fd_budget",
    "daemon/inbox",
    "daemon/internal_errors",
    "daemon/limit_log",
  ],
  "daemon/client_registry": [
    "daemon/client",
    "daemon/fd_budget",
    "daemon/internal_errors",
    "daemon/limit_log",
    "daemon/web_guard",
  ],
  "daemon/daemon": [
    "daemon/client_registry",
    "daemon/internal_errors",
    "daemon/limit_log",
    "daemon/metrics_server",
    "daemon/qemu",
    "daemon/qemu_link",
    "daemon/records",
  ],
  "daemon/internal_errors": ["daemon/limit_log"],
  "daemon/qemu": ["daemon/internal_errors"],
  "daemon/qemu_link": ["daemon/internal_errors", "daemon/qemu"],
  "daemon/records": ["daemon/audit_trail"],
  "platform/audit_file": ["platform/audit_writer", "platform/failure"],
  "platform/config_file": ["platform/audit_file", "platform/failure", "platform/users"],
  "platform/connection": ["platform/libc", "platform/reply_budget", "platform/turns"],
  "platform/ffi": ["platform/libc", "platform/log", "platform/unix_socket"],
  "platform/journal": ["platform/audit_writer", "platform/failure", "platform/systemd"],
  "platform/listener": [
    "platform/clock",
    "platform/connection",
    "platform/failure",
    "platform/ffi",
    "platform/log",
    "platform/socket_activation",
    "platform/socket_file",
    "platform/unix_socket",
    "platform/users",
  ],
  "platform/monitor_holder": ["platform/libc"],
  "platform/output": ["platform/failure"],
  "platform/socket_activation": ["platform/connection", "platform/failure", "platform/runtime"],
  "platform/socket_file": ["platform/failure", "platform/socket_activation", "platform/users"],
  "platform/systemd": ["platform/failure", "platform/log", "platform/runtime"],
  "platform/unix_socket": ["platform/connection", "platform/libc", "platform/socket_activation"],
  "platform/users": ["platform/failure"],
  "hub/census": ["hub/admin"],
  "hub/dispatch": ["hub/fd_gate", "hub/listing", "hub/request", "hub/request_recorder"],
  "hub/mux": ["hub/admin", "hub/dispatch", "hub/fd_gate", "hub/request", "hub/request_recorder"],
  "session/dialect": ["session/arguments"],
  "session/monitor": ["session/dialect"],
  "sharing/fd_names": ["sharing/fd_references", "sharing/own_command"],
  "sharing/fd_registry": [
    "sharing/fd_names",
    "sharing/fd_references",
    "sharing/fd_sets",
    "sharing/own_command",
  ],
  "sharing/fd_sets": ["sharing/fd_references", "sharing/own_command"],
  "sharing/query_cache": ["sharing/queries"],
  "config/config": [
    "config/config_error",
    "config/conflicts",
    "config/listener_settings",
    "config/options",
    "config/settings",
    "config/toml",
  ],
  "config/config_text": [
    "config/listener_settings",
    "config/recording",
    "config/role_text",
    "config/settings",
    "config/value_kinds",
  ],
  "config/conflicts": ["config/listener_settings", "config/settings"],
  "config/options": ["config/listener_settings"],
  "config/recording": ["config/listener_settings", "config/options"],
  "config/role_text": ["config/value_kinds"],
  "config/settings": [
    "config/listener_settings",
    "config/options",
    "config/recording",
    "config/value_kinds",
  ],
  "policy/address": ["policy/usage_error"],
  "policy/admission": ["policy/grant", "policy/usage_error"],
  "policy/argument_list": ["policy/argument_path", "policy/glob_list"],
  "policy/event_filter": ["policy/glob"],
  "policy/event_names": ["policy/suggestion"],
  "policy/glob_list": ["policy/glob"],
  "policy/grant": ["policy/event_filter", "policy/limits", "policy/policy"],
  "policy/limits": ["policy/usage_error"],
  "policy/operator_role": ["policy/observer_role"],
  "policy/policy": [
    "policy/argument_list",
    "policy/argument_path",
    "policy/event_filter",
    "policy/glob",
    "policy/glob_list",
    "policy/rule_name",
  ],
  "policy/role_form": [
    "policy/argument_list",
    "policy/argument_path",
    "policy/event_filter",
    "policy/event_names",
    "policy/policy",
    "policy/rule_name",
    "policy/suggestion",
    "policy/usage_error",
  ],
  "policy/role_warnings": [
    "policy/glob",
    "policy/operator_role",
    "policy/policy",
    "policy/roles",
    "policy/suggestion",
  ],
  "policy/roles": [
    "policy/observer_role",
    "policy/operator_role",
    "policy/policy",
    "policy/role_form",
    "policy/usage_error",
  ],
  "policy/rule_name": ["policy/argument_path"],
  "observe/audit": ["observe/observer", "observe/secrets"],
  "observe/metrics_recorder": ["observe/observer", "observe/prometheus"],
  "wire/cursor": ["wire/names", "wire/qemu_json", "wire/scan", "wire/text"],
  "wire/elements": ["wire/message", "wire/scan", "wire/text", "wire/unexpected"],
  "wire/frame": ["wire/grammar", "wire/lexer", "wire/normalizer", "wire/scan", "wire/text"],
  "wire/keys": ["wire/text"],
  "wire/message": [
    "wire/cursor",
    "wire/frame",
    "wire/names",
    "wire/order",
    "wire/printer",
    "wire/qemu_json",
    "wire/text",
  ],
  "wire/message_splitter": ["wire/frame", "wire/text"],
  "wire/names": ["wire/text"],
  "wire/normalizer": ["wire/grammar", "wire/keys", "wire/lexer", "wire/scan", "wire/text"],
  "wire/order": ["wire/scan", "wire/text"],
  "wire/output": ["wire/text"],
  "wire/printer": ["wire/number", "wire/order", "wire/output", "wire/scan", "wire/text"],
  "wire/qemu_json": ["wire/number", "wire/output", "wire/printer", "wire/text"],
  "wire/reply": ["wire/message", "wire/qemu_json", "wire/text", "wire/unexpected"],
  "wire/text": ["wire/scan"],
  "wire/unexpected": ["wire/text"],
};

/** What a room without waiting and without a world does not say. */
const IMPURE =
  /\basync\b|\bawait\b|\bPromise\b|\bset(?:Timeout|Interval)\b|\bDeno\.|\bDate\.now\b|\bperformance\b|\bcrypto\b|\bconsole\b/;

/** Bytes are looked at in `wire` alone; elsewhere they are handed on whole. */
const BYTE_WORK = /charCodeAt|\bsubarray\(|\.indexOf\(0x|\[\w+\]\s*===\s*0x/;

interface Room {
  /** `floor/name`. */
  readonly name: string;
  readonly floor: Floor;
  /** Its text without comments and texts. */
  readonly code: string;
  /** What of this project it imports, `floor/name`. */
  readonly imports: readonly string[];
}

const rooms = FLOORS.flatMap((floor) => [...roomsOf(floor)]);

function* roomsOf(floor: Floor): Generator<Room> {
  const directory = new URL(`lib/${floor}/`, ROOT);
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(directory)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const { name: file } of entries) {
    const url = new URL(file, directory);
    const source = uncommented(Deno.readTextFileSync(url));
    const code = source.replace(/"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, '""');
    const imports = [...source.matchAll(/\bfrom "(\.[^"]+)"/g)].map(([, path]) =>
      new URL(path!, url).pathname.replace(/^.*\/lib\//, "").replace(/\.ts$/, "")
    );
    yield { name: `${floor}/${file.replace(/\.ts$/, "")}`, floor, code, imports };
  }
}

function uncommented(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}

function floorOf(room: string): Floor {
  return room.split("/")[0] as Floor;
}

Deno.test("rooms import their own floor along an arrow, or a floor below", () => {
  assert(rooms.length > 20);
  for (const { name, floor, imports } of rooms) {
    for (const imported of imports) {
      const down = FLOORS.indexOf(floorOf(imported)) - FLOORS.indexOf(floor);
      const along = ARROWS[name]?.includes(imported) ?? false;
      assert(down > 0 || (down === 0 && (along || floor === "cli")), `${name} imports ${imported}`);
    }
  }
});

Deno.test("every arrow is drawn for an import that exists", () => {
  for (const [from, targets] of Object.entries(ARROWS)) {
    const room = rooms.find(({ name }) => name === from);
    assertEquals(targets.filter((target) => !room?.imports.includes(target)), [], from);
  }
});

Deno.test("pure rooms do not wait, and know no world", () => {
  for (const { name, floor, code } of rooms) {
    if (!PURE.includes(floor)) continue;
    assertEquals(code.match(IMPURE)?.[0], undefined, name);
  }
});

Deno.test("only wire looks at bytes", () => {
  for (const { name, floor, code } of rooms) {
    if (floor === "wire" || WAITING.includes(floor)) continue;
    assertEquals(code.match(BYTE_WORK)?.[0], undefined, name);
  }
});

Deno.test("every room opens with its idea and has a module of its own that loads", async () => {
  for (const { name } of rooms) {
    const text = Deno.readTextFileSync(new URL(`lib/${name}.ts`, ROOT));
    assert(/^\/\*\*\n \* \S[\s\S]*?\n \* @module\n \*\/\n/.test(text), name);
    assert(Object.keys(await import(`../lib/${name}.ts`)).length >= 0, name);
  }
});

Deno.test("the version in the program is the one in deno.json", async () => {
  const { VERSION } = await import("../lib/cli/version.ts");
  assertEquals(VERSION, JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))).version);
});
