/**
 * The reader of arguments of commands that qmpmux answers itself, with QEMU's checks and errors.
 *
 * Members are checked in the order of the command's schema, and then for unknown members. Only
 * the first error is reported. The texts were measured on QEMU 7.2.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { NameTable } from "../wire/names.ts";
import { argumentsOf, type Command } from "../wire/message.ts";
import { firstUnexpected } from "../wire/order.ts";

/** An error for a wrong argument, with QEMU's text. */
export class ArgumentError extends Error {
  /** The kind of error. */
  override name = "ArgumentError";
}

/** The arguments of one command; each `take…` method reads one, and `end` refuses all others. */
export class Arguments {
  readonly #command: Command;
  readonly #taken = new Set<string>();

  /** Creates a reader of a command's arguments. */
  constructor(command: Command) {
    this.#command = command;
  }

  /**
   * Reads a string.
   *
   * @throws ArgumentError if it is missing or not a string
   */
  takeString(name: string): string {
    const value = this.#take(name);
    if (!value.isString) throw wrongType(name, "string");
    return value.scalar;
  }

  /**
   * Takes a string that may be absent.
   *
   * @throws ArgumentError if it is not a string
   */
  takeOptionalString(name: string): string | undefined {
    return this.#find(name) && this.takeString(name);
  }

  /**
   * Takes an object that may be absent, and returns its bytes.
   *
   * @throws ArgumentError if it is not an object
   */
  takeOptionalObject(name: string): Uint8Array | undefined {
    const value = this.#find(name);
    if (value === undefined) return undefined;
    if (!value.isObject) throw wrongType(name, "object");
    return value.bytes;
  }

  /**
   * Takes a string or a number that may be absent.
   *
   * @throws ArgumentError if it is something else
   */
  takeOptionalScalar(name: string): string | number | undefined {
    const value = this.#find(name);
    if (value === undefined || value.isString) return value?.scalar;
    if (!value.isNumber) throw wrongType(name, "string or number");
    return Number(value.scalar);
  }

  /**
   * Takes a number that may be absent.
   *
   * @throws ArgumentError if it is something else, or not from `least` to `most`
   */
  takeOptionalNumber(name: string, least: number, most: number): number | undefined {
    const value = this.#find(name);
    if (value === undefined) return undefined;
    if (!value.isNumber) throw wrongType(name, "number");
    const number = Number(value.scalar);
    if (number >= least && number <= most) return number;
    throw new ArgumentError(`Parameter '${name}' expects a number from ${least} to ${most}`);
  }

  /**
   * Takes an array of strings that may be absent, as {@linkcode takeStrings} does.
   *
   * @throws ArgumentError if it is not an array of strings
   */
  takeOptionalStrings(name: string, most = Infinity): string[] | undefined {
    return this.#find(name) && this.takeStrings(name, most);
  }

  /**
   * Takes an array of strings.
   *
   * @param most the number of strings to decode; further ones are returned empty
   * @throws ArgumentError if it is missing or not an array of strings
   */
  takeStrings(name: string, most = Infinity): string[] {
    const strings: string[] = [];
    eachString(name, this.#take(name), (value) => {
      strings.push(strings.length < most ? value.scalar : "");
    });
    return strings;
  }

  /**
   * Takes a boolean that may be absent.
   *
   * @throws ArgumentError if it is not a boolean
   */
  takeOptionalBoolean(name: string): boolean | undefined {
    const value = this.#find(name);
    if (value === undefined) return undefined;
    if (value.isScalar && !value.isString && !value.isNumber && value.raw !== "null") {
      return value.raw === "true";
    }
    throw wrongType(name, "boolean");
  }

  /**
   * Reads an optional array of strings, each of which must be among `known`.
   *
   * @throws ArgumentError if it is not an array of known values
   */
  takeOptionalValues(name: string, known: readonly string[]): string[] {
    const value = this.#find(name);
    if (value === undefined) return [];
    const table = new NameTable(known.map((each) => [each, each]));
    const values: string[] = [];
    eachString(name, value, (element) => {
      const taken = element.stringIn(table);
      // QEMU prints 'null' here, because an element of a list has no name.
      if (taken === undefined) {
        throw new ArgumentError(`Parameter 'null' does not accept value '${element.scalar}'`);
      }
      values.push(taken);
    });
    return values;
  }

  /**
   * Checks that there are no other arguments than those already read.
   *
   * @throws ArgumentError if there is another one
   */
  end(): void {
    if (!this.#hasOthers()) return;
    const name = firstUnexpected(this.#command.argumentBytes!, this.#taken);
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

/** Visits the strings of an array; each one is checked completely before the next. */
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
