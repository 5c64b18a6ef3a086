/**
 * The types of commands and events.
 *
 * `qmpmux types` writes them for the QEMU at hand: `connect<Qmp>(…)` then checks names, arguments and
 * values at compile time. Without them everything is allowed, and nothing is checked.
 *
 * @module
 */

/** The commands and events of a monitor, by name. */
export interface QmpSchema {
  /** The commands. */
  readonly commands: object;
  /** The data of the events. */
  readonly events: object;
}

/** A command in a schema. */
export interface CommandTypes {
  /** Its arguments. */
  readonly arguments: object;
  /** The value that it returns. */
  readonly return: unknown;
  /** Present if QEMU can run it out of band. */
  readonly oob?: true;
}

/** The schema without types: any name, any arguments, any value. */
export interface AnyQmp extends QmpSchema {
  /** The commands. */
  // deno-lint-ignore no-explicit-any -- The value is unchecked, as that of JSON.parse is.
  readonly commands: { readonly [name: string]: { arguments: object; return: any; oob: true } };
  /** The events. */
  // deno-lint-ignore no-explicit-any -- The same holds for the data of events.
  readonly events: { readonly [name: string]: any };
}

/** The names of the commands. */
export type CommandName<S extends QmpSchema> = keyof S["commands"] & string;

/** The names of the events. */
export type EventName<S extends QmpSchema> = keyof S["events"] & string;

/** The arguments of a command. */
export type ArgumentsOf<S extends QmpSchema, N extends CommandName<S>> = S["commands"][N] extends
  { readonly arguments: infer A } ? A : never;

/** The value that a command returns. */
export type ReturnOf<S extends QmpSchema, N extends CommandName<S>> = S["commands"][N] extends
  { readonly return: infer R } ? R : never;

/** An event of any name in the schema; its name narrows its data. */
export type EventOf<S extends QmpSchema> = {
  [N in EventName<S>]: QmpEvent<N, S["events"][N]>;
}[EventName<S>];

/** The event with a name; any event of the schema if it is a glob. */
export type EventNamed<S extends QmpSchema, N extends string> = N extends
  `${string}${"*" | "?"}${string}` ? EventOf<S>
  : N extends EventName<S> ? QmpEvent<N, S["events"][N]>
  : EventOf<S>;

/** The name of an event in the schema, which editors complete, or a glob. */
export type EventGlob<S extends QmpSchema> = EventName<S> | (string & Record<never, never>);

/** An event. */
export interface QmpEvent<N extends string = string, D = unknown> {
  /** Its name, such as `BLOCK_JOB_COMPLETED`, as the other end sent it: escape it before a terminal shows it. */
  readonly name: N;
  /** Its data; an empty object if it has none. */
  readonly data: D;
  /** The time at which it happened: seconds since 1970, and microseconds. */
  readonly timestamp: { readonly seconds: number; readonly microseconds: number };
  /** The message as QEMU sent it, as JSON on one line. */
  readonly text: string;
}

/**
 * Events may be missing here: more came than the program has read, the connection was lost and made again,
 * or QEMU was away behind a qmpmux that has kept the connection.
 *
 * It stands in the stream in the place of those that are missing.
 */
export type Gap = QmpEvent<"__org.qmpmux_GAP", { readonly reason: string }>;

/** An event, or a gap where events are missing. */
export type Told<S extends QmpSchema> = EventOf<S> | Gap;
