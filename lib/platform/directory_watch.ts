/**
 * Directories: their entries, and a notification when these change.
 *
 * A watch is only a hint: some file systems report nothing, and the kernel may have no watch left.
 * The caller looks again from time to time as well.
 *
 * @module
 */

import { inodeAt } from "./socket_file.ts";

/** The reason why a directory has no entries to show. */
export type NoEntries = { readonly missing: true } | { readonly problem: string };

/** Returns the names of the entries of a directory, or why they cannot be read. */
export function entriesOf(directory: string): readonly string[] | NoEntries {
  try {
    return Array.from(Deno.readDirSync(directory), ({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { missing: true };
    return { problem: reasonOf(error) };
  }
}

/** The key of a file that may not be looked at: a directory above it may not be entered. */
export const DENIED = "denied";

/** Returns the key of the file at a path, which another file in its place does not have; `undefined` if there is none. */
export function fileKey(path: string): string | undefined {
  try {
    const { dev, ino, isSocket, birthtime, mtime } = Deno.statSync(path);
    return `${dev} ${ino} ${isSocket} ${(birthtime ?? mtime)?.getTime()}`;
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied ? DENIED : undefined;
  }
}

/** Watches directories, each without those below it. */
export class DirectoryWatch implements Disposable {
  readonly #changed: () => void;
  #watcher: Deno.FsWatcher | undefined;
  #watched = "";

  /**
   * Watches nothing yet.
   *
   * @param changed is called after entries were created or removed
   */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /**
   * Watches these directories instead of the ones before.
   *
   * @returns the reason why they cannot be watched, if they cannot
   */
  watch(directories: readonly string[]): string | undefined {
    const wanted = directories.map((path) => `${path} ${inodeAt(path)}`).join("\0");
    if (wanted === this.#watched) return undefined;
    this[Symbol.dispose]();
    if (directories.length === 0) return undefined;
    try {
      // One watcher for all: each is a thread and an inotify instance.
      this.#watcher = Deno.watchFs([...directories], { recursive: false });
    } catch (error) {
      return reasonOf(error);
    }
    this.#watched = wanted;
    void this.#listen(this.#watcher, new Set(directories));
    return undefined;
  }

  /** Ends watching. */
  [Symbol.dispose](): void {
    this.#watched = "";
    const watcher = this.#watcher;
    this.#watcher = undefined;
    watcher?.close();
  }

  async #listen(watcher: Deno.FsWatcher, directories: ReadonlySet<string>): Promise<void> {
    for await (const { kind, paths } of watcher) {
      // The watch of a directory that was removed is over, even if another takes its place.
      if (paths.some((path) => directories.has(path)) && watcher === this.#watcher) {
        this.#watched = "";
      }
      if (kind !== "access" && kind !== "modify") this.#changed();
    }
    // A watcher that ends by itself is made again at the next call.
    if (watcher === this.#watcher) this.#watched = "";
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
