/**
 * Properties that hold for every input.
 *
 *  1. The same bytes give the same frames and damages wherever they are cut.
 *  2. A frame is one JSON value to `JSON.parse`, without white space outside
 *     strings and without a key twice.
 *  3. A frame fed to a fresh splitter, under either grammar, is the same single
 *     frame: a text for QEMU is one value to every parser.
 *  4. Members' spans hold their keys and values, and all of them.
 *  5. `canonical()` keeps a frame's value. Applied again and again it reaches a fixed point, as
 *     QEMU does: `-0.0` is `-0` and then `0`, members of one bucket swap places each time.
 *  6. After any input, 0xFF and a line end make the next command work.
 *  7. `MessageSplitter` returns the messages of any stream QEMU might write,
 *     wherever it is cut.
 *  8. A client of qmpmux gets the same bytes as a client of QEMU (needs a QEMU).
 *
 * `QMPMUX_FUZZ_SEED` repeats a run, `QMPMUX_FUZZ_COUNT` bounds it; `deno task fuzz`
 * tries millions. Inputs that differed once are kept in `tests/corpus/found.jsonl`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { MessageSplitter } from "../lib/wire/message_splitter.ts";
import { canonical, quoted } from "../lib/wire/qemu_json.ts";
import { type Damage, type Frame, FrameSplitter } from "../lib/wire/frame.ts";
import { CLASSIC, POSITIONED } from "../lib/wire/grammar.ts";
import { Exchange, type Phase, RESYNC } from "./support/corpus.ts";
import { fed, latin, membersOf, pairsOf, randomCut } from "./support/cuts.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { QmpInput } from "./support/qmp_input.ts";
import { Random } from "./support/random.ts";

const LONG = Deno.args.includes("--long");
const SEED = Number(Deno.env.get("QMPMUX_FUZZ_SEED") ?? Math.floor(Math.random() * 2 ** 32));
const COUNT = Number(Deno.env.get("QMPMUX_FUZZ_COUNT") ?? (LONG ? 2_000_000 : 20_000));
/** A conversation costs QEMU a few system calls per byte. */
const CONVERSED = Math.ceil(COUNT / (LONG ? 50 : 8));

const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LATIN = new TextDecoder("latin1");
const GRAMMARS = [CLASSIC, POSITIONED] as const;
const COMMAND = '{"execute":"query-name","id":"next"}';

Deno.test(`FrameSplitter keeps its promises for ${COUNT} inputs of seed ${SEED}`, () => {
  const random = new Random(SEED);
  const inputs = new QmpInput(random);
  for (let count = 0; count < COUNT; count++) {
    if (count > 0 && count % 100_000 === 0) console.log(`${count} inputs`);
    const bytes = inputs.bytes();
    try {
      splits(bytes, random);
    } catch (error) {
      throw new Error(`Input ${count} of seed ${SEED}: ${hexOf(bytes)}`, { cause: error });
    }
  }
});

Deno.test(`MessageSplitter returns what was written, with seed ${SEED}`, () => {
  const random = new Random(SEED);
  const inputs = new QmpInput(random);
  for (let round = 0; round < COUNT / 20; round++) {
    const written = fed(new FrameSplitter(), [inputs.bytes(), inputs.bytes()])
      .filter((thing): thing is Frame => !("damage" in thing) && thing.isObject)
      .map(({ bytes }) => `${canonical(bytes, 0, bytes.length)}\r\n`);
    const stream = latin(written.join(random.pick(["", "\r\n", " "])));
    for (const chunks of [[stream], randomCut(stream, random)]) {
      const read = fed(new MessageSplitter(), chunks).map((message) => {
        assert(!("damage" in message));
        return LATIN.decode(message);
      });
      assertEquals(read, written);
    }
  }
});

function splits(bytes: Uint8Array, random: Random): void {
  const grammar = random.pick(GRAMMARS);
  const splitter = new FrameSplitter(grammar);
  const things = fed(splitter, [bytes]);
  const wanted = told(things);
  const cuts = bytes.length < 400 && random.oneIn(100)
    ? pairsOf(bytes)
    : [randomCut(bytes, random)];
  for (const chunks of cuts) {
    const cut = told(fed(new FrameSplitter(grammar), chunks));
    if (cut !== wanted) assertEquals(cut, wanted, `in ${chunks.length} chunks`);
  }
  for (const thing of things) {
    if ("damage" in thing) assert(JSON.parse(quoted(thing.damage)) === thing.damage);
    else isSound(thing);
  }
  const after = fed(splitter, [RESYNC, latin(COMMAND)]).at(-1);
  assert(after !== undefined && "bytes" in after, "no command after the resync");
  assert(LATIN.decode(after.bytes) === COMMAND);
}

function told(things: readonly (Frame | Damage)[]): string {
  return things.map((thing) =>
    "damage" in thing
      ? `damage ${thing.damage}`
      : `${LATIN.decode(thing.bytes)} ${thing.isObject} ${thing.offsets.join()}`
  ).join("\n");
}

function isSound(frame: Frame): void {
  const { bytes, isObject } = frame;
  const members = membersOf(frame);
  const text = TEXT.decode(bytes);
  const value = JSON.parse(text);
  assert(!/[\s']/.test(text.replace(STRINGS, "")), "white space or a single quote");
  assert(!hasKeyTwice(text), "a key twice");
  for (const grammar of GRAMMARS) {
    // A top-level number or word ends only when something follows.
    const again = fed(new FrameSplitter(grammar), isObject ? [bytes] : [bytes, latin(" ")]);
    assert(told(again) === told([frame]), "another frame when fed again");
  }
  assert(isObject === (text[0] === "{"));
  assert(members.length === (isObject ? Object.keys(value).length : 0));
  for (const { key, keyStart, start, end } of members) {
    assert(JSON.parse(TEXT.decode(bytes.subarray(keyStart, start - 1))) === key);
    assert(bytes[start - 1] === 0x3a);
    assert(same(JSON.parse(TEXT.decode(bytes.subarray(start, end))), value[key]), key);
  }
  const spelled = canonical(bytes, 0, bytes.length);
  // QEMU prints numbers that are too large for a double in this form, which is not JSON.
  if (/-?inf/.test(spelled.replace(STRINGS, ""))) return;
  assert(same(JSON.parse(spelled), value), "canonical() changes the value");
  const second = respelled(spelled);
  assert(respelled(respelled(second)) === second, "canonical() does not reach a fixed point");
}

/** Returns the canonical text of a value's canonical text. */
function respelled(text: string): string {
  const [again, ...more] = fed(new FrameSplitter(), [latin(`${text} `)]);
  assert(again !== undefined && "bytes" in again && more.length === 0);
  return canonical(again.bytes, 0, again.bytes.length);
}

const STRINGS = /"(?:[^"\\]|\\.)*"/g;

/** Returns whether an object repeats a key. It reads the text alone, without our lexer. */
function hasKeyTwice(text: string): boolean {
  const open: Set<string>[] = [];
  for (const [token, key] of text.matchAll(/("(?:[^"\\]|\\.)*"):|"(?:[^"\\]|\\.)*"|[{}]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "}") open.pop();
    else if (key !== undefined) {
      const name = JSON.parse(key);
      if (open.at(-1)!.has(name)) return true;
      open.at(-1)!.add(name);
    }
  }
  return false;
}

/** Returns whether two JSON values are the same; the order of members does not matter. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) =>
    Object.hasOwn(b, key) &&
    same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])
  );
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const INPUTS_A_SESSION = 10;
const PHASES: readonly Phase[] = ["negotiation", "operational", "operational-oob"];

Deno.test({
  name: `qmpmux gives QEMU's replies to ${CONVERSED} inputs of seed ${SEED}`,
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    const direct = `${place.path}/direct`;
    const behind = `${place.path}/behind`;
    const shared = `${place.path}/shared`;
    await using _alone = await startQemu(direct);
    await using _served = await startQemu(behind);
    await using _mux = await startQmpmux(["--qemu", behind, "--listen", shared]);
    const random = new Random(SEED);
    const inputs = new QmpInput(random);
    const differing: object[] = [];
    for (let count = 0; count < CONVERSED && differing.length < 20; count += INPUTS_A_SESSION) {
      if (count > 0 && count % 10_000 === 0) console.log(`${count} inputs`);
      const phase = random.pick(PHASES);
      const session: Uint8Array[] = [];
      while (session.length < INPUTS_A_SESSION) {
        const bytes = inputs.bytes();
        if (phase === "operational" || isBearable(bytes)) session.push(bytes);
      }
      const cuts = session.map((bytes) => randomCut(bytes, random).slice(0, 8));
      differing.push(...await differs([direct, shared], phase, session, cuts));
    }
    assertEquals(differing, []);
  },
});

/** The number of requests that QEMU queues for a monitor with `oob`. */
const QUEUE_LIMIT = 8;

/**
 * Returns whether QEMU survives this input with `oob`.
 *
 * If seven requests are queued and one byte completes two more, as the brace in `1}` does, QEMU 7.2
 * fails an assertion and exits. qmpmux never sends it such input.
 */
function isBearable(bytes: Uint8Array): boolean {
  const requests = fed(new FrameSplitter(), [bytes, RESYNC, latin(COMMAND)]);
  return requests.length <= QUEUE_LIMIT;
}

/** Plays the same session at both sockets; reports the first input with different replies. */
async function differs(
  paths: readonly [string, string],
  phase: Phase,
  session: readonly Uint8Array[],
  cuts: readonly Uint8Array[][],
): Promise<object[]> {
  using direct = await Exchange.ready(paths[0], phase);
  using shared = await Exchange.ready(paths[1], phase);
  for (const [index, bytes] of session.entries()) {
    const sent = cuts[index]!.reduce((sum, { length }) => sum + length, 0);
    const chunks = [...cuts[index]!, bytes.subarray(sent)];
    const [wanted, heard] = await Promise.all([direct.converse([bytes]), shared.converse(chunks)])
      .catch((error) => {
        throw new Error(`${phase} ${session.map(hexOf)} at ${index}`, { cause: error });
      });
    if (ordered(wanted, bytes) === ordered(heard, bytes)) continue;
    return [{
      phase,
      before: session.slice(0, index).map(hexOf),
      send: hexOf(bytes),
      wanted,
      heard,
    }];
  }
  return [];
}

/**
 * Returns the lines in a comparable form: sorted if some may be out of band, because those may
 * overtake earlier ones.
 */
function ordered(heard: string, bytes: Uint8Array): string {
  if (!/oob|\\u/.test(LATIN.decode(bytes))) return heard;
  return heard.split("\r\n").sort().join("\r\n");
}
