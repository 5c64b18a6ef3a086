/**
 * Suggestions for misspelt words.
 *
 * @module
 */

/** The most edits between a word and a suggestion; an edit removes, adds or changes a letter, or swaps two neighbours. */
const DISTANCE_LIMIT = 2;

/** The length above which words are not compared. */
const LENGTH_LIMIT = 64;

/**
 * Finds the known word that is nearest to a misspelt one.
 *
 * It ignores case and the difference between `_` and `-`. The edits must be fewer than half of the
 * word's letters.
 *
 * @returns `undefined` when no known word is near enough
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > LENGTH_LIMIT) return undefined;
  const folded = fold(word);
  const limit = Math.min(DISTANCE_LIMIT, Math.ceil(word.length / 2) - 1);
  let best: string | undefined;
  let least = limit + 1;
  for (const each of known) {
    const distance = distanceOf(folded, fold(each));
    if (distance < least) [best, least] = [each, distance];
  }
  return best;
}

/**
 * Returns a suggestion for an unknown word: `; did you mean "x"?`, or `: expected a, b`.
 *
 * @param known the expected words
 */
export function instead(word: string, known: readonly string[]): string {
  const found = nearest(word, known);
  return found === undefined ? `: expected ${known.join(", ")}` : `; did you mean "${found}"?`;
}

function fold(word: string): string {
  return word.toLowerCase().replaceAll("_", "-");
}

/** Counts the edits between two words; a swap of neighbours is one edit. */
function distanceOf(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > DISTANCE_LIMIT) return Infinity;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? before[j - 2]! + 1 : Infinity;
      row.push(Math.min(last[j]! + 1, row[j - 1]! + 1, change, swap));
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
