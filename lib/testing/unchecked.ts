/**
 * The commands whose arguments QEMU does not check against the schema, and the few checks that it makes.
 *
 * @module
 */

import { argumentsOf, type Command } from "../wire/message.ts";
import type { Version } from "./masked_types.ts";

/** The parts of a command that are looked at. */
export type Given = Pick<Command, "name" | "argumentBytes">;

/** Returns the error of QEMU; `undefined` if it makes no other check without a machine. */
export type OwnCheck = (command: Given) => string | undefined;

/** A command, by versions. */
interface Unchecked {
  readonly name: string;
  /** The major version before which QEMU does so. */
  readonly before: number;
  readonly problem: OwnCheck;
}

/** An id of QEMU's options. */
const IDENTIFIER = /^[A-Za-z][-._A-Za-z0-9]*$/;

/** The first row of a command that suits the version counts. Measured on 5.2, 7.2, 8.2, 10.0 and 11.1. */
const UNCHECKED: readonly Unchecked[] = [
  { name: "query-qmp-schema", before: 6, problem: () => undefined },
  {
    name: "object-add",
    before: 6,
    problem: (command) => {
      const props = argumentsOf(command);
      return props.member("props") && !props.isObject
        ? "Invalid parameter type for 'props', expected: dict"
        : missing(command, "qom-type") ?? missing(command, "id");
    },
  },
  {
    name: "device_add",
    before: 10,
    // It takes a number or a boolean as the name of a driver, too.
    problem: (command) => {
      const id = argumentsOf(command);
      if (id.member("id") && id.isString && !IDENTIFIER.test(id.scalar)) {
        return "Parameter 'id' expects an identifier";
      }
      const driver = argumentsOf(command);
      const isGiven = driver.member("driver") && driver.isScalar &&
        (driver.isString || driver.scalar !== "null");
      return isGiven ? undefined : "Parameter 'driver' is missing";
    },
  },
  { name: "device_add", before: Infinity, problem: (command) => missing(command, "driver") },
];

/** Returns the error for a member that is missing or no string. */
function missing(command: Given, name: string): string | undefined {
  const cursor = argumentsOf(command);
  return cursor.member(name) && cursor.isString ? undefined : `Parameter '${name}' is missing`;
}

/** Returns the check of a command that is not checked against the schema; `undefined` for all others. */
export function uncheckedBy(name: string, [major]: Version): OwnCheck | undefined {
  return UNCHECKED.find((each) => each.name === name && major < each.before)?.problem;
}
