/**
 * Files of replies in the form of libvirt's tests, and schemas alone, as plays.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { PlayError } from "../lib/testing/play.ts";
import { readPlay } from "../lib/testing/play_file.ts";
import { Replay } from "../lib/testing/replay.ts";

const CHOICE = { as: "clients", vm: undefined } as const;

/** Returns objects as a file of replies. */
function fileOf(...values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value, null, 2)}\n`).join("\n");
}

const HELLO = [
  { execute: "qmp_capabilities", id: "libvirt-1" },
  { return: {}, id: "libvirt-1" },
];

const VERSION = [
  { execute: "query-version", id: "libvirt-2" },
  {
    return: { qemu: { micro: 50, minor: 0, major: 9 }, package: "v9.0.0-1" },
    id: "libvirt-2",
  },
];

/** Returns the error for a file. */
async function problem(text: string): Promise<string> {
  const load = async () =>
    await Replay.of(await readPlay(text, CHOICE), {
      isLenient: false,
      speed: 0,
      faults: [],
      clock: { now: () => 0, timeOfDay: () => 0, after: () => () => {} },
      say: () => {},
    });
  return (await assertRejects(load, PlayError)).message;
}

const REMEDY = "take a file of QEMU 4.2 or newer, or record again";

Deno.test("a file of replies is split into sessions, each with the greeting of its version", async () => {
  const text = fileOf(
    ...HELLO,
    ...VERSION,
    ...HELLO,
    { execute: "query-kvm", id: "libvirt-2" },
    { return: { enabled: true }, id: "libvirt-2" },
  );
  const { sessions, schema } = await readPlay(text, CHOICE);
  assertEquals(schema, undefined);
  const names = sessions.map(({ steps }) =>
    steps.flatMap((step) => step.kind === "command" ? step.of.command.name : [])
  );
  assertEquals(names, [["query-version"], ["query-kvm"]]);
  for (const { greeting } of sessions) {
    assertEquals(
      new TextDecoder().decode(greeting.bytes),
      '{"QMP": {"version": {"qemu": {"micro": 50, "minor": 0, "major": 9}, ' +
        '"package": "v9.0.0-1"}, "capabilities": ["oob"]}}\r\n',
    );
  }
});

Deno.test("replies keep their order of members, and get QEMU's spelling", async () => {
  const value = '{\n  "b": 18446744073709551615,\n  "a": [1.5, -0, {}, [],\n true, null],\n ' +
    '"é\\/": "x: {\\"y\\", \\u00e9}"\n  }';
  const reply = `{\n  "id": "libvirt-3",\n  "return": ${value}\n}\n`;
  const text = `${fileOf(...HELLO, ...VERSION, { execute: "query-x", id: "libvirt-3" })}\n${reply}`;
  const { sessions } = await readPlay(text, CHOICE);
  const last = sessions[0]!.steps.at(-1)!;
  assertEquals(last.kind, "reply");
  const { bytes } = "of" in last ? last.of.reply!() : { bytes: new Uint8Array() };
  assertEquals(
    new TextDecoder().decode(bytes),
    '{"return": {"b": 18446744073709551615, "a": [1.5, 0, {}, [], true, null], ' +
      '"\\u00E9/": "x: {\\"y\\", \\u00E9}"}}\r\n',
  );
});

Deno.test("a damaged file of replies is refused with the line, and what to do", async () => {
  const cases: readonly (readonly [string, string])[] = [
    [fileOf(...HELLO), `it has no query-version, so that its QEMU is unknown; ${REMEDY}`],
    [
      fileOf(...HELLO, VERSION[0], { return: [], id: "libvirt-2" }),
      `line 16: this is not the reply to query-version; ${REMEDY}`,
    ],
    [fileOf(...HELLO, VERSION[0]), `line 11: the reply to this command is missing; ${REMEDY}`],
    [
      fileOf(...HELLO, ...VERSION, { return: 1 }),
      `line 28: a command is missing before this object; ${REMEDY}`,
    ],
    [
      fileOf({ return: {} }, { return: [] }),
      `line 1: a command is missing before this object; ${REMEDY}`,
    ],
    [
      fileOf(...HELLO, VERSION[0], VERSION[0]),
      `line 16: this object is not a reply; ${REMEDY}`,
    ],
    [
      `${fileOf(...HELLO)}\n{\n  "execute": `,
      `line 11: this object has no end, a line that is only }; ${REMEDY}`,
    ],
    [
      `${fileOf(...HELLO)}\n{\n  "execute": 'x'\n}\n`,
      `line 11: the object that begins here is not JSON; ${REMEDY}`,
    ],
    [
      fileOf({ execute: "x", arguments: 1 }, { return: 1 }, ...VERSION),
      `line 1: the object that begins here is not a command; ${REMEDY}`,
    ],
  ];
  for (const [text, expected] of cases) assertEquals(await problem(text), expected);
});

const SCHEMA = [
  { name: "query-x", "meta-type": "command", "arg-type": "0", "ret-type": "1" },
  { name: "0", "meta-type": "object", members: [] },
  { name: "1", "meta-type": "object", members: [{ name: "n", type: "int" }] },
  { name: "int", "meta-type": "builtin", "json-type": "int" },
];

Deno.test("a schema is a play, alone or as a reply", async () => {
  for (const value of [SCHEMA, { return: SCHEMA }, { return: SCHEMA, id: 1 }]) {
    const { sessions, schema } = await readPlay(JSON.stringify(value, null, 1), CHOICE);
    assertEquals(sessions[0]!.steps, []);
    assertEquals(schema?.value, SCHEMA);
  }
});

Deno.test("a schema that refers to nothing is refused with the line", async () => {
  const broken = [{ ...SCHEMA[0], "ret-type": "7" }, ...SCHEMA.slice(1)];
  const wrong = 'the schema is not whole: command "query-x" refers to the type "7", ' +
    "which is not there; save the reply of query-qmp-schema again";
  assertEquals(await problem(JSON.stringify(broken, null, 2)), `line 3: ${wrong}`);
  const query = { execute: "query-qmp-schema", id: "libvirt-3" };
  const text = fileOf(...HELLO, ...VERSION, query, { return: broken, id: "libvirt-3" });
  assertEquals(await problem(text), `line 33: ${wrong}`);
});

Deno.test("a file that is nothing of all that is refused", async () => {
  const expected =
    "it is not a recording of qmpmux, a file of replies, or the reply of query-qmp-schema; name one of these";
  for (const text of ["x", "7", '{"return": {}}', '{"QMP": {}}']) {
    assertEquals(await problem(text), `line 1: ${expected}`, text);
  }
  for (const text of ["", "\n"]) {
    assertEquals(
      await problem(text),
      "it is empty; name a recording of qmpmux, a file of replies, or the reply of query-qmp-schema",
    );
  }
  // An incomplete schema is not a file of replies.
  assertEquals(
    await problem('{"return": [{"name": "a"},\n'),
    `line 2: it is not JSON; ${expected}`,
  );
  assertEquals(await problem('[\n\n{"name":\n'), `line 4: it is not JSON; ${expected}`);
});
