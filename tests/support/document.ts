/**
 * The examples in documents: their fenced blocks, and a comparison of real output with the output
 * shown.
 *
 * The words after a block's fence are its kind. Versions and times in the output are not compared;
 * `…` stands for anything in a line, and alone in a line for any lines.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** A fenced block. */
export interface Block {
  /** The document, as `docs/roles.md`. */
  readonly document: string;
  /** The line of its fence, from 1. */
  readonly line: number;
  /** The language of the block: `console`, `toml`, …; empty if none is given. */
  readonly kind: string;
  /** The words after the language. */
  readonly marks: readonly string[];
  readonly lines: readonly string[];
}

/** A command that a block shows, and its output. */
export interface Shown {
  readonly command: string;
  readonly output: readonly string[];
}

/** The documents for users and for developers of qmpmux. */
export const DOCUMENTS: readonly string[] = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...["docs", "docs/decisions"].flatMap((folder) =>
    [...Deno.readDirSync(new URL(`${folder}/`, ROOT))].map(({ name }) => `${folder}/${name}`)
      .filter((path) => path.endsWith(".md")).sort()
  ),
];

/** Returns the text of a file of the project. */
export function textOf(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Returns the file and line of a block, for the names of tests. */
export function placeOf({ document, line }: Block): string {
  return `${document}:${line}`;
}

/** Returns the blocks of a document, in order. */
export function blocksOf(document: string, text: string = textOf(document)): Block[] {
  const blocks: Block[] = [];
  let open: { indent: number; block: Block & { lines: string[] } } | undefined;
  for (const [at, line] of text.split("\n").entries()) {
    const [, space, words] = /^( *)```(.*)$/.exec(line) ?? [];
    if (open) {
      if (words === "") open = undefined;
      else open.block.lines.push(line.slice(open.indent));
    } else if (space !== undefined) {
      const [kind, ...marks] = words!.trim().split(/\s+/);
      const block = { document, line: at + 1, kind: kind!, marks, lines: [] };
      blocks.push(block);
      open = { indent: space.length, block };
    }
  }
  if (open) throw new Error(`The block at ${placeOf(open.block)} has no end`);
  return blocks;
}

/** Returns the text of a document without its blocks, line for line. */
export function proseOf(document: string): string {
  let inside = false;
  return textOf(document).split("\n").map((line) => {
    const fence = /^ *```/.test(line);
    if (fence) inside = !inside;
    return inside || fence ? "" : line;
  }).join("\n");
}

/** Returns the commands of a block: each begins with `$ ` and continues after a backslash. */
export function commandsOf(block: Block): Shown[] {
  const shown: { command: string; output: string[] }[] = [];
  let goesOn = false;
  for (const line of block.lines) {
    const last = shown.at(-1);
    if (goesOn) last!.command += `\n${line}`;
    else if (line.startsWith("$ ")) shown.push({ command: line.slice(2), output: [] });
    else if (last) last.output.push(line);
    else throw new Error(`The block at ${placeOf(block)} does not begin with a command: ${line}`);
    goesOn = line.endsWith("\\") && (goesOn || line.startsWith("$ "));
  }
  return shown;
}

/** Returns a line without the parts that differ from run to run and from QEMU to QEMU. */
export function settled(line: string): string {
  return line
    .replace(/"timestamp": \{[^}]*\}/g, '"timestamp": {}')
    .replace(
      /"qemu": \{"micro": \d+, "minor": \d+, "major": \d+\}, "package": "[^"]*"/g,
      '"qemu": {}',
    )
    .replace(/QEMU (emulator version )?\d+\.\d+(\.\d+)?( \([^)]*\))?/g, "QEMU")
    .replace('"singlestep": false, ', "")
    .replace(/Deno \d+\.\d+\.\d+, V8 [\w.-]+/g, "Deno, V8")
    .replace(/^([a-z]+)\/\d+ /, "$1/N ")
    .replace(/ {2,}/g, "  ")
    .replace(/"time":"[^"]*"/g, '"time":""')
    .replace(/"duration":[\d.e-]+/g, '"duration":0');
}

/** Returns whether a line is the one that a document shows. */
export function isLine(line: string, shown: string): boolean {
  return patternOf([shown]).test(`${settled(line)}\n`);
}

/** Returns whether lines are those that a document shows. */
export function areLines(lines: readonly string[], shown: readonly string[]): boolean {
  return patternOf(shown).test(lines.map((line) => `${settled(line)}\n`).join(""));
}

function patternOf(shown: readonly string[]): RegExp {
  const parts = shown.map((line) =>
    line.trim() === "…" ? "(?:.*\n)*?" : `${settled(line).split("…").map(escaped).join(".*?")}\n`
  );
  return new RegExp(`^${parts.join("")}$`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
