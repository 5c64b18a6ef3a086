/**
 * The types that `qmpmux types` writes: for known versions of QEMU, made-up schemas, and damaged ones.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { declarationsOf } from "../lib/client/declarations.ts";
import { parseExact } from "../lib/client/exact_json.ts";
import { SchemaError } from "../lib/client/introspection.ts";
import { RECORDED } from "./support/commands.ts";
import { Random } from "./support/random.ts";
import { recordedSchema } from "./support/schemas.ts";
import { checkForm, checkTypes } from "./support/typescript.ts";

type Row = Readonly<Record<string, unknown>>;

/** The builtin types of QEMU, and the type of an object without members. */
const BASICS: readonly Row[] = [
  { name: "str", "meta-type": "builtin", "json-type": "string" },
  { name: "int", "meta-type": "builtin", "json-type": "int" },
  { name: "number", "meta-type": "builtin", "json-type": "number" },
  { name: "bool", "meta-type": "builtin", "json-type": "boolean" },
  { name: "null", "meta-type": "builtin", "json-type": "null" },
  { name: "any", "meta-type": "builtin", "json-type": "value" },
  { name: "0", "meta-type": "object", members: [] },
];

function objectRow(name: string, members: Readonly<Record<string, string>>, more: Row = {}): Row {
  const rows = Object.entries(members).map(([key, type]) =>
    key.endsWith("?") ? { name: key.slice(0, -1), type, default: null } : { name: key, type }
  );
  return { name, "meta-type": "object", members: rows, ...more };
}

function enumRow(name: string, ...values: string[]): Row {
  return { name, "meta-type": "enum", values, members: values.map((name) => ({ name })) };
}

function arrayRow(element: string): Row {
  return { name: `[${element}]`, "meta-type": "array", "element-type": element };
}

function alternateRow(name: string, ...types: string[]): Row {
  return { name, "meta-type": "alternate", members: types.map((type) => ({ type })) };
}

function commandRow(name: string, given = "0", value = "0", more: Row = {}): Row {
  return { name, "meta-type": "command", "arg-type": given, "ret-type": value, ...more };
}

/** Returns the declarations after the interfaces that every file has. */
function declared(...rows: readonly Row[]): string {
  const text = declarationsOf([...BASICS, ...rows]);
  return text.slice(text.indexOf("export interface Commands"));
}

/** Returns a schema with its entries in another order, and with other names of types. */
function masked(schema: readonly Row[], random: Random): unknown {
  const names = new Map<unknown, string>();
  const kept = new Set(["command", "event"]);
  const types = schema.filter((row) => !kept.has(row["meta-type"] as string));
  const numbers = types.map((_, index) => index);
  for (const { name } of types) {
    const [number] = numbers.splice(random.below(numbers.length), 1);
    names.set(name, `t${number}`);
  }
  const rows = JSON.parse(JSON.stringify(schema), function (this: Row, key, value): unknown {
    const isType = /^(type|arg-type|ret-type|element-type)$/.test(key) ||
      key === "name" && "meta-type" in this && !kept.has(this["meta-type"] as string);
    return isType ? names.get(value) : value;
  });
  const order: unknown[] = [];
  while (rows.length > 0) order.push(...rows.splice(random.below(rows.length), 1));
  return order;
}

Deno.test("declarationsOf() writes strict types in the form of deno fmt, for each known QEMU", async () => {
  const use = Deno.readTextFileSync(new URL("fixtures/typed_use.txt", import.meta.url));
  const files = await Promise.all(
    RECORDED.map(async (version) =>
      [`${version}/qmp.ts`, declarationsOf(await recordedSchema(version), version)] as const
    ),
  );
  await checkForm(Object.fromEntries(files));
  // Each wrong use in there is an error that the check expects.
  const uses = RECORDED.map((version) => [`${version}/use.ts`, use] as const);
  await checkTypes(Object.fromEntries([...files, ...uses]));
});

Deno.test("declarationsOf() names every command and every event of a schema", async () => {
  for (const version of RECORDED) {
    const schema = await recordedSchema(version);
    const text = declarationsOf(schema, version);
    for (const { name, "meta-type": kind } of schema) {
      if (kind === "command") assert(text.includes(`\n  "${name}": {\n    arguments: `), `${name}`);
      if (kind === "event") assert(text.includes(`\n  "${name}": `), `${name}`);
    }
    assertStringIncludes(text, `The commands and events of QEMU ${version}.`);
    assert(!/\bunknown of\b|: \d/.test(text));
  }
});

Deno.test("declarationsOf() depends neither on the names of types nor on the order of entries", async () => {
  const random = new Random(7);
  const schema = await recordedSchema("10.0");
  assertEquals(declarationsOf(masked(schema, random)), declarationsOf(schema));
});

Deno.test("declarationsOf() maps each kind of type", () => {
  const text = declared(
    enumRow("e", "on", "off"),
    arrayRow("int"),
    alternateRow("a", "str", "null", "[int]"),
    objectRow("o", { s: "str", "i?": "int", n: "number", b: "bool", v: "any", "e?": "e", a: "a" }),
    commandRow("x", "o", "[int]"),
    commandRow("y", "0", "a"),
  );
  assertEquals(
    text,
    `export interface Commands {
  "x": {
    arguments: XArguments;
    return: Int[];
  };
  "y": {
    arguments: Record<string, never>;
    return: string | null | Int[];
  };
}

/** The data of the events. */
export interface Events {
}

export interface XArguments {
  "a": string | null | readonly Int[];
  "b": boolean;
  "e"?: "on" | "off";
  "i"?: Int;
  "n": number;
  "s": string;
  "v": unknown;
}
`,
  );
});

Deno.test("declarationsOf() writes never for an enum or an alternate without members", () => {
  const text = declared(
    enumRow("none"),
    alternateRow("neither"),
    alternateRow("both", "none", "int"),
    arrayRow("none"),
    objectRow("all", { a: "none", b: "neither", c: "both", d: "[none]" }),
    commandRow("one", "0", "none"),
    commandRow("two", "0", "neither"),
    commandRow("three", "all", "[none]"),
  );
  for (
    const line of [
      "    return: never;",
      "    return: never[];",
      '  "a": never;',
      '  "b": never;',
      '  "d": readonly never[];',
    ]
  ) assertStringIncludes(`${text}\n`, line);
  assert(!/: *;|\(\)/.test(text), text);
});

Deno.test("declarationsOf() writes a union as an object for each variant, joined by its tag", () => {
  const text = declared(
    enumRow("e", "a", "b", "c", "d"),
    objectRow("va", { "a-long-name-of-a-member": "str" }),
    objectRow("u", { kind: "e", "id-of-the-whole-union": "str", "note?": "str" }, {
      tag: "kind",
      variants: [{ case: "a", type: "va" }, { case: "c", type: "0" }],
    }),
    commandRow("x", "u"),
  );
  assertEquals(
    text.slice(text.indexOf("export interface Events")),
    `export interface Events {
}

export interface XA extends XBase {
  "kind": "a";
  "a-long-name-of-a-member": string;
}

export type XArguments =
  | XA
  | XOther;

export interface XBase {
  "id-of-the-whole-union": string;
  "note"?: string;
}

export interface XOther extends XBase {
  "kind": "b" | "c" | "d";
}
`,
  );
});

Deno.test("declarationsOf() writes a variant that is a union itself as an intersection", async () => {
  const rows = [
    enumRow("e", "a", "b"),
    enumRow("f", "c", "d"),
    objectRow("vc", { "member-of-the-inner-variant": "str" }),
    objectRow("inner", { type: "f", "member-of-the-inner-union": "str" }, {
      tag: "type",
      variants: [{ case: "c", type: "vc" }, { case: "d", type: "0" }],
    }),
    objectRow("outer", { kind: "e" }, {
      tag: "kind",
      variants: [{ case: "a", type: "inner" }, { case: "b", type: "0" }],
    }),
    commandRow("x", "outer"),
  ];
  assertStringIncludes(
    declared(...rows),
    'export type XA =\n  & { "kind": "a" }\n  & XAVariant;\n',
  );
  const use = `import type { XArguments } from "./qmp.ts";
const base = { kind: "a", "member-of-the-inner-union": "" } as const;
export const right: XArguments[] = [{ kind: "b" }, { ...base, type: "d" }, {
  ...base,
  type: "c",
  "member-of-the-inner-variant": "",
}];
// @ts-expect-error: the inner variant lacks its member
export const wrong: XArguments = { ...base, type: "c" };
`;
  await checkTypes({ "qmp.ts": declarationsOf([...BASICS, ...rows]), "use.ts": use });
});

Deno.test("declarationsOf() writes equal types once, and recursive types by their name", () => {
  const long = { "a-first-long-name": "str", "a-second-long-name": "str", "a-third-name": "str" };
  const text = declared(
    objectRow("1", long),
    objectRow("2", long),
    objectRow("3", { ...long, "next?": "3" }),
    // This is the same list with one element unrolled.
    objectRow("4", { ...long, "next?": "3" }),
    commandRow("x", "1", "2"),
    commandRow("y", "0", "2"),
    commandRow("z", "3", "4"),
  );
  assertEquals(text.match(/(?<=export (?:interface|type) )\w+/g), [
    "Commands",
    "Events",
    "XArguments",
    "ZArguments",
  ]);
  assertStringIncludes(text, '"next"?: ZArguments;');
  assertStringIncludes(text, "    arguments: ZArguments;\n    return: ZArguments;");
});

Deno.test("declarationsOf() compares no more types than those of a QEMU ten times as large", () => {
  const words = Array.from({ length: 60_000 }, (_, index) => `word-${index}`);
  const names = (depth: number): number => {
    const chain = (letter: string): Row[] =>
      Array.from(
        { length: depth },
        (_, at) =>
          objectRow(`${letter}${at}`, { next: at + 1 < depth ? `${letter}${at + 1}` : "last" }),
      );
    const text = declared(
      enumRow("e", ...words),
      objectRow("last", { "a-first-long-name": "str", "a-second-long-name": "str", e: "e" }),
      ...chain("a"),
      ...chain("b"),
      commandRow("x", "a0"),
      commandRow("y", "b0"),
    );
    return text.match(/^export interface Y/gm)?.length ?? 0;
  };
  assertEquals(names(5), 0);
  assertEquals(names(50), 50);
});

Deno.test("declarationsOf() writes what parseExact() returns for a number", async () => {
  const text = declarationsOf([
    ...BASICS,
    objectRow("o", { rate: "number" }),
    commandRow("x", "o", "o"),
  ]);
  // QEMU prints the double 1e16 without an exponent.
  assertEquals(parseExact('{"rate": 10000000000000000}'), { rate: 10n ** 16n });
  const use = `import type { Qmp } from "./qmp.ts";
export const value: Qmp["commands"]["x"]["return"] = { rate: 10000000000000000n };
export const other: Qmp["commands"]["x"]["return"] = { rate: 0.5 };
export const given: Qmp["commands"]["x"]["arguments"] = { rate: 0.5 };
`;
  await checkTypes({ "qmp.ts": text, "use.ts": use });
});

Deno.test("declarationsOf() marks what is deprecated, unstable or out of band", () => {
  const mark = (...features: string[]): Row => ({ features });
  const text = declared(
    {
      ...enumRow("e"),
      members: [{ name: "a" }, { name: "b", ...mark("deprecated") }, {
        name: "c",
        ...mark("unstable"),
      }],
    },
    {
      name: "o",
      "meta-type": "object",
      members: [{ name: "m", type: "e", ...mark("deprecated", "unstable") }],
      ...mark("deprecated"),
    },
    commandRow("x", "o", "0", { "allow-oob": true, ...mark("deprecated", "fdset") }),
    { name: "E", "meta-type": "event", "arg-type": "0", ...mark("unstable") },
  );
  assertEquals(
    text,
    `export interface Commands {
  /**
   * It can run out of band.
   * @deprecated QEMU will remove it.
   */
  "x": {
    arguments: XArguments;
    return: Record<string, never>;
    oob: true;
  };
}

/** The data of the events. */
export interface Events {
  /** @experimental QEMU may change or remove it. */
  "E": Record<string, never>;
}

/** @deprecated QEMU will remove it. */
export interface XArguments {
  /**
   * @deprecated QEMU will remove it.
   * @experimental QEMU may change or remove it.
   */
  "m": XM;
}

/** Deprecated: "b". Unstable: "c". */
export type XM =
  | "a"
  | "b"
  | "c";
`,
  );
});

Deno.test("declarationsOf() lets device_add have members that the schema does not name", () => {
  const text = declared(objectRow("o", { driver: "str" }), commandRow("device_add", "o"));
  assertStringIncludes(text, '  "driver": string;\n  [property: string]: unknown;\n}');
});

Deno.test("declarationsOf() writes unknown for a type of a kind that it does not know", () => {
  const text = declared(
    { name: "new", "meta-type": "hologram", depth: 3 },
    { name: "tensor", "meta-type": "builtin", "json-type": "tensor" },
    arrayRow("new"),
    objectRow("o", { "a?": "new", b: "[new]", c: "tensor" }),
    commandRow("x", "new", "o"),
  );
  assertStringIncludes(
    text,
    '    arguments: unknown;\n    return: { "a"?: unknown; "b": unknown[]; "c": unknown };',
  );
});

/** Names that would end a text, a comment or a line, or that objects have already. */
const HOSTILE = [
  '"; export const injected: string = 1; "',
  "*/ export const injected: string = 1; /*",
  "`${1}`",
  "a\nb\r\u2028\u2029",
  "\\",
  "\u202e\ud800",
  "__proto__",
  "constructor",
  "record",
  "",
  "日本",
  "8",
  "x".repeat(300),
];

Deno.test("declarationsOf() escapes names, whatever is in them", async () => {
  const marked = HOSTILE.map((name) => ({ name, features: ["deprecated"] }));
  const rows = [
    { ...enumRow("e"), members: marked },
    objectRow("o", {}, {
      members: HOSTILE.map((name) => ({ name, type: "e" })),
      tag: HOSTILE[0],
      variants: HOSTILE.map((name, index) => ({ case: name, type: index % 2 === 0 ? "0" : "p" })),
    }),
    objectRow("p", Object.fromEntries(HOSTILE.map((name) => [`p${name}?`, "e"]))),
    ...HOSTILE.map((name) => commandRow(name, "o", "p")),
    ...HOSTILE.map((name) => ({ name, "meta-type": "event", "arg-type": "o" })),
  ];
  const version = '1\n*/ export const injected: string = 1; "';
  const text = declarationsOf([...BASICS, ...rows], version);
  assertEquals(text.match(/[^\x20-\x7e\n]/), null);
  const lines = text.split("\n");
  assertEquals(lines.filter((line) => /^export (?!interface \w+|type \w+)/.test(line)), []);
  await checkTypes({ "qmp.ts": text });
});

/** Schemas that are refused, each with the error. */
const REFUSED: readonly (readonly [rows: unknown, message: string])[] = [
  [null, "expected the list that query-qmp-schema returns"],
  [{}, "expected the list that query-qmp-schema returns"],
  [[], "it has no commands"],
  [[{ name: "x", "meta-type": "y\n" }, { name: "x", "meta-type": "z" }], 'type "x" is there twice'],
  [[1], "entry 0 is not an object"],
  [[{}], 'entry 0 has no text as "name"'],
  [[{ name: "x" }], 'entry 0 has no text as "meta-type"'],
  [[...BASICS, ...BASICS], 'builtin "str" is there twice'],
  [[commandRow("x", "1")], 'command "x" refers to the type "1", which is not there'],
  [
    [...BASICS, commandRow("x", "str")],
    'command "x" refers to the type "str", which is not an object',
  ],
  [
    [...BASICS, { name: "E", "meta-type": "event", "arg-type": "7" }],
    'event "E" refers to the type "7", which is not there',
  ],
  [
    [...BASICS, objectRow("o", { m: "9" })],
    'object "o" refers to the type "9", which is not there',
  ],
  [[arrayRow("9")], 'array "[9]" refers to the type "9", which is not there'],
  [[alternateRow("a", "9")], 'alternate "a" refers to the type "9", which is not there'],
  [[{ name: "e", "meta-type": "enum" }], 'enum "e" has no list as "values"'],
  [[{ name: "e", "meta-type": "enum", values: [1] }], 'enum "e" has no list of texts as "values"'],
  [[enumRow("e", "a", "a")], 'enum "e" has "a" twice'],
  [
    [...BASICS, objectRow("o", {}, { members: [{ name: "m", type: "str" }, 2] })],
    'object "o": members 1 is not an object',
  ],
  [
    [...BASICS, objectRow("o", { m: "str" }, { variants: [{ case: "a", type: "0" }], tag: "t" })],
    'object "o" has variants, and no member that selects one',
  ],
  [
    [...BASICS, alternateRow("a", "b"), alternateRow("b", "a"), commandRow("x", "0", "a")],
    "an alternate or a union contains itself",
  ],
  [
    [
      ...BASICS,
      enumRow("e", "a"),
      objectRow("u", { t: "e" }, { tag: "t", variants: [{ case: "a", type: "u" }] }),
      commandRow("x", "u"),
    ],
    'object "u" is a variant of itself',
  ],
  // Each of these unions has all other words of the enum as a variant.
  [
    [
      ...BASICS,
      enumRow("e", ...Array.from({ length: 1000 }, (_, index) => `word-${index}`)),
      ...Array.from(
        { length: 1000 },
        (_, index) =>
          objectRow(`u${index}`, { t: "e", [`m${index}`]: "str" }, {
            tag: "t",
            variants: [{ case: "word-1", type: "0" }],
          }),
      ),
      ...Array.from({ length: 1000 }, (_, index) => commandRow(`x${index}`, `u${index}`)),
    ],
    "its types have more than 2000000 characters; QEMU's have a tenth of that",
  ],
];

for (const [rows, message] of REFUSED) {
  Deno.test(`declarationsOf() refuses a schema: ${message}`, () => {
    assertEquals(assertThrows(() => declarationsOf(rows), SchemaError).message, message);
  });
}

Deno.test("declarationsOf() writes types that are nested deep", () => {
  const deep = 5000;
  const makers: readonly ((name: string, inner: string) => Row)[] = [
    (name, element) => ({ name, "meta-type": "array", "element-type": element }),
    (name, inner) => objectRow(name, { m: inner }),
    (name, inner) => alternateRow(name, inner, "str"),
    (name, inner) => alternateRow(name, inner),
    (name, inner) =>
      objectRow(name, { kind: "e" }, { tag: "kind", variants: [{ case: "a", type: inner }] }),
  ];
  for (const row of makers) {
    const chain = Array.from({ length: deep }, (_, at) => row(`c${at}`, `c${at + 1}`));
    const text = declared(
      ...[enumRow("e", "a"), ...chain, objectRow(`c${deep}`, { m: "str" })],
      commandRow("x", "0", "c0"),
    );
    assertStringIncludes(text, "return: XReturn;");
  }
});

Deno.test("declarationsOf() writes lists of lists and of themselves", async () => {
  const text = declarationsOf([
    ...BASICS,
    { name: "self", "meta-type": "array", "element-type": "self" },
    arrayRow("str"),
    { name: "two", "meta-type": "array", "element-type": "[str]" },
    objectRow("o", { two: "two" }),
    commandRow("x", "o", "self"),
  ]);
  assertStringIncludes(text, "export type XReturn = XReturn[];");
  assertStringIncludes(text, "readonly (readonly string[])[]");
  await checkTypes({ "qmp.ts": text });
});

/** Returns a schema of random types that refer to one another. */
function randomSchema(random: Random): readonly Row[] {
  const count = 5 + random.below(40);
  const objects = Array.from({ length: count }, (_, index) => `o${index}`);
  const word = (): string =>
    Array.from({ length: 1 + random.below(4) }, () => random.pick(["io", "Qcow2", "block", "x_y"]))
      .join(random.pick(["-", "_", ""]));
  const words = (): string[] => [
    ...new Set(Array.from({ length: 1 + random.below(12) }, () => word())),
  ];
  const enums = objects.map((_, index) => enumRow(`e${index}`, ...words()));
  const alternates = objects.map((name, index) =>
    alternateRow(`a${index}`, name, ...random.pick([["str"], ["null"], [`e${index}`], ["[int]"]]))
  );
  const any = (): string => {
    const index = random.below(count);
    return random.pick([
      "str",
      "int",
      "bool",
      `o${index}`,
      `[o${index}]`,
      `e${index}`,
      `a${index}`,
    ]);
  };
  const rows = objects.map((name, index): Row => {
    const members = Object.fromEntries(
      words().map((key) => [`${key}${random.pick(["", "?"])}`, any()]),
    );
    if (!random.oneIn(4)) return objectRow(name, members);
    const { values } = enums[index] as { values: string[] };
    // Variants refer to later objects, because a union does not contain itself.
    const variants = values.map((word) => ({
      case: word,
      type: index + 1 < count ? `o${index + 1 + random.below(count - index - 1)}` : "0",
    }));
    return objectRow(name, { ...members, tag: `e${index}` }, { tag: "tag", variants });
  });
  const unique = rows.map((row) => {
    const members = row["members"] as { name: string }[];
    return { ...row, members: [...new Map(members.map((each) => [each.name, each])).values()] };
  });
  const commands = objects.slice(0, 10).map((name, index) =>
    commandRow(`${word()}-${index}`, name, any())
  );
  const arrays = ["int", ...objects].map(arrayRow);
  return [...BASICS, ...enums, ...alternates, ...unique, ...arrays, ...commands];
}

Deno.test("declarationsOf() writes random schemas as strict types, in the form of deno fmt", async () => {
  const files = Array.from({ length: 40 }, (_, seed): [string, string] => {
    const random = new Random(seed);
    const schema = randomSchema(random);
    const text = declarationsOf(schema);
    assertEquals(declarationsOf(masked(schema, random)), text, `seed ${seed}`);
    return [`seed${seed}.ts`, text];
  });
  await checkForm(Object.fromEntries(files));
  await checkTypes(Object.fromEntries(files));
});

Deno.test("declarationsOf() refuses damaged schemas with one line, or writes their types", async () => {
  const schema = await recordedSchema("7.2");
  const junk: readonly unknown[] = [null, 1, "x", [], {}, true, "str", ["deprecated"], [{}]];
  let refused = 0;
  for (let seed = 0; seed < 60; seed++) {
    const random = new Random(seed);
    const damaged = structuredClone(schema);
    for (let count = 0; count < 1 + random.below(5); count++) {
      const row = random.pick(damaged);
      row[random.pick(Object.keys(row))] = random.pick(junk);
    }
    try {
      assert(declarationsOf(damaged).includes("export interface Commands"));
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error;
      assert(!error.message.includes("\n"), error.message);
      refused++;
    }
  }
  assert(refused > 20, `${refused}`);
});
