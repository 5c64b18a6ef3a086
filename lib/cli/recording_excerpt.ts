/**
 * An excerpt of a recording: the lines that pass a filter, as a recording of its own.
 *
 * Lines that refer to others get the numbers that these have in the excerpt.
 *
 * @module
 */

import type { RecordedMessage, RecordingLine } from "../observe/recording_line.ts";
import { memberTexts } from "../wire/json_text.ts";
import { WAITING_LIMIT } from "./traffic_entries.ts";
import { commandMembers, commandName, eventName, OWN, textOf } from "./traffic_names.ts";
import type { TrafficFilter } from "./traffic_filters.ts";

/** The maker of an excerpt. */
export class RecordingExcerpt {
  readonly #filter: TrafficFilter;
  readonly #vm: string | undefined;
  /** The numbers in the excerpt of the commands that wait for replies, by their numbers in the recording. */
  readonly #numbers = new Map<number, number>();
  /** The number of the last line of the excerpt; the header is line 1. */
  #last = 1;

  /**
   * Creates a maker for the lines after the header.
   *
   * @param vm the VM of the header
   */
  constructor(filter: TrafficFilter, vm: string | undefined) {
    this.#filter = filter;
    this.#vm = vm;
  }

  /**
   * Takes the next line.
   *
   * @param text the line as it was written, unless it has been changed
   * @returns the line for the excerpt, if it passes
   */
  take(number: number, line: RecordingLine, text: string | undefined): string | undefined {
    const references = line.kind === "gap" ? {} : this.#references(line);
    if (references === undefined) return undefined;
    this.#last++;
    if (line.kind === "command") this.#note(number);
    return textWith(line, text, references);
  }

  /** Returns the lines to which a line refers, as numbers of the excerpt; `undefined` if it does not pass. */
  #references(line: RecordedMessage): References | undefined {
    const { kind, side, vm = this.#vm, client, of } = line;
    const place = { vm, client };
    const filter = this.#filter;
    switch (kind) {
      case "command": {
        const asked = side === "qemu" ? line.for ?? [] : [];
        if (asked.length > 0) {
          const kept = asked.flatMap((each) => this.#numbers.get(each) ?? []);
          return kept.length > 0 || filter.isEmpty ? { for: kept } : undefined;
        }
        const asker = side === "qemu" ? { vm, client: OWN } : place;
        if (!filter.isEmpty && !filter.command(asker, nameOf(line))) return undefined;
        return line.for === undefined ? {} : { for: [] };
      }
      case "reply": {
        const command = of === undefined ? undefined : this.#numbers.get(of);
        if (of !== undefined) this.#numbers.delete(of);
        if (command !== undefined) return { of: command };
        return filter.isEmpty ? {} : undefined;
      }
      case "event": {
        if (filter.isEmpty) return {};
        return filter.event(place, eventName(memberTexts(textOf(line)))) ? {} : undefined;
      }
      default:
        return filter.connection(place) ? {} : undefined;
    }
  }

  #note(number: number): void {
    this.#numbers.set(number, this.#last);
    if (this.#numbers.size > WAITING_LIMIT) {
      this.#numbers.delete(this.#numbers.keys().next().value!);
    }
  }
}

/** The members that refer to other lines. */
interface References {
  readonly of?: number;
  readonly for?: readonly number[];
}

function nameOf(line: RecordedMessage): string | undefined {
  return commandName(commandMembers(textOf(line)))[0];
}

/** Returns a line with these references in place of its own, as it was written if nothing changes. */
function textWith(line: RecordingLine, text: string | undefined, references: References): string {
  if (line.kind === "gap") return text ?? JSON.stringify({ t: line.t, dropped: line.dropped });
  const { of: own, for: asked, ...members } = line;
  const isSame = own === references.of && asked?.join() === references.for?.join();
  return isSame && text !== undefined ? text : JSON.stringify({ ...members, ...references });
}
