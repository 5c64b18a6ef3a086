/**
 * Errors of commands and the emptiest values, from the recorded schemas of QEMU.
 *
 * Every error here was given by QEMU 7.2.22; where others differ, they are named.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { type Introspection, readIntrospection, SchemaError } from "../lib/client/introspection.ts";
import { ArgumentCheck } from "../lib/testing/argument_check.ts";
import { emptiestValue } from "../lib/testing/emptiest.ts";
import { integerType, type Version } from "../lib/testing/masked_types.ts";
import { SchemaCheck } from "../lib/testing/schema_check.ts";
import { frameOf } from "../lib/wire/frame.ts";
import { recordedSchema } from "./support/schemas.ts";

const VERSIONS: readonly Version[] = [[7, 2], [10, 0], [11, 1]];
const SCHEMAS = new Map<string, Introspection>();
for (const version of VERSIONS) {
  SCHEMAS.set(version.join("."), readIntrospection(await recordedSchema(version.join("."))));
}

function schemaOf(version: Version): Introspection {
  return SCHEMAS.get(version.join("."))!;
}

/** Returns the text of the error for a command; `undefined` if there is none. */
function errorOf(version: Version, name: string, args: string): string | undefined {
  const check = new SchemaCheck(schemaOf(version), version);
  return check.error({ name, argumentBytes: frameOf(args).bytes })?.desc;
}

const QCOW2 = '"driver":"qcow2","node-name":"a","file":';

/** A command, its arguments, and the error of every version. */
const SAME: readonly (readonly [name: string, args: string, desc: string | undefined])[] = [
  ["query-status", "{}", undefined],
  ["query-status", '{"a":1}', "Parameter 'a' is unexpected"],
  ["query-status", '{"a b c":1,"\\u0000":2}', "Parameter 'a b c' is unexpected"],
  ["qom-set", '{"path":"a"}', "Parameter 'property' is missing"],
  ["qom-set", '{"path":"a","property":"b","value":{"any":[]}}', undefined],
  ["block_resize", '{"size":"x"}', "Invalid parameter type for 'size', expected: integer"],
  ["block_resize", '{"size":1.0}', "Invalid parameter type for 'size', expected: integer"],
  ["block_resize", '{"size":1e0}', "Invalid parameter type for 'size', expected: integer"],
  [
    "block_resize",
    '{"size":9223372036854775808}',
    "Invalid parameter type for 'size', expected: integer",
  ],
  ["block_resize", '{"size":-9223372036854775808}', undefined],
  ["block_resize", '{"size":1,"zz":2}', "Parameter 'zz' is unexpected"],
  [
    "migrate-set-parameters",
    '{"multifd-channels":[]}',
    "Parameter 'multifd-channels' expects uint64",
  ],
  [
    "migrate-set-parameters",
    '{"multifd-channels":256}',
    "Parameter 'multifd-channels' expects uint8_t",
  ],
  [
    "migrate-set-parameters",
    '{"multifd-channels":-1}',
    "Parameter 'multifd-channels' expects uint8_t",
  ],
  ["migrate-set-parameters", '{"multifd-channels":255}', undefined],
  ["migrate-set-parameters", '{"downtime-limit":-1}', undefined],
  ["migrate-set-parameters", '{"downtime-limit":18446744073709551615}', undefined],
  [
    "migrate-set-parameters",
    '{"downtime-limit":18446744073709551616}',
    "Parameter 'downtime-limit' expects uint64",
  ],
  ["migrate-set-parameters", '{"tls-creds":null}', undefined],
  [
    "migrate-set-parameters",
    '{"tls-creds":1}',
    "Invalid parameter type for 'tls-creds', expected: StrOrNull",
  ],
  ["blockdev-add", "{}", "Parameter 'driver' is missing"],
  ["blockdev-add", '{"driver":"zap"}', "Parameter 'driver' does not accept value 'zap'"],
  ["blockdev-add", '{"driver":1}', "Invalid parameter type for 'driver', expected: string"],
  ["blockdev-add", `{${QCOW2}1}`, "Invalid parameter type for 'file', expected: BlockdevRef"],
  [
    "blockdev-add",
    `{${QCOW2}{"driver":"qcow2","file":[]}}`,
    "Invalid parameter type for 'file', expected: BlockdevRef",
  ],
  ["blockdev-add", `{${QCOW2}{"driver":"qcow2"}}`, "Parameter 'file.file' is missing"],
  [
    "blockdev-add",
    `{${QCOW2}"b","backing":7}`,
    "Invalid parameter type for 'backing', expected: BlockdevRefOrNull",
  ],
  [
    "blockdev-add",
    `{${QCOW2}{${QCOW2}"b","overlap-check":"nope"}}`,
    "Parameter 'overlap-check' does not accept value 'nope'",
  ],
  [
    "blockdev-add",
    `{${QCOW2}{${QCOW2}"b","overlap-check":{"template":3}}}`,
    "Invalid parameter type for 'file.overlap-check.template', expected: string",
  ],
  [
    "blockdev-add",
    `{${QCOW2}"b","overlap-check":7}`,
    "Invalid parameter type for 'overlap-check', expected: Qcow2OverlapChecks",
  ],
  ["transaction", '{"actions":{}}', "Invalid parameter type for 'actions', expected: array"],
  ["transaction", '{"actions":[3]}', "Invalid parameter type for 'actions[0]', expected: object"],
  ["transaction", '{"actions":[{"type":"zap"}]}', "Parameter 'type' does not accept value 'zap'"],
  ["transaction", '{"actions":[{"type":"abort"}]}', "Parameter 'actions[0].data' is missing"],
  [
    "transaction",
    '{"actions":[{"type":"abort","data":{}},{"type":"abort","data":{"x":1}}]}',
    "Parameter 'actions[1].data.x' is unexpected",
  ],
  [
    "block-dirty-bitmap-merge",
    '{"node":"a","target":"b","bitmaps":["c",1]}',
    "Invalid parameter type for 'null', expected: BlockDirtyBitmapOrStr",
  ],
  [
    "block-dirty-bitmap-merge",
    '{"node":"a","target":"b","bitmaps":[{"node":"x"}]}',
    "Parameter 'bitmaps[0].name' is missing",
  ],
  ["qmp_capabilities", '{"enable":["nope"]}', "Parameter 'null' does not accept value 'nope'"],
  ["device_add", '{"id":"a"}', "Parameter 'driver' is missing"],
  ["device_add", '{"driver":null}', "Parameter 'driver' is missing"],
  ["device_add", '{"driver":"x","no":[1],"such":{}}', undefined],
  ["query-statsu", "{}", "The command query-statsu has not been found"],
];

for (const [name, args, desc] of SAME) {
  Deno.test(`SchemaCheck answers ${name} ${args} as QEMU`, () => {
    const found = VERSIONS.map((version) => errorOf(version, name, args));
    assertEquals(found, [desc, desc, desc]);
  });
}

const INTEGER = "Invalid parameter type for 'size', expected: integer";

/** A command, its arguments, and the errors of 7.2, 10.0 and 11.1. */
const DIFFERENT: readonly (readonly [string, string, ...(string | undefined)[]])[] = [
  ["device_add", '{"driver":7}', undefined, ...Array(2).fill("Parameter 'driver' is missing")],
  [
    "device_add",
    '{"driver":7,"id":"7"}',
    "Parameter 'id' expects an identifier",
    ...Array(2).fill("Parameter 'driver' is missing"),
  ],
  [
    "memsave",
    '{"val":0,"size":[],"filename":"a"}',
    INTEGER,
    ...Array(2).fill("Parameter 'size' expects uint64"),
  ],
  [
    "migrate-set-parameters",
    '{"compress-level":256}',
    "Parameter 'compress-level' expects uint8_t",
    ...Array(2).fill("Parameter 'compress-level' is unexpected"),
  ],
];

for (const [name, args, ...descs] of DIFFERENT) {
  Deno.test(`SchemaCheck answers ${name} ${args} as each QEMU`, () => {
    assertEquals(VERSIONS.map((version) => errorOf(version, name, args)), descs);
  });
}

/** A command of 7.2, its arguments, and the error of 5.2. */
const OF_5_2: readonly (readonly [name: string, args: string, desc: string | undefined])[] = [
  ["blockdev-add", '{"driver":"zap"}', "Invalid parameter 'zap'"],
  ["query-qmp-schema", '{"a":1}', undefined],
  ["object-add", '{"id":"a"}', "Parameter 'qom-type' is missing"],
  ["object-add", '{"qom-type":"a","id":1}', "Parameter 'id' is missing"],
  ["object-add", '{"props":[]}', "Invalid parameter type for 'props', expected: dict"],
  ["object-add", '{"qom-type":"a","id":"b","c":{}}', undefined],
  [
    "migrate-set-parameters",
    '{"multifd-channels":"x"}',
    "Invalid parameter type for 'multifd-channels', expected: integer",
  ],
  [
    "block-dirty-bitmap-merge",
    '{"node":"a","target":"b","bitmaps":[1]}',
    "Invalid parameter type for 'null', expected: BlockDirtyBitmapMergeSource",
  ],
];

for (const [name, args, desc] of OF_5_2) {
  Deno.test(`SchemaCheck answers ${name} ${args} as QEMU 5.2`, () => {
    const check = new SchemaCheck(schemaOf([7, 2]), [5, 2]);
    assertEquals(check.error({ name, argumentBytes: frameOf(args).bytes })?.desc, desc);
  });
}

Deno.test("integerType() tells a network's reconnect from a character device's", () => {
  const type = (names: string, version: Version): string => {
    const marks = { isDeprecated: false, isUnstable: false };
    const members = names.split(" ").map((name) => ({
      name,
      type: "int",
      isOptional: true,
      ...marks,
    }));
    const owner = {
      kind: "object",
      members,
      tag: undefined,
      variants: new Map(),
      ...marks,
    } as const;
    return integerType("reconnect", owner, version);
  };
  assertEquals(type("addr server reconnect", [8, 2]), "uint32");
  assertEquals(type("addr server wait telnet reconnect", [8, 2]), "int64");
  assertEquals(type("addr server reconnect reconnect-ms", [9, 2]), "int64");
  assertEquals(type("addr server reconnect reconnect-ms", [10, 0]), "int64");
});

Deno.test("SchemaCheck gives the class of an unknown command and of wrong arguments", () => {
  const check = new SchemaCheck(schemaOf([11, 1]), [11, 1]);
  assertEquals(check.error({ name: "a", argumentBytes: undefined })?.errorClass, "CommandNotFound");
  const wrong = check.error({ name: "qom-get", argumentBytes: undefined });
  assertEquals(wrong, { errorClass: "GenericError", desc: "Parameter 'path' is missing" });
});

/** Returns a schema with these types, whose command `c` takes and returns the first. */
function made(...types: object[]): Introspection {
  const [first] = types as { name: string }[];
  const command = { name: "c", "meta-type": "command", "arg-type": "0", "ret-type": first!.name };
  const member = { name: "m", type: first!.name };
  const args = { name: "0", "meta-type": "object", members: [member] };
  return readIntrospection([...types, args, command]);
}

const INT = { name: "int", "meta-type": "builtin", "json-type": "int" };
const WORDS = { name: "words", "meta-type": "enum", values: ["start", "end"] };

Deno.test("SchemaCheck checks nothing in a kind of type that it does not know", () => {
  const check = new ArgumentCheck(made({ name: "t", "meta-type": "tuple" }), [12, 0]);
  assertEquals(check.problem(frameOf('{"m":[1]}').bytes, "0"), undefined);
  assertEquals(check.problem(frameOf('{"n":1}').bytes, "0"), "Parameter 'm' is missing");
});

Deno.test("SchemaCheck takes an integer of an alternate, and names an alternate that it does not know", () => {
  const types = [{ type: "int" }, { type: "words" }];
  const alternate = { name: "t", "meta-type": "alternate", members: types };
  const problem = (args: string, ...more: object[]): string | undefined =>
    new ArgumentCheck(made(...more, INT, WORDS), [11, 1]).problem(frameOf(args).bytes, "0");
  assertEquals(problem('{"m":1}', alternate), undefined);
  assertEquals(problem('{"m":"end"}', alternate), undefined);
  assertEquals(problem('{"m":"x"}', alternate), "Parameter 'm' does not accept value 'x'");
  const unknown = { ...alternate, members: [{ type: "int" }] };
  const expected = "Invalid parameter type for 'm', expected: ";
  assertEquals(problem('{"m":true}', alternate), `${expected}GuestFileWhence`);
  assertEquals(problem('{"m":true}', unknown), `${expected}alternate`);
});

/** A command of 11.1 and the emptiest value that it returns. */
const EMPTIEST: readonly (readonly [name: string, value: unknown])[] = [
  ["stop", {}],
  ["query-block", []],
  ["qom-get", null],
  ["human-monitor-command", ""],
  ["query-name", {}],
  ["query-kvm", { enabled: false, present: false }],
  ["query-status", { running: false, status: "debug" }],
  ["query-version", { qemu: { major: 0, micro: 0, minor: 0 }, package: "" }],
];

for (const [name, value] of EMPTIEST) {
  Deno.test(`emptiestValue() of ${name} has only what it must have`, () => {
    const schema = schemaOf([11, 1]);
    assertEquals(emptiestValue(schema.commands.get(name)!.return, schema), value);
  });
}

Deno.test("emptiestValue() is right for every type of every recorded schema", () => {
  for (const version of VERSIONS) {
    const schema = schemaOf(version);
    const check = new ArgumentCheck(schema, version);
    for (const [name, type] of schema.types) {
      const value = emptiestValue(name, schema);
      if (type.kind !== "object") continue;
      assertEquals(check.problem(frameOf(JSON.stringify(value)).bytes, name), undefined, name);
    }
  }
});

Deno.test("emptiestValue() takes the shortest type of an alternate", () => {
  const schema = made(
    { name: "t", "meta-type": "alternate", members: [{ type: "words" }, { type: "int" }] },
    INT,
    WORDS,
  );
  assertEquals(emptiestValue("t", schema), 0);
});

Deno.test("emptiestValue() leaves out what would contain itself, and refuses what must", () => {
  const again = { name: "t", "meta-type": "object", members: [{ name: "a", type: "or" }] };
  const or = { name: "or", "meta-type": "alternate", members: [{ type: "t" }, { type: "int" }] };
  assertEquals(emptiestValue("t", made(again, or, INT)), { a: 0 });
  const endless = made(again, { ...or, members: [{ type: "t" }] }, INT);
  assertThrows(() => emptiestValue("t", endless), SchemaError, 'type "t" must contain itself');
});

Deno.test("emptiestValue() refuses a value that is too deep or too long", () => {
  const member = (name: string, at: number): object => ({ name, type: `t${at + 1}` });
  const chain = (length: number, ...names: readonly string[]): Introspection => {
    const types = Array.from({ length }, (_, at) => {
      const members = names.map((name) => member(name, at));
      return { name: `t${at}`, "meta-type": "object", members };
    });
    return made(...types, { ...INT, name: `t${length}` });
  };
  const deep = "nested deeper than 1000 types";
  assertThrows(() => emptiestValue("t0", chain(5000, "a")), SchemaError, deep);
  assertEquals(emptiestValue("t0", chain(2, "a", "b")), { a: { a: 0, b: 0 }, b: { a: 0, b: 0 } });
  const long = "more than 100000 characters";
  assertThrows(() => emptiestValue("t0", chain(20, "a", "b")), SchemaError, long);
  const alternates = Array.from({ length: 60 }, (_, at) => {
    const members = [member("", at), { type: at === 59 ? "t60" : "u" }];
    return { name: `t${at}`, "meta-type": "alternate", members };
  });
  const again = { name: "u", "meta-type": "alternate", members: [{ type: "t0" }, { type: "t1" }] };
  const self = { name: "t60", "meta-type": "object", members: [{ name: "a", type: "t60" }] };
  assertThrows(() => emptiestValue("t0", made(...alternates, again, self)), SchemaError);
});

/** A union whose tag selects a variant of another name. */
function union(name: string, variant: string): object {
  const members = [{ name: "k", type: "words" }];
  const variants = [{ case: "start", type: variant }];
  return { name, "meta-type": "object", members, tag: "k", variants };
}

Deno.test("a schema whose object is a variant of itself is refused, also by way of another", () => {
  const message = 'object "a" is a variant of itself';
  assertThrows(() => made(union("a", "a"), WORDS), SchemaError, message);
  assertThrows(() => made(union("a", "b"), union("b", "a"), WORDS), SchemaError, message);
});

Deno.test("variants of variants are checked and made, 3,000 of them, and those of unknown kinds", () => {
  const unions = Array.from({ length: 3000 }, (_, at) => union(`u${at}`, `u${at + 1}`));
  const end = { name: "u3000", "meta-type": "object", members: [{ name: "n", type: "int" }] };
  const schema = made(...unions, end, INT, WORDS);
  assertEquals(emptiestValue("u0", schema), { k: "start", n: 0 });
  const check = new ArgumentCheck(schema, [11, 1]);
  assertEquals(check.problem(frameOf('{"k":"start","n":1}').bytes, "u0"), undefined);
  assertEquals(check.problem(frameOf('{"k":"start"}').bytes, "u0"), "Parameter 'n' is missing");
  const unknown = made(union("u", "t"), WORDS, { name: "t", "meta-type": "tuple" });
  assertEquals(emptiestValue("u", unknown), { k: "start" });
  const free = new ArgumentCheck(unknown, [12, 0]);
  assertEquals(free.problem(frameOf('{"k":"start","x":1}').bytes, "u"), undefined);
  assertEquals(free.problem(frameOf('{"x":1}').bytes, "t"), undefined);
});

Deno.test("emptiestValue() refuses names and words that QEMU cannot have", () => {
  for (const name of ["\ud800", "a\0"]) {
    const object = { name: "t", "meta-type": "object", members: [{ name, type: "int" }] };
    const word = { name: "t", "meta-type": "enum", values: [name] };
    for (const type of [object, word]) {
      assertThrows(() => emptiestValue("t", made(type, INT)), SchemaError, "QEMU cannot have");
    }
  }
});
