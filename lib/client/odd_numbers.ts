/**
 * JSON with the numbers that QEMU prints and JSON does not have: `inf` and `nan`.
 *
 * QEMU prints a floating-point number as C does. A message with such a number is one command's reply or
 * one event, so that it must not end the connection.
 *
 * @module
 */

import { exactNumber, parseExact, reviveExact } from "./exact_json.ts";

/** Such a number, and nothing that only begins or ends as it does. */
const ODD_NUMBER = /(?<![\w.+-])-?(?:inf|nan)(?![\w.+-])/g;
/** A number beyond all others, which JSON reads as infinity. */
const INFINITE = "1e999";
/** A spelling of zero that QEMU never prints. It stands for `nan`. */
const NAN_MARK = "-0e-307307";

/**
 * Reads JSON as {@linkcode parseExact} does, and QEMU's `inf`, `-inf`, `nan` and `-nan` too.
 *
 * @throws SyntaxError if it is not JSON otherwise; RangeError if it is nested too deep
 */
export function parseMessage(text: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    const plain = withoutOddNumbers(text);
    if (plain === text || text.includes(NAN_MARK)) throw error;
    return reviveExact(
      plain,
      (value, source) => source === NAN_MARK ? NaN : exactNumber(value, source),
    );
  }
}

/** Returns the text with JSON in the place of the odd numbers outside strings. */
function withoutOddNumbers(text: string): string {
  let isInString = false;
  /** The next quotation mark, or the end. Each is looked for once. */
  let quote = quoteFrom(text, 0);
  return text.replace(ODD_NUMBER, (number, at: number) => {
    for (; quote < at; quote = quoteFrom(text, quote + 1)) {
      if (!isInString || !isEscaped(text, quote)) isInString = !isInString;
    }
    if (isInString) return number;
    if (number.endsWith("nan")) return NAN_MARK;
    return number.replace("inf", INFINITE);
  });
}

function quoteFrom(text: string, start: number): number {
  const at = text.indexOf('"', start);
  return at < 0 ? text.length : at;
}

function isEscaped(text: string, quote: number): boolean {
  let first = quote;
  while (text[first - 1] === "\\") first--;
  return (quote - first) % 2 === 1;
}
