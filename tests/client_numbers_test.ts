/**
 * Numbers that QEMU prints and JSON does not have.
 *
 * @module
 */

import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { connect, parseExact, ProtocolError } from "../lib/client/mod.ts";
import { parseMessage } from "../lib/client/odd_numbers.ts";
import { Fake } from "./support/fake.ts";

/** Texts, and what they are read as. */
const READ: readonly (readonly [string, unknown])[] = [
  ["inf", Infinity],
  ["-inf", -Infinity],
  ["nan", NaN],
  ["-nan", NaN],
  ["[inf,-inf, nan ,\n-nan]", [Infinity, -Infinity, NaN, NaN]],
  ['{"nan": inf, "inf": "nan", "a\\"nan": "\\\\", "b": nan}', {
    nan: Infinity,
    inf: "nan",
    'a"nan': "\\",
    b: NaN,
  }],
  ['["\\\\\\"nan", nan, "inf,"]', ['\\"nan', NaN, "inf,"]],
  ["[inf, 18446744073709551615, 1e5, -0]", [Infinity, 18446744073709551615n, 1e5, -0]],
  ['["nan"]', ["nan"]],
  ["[-0e-307307]", [-0]],
];

for (const [text, value] of READ) {
  Deno.test(`parseMessage() reads ${JSON.stringify(text)}`, () => {
    assertEquals(parseMessage(text), value);
  });
}

for (
  const text of [
    ...["nand", "5inf", "inf5", "-", "--inf", "+inf", "inf.5", "1.inf", "einf", "infinity", "NaN"],
    ...["nan nan", "[nan", '"nan', "[nan, -0e-307307]", "inf-1", "nan.", "[a, inf]"],
  ]
) {
  Deno.test(`parseMessage() refuses ${text}`, () => {
    assertThrows(() => parseMessage(text), SyntaxError);
  });
}

Deno.test("parseMessage() reads many odd numbers and quotation marks in the time of their length", () => {
  const count = 200_000;
  const numbers = parseMessage(`[${"nan,".repeat(count)}"\\\\\\""]`) as unknown[];
  assertEquals([numbers.length, numbers.at(-1)], [count + 1, '\\"']);
  const texts = parseMessage(`[${'"\\"",'.repeat(count)}inf]`) as unknown[];
  assertEquals([texts.length, texts.at(-1)], [count + 1, Infinity]);
  assertThrows(() => parseMessage(`[nan,"${"\\".repeat(count)}`), SyntaxError);
});

Deno.test("a reply and an event with odd numbers are read, and the connection goes on", async () => {
  const event =
    '{"event": "RATE", "data": {"mbps": -nan}, "timestamp": {"seconds": 1, "microseconds": 2}}';
  const reply = '{"return": {"mbps": inf}}';
  await using fake = new Fake({
    answer: ({ name }) => name === "query-migrate" ? `${event}\r\n${reply}\r\n` : undefined,
  });
  await using qmp = await connect(fake.path);
  const rate = qmp.waitFor("RATE");
  assertEquals(await qmp.execute("query-migrate"), { mbps: Infinity });
  assertEquals(await rate, {
    name: "RATE",
    data: { mbps: NaN },
    timestamp: { seconds: 1, microseconds: 2 },
    text: event,
  });
  assertEquals(await qmp.executeText("query-migrate"), reply);
  assertEquals((await qmp.execute("query-status")).status, "paused");
});

Deno.test("an integer of up to 1000 digits is exact; a longer one is a number", () => {
  const digits = "9".repeat(1000);
  assertEquals(parseExact(`[${digits}, -${digits}]`), [BigInt(digits), -BigInt(digits)]);
  assertEquals(parseExact(`[${digits}9, -${digits}9]`), [Infinity, -Infinity]);
});

for (const reply of ['{"return": 1, "id": nan}', '{"return": 1, "id": -inf}', "{nan: 1}"]) {
  Deno.test(`${reply} ends the connection`, async () => {
    await using fake = new Fake({
      answer: ({ name }) => name === "query-status" ? `${reply}\r\n` : undefined,
    });
    await using qmp = await connect(fake.path);
    await assertRejects(() => qmp.execute("query-status"), ProtocolError);
    assertInstanceOf(await qmp.closed, ProtocolError);
  });
}
