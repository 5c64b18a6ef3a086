/**
 * The events of the QEMU at hand, from its schema: names and values that no event has are refused.
 *
 * A wait for such an event would never end. If the schema cannot be asked for, nothing is refused.
 *
 * @module
 */

import { QmpError } from "../client/errors.ts";
import { GAP } from "../client/event_stream.ts";
import { type Introspection, readIntrospection, SchemaError } from "../client/introspection.ts";
import type { Qmp } from "../client/qmp.ts";
import { EVENT_NAMES, EventFilter } from "../policy/event_filter.ts";
import { hasWildcard } from "../policy/glob.ts";
import { nearest } from "../policy/suggestion.ts";
import { UsageError } from "../policy/usage_error.ts";
import { shortened } from "../wire/shortened.ts";
import { type DataPath, pathsIn, typesAt, valueProblem } from "./event_data.ts";
import type { EventMatch } from "./event_match.ts";

/** The prefix of the events of qmpmux's own, which QEMU's schema does not have. */
const OWN_PREFIX = "__org.qmpmux_";

/** The events of qmpmux's own. */
const OWN_EVENTS: readonly string[] = [
  ...EVENT_NAMES.filter((name) => name.startsWith(OWN_PREFIX)),
  GAP,
];

/** The most paths that an error names. */
const PATHS_LIMIT = 24;

/** Events that are chosen on the command line. */
export interface Choice {
  /** The subcommand, for messages. */
  readonly command: string;
  /** The flag with the names, for messages. */
  readonly flag: string;
  /** The names, with `*` and `?`. */
  readonly globs: readonly string[];
  /** The values that an event must have. */
  readonly matches?: readonly EventMatch[];
}

/**
 * Checks a choice of events with the schema of the monitor.
 *
 * @throws UsageError if no event can be the one; the errors of the client
 */
export async function checkChoice(qmp: Qmp, choice: Choice): Promise<void> {
  const schema = await schemaOf(qmp);
  if (schema !== undefined) checkWith(schema, choice);
}

/** Returns the schema; `undefined` if the monitor has none, or a role refuses it. */
async function schemaOf(qmp: Qmp): Promise<Introspection | undefined> {
  try {
    return readIntrospection(await qmp.execute("query-qmp-schema"));
  } catch (error) {
    if (error instanceof QmpError || error instanceof SchemaError) return undefined;
    throw error;
  }
}

/** Checks a choice of events with a schema; @throws UsageError */
export function checkWith(
  schema: Introspection,
  { command, flag, globs, matches = [] }: Choice,
): void {
  const names = [...schema.events.keys()];
  // A schema without events tells nothing.
  if (names.length === 0) return;
  const known = [...names, ...OWN_EVENTS];
  for (const glob of globs) {
    const problem = nameProblem(glob, known);
    if (problem !== undefined) throw new UsageError(`${command}: --${flag}: ${problem}`);
  }
  const filter = new EventFilter(globs);
  let events = names.filter((name) => filter.passes(name));
  // The data of qmpmux's own events are not in the schema.
  if (globs.some((glob) => glob.startsWith("__"))) return;
  for (const match of matches) {
    const fitting = events.filter((name) => dataTypes(schema, name, match).size > 0);
    const problem = fitting.length === 0
      ? pathProblem(schema, events, match)
      : valueProblemOf(schema, fitting, match);
    if (problem !== undefined) throw new UsageError(`${command}: --match: ${problem}`);
    events = fitting;
  }
}

/** Returns the problem of a glob that matches no event. */
function nameProblem(glob: string, known: readonly string[]): string | undefined {
  const filter = new EventFilter([glob]);
  if (known.some((name) => filter.passes(name))) return undefined;
  const isGlob = hasWildcard(glob);
  const meant = nearest(glob, isGlob ? globsFor(known) : known);
  const found = isGlob ? `no event of this QEMU matches "${glob}"` : `unknown event "${glob}"`;
  if (meant !== undefined) return `${found}; did you mean "${meant}"?`;
  return isGlob ? found : `${found}: this QEMU does not have it`;
}

/** Returns globs with a star at one end that match names; the words between underscores are kept whole. */
function globsFor(names: readonly string[]): readonly string[] {
  const globs = new Set<string>();
  for (const name of names) {
    const words = name.split("_");
    for (let at = 1; at < words.length; at++) {
      const [first, last] = [words.slice(0, at).join("_"), words.slice(at).join("_")];
      for (const each of [`${first}_*`, `${first}*`, `*_${last}`, `*${last}`]) globs.add(each);
    }
    globs.add(`${name}*`).add(`*${name}`);
  }
  return [...globs];
}

function dataTypes(
  schema: Introspection,
  event: string,
  { path }: EventMatch,
): ReadonlySet<string> {
  return typesAt(schema, schema.events.get(event)!.data, path);
}

/** Returns the problem of a path that none of the events has. */
function pathProblem(
  schema: Introspection,
  events: readonly string[],
  { path }: EventMatch,
): string {
  const paths = new Set(
    events.flatMap((name) => [...pathsIn(schema, schema.events.get(name)!.data)]),
  );
  const known: readonly DataPath[] = [...paths].sort();
  const which = events.length === 1 ? events[0]! : "no such event";
  const verb = events.length === 1 ? "does not have" : "has";
  const found = `${which} ${verb} data.${path}`;
  if (known.length === 0) return `${found}: it has no data`;
  const meant = nearest(path, known);
  const shown = known.slice(0, PATHS_LIMIT).map((each) => `data.${each}`);
  if (known.length > PATHS_LIMIT) shown.push("...");
  const list = shown.join(", ");
  return meant === undefined
    ? `${found}; expected ${list}`
    : `${found}; did you mean data.${meant}? It has ${list}`;
}

/** Returns the problem of a value that none of the events can have at its path. */
function valueProblemOf(
  schema: Introspection,
  events: readonly string[],
  match: EventMatch,
): string | undefined {
  const types = events.flatMap((name) => [...dataTypes(schema, name, match)]);
  const problem = valueProblem(schema, types, match);
  if (problem === undefined) return undefined;
  return `invalid value "${shortened(match.text, PATHS_LIMIT)}" for data.${match.path}${problem}`;
}
