/**
 * The taps of all hubs: who looks at which.
 *
 * A hub has a tap only while somebody looks. An error of a tap ends that tap, and nothing else.
 *
 * @module
 */

import type { Tap, Traffic, TrafficSource } from "./traffic.ts";

/** A looker at the traffic of hubs. */
export interface Looker {
  /** Returns whether it looks at the hub of a VM with this name. */
  looksAt(vm: string): boolean;
  /** Begins to look at a hub; returns the tap for it. */
  open(source: TrafficSource): Tap;
  /** Ends looking at a hub, which is gone. */
  close(source: TrafficSource): void;
  /** Called once after an internal error: nothing more is passed to it. */
  failed(error: unknown): void;
}

/** The hubs, and those who look at them. */
export class Taps {
  readonly #sources = new Map<TrafficSource, Map<Looker, Tap>>();
  readonly #lookers = new Set<Looker>();

  /** Adds a hub, at which the present and later lookers look. */
  join(source: TrafficSource): void {
    this.#sources.set(source, new Map());
    for (const looker of this.#lookers) this.#open(looker, source);
  }

  /** Removes a hub. */
  leave(source: TrafficSource): void {
    const taps = this.#sources.get(source);
    this.#sources.delete(source);
    source.tap = undefined;
    for (const looker of taps?.keys() ?? []) looker.close(source);
  }

  /** Adds a looker, which looks at the present and later hubs. */
  add(looker: Looker): void {
    this.#lookers.add(looker);
    for (const source of this.#sources.keys()) this.#open(looker, source);
  }

  /** Removes a looker. */
  remove(looker: Looker): void {
    if (!this.#lookers.delete(looker)) return;
    for (const [source, taps] of this.#sources) {
      if (taps.delete(looker)) this.#set(source, taps);
    }
  }

  #open(looker: Looker, source: TrafficSource): void {
    if (!looker.looksAt(source.vm)) return;
    const taps = this.#sources.get(source)!;
    this.attempt(looker, () => {
      taps.set(looker, looker.open(source));
      this.#set(source, taps);
    });
  }

  #set(source: TrafficSource, taps: ReadonlyMap<Looker, Tap>): void {
    const all = [...taps];
    source.tap = all.length === 0 ? undefined : {
      take: (traffic: Traffic): void => {
        // No closure for `attempt`: this is done for each message.
        for (const [looker, tap] of all) {
          try {
            tap.take(traffic);
          } catch (error) {
            this.#end(looker, error);
          }
        }
      },
    };
  }

  /** Runs work of a looker; an error of it ends that looker. */
  attempt(looker: Looker, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#end(looker, error);
    }
  }

  #end(looker: Looker, error: unknown): void {
    // Traffic that is being passed on may reach it once more.
    if (!this.#lookers.has(looker)) return;
    this.remove(looker);
    looker.failed(error);
  }
}
