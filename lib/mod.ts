/**
 * The core of qmpmux as a library: synchronous, without sockets.
 *
 * Give a {@linkcode Mux} a {@linkcode Peer} for QEMU and one for each client,
 * feed it what a {@linkcode MessageSplitter} and each client's
 * {@linkcode FrameSplitter} find in the bytes, and it answers through the peers.
 *
 * @module
 */

export type { Hub, HubStatus } from "./hub/admin.ts";
export { Mux, type MuxOptions, type Notices } from "./hub/mux.ts";
export type { Ending, Outcome, Party, Recorder, Result } from "./record/recorder.ts";
export type { Admission, Monitor, Slot, Ticket } from "./session/monitor.ts";
export { ArgumentList, type Matching } from "./terms/argument_list.ts";
export { BELOW, ELEMENTS, type Path, type Step } from "./terms/argument_path.ts";
export { EventFilter } from "./terms/event_filter.ts";
export {
  defaultLimits,
  type LimitName,
  type LimitRow,
  LIMITS,
  type Limits,
  type Unit,
} from "./terms/limits.ts";
export type { Deadline, OnLoss } from "./terms/settings.ts";
export {
  type Condition,
  judge,
  type Numbered,
  Role,
  type RoleParts,
  type Rule,
  type Verdict,
} from "./terms/policy.ts";
export { FULL, readRole, ROLES } from "./terms/roles.ts";
export type { DialectName, Terms } from "./terms/terms.ts";
export { MessageSplitter } from "./wire/balance.ts";
export { type Damage, type Frame, FrameSplitter, type Member } from "./wire/frame.ts";
export { CLASSIC, type Grammar, grammarOf, POSITIONED } from "./wire/grammar.ts";
export {
  type Cargo,
  type Command,
  type Event,
  type Greeting,
  type Id,
  type Identity,
  type Malformed,
  type Message,
  type Peer,
  readCommand,
  readMessage,
  type Reply,
} from "./wire/message.ts";
export { type Part, Value } from "./wire/value.ts";
