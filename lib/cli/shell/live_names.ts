/**
 * The names that exist at the monitor now: nodes, devices, jobs, character devices, objects, paths of QOM.
 *
 * The monitor is asked when a user presses Tab. It may be slow, or refuse the query: then no names are offered.
 *
 * @module
 */

import { ConnectionLost, ProtocolError, QmpError, TimeoutError } from "../../client/errors.ts";
import type { Qmp } from "../../client/qmp.ts";
import { printable } from "../../wire/printable.ts";
import { NAMES_LIMIT } from "../completion_names.ts";
import { isRow, type Row } from "../table.ts";

/** The most characters of a name. */
const NAME_LENGTH = 256;

/** The monitor that is asked. */
export interface Asked {
  /** The client. */
  readonly qmp: Qmp;
  /** The milliseconds for each reply. */
  readonly patience: number;
}

/** The argument that is completed. */
export interface Wanted {
  /** The command. */
  readonly command: string;
  /** The path of the argument. */
  readonly path: string;
  /** The begun value. */
  readonly begun: string;
  /** The values of the other arguments, by their paths. */
  readonly given: ReadonlyMap<string, string>;
}

/** Asks the monitor; returns the objects that it returns, and none if it fails. */
type Ask = (command: string, args?: object) => Promise<readonly Row[]>;

/** A source of names. */
interface Source {
  /** The commands. */
  readonly of: RegExp;
  /** The arguments, the last step of their paths. */
  readonly at: RegExp;
  /** Returns values that are names, and others. */
  readonly names: (ask: Ask, wanted: Wanted) => Promise<readonly unknown[]>;
}

/** The sources; the first that suits counts. */
const SOURCES: readonly Source[] = [
  { of: /^job-/, at: /^id$/, names: (ask) => members(ask("query-jobs"), "id") },
  { of: /^block-job-/, at: /^device$/, names: (ask) => members(ask("query-block-jobs"), "device") },
  // These name what is made.
  {
    of: /^(?:blockdev|chardev|object|netdev|device)[-_]add$/,
    at: /^(?:id|node-name)$/,
    names: none,
  },
  { of: /^device_del$/, at: /^id$/, names: (ask) => children(ask, "/machine/peripheral") },
  { of: /^object-del$/, at: /^id$/, names: (ask) => children(ask, "/objects") },
  { of: /^chardev-/, at: /^id$/, names: (ask) => members(ask("query-chardev"), "label") },
  {
    of: /^block-export-del$/,
    at: /^id$/,
    names: (ask) => members(ask("query-block-exports"), "id"),
  },
  {
    of: /^(?:eject|block_.*|blockdev-(?:(?:open|close)-tray|(?:change|insert|remove)-medium))$/,
    at: /^(?:id|device)$/,
    names: async (ask) => (await ask("query-block")).flatMap(({ qdev, device }) => [device, qdev]),
  },
  {
    of: /^__org\.qmpmux_disconnect-client$/,
    at: /^name$/,
    names: (ask) => members(ask("__org.qmpmux_query-clients"), "name"),
  },
  { of: /^qom-/, at: /^path$/, names: (ask, { begun }) => pathsFrom(ask, begun) },
  { of: /^qom-[gs]et$/, at: /^property$/, names: (ask, { given }) => propertiesAt(ask, given) },
  {
    of: /^(?:qom|device)-list-properties$/,
    at: /^typename$/,
    names: (ask) => members(ask("qom-list-types"), "name"),
  },
  {
    of: /^device_add$/,
    at: /^driver$/,
    names: (ask) =>
      members(ask("qom-list-types", { implements: "device", abstract: false }), "name"),
  },
  { of: /./, at: /^chardev$/, names: (ask) => members(ask("query-chardev"), "label") },
  { of: /./, at: /^iothread$/, names: (ask) => members(ask("query-iothreads"), "id") },
  { of: /./, at: /^memdev$/, names: (ask) => members(ask("query-memdev"), "id") },
  {
    of: /./,
    at:
      /^(?:node|node-name|device|drive|target|overlay|backing|file|(?:base|top|parent)(?:-node)?)$/,
    names: nodes,
  },
];

/** Returns the names that a value may be; none if the monitor does not tell any in time. */
export async function liveNames(monitor: Asked, wanted: Wanted): Promise<readonly string[]> {
  const key = wanted.path.slice(wanted.path.lastIndexOf(".") + 1);
  const source = SOURCES.find(({ of, at }) => of.test(wanted.command) && at.test(key));
  if (source === undefined) return [];
  const found = await source.names((command, args) => rowsOf(monitor, command, args), wanted);
  const names = found.filter((name): name is string =>
    typeof name === "string" && name !== "" && name.length <= NAME_LENGTH &&
    printable(name) === name
  );
  return [...new Set(names)].sort().slice(0, NAMES_LIMIT);
}

/** Returns the properties of a device, as arguments of `device_add`, each with its type. */
export async function deviceProperties(
  monitor: Asked,
  driver: string,
): Promise<readonly (readonly [name: string, type: string])[]> {
  const rows = await rowsOf(monitor, "device-list-properties", { typename: driver });
  return rows.slice(0, NAMES_LIMIT).flatMap(({ name, type }): [string, string][] =>
    typeof name === "string" && /^[\w.-]{1,256}$/.test(name) && !String(type).startsWith("link<")
      ? [[name, printable(String(type).slice(0, NAME_LENGTH))]]
      : []
  );
}

/** Returns the objects that a command returns; none if it fails or takes too long. */
async function rowsOf(monitor: Asked, command: string, args?: object): Promise<readonly Row[]> {
  const value = await askedValue(monitor, command, args);
  return Array.isArray(value) ? value.filter(isRow) : [];
}

/** Returns the value that a command returns; `undefined` if it fails or takes too long. */
export async function askedValue(
  { qmp, patience }: Asked,
  command: string,
  args?: object,
): Promise<unknown> {
  try {
    return await qmp.execute(command, args, { timeout: patience });
  } catch (error) {
    const isExpected = [QmpError, TimeoutError, ConnectionLost, ProtocolError]
      .some((kind) => error instanceof kind);
    if (isExpected) return undefined;
    throw error;
  }
}

// deno-lint-ignore require-await -- It is a source as the others are.
async function none(): Promise<readonly unknown[]> {
  return [];
}

async function members(rows: Promise<readonly Row[]>, member: string): Promise<readonly unknown[]> {
  return (await rows).map((row) => row[member]);
}

/** Returns the names of the objects below a path of QOM. */
async function children(ask: Ask, path: string): Promise<readonly unknown[]> {
  return (await ask("qom-list", { path })).filter(isChild).map(({ name }) => name);
}

function isChild({ type }: Row): boolean {
  return typeof type === "string" && type.startsWith("child<");
}

/** Returns the nodes of the block layer that have names of their own, and the devices. */
async function nodes(ask: Ask): Promise<readonly unknown[]> {
  const [named, blocks] = await Promise.all([
    ask("query-named-block-nodes", { flat: true }),
    ask("query-block"),
  ]);
  return [
    // QEMU's own names begin with a number sign.
    ...named.map((row) => row["node-name"]).filter((name) => !String(name).startsWith("#")),
    ...blocks.map(({ device }) => device),
  ];
}

/** Returns the paths of QOM that continue a begun one; those of containers end with a slash. */
async function pathsFrom(ask: Ask, begun: string): Promise<readonly unknown[]> {
  const parent = begun.slice(0, begun.lastIndexOf("/") + 1) || "/";
  const path = parent.length > 1 ? parent.slice(0, -1) : parent;
  return (await ask("qom-list", { path })).filter(isChild)
    .map(({ name, type }) => `${parent}${name}${type === "child<container>" ? "/" : ""}`);
}

/** Returns the properties of the object at the path that is given. */
async function propertiesAt(
  ask: Ask,
  given: ReadonlyMap<string, string>,
): Promise<readonly unknown[]> {
  const path = given.get("path");
  if (path === undefined) return [];
  return (await ask("qom-list", { path })).filter((row) => !isChild(row)).map(({ name }) => name);
}
