/**
 * Numbers as QEMU prints them: 64-bit integers, and doubles as `%.17g`.
 *
 * @module
 */

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/** The most digits of a 64-bit integer. */
const INTEGER_DIGITS = 20;
/** The number of digits up to which every integer is exact in a double. */
const EXACT_DIGITS = 15;

/** Returns a number literal as QEMU prints it: as int64, else as uint64, else as a double. */
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
 * JavaScript's `toExponential(16)` differs: it rounds an exact half up, C to even.
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

/** Returns the first 17 decimal digits of a positive double, rounded half to even, and its exponent. */
function significant(value: number): { digits: string; exponent: number } {
  if (mayBeHalf(value)) return exactly(value);
  const text = value.toExponential(DIGITS - 1);
  const mark = text.indexOf("e");
  return { digits: text[0] + text.slice(2, mark), exponent: Number(text.slice(mark + 1)) };
}

/** The most binary places of a double that is halfway between two numbers of 17 digits. */
const HALF_PLACES = 25;

/**
 * Tells whether a positive double may be halfway between two numbers of 17 digits.
 *
 * With `k` binary places it has `k` decimal places, the last of them a five: it is halfway
 * only with 18 digits in all. An integer must be a multiple of a high power of five.
 */
function mayBeHalf(value: number): boolean {
  if (Number.isInteger(value)) return value >= 1e17 && value < 1e40;
  if (!Number.isInteger(value * 2 ** HALF_PLACES)) return false;
  let places = 1;
  while (!Number.isInteger(value * 2 ** places)) places++;
  return value * 10 ** places > 0.9e17;
}

/** Returns the same as `significant`, computed from all digits of the double. */
function exactly(value: number): { digits: string; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number(bits >> 52n);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = biased === 0 ? fraction : fraction | 0x10000000000000n;
  const power = (biased === 0 ? 1 : biased) - 1075;

  // The value is exactly numerator / 10 ** places.
  const places = power < 0 ? -power : 0;
  const numerator = power < 0 ? mantissa * 5n ** BigInt(places) : mantissa << BigInt(power);
  const exact = numerator.toString();
  const exponent = exact.length - 1 - places;
  if (exact.length <= DIGITS) return { digits: exact, exponent };
  const unit = 10n ** BigInt(exact.length - DIGITS);
  const rest = numerator % unit;
  let kept = numerator / unit;
  if (rest * 2n > unit || (rest * 2n === unit && (kept & 1n) === 1n)) kept++;
  const digits = kept.toString();
  return { digits: digits.slice(0, DIGITS), exponent: exponent + digits.length - DIGITS };
}
