/**
 * The equality of two values of JSON.
 *
 * @module
 */

/**
 * Returns whether two values are the same, whatever the order of their members.
 *
 * @param mark a text that stands for anything: an expected string with it is the same as every value
 */
export function isSame(expected: unknown, given: unknown, mark?: string): boolean {
  if (mark !== undefined && typeof expected === "string" && expected.includes(mark)) return true;
  if (!isContainer(expected) || !isContainer(given)) return expected === given;
  if (Array.isArray(expected) !== Array.isArray(given)) return false;
  const keys = Object.keys(expected);
  return keys.length === Object.keys(given).length &&
    keys.every((key) => Object.hasOwn(given, key) && isSame(expected[key], given[key], mark));
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
