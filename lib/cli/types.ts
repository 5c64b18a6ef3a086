/**
 * `qmpmux types`: prints the types of QEMU's commands and events, for TypeScript.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { readTextFile } from "../platform/text_file.ts";
import { TURNS } from "../platform/turns.ts";
import { declarationsOf } from "../client/declarations.ts";
import { SchemaError } from "../client/introspection.ts";
import type { Greeting } from "../client/link.ts";
import { addressText } from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import { attemptOf, inSession } from "./deadline.ts";
import type { Given } from "./flags.ts";
import { replyTo, statusOfError } from "./replies.ts";

/** The limit of a schema's size; QEMU's has 250 KB. */
const BYTES_LIMIT = 16 << 20;

/**
 * Runs `qmpmux types`.
 *
 * @throws UsageError, Failure
 */
export async function runTypes(given: Given): Promise<ExitStatus> {
  const path = given.one("schema");
  if (path !== undefined) {
    const other = ["socket", "timeout"].find((flag) => given.one(flag) !== undefined);
    if (other !== undefined) {
      throw new UsageError(`types: --schema and --${other} exclude each other; give one`);
    }
    print(declared(valueIn(path), path));
    return 0;
  }
  const attempt = attemptOf("types", given);
  let isAnswered = false;
  const late = (): string =>
    isAnswered
      ? `the schema is too long to be translated within ${attempt.seconds} s`
      : `no reply within ${attempt.seconds} s`;
  const text = await inSession({ command: "types", ...attempt, late }, async (qmp) => {
    const answer = await replyTo(qmp, "query-qmp-schema");
    if ("desc" in answer) {
      throw new Failure(statusOfError(answer), `types: query-qmp-schema: ${answer.desc}`);
    }
    isAnswered = true;
    const types = typesOf(answer.value, addressText(attempt.address), versionText(qmp.greeting));
    // A timeout that has expired meanwhile takes effect now.
    await TURNS.next();
    return types;
  });
  print(text);
  return 0;
}

/** Returns the value in a file, which may be a whole reply; @throws Failure if it is not JSON */
function valueIn(path: string): unknown {
  const text = readTextFile({
    path,
    command: "types",
    flag: "--schema",
    limit: BYTES_LIMIT,
    status: 1,
    isReadOnce: true,
  });
  try {
    const value = JSON.parse(text);
    return Object(value).return ?? value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Failure(1, `types: ${path}: not JSON`);
  }
}

/** Returns QEMU's version as text, with the name of the package if it has one. */
function versionText({ version }: Greeting): string | undefined {
  const { qemu, package: origin } = version;
  const { major, minor, micro } = Object(qemu);
  const numbers = [major, minor, micro];
  if (!numbers.every((each) => typeof each === "number")) return undefined;
  return `${numbers.join(".")}${typeof origin === "string" && origin !== "" ? ` (${origin})` : ""}`;
}

/** Returns the types in a monitor's schema; @throws Failure if it is not one, or is too long */
function typesOf(schema: string, source: string, version: string | undefined): string {
  if (schema.length <= BYTES_LIMIT) return declared(JSON.parse(schema), source, version);
  throw new Failure(
    1,
    `types: ${source}: the schema has more than ${BYTES_LIMIT} bytes (${BYTES_LIMIT >> 20} MiB)`,
  );
}

/** Returns the types in a schema; @throws Failure if it is not one */
function declared(schema: unknown, source: string, version?: string): string {
  try {
    return declarationsOf(schema, version).trimEnd();
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new Failure(1, `types: ${source}: ${error.message}`);
  }
}
