/**
 * An observer that records all calls, as lines.
 *
 * @module
 */

import type { Gate, Happening, Observer, Outcome, Recording } from "../../lib/observe/observer.ts";
import type { Command } from "../../lib/wire/message.ts";

/** An observer that records everything as lines, in order. */
export class Notebook implements Observer, Gate {
  lines: string[] = [];
  /** The outcomes of commands. */
  readonly outcomes: Outcome[] = [];
  /** An objection to every command except the exempt ones. */
  objected: string | undefined;
  readonly exempt = new Set(["qmp_capabilities"]);

  objection({ name }: Command): string | undefined {
    return this.exempt.has(name) ? undefined : this.objected;
  }

  observe(happening: Happening): void {
    this.lines.push(lineOf(happening));
    if (happening.kind === "command") this.outcomes.push(happening.outcome);
  }

  /** This observer as the only one, and as the gate. */
  get recording(): Recording {
    return { observers: [this], gate: this };
  }

  /** Returns the lines so far, and removes them. */
  take(): string[] {
    const { lines } = this;
    this.lines = [];
    return lines;
  }
}

function lineOf(happening: Happening): string {
  switch (happening.kind) {
    case "command": {
      const { client: { name, grant }, command, outcome } = happening;
      return `${name} ${grant.role.name} ${command.name} ${outcome.result}`;
    }
    case "event":
      return `${happening.event.name} to ${happening.clients}`;
    case "left":
      return `left: ${happening.ending}`;
    default:
      return happening.kind;
  }
}
