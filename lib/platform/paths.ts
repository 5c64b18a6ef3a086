/**
 * Completions of paths that a user has begun to type.
 *
 * @module
 */

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
