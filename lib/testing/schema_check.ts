/**
 * QEMU's error for a command, from the schema of that QEMU.
 *
 * @module
 */

import type { Introspection } from "../client/introspection.ts";
import { argumentsOf, type Command } from "../wire/message.ts";
import { ArgumentCheck } from "./argument_check.ts";
import type { Version } from "./masked_types.ts";

/** An error of QEMU. */
export interface QemuError {
  /** The class. */
  readonly errorClass: string;
  /** The text. */
  readonly desc: string;
}

/** The parts of a command that are checked. */
export type Checked = Pick<Command, "name" | "argumentBytes">;

/** Checks commands as the QEMU of a schema does before it runs them. */
export class SchemaCheck {
  readonly #schema: Introspection;
  readonly #version: Version;
  readonly #arguments: ArgumentCheck;

  /**
   * Creates a check of a schema.
   *
   * @param version the version of its QEMU, for what the schema does not tell
   */
  constructor(schema: Introspection, version: Version) {
    this.#schema = schema;
    this.#version = version;
    this.#arguments = new ArgumentCheck(schema, version);
  }

  /** Returns QEMU's error for a command, or `undefined` if QEMU would run it. */
  error(command: Checked): QemuError | undefined {
    const { name } = command;
    const known = this.#schema.commands.get(name);
    if (known === undefined) {
      return { errorClass: "CommandNotFound", desc: `The command ${name} has not been found` };
    }
    const desc = name === "device_add"
      ? this.#deviceAdd(command)
      : this.#arguments.problem(argumentsOf(command).bytes, known.arguments);
    return desc === undefined ? undefined : { errorClass: "GenericError", desc };
  }

  /**
   * Checks `device_add`, whose other arguments are the properties of a device.
   *
   * QEMU does not check them against the schema. QEMU 7.2 checks the id first, and takes a number or a
   * boolean as the name of a driver; 10.0 takes only a string.
   */
  #deviceAdd(command: Checked): string | undefined {
    const isOlder = this.#version[0] < 10;
    const id = argumentsOf(command);
    if (isOlder && id.member("id") && id.isString && !IDENTIFIER.test(id.scalar)) {
      return "Parameter 'id' expects an identifier";
    }
    const driver = argumentsOf(command);
    const isGiven = driver.member("driver") &&
      (driver.isString || (isOlder && driver.isScalar && driver.scalar !== "null"));
    return isGiven ? undefined : "Parameter 'driver' is missing";
  }
}

/** An id of QEMU's options. */
const IDENTIFIER = /^[A-Za-z][-._A-Za-z0-9]*$/;
