/**
 * A real QEMU for tests: no guest, no KVM, a monitor.
 *
 * @module
 */

import { within } from "./deadline.ts";
import { listens } from "./place.ts";

/** Whether to skip tests that need a real QEMU; only the caller may choose that. */
export const WITHOUT_QEMU = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").includes(
  "qemu",
);

/** The program to run: `QMPMUX_TEST_QEMU`, or the QEMU that is installed. */
export const PROGRAM = Deno.env.get("QMPMUX_TEST_QEMU") ?? "qemu-system-x86_64";

/** A running QEMU. */
export interface TestQemu extends AsyncDisposable {
  readonly pid: number;
  /** Its monitor's socket. */
  readonly path: string;
  /** A promise that resolves when it has exited. */
  readonly ended: Promise<Deno.CommandStatus>;
  kill(signal: Deno.Signal): void;
}

/**
 * Starts a QEMU whose monitor is at `path`.
 *
 * @param extra further arguments of QEMU
 * @param said gets QEMU's output on stderr
 */
export async function startQemu(
  path: string,
  extra: readonly string[] = [],
  said: ((text: string) => void) | undefined = undefined,
): Promise<TestQemu> {
  const child = new Deno.Command(PROGRAM, {
    args: [
      ..."-machine none -nodefaults -display none -S".split(" "),
      "-qmp",
      `unix:${path},server=on,wait=off`,
      ...extra,
    ],
    stdin: "null",
    stdout: "null",
    stderr: said ? "piped" : "null",
  }).spawn();
  const heard = said ? listen(child.stderr, said) : undefined;
  const ended = child.status.then(async (status) => {
    await heard;
    return status;
  });
  await within("QEMU's socket", Promise.race([listens(path), ended.then(refuseToStart)]));
  const kill = (signal: Deno.Signal): void => {
    try {
      child.kill(signal);
    } catch (error) {
      // It has exited by itself.
      if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
    }
  };
  return {
    pid: child.pid,
    path,
    ended,
    kill,
    async [Symbol.asyncDispose](): Promise<void> {
      kill("SIGKILL");
      await ended;
      removeSocket(path);
    },
  };
}

async function listen(
  stderr: ReadableStream<Uint8Array>,
  said: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const bytes of stderr) said(decoder.decode(bytes, { stream: true }));
}

function refuseToStart({ code }: Deno.CommandStatus): never {
  throw new Error(`QEMU ended with ${code} instead of starting`);
}

/** Removes the socket that a killed QEMU leaves behind. */
function removeSocket(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
