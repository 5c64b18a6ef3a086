/**
 * The core of qmpmux as a library: synchronous, without sockets.
 *
 * Create a {@linkcode Mux}. Give it a {@linkcode QemuPeer} for QEMU and a {@linkcode ClientPeer} for
 * each client. Pass it the messages of a {@linkcode MessageSplitter} and of each client's
 * {@linkcode FrameSplitter}. It sends its output through the peers.
 *
 * `docs/library.md` lists the caller's other tasks; `examples/two_clients.ts` is a complete example.
 *
 * @example Attaching a client to a QEMU
 * ```ts
 * import { defaultLimits, FULL, Mux, type ClientPeer, type QemuPeer } from "@qmpmux/qmpmux";
 *
 * export function serve(qemu: QemuPeer, client: ClientPeer): void {
 *   const notices = { ready() {}, lost() {}, stalled() {}, idle() {}, reload() {}, failed() {} };
 *   const timeOfDay = () => Date.now() / 1000;
 *   const mux = new Mux(
 *     { vm: "vm1", version: "1.0.0", handshakeTime: 60, onLoss: "close", stallTime: 10, deadlines: [], timeOfDay },
 *     notices,
 *   );
 *   mux.qemuArrived(qemu, String(Math.floor(Math.random() * 2 ** 53)));
 *   const monitor = mux.attach(client, {
 *     name: "backup",
 *     role: FULL,
 *     dialect: "qmp",
 *     events: undefined,
 *     caches: true,
 *     joins: true,
 *     limits: defaultLimits("full"),
 *   });
 *   // Then call mux.answered(message) and mux.received(monitor, frame) for each input.
 *   console.log(`${monitor.name} is connected`);
 * }
 * ```
 *
 * @module
 */

export type {
  Administered,
  AdministeredLeases,
  Administration,
  HubStatus,
} from "./hub/administration.ts";
export { Mux } from "./hub/mux.ts";
export type { OpenTap, TapRequest } from "./hub/tap_request.ts";
export type { MuxOptions, Notices } from "./hub/mux_options.ts";
export type {
  ClientEnding,
  ClientInfo,
  GapCause,
  Gate,
  Happening,
  InternalErrorPlace,
  Observer,
  Outcome,
  Recording,
  Result,
} from "./observe/observer.ts";
export type {
  ClientTraffic,
  Names,
  QemuTraffic,
  Tap,
  Tapped,
  TappedAsker,
  TappedClient,
  TappedRequest,
  Traffic,
  TrafficFilter,
  TrafficSource,
} from "./observe/traffic.ts";
export type { Gauges } from "./observe/metrics_recorder.ts";
export type { Monitor } from "./session/monitor.ts";
export type { LocalAnswer, Slot, Ticket } from "./session/slot.ts";
export {
  ArgumentList,
  type Outside,
  type OutsideValue,
  type ShownValue,
} from "./policy/argument_list.ts";
export { BELOW, ELEMENTS, type Path, type Step } from "./policy/argument_path.ts";
export { EventFilter, EventName } from "./policy/event_filter.ts";
export {
  defaultLimits,
  type LimitName,
  type LimitRow,
  LIMITS,
  type Limits,
  type Unit,
} from "./policy/limits.ts";
export type { OnLoss } from "./config/settings.ts";
export type { Deadline } from "./config/value_kinds.ts";
export {
  type Condition,
  judge,
  type Judged,
  Role,
  type RoleParts,
  type Rule,
  type RuleName,
  ruleName,
  type Verdict,
} from "./policy/policy.ts";
export { FULL, readRole, ROLES } from "./policy/roles.ts";
export type { DialectName, Grant } from "./policy/admission.ts";
export { MessageSplitter, type NoMessage } from "./wire/message_splitter.ts";
export { type Damage, type Frame, FrameSplitter, type Offsets } from "./wire/frame.ts";
export { CLASSIC, type Grammar, grammarOf, POSITIONED } from "./wire/grammar.ts";
export { readCommand } from "./wire/command_reader.ts";
export {
  argumentsOf,
  type Command,
  type Event,
  type Greeting,
  type Id,
  type Malformed,
  type Message,
  readMessage,
  type Reply,
  UnexpectedMessage,
} from "./wire/message.ts";
export type { EventReader } from "./session/subscription.ts";
export type { LogLimits } from "./sharing/event_log.ts";
export type { ClientPeer, Fds, Identity, QemuEnding, QemuPeer, Source } from "./wire/peer.ts";
export { Cursor } from "./wire/cursor.ts";
export { NameTable } from "./wire/names.ts";
