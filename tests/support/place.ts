/**
 * A directory for a test's sockets, removed with the test.
 *
 * @module
 */

/** Creates an empty directory, removed on disposal. */
export function makePlace(): { readonly path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "qmpmux-" });
  return { path, [Symbol.dispose]: (): void => Deno.removeSync(path, { recursive: true }) };
}

/** Resolves when the path exists. */
export async function appears(path: string): Promise<void> {
  const directory = path.slice(0, path.lastIndexOf("/"));
  using watcher = Deno.watchFs(directory, { recursive: false });
  const exists = (): boolean => {
    try {
      Deno.lstatSync(path);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  };
  if (exists()) return;
  for await (const _ of watcher) if (exists()) return;
}

/**
 * The interval at which the kernel is asked whether a socket is listening: there is no event to
 * wait for.
 */
const LISTENING_POLL_MS = 5;

/** Resolves when a process listens on the path. */
export async function listens(path: string): Promise<void> {
  await appears(path);
  // The kernel is asked, because a connection would take QEMU's only place.
  const listener = (line: string): boolean =>
    line.endsWith(` ${path}`) && line.split(/\s+/)[3] === "00010000";
  while (!Deno.readTextFileSync("/proc/net/unix").split("\n").some(listener)) {
    await new Promise((resolve) => setTimeout(resolve, LISTENING_POLL_MS));
  }
}

/** Creates a socket file on which nothing listens, as a killed process leaves it. */
export function leaveDeadSocket(path: string): void {
  const listener = Deno.listen({ transport: "unix", path: `${path}.made` });
  Deno.linkSync(`${path}.made`, path);
  listener.close();
  try {
    Deno.removeSync(`${path}.made`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
