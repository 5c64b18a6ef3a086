/**
 * QEMU's spelling of JSON that QEMU has written, and another program has formatted: the order of members is kept.
 *
 * @module
 */

import { number, quoted } from "../wire/qemu_json.ts";

/** A string, a bracket or a separator, or a number or a word. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/** Returns JSON as QEMU spells it on one line. */
export function respelt(text: string): string {
  return text.match(TOKEN)!.map(spelt).join("");
}

function spelt(token: string): string {
  if (token === ",") return ", ";
  if (token === ":") return ": ";
  if (/^[-\d]/.test(token)) return number(token);
  if (token.startsWith('"') && /[^ !#-[\]-~]/.test(token.slice(1, -1))) {
    return quoted(JSON.parse(token) as string);
  }
  return token;
}
