/**
 * Paths that exist: completions of what a user has begun to type, and sockets that match a glob.
 *
 * @module
 */

import { hasWildcard, matcherOf } from "../policy/glob.ts";
import { Failure } from "./failure.ts";

/**
 * Returns the paths that begin with a text; those of directories end with a slash.
 *
 * @param onlySockets whether only sockets and directories are returned
 */
export function pathsFrom(begun: string, onlySockets: boolean): string[] {
  const directory = begun.slice(0, begun.lastIndexOf("/") + 1);
  const isHidden = begun.startsWith(".", directory.length);
  const entries = [...Deno.readDirSync(directory || ".")].filter(({ name }) =>
    `${directory}${name}`.startsWith(begun) && (isHidden || !name.startsWith("."))
  );
  return entries.flatMap(({ name }) => {
    const path = `${directory}${name}`;
    try {
      const { isDirectory, isSocket } = Deno.statSync(path);
      if (isDirectory) return [`${path}/`];
      return onlySockets && !isSocket ? [] : [path];
    } catch {
      return []; // a dangling link, or a file that was just removed
    }
  });
}

/**
 * Returns the paths of sockets that match a glob, in order.
 *
 * `*` and `?` match neither `/` nor a dot at the beginning of a name, as in a shell.
 *
 * @throws Failure if a directory cannot be read
 */
export function socketsMatching(glob: string): string[] {
  const [first = "", ...components] = glob.split("/");
  let found = glob.startsWith("/") ? [""] : matching("", first);
  for (const component of components) {
    found = found.flatMap((path) => matching(`${path}/`, component));
  }
  return found.filter(maybeSocket).toSorted();
}

/** Returns the paths in a directory with names that match; a name without wildcards is not looked up. */
function matching(directory: string, name: string): string[] {
  if (!hasWildcard(name)) return [directory + name];
  const matches = matcherOf(name);
  const isHidden = name.startsWith(".");
  try {
    return [...Deno.readDirSync(directory || ".")]
      .filter((entry) => matches(entry.name) && (isHidden || !entry.name.startsWith(".")))
      .map((entry) => directory + entry.name);
  } catch (error) {
    if (isMissing(error)) return [];
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new Failure(77, `${directory}: no permission to read the directory`);
  }
}

/** Returns whether a path is a socket, or cannot be looked at. */
function maybeSocket(path: string): boolean {
  try {
    return Deno.statSync(path).isSocket === true;
  } catch (error) {
    if (isMissing(error)) return false;
    if (error instanceof Deno.errors.PermissionDenied) return true;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.FilesystemLoop;
}
