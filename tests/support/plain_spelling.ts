/**
 * QEMU's spelling and orders in their plainest form: slow, and easy to check.
 *
 * They were compared with QEMU 7.2 to 11.1; the faster code of the core must return the same.
 *
 * @module
 */

import { stringAt } from "../../lib/wire/text.ts";

const SHORT_ESCAPES: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/** Returns text as a JSON string in QEMU's spelling. */
export function plainQuoted(text: string): string {
  const body = text.replace(/[^\x20!#-[\]-~]/g, (unit) => {
    const code = unit.charCodeAt(0).toString(16).toUpperCase();
    return SHORT_ESCAPES[unit] ?? `\\u${code.padStart(4, "0")}`;
  });
  return `"${body}"`;
}

/** Returns a number literal as QEMU prints it back. */
export function plainNumber(literal: string): string {
  if (/^-?\d+$/.test(literal)) {
    const integer = BigInt(literal);
    if (integer >= -(2n ** 63n) && integer < 2n ** 64n) return integer.toString();
  }
  return plainDouble(Number(literal));
}

/** Returns a double as C's `%.17g` prints it, from all of its digits. */
export function plainDouble(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  if (value === 0) return `${sign}0`;
  const { digits, exponent } = significant(Math.abs(value), 17);
  if (exponent < -4 || exponent >= 17) {
    const power = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${pointed(digits, 1)}e${exponent < 0 ? "-" : "+"}${power}`;
  }
  if (exponent < 0) return sign + pointed("0".repeat(-exponent) + digits, 1);
  return sign + pointed(digits, exponent + 1);
}

/** Inserts a point after the first `whole` digits and removes the zeros at the end. */
function pointed(digits: string, whole: number): string {
  return `${digits.slice(0, whole)}.${digits.slice(whole)}`.replace(/\.?0*$/, "");
}

/** The maximum number of decimal places of a double. */
const PLACES = 1074;
const SCALE = 10n ** BigInt(PLACES);

/** Returns the first digits of a positive double, rounded half to even, and its decimal exponent. */
function significant(value: number, count: number): { digits: string; exponent: number } {
  let halvings = 0n;
  for (; !Number.isInteger(value); value *= 2) halvings++;
  const exact = String(BigInt(value) * SCALE >> halvings);
  const kept = BigInt(exact.slice(0, count));
  const rest = exact.slice(count).replace(/0+$/, "");
  const isUp = rest > "5" || (rest === "5" && kept % 2n === 1n);
  const digits = String(isUp ? kept + 1n : kept);
  const exponent = exact.length - 1 - PLACES + digits.length - count;
  return { digits: digits.slice(0, count), exponent };
}

/** Returns a key in QEMU's form: UTF-8, with NUL as `C0 80`. */
function held(key: string): number[] {
  return [...new TextEncoder().encode(key)].flatMap((byte) => byte === 0 ? [0xc0, 0x80] : [byte]);
}

/** Returns the bucket of a key in QEMU's dictionary. */
export function plainBucket(key: string): number {
  const bytes = held(key);
  let value = Math.imul(0x238f13af, bytes.length);
  for (const [i, byte] of bytes.entries()) value = (value + (byte << (i * 5 % 24))) | 0;
  return ((Math.imul(1103515243, value) + 12345) >>> 0) % 512;
}

/** Returns keys in the order of QEMU's dictionary. */
export function plainOrder(keys: readonly string[]): string[] {
  return keys
    .map((key, index) => ({ key, index, bucket: plainBucket(key) }))
    .sort((a, b) => a.bucket - b.bucket || b.index - a.index)
    .map(({ key }) => key);
}

// deno-fmt-ignore
const PRIMES = [
  1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749,
  65521, 131071, 262139, 524287, 1048573, 2097143,
];
const EMPTY = -1;
const REMOVED = -2;

/**
 * Returns the first unknown key in a hash table of GLib, with the keys inserted in QEMU's order and the
 * known ones removed in theirs.
 */
export function plainUnexpected(
  given: readonly string[],
  known: readonly string[],
): string | undefined {
  const keys = plainOrder(given);
  const hashes = keys.map(glibHash);
  let shift = 3;
  let places = new Array<number>(1 << shift).fill(EMPTY);
  const start = (index: number): number => (Math.imul(hashes[index]!, 11) >>> 0) % PRIMES[shift]!;
  const resize = (used: number): void => {
    shift = Math.max(3, 32 - Math.clz32(Math.floor(used * 1.333)));
    const size = 1 << shift;
    const { length } = places;
    places = places.map((index) => index === REMOVED ? EMPTY : index);
    while (places.length < size) places.push(EMPTY);
    // GLib moves keys in place: the key at the new place is moved next.
    const settled = new Array<boolean>(size).fill(false);
    for (let from = 0; from < length; from++) {
      if (settled[from]) continue;
      let moving = places[from]!;
      places[from] = EMPTY;
      while (moving !== EMPTY) {
        let place = start(moving);
        for (let step = 1; settled[place]; step++) place = (place + step) & (size - 1);
        settled[place] = true;
        const evicted = places[place]!;
        places[place] = moving;
        moving = evicted;
      }
    }
    places = places.slice(0, size);
  };
  for (const index of keys.keys()) {
    let place = start(index);
    for (let step = 1; places[place] !== EMPTY; step++) {
      place = (place + step) & (places.length - 1);
    }
    places[place] = index;
    const used = index + 1;
    if (places.length <= used + Math.floor(used / 16)) resize(used);
  }
  let used = keys.length;
  for (const key of known) {
    const index = keys.indexOf(key);
    if (index < 0) continue;
    places[places.indexOf(index)] = REMOVED;
    used--;
    if (places.length > 8 && places.length > 4 * used) resize(used);
  }
  const first = places.find((index) => index >= 0);
  return first === undefined ? undefined : keys[first];
}

function glibHash(key: string): number {
  let hash = 5381;
  for (const byte of held(key)) hash = (Math.imul(hash, 33) + (byte << 24 >> 24)) >>> 0;
  return hash < 2 ? 2 : hash;
}

/** Returns a frame's value as QEMU prints it, in one line. */
export function plainValue(bytes: Uint8Array, start: number, end: number): string {
  return new Reader(bytes, start, end).value();
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  value(): string {
    const first = String.fromCharCode(this.#bytes[this.#at]!);
    if (first === "{") return this.#object();
    if (first === "[") return this.#array();
    if (first === '"') return plainQuoted(this.#string());
    const start = this.#at;
    while (this.#at < this.#end && !/[,\]}]/.test(this.#here)) this.#at++;
    const word = String.fromCharCode(...this.#bytes.subarray(start, this.#at));
    return /^[a-z]/.test(word) ? word : plainNumber(word);
  }

  get #here(): string {
    return String.fromCharCode(this.#bytes[this.#at]!);
  }

  #object(): string {
    const members = new Map<string, string>();
    this.#at++;
    while (this.#here !== "}") {
      if (this.#here === ",") this.#at++;
      const key = this.#string();
      this.#at++;
      members.set(key, this.value());
    }
    this.#at++;
    const texts = plainOrder([...members.keys()]).map((key) =>
      `${plainQuoted(key)}: ${members.get(key)}`
    );
    return `{${texts.join(", ")}}`;
  }

  #array(): string {
    const items: string[] = [];
    this.#at++;
    while (this.#here !== "]") {
      if (this.#here === ",") this.#at++;
      items.push(this.value());
    }
    this.#at++;
    return `[${items.join(", ")}]`;
  }

  #string(): string {
    const start = this.#at;
    for (this.#at++; this.#here !== '"'; this.#at++) if (this.#here === "\\") this.#at++;
    this.#at++;
    return stringAt(this.#bytes, start, this.#at);
  }
}

/** Returns one-line text as a monitor with `pretty=on` prints it. */
export function plainPretty(text: string, depth = 0): string {
  const line = (): string => `\r\n${"    ".repeat(depth)}`;
  let out = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"') {
      const start = at;
      while (text[++at] !== '"') if (text[at] === "\\") at++;
      out += text.slice(start, at + 1);
    } else if (char === "{" || char === "[") {
      depth++;
      out += /[}\]]/.test(text[at + 1]!) ? char : char + line();
    } else if (char === "}" || char === "]") {
      depth--;
      out += line() + char;
    } else if (char === ",") {
      out += char + line();
      if (text[at + 1] === " ") at++;
    } else out += char;
  }
  return out;
}
