/**
 * Random values, as a client may write them.
 *
 * @module
 */

import type { Random } from "./random.ts";

const PIECES = [
  ..."abcr09_ /'{}[]:,".split(""),
  ...String.raw`\n \u0041 \u00e9 \ud83d\ude00 \u0000 \" \\ \/`.split(" "),
  "é",
  "€",
  "😀",
  "\x7f",
];

const NUMBERS = [
  ..."0 -0 0.0 -0.0 1 -7 42 1E+2 0.5 0.1 1e22 1e400 -1e400 5e-324 1e-5".split(" "),
  ..."9223372036854775807 -9223372036854775809 18446744073709551616".split(" "),
  ..."2.9802322387695312e-8 562949953421312.125 562949953421312.375".split(" "),
];

/** Generates values; keys are short, which repeats buckets and names. */
export class MadeValues {
  readonly #random: Random;
  #left = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Returns the text of a value, of some parts. */
  value(parts: number = this.#random.pick([3, 20, 200])): string {
    this.#left = parts;
    return this.#value(this.#random.pick([2, 5, 30]));
  }

  #value(depth: number): string {
    const random = this.#random;
    this.#left--;
    switch (random.below(depth > 0 && this.#left > 0 ? 8 : 4)) {
      case 0:
        return random.oneIn(2) ? random.pick(NUMBERS) : this.#number();
      case 1:
        return random.pick(["true", "false", "null"]);
      case 2:
      case 3:
        return this.string();
      case 4:
      case 5: {
        const length = random.below(random.pick([3, 30]));
        return `[${Array.from({ length }, () => this.#value(depth - 1)).join(",")}]`;
      }
      default: {
        const members = this.keys(random.below(random.pick([4, 40]))).map((key) =>
          `${key}:${this.#value(depth - 1)}`
        );
        return `{${members.join(",")}}`;
      }
    }
  }

  #number(): string {
    const random = this.#random;
    const digits = (count: number): string =>
      Array.from({ length: 1 + random.below(count) }, () => random.below(10)).join("");
    const whole = `${random.oneIn(3) ? "-" : ""}${1 + random.below(9)}${digits(24).slice(1)}`;
    if (random.oneIn(2)) return whole;
    return `${whole}.${digits(20)}${random.oneIn(2) ? `e${random.below(400) - 200}` : ""}`;
  }

  /** Returns a string in double quotes. */
  string(): string {
    const random = this.#random;
    const length = random.below(random.pick([2, 6, 30]));
    return `"${Array.from({ length }, () => random.pick(PIECES)).join("")}"`;
  }

  /** Returns up to that many strings, all different. */
  keys(count: number): string[] {
    const random = this.#random;
    const keys = new Map<string, string>();
    for (let i = 0; i < count; i++) {
      const key = random.oneIn(3) ? this.string() : `"${random.below(1000)}"`;
      keys.set(JSON.parse(key), key);
    }
    return [...keys.values()];
  }
}
