/**
 * Manual pages as values, and as roff.
 *
 * A page consists of sections, and a section of blocks. Texts have `literals` in backquotes, which
 * may contain <WORDS> as placeholders. The output uses only requests that every implementation of
 * man(7) has.
 *
 * @module
 */

/** A part of a page: a paragraph, terms or items, literal lines, or a heading. */
export type Block =
  | string
  | { readonly grant: readonly (readonly [term: string, ...meaning: string[]])[] }
  | { readonly items: readonly string[] }
  | { readonly lines: string }
  | { readonly heading: string };

/** A page. */
export interface Page {
  readonly name: string;
  readonly section: 1 | 5 | 7;
  /** The description in half a line. */
  readonly summary: string;
  readonly sections: readonly (readonly [title: string, ...blocks: Block[]])[];
}

/** The limit of a line of roff source, in characters. */
const WIDTH = 78;

const VOLUMES = {
  1: "General Commands Manual",
  5: "File Formats Manual",
  7: "Miscellaneous Information Manual",
} as const;

/**
 * Returns a page as roff.
 *
 * @param version the version of the program
 * @param date a date like 2026-01-31
 */
export function roffOf(page: Page, version: string, date: string): string {
  const { name, section, summary, sections } = page;
  const title = `${name.toUpperCase()} ${section} ${date} "qmpmux ${version}" "${
    VOLUMES[section]
  }"`;
  const lines = [
    `.\\" Made by tools/manual.ts.`,
    `.TH ${escaped(title)}`,
    // Hyphenation is off, so that users can copy words.
    ".nh",
    ".SH NAME",
    `${escaped(name)} \\- ${text(summary)}`,
    ...sections.flatMap(([title, ...blocks]) => [`.SH ${title}`, ...blocks.map(roffBlock)]),
  ];
  // A heading begins a paragraph.
  return `${lines.join("\n").replace(/(\.S[HS] .*)\n\.PP\n/g, "$1\n")}\n`;
}

function roffBlock(block: Block): string {
  if (typeof block === "string") return `.PP\n${filled(text(block))}`;
  if ("heading" in block) return `.SS ${text(block.heading)}`;
  if ("items" in block) {
    return block.items.map((item) => `.IP \\(bu 3\n${filled(text(item))}`).join("\n");
  }
  if ("lines" in block) {
    const lines = block.lines.trimEnd().split("\n").map((line) => guarded(literal(line)));
    return `.PP\n.RS 4\n.nf\n${lines.join("\n")}\n.fi\n.RE`;
  }
  return block.grant.map(([term, ...meaning]) =>
    `.TP\n${guarded(text(term))}\n${meaning.map((each) => filled(text(each))).join("\n.IP\n")}`
  ).join("\n");
}

/** Returns a text with its literals in bold and their placeholders in italics. */
function text(source: string): string {
  return source.split("`").map((part, i) => {
    if (i % 2 === 0) return escaped(part);
    const pieces = part.split(/(<[A-Z][^>]*>)/).filter((piece) => piece !== "");
    return pieces.map((piece) =>
      piece.startsWith("<") && piece.endsWith(">")
        ? `\\fI${escaped(piece.slice(1, -1))}\\fR`
        : `\\fB${literal(piece)}\\fR`
    ).join("");
  }).join("");
}

function escaped(source: string): string {
  const plain = source.replaceAll("\\", "\\e").replaceAll("…", "...").replaceAll("→", "to");
  const ffi = /[^\x20-\x7e]/.exec(plain);
  if (ffi) throw new Error(`Cannot write "${ffi[0]}" in a manual page: ${source}`);
  return plain;
}

/** Escapes a text that users copy, so that no character is replaced with a typographic one. */
function literal(source: string): string {
  return escaped(source).replace(/[-'`^~]/g, (character) => COPIED[character]!);
}

const COPIED: Readonly<Record<string, string>> = {
  "-": "\\-",
  "'": "\\(aq",
  "`": "\\(ga",
  "^": "\\(ha",
  "~": "\\(ti",
};

/** Escapes a line that roff would read as a request. */
function guarded(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

/** Returns a paragraph as lines of source; each sentence begins a new line. */
function filled(paragraph: string): string {
  const lines: string[] = [];
  for (const sentence of paragraph.split(/(?<=[a-z0-9)R][.:;]) (?=[A-Z\\(])/)) {
    let line = "";
    for (const word of sentence.split(" ")) {
      if (line !== "" && line.length + 1 + word.length > WIDTH) {
        lines.push(line);
        line = "";
      }
      line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines.map(guarded).join("\n");
}
