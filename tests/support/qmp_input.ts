/**
 * Random input from clients: QMP with QEMU's extensions, and malformed input of every kind.
 *
 * No command here changes a virtual machine, except to stop and continue it.
 *
 * @module
 */

import { CORPORA } from "./corpus.ts";
import { latin } from "./cuts.ts";
import type { Random } from "./random.ts";

// Text here is bytes: a character up to U+00FF for each.

const NUMBERS = [
  ..."0 1 -1 7 42 -0 0.0 -0.0 1.5 0.1 1e3 1E+2 1.25e-7 123456789012345678 9223372036854775807"
    .split(
      " ",
    ),
  ..."-9223372036854775808 9223372036854775808 18446744073709551615 18446744073709551616".split(
    " ",
  ),
  ..."1e16 1e17 5e-324 1.7976931348623157e308 1e400 -1e400 0.30000000000000004 1e-5".split(" "),
  ..."01 00 0e0 0x10 1. .5 +1 - -a 1e 1e+ 1.e1 --1 1-1 0.0.0".split(" "),
];

const KEYWORDS = "true false null nan inf undefined tru nulll t x truefalse True".split(" ");

const PIECES = [
  ..."abcdefghijklmnopqrstuvwxyz0123456789_-./: {}[],",
  ...`\\" \\\\ \\/ \\b \\f \\n \\r \\t \\' \\u0041 \\u0000 \\u00e9 \\uFFFD \\u20ac`.split(" "),
  "\\ud83d\\ude00",
  // Characters of two, three and four bytes, and DEL.
  ..."\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbb\xbf \xc0\x80 \x7f".split(" "),
];

const WRONG_PIECES = [
  ...`\\x \\a \\u12 \\uzzzz \\ud800 \\udc00 \\uffff \\ufdd0 \\ud800\\ud800 \\u`.split(" "),
  "\x80 \xc3 \xe2\x82 \xc1\xbf \xe0\x80\xaf \xed\xa0\x80 \xef\xbf\xbf \xf5\x80\x80\x80 \xf8\x88",
  ..."\x00 \x01 \t \n \x1b \xfe \xff \\".split(" "),
];

const SPACES = ["", "", "", "", " ", "  ", "\n", "\r\n", "\t", " \n\t "];

const NAMES = [
  ...["query-name", "query-status", "query-name", "qmp_capabilities", "qmp_capabilities"],
  ...["no-such", "", "query-nam", "query-names", "query-yank", "migrate-pause", "x-oob-test"],
  ...["cont", "stop", "query-uuid", "query-kvm", "qom-get", "device-list-properties"],
];

const ARGUMENTS = ["enable", "foo", "bar", "name", "path", "property", "typename", "a", "b", "1"];

const KEYS = ["a", "b", "rb", "rr", "ab", "id", "execute", "arguments", "error", "1", "__proto__"];

/** Generates random input. */
export class QmpInput {
  readonly #random: Random;
  /** The number of choices of which one is invalid. */
  #sound = 1000;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Returns some commands or values, whole or malformed. */
  bytes(): Uint8Array {
    const random = this.#random;
    this.#sound = random.pick([20, 100, 1000, 1e9]);
    if (random.oneIn(4)) return this.#damaged(random.pick(RECORDED));
    let text = "";
    for (let i = random.below(4); i >= 0; i--) {
      if (random.oneIn(300)) text += this.#long();
      else text += random.oneIn(6) ? this.#value(3) : this.#command();
      text += random.pick(SPACES);
    }
    const bytes = latin(text);
    return random.oneIn(3) ? this.#damaged(bytes) : bytes;
  }

  /** Returns an input that is close to QEMU's limits, and to its buffers. */
  #long(): string {
    const random = this.#random;
    const many = random.pick([100, 1005, 1015, 1022, 1023, 1024, 1025, 1100]) + random.below(3);
    const id = (value: string): string => `{"execute":"query-name","id":${value}}`;
    return random.pick([
      () => id("[".repeat(many) + "]".repeat(many)),
      () => id('{"a":'.repeat(many) + "1" + "}".repeat(many)),
      () => "[".repeat(many) + "]".repeat(many),
      () => "[".repeat(many),
      () => "x".repeat(many) + " ",
      () => `"${"y".repeat(many)}`,
      () => `"${"\xe2\x82\xac".repeat(many / 3)}\n`,
      () => `"${"z".repeat(many)}\x01`,
      () => `{"execute":"${"n".repeat(many)}"}`,
      () => `{"execute":"qmp_capabilities","arguments":{"enable":["${"o".repeat(many)}"]}}`,
      () => id(`"${"\xc3\xa9\\n".repeat(many / 2)}"`),
      () => id("1".repeat(many)),
      () => id(`-0.${"3".repeat(many)}e-${random.below(400)}`),
    ])();
  }

  #command(): string {
    const random = this.#random;
    const members: string[] = [];
    const verb = random.oneIn(4) ? "exec-oob" : "execute";
    const name = random.pick(NAMES);
    if (!this.#wrong(8)) {
      members.push(this.#member(verb, this.#wrong(4) ? this.#value(1) : this.#string(name)));
    }
    if (random.oneIn(30)) members.push(this.#member("exec-oob", this.#string("query-yank")));
    if (random.oneIn(2)) members.push(this.#member("arguments", this.#arguments(name)));
    if (!random.oneIn(3)) members.push(this.#member("id", this.#value(2)));
    if (this.#wrong(4)) members.push(this.#member(this.#key(), this.#value(1)));
    for (let i = members.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [members[i], members[j]] = [members[j]!, members[i]!];
    }
    return this.#enclosed("{", members, "}");
  }

  #arguments(name: string): string {
    const random = this.#random;
    if (random.oneIn(20)) return this.#value(2);
    const members: string[] = [];
    if (name === "qmp_capabilities" && !random.oneIn(4)) {
      members.push(this.#member("enable", this.#enable()));
    }
    if (random.oneIn(3)) {
      for (let i = random.below(random.pick([2, 5, 30])); i >= 0; i--) {
        members.push(this.#member(this.#key(ARGUMENTS), this.#value(1)));
      }
    }
    return this.#enclosed("{", members, "}");
  }

  #enable(): string {
    const random = this.#random;
    if (random.oneIn(8)) return this.#value(2);
    const items: string[] = [];
    for (let i = random.below(3); i > 0; i--) {
      const item = random.oneIn(4) ? this.#value(1) : this.#string("oob");
      items.push(item);
    }
    return this.#enclosed("[", items, "]");
  }

  #value(depth: number): string {
    const random = this.#random;
    switch (random.below(depth > 0 ? 7 : 4)) {
      case 0:
        return this.#literal(NUMBERS, 26);
      case 1:
        return this.#literal(KEYWORDS, 3);
      case 2:
      case 3:
        return this.#string();
      case 4: {
        const items: string[] = [];
        for (let i = random.below(4); i > 0; i--) items.push(this.#value(depth - 1));
        return this.#enclosed("[", items, "]");
      }
      default: {
        const members: string[] = [];
        for (let i = random.below(4); i > 0; i--) {
          members.push(this.#member(this.#key(), this.#value(depth - 1)));
        }
        return this.#enclosed("{", members, "}");
      }
    }
  }

  #literal(literals: readonly string[], right: number): string {
    return this.#wrong(2)
      ? this.#random.pick(literals)
      : literals[this.#random.below(Math.min(right, literals.length))]!;
  }

  #key(known = KEYS): string {
    if (this.#random.oneIn(2)) return this.#random.pick(known);
    let key = "";
    for (let i = this.#random.below(5); i > 0; i--) key += this.#random.pick([..."abcdxyz019_-"]);
    return key;
  }

  /** Returns a string in quotes, of these plain letters or of any characters. */
  #string(plain?: string): string {
    const random = this.#random;
    const quote = random.oneIn(4) ? "'" : '"';
    if (plain !== undefined) {
      const escape = random.oneIn(12);
      const spelled = [...plain].map((char) =>
        escape && random.oneIn(3) ? `\\u00${char.charCodeAt(0).toString(16)}` : char
      );
      return `${quote}${spelled.join("")}${quote}`;
    }
    let text = "";
    for (let i = random.below(random.pick([2, 8, 40])); i > 0; i--) {
      text += this.#wrong(1) ? random.pick(WRONG_PIECES) : random.pick(PIECES);
    }
    if (quote === "'" && random.oneIn(3)) text += '"';
    return `${quote}${text}${quote}`;
  }

  #member(key: string, value: string): string {
    const name = this.#wrong(1) ? this.#value(1) : this.#string(key);
    const colon = this.#wrong(1) ? this.#random.pick(["", ",", "::", "="]) : ":";
    return `${name}${this.#space()}${colon}${this.#space()}${value}`;
  }

  #enclosed(open: string, parts: string[], close: string): string {
    const comma = (): string => this.#wrong(1) ? this.#random.pick(["", ",,", ":", ";"]) : ",";
    let text = this.#wrong(1) ? this.#random.pick(["", "[", "{", "{{"]) : open;
    for (const [index, part] of parts.entries()) {
      text += index > 0 ? `${comma()}${this.#space()}${part}` : part;
    }
    if (this.#wrong(1)) text += ",";
    return text + this.#space() +
      (this.#wrong(1) ? this.#random.pick(["", "]", "}", "}}"]) : close);
  }

  #space(): string {
    return this.#random.pick(SPACES);
  }

  #wrong(weight: number): boolean {
    return this.#random.below(this.#sound) < weight;
  }

  /** Returns the bytes with some of them changed, removed, doubled or inserted. */
  #damaged(bytes: Uint8Array): Uint8Array {
    const random = this.#random;
    let mutant = bytes;
    for (let i = random.below(3); i >= 0 && mutant.length > 0; i--) {
      const at = random.below(mutant.length);
      const to = at + 1 + random.below(random.pick([1, 3, 20]));
      const [before, part, after] = [
        mutant.subarray(0, at),
        mutant.slice(at, to),
        mutant.slice(to),
      ];
      const put = random.pick([
        () => part.map(() => random.below(256)),
        () => new Uint8Array(0),
        () => Uint8Array.of(...part, ...part),
        () => Uint8Array.of(random.pick(DAMAGING), ...part),
        () => Uint8Array.of(...part.map((byte) => byte ^ (1 << random.below(8)))),
      ])();
      mutant = new Uint8Array(before.length + put.length + after.length);
      mutant.set(before);
      mutant.set(put, before.length);
      mutant.set(after, before.length + put.length);
    }
    return mutant;
  }
}

const DAMAGING = [...latin("{}[],:\"'\\ \n\t\r\x00\x01\x0c\x1b\x7f\x80\xc0\xfe\xff0-.eu")];

/** Recorded inputs, without those that are long or change the machine. */
const RECORDED = CORPORA[0]!.cases
  .filter(({ name, bytes }) => !name.startsWith("event/") && bytes.length < 600)
  .map(({ bytes }) => bytes)
  .filter((bytes) => !/quit|system|human|uri/.test(new TextDecoder("latin1").decode(bytes)));
