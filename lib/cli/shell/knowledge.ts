/**
 * The shell's knowledge of a monitor: its commands, and its schema.
 *
 * @module
 */

import { type Introspection, readIntrospection, SchemaError } from "../../client/introspection.ts";
import { QmpError } from "../../client/errors.ts";
import type { Qmp } from "../../client/qmp.ts";
import { isRow, type Row } from "../table.ts";

/** The names that are offered: no name of QEMU's needs a quote. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,255}$/;

/** The knowledge of a monitor. */
export interface Knowledge {
  /** The names of the commands that this client may run, sorted. */
  readonly commands: readonly string[];
  /** The value of `query-qmp-schema`; empty if a role refuses it. */
  readonly rows: readonly Row[];
  /** The schema; `undefined` if the monitor gives none that can be read. */
  readonly schema: Introspection | undefined;
}

/** The knowledge before anything is known. */
export const NOTHING: Knowledge = { commands: [], rows: [], schema: undefined };

/** Asks a monitor; @throws the errors of the client, except QmpError */
export async function learn(qmp: Qmp): Promise<Knowledge> {
  const ask = async (name: string): Promise<unknown> => {
    try {
      return await qmp.execute(name);
    } catch (error) {
      if (error instanceof QmpError) return undefined;
      throw error;
    }
  };
  const [schema, commands, self] = await Promise.all([
    ask("query-qmp-schema"),
    ask("query-commands"),
    ask("__org.qmpmux_query-self"),
  ]);
  const own = isRow(self) && Array.isArray(self.commands) ? self.commands : [];
  const names = [...listOf(commands).map(({ name }) => name), ...own]
    .filter((name): name is string => typeof name === "string" && NAME.test(name));
  return {
    commands: [...new Set(names)].sort(),
    rows: listOf(schema),
    schema: introspectionOf(schema),
  };
}

function listOf(value: unknown): readonly Row[] {
  return Array.isArray(value) ? value.filter(isRow) : [];
}

function introspectionOf(value: unknown): Introspection | undefined {
  if (value === undefined) return undefined;
  try {
    return readIntrospection(value);
  } catch (error) {
    if (error instanceof SchemaError) return undefined;
    throw error;
  }
}

/**
 * Returns the knowledge of the actions of a transaction, in the form of that of commands.
 *
 * An action has a command's name, and the arguments of its own that are its `data`.
 */
export function actionsIn({ rows }: Knowledge): Knowledge {
  const named = new Map(rows.map((row) => [row.name, row]));
  const transaction = rows.find(({ name, "meta-type": kind }) =>
    name === "transaction" && kind === "command"
  );
  const list = memberOf(named.get(transaction?.["arg-type"]), "actions");
  const union = named.get(named.get(list?.type)?.["element-type"]);
  const actions = listOf(union?.variants).map((variant): Row => ({
    "name": variant.case,
    "meta-type": "command",
    "arg-type": memberOf(named.get(variant.type), "data")?.type,
    "ret-type": transaction?.["ret-type"],
  }));
  const others = rows.filter((row) => row["meta-type"] !== "command");
  const all = [...others, ...actions];
  const names = actions.map(({ name }) => name).filter((name) => typeof name === "string");
  return { commands: names.sort(), rows: all, schema: introspectionOf(all) };
}

function memberOf(object: Row | undefined, name: string): Row | undefined {
  return listOf(object?.members).find((member) => member.name === name);
}
