/**
 * The form of comments: a statement, or a noun with a verb, never a question or a headless clause.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** The files and directories whose comments are checked. */
const PLACES = ["main.ts", "lib", "tests", "tools", "bench", "examples"];

/** Words with which no paragraph of a comment begins. */
const FORBIDDEN =
  /^(?:What|Who|Whom|Whose|Where|Is|Are|Does|Do|Has|How|So|As|Of|May|Can|Whoever|Whatever|Which)\b/;

/** A doc comment, or lines of comments that follow one another. */
const COMMENTS = /\/\*\*([\s\S]*?)\*\/|((?:^[ \t]*\/\/[^\n]*\n)+)/gm;

/** The tag at the beginning of a line of a doc comment, with its operand. */
const TAG = /^@(?:param \S+|throws(?: \S+)?|\S+)\s*/;

/** Yields the source files of a directory. */
function* sources(place: string): Generator<string> {
  if (/\.[jt]s$/.test(place)) {
    if (!place.includes("declarations/")) yield place;
    return;
  }
  for (const { name, isDirectory } of Deno.readDirSync(new URL(`${place}/`, ROOT))) {
    if (isDirectory || /\.[jt]s$/.test(name)) yield* sources(`${place}/${name}`);
  }
}

/** Returns the paragraphs of a comment, each as one line; a tag begins a paragraph. */
function paragraphsOf(comment: string): readonly string[] {
  const paragraphs = [""];
  for (const line of comment.split("\n")) {
    const words = line.replace(/^\s*(?:\*|\/\/)?\s?/, "").trim();
    if (words === "" || words.startsWith("@")) paragraphs.push("");
    paragraphs.push(`${paragraphs.pop()} ${words.replace(TAG, "")}`.trim());
  }
  return paragraphs.filter((paragraph) => paragraph !== "");
}

/** Returns whether a paragraph begins with a forbidden word, or its first sentence is a question. */
function isMalformed(paragraph: string): boolean {
  const [first] = paragraph.split(/(?<=[.?!])\s/);
  return FORBIDDEN.test(paragraph) || first!.endsWith("?");
}

/** Returns the malformed paragraphs of a text, each with its line. */
function malformedIn(text: string): readonly string[] {
  return [...text.matchAll(COMMENTS)].flatMap(({ index, 1: doc, 2: lines }) => {
    const line = text.slice(0, index).split("\n").length;
    return paragraphsOf(doc ?? lines!).filter(isMalformed).map((each) => `${line}: ${each}`);
  });
}

Deno.test("malformedIn() finds questions and headless clauses, and nothing else", () => {
  // The slashes and the stars are inserted late, because this would be a comment otherwise.
  const text = [
    "<<* Is it there? Only then. *>",
    "<<* Returns whether it is there. What is missing is made. *>",
    "<<*\n * Returns it.\n *\n * Whoever asks gets it.\n *\n * @param a what it is\n * @returns How many\n *>",
    "const a = 1; << What it is",
    "  << Of these\n  << two, one.",
    "<< Offers, Whatnots and Issues are words.",
  ].join("\n").replaceAll("<<*", "/**").replaceAll("*>", "*/").replaceAll("<<", "//");
  assertEquals(malformedIn(text), [
    "1: Is it there? Only then.",
    "3: Whoever asks gets it.",
    "3: How many",
    "12: Of these two, one.",
  ]);
});

Deno.test("no comment is a question or a headless clause", () => {
  const files = PLACES.flatMap((place) => [...sources(place)]);
  assert(files.length > 300);
  const malformed = files.flatMap((file) =>
    malformedIn(Deno.readTextFileSync(new URL(file, ROOT))).map((each) => `${file}:${each}`)
  );
  assertEquals(malformed, []);
});
