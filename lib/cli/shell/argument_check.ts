/**
 * Arguments that QEMU would refuse, found in the line before it is sent: unknown names, and values of another type.
 *
 * It refuses only what QEMU's schema rules out. What the schema does not tell is for QEMU to judge.
 *
 * @module
 */

import type { Introspection, SchemaType } from "../../client/introspection.ts";
import { nearest } from "../../policy/suggestion.ts";
import { jsonOf, splitWord } from "../argument_words.ts";
import { shortened } from "../../wire/shortened.ts";
import { kindText, type Members, SchemaWalk } from "./schema_walk.ts";
import type { CommandStatement } from "./statement.ts";
import { LineError, type Word } from "./words.ts";

/** The commands whose arguments QEMU does not check against the schema, in some versions. */
const UNCHECKED: ReadonlySet<string> = new Set(["device_add", "netdev_add", "object-add"]);

/** The most characters of a value in an error. */
const SHOWN_LENGTH = 40;

/** Checks the words of a command; @throws LineError for the first that is wrong */
export function checkArguments(schema: Introspection, { name, words }: CommandStatement): void {
  const command = schema.commands.get(name);
  if (command === undefined || UNCHECKED.has(name)) return;
  const walk = new SchemaWalk(schema, givenIn(words.map(({ text }) => text)));
  for (const word of words) checkWord(walk, command.arguments, name, word);
}

/** Returns the values of arguments by their paths. */
export function givenIn(words: readonly string[]): ReadonlyMap<string, string> {
  return new Map(words.map(splitWord).filter((each) => each !== undefined));
}

function checkWord(walk: SchemaWalk, type: string, command: string, word: Word): void {
  const [path, value] = splitWord(word.text)!;
  let forms = walk.formsOf(type);
  let before = "";
  for (const step of path.split(".")) {
    const objects = forms.filter((form) => form.kind === "object");
    if (objects.length === 0) {
      if (forms.length === 0 || forms.some(isAnything)) return;
      throw new LineError(
        word.from,
        `${before.slice(0, -1)} has no members: expected ${kindText(forms)}`,
      );
    }
    const inside = objects.map((object) => walk.membersOf(object, before));
    const found = inside.flatMap(({ members }) => members).filter(({ name }) => name === step);
    if (found.length === 0) {
      if (inside.some(({ isOpen }) => isOpen) || forms.some(isAnything)) return;
      throw new LineError(word.from, unknownText(command, before, step, inside));
    }
    forms = found.flatMap(({ type }) => walk.formsOf(type));
    before += `${step}.`;
  }
  const json = jsonOf(value);
  if (forms.length === 0 || forms.some((form) => fits(form, json))) return;
  throw new LineError(word.from + path.length + 1, wrongText(path, json, forms));
}

function isAnything(form: SchemaType): boolean {
  return form.kind === "unknown" || form.kind === "alternate" ||
    form.kind === "builtin" && form.json === "value";
}

/** Returns whether a value can have a form. */
function fits(form: SchemaType, json: string): boolean {
  switch (form.kind) {
    case "builtin":
      return fitsScalar(form.json, json);
    case "enum":
      return json.startsWith('"') && form.values.some(({ name }) => name === JSON.parse(json));
    case "array":
      return json.startsWith("[");
    case "object":
      return json.startsWith("{");
    default:
      return true;
  }
}

function fitsScalar(type: string, json: string): boolean {
  switch (type) {
    case "string":
      return json.startsWith('"');
    case "int":
      return /^-?\d+$/.test(json);
    case "number":
      return /^[-\d]/.test(json);
    case "boolean":
      return json === "true" || json === "false";
    case "null":
      return json === "null";
    default:
      return true;
  }
}

function unknownText(
  command: string,
  before: string,
  step: string,
  inside: readonly Members[],
): string {
  const names = inside.flatMap(({ members }) => members.map(({ name }) => name));
  const meant = nearest(step, names);
  const instead = meant === undefined ? `see \\help ${command}` : `did you mean ${before}${meant}?`;
  return `${command} has no argument ${shortened(before + step, SHOWN_LENGTH)}; ${instead}`;
}

function wrongText(path: string, json: string, forms: readonly SchemaType[]): string {
  const shown = shortened(json, SHOWN_LENGTH);
  const text = `${path}: expected ${kindText(forms)}, and found ${shown}`;
  const words = forms.flatMap((form) => form.kind === "enum" ? form.values : []);
  const isText = json.startsWith('"');
  const meant = isText ? nearest(JSON.parse(json), words.map(({ name }) => name)) : undefined;
  if (meant !== undefined) return `${text}; did you mean ${meant}?`;
  const takesText = forms.some((form) => form.kind === "builtin" && form.json === "string");
  return takesText && !isText && !/^[[{]/.test(json) ? `${text}; write ${path}='"${json}"'` : text;
}
