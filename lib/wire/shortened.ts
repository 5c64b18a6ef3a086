/**
 * A function that shortens long texts of clients and QEMU.
 *
 * @module
 */

/** Shortens a text to at most `limit` UTF-16 units, with an ellipsis at the end. */
export function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text;
  // A copy: a V8 slice would keep the whole long text alive.
  return [...text.slice(0, limit - 1).toWellFormed(), "…"].join("");
}
