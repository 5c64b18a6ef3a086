/**
 * What the manual takes out of `docs/`: the rows of a table under a heading.
 *
 * So that a fact has one home, and a page that loses it fails to be made.
 *
 * @module
 */

const DOCS = new URL("../../docs/", import.meta.url);

/**
 * The rows of a table, without its head.
 *
 * @param file in `docs/`
 * @param head the head's first cell
 * @throws Error where there is no such table
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
