/**
 * Globs: `*` matches any characters, `?` matches one, and case matters.
 *
 * The whole text must match. Matching takes time proportional to the length of the text, with `?`
 * also to that of the glob, so that no client can slow it down with a special text.
 *
 * @module
 */

/** A compiled glob: tells whether a text matches. */
export type Matcher = (text: string) => boolean;

/** Tells whether a text matches a glob. */
export function globMatches(glob: string, text: string): boolean {
  return matcherOf(glob)(text);
}

/**
 * Tells whether a value matches a glob of an allow rule.
 *
 * Unlike in {@linkcode globMatches}, `*` and `?` never match a `..` component: `/backup/*` does
 * not match `/backup/../etc`. A glob of stars alone matches anything.
 */
export function globAllows(glob: string, text: string): boolean {
  return globMatches(glob, text) && (isAnything(glob) || climbs(text) <= climbs(glob));
}

/** Tells whether a glob matches every text, because it has only stars. */
export function isAnything(glob: string): boolean {
  return /^\*+$/.test(glob);
}

/** Tells whether a glob can match more than one text. */
export function hasWildcard(glob: string): boolean {
  return /[*?]/.test(glob);
}

/** Returns the length of the shortest text that a glob matches. */
export function leastLength(glob: string): number {
  return glob.replaceAll("*", "").length;
}

/** Counts the `..` components of a path. */
export function climbs(path: string): number {
  let count = 0;
  for (let at = path.indexOf(".."); at >= 0; at = path.indexOf("..", at + 1)) {
    const begins = at === 0 || path[at - 1] === "/";
    const ends = at + 2 === path.length || path[at + 2] === "/";
    if (begins && ends) count++;
  }
  return count;
}

/** Compiles a glob. */
export function matcherOf(glob: string): Matcher {
  if (!hasWildcard(glob)) return (text) => text === glob;
  return glob.includes("?") ? signwise(glob) : piecewise(glob);
}

/** Compiles a glob without `?`; a text must contain the pieces between the stars in their order. */
function piecewise(glob: string): Matcher {
  const [first = "", ...inner] = glob.split(/\*+/);
  const last = inner.pop() ?? "";
  return (text) => {
    const end = text.length - last.length;
    if (end < first.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const piece of inner) {
      at = text.indexOf(piece, at);
      if (at < 0 || (at += piece.length) > end) return false;
    }
    return true;
  };
}

/** The number of bits in each number of a set. */
const WORD_BITS = 32;

/**
 * Compiles a glob with `?`.
 *
 * Bit `n` of the state tells whether the text so far matches the first `n` characters of the
 * glob, not counting stars. A character beyond U+FFFF counts as one.
 */
function signwise(glob: string): Matcher {
  const signs = [...glob].filter((char) => char !== "*");
  const words = Math.floor(signs.length / WORD_BITS) + 1;
  const empty = (): Int32Array => new Int32Array(words);
  const set = (bits: Int32Array, bit: number): void => {
    bits[bit >> 5]! |= 1 << (bit & 31);
  };
  /** The set of `n` for which a star follows the first `n` characters. */
  const stays = empty();
  let before = 0;
  for (const char of glob) {
    if (char === "*") set(stays, before);
    else before++;
  }
  /** The set of `n` for which `?` follows; `takes` has those for which `?` or a given character follows. */
  const any = empty();
  for (const [index, sign] of signs.entries()) if (sign === "?") set(any, index);
  const takes = new Map<string, Int32Array>();
  for (const [index, sign] of signs.entries()) {
    if (sign === "?") continue;
    let bits = takes.get(sign);
    if (bits === undefined) takes.set(sign, bits = any.slice());
    set(bits, index);
  }
  return (text) => {
    const can = empty();
    can[0] = 1;
    for (const char of text) {
      const taken = takes.get(char) ?? any;
      let carry = 0;
      let alive = 0;
      for (let word = 0; word < words; word++) {
        const goes = can[word]! & taken[word]!;
        const now = (goes << 1) | carry | (can[word]! & stays[word]!);
        carry = goes >>> (WORD_BITS - 1);
        can[word] = now;
        alive |= now;
      }
      if (alive === 0) return false;
    }
    return (can[signs.length >> 5]! >>> (signs.length & 31) & 1) === 1;
  };
}
