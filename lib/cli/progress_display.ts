/**
 * The progress of a job on stderr: a bar on a terminal, plain lines elsewhere.
 *
 * @module
 */

import { say } from "../platform/log.ts";
import { terminalColumns, TerminalLine } from "../platform/terminal.ts";
import { type JobView, Progress } from "./progress.ts";

/** A display of the progress of one job. */
export interface Display {
  /** Shows a state. */
  show(view: JobView): void;
  /** Shows that all is done. */
  done(): void;
  /** Ends the display; messages may follow. */
  end(): void;
}

/** Plain lines come at each change of the status, at each such step of the percentage, and after this time. */
const STEP_PERCENT = 10;
const STEP_SECONDS = 60;

/** Returns the display for this stderr, whose lines begin with a name. */
export function displayOf(name: string): Display {
  return terminalColumns() === undefined ? new Lines(name) : new Bar(name);
}

function now(): number {
  return performance.now() / 1000;
}

/** A bar on a terminal. */
class Bar implements Display {
  readonly #name: string;
  readonly #progress = new Progress();
  readonly #line = new TerminalLine();

  constructor(name: string) {
    this.#name = name;
  }

  show(view: JobView): void {
    this.#progress.add(now(), view);
    this.#draw();
  }

  done(): void {
    this.#progress.finish();
    this.#draw();
  }

  end(): void {
    this.#line.end();
  }

  #draw(): void {
    // The width may have changed.
    this.#line.draw(this.#progress.line(this.#name, terminalColumns() ?? 0));
  }
}

/** Plain lines. */
class Lines implements Display {
  readonly #name: string;
  readonly #progress = new Progress();
  #shown: { readonly status: string; readonly step: number; readonly seconds: number } | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  show(view: JobView): void {
    const seconds = now();
    this.#progress.add(seconds, view);
    const { status } = view;
    const step = Math.floor((this.#progress.percent ?? 0) / STEP_PERCENT);
    const last = this.#shown;
    const isOld = last === undefined || seconds - last.seconds >= STEP_SECONDS;
    if (!isOld && status === last.status && step === last.step) return;
    this.#shown = { status, step, seconds };
    say(`${this.#name}: ${this.#progress.words.join(", ")}`);
  }

  done(): void {
    say(`${this.#name}: done`);
  }

  end(): void {}
}
