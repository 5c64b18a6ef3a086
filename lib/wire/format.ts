/**
 * QEMU's own way of writing a value.
 *
 * For what qmpmux answers itself, and for ids it gives back: members in the
 * order of QEMU's hash table, numbers as `%.17g`, everything but ASCII as
 * `\uXXXX`. Measured on QEMU 7.2 to 11.1.
 *
 * @module
 */

import { asciiText, readString } from "./text.ts";

const QUOTE = 0x22;
const SHORT_ESCAPES: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/** Text as a JSON string in QEMU's spelling, quotes included; pure ASCII. */
export function quoted(text: string): string {
  // deno-lint-ignore no-control-regex
  const body = text.replace(/["\\\x00-\x1f\x7f-\uffff]/g, (unit) => {
    const code = unit.charCodeAt(0).toString(16).toUpperCase();
    return SHORT_ESCAPES[unit] ?? `\\u${code.padStart(4, "0")}`;
  });
  return `"${body}"`;
}

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/** A number literal as QEMU prints it back: int64, else uint64, else a double. */
export function number(literal: string): string {
  if (/^-?\d+$/.test(literal)) {
    const integer = BigInt(literal);
    if (integer >= INT64_MIN && integer <= UINT64_MAX) return integer.toString();
  }
  return double(Number(literal));
}

/**
 * A double as C's `%.17g` prints it.
 *
 * JavaScript's `toPrecision(17)` differs: it rounds an exact half up, C to even.
 */
export function double(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  if (value === 0) return `${sign}0`;
  const { digits, exponent } = significant(Math.abs(value), 17);
  const trimmed = digits.replace(/0+$/, "");
  if (exponent < -4 || exponent >= 17) {
    const fraction = trimmed.length > 1 ? `.${trimmed.slice(1)}` : "";
    const power = Math.abs(exponent).toString().padStart(2, "0");
    return `${sign}${trimmed[0]}${fraction}e${exponent < 0 ? "-" : "+"}${power}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${trimmed}`;
  const whole = trimmed.padEnd(exponent + 1, "0").slice(0, exponent + 1);
  const fraction = trimmed.slice(exponent + 1);
  return `${sign}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The first `count` decimal digits of a positive double, rounded half to even, and its decimal exponent. */
function significant(value: number, count: number): { digits: string; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number(bits >> 52n);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = biased === 0 ? fraction : fraction | 0x10000000000000n;
  const power = (biased === 0 ? 1 : biased) - 1075;

  // value = numerator / 10 ** places, exactly: a half is five tenths.
  const places = power < 0 ? -power : 0;
  const numerator = power < 0 ? mantissa * 5n ** BigInt(places) : mantissa << BigInt(power);
  const exact = numerator.toString();
  const exponent = exact.length - 1 - places;
  if (exact.length <= count) return { digits: exact, exponent };
  const unit = 10n ** BigInt(exact.length - count);
  const rest = numerator % unit;
  let kept = numerator / unit;
  if (rest * 2n > unit || (rest * 2n === unit && (kept & 1n) === 1n)) kept++;
  const digits = kept.toString();
  return { digits: digits.slice(0, count), exponent: exponent + digits.length - count };
}

const ENCODER = new TextEncoder();
const BUCKETS = 512;

/**
 * The bucket of a key in QEMU's dictionary.
 *
 * QEMU walks a dictionary bucket by bucket, and within a bucket from the member
 * put in last (its `tdb_hash`; checked against the order QEMU prints).
 */
export function bucketOf(key: string): number {
  const bytes = qemuBytes(key);
  let value = Math.imul(0x238f13af, bytes.length);
  for (let i = 0; i < bytes.length; i++) value = (value + (bytes[i]! << (i * 5 % 24))) | 0;
  return ((Math.imul(1103515243, value) + 12345) >>> 0) % BUCKETS;
}

/** UTF-8 with NUL as `C0 80`, as QEMU holds its strings. */
export function qemuBytes(text: string): Uint8Array {
  if (!text.includes("\0")) return ENCODER.encode(text);
  const bytes: number[] = [];
  for (const byte of ENCODER.encode(text)) bytes.push(...(byte === 0 ? [0xc0, 0x80] : [byte]));
  return Uint8Array.from(bytes);
}

/** Things with keys in the order QEMU's dictionary would hand them out, given the order they were put in. */
export function inQemuOrder<T extends { readonly key: string }>(members: readonly T[]): T[] {
  return members
    .map((member, index) => ({ member, index, bucket: bucketOf(member.key) }))
    .sort((a, b) => a.bucket - b.bucket || b.index - a.index)
    .map(({ member }) => member);
}

/** GLib's table sizes are powers of two; it takes a hash modulo the largest prime below. */
// deno-fmt-ignore
const PRIMES = [
  1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749,
  // As many members as a value can have fit the last.
  65521, 131071, 262139, 524287, 1048573, 2097143,
];
const EMPTY = -1;

/**
 * Which of several unexpected arguments QEMU names.
 *
 * It puts all keys of `arguments` into a hash table of GLib's, takes out those it
 * knows, and names the first that is left: the one in the lowest place. (`g_str_hash`,
 * quadratic probing; measured on QEMU 7.2 with GLib 2.74.)
 *
 * @param members all of them, in the order of the text
 * @param left those that QEMU does not know
 */
export function firstUnexpected(
  members: readonly { readonly key: string }[],
  left: { has(key: string): boolean },
): string | undefined {
  const keys = inQemuOrder(members).map(({ key }) => key);
  const hashes = keys.map(glibHash);
  let shift = 3;
  let places = new Int32Array(1 << shift).fill(EMPTY);
  for (const [index, hash] of hashes.entries()) {
    places[freePlace(places, hash, shift)] = index;
    const used = index + 1;
    if (places.length > used + Math.floor(used / 16)) continue;
    shift = 32 - Math.clz32(Math.floor(used * 1.333));
    places = regrown(places, hashes, shift);
  }
  const first = places.find((index) => index !== EMPTY && left.has(keys[index]!));
  return first === undefined ? undefined : keys[first];
}

/** GLib's `g_str_hash`; it counts bytes as signed, and 0 and 1 mean something else in its table. */
function glibHash(key: string): number {
  let hash = 5381;
  for (const byte of qemuBytes(key)) hash = (Math.imul(hash, 33) + (byte << 24 >> 24)) >>> 0;
  return hash < 2 ? 2 : hash;
}

function startPlace(hash: number, shift: number): number {
  return (Math.imul(hash, 11) >>> 0) % PRIMES[shift]!;
}

function freePlace(places: Int32Array, hash: number, shift: number): number {
  let place = startPlace(hash, shift);
  for (let step = 1; places[place] !== EMPTY; step++) place = (place + step) & (places.length - 1);
  return place;
}

/** The table in its new size. GLib moves keys in place: one that is in the way is moved next. */
function regrown(
  old: Int32Array<ArrayBuffer>,
  hashes: readonly number[],
  shift: number,
): Int32Array<ArrayBuffer> {
  const places = new Int32Array(1 << shift).fill(EMPTY);
  places.set(old);
  const settled = new Uint8Array(places.length);
  for (let from = 0; from < old.length; from++) {
    if (settled[from]) continue;
    let moving = places[from]!;
    places[from] = EMPTY;
    while (moving !== EMPTY) {
      let place = startPlace(hashes[moving]!, shift);
      for (let step = 1; settled[place]; step++) place = (place + step) & (places.length - 1);
      settled[place] = 1;
      const evicted = places[place]!;
      places[place] = moving;
      moving = evicted;
    }
  }
  return places;
}

/**
 * A value as QEMU prints it back.
 *
 * @param bytes a frame's bytes: valid, without white space
 * @param start where the value begins
 * @param end where it ends
 * @returns ASCII text; `inf` and `-inf` included, which QEMU prints though JSON has no such thing
 */
export function canonical(bytes: Uint8Array, start: number, end: number): string {
  const first = bytes[start]!;
  const isNumber = first === MINUS || (first >= 0x30 && first <= 0x39);
  if (isNumber) {
    // Up to 15 digits without sign, point and leading zero are themselves.
    let at = start;
    while (at < end && bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++;
    const text = asciiText(bytes, start, end);
    return at === end && end - start <= 15 ? text : number(text);
  }
  return new Canonical(bytes, start).value();
}

const MINUS = 0x2d;

class Canonical {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  value(): string {
    switch (this.#bytes[this.#at]) {
      case 0x7b:
        return this.#object();
      case 0x5b:
        return this.#array();
      case QUOTE:
        return quoted(this.#string());
      default: {
        const word = this.#word();
        return /^[a-z]/.test(word) ? word : number(word);
      }
    }
  }

  #object(): string {
    const members: { key: string; text: string }[] = [];
    while (this.#bytes[this.#at++] !== 0x7d) {
      if (this.#bytes[this.#at] === 0x7d) continue;
      const key = this.#string();
      this.#at++;
      members.push({ key, text: this.value() });
    }
    return `{${inQemuOrder(members).map(({ key, text }) => `${quoted(key)}: ${text}`).join(", ")}}`;
  }

  #array(): string {
    const items: string[] = [];
    while (this.#bytes[this.#at++] !== 0x5d) {
      if (this.#bytes[this.#at] === 0x5d) continue;
      items.push(this.value());
    }
    return `[${items.join(", ")}]`;
  }

  #string(): string {
    const start = this.#at;
    let at = start + 1;
    for (; this.#bytes[at] !== QUOTE; at++) if (this.#bytes[at] === 0x5c) at++;
    this.#at = at + 1;
    const read = readString(this.#bytes, start, this.#at);
    if ("wrong" in read) throw new Error(`A frame holds a damaged string: ${read.wrong}`);
    return read.text;
  }

  #word(): string {
    const start = this.#at;
    while (this.#at < this.#bytes.length && !DELIMITERS.has(this.#bytes[this.#at]!)) this.#at++;
    return asciiText(this.#bytes, start, this.#at);
  }
}

const DELIMITERS = new Set([0x2c, 0x5d, 0x7d]);

/**
 * Text of a value as a monitor with `pretty=on` prints it: every member and
 * element on a line of its own, also the closing bracket of an empty container.
 *
 * @param text a value in QEMU's plain spelling
 * @param depth how deep in the message it stands
 */
export function prettied(text: string, depth = 0): string {
  const line = (): string => `\r\n${"    ".repeat(depth)}`;
  let out = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"') {
      const start = at;
      while (text[++at] !== '"') if (text[at] === "\\") at++;
      out += text.slice(start, at + 1);
    } else if (char === "{" || char === "[") {
      const empty = text[at + 1] === "}" || text[at + 1] === "]";
      depth++;
      out += empty ? char : char + line();
    } else if (char === "}" || char === "]") {
      depth--;
      out += line() + char;
    } else if (char === ",") {
      out += char + line();
      // QEMU's space behind it; what only claims to be QEMU may leave it out.
      if (text[at + 1] === " ") at++;
    } else out += char;
  }
  return out;
}

/** A plain value as QEMU would write it. */
export function qemuText(value: unknown): string {
  const bytes = ENCODER.encode(JSON.stringify(value));
  return canonical(bytes, 0, bytes.length);
}
