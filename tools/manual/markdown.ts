/**
 * The tables that the manual takes from `docs/`.
 *
 * Each fact is written once. A page cannot be generated if its table is missing.
 *
 * @module
 */

const DOCS = new URL("../../docs/", import.meta.url);

/**
 * Returns the rows of a table, without its head.
 *
 * @param file the file in `docs/`
 * @param head the first cell of the table's head
 * @throws Error if the table does not exist
 */
export function rowsOf(file: string, head: string): string[][] {
  const lines = Deno.readTextFileSync(new URL(file, DOCS)).split("\n");
  const start = lines.findIndex((line) => line.startsWith("|") && cells(line)[0] === head);
  if (start < 0) throw new Error(`Cannot find the table "${head}" in docs/${file}`);
  const rows: string[][] = [];
  for (let i = start + 2; lines[i]?.startsWith("|"); i++) rows.push(cells(lines[i]!));
  return rows;
}

function cells(line: string): string[] {
  return line.split(/(?<!\\)\|/).slice(1, -1).map((cell) =>
    cell.trim().replaceAll("\\|", "|").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
  );
}
