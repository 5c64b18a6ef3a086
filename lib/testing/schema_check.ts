/**
 * QEMU's error for a command, from the schema of that QEMU.
 *
 * @module
 */

import type { Introspection } from "../client/introspection.ts";
import { argumentsOf, type Command } from "../wire/message.ts";
import { ArgumentCheck } from "./argument_check.ts";
import type { Version } from "./masked_types.ts";
import { uncheckedBy } from "./unchecked.ts";

/** An error of QEMU. */
export interface QemuError {
  /** The class. */
  readonly errorClass: string;
  /** The text. */
  readonly desc: string;
}

/** The parts of a command that are checked. */
export type Checked = Pick<Command, "name" | "argumentBytes"> & Partial<Pick<Command, "oob">>;

/** Checks commands as the QEMU of a schema does before it runs them. */
export class SchemaCheck {
  readonly #schema: Introspection;
  readonly #version: Version;
  readonly #arguments: ArgumentCheck;
  readonly #values: ArgumentCheck;

  /**
   * Creates a check of a schema.
   *
   * @param version the version of its QEMU, for what the schema does not tell
   */
  constructor(schema: Introspection, version: Version) {
    this.#schema = schema;
    this.#version = version;
    this.#arguments = new ArgumentCheck(schema, version);
    this.#values = new ArgumentCheck(schema, undefined);
  }

  /** Returns QEMU's error for a command, or `undefined` if QEMU would run it. */
  error(command: Checked): QemuError | undefined {
    const { name } = command;
    const known = this.#schema.commands.get(name);
    if (known === undefined) {
      return { errorClass: "CommandNotFound", desc: `The command ${name} has not been found` };
    }
    if (command.oob && !known.allowsOob) {
      return { errorClass: "GenericError", desc: `The command ${name} does not support OOB` };
    }
    const unchecked = uncheckedBy(name, this.#version);
    const desc = unchecked === undefined
      ? this.#arguments.problem(argumentsOf(command).bytes, known.arguments)
      : unchecked(command);
    return desc === undefined ? undefined : { errorClass: "GenericError", desc };
  }

  /**
   * Returns what is wrong with the value that a command returns, or `undefined` if nothing is.
   *
   * @param bytes the value, without white space
   */
  returnProblem(name: string, bytes: Uint8Array): string | undefined {
    const known = this.#schema.commands.get(name);
    if (known === undefined) return `The command ${name} has not been found`;
    return this.#values.valueProblem(bytes, known.return, "return");
  }

  /**
   * Returns what is wrong with an event, or `undefined` if nothing is.
   *
   * @param bytes its data, without white space; `{}` if it has none
   */
  eventProblem(name: string, bytes: Uint8Array): string | undefined {
    const known = this.#schema.events.get(name);
    if (known === undefined) return `The event ${name} has not been found`;
    return this.#values.valueProblem(bytes, known.data, "data");
  }
}
