/**
 * Feeds splitters input at their limits on tokens and bytes; prints the results.
 *
 * Run as `limits.ts frames` or `limits.ts messages`. It is a separate program because measuring
 * coverage would make it far slower.
 *
 * @module
 */

import { MESSAGE_BYTES_LIMIT, MessageSplitter } from "../../lib/wire/message_splitter.ts";
import { FrameSplitter, TOKEN_COUNT_LIMIT } from "../../lib/wire/frame.ts";
import { CLASSIC, type Grammar, POSITIONED } from "../../lib/wire/grammar.ts";
import { TOKEN_BYTES_LIMIT } from "../../lib/wire/lexer.ts";

const AFTER = '{"execute":"query-name","id":"after"}';
const MEBIBYTE = new Uint8Array(1 << 20).fill(0x61);

type Chunks = Generator<Uint8Array>;

function* text(text: string): Chunks {
  yield new TextEncoder().encode(text);
}

/** Yields an array of that many tokens, an even number; `last` is an item of two. */
function* array(tokens: number, last: string): Chunks {
  yield* text(`[${"0,".repeat((tokens - 4) / 2)}${last}]`);
}

/** Yields that many `a` between two texts. */
function* filled(before: string, length: number, after: string): Chunks {
  yield* text(before);
  for (let left = length; left > 0; left -= MEBIBYTE.length) yield MEBIBYTE.subarray(0, left);
  yield* text(after);
}

function* heavy(): Chunks {
  yield* text("[");
  for (let i = 0; i < 65; i++) yield* filled('"', MEBIBYTE.length, i < 64 ? '",' : '"]');
}

const INPUTS: Record<string, () => Chunks> = {
  "2 Mi tokens": () => array(TOKEN_COUNT_LIMIT, "[]"),
  "2 Mi tokens and the last": () => array(TOKEN_COUNT_LIMIT, "[0]"),
  "2 Mi tokens and more": () => array(TOKEN_COUNT_LIMIT, "0,[]"),
  "a string of 64 MiB less a byte": () => filled('"', TOKEN_BYTES_LIMIT - 3, '"'),
  "a string of 64 MiB": () => filled('"', TOKEN_BYTES_LIMIT - 2, '"'),
  "a longer string in an array": () => filled('["', TOKEN_BYTES_LIMIT + 5, '"]\n'),
  "a longer string": () => filled('\n "', TOKEN_BYTES_LIMIT + 5, '"\n'),
  "a longer string and a space": () => filled('"', TOKEN_BYTES_LIMIT, " }\n"),
  "65 strings of a mebibyte": heavy,
};

/** Returns the results of the splitter, long frames by their length; a command follows the input. */
function fed(grammar: Grammar, input: Chunks): string[] {
  const splitter = new FrameSplitter(grammar);
  const found: string[] = [];
  const feed = (chunk: Uint8Array): void => {
    splitter.load(chunk);
    for (let thing = splitter.next(); thing !== undefined; thing = splitter.next()) {
      if ("damage" in thing) found.push(`!${thing.damage}`);
      else if (thing.bytes.length > 1000) found.push(`${thing.bytes.length} bytes`);
      else found.push(new TextDecoder().decode(thing.bytes));
    }
  };
  for (const chunk of input) feed(chunk);
  for (const chunk of text(AFTER)) feed(chunk);
  return found;
}

/**
 * Returns the results for an endless message from QEMU, at the last chunk within the limit and at
 * the next.
 */
function endless(): unknown[] {
  const splitter = new MessageSplitter();
  const given: unknown[] = [];
  for (const chunk of filled('{"', MESSAGE_BYTES_LIMIT, "")) {
    splitter.load(chunk);
    given.push(splitter.next() ?? "nothing yet");
  }
  return given.slice(-3, -1);
}

const found = Deno.args[0] === "messages" ? endless() : Object.fromEntries(
  Object.entries(INPUTS).map(([name, input]) => [
    name,
    { classic: fed(CLASSIC, input()), positioned: fed(POSITIONED, input()) },
  ]),
);
console.log(JSON.stringify(found));
