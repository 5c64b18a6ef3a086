/**
 * Names, paths and values of events that QEMU's schema does not have.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { readMatch } from "../lib/cli/event_match.ts";
import { checkWith } from "../lib/cli/event_schema.ts";
import { readIntrospection } from "../lib/client/introspection.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { eventLine, FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { BEFORE_REPLY, runToTimeout } from "./support/timeout.ts";
import { recordedSchema } from "./support/schemas.ts";

const SCHEMA = readIntrospection(await recordedSchema("11.1"));

/** Checks a glob and matches; returns what is wrong. */
function problem(glob: string, words: readonly string[] = [], schema = SCHEMA): string | undefined {
  const matches = words.map((word) => readMatch("exec", word));
  try {
    checkWith(schema, { command: "exec", flag: "until", globs: [glob], matches });
    return undefined;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return error.message;
  }
}

Deno.test("checkWith() accepts what the schema has, and qmpmux's own events", () => {
  for (
    const glob of ["STOP", "*", "BLOCK_*", "?TOP", "__org.qmpmux_QEMU_LOST", "__org.qmpmux_*"]
  ) {
    assertEquals(problem(glob), undefined, glob);
  }
});

Deno.test("checkWith() refuses names and globs that no event has, and suggests one", () => {
  for (
    const [glob, said] of [
      [
        "JOB_STATUS_CHANGED",
        'unknown event "JOB_STATUS_CHANGED"; did you mean "JOB_STATUS_CHANGE"?',
      ],
      ["BLOCK_MOON", 'unknown event "BLOCK_MOON": this QEMU does not have it'],
      ["STPO*", 'no event of this QEMU matches "STPO*"; did you mean "STOP*"?'],
      ["BLOCK_JOBS_*", 'no event of this QEMU matches "BLOCK_JOBS_*"; did you mean "BLOCK_JOB_*"?'],
      ["block_*", 'no event of this QEMU matches "block_*"; did you mean "BLOCK_*"?'],
      ["*_REDY", 'no event of this QEMU matches "*_REDY"; did you mean "*_READY"?'],
      ["*MOON*", 'no event of this QEMU matches "*MOON*"'],
      [
        "__org.qmpmux_QEMU_LSOT",
        'unknown event "__org.qmpmux_QEMU_LSOT"; did you mean "__org.qmpmux_QEMU_LOST"?',
      ],
    ] as const
  ) {
    assertEquals(problem(glob), `exec: --until: ${said}`);
  }
});

Deno.test("checkWith() refuses an event that only another version of QEMU has", async () => {
  const old = readIntrospection(await recordedSchema("7.2"));
  assertEquals(problem("VFIO_MIGRATION"), undefined);
  assertMatch(problem("VFIO_MIGRATION", [], old)!, /this QEMU does not have it$/);
});

Deno.test("checkWith() accepts paths and values that events can have", () => {
  for (
    const [glob, ...words] of [
      ["JOB_STATUS_CHANGE", "data.id=j3", "data.status=concluded", 'data.status="ready"'],
      ["BLOCK_JOB_*", "data.device=3", "data.len=18446744073709551615"],
      ["BLOCK_JOB_*", "data.id=j", "data.type=backup"],
      ["*", "data.guest=true", "data.reason=host-qmp-quit"],
      // A member of an object, and one of a variant.
      ["DUMP_COMPLETED", "data.result.completed=7"],
      ["NETDEV_STREAM_CONNECTED", "data.addr.type=unix", "data.addr.path=/x"],
      ["__org.qmpmux_QEMU_LOST", "data.anything=1"],
    ]
  ) {
    assertEquals(problem(glob!, words), undefined, `${glob} ${words}`);
  }
});

Deno.test("checkWith() refuses paths that no such event has, and names those that there are", () => {
  for (
    const [glob, words, said] of [
      [
        "JOB_STATUS_CHANGE",
        ["data.job=j3"],
        "JOB_STATUS_CHANGE does not have data.job; expected data.id, data.status",
      ],
      [
        "JOB_STATUS_CHANGE",
        ["data.sttaus=ready"],
        "JOB_STATUS_CHANGE does not have data.sttaus; did you mean data.status? It has data.id, data.status",
      ],
      ["STOP", ["data.x=1"], "STOP does not have data.x: it has no data"],
      [
        "DUMP_COMPLETED",
        ["data.result=1"],
        "DUMP_COMPLETED does not have data.result; expected data.error, data.result.completed, data.result.status, data.result.total",
      ],
      // No event has both: the other job events name the job device.
      [
        "BLOCK_JOB_*",
        ["data.id=j", "data.device=j"],
        "BLOCK_JOB_PENDING does not have data.device; expected data.id, data.type",
      ],
      [
        "BLOCK_JOB_*",
        ["data.moon=j"],
        /^no such event has data\.moon; expected data\.action, data\.device, .*, data\.type$/,
      ],
      [
        "*",
        ["data.moon=j"],
        /^no such event has data\.moon; expected (?:data\.[a-z0-9.-]+, ){24}\.\.\.$/,
      ],
    ] as const
  ) {
    const found = problem(glob, words)!;
    if (typeof said === "string") assertEquals(found, `exec: --match: ${said}`);
    else assertMatch(found.replace("exec: --match: ", ""), said);
  }
});

Deno.test("checkWith() refuses values that a member never has", () => {
  for (
    const [event, word, said] of [
      [
        "JOB_STATUS_CHANGE",
        "data.status=finished",
        'invalid value "finished" for data.status: expected undefined, created, ',
      ],
      [
        "JOB_STATUS_CHANGE",
        "data.status=conclude",
        'invalid value "conclude" for data.status; did you mean "concluded"?',
      ],
      [
        "BLOCK_JOB_READY",
        "data.len=many",
        'invalid value "many" for data.len: expected an integer',
      ],
      ["BLOCK_JOB_READY", "data.len=1.5", 'invalid value "1.5" for data.len: expected an integer'],
      ["SHUTDOWN", "data.guest=yes", 'invalid value "yes" for data.guest: expected true or false'],
    ] as const
  ) {
    assertEquals(problem(event, [word])?.startsWith(`exec: --match: ${said}`), true, word);
  }
});

/** Returns a schema with one event `E`, whose data have the type `1`. */
function schemaOf(...types: Record<string, unknown>[]): typeof SCHEMA {
  return readIntrospection([
    { name: "c", "meta-type": "command", "arg-type": "1", "ret-type": "1" },
    { name: "E", "meta-type": "event", "arg-type": "1" },
    { name: "str", "meta-type": "builtin", "json-type": "string" },
    { name: "any", "meta-type": "builtin", "json-type": "value" },
    ...types,
  ]);
}

function objectOf(name: string, members: Record<string, string>): Record<string, unknown> {
  const rows = Object.entries(members).map(([name, type]) => ({ name, type }));
  return { name, "meta-type": "object", members: rows };
}

Deno.test("checkWith() knows lists, alternates, variants of variants, and values of any form", () => {
  const schema = schemaOf(
    objectOf("1", { list: "2", either: "3", free: "any", deep: "5", "a.b": "str", odd: "9" }),
    { name: "2", "meta-type": "array", "element-type": "4" },
    { name: "3", "meta-type": "alternate", members: [{ type: "4" }, { type: "str" }] },
    objectOf("4", { x: "str" }),
    {
      ...objectOf("5", { tag: "str" }),
      tag: "tag",
      variants: [{ case: "inner", type: "6" }],
    },
    {
      ...objectOf("6", { tag: "str", y: "str" }),
      tag: "tag",
      variants: [{ case: "last", type: "7" }],
    },
    objectOf("7", { z: "str" }),
    { name: "9", "meta-type": "sum" },
  );
  for (
    const path of [
      "list.0.x",
      "list.17.x",
      "either",
      "either.x",
      "free",
      "free.a.b",
      "deep.y",
      "deep.z",
      "a.b",
      "odd",
      "odd.x",
    ]
  ) {
    assertEquals(problem("E", [`data.${path}=1`], schema), undefined, path);
  }
  for (const path of ["list", "list.x", "list.0", "list.0.y", "a", "deep", "either.y", "deep.w"]) {
    assertMatch(
      problem("E", [`data.${path}=1`], schema)!,
      /^exec: --match: E does not have /,
      path,
    );
  }
});

Deno.test("checkWith() ends on types that contain themselves, and on very many members", () => {
  const circle = schemaOf(objectOf("1", { a: "1", b: "1" }));
  const path = Array(400).fill("a").join(".");
  assertMatch(problem("E", [`data.${path}=1`], circle)!, /^exec: --match: E does not have/);
  const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`m${i}`, "1"]));
  const wide = schemaOf(objectOf("1", many));
  assertMatch(problem("E", ["data.m1.m2.m3=1"], wide)!, /^exec: --match: E does not have/);
});

Deno.test("checkWith() refuses nothing by a schema that has no events", () => {
  assertEquals(problem("MOON", [], { ...SCHEMA, events: new Map() }), undefined);
});

Deno.test("readMatch() refuses a path that is too long", () => {
  assertThrows(() => readMatch("exec", `data.${"a.".repeat(600)}b=1`), UsageError, "at most 1024");
});

/** The subcommands that name events, each with an event that QEMU does not have. */
const UNKNOWN: readonly (readonly [args: readonly string[], said: string])[] = [
  [
    ["exec", "cont", "--until", "MOON"],
    'exec: --until: unknown event "MOON": this QEMU does not have it',
  ],
  [
    ["exec", "cont", "--until", "BLOK_*"],
    'exec: --until: no event of this QEMU matches "BLOK_*"; did you mean "BLOCK_*"?',
  ],
  [
    ["exec", "cont", "--until", "SHUTDOWN", "--match", "data.gust=true"],
    "exec: --match: SHUTDOWN does not have data.gust; did you mean data.guest? It has data.guest, data.reason",
  ],
  [["wait", "--event", "MOON"], 'wait: --event: unknown event "MOON": this QEMU does not have it'],
  [
    ["events", "--filter", "STOP", "--filter", "MOON_*"],
    'events: --filter: no event of this QEMU matches "MOON_*"',
  ],
];

Deno.test({
  name: "exec --until, wait --event and events --filter refuse events that QEMU does not have",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    const path = `${place.path}/mux`;
    const status = async (at: string): Promise<string> =>
      (await runQmpmux(["exec", "-s", at, "query-status"])).stdout;
    const before = await status(qemu.path);
    const check = async (at: string): Promise<void> => {
      for (const [args, said] of UNKNOWN) {
        const result = await runQmpmux([...args, "-s", at]);
        assertEquals(result, { code: 64, stdout: "", stderr: `qmpmux: ${said}\n` });
      }
      // The command was not run.
      assertEquals(await status(at), before);
    };
    await check(qemu.path);
    await using _mux = await startQmpmux(["--qemu", qemu.path, "--listen", path]);
    await check(path);
  },
});

Deno.test("exec --until takes any event if a role refuses the schema", async () => {
  using place = makePlace();
  await using _qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) => name === "go" ? `${eventLine("MOON")}{"return": {}}\r\n` : undefined,
  });
  const path = `${place.path}/mux`;
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(
    file,
    `qemu = "${place.path}/vm"\n[[role]]\nname = "own"\nrules = [{ allow = "go" }]\n` +
      `[[listen]]\naddress = "${path}"\nrole = "own"\n`,
  );
  await using mux = await startQmpmux(["--config", file], { listeners: 1 });
  await mux.log.until(/connected to QEMU/);
  const { code, stdout, stderr } = await runToTimeout(
    path,
    ["exec", "go", "--until", "MOON", "--match", "data.x=1"],
    BEFORE_REPLY,
  );
  // The event came, and did not have the value.
  assertEquals([code, stdout], [124, "{}\n"]);
  assertEquals(stderr, "qmpmux: exec: no event MOON with data.x=1 arrived within SECONDS s\n");
  const found = await runQmpmux(["exec", "-s", path, "go", "--until", "MOON"]);
  assertEquals([found.code, found.stderr], [0, ""]);
  assertMatch(found.stdout, /^\{\}\n\{.*"event": "MOON"\}\n$/);
});

Deno.test("wait --event prints an event that comes while the schema is not answered", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) => name === "query-qmp-schema" ? eventLine("MOON") : undefined,
  });
  const { code, stdout } = await runQmpmux(["wait", "-s", qemu.path, "--event", "MOON"]);
  assertEquals(code, 0);
  assertMatch(stdout, /"event": "MOON"/);
});
