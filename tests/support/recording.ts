/**
 * An observer that keeps all calls, as lines.
 *
 * @module
 */

import type { Ending, Observer, Outcome, Party } from "../../lib/observe/observer.ts";
import type { Command, Event } from "../../lib/wire/message.ts";

/** An observer that keeps everything as lines, in order. */
export class Notebook implements Observer {
  lines: string[] = [];
  /** The outcomes of commands. */
  readonly outcomes: Outcome[] = [];
  /** An objection to every command but the exempt ones. */
  objected: string | undefined;
  readonly exempt = new Set(["qmp_capabilities"]);

  objection({ name }: Command): string | undefined {
    return this.exempt.has(name) ? undefined : this.objected;
  }

  ended({ name, grant }: Party, command: Command, outcome: Outcome): void {
    this.lines.push(`${name} ${grant.role.name} ${command.name} ${outcome.result}`);
    this.outcomes.push(outcome);
  }

  joined(): void {
    this.lines.push("joined");
  }

  cached(): void {
    this.lines.push("kept");
  }

  spread({ name }: Event, clients: number): void {
    this.lines.push(`${name} to ${clients}`);
  }

  left(ending: Ending): void {
    this.lines.push(`left: ${ending}`);
  }

  qemuCame(): void {
    this.lines.push("qemu");
  }

  /** Takes the lines so far. */
  take(): string[] {
    const { lines } = this;
    this.lines = [];
    return lines;
  }
}
