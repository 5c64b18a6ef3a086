/**
 * JSON whose integers are exact: a number if that is exact, otherwise a bigint.
 *
 * QMP has integers of 64 bits, of which JavaScript's numbers hold 53.
 *
 * @module
 */

/** A run of digits that may be an integer which a number cannot hold. */
const LONG_INTEGER = /\d{16}/;
/** An integer. A longer one stays a number: to read it would take more time than its length. */
const INTEGER = /^-?\d{1,1000}$/;

/** The third argument of a reviver, which has the text of a number. */
interface Source {
  readonly source?: string;
}

/** `JSON` with the parts that give and take the text of a number. */
interface SourceJson {
  parse(text: string, reviver: (key: string, value: unknown, context: Source) => unknown): unknown;
  rawJSON(text: string): unknown;
}

/**
 * Reads JSON.
 *
 * @returns the value; an integer beyond 2⁵³ is a bigint, if it has at most 1000 digits
 * @throws SyntaxError if it is not JSON; RangeError if it is nested too deep
 */
export function parseExact(text: string): unknown {
  if (!LONG_INTEGER.test(text)) return JSON.parse(text);
  return reviveExact(text, exactNumber);
}

/**
 * Reads JSON, and replaces values.
 *
 * @param revive returns the value in the place of one, whose text is `source` if it is a number
 * @throws SyntaxError if it is not JSON
 */
export function reviveExact(
  text: string,
  revive: (value: unknown, source: string | undefined) => unknown,
): unknown {
  return (JSON as unknown as SourceJson).parse(
    text,
    (_key, value, { source }) => revive(value, source),
  );
}

/** Returns a value of JSON: a bigint if its text is an integer that a number cannot hold. */
export function exactNumber(value: unknown, source: string | undefined): unknown {
  const isExact = typeof value !== "number" || Number.isSafeInteger(value);
  return isExact || source === undefined || !INTEGER.test(source) ? value : BigInt(source);
}

/** Writes JSON; a bigint is written as an integer, with all its digits. */
export function stringifyExact(value: unknown): string {
  return JSON.stringify(value, exactly);
}

/** A replacer. It looks at the value itself: some programs give bigints a `toJSON` that makes them strings. */
function exactly(this: Record<string, unknown>, key: string, each: unknown): unknown {
  const own = this[key];
  return typeof own === "bigint" ? (JSON as unknown as SourceJson).rawJSON(String(own)) : each;
}
