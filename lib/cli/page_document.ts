/**
 * The page of a recording as one document: markup, styles, the program for the browser, and the content.
 *
 * The document refers to nothing outside, and its policy forbids the browser to load anything. Texts of
 * clients and QEMU are in it as JSON that cannot end its element.
 *
 * @module
 */

import { textOfOwnFile } from "../platform/own_files.ts";

/** The directory of the parts of the page. */
const PLACE = "lib/page";

/** The markup. */
const MARKUP = "page.html";

/** The styles, in their order. */
const STYLES: readonly string[] = ["style.css", "list.css", "details.css"];

/** The modules of the program, each behind those that it imports. */
const MODULES: readonly string[] = [
  "format.js",
  "view.js",
  "model.js",
  "words.js",
  "head.js",
  "json_text.js",
  "palette.js",
  "shapes.js",
  "layout.js",
  "painter.js",
  "timeline.js",
  "overview.js",
  "search.js",
  "list.js",
  "details.js",
  "keys.js",
  "main.js",
];

/** The files of which the page is made. */
export const PAGE_FILES: readonly string[] = [MARKUP, ...STYLES, ...MODULES];

function textOf(name: string): string {
  return textOfOwnFile(`${PLACE}/${name}`);
}

/** Joins modules into one, in which they see each other's names without imports. */
function bundled(modules: readonly string[]): string {
  return modules
    .map((name) =>
      textOf(name).replace(/^import\s[^;]*;\n/gm, "").replace(/^export /gm, "")
        .replace(/^[ \t]*\/\*\*[\s\S]*?\*\/\n/gm, "").replace(/\n{2,}/g, "\n").trim()
    )
    .join("\n");
}

/** The parts of a document around its content. */
export interface PageParts {
  /** The text before the content. */
  readonly before: string;
  /** The text behind the content. */
  readonly after: string;
}

/** Returns the document, without its content, which is JSON made safe by {@linkcode embedded}. */
export async function pageParts(title: string): Promise<PageParts> {
  const script = `\n${bundled(MODULES)}\n`;
  const policy = [
    "default-src 'none'",
    `script-src '${await hashOf(script)}'`,
    "style-src 'unsafe-inline'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const whole = [
    [/(<meta http-equiv="Content-Security-Policy" content=")[^"]*/, policy],
    [/(<title>)[^<]*/, escaped(title)],
    [/(<style>)[^<]*/, `\n${STYLES.map(textOf).join("")}`],
    [/(<script type="module">)[^<]*/, script],
  ].reduce(
    (text, [place, part]) => text.replace(place as RegExp, (_, tag) => `${tag}${part}`),
    textOf(MARKUP),
  );
  const [, before, after] =
    /^([\s\S]*<script type="application\/json" id="content">)\s*null\s*([\s\S]*)$/
      .exec(whole)!;
  return { before: before!, after: after! };
}

/** Returns JSON that can stand in an element of a document: no `<` in it can begin a tag. */
export function embedded(json: string): string {
  return json.replaceAll("<", "\\u003c");
}

/** Returns the hash of a script, by which the policy allows it. */
async function hashOf(script: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(script));
  return `sha256-${new Uint8Array(hash).toBase64()}`;
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replace(/[&<>"]/g, (char) => entities[char]!);
}
