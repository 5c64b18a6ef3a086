/**
 * QEMU's commands and their arguments, from its reply to `query-qmp-schema`.
 *
 * An argument is a path as rules name it: `data.size`, `actions[*].type`. The members of all
 * branches of a union are listed together. An argument that may be a block node's name or a whole
 * new node ends at the name.
 *
 * @module
 */

/** An entry of the schema, with the members that are used. */
export interface Entity {
  readonly name: string;
  readonly "meta-type": string;
  readonly "json-type"?: string;
  readonly "arg-type"?: string;
  readonly "element-type"?: string;
  /** The member that selects the variant. */
  readonly tag?: string;
  /** The values of an enum. */
  readonly values?: readonly string[];
  /** The members; optional ones have a `default`. */
  readonly members?: readonly {
    readonly name: string;
    readonly type: string;
    readonly default?: null;
  }[];
  readonly variants?: readonly { readonly case: string; readonly type: string }[];
}

/** The argument paths of each command, both in alphabetical order. */
export type Commands = Readonly<Record<string, readonly string[]>>;

/** Reads a schema. */
export function commandsOf(schema: readonly Entity[]): Commands {
  const entities = new Map(schema.map((entity) => [entity.name, entity]));

  function* below(type: string, path: string, around: readonly string[]): Generator<string> {
    const entity = entities.get(type)!;
    if (entity["meta-type"] === "array") {
      yield `${path}[*]`;
      yield* below(entity["element-type"]!, `${path}[*]`, around);
    } else if (entity["meta-type"] === "alternate") {
      for (const member of entity.members!) {
        if (!entities.get(member.type)!.variants) yield* below(member.type, path, around);
      }
    } else if (entity["meta-type"] === "object" && !around.includes(type)) {
      for (const { name, type: inner } of entity.members!) {
        const member = path === "" ? name : `${path}.${name}`;
        yield member;
        yield* below(inner, member, [...around, type]);
      }
      for (const branch of entity.variants ?? []) {
        yield* below(branch.type, path, [...around, type]);
      }
    }
  }

  const commands = schema.filter((entity) => entity["meta-type"] === "command")
    .map(({ name, "arg-type": type }): [string, string[]] => [
      name,
      [...new Set(below(type!, "", []))].sort(),
    ]);
  return Object.fromEntries(commands.sort(([a], [b]) => a < b ? -1 : 1));
}

/** Returns a version's recorded commands; the name is that of the fixture. */
export function recordedCommands(version: string): Commands {
  const url = new URL(`../fixtures/commands-${version}.json`, import.meta.url);
  return JSON.parse(Deno.readTextFileSync(url));
}

/** The versions that are recorded. */
export const RECORDED = ["7.2", "10.0", "11.1"];
