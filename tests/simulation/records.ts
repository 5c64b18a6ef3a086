/**
 * That each command is put on record once, when it has come to its end.
 *
 * @module
 */

import type { Happening, Observer } from "../../lib/mod.ts";
import { Broken } from "./broken.ts";

/** Who is told what became of commands, and compares it with what was asked. */
export class Records implements Observer {
  /** The names of commands that have not come to their end, by who asked them. */
  readonly #open = new Map<string, string[]>();

  /** The number of clients that have left. */
  left = 0;

  /** A client asks something. */
  asked(party: string, name: string): void {
    const names = this.#open.get(party);
    if (names) names.push(name);
    else this.#open.set(party, [name]);
  }

  /** Nothing is under way: is all on record? */
  settled(): void {
    for (const [party, names] of this.#open) {
      throw new Broken("records", `${party}'s ${names.join(", ")} is not on record`);
    }
  }

  /** Takes note of a command that has ended. */
  observe(happening: Happening): void {
    if (happening.kind === "left") this.left++;
    if (happening.kind !== "command") return;
    const { client: { name: party }, command: { name }, outcome: { result } } = happening;
    const names = this.#open.get(party) ?? [];
    const at = names.indexOf(name);
    if (at < 0) throw new Broken("records", `${party}'s ${name} is on record twice: ${result}`);
    names.splice(at, 1);
    if (names.length === 0) this.#open.delete(party);
  }
}
