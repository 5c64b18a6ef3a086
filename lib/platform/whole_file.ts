/**
 * Reading of whole files on Deno, Node and Bun.
 *
 * @module
 */

/**
 * Reads a file.
 *
 * @param limit the most bytes
 * @throws RangeError if it is longer; Error with the `code` of the system's error, such as `ENOENT`
 */
export async function readWholeFile(path: string | URL, limit: number): Promise<Uint8Array> {
  const { stat, read } = "Deno" in globalThis
    ? { stat: Deno.stat, read: Deno.readFile }
    : nodeFiles();
  const { size } = await stat(path);
  if (size > limit) {
    throw new RangeError(`${path}: the file has ${size} bytes; the limit is ${limit}`);
  }
  return await read(path);
}

/** The functions that are used here. */
interface Files {
  stat(path: string | URL): Promise<{ readonly size: number }>;
  read(path: string | URL): Promise<Uint8Array>;
}

function nodeFiles(): Files {
  // Node's own types would have to be downloaded.
  const { process } = globalThis as unknown as {
    process: {
      getBuiltinModule(name: "node:fs/promises"): {
        stat: Files["stat"];
        readFile: Files["read"];
      };
    };
  };
  const { stat, readFile } = process.getBuiltinModule("node:fs/promises");
  return { stat, read: readFile };
}
