/**
 * The longest turn: the longest time for which one client, or QEMU, can keep the event loop busy.
 *
 *   deno run -A --v8-flags=--max-semi-space-size=2 bench/turns/main.ts [--check] [--only TEXT]
 *     [--repeats N] [--random N] [--seed N]
 *
 * With `--check` the exit status is 1 when a row, or a random input, takes more than 10 ms.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { defaultLimits } from "../../lib/policy/limits.ts";
import { readRole, ROLES } from "../../lib/policy/roles.ts";
import type { Role } from "../../lib/policy/policy.ts";
import { Random } from "../../tests/support/random.ts";
import { median } from "../measure.ts";
import * as inputs from "./inputs.ts";
import { type QemuKind, Rig, type RigClient } from "./rig.ts";

/** The longest time for a turn, in milliseconds. */
const GOAL_MS = 10;

const flags = parseArgs(Deno.args, {
  boolean: ["check"],
  string: ["only", "repeats", "random", "seed", "limit"],
});
const REPEATS = Number(flags.repeats ?? 9);
const WARM_UPS = 2;
const only = flags.only as string | undefined;

/** A role of a file with deep conditions. */
const FILE_ROLE = readRole({
  name: "nested",
  rules: [
    { refuse: "transaction", where: { "actions[*].type": "drive-backup" } },
    { refuse: "transaction", where: { "actions[*].type": ["x-*", "*-delete-*"] } },
    { refuse: "transaction", present: ["actions[*].data.snapshot-file"] },
    { refuse: "transaction", present: ["actions[*].data.bitmaps[*].node"] },
    { allow: "transaction", absent: ["actions[*].data"] },
    {
      allow: "transaction",
      where: { "actions[*].type": ["abort", "block-dirty-bitmap-*"] },
      only: ["actions[*].type", "actions[*].data.**"],
    },
    { refuse: "blockdev-add", where: { "**": ["*/etc/*", "*passwd*"] } },
    { allow: "blockdev-add", where: { "a[*]": ["x", "*.qcow2", "??"] } },
    { allow: "blockdev-add", only: ["a[*]", "driver", "file.**"] },
    { allow: "screendump", where: { filename: ["/tmp/*/*.ppm", "*a*b*c*d?", "*.p?m"] } },
    { allow: ["query-*", "qom-*", "x-*-*"] },
    { allow: "*", where: { id: "*" } },
  ],
}, "bench");

/** A row: the setup of a client, and its input. */
interface Row {
  readonly section: string;
  readonly what: string;
  /** Measures once, in milliseconds. */
  readonly measure: () => Promise<number>;
}

const rigs = new Map<string, Promise<Rig>>();

function rigOf(kind: QemuKind): Promise<Rig> {
  const key = `${kind.version} ${kind.pretty}`;
  let rig = rigs.get(key);
  if (rig === undefined) rigs.set(key, rig = Rig.open(kind));
  return rig;
}

interface Setting {
  readonly kind?: Partial<QemuKind>;
  readonly role?: Role;
  readonly mode?: "negotiation" | "command" | "oob";
  readonly dialect?: "qmp" | "rfc2010";
  readonly passes?: boolean;
}

const NEGOTIATIONS = {
  negotiation: undefined,
  command: '{"execute":"qmp_capabilities"}',
  oob: '{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}',
} as const;

async function client(
  rig: Rig,
  { role, mode = "command", passes = false, dialect = "qmp" }: Setting,
): Promise<RigClient> {
  if (!rig.alive) throw new Error("The rig has lost its QEMU");
  const made = rig.connect({ passes, dialect, ...(role && { role }) });
  await rig.run();
  const text = dialect === "rfc2010"
    ? '{"execute":"qmp_switch_mode","arguments":{"mode":"operational"}}'
    : NEGOTIATIONS[mode];
  if (text !== undefined) rig.saysText(made, text);
  await rig.run();
  return made;
}

/** Returns the limit of a role's commands. */
function limitOf(role: Role | undefined): number {
  return flags.limit === undefined
    ? defaultLimits(role?.name ?? "full")["max-command"]
    : Number(flags.limit);
}

/** Measures the longest turn while a client sends an input and disconnects. */
async function said(
  setting: Setting,
  made: (size: number) => Uint8Array,
  fds = false,
): Promise<number> {
  const rig = await rigOf({ version: "7.2", pretty: false, ...setting.kind });
  const who = await client(rig, setting);
  const bytes = made(limitOf(setting.role) - 2);
  rig.send(who, [bytes], fds);
  const { longest } = await rig.run();
  rig.leaves(who);
  const left = await rig.run();
  return Math.max(longest, left.longest);
}

function* rows(): Generator<Row> {
  const add = function* (
    section: string,
    list: Readonly<Record<string, (size: number) => Uint8Array>>,
    setting: Setting = {},
    fds = false,
  ): Generator<Row> {
    for (const [what, made] of Object.entries(list)) {
      yield { section, what, measure: () => said(setting, made, fds) };
    }
  };
  const [admin, operator, observer] = ["admin", "operator", "observer"].map((name) =>
    ROLES.get(name)!
  );
  yield* add("id", inputs.IDS);
  yield* add("id, pretty", inputs.IDS, { kind: { pretty: true } });
  yield* add("id, observer", inputs.IDS, { role: observer! });
  yield* add("wrong", inputs.WRONG);
  yield* add("wrong, 11.1", inputs.WRONG, { kind: { version: "11.1" } });
  yield* add("wrong, pretty", inputs.WRONG, { kind: { pretty: true } });
  yield* add("wrong, rfc2010", inputs.WRONG, { dialect: "rfc2010" });
  yield* add("command, full", inputs.COMMANDS);
  yield* add("command, oob", inputs.COMMANDS, { mode: "oob" });
  yield* add("command, operator", inputs.COMMANDS, { role: operator! });
  yield* add("command, observer", inputs.COMMANDS, { role: observer! });
  yield* add("command, file", inputs.COMMANDS, { role: FILE_ROLE });
  yield* add("own, negotiation", inputs.OWN, { mode: "negotiation", role: admin! });
  yield* add("own, command", inputs.OWN, { role: admin! });
  yield* add("own, pretty", inputs.OWN, { role: admin!, kind: { pretty: true } });
  yield* add("audit", inputs.RECORDED);
  for (
    const [section, fds] of [["descriptors", false], ["descriptors, one came", true]] as const
  ) {
    for (const [what, made] of Object.entries(inputs.DESCRIPTORS)) {
      yield { section, what, measure: () => withDescriptors(made, fds) };
    }
  }
  yield* special();
  yield* ofQemu();
}

/** Measures like `said`, while another client has names and a set at QEMU. */
async function withDescriptors(
  made: (size: number) => Uint8Array,
  fds: boolean,
): Promise<number> {
  const rig = await rigOf({ version: "7.2", pretty: false });
  const owner = await client(rig, { passes: true });
  for (let i = 0; i < 20; i++) {
    rig.saysText(owner, `{"execute":"getfd","arguments":{"fdname":"name${i}"}}`, true);
    await rig.run();
  }
  const { answering } = rig;
  rig.answering = () => [inputs.bytes('{"return": {"fdset-id": 1, "fd": 12}}\r\n')];
  rig.saysText(owner, '{"execute":"add-fd","arguments":{"fdset-id":1}}', true);
  await rig.run();
  rig.answering = answering;
  const who = await client(rig, { passes: true });
  // This client has some, too.
  rig.saysText(who, '{"execute":"getfd","arguments":{"fdname":"x"}}', true);
  await rig.run();
  rig.send(who, [made(limitOf(undefined) - 2)], fds);
  const { longest } = await rig.run();
  rig.leaves(who);
  const left = await rig.run();
  rig.leaves(owner);
  await rig.run();
  return Math.max(longest, left.longest);
}

function* special(): Generator<Row> {
  const section = "special";
  yield {
    section,
    what: "a command byte by byte",
    measure: async () => {
      const rig = await rigOf({ version: "7.2", pretty: false });
      const who = await client(rig, {});
      const bytes = inputs.filled('{"execute":"stop","id":"', "x", '"}', 20_000);
      rig.send(who, Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)));
      const { longest } = await rig.run();
      rig.leaves(who);
      await rig.run();
      return longest;
    },
  };
  yield {
    section,
    what: "a command byte by byte, behind one that waits",
    measure: async () => {
      const rig = await rigOf({ version: "7.2", pretty: false });
      const who = await client(rig, {});
      const { answering } = rig;
      rig.answering = () => [];
      rig.saysText(who, '{"execute":"stop"}');
      await rig.run();
      rig.answering = answering;
      const bytes = inputs.filled('{"execute":"stop","id":"', "x", '"}', 20_000);
      rig.send(who, Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)));
      const { longest } = await rig.run();
      rig.says(inputs.bytes('{"return": {}}\r\n'));
      const then = await rig.run();
      rig.leaves(who);
      await rig.run();
      return Math.max(longest, then.longest);
    },
  };
  for (const [what, made] of Object.entries(inputs.OWN)) {
    yield {
      section: "answers behind one that waits",
      what,
      measure: async () => {
        const rig = await rigOf({ version: "7.2", pretty: false });
        const who = await client(rig, { mode: "oob", role: ROLES.get("admin")! });
        const { answering } = rig;
        const held: Uint8Array[] = [];
        rig.answering = (command) => {
          held.push(...answering(command));
          return [];
        };
        rig.saysText(who, '{"execute":"stop"}');
        await rig.run();
        const size = limitOf(undefined) - 2;
        rig.send(who, Array.from({ length: 8 }, () => made(size)));
        const { longest } = await rig.run();
        rig.answering = answering;
        for (const answer of held) rig.says(answer);
        const then = await rig.run();
        rig.leaves(who);
        const left = await rig.run();
        return Math.max(longest, then.longest, left.longest);
      },
    };
  }
  for (
    const [what, name] of [["query-clients", "query-clients"], ["query-status", "query-status"]]
  ) {
    yield {
      section: "special",
      what: `${what} of 2,000 clients`,
      measure: async () => {
        const rig = await crowd();
        const who = await client(rig, { role: ROLES.get("admin")! });
        rig.saysText(who, `{"execute":"__org.qmpmux_${name}"}`);
        const { longest } = await rig.run();
        rig.leaves(who);
        await rig.run();
        return longest;
      },
    };
  }
  yield {
    section,
    what: "event names, 2,000 clients with filters, 100 with the worst",
    measure: async () => {
      const rig = await crowd();
      let longest = 0;
      for (let i = 0; i < 5; i++) {
        rig.says(
          eventOf(`A${inputs.name(events++).toUpperCase().replace("-", "_")}${"A".repeat(50)}`),
        );
        longest = Math.max(longest, (await rig.run()).longest);
      }
      return longest;
    },
  };
}

let events = 0;
let made: Promise<Rig> | undefined;

/** Makes a rig of 2,000 clients with filters, 100 of them the worst. */
function crowd(): Promise<Rig> {
  return made ??= (async (): Promise<Rig> => {
    const rig = await Rig.open({ version: "7.2", pretty: false });
    for (let i = 0; i < 2000; i++) {
      const who = await client(rig, {});
      rig.saysText(
        who,
        i < 100
          ? inputs.worstFilter(i % 2 === 0 ? "*A" : "*?")
          : `{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":["BLOCK_*","JOB_*","STOP"]}}`,
      );
      await rig.run();
    }
    return rig;
  })();
}

const MAX_MESSAGE = (64 << 20) - 100;

function eventOf(name: string, data = ""): Uint8Array {
  return inputs.bytes(
    `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "${name}", "data": {${data}}}\r\n`,
  );
}

function* ofQemu(): Generator<Row> {
  /** Makes a row in which QEMU sends a message, as the reply to a command or unasked. */
  const answered = (
    what: string,
    command: string,
    reply: (id: string) => Uint8Array,
    setting: Setting = {},
    breaks = false,
  ): Row => ({
    section: "QEMU",
    what,
    measure: async () => {
      const kind: QemuKind = { version: "7.2", pretty: false, ...setting.kind };
      const rig = breaks ? await Rig.open(kind) : await rigOf(kind);
      const who = await client(rig, setting);
      const { answering } = rig;
      let whole: Uint8Array | undefined;
      rig.answering = (asked) => {
        whole ??= reply(/"id":(\d+)\}\r\n$/.exec(asked)?.[1] ?? "");
        return [whole];
      };
      rig.answersOob = false;
      rig.saysText(who, command, setting.passes);
      const { longest } = await rig.run();
      rig.answering = answering;
      rig.answersOob = true;
      rig.leaves(who);
      const left = await rig.run();
      return Math.max(longest, left.longest);
    },
  });
  const QUERY = '{"execute":"query-block","id":"x"}';
  const big = (before: string, piece: string, after: string, size = MAX_MESSAGE) => () =>
    inputs.filled(before, piece, `${after}\r\n`, size);
  const pretty = { kind: { pretty: true } };
  yield answered("a reply of 64 MiB", QUERY, big('{"return": [', "1, ", "1]}"));
  yield answered("a reply of 64 MiB, one string", QUERY, big('{"return": "', "x", '"}'));
  yield answered(
    "a reply of 64 MiB, pretty",
    QUERY,
    big('{\r\n    "return": [', "1,\r\n        ", "1\r\n    ]\r\n}"),
    pretty,
  );
  yield answered(
    "a reply of 64 MiB, plain where the greeting was pretty",
    QUERY,
    big('{"return": [', "1, ", "1]}"),
    pretty,
    true,
  );
  yield answered(
    "a reply of 64 MiB to one with a long id",
    `{"execute":"query-block","id":"${"x".repeat(60000)}"}`,
    big('{"return": [', "1, ", "1]}"),
  );
  yield answered(
    "an error of 64 MiB",
    QUERY,
    big('{"error": {"class": "GenericError", "desc": "', "x", '"}}'),
  );
  yield answered(
    "an error of 64 MiB, rfc2010",
    '{"execute":"query-block"}',
    big('{"error": {"class": "GenericError", "desc": "', "x", '"}}'),
    { dialect: "rfc2010" },
  );
  yield answered(
    "an error of 64 MiB, pretty",
    QUERY,
    big(
      '{\r\n    "error": {\r\n        "class": "GenericError",\r\n        "desc": "',
      "x",
      '"\r\n    }\r\n}',
    ),
    pretty,
  );
  const oob = { mode: "oob" } as const;
  const YANK = '{"exec-oob":"query-yank","id":"x"}';
  yield answered(
    "an out-of-band reply of 64 MiB",
    YANK,
    (id) => big('{"return": [', "1, ", `1], "id": ${id}}`)(),
    oob,
  );
  yield answered(
    "an out-of-band error of 64 MiB",
    YANK,
    (id) => big(`{"id": ${id}, "error": {"class": "GenericError", "desc": "`, "x", '"}}')(),
    oob,
  );
  yield answered(
    "an out-of-band reply of 64 MiB, pretty",
    YANK,
    (id) => big('{\r\n    "return": [', "1, ", `1],\r\n    "id": ${id}\r\n}`)(),
    { ...oob, ...pretty },
  );
  const replyBehind = (before: string, piece: string, after: string) => (): Uint8Array =>
    inputs.filled(before, piece, `${after}\r\n{"return": {}}\r\n`, 15 << 20);
  const stamp = '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "';
  yield answered(
    "an event of 64 MiB",
    QUERY,
    replyBehind(`${stamp}A", "data": {"a": "`, "x", '"}}'),
  );
  yield answered(
    "an event with a name of 15 MiB",
    QUERY,
    replyBehind(stamp, "A", '", "data": {}}'),
    {},
    true,
  );
  yield answered(
    "100,000 small events",
    QUERY,
    () =>
      inputs.filled("", new TextDecoder().decode(eventOf("STOP")), '{"return": {}}\r\n', 9_000_000),
  );
  yield answered(
    "events in another spelling",
    QUERY,
    () => inputs.filled("", '{"event":"A","timestamp":{}}', '{"return": {}}\r\n', 2_000_000),
  );
  yield answered(
    "an event of 60 kB in another spelling",
    QUERY,
    () =>
      inputs.filled(
        '{"event":"A","timestamp":{},"data":[',
        "1,",
        '1]}\r\n{"return": {}}\r\n',
        60_000,
      ),
  );
  yield answered(
    "an event of 60 kB in another spelling, members",
    QUERY,
    () =>
      inputs.listed(
        '{"event":"A","timestamp":{},',
        (i) => `"${inputs.name(i)}":1`,
        '}\r\n{"return": {}}\r\n',
        60_000,
      ),
  );
  yield answered(
    "a reply of 60 kB in another spelling",
    QUERY,
    () => inputs.filled('{"return":[', "1,", "1]}\r\n", 60_000),
  );
  yield answered(
    "an error of 60 kB in another spelling",
    QUERY,
    () =>
      inputs.filled('{"error":{"class":"GenericError","desc":"x","a":[', "1,", "1]}}\r\n", 60_000),
  );
  yield answered(
    "a reply of 60 kB in another spelling, an id that is an array",
    QUERY,
    () => inputs.filled('{"id":[', "0.1,", '1],"return":{}}\r\n', 60_000),
    {},
    true,
  );
  yield answered("what is no QMP, 64 MiB", QUERY, big('{"x": "', "x", '"}'), {}, true);
  yield answered("a message past the limit", QUERY, big('{"x": "', "x", '"}', 70 << 20), {}, true);
  yield answered(
    "64 MiB of white space",
    QUERY,
    () => inputs.filled("", "\n", '{"return": {}}\r\n', MAX_MESSAGE),
  );
  const LIST = '{"execute":"query-commands","id":"x"}';
  const list = (piece: string, size = 130_000) => () =>
    inputs.filled('{"return": [', `${piece}, `, '{"name": "z"}]}\r\n', size);
  for (const role of ["observer", "operator", "full"]) {
    yield answered(`query-commands of 128 KiB, ${role}`, LIST, list('{"name": "a"}'), {
      role: ROLES.get(role)!,
    }, true);
    yield answered(
      `query-commands of 128 KiB, names that are made up, ${role}`,
      LIST,
      () =>
        inputs.bytes(
          `{"return": [${
            Array.from({ length: 7000 }, (_, i) => `{"name": "${inputs.name(i)}"}`).join(", ")
          }]}\r\n`,
        ),
      { role: ROLES.get(role)! },
      true,
    );
  }
  yield answered("query-commands of 64 MiB", LIST, list('{"name": "a"}', MAX_MESSAGE), {}, true);
  yield answered(
    "add-fd, a reply of 64 MiB",
    '{"execute":"add-fd"}',
    big('{"return": [', "1, ", "1]}"),
    { passes: true },
    true,
  );
}

interface Result {
  readonly section: string;
  readonly what: string;
  readonly median: number;
  readonly most: number;
  readonly first: number;
}

async function measured({ section, what, measure }: Row): Promise<Result> {
  const first = await measure();
  for (let i = 1; i < WARM_UPS; i++) await measure();
  const figures: number[] = [];
  for (let i = 0; i < REPEATS; i++) figures.push(await measure());
  return { section, what, median: median(figures), most: Math.max(...figures), first };
}

function shown({ section, what, median, most, first }: Result): string {
  const [a, b, c] = [median, most, first].map((ms) => ms.toFixed(1).padStart(7));
  return `${a}${b}${c}  ${section}: ${what}`;
}

const results: Result[] = [];
console.log(" median   most  first  (milliseconds)");
for (const row of rows()) {
  if (only !== undefined && !`${row.section}: ${row.what}`.includes(only)) continue;
  const result = await measured(row);
  results.push(result);
  console.log(shown(result));
}

/** Measures random inputs, and repeats those with the longest turns. */
async function byChance(count: number, seed: number): Promise<Result[]> {
  const worst: { index: number; longest: number }[] = [];
  let most = 0;
  for (let index = 0; index < count; index++) {
    const longest = await chance(seed, index);
    most = Math.max(most, longest);
    if (worst.length < 20 || longest > worst.at(-1)!.longest) {
      worst.push({ index, longest });
      worst.sort((a, b) => b.longest - a.longest);
      worst.length = Math.min(worst.length, 20);
    }
    if (index % 1000 === 999) {
      console.error(`${index + 1} inputs, the longest ${most.toFixed(1)} ms`);
    }
  }
  const again: Result[] = [];
  for (const { index } of worst) {
    const row: Row = {
      section: "chance",
      what: `seed ${seed}, input ${index}`,
      measure: () => chance(seed, index),
    };
    again.push(await measured(row));
  }
  return again;
}

const CHANCE_SETTINGS: readonly Setting[] = [
  {},
  { kind: { version: "11.1" } },
  { kind: { pretty: true } },
  { mode: "negotiation" },
  { mode: "oob" },
  { role: ROLES.get("operator")! },
  { role: ROLES.get("observer")! },
  { role: ROLES.get("admin")!, kind: { version: "11.1", pretty: true } },
  { role: FILE_ROLE },
  { dialect: "rfc2010" },
];

function chance(seed: number, index: number): Promise<number> {
  const random = new Random(seed + index);
  const setting = random.pick(CHANCE_SETTINGS);
  return said(setting, (size) => new inputs.Chances(random).input(size));
}

if (flags.random !== undefined) {
  const seed = Number(flags.seed ?? 1);
  const again = await byChance(Number(flags.random), seed);
  for (const result of again) console.log(shown(result));
  results.push(...again);
}

console.log(`\nThe longest of ${results.length}:`);
for (const result of results.toSorted((a, b) => b.median - a.median).slice(0, 25)) {
  console.log(shown(result));
}
const past = results.filter(({ median }) => median > GOAL_MS);
if (flags.check && past.length > 0) Deno.exit(1);
Deno.exit(0);
