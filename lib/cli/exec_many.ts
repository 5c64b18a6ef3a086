/**
 * `qmpmux exec` at every socket with a path that matches a glob: one line of JSON for each.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { socketsMatching } from "../platform/paths.ts";
import { dropFfi } from "../platform/runtime.ts";
import { qemuText } from "../wire/qemu_json.ts";
import { inSession, unanswered } from "./deadline.ts";
import { replyTo } from "./replies.ts";

/** The number of monitors that are asked at a time. */
const AT_ONCE = 32;

/** The default timeout at each socket: without one, a single silent monitor would hold up all. */
const SECONDS_AT_EACH = 30;

/** The end of the command at one socket. */
interface End {
  /** The member of its line: `"return": …` or `"error": …`. */
  readonly member: string;
  /** Whether it returned a value. */
  readonly isReturn: boolean;
}

/**
 * Runs a command at every socket that matches, and prints their answers in the order of the paths.
 *
 * @param glob the path of the sockets
 * @param argumentsText the arguments as JSON
 * @param seconds the timeout at each of them
 * @returns 0 if every monitor returned a value, otherwise 1
 * @throws Failure if no socket matches, or a directory cannot be read
 */
export async function execAtAll(
  glob: string,
  command: string,
  argumentsText: string,
  seconds: number = SECONDS_AT_EACH,
): Promise<ExitStatus> {
  const paths = socketsMatching(glob);
  if (paths.length === 0) {
    throw new Failure(69, `exec: no socket matches ${glob}; correct --socket, or start qmpmux`);
  }
  // FFI would find who holds a monitor. That is for one monitor only.
  await dropFfi();
  const ends = paths.map(() => Promise.withResolvers<End>());
  const next = paths.entries();
  const work = async (): Promise<void> => {
    for (const [index, path] of next) {
      const { promise, resolve, reject } = ends[index]!;
      execAt(path, seconds, command, argumentsText).then(resolve, reject);
      await promise.catch(() => {});
    }
  };
  const workers = Array.from({ length: AT_ONCE }, work);
  let status: ExitStatus = 0;
  for (const [index, path] of paths.entries()) {
    const { member, isReturn } = await ends[index]!.promise;
    if (!isReturn) status = 1;
    print(`{"socket": ${qemuText(path)}, ${member}}`);
  }
  await Promise.all(workers);
  return status;
}

async function execAt(
  path: string,
  seconds: number,
  command: string,
  argumentsText: string,
): Promise<End> {
  const address = { transport: "unix", path } as const;
  const attempt = { command: "exec", address, seconds, late: () => unanswered(seconds) };
  try {
    return await inSession(attempt, async (qmp) => {
      const answer = await replyTo(qmp, command, argumentsText);
      if ("value" in answer) return { member: `"return": ${answer.value}`, isReturn: true };
      return errorOf({ class: answer.errorClass, desc: answer.desc });
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return errorOf({ desc: error.message });
  }
}

function errorOf(error: { readonly class?: string; readonly desc: string }): End {
  return { member: `"error": ${qemuText(error)}`, isReturn: false };
}
