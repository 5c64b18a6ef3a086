/**
 * A directory for a test's sockets, gone with the test.
 *
 * @module
 */

/** A new empty directory, removed on disposal. */
export function makePlace(): { readonly path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "qmpmux-" });
  return { path, [Symbol.dispose]: (): void => Deno.removeSync(path, { recursive: true }) };
}

/** Resolves when there is a file at the path. */
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
