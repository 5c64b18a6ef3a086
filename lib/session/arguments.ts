/**
 * Arguments checked as QEMU checks them, for the commands qmpmux answers itself.
 *
 * Members are looked at in the order the command's schema lists them, what is
 * left over is an error; the first offence wins. Texts measured on QEMU 7.2.
 *
 * @module
 */

import { firstUnexpected } from "../wire/format.ts";
import { FrameSplitter, type Member } from "../wire/frame.ts";
import { argumentsText, type Command } from "../wire/message.ts";

/** What is wrong with an argument, in QEMU's words. */
export class ArgumentError extends Error {
  /** Its kind. */
  override name = "ArgumentError";
}

/** One command's arguments; each `take…` uses one up, `end` refuses the rest. */
export class Arguments {
  readonly #text: string;
  readonly #left: Map<string, unknown>;

  /** The arguments of a command, none used up. */
  constructor(command: Command) {
    this.#text = argumentsText(command);
    this.#left = new Map(Object.entries(JSON.parse(this.#text)));
  }

  /**
   * Takes a string.
   *
   * @throws ArgumentError where it is missing or no string
   */
  takeString(name: string): string {
    const value = this.#take(name);
    if (typeof value !== "string") throw wrongType(name, "string");
    return value;
  }

  /**
   * Takes an array of strings.
   *
   * @throws ArgumentError where it is missing or no array of strings
   */
  takeStrings(name: string): string[] {
    return [...strings(name, this.#take(name))];
  }

  /**
   * Like `takeStrings`, but may be absent, and each value must be among `known`.
   *
   * @throws ArgumentError where it is no array of known values
   */
  takeOptionalValues(name: string, known: readonly string[]): string[] {
    if (!this.#left.has(name)) return [];
    const values: string[] = [];
    for (const value of strings(name, this.#take(name))) {
      // QEMU names the parameter 'null': an element of a list has no name of its own.
      if (!known.includes(value)) {
        throw new ArgumentError(`Parameter 'null' does not accept value '${value}'`);
      }
      values.push(value);
    }
    return values;
  }

  /**
   * All arguments have been taken.
   *
   * @throws ArgumentError where something is left
   */
  end(): void {
    if (this.#left.size === 0) return;
    const name = firstUnexpected(membersOf(this.#text), this.#left);
    throw new ArgumentError(`Parameter '${name}' is unexpected`);
  }

  #take(name: string): unknown {
    if (!this.#left.has(name)) throw new ArgumentError(`Parameter '${name}' is missing`);
    const value = this.#left.get(name);
    this.#left.delete(name);
    return value;
  }
}

/** The members of an object's text in its own order, which `JSON.parse` does not keep for digits. */
function membersOf(text: string): readonly Member[] {
  const splitter = new FrameSplitter();
  splitter.load(new TextEncoder().encode(text));
  const frame = splitter.next();
  return frame !== undefined && "members" in frame ? frame.members : [];
}

function wrongType(name: string, expected: string): ArgumentError {
  return new ArgumentError(`Invalid parameter type for '${name}', expected: ${expected}`);
}

/** Elements one by one, so that each is checked whole before the next is looked at. */
function* strings(name: string, value: unknown): Generator<string> {
  if (!Array.isArray(value)) throw wrongType(name, "array");
  for (const [index, item] of value.entries()) {
    if (typeof item !== "string") throw wrongType(`${name}[${index}]`, "string");
    yield item;
  }
}
