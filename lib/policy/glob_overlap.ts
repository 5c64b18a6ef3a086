/**
 * Comparisons of two globs: whether some text matches both, and whether one matches all that the other does.
 *
 * Both take time proportional to the product of the lengths.
 *
 * @module
 */

/** Tells whether a text exists that two globs match. */
export function globsOverlap(one: string, other: string): boolean {
  return walk([...one], [...other], (s, t) => s === "?" || t === "?" || s === t, true);
}

/**
 * Tells whether a glob matches every text that another glob matches.
 *
 * It compares the texts of the globs, so that the answer for globs with several stars may be `false` although
 * they do.
 */
export function globCovers(outer: string, inner: string): boolean {
  return walk([...outer], [...inner], (s, t) => t !== "*" && (s === "?" || s === t), false);
}

/**
 * Walks through two globs together.
 *
 * @param takes tells whether a character of the first, which is not `*`, may stand for one of the second
 * @param both whether `*` in the second stands for characters of the first too
 */
function walk(
  first: readonly string[],
  second: readonly string[],
  takes: (s: string, t: string) => boolean,
  both: boolean,
): boolean {
  /** The results for the rests of the second glob, with a shorter rest of the first. */
  let shorter: readonly boolean[] = [];
  for (let i = first.length; i >= 0; i--) {
    const [s, results] = [first[i], [] as boolean[]];
    for (let j = second.length; j >= 0; j--) {
      const t = second[j];
      const withoutFirst = s !== undefined && shorter[j]!;
      const withoutSecond = t !== undefined && results[j + 1]!;
      if (s === "*" || both && t === "*") results[j] = withoutFirst || withoutSecond;
      else if (s === undefined || t === undefined) results[j] = s === t;
      else results[j] = takes(s, t) && shorter[j + 1]!;
    }
    shorter = results;
  }
  return shorter[0]!;
}
