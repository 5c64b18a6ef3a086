/**
 * Values printed in steps, plain and pretty, and within a limit.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { canonical, prettied } from "../lib/wire/qemu_json.ts";
import { FrameSplitter } from "../lib/wire/frame.ts";
import { Printer, type PrintStyle } from "../lib/wire/printer.ts";
import { bytesOf, fed } from "./support/cuts.ts";
import { MadeValues } from "./support/made_values.ts";
import { Random } from "./support/random.ts";

/** Returns the bytes of a value as a frame has them. */
function framed(text: string): Uint8Array {
  const [frame] = fed(new FrameSplitter(), [bytesOf(`[${text}]`)]);
  assert(frame !== undefined && "bytes" in frame, text);
  return frame.bytes;
}

/** Returns the output of a printer in steps, and their number. */
function printed(
  text: string,
  step: number,
  style?: PrintStyle,
): { text: string | undefined; steps: number } {
  const bytes = framed(text);
  const printer = new Printer(bytes, 1, bytes.length - 1, style);
  let steps = 1;
  while (!printer.step(step)) steps++;
  return { text: printer.text, steps };
}

function spelled(text: string): string {
  const bytes = framed(text);
  return canonical(bytes, 1, bytes.length - 1);
}

Deno.test("Printer prints the same in steps of any length", () => {
  const random = new Random(6);
  const made = new MadeValues(random);
  for (let i = 0; i < 2000; i++) {
    const text = made.value();
    const step = 1 + random.below(random.pick([3, 40, 4000]));
    const whole = spelled(text);
    assertEquals(printed(text, step).text, whole, text);
    assertEquals(printed(text, step, { depth: 1 }).text, prettied(whole, 1), text);
  }
});

Deno.test("Printer takes no more steps than a value has bytes, whatever its depth and order", () => {
  for (
    const [open, close] of [["[", "]"], ['{"b":1,"a":', "}"], ['{"a":', ',"b":1}']] as const
  ) {
    const text = `${open.repeat(500)}[${"1,".repeat(20_000)}1]${close.repeat(500)}`;
    const { steps, text: whole } = printed(text, 1);
    assertEquals(whole?.length, spelled(text).length);
    // One step to read each byte, and one to print each part.
    assert(steps < 2 * text.length + 10, `${steps} steps for ${text.length} bytes`);
  }
});

Deno.test("Printer does no more than a step allows, except inside a string", () => {
  const text = `[${"1,".repeat(1000)}1]`;
  assert(printed(text, 100).steps > text.length / 100);
  const string = `"${"x".repeat(1000)}"`;
  assert(printed(string, 100).steps < 5);
});

Deno.test("Printer stops past its limit, and prints what just fits", () => {
  const text = '{"a":[1,{"b":"x"}],"c":0.5}';
  for (const depth of [-1, 1]) {
    const { text: whole } = printed(text, 5, { depth });
    assert(whole !== undefined);
    assertEquals(printed(text, 5, { depth, limit: whole.length }).text, whole);
    assertEquals(printed(text, 5, { depth, limit: whole.length - 1 }).text, undefined);
  }
});

Deno.test("Printer stops soon after its limit, if pretty text would be a thousand times as long", () => {
  const text = `${"[".repeat(1000)}[${"1,".repeat(30_000)}1]${"]".repeat(1000)}`;
  const { steps, text: whole } = printed(text, 1, { depth: 1, limit: 65_536 });
  assertEquals(whole, undefined);
  assert(steps < 5000, `${steps} steps`);
});
