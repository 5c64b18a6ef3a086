/**
 * Paths that complete what a user has typed.
 *
 * @module
 */

/**
 * Returns the paths that begin so; those of directories end with a slash.
 *
 * @param onlySockets whether plain files are left out
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
      return []; // a link to nothing, or gone by now
    }
  });
}
