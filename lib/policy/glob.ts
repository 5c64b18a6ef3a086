/**
 * Globs: `*` stands for any run of characters, `?` for one; case counts.
 *
 * The whole text must match. The time is bounded by glob times text, so that a
 * client cannot choose a text on which matching never ends; without `?` it grows with
 * the text alone.
 *
 * @module
 */

/** Tells whether a text matches. */
export type Matcher = (text: string) => boolean;

/** Tells whether a text matches a glob. */
export function globMatches(glob: string, text: string): boolean {
  return matcherOf(glob)(text);
}

/**
 * Tells whether a value matches a glob that allows it.
 *
 * As {@linkcode globMatches}, but what `*` and `?` stand for does not climb out of
 * a directory: `/backup/*` is not `/backup/../etc`. A glob of stars alone is anything.
 */
export function globAllows(glob: string, text: string): boolean {
  return globMatches(glob, text) && (isAnything(glob) || climbs(text) <= climbs(glob));
}

/** Tells whether every text matches a glob: it is made of stars alone. */
export function isAnything(glob: string): boolean {
  return /^\*+$/.test(glob);
}

/** Tells whether a glob stands for more than one text. */
export function hasWildcard(glob: string): boolean {
  return /[*?]/.test(glob);
}

/** The length of the shortest text that a glob matches. */
export function leastLength(glob: string): number {
  return glob.replaceAll("*", "").length;
}

/** Counts how often a path goes up. */
export function climbs(path: string): number {
  let count = 0;
  for (let at = path.indexOf(".."); at >= 0; at = path.indexOf("..", at + 1)) {
    const begins = at === 0 || path[at - 1] === "/";
    const ends = at + 2 === path.length || path[at + 2] === "/";
    if (begins && ends) count++;
  }
  return count;
}

/** Makes the function that tells whether a text matches a glob. */
export function matcherOf(glob: string): Matcher {
  if (!hasWildcard(glob)) return (text) => text === glob;
  return glob.includes("?") ? signwise(glob) : piecewise(glob);
}

/** A glob without `?`: the pieces between its stars must come one behind the other. */
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

/** So many bits of a number are used. */
const WORD_BITS = 32;

/**
 * A glob with `?`: of each number of its signs, stars not counted, a bit tells whether the text
 * so far can be these. A character beyond U+FFFF counts as one.
 */
function signwise(glob: string): Matcher {
  const signs = [...glob].filter((char) => char !== "*");
  const words = Math.floor(signs.length / WORD_BITS) + 1;
  const empty = (): Int32Array => new Int32Array(words);
  const set = (bits: Int32Array, bit: number): void => {
    bits[bit >> 5]! |= 1 << (bit & 31);
  };
  /** A star comes behind so many signs. */
  const stays = empty();
  let before = 0;
  for (const char of glob) {
    if (char === "*") set(stays, before);
    else before++;
  }
  /** What follows so many signs is `?`, or this character. */
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
