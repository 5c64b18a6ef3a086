/**
 * The events that the shell shows as they come.
 *
 * @module
 */

import { type EventStream, GAP } from "../../client/event_stream.ts";
import type { Qmp } from "../../client/qmp.ts";
import type { QmpEvent } from "../../client/schema.ts";
import { printable } from "../../wire/printable.ts";
import { memberTexts } from "../../wire/json_text.ts";
import { shortened } from "../../wire/shortened.ts";
import { onOneLine } from "../replies.ts";
import type { View } from "./view.ts";

/** The most characters of an event on a terminal. */
const SHOWN_CHARS = 2048;

/** The events of a monitor, for one view. */
export class EventFeed {
  readonly #qmp: Qmp;
  readonly #view: View;
  #stream: EventStream<QmpEvent> | undefined;

  /** Creates a feed that shows nothing yet. */
  constructor(qmp: Qmp, view: View) {
    this.#qmp = qmp;
    this.#view = view;
  }

  /** Shows events whose names match a glob from now on; none without globs. */
  show(globs: readonly string[]): void {
    this.#stream?.return();
    this.#stream = undefined;
    if (globs.length === 0) return;
    this.#stream = this.#qmp.events(globs);
    this.#read(this.#stream);
  }

  async #read(stream: EventStream<QmpEvent>): Promise<void> {
    try {
      for await (const event of stream) this.#print(event);
    } catch (error) {
      // The stream ends with the connection, which the shell notices itself.
      this.#view.complain(error instanceof Error ? error.message : String(error));
    }
  }

  #print(event: QmpEvent): void {
    const { isTerminal, paint } = this.#view;
    if (!isTerminal) return this.#view.print(onOneLine(event.text));
    if (event.name === GAP) {
      const { reason } = event.data as { reason?: unknown };
      return this.#view.print(paint("dim", `-- ${printable(String(reason))}`));
    }
    const { seconds, microseconds } = event.timestamp;
    const time = new Date(seconds * 1000 + microseconds / 1000).toTimeString().slice(0, 8);
    const data = memberTexts(event.text)?.get("data") ?? "";
    const name = paint("event", printable(shortened(event.name, SHOWN_CHARS)));
    this.#view.print(`${paint("dim", time)} ${name} ${shown(data)}`.trimEnd());
  }
}

function shown(data: string): string {
  return printable(shortened(data === "{}" ? "" : data, SHOWN_CHARS));
}
