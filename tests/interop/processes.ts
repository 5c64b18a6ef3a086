/**
 * The files and sockets that programs have open, as the kernel reports them.
 *
 * A passed descriptor appears in the process that received it, under the name of what it refers to;
 * so does one that should have been closed.
 *
 * @module
 */

import { within } from "../support/deadline.ts";

/** The interval at which the kernel is polled: there is no event to wait for. */
const POLL_MS = 5;

/** Returns the processes with all of these words in their command lines. */
export function processes(...words: readonly string[]): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    const line = commandLine(Number(name));
    if (words.every((word) => line.includes(word))) found.push(Number(name));
  }
  return found;
}

function commandLine(pid: number): string {
  return gone(() => Deno.readTextFileSync(`/proc/${pid}/cmdline`)) ?? "";
}

/** Returns the program that a process runs, or "" if it has ended. */
export function programOf(pid: number): string {
  return gone(() => Deno.readLinkSync(`/proc/${pid}/exe`)) ?? "";
}

/** The files and sockets that a process has open. */
export interface Held {
  /** Queues of network interfaces. */
  readonly taps: number;
  readonly sockets: number;
  /** Files in the directory, by name; a file that is open twice is listed twice. */
  readonly files: readonly string[];
}

/** Returns the taps, the sockets, and the files in a directory that a process has open now. */
export function held(pid: number, directory: string): Held {
  const links = [...Deno.readDirSync(`/proc/${pid}/fd`)].flatMap(({ name }) =>
    gone(() => Deno.readLinkSync(`/proc/${pid}/fd/${name}`)) ?? []
  );
  const count = (pattern: RegExp): number => links.filter((link) => pattern.test(link)).length;
  return {
    taps: count(/^\/dev\/net\/tun$/),
    sockets: count(/^socket:/),
    files: links.filter((link) => link.startsWith(`${directory}/`))
      .map((link) => link.slice(directory.length + 1)).sort(),
  };
}

/** Returns a fact about a process or a descriptor, or `undefined` if it has ended meanwhile. */
function gone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    // The process has ended between opening and reading.
    if (error instanceof Error && /os error 3\b/.test(error.message)) return undefined;
    throw error;
  }
}

/** Polls until there is a result; @throws Error with the last result if there never is */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  holds: (answer: T) => boolean,
): Promise<T> {
  let waiting = true;
  let last: T | undefined;
  const reached = async (): Promise<T> => {
    while (waiting) {
      last = await ask();
      if (holds(last)) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return last as T;
  };
  const asking = reached();
  try {
    return await within(what, asking);
  } catch (error) {
    throw new Error(`${(error as Error).message}; at last: ${JSON.stringify(last)}`);
  } finally {
    waiting = false;
    await asking.catch(() => {});
  }
}
