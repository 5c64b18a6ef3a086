/**
 * Reports the coverage of the last test run, and fails if it is below the thresholds in `deno.json`.
 *
 * Some tests kill a process, which may leave half a file of its coverage. `deno coverage` cannot read
 * such a file, so it is removed.
 *
 *     deno run --no-prompt --allow-all tools/coverage.ts
 *
 * @module
 */

const DIRECTORY = "coverage";
/** The files whose coverage counts. */
const INCLUDED = "/lib/(wire|session|sharing|config|policy|observe|hub)/";
/** The end of a whole file. */
const END = "\n}";

/** Returns whether a file has been written to its end. */
async function isWhole(path: string): Promise<boolean> {
  using file = await Deno.open(path);
  const { size } = await file.stat();
  if (size < END.length) return false;
  await file.seek(-END.length, Deno.SeekMode.End);
  const bytes = new Uint8Array(END.length);
  const length = await file.read(bytes) ?? 0;
  return new TextDecoder().decode(bytes.subarray(0, length)) === END;
}

let removed = 0;
for await (const { name } of Deno.readDir(DIRECTORY)) {
  const path = `${DIRECTORY}/${name}`;
  if (!name.endsWith(".json") || await isWhole(path)) continue;
  await Deno.remove(path);
  removed++;
}
if (removed > 0) console.error(`Removed ${removed} files of processes that were killed`);
const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["coverage", `--include=${INCLUDED}`, DIRECTORY],
}).spawn().status;
Deno.exit(code);
