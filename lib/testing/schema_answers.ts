/**
 * The answers of a QEMU of which only the schema is known.
 *
 * A command that the schema does not allow gets QEMU's error. Another returns what the test gives, or else the
 * emptiest value of its type.
 *
 * @module
 */

import type { Introspection } from "../client/introspection.ts";
import { parseExact, stringifyExact } from "../client/exact_json.ts";
import { QmpError } from "../client/errors.ts";
import { frameOf } from "../wire/frame.ts";
import { argumentsText, type Command, type Reply } from "../wire/message.ts";
import { errorReply } from "../wire/reply.ts";
import { type Answer, type Answerer, plainAnswer, valueReply } from "./answer.ts";
import { emptiestReply } from "./emptiest.ts";
import type { QemuVersion } from "./qemu_version.ts";
import type { SchemaCheck } from "./schema_check.ts";

/**
 * A function that returns the value of a reply, from the arguments of the command.
 *
 * It may return a promise. If it throws a `QmpError`, that is the reply. A command that returns nothing returns `{}`.
 */
// deno-lint-ignore no-explicit-any -- The schema has checked the arguments, as types would.
export type ReplyFunction = (args: Readonly<Record<string, any>>) => unknown;

/** Values by the names of commands, or functions that return them; integers beyond 2⁵³ are bigints. */
export type Replies = Readonly<
  Record<string, ReplyFunction | object | string | number | bigint | boolean | null>
>;

/** The events of `quit`. */
const SHUTDOWN = { name: "SHUTDOWN", data: { guest: false, reason: "host-qmp-quit" } };

/** The answers from a schema. */
export class SchemaAnswers implements Answerer {
  readonly #schema: Introspection;
  readonly #check: SchemaCheck;
  readonly #functions = new Map<string, ReplyFunction>();
  /** The values that are known. */
  readonly #values: Map<string, unknown>;
  /** The replies that have been made of values. */
  readonly #replies = new Map<string, Reply>();

  /**
   * Creates the answers of a QEMU.
   *
   * @param source the schema itself, as `query-qmp-schema` returns it
   * @param replies the values that the test gives; `query-qmp-schema`, `query-commands` and
   *   `query-version` have values without it
   * @throws TypeError if there is a value for a command that the schema does not have, or if it is `undefined`
   *   or not of the type that the command returns
   */
  constructor(
    schema: Introspection,
    check: SchemaCheck,
    version: QemuVersion,
    source: unknown,
    replies: Replies,
  ) {
    this.#schema = schema;
    this.#check = check;
    const { package: name, ...qemu } = version;
    const commands = [...schema.commands.keys()].map((name) => ({ name }));
    this.#values = new Map<string, unknown>([
      ["query-qmp-schema", source],
      ["query-commands", commands],
      ["query-version", { qemu, package: name }],
    ]);
    for (const [name, given] of Object.entries(replies)) {
      if (!schema.commands.has(name)) throw new TypeError(`the schema has no command "${name}"`);
      if (typeof given === "function") this.#functions.set(name, given as ReplyFunction);
      else this.#replies.set(name, this.#given(name, given));
    }
  }

  /** Returns the answer to a command. */
  async answer(command: Command): Promise<Answer> {
    const error = this.#check.error(command);
    if (error !== undefined) return plainAnswer(errorReply(error.errorClass, error.desc));
    const answer = plainAnswer(await this.#reply(command));
    return command.name === "quit" && answer.reply.kind === "return"
      ? { ...answer, before: [SHUTDOWN], end: { kind: "quit" } }
      : answer;
  }

  async #reply(command: Command): Promise<Reply> {
    const { name } = command;
    const run = this.#functions.get(name);
    if (run === undefined) return this.#known(name);
    try {
      const args = parseExact(argumentsText(command)) as Record<string, unknown>;
      return this.#given(name, await run(args));
    } catch (error) {
      if (error instanceof QmpError) return errorReply(error.errorClass, error.desc);
      throw error;
    }
  }

  /** Returns the reply with the value that is known, or with the emptiest one; an error if the type has none. */
  #known(name: string): Reply {
    const known = this.#replies.get(name);
    if (known !== undefined) return known;
    const reply = this.#values.has(name)
      ? valueReply(this.#values.get(name))
      : emptiestReply(name, this.#schema);
    this.#replies.set(name, reply);
    return reply;
  }

  /** Returns the reply with a value that the test gives. */
  #given(name: string, value: unknown): Reply {
    const text = stringifyExact(value) as string | undefined;
    if (text === undefined) {
      throw new TypeError(
        `the reply to ${name} is not a value of JSON: return {} for an empty one`,
      );
    }
    const problem = this.#check.returnProblem(name, frameOf(text).bytes);
    if (problem === undefined) return valueReply(value);
    throw new TypeError(`the reply to ${name} is not of the type that it returns: ${problem}`);
  }
}
