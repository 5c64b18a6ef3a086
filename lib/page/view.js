/**
 * The part of the time that the timeline shows, and the marks of its axis.
 *
 * @module
 */

/** The shortest time that can be shown, in seconds. */
const SHORTEST = 20e-6;

/** A range of times within the recording. */
export class View {
  /**
   * Shows everything.
   *
   * @param {number} min the first time, in seconds
   * @param {number} max the last time
   */
  constructor(min, max) {
    const span = Math.max(max - min, SHORTEST);
    // Marks at the edges stay visible.
    this.min = min - span * 0.01;
    this.max = max + span * 0.02;
    this.from = this.min;
    this.to = this.max;
  }

  /** Whether everything is shown. */
  get isWhole() {
    return this.from <= this.min && this.to >= this.max;
  }

  /**
   * Shows a range, or as much of it as exists.
   *
   * @param {number} from
   * @param {number} to
   */
  show(from, to) {
    const whole = this.max - this.min;
    const span = Math.min(Math.max(to - from, Math.min(SHORTEST, whole)), whole);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - span / 2, this.min), this.max - span);
    this.to = this.from + span;
  }

  /** Shows everything. */
  showAll() {
    this.from = this.min;
    this.to = this.max;
  }

  /**
   * Makes the range larger or smaller around a time that stays in its place.
   *
   * @param {number} factor less than 1 shows more detail
   * @param {number} t
   */
  zoom(factor, t) {
    const span = this.to - this.from;
    const next = Math.min(Math.max(span * factor, SHORTEST), this.max - this.min);
    const from = t - (t - this.from) * next / span;
    this.show(from, from + next);
  }

  /**
   * Moves the range.
   *
   * @param {number} part the distance as a part of the range
   */
  pan(part) {
    const step = (this.to - this.from) * part;
    this.show(this.from + step, this.to + step);
  }

  /**
   * Moves the range to a time that it does not contain.
   *
   * @param {number} t
   */
  reveal(t) {
    const span = this.to - this.from;
    if (t >= this.from && t <= this.to) return;
    this.show(t - span / 2, t + span / 2);
  }
}

/** The steps between marks, as multiples of a power of ten, and those of more than ten seconds. */
const STEPS = [1, 2, 5];
const LONG_STEPS = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200];

/**
 * Returns the marks of an axis.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} count the most marks
 * @param {number} offset the seconds of the day at time 0, so that marks are at round times
 * @returns {{ times: number[], places: number }} the marks, and the digits behind the seconds
 */
export function marksOf(from, to, count, offset) {
  const step = stepFor((to - from) / Math.max(count, 1));
  const places = step >= 1 ? 0 : Math.min(6, Math.ceil(-Math.log10(step) - 1e-9));
  const first = Math.ceil((from + offset) / step - 1e-9);
  const last = Math.floor((to + offset) / step + 1e-9);
  const times = [];
  for (let mark = first; mark <= last; mark++) times.push(mark * step - offset);
  return { times, places };
}

/** @param {number} least */
function stepFor(least) {
  if (least > 10) {
    const step = LONG_STEPS.find((each) => each >= least);
    return step ?? Math.ceil(least / 86400) * 86400;
  }
  const power = 10 ** Math.floor(Math.log10(least));
  const factor = STEPS.find((each) => each * power >= least * (1 - 1e-9)) ?? 10;
  return factor * power;
}
