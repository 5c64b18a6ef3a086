/**
 * QEMU's spelling and orders in their plainest form: slow, and easy to check.
 *
 * They were held against QEMU 7.2 to 11.1; what the core does faster must do the same.
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

/** Text as a JSON string in QEMU's spelling. */
export function plainQuoted(text: string): string {
  const body = text.replace(/[^\x20!#-[\]-~]/g, (unit) => {
    const code = unit.charCodeAt(0).toString(16).toUpperCase();
    return SHORT_ESCAPES[unit] ?? `\\u${code.padStart(4, "0")}`;
  });
  return `"${body}"`;
}

/** A number literal as QEMU prints it back. */
export function plainNumber(literal: string): string {
  if (/^-?\d+$/.test(literal)) {
    const integer = BigInt(literal);
    if (integer >= -(2n ** 63n) && integer < 2n ** 64n) return integer.toString();
  }
  return plainDouble(Number(literal));
}

/** A double as C's `%.17g` prints it, from all of its digits. */
export function plainDouble(value: number): string {
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

function significant(value: number, count: number): { digits: string; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number(bits >> 52n);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = biased === 0 ? fraction : fraction | 0x10000000000000n;
  const power = (biased === 0 ? 1 : biased) - 1075;
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

/** A key as QEMU holds it: UTF-8, with NUL as `C0 80`. */
function held(key: string): number[] {
  return [...new TextEncoder().encode(key)].flatMap((byte) => byte === 0 ? [0xc0, 0x80] : [byte]);
}

/** The bucket of a key in QEMU's dictionary. */
export function plainBucket(key: string): number {
  const bytes = held(key);
  let value = Math.imul(0x238f13af, bytes.length);
  for (const [i, byte] of bytes.entries()) value = (value + (byte << (i * 5 % 24))) | 0;
  return ((Math.imul(1103515243, value) + 12345) >>> 0) % 512;
}

/** Keys in the order of QEMU's dictionary. */
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

/** The first of some keys in a hash table of GLib's that is not known, put in in QEMU's order. */
export function plainUnexpected(
  given: readonly string[],
  isKnown: (key: string) => boolean,
): string | undefined {
  const keys = plainOrder(given);
  const hashes = keys.map(glibHash);
  let shift = 3;
  let places = new Array<number>(1 << shift).fill(EMPTY);
  const start = (index: number): number => (Math.imul(hashes[index]!, 11) >>> 0) % PRIMES[shift]!;
  for (const index of keys.keys()) {
    let place = start(index);
    for (let step = 1; places[place] !== EMPTY; step++) {
      place = (place + step) & (places.length - 1);
    }
    places[place] = index;
    const used = index + 1;
    if (places.length > used + Math.floor(used / 16)) continue;
    shift = 32 - Math.clz32(Math.floor(used * 1.333));
    const size = 1 << shift;
    const { length } = places;
    places = [...places, ...new Array<number>(size - length).fill(EMPTY)];
    // GLib moves keys in place: one that is in the way is moved next.
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
  }
  const first = places.find((index) => index !== EMPTY && !isKnown(keys[index]!));
  return first === undefined ? undefined : keys[first];
}

function glibHash(key: string): number {
  let hash = 5381;
  for (const byte of held(key)) hash = (Math.imul(hash, 33) + (byte << 24 >> 24)) >>> 0;
  return hash < 2 ? 2 : hash;
}

/** A value of a frame as QEMU prints it back, in one line. */
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

/** Text in one line as a monitor with `pretty=on` prints it. */
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
