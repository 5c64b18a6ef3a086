/**
 * Long texts of others, cut to a length.
 *
 * @module
 */

/** Returns a text of at most so many UTF-16 units; a longer one ends with an ellipsis. */
export function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text;
  // A copy: a V8 slice would keep the whole long text alive.
  return [...text.slice(0, limit - 1).toWellFormed(), "…"].join("");
}
