/**
 * The check that each command is recorded once, when it has ended.
 *
 * @module
 */

import type { Happening, Observer } from "../../lib/mod.ts";
import { Broken } from "./broken.ts";

/** An observer that compares the records of commands with the commands that were sent. */
export class Records implements Observer {
  /** The names of commands that have not ended, by client. */
  readonly #open = new Map<string, string[]>();

  /** The number of clients that have disconnected. */
  left = 0;

  /** Adds a client's command. */
  asked(party: string, name: string): void {
    const names = this.#open.get(party);
    if (names) names.push(name);
    else this.#open.set(party, [name]);
  }

  /** Checks that everything is recorded when nothing is pending. */
  settled(): void {
    for (const [party, names] of this.#open) {
      throw new Broken("records", `${party}'s ${names.join(", ")} is not recorded`);
    }
  }

  /** Checks the record of an ended command; counts disconnected clients. */
  observe(happening: Happening): void {
    if (happening.kind === "left") this.left++;
    if (happening.kind !== "command") return;
    const { client: { name: party }, command: { name }, outcome: { result } } = happening;
    const names = this.#open.get(party) ?? [];
    const at = names.indexOf(name);
    if (at < 0) throw new Broken("records", `${party}'s ${name} is recorded twice: ${result}`);
    names.splice(at, 1);
    if (names.length === 0) this.#open.delete(party);
  }
}
