/**
 * Untrusted text, made visible.
 *
 * @module
 */

/**
 * Characters that a terminal interprets or does not show: controls (C0, C1), line and paragraph
 * separators, changes of direction, characters without width, tags, and lone surrogates.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Returns untrusted text for a terminal: control and invisible characters are escaped. */
export function printable(text: string): string {
  return text.replace(UNSEEN, escaped);
}

/** Returns JSON of the same value in which no such character stands as it is; white space stays. */
export function printableJson(json: string): string {
  // JSON allows those above the space in strings only, and those below as white space only.
  return json.replace(UNSEEN, (char) => char < " " ? char : escaped(char));
}

/** Returns a character escaped as in JSON, even if JSON would not escape it. */
function escaped(char: string): string {
  const text = JSON.stringify(char).slice(1, -1);
  if (text !== char) return text;
  const units = Array.from({ length: char.length }, (_, i) => char.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
