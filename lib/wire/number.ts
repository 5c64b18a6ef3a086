/**
 * Numbers as QEMU prints them: 64-bit integers, and doubles as `%.17g`.
 *
 * @module
 */

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/** The most digits of a 64-bit integer. */
const INTEGER_DIGITS = 20;
/** The most digits with which every integer is exact in a double. */
const EXACT_DIGITS = 15;

/** Converts a number literal as QEMU prints it: as int64 if it fits, else as uint64, else as a double. */
export function number(literal: string): string {
  if (!/^-?\d+$/.test(literal)) return double(Number(literal));
  const digits = literal.replace(/^-?0*/, "");
  if (digits.length > INTEGER_DIGITS) return double(Number(literal));
  if (digits === "") return "0";
  if (digits.length <= EXACT_DIGITS) return literal.startsWith("-") ? `-${digits}` : digits;
  const integer = BigInt(literal);
  return integer >= INT64_MIN && integer <= UINT64_MAX
    ? integer.toString()
    : double(Number(literal));
}

/**
 * Prints a double like C's `%.17g`.
 *
 * JavaScript's `toExponential(16)` differs: it rounds an exact half up, but C rounds it to even.
 */
export function double(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  if (value === 0) return `${sign}0`;
  const { digits, exponent } = significant(Math.abs(value));
  const trimmed = digits.replace(/0+$/, "");
  if (exponent < -4 || exponent >= 17) {
    const fraction = trimmed.length > 1 ? `.${trimmed.slice(1)}` : "";
    const power = Math.abs(exponent).toString().padStart(2, "0");
    return `${sign}${trimmed[0]}${fraction}e${exponent < 0 ? "-" : "+"}${power}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${trimmed}`;
  const whole = trimmed.padEnd(exponent + 1, "0").slice(0, exponent + 1);
  const fraction = trimmed.slice(exponent + 1);
  return `${sign}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The number of decimal digits that are printed. */
const DIGITS = 17;

/** The text of a number that is exactly halfway between two numbers of 17 digits. */
const HALF = /^\d\.\d{16}50*e/;

/** The most binary places of such a number: with `k` binary places it has `k` decimal places. */
const HALF_PLACES = 25;

/** Returns the first 17 decimal digits of a positive double, rounded half to even, and its exponent. */
function significant(value: number): { digits: string; exponent: number } {
  const text = value.toExponential(DIGITS - 1);
  const mark = text.indexOf("e");
  const digits = text[0] + text.slice(2, mark);
  const exponent = Number(text.slice(mark + 1));
  // An odd last digit may be an exact half rounded up. The cheap checks avoid printing all digits.
  const last = text.charCodeAt(mark - 1) - 0x30;
  const isUp = last % 2 === 1 && Number.isInteger(value * 2 ** HALF_PLACES) &&
    HALF.test(value.toExponential(100));
  return { digits: isUp ? `${digits.slice(0, -1)}${last - 1}` : digits, exponent };
}
