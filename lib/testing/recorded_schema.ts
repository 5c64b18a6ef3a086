/**
 * The schema in a file that is played: the replies to commands that were not recorded.
 *
 * @module
 */

import { type Introspection, readIntrospection, SchemaError } from "../client/introspection.ts";
import type { Command, Greeting, Reply } from "../wire/message.ts";
import { errorReply, returnReply } from "../wire/reply.ts";
import { emptiestReply } from "./emptiest.ts";
import { PlayError, type PlaySchema } from "./play.ts";
import { respelt } from "./respelt.ts";
import { SchemaCheck } from "./schema_check.ts";

/** The schema of a QEMU. */
export class RecordedSchema {
  /** The check of commands against it. */
  readonly check: SchemaCheck;
  readonly #source: unknown;
  readonly #schema: Introspection;
  readonly #greeting: Greeting;

  /**
   * Reads the schema of a QEMU with a greeting.
   *
   * @throws PlayError if it is not one
   */
  constructor({ value, lineOf }: PlaySchema, greeting: Greeting) {
    this.#source = value;
    this.#greeting = greeting;
    try {
      this.#schema = readIntrospection(value);
      const [major, minor] = greeting.version;
      this.check = new SchemaCheck(this.#schema, [major, minor]);
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error;
      const name = /"((?:[^"\\]|\\.)*)"/.exec(error.message)?.[1];
      throw new PlayError(
        lineOf(name),
        `the schema is not whole: ${error.message}; save the reply of query-qmp-schema again`,
      );
    }
  }

  /**
   * Returns the reply to a command: QEMU's error if the schema does not allow it, otherwise the emptiest
   * value of its type.
   *
   * @param hasValues whether values are returned; without them what is allowed has no reply
   */
  reply(command: Command, hasValues: boolean): Reply | undefined {
    const error = this.check.error(command);
    if (error !== undefined) return errorReply(error.errorClass, error.desc);
    return hasValues ? this.#emptiest(command.name) : undefined;
  }

  #emptiest(name: string): Reply {
    const { commands } = this.#schema;
    switch (name) {
      case "query-qmp-schema":
        return returnReply(respelt(JSON.stringify(this.#source)));
      case "query-commands":
        return returnReply(respelt(JSON.stringify([...commands.keys()].map((name) => ({ name })))));
      case "query-version":
        return returnReply(respelt(JSON.stringify(versionIn(this.#greeting))));
    }
    return emptiestReply(name, this.#schema);
  }
}

/** Returns the version in a greeting. */
function versionIn({ bytes }: Greeting): unknown {
  const { QMP: { version } } = JSON.parse(new TextDecoder().decode(bytes)) as {
    QMP: { version: unknown };
  };
  return version;
}
