/**
 * A client of QMP monitors: of QEMU, and of qmpmux. It runs on Deno, Node and Bun.
 *
 * @example Stopping a VM, and waiting for the event
 * ```ts
 * import { connect } from "@qmpmux/qmpmux/client";
 *
 * await using qmp = await connect("unix:/run/qmpmux/vm1/mux.sock");
 * const stopped = qmp.waitFor("STOP");
 * await qmp.execute("stop");
 * console.log((await stopped).timestamp);
 * ```
 *
 * @module
 */

export { connect, type Qmp } from "./qmp.ts";
export {
  ConnectError,
  ConnectionLost,
  type ConnectProblem,
  NotQmpError,
  ProtocolError,
  QmpError,
  TimeoutError,
} from "./errors.ts";
export type { ByteStreams } from "./byte_streams.ts";
export type { EventStream } from "./event_stream.ts";
export type { Greeting } from "./link.ts";
export type {
  ConnectOptions,
  EventsOptions,
  ExecuteOptions,
  ExecuteOptionsOf,
  ExecuteParameters,
  WaitOptions,
} from "./options.ts";
export type {
  AnyQmp,
  ArgumentsOf,
  CommandName,
  CommandTypes,
  EventGlob,
  EventName,
  EventNamed,
  EventOf,
  Gap,
  QmpEvent,
  QmpSchema,
  ReturnOf,
  Told,
} from "./schema.ts";
export { parseExact, stringifyExact } from "./exact_json.ts";
