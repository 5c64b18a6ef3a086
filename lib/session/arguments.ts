/**
 * Arguments checked as QEMU checks them, for the commands qmpmux answers itself.
 *
 * Members are looked at in the order the command's schema lists them, what is
 * left over is an error; the first offence wins. Texts measured on QEMU 7.2.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { NameTable } from "../wire/names.ts";
import { argumentsOf, type Command } from "../wire/message.ts";
import { firstUnexpected } from "../wire/order.ts";

/** What is wrong with an argument, in QEMU's words. */
export class ArgumentError extends Error {
  /** Its kind. */
  override name = "ArgumentError";
}

/** One command's arguments; each `take…` uses one up, `end` refuses the rest. */
export class Arguments {
  readonly #command: Command;
  readonly #taken = new Set<string>();

  /** The arguments of a command, none used up. */
  constructor(command: Command) {
    this.#command = command;
  }

  /**
   * Takes a string.
   *
   * @throws ArgumentError where it is missing or no string
   */
  takeString(name: string): string {
    const value = this.#take(name);
    if (!value.isString) throw wrongType(name, "string");
    return value.scalar;
  }

  /**
   * Takes an array of strings.
   *
   * @param most the texts of so many are read; those behind are empty
   * @throws ArgumentError where it is missing or no array of strings
   */
  takeStrings(name: string, most = Infinity): string[] {
    const strings: string[] = [];
    eachString(name, this.#take(name), (value) => {
      strings.push(strings.length < most ? value.scalar : "");
    });
    return strings;
  }

  /**
   * Like `takeStrings`, but may be absent, and each value must be among `known`.
   *
   * @throws ArgumentError where it is no array of known values
   */
  takeOptionalValues(name: string, known: readonly string[]): string[] {
    const value = this.#find(name);
    if (value === undefined) return [];
    const table = new NameTable(known.map((each) => [each, each]));
    const values: string[] = [];
    eachString(name, value, (element) => {
      const taken = element.stringIn(table);
      // QEMU names the parameter 'null': an element of a list has no name of its own.
      if (taken === undefined) {
        throw new ArgumentError(`Parameter 'null' does not accept value '${element.scalar}'`);
      }
      values.push(taken);
    });
    return values;
  }

  /**
   * All arguments have been taken.
   *
   * @throws ArgumentError where something is left
   */
  end(): void {
    if (!this.#hasOthers()) return;
    const name = firstUnexpected(this.#command.argumentBytes!, (key) => this.#taken.has(key));
    throw new ArgumentError(`Parameter '${name}' is unexpected`);
  }

  #hasOthers(): boolean {
    const cursor = argumentsOf(this.#command);
    if (!cursor.enter()) return false;
    do {
      if (!this.#taken.has(cursor.key())) return true;
      cursor.skip();
    } while (cursor.next());
    return false;
  }

  #take(name: string): Cursor {
    const value = this.#find(name);
    if (value === undefined) throw new ArgumentError(`Parameter '${name}' is missing`);
    return value;
  }

  #find(name: string): Cursor | undefined {
    const cursor = argumentsOf(this.#command);
    if (!cursor.member(name)) return undefined;
    this.#taken.add(name);
    return cursor;
  }
}

function wrongType(name: string, expected: string): ArgumentError {
  return new ArgumentError(`Invalid parameter type for '${name}', expected: ${expected}`);
}

/** Visits elements one by one, so that each is checked whole before the next is looked at. */
function eachString(name: string, value: Cursor, visit: (string: Cursor) => void): void {
  if (!value.isArray) throw wrongType(name, "array");
  let index = 0;
  if (!value.enter()) return;
  do {
    if (!value.isString) throw wrongType(`${name}[${index}]`, "string");
    visit(value);
    value.skip();
    index++;
  } while (value.next());
}
