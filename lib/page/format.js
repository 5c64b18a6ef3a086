/**
 * Times, durations and counts as texts.
 *
 * @module
 */

/**
 * Returns a duration with three digits and its unit.
 *
 * @param {number} seconds
 * @returns {string}
 */
export function durationText(seconds) {
  if (seconds >= 5999.5) {
    return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  }
  if (seconds >= 99.95) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds) % 60} s`;
  if (seconds >= 0.9995) return `${digits(seconds)} s`;
  if (seconds >= 0.9995e-3) return `${digits(seconds * 1000)} ms`;
  return `${digits(seconds * 1e6)} µs`;
}

/** @param {number} value */
function digits(value) {
  return Number(value.toPrecision(3));
}

/**
 * Returns the time of the day in UTC.
 *
 * @param {number} start the beginning of the recording, in milliseconds since 1970
 * @param {number} t seconds since then
 * @param {number} places the digits behind the seconds, at most 6
 * @returns {string}
 */
export function clockText(start, t, places) {
  const whole = Math.floor(start / 1000) * 1000;
  const scale = 10 ** places;
  const units = Math.round(((start - whole) / 1000 + t) * scale);
  const seconds = Math.floor(units / scale);
  const clock = new Date(whole + seconds * 1000).toISOString().slice(11, 19);
  if (places === 0) return clock;
  return `${clock}.${String(units - seconds * scale).padStart(places, "0")}`;
}

/**
 * Returns the day in UTC.
 *
 * @param {number} start
 * @param {number} t
 * @returns {string}
 */
export function dayText(start, t) {
  return new Date(start + t * 1000).toISOString().slice(0, 10);
}

/**
 * Returns a number with thin spaces between thousands.
 *
 * @param {number} count
 * @returns {string}
 */
export function countText(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/**
 * Returns a number with its noun.
 *
 * @param {number} count
 * @param {string} noun
 * @returns {string}
 */
export function counted(count, noun) {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * Returns a text on one line, no longer than a limit.
 *
 * @param {string} text
 * @param {number} limit
 * @returns {string}
 */
export function oneLine(text, limit) {
  const short = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return visible(short.replace(/\s*[\r\n]+\s*/g, " "));
}

/**
 * Returns a text in which characters that are not seen, or that change the direction, are escaped.
 *
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu,
    (char) => char === "\n" ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
