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
const FLOORS = ["cli", "rim", "hub", "session", "sharing", "terms", "record", "wire"] as const;
type Floor = typeof FLOORS[number];
const PURE: readonly Floor[] = ["hub", "session", "sharing", "terms", "record", "wire"];

/** Along these arrows rooms of one floor import each other; `a: ["b"]` is a ─► b. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  "rim/daemon": [
    "rim/clock",
    "rim/failure",
    "rim/internal_errors",
    "rim/limit_notes",
    "rim/log",
    "rim/metrics_server",
    "rim/permissions",
    "rim/qemu",
    "rim/reception",
    "rim/records",
    "rim/socket_file",
    "rim/succession",
    "rim/systemd",
    "rim/turns",
  ],
  "rim/succession": [
    "rim/clock",
    "rim/descriptors",
    "rim/failure",
    "rim/internal_errors",
    "rim/log",
    "rim/qemu",
    "rim/turns",
  ],
  "rim/reception": [
    "rim/client",
    "rim/clock",
    "rim/connection",
    "rim/descriptors",
    "rim/failure",
    "rim/fd_budget",
    "rim/foreign",
    "rim/internal_errors",
    "rim/limit_notes",
    "rim/listener",
    "rim/log",
    "rim/reply_budget",
    "rim/socket_file",
    "rim/turns",
    "rim/web_guard",
  ],
  "rim/records": [
    "rim/audit_file",
    "rim/audit_trail",
    "rim/journal",
    "rim/log",
    "rim/socket_file",
  ],
  "rim/audit_trail": ["rim/log"],
  "rim/audit_file": ["rim/audit_trail", "rim/failure"],
  "rim/journal": ["rim/audit_trail", "rim/failure", "rim/systemd"],
  "rim/metrics_server": ["rim/connection", "rim/listener", "rim/log"],
  "rim/client": [
    "rim/clock",
    "rim/connection",
    "rim/descriptors",
    "rim/fd_budget",
    "rim/inbox",
    "rim/internal_errors",
    "rim/limit_notes",
    "rim/log",
    "rim/pace",
    "rim/reply_budget",
    "rim/turns",
  ],
  "rim/fd_budget": ["rim/descriptors"],
  "rim/connection": ["rim/descriptors", "rim/reply_budget", "rim/turns"],
  "rim/internal_errors": ["rim/limit_notes"],
  "rim/holder": ["rim/descriptors"],
  "rim/foreign": ["rim/descriptors", "rim/log", "rim/unix_socket"],
  "rim/unix_socket": ["rim/connection", "rim/descriptors", "rim/passed"],
  "rim/limit_notes": ["rim/log"],
  "rim/listener": [
    "rim/clock",
    "rim/connection",
    "rim/failure",
    "rim/foreign",
    "rim/internal_errors",
    "rim/log",
    "rim/pace",
    "rim/passed",
    "rim/socket_file",
    "rim/unix_socket",
    "rim/users",
  ],
  "rim/socket_file": ["rim/failure", "rim/passed", "rim/users"],
  "rim/passed": ["rim/connection", "rim/failure", "rim/runtime"],
  "rim/qemu": [
    "rim/clock",
    "rim/connection",
    "rim/descriptors",
    "rim/failure",
    "rim/internal_errors",
    "rim/log",
    "rim/socket_file",
    "rim/turns",
    "rim/unix_socket",
  ],
  "rim/config_file": ["rim/audit_file", "rim/failure", "rim/users"],
  "rim/output": ["rim/failure"],
  "rim/session": ["rim/failure"],
  "rim/systemd": ["rim/failure", "rim/log", "rim/runtime"],
  "rim/users": ["rim/failure"],
  "rim/web_guard": ["rim/connection"],
  "hub/mux": ["hub/admin", "hub/dispatch", "hub/errand", "hub/fd_gate", "hub/ledger"],
  "hub/dispatch": ["hub/fd_gate", "hub/errand", "hub/ledger", "hub/listing"],
  "hub/census": ["hub/admin"],
  "record/audit": ["record/recorder", "record/secrets"],
  "record/tally": ["record/metrics", "record/recorder"],
  "session/monitor": ["session/dialect"],
  "session/dialect": ["session/arguments"],
  "sharing/fd_names": ["sharing/fd_references", "sharing/own_command"],
  "sharing/fd_registry": [
    "sharing/fd_names",
    "sharing/fd_references",
    "sharing/fd_sets",
    "sharing/own_command",
  ],
  "sharing/fd_sets": ["sharing/fd_references", "sharing/own_command"],
  "sharing/query_cache": ["sharing/queries"],
  "terms/admission": ["terms/address", "terms/terms"],
  "terms/config": [
    "terms/address",
    "terms/config_error",
    "terms/conflicts",
    "terms/listener_settings",
    "terms/options",
    "terms/policy",
    "terms/role_form",
    "terms/roles",
    "terms/settings",
    "terms/suggestion",
    "terms/toml_lines",
  ],
  "terms/conflicts": ["terms/address", "terms/listener_settings", "terms/settings"],
  "terms/config_text": [
    "terms/address",
    "terms/admission",
    "terms/limits",
    "terms/listener_settings",
    "terms/policy",
    "terms/recording",
    "terms/role_text",
    "terms/roles",
    "terms/settings",
  ],
  "terms/role_warnings": [
    "terms/glob",
    "terms/operator",
    "terms/policy",
    "terms/roles",
    "terms/suggestion",
  ],
  "terms/rule_name": ["terms/argument_path"],
  "terms/role_text": ["terms/argument_list", "terms/argument_path", "terms/policy"],
  "terms/event_filter": ["terms/glob"],
  "terms/options": [
    "terms/address",
    "terms/admission",
    "terms/event_filter",
    "terms/event_names",
    "terms/limits",
    "terms/listener_settings",
    "terms/policy",
    "terms/roles",
    "terms/suggestion",
    "terms/terms",
  ],
  "terms/event_names": ["terms/suggestion"],
  "terms/listener_settings": ["terms/address", "terms/admission", "terms/terms"],
  "terms/settings": [
    "terms/address",
    "terms/limits",
    "terms/listener_settings",
    "terms/options",
    "terms/recording",
    "terms/value_kinds",
  ],
  "terms/value_kinds": ["terms/limits"],
  "terms/limits": ["terms/address"],
  "terms/recording": [
    "terms/address",
    "terms/listener_settings",
    "terms/options",
    "terms/roles",
    "terms/suggestion",
    "terms/terms",
  ],
  "terms/terms": ["terms/event_filter", "terms/limits", "terms/policy"],
  "terms/policy": [
    "terms/argument_list",
    "terms/argument_path",
    "terms/event_filter",
    "terms/glob",
    "terms/glob_list",
    "terms/rule_name",
  ],
  "terms/argument_list": ["terms/argument_path", "terms/glob_list"],
  "terms/role_form": [
    "terms/address",
    "terms/argument_list",
    "terms/argument_path",
    "terms/event_filter",
    "terms/event_names",
    "terms/policy",
    "terms/rule_name",
    "terms/suggestion",
  ],
  "terms/roles": [
    "terms/address",
    "terms/observer",
    "terms/operator",
    "terms/policy",
    "terms/role_form",
  ],
  "terms/operator": ["terms/observer"],
  "terms/glob_list": ["terms/glob"],
  "wire/cursor": ["wire/format", "wire/names", "wire/scan", "wire/text"],
  "wire/keys": ["wire/text"],
  "wire/names": ["wire/text"],
  "wire/order": ["wire/scan", "wire/text"],
  "wire/output": ["wire/text"],
  "wire/printer": ["wire/number", "wire/order", "wire/output", "wire/scan", "wire/text"],
  "wire/text": ["wire/scan"],
  "wire/message": [
    "wire/frame",
    "wire/format",
    "wire/text",
    "wire/names",
    "wire/order",
    "wire/printer",
    "wire/cursor",
  ],
  "wire/reply": ["wire/message", "wire/format", "wire/text", "wire/unexpected"],
  "wire/frame": ["wire/lexer", "wire/grammar", "wire/speller", "wire/text", "wire/scan"],
  "wire/speller": ["wire/lexer", "wire/grammar", "wire/text", "wire/keys", "wire/scan"],
  "wire/balance": ["wire/frame", "wire/text"],
  "wire/format": ["wire/text", "wire/number", "wire/output", "wire/printer"],
  "wire/elements": ["wire/message", "wire/text", "wire/unexpected", "wire/scan"],
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
    if (floor === "wire" || floor === "rim") continue;
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
