/**
 * The progress of a job as text: percent, rate, time left, and a bar.
 *
 * @module
 */

import { shortened } from "../wire/shortened.ts";

/** The state of a job at a moment. */
export interface JobView {
  /** Its status, in QEMU's word. */
  readonly status: string;
  /** Whether the status is the usual one, which needs no word. */
  readonly isUsual: boolean;
  /** The work that is done, in any unit. */
  readonly done: number;
  /** All work, in the same unit; 0 if it is unknown. */
  readonly total: number;
  /** The bytes that were moved so far; `undefined` if they are unknown. */
  readonly bytes: number | undefined;
  /** The step that it waits for, for people. */
  readonly hint: string | undefined;
}

/** A sample of a number that grows. */
interface Sample {
  readonly seconds: number;
  readonly value: number;
}

/** The time over which a rate is measured, in seconds. */
const WINDOW_SECONDS = 10;

/** The shortest time that gives a rate, in seconds. */
const LEAST_SECONDS = 0.5;

/** The rate of a number that grows, over the last seconds. */
export class Rate {
  readonly #samples: Sample[] = [];

  /** Takes the number at a moment. */
  add(seconds: number, value: number): void {
    const last = this.#samples.at(-1);
    // Work that begins anew has another rate.
    if (last !== undefined && value < last.value) this.#samples.length = 0;
    this.#samples.push({ seconds, value });
    const isOld = ({ seconds: then }: Sample): boolean => seconds - then >= WINDOW_SECONDS;
    while (this.#samples.length > 2 && isOld(this.#samples[1]!)) this.#samples.shift();
  }

  /** The rate per second; `undefined` while it is unknown. */
  get perSecond(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const seconds = last.seconds - first.seconds;
    return seconds < LEAST_SECONDS ? undefined : (last.value - first.value) / seconds;
  }
}

/** The progress of one job, with its rates. */
export class Progress {
  readonly #work = new Rate();
  readonly #bytes = new Rate();
  #view: JobView | undefined;

  /** Takes the state of the job at a moment. */
  add(seconds: number, view: JobView): void {
    this.#view = view;
    this.#work.add(seconds, view.done);
    if (view.bytes !== undefined) this.#bytes.add(seconds, view.bytes);
  }

  /** Notes that everything is done. */
  finish(): void {
    const total = this.#view?.total || 1;
    const [isUsual, bytes, hint] = [false, undefined, undefined];
    this.#view = { status: "done", isUsual, done: total, total, bytes, hint };
  }

  /** The percent that is done, rounded down; `undefined` while all work is unknown. */
  get percent(): number | undefined {
    const { done, total } = this.#view!;
    return total > 0 ? Math.floor(100 * Math.min(1, done / total)) : undefined;
  }

  /** Returns the words behind the bar, or on a line: percent, rate, time left, status. */
  get words(): readonly string[] {
    const { status, isUsual, hint, done, total } = this.#view!;
    const words: string[] = [];
    if (this.percent !== undefined) words.push(`${this.percent} %`);
    const [work, bytes] = [this.#work.perSecond ?? 0, this.#bytes.perSecond];
    const isMoving = work > 0 && done < total;
    if (bytes !== undefined && isMoving) words.push(`${bytesText(bytes)}/s`);
    if (isMoving) words.push(`${timeText((total - done) / work)} left`);
    if (!isUsual || words.length === 0) words.push(status);
    if (hint !== undefined) words.push(hint);
    return words;
  }

  /** Returns a line for a terminal of a width, with a bar if there is room. */
  line(name: string, columns: number): string {
    const percent = this.percent;
    const text = this.words.join("  ");
    const room = columns - name.length - text.length - 7;
    const width = Math.min(BAR_WIDTH.most, room);
    if (percent === undefined || width < BAR_WIDTH.least) {
      return shortened(`${name}  ${text}`, Math.max(1, columns - 1));
    }
    const full = Math.floor(width * percent / 100);
    return `${name}  [${"#".repeat(full)}${"-".repeat(width - full)}]  ${text}`;
  }
}

/** The widths of the bar in characters. */
const BAR_WIDTH = { least: 8, most: 40 } as const;

const UNITS: readonly string[] = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Returns a number of bytes with a unit. */
export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Returns a time as `m:ss`, or `h:mm:ss`. */
export function timeText(seconds: number): string {
  const all = Math.ceil(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor(all / 60) % 60];
  const rest = two(all % 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}
