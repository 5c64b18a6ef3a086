/**
 * `qmpmux types`, and values of a real QEMU against the types that it writes.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type AnyQmp, connect, type Qmp, QmpError } from "../lib/client/mod.ts";
import { declarationsOf } from "../lib/client/declarations.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { runAt, runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { recordedSchema } from "./support/schemas.ts";
import { BEFORE_REPLY } from "./support/timeout.ts";
import { checkTypes } from "./support/typescript.ts";

/** A small schema, and its version. */
const SCHEMA = '[{"name": "0", "meta-type": "object", "members": []}, ' +
  '{"name": "stop", "meta-type": "command", "arg-type": "0", "ret-type": "0"}]';
const VERSION = '{"qemu": {"major": 12, "minor": 1, "micro": 3}, "package": "Debian 1:12.1*/x"}';

Deno.test("qmpmux types prints the types of the QEMU at a socket, with its version", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  const greeting = `{"QMP": {"version": ${VERSION}, "capabilities": ["oob"]}}\r\n`;
  await using _qemu = new FakeQemu(path, {
    greeting,
    answer: ({ name }) => name === "query-qmp-schema" ? `{"return": ${SCHEMA}}\r\n` : undefined,
  });
  const { code, stdout, stderr } = await runQmpmux(["types", "--socket", path]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, declarationsOf(JSON.parse(SCHEMA), "12.1.3 (Debian 1:12.1x)"));
  assertStringIncludes(stdout, "events of QEMU 12.1.3 (Debian 1:12.1x).\n");
});

Deno.test("qmpmux types --schema reads a value or a whole reply from a file", async () => {
  using place = makePlace();
  const schema = await recordedSchema("10.0");
  const path = `${place.path}/schema.json`;
  for (const content of [schema, { return: schema, id: 1 }]) {
    Deno.writeTextFileSync(path, JSON.stringify(content));
    const { code, stdout, stderr } = await runQmpmux(["types", "--schema", path]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout, declarationsOf(schema));
    assertStringIncludes(stdout, "a QEMU of unknown version");
  }
});

Deno.test("qmpmux types says in one line what is wrong with a file", async () => {
  using place = makePlace();
  const path = `${place.path}/schema.json`;
  const wrong: [content: string, message: string][] = [
    ["", "types: FILE: not JSON"],
    ['{"return": [\n', "types: FILE: not JSON"],
    ["[".repeat(100_000), "types: FILE: not JSON"],
    [
      `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
      "types: FILE: entry 0 is not an object",
    ],
    ["{}", "types: FILE: expected the list that query-qmp-schema returns"],
    [
      '[{"name": "a\\n\\"\\u202e", "meta-type": "array", "element-type": "x"}]',
      'types: FILE: array "a\\n\\"\\u202e" refers to the type "x", which is not there',
    ],
  ];
  for (const [content, message] of wrong) {
    Deno.writeTextFileSync(path, content);
    assertEquals(await runQmpmux(["types", "--schema", path]), {
      code: 1,
      stdout: "",
      stderr: `qmpmux: ${message.replace("FILE", path)}\n`,
    });
  }
  assertEquals((await runQmpmux(["types", "--schema", `${place.path}/none`])).code, 1);
  assertEquals(await runQmpmux(["types", "--schema", "/dev/zero"]), {
    code: 1,
    stdout: "",
    stderr:
      "qmpmux: types: /dev/zero: the file has more than 16777216 bytes (16 MiB); shorten it\n",
  });
});

Deno.test("qmpmux types takes its schema from one place", async () => {
  for (const more of [["--socket", "/run/x"], ["--timeout", "1"]]) {
    const { code, stderr } = await runQmpmux(["types", "--schema", "/x", ...more]);
    assertEquals(code, 64);
    assertStringIncludes(stderr, `types: --schema and ${more[0]} exclude each other; give one`);
  }
});

Deno.test("qmpmux types ends with 77 if a role refuses the schema, and with 1 if it is not one", async () => {
  using place = makePlace();
  const [vm, mux] = [`${place.path}/vm`, `${place.path}/mux`];
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(
    file,
    `qemu = "${vm}"\n[[listen]]\naddress = "${mux}"\nrole = "narrow"\n` +
      '[[role]]\nname = "narrow"\nrules = [{ allow = "query-status" }]\n',
  );
  await using _qemu = new FakeQemu(vm, {
    answer: ({ name }) => name === "query-qmp-schema" ? '{"return": [{}]}\r\n' : undefined,
  });
  const direct = await runQmpmux(["types", "--socket", vm]);
  assertEquals([direct.code, direct.stdout], [1, ""]);
  assertEquals(direct.stderr, `qmpmux: types: unix:${vm}: entry 0 has no text as "name"\n`);
  await using running = await startQmpmux(["--config", file]);
  await running.log.until(/connected to QEMU/);
  const refused = await runQmpmux(["types", "--socket", mux]);
  assertEquals([refused.code, refused.stdout], [77, ""]);
  assertMatch(refused.stderr, /^qmpmux: types: query-qmp-schema: .*role narrow.*\n$/);
});

Deno.test("qmpmux types ends with 124 if the translation of the schema takes longer than the timeout", async () => {
  using place = makePlace();
  // Each alternate has another name, so that none is like another.
  const types = Array.from({ length: 10_000 }, (_, at) => [
    { name: `a${at}`, "meta-type": "alternate", members: [`a${at + 1}`, `b${at + 1}`] },
    { name: `b${at}`, "meta-type": "alternate", members: [`a${at + 1}`, `b${at + 1}`] },
  ]).flat().map((row) => ({ ...row, members: row.members.map((type) => ({ type })) }));
  const [first, second] = JSON.parse(SCHEMA);
  const schema = [
    first,
    { ...second, "ret-type": "a0" },
    ...types,
    { name: "a10000", "meta-type": "object", members: [{ name: "a", type: "0" }] },
    { name: "b10000", "meta-type": "object", members: [{ name: "b", type: "0" }] },
  ];
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) =>
      name === "query-qmp-schema" ? `{"return": ${JSON.stringify(schema)}}\r\n` : undefined,
  });
  // The reply must come before the timeout, and the types must not. The machine decides when each does.
  let [seconds, late] = [0.3, await runAt(qemu.path, ["types"], 0.3)];
  for (let tries = 0; tries < 20; tries++) {
    if (late.code !== 0 && !BEFORE_REPLY.test(late.stderr)) break;
    seconds *= late.code === 0 ? 0.7 : 1.6;
    late = await runAt(qemu.path, ["types"], seconds);
  }
  assertEquals([late.code, late.stdout], [124, ""]);
  assertStringIncludes(late.stderr, `too long to be translated within ${seconds} s\n`);
});

Deno.test("qmpmux types refuses the schema of a monitor if it is longer than a file may be", async () => {
  using place = makePlace();
  const schema = `[${" ".repeat(16)}${"0,".repeat(9 << 20)}0]`;
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) => name === "query-qmp-schema" ? `{"return": ${schema}}\r\n` : undefined,
  });
  assertEquals(await runQmpmux(["types", "--socket", qemu.path]), {
    code: 1,
    stdout: "",
    stderr: `qmpmux: types: unix:${qemu.path}: the schema has more than 16777216 bytes (16 MiB)\n`,
  });
});

/** Returns a value as an expression of TypeScript. */
function expression(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return `[${value.map(expression).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, each]) =>
    `${JSON.stringify(key)}: ${expression(each)}`
  );
  return `{ ${members.join(", ")} }`;
}

/** A machine with what the queries show: disks, networks, memory, devices of several buses. */
const MACHINE = [
  ..."-machine q35 -m 128M,slots=2,maxmem=1G -smp 2,maxcpus=4".split(" "),
  ..."-object iothread,id=io0 -object memory-backend-ram,id=ram1,size=16M".split(" "),
  ..."-device pc-dimm,memdev=ram1,id=dimm1 -blockdev null-co,node-name=n0,size=1048576".split(" "),
  ..."-blockdev raw,node-name=r0,file=n0 -device virtio-blk-pci,drive=r0,id=disk0".split(" "),
  ..."-netdev hubport,id=net0,hubid=0 -device e1000,netdev=net0 -device virtio-rng-pci".split(" "),
  ..."-chardev null,id=c0 -device qemu-xhci -device usb-tablet -device VGA".split(" "),
  ..."-device ide-cd,bus=ide.0 -device virtio-balloon-pci -device pvpanic-pci".split(" "),
];

/** Commands that cause events. */
const CAUSES: readonly (readonly [name: string, args?: object])[] = [
  ["cont"],
  ["stop"],
  ["system_reset"],
  ["blockdev-add", { driver: "null-co", "node-name": "n1", size: 1 << 20 }],
  ["blockdev-backup", { "job-id": "j0", device: "r0", target: "n1", sync: "full" }],
  ["object-add", { "qom-type": "throttle-group", id: "t0" }],
  ["system_powerdown"],
  ["watchdog-set-action", { action: "pause" }],
];

Deno.test({
  name: "the values and events of a real QEMU have the types that qmpmux types writes",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    await using _qemu = await startQemu(path, MACHINE);
    const { code, stdout: types, stderr } = await runQmpmux(["types", "--socket", path]);
    assertEquals([code, stderr], [0, ""]);
    await using qmp = await connect(path);
    const events = qmp.events();
    for (const [name, args] of CAUSES) await qmp.execute(name, args);
    const values = await valuesOf(qmp);
    assert(values.length > 40, `${values.length}`);
    await qmp.close();
    const lines = values.map(([name, value], index) => {
      const type = `ReturnOf<Qmp, ${JSON.stringify(name)}>`;
      return `export const v${index}: ${type} = ${expression(value)};`;
    });
    const told = new Set<string>();
    for await (const { name, data } of events) {
      told.add(name);
      lines.push(`export const e${lines.length}: Qmp["events"]["${name}"] = ${expression(data)};`);
    }
    assert(told.size >= 5, [...told].join());
    const head =
      'import type { ReturnOf } from "@qmpmux/qmpmux/client";\nimport type { Qmp } from "./qmp.ts";\n';
    await checkTypes({ "qmp.ts": types, "values.ts": head + lines.join("\n") });
  },
});

/** Returns the values of all queries that need no arguments. */
async function valuesOf(qmp: Qmp<AnyQmp>): Promise<[name: string, value: unknown][]> {
  const values: [string, unknown][] = [];
  for (const { name } of await qmp.execute("query-commands")) {
    if (!/^(x-)?query-/.test(name)) continue;
    try {
      values.push([name, await qmp.execute(name)]);
    } catch (error) {
      // It needs arguments, or a device that is not there.
      if (!(error instanceof QmpError)) throw error;
    }
  }
  return values;
}
