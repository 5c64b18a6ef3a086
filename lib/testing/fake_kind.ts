/**
 * The parts of a fake QEMU that differ by its kind: by schema, by script, or by recording.
 *
 * @module
 */

import type { EventName } from "../policy/event_filter.ts";
import type { Command, Event } from "../wire/message.ts";
import type { Service } from "./fake_server.ts";
import type { Fault } from "./fault.ts";
import type { SchemaCheck } from "./schema_check.ts";
import type { FaultyQemu } from "./sent_answer.ts";

/** A kind of fake QEMU. */
export interface FakeKind {
  /** The schema that events are checked against. */
  readonly check: SchemaCheck | undefined;
  /** The faults. */
  readonly faults: readonly Fault[];
  /** The commands that were not expected, each as a sentence. */
  readonly mismatches: readonly string[];
  /** Returns the commands that have not come, each as a sentence. */
  missing(): readonly string[];
  /** Returns the part behind the sockets. */
  service(host: FakeHost): FakeService;
}

/** The part behind the sockets. */
export interface FakeService extends Service {
  /** Sends an event to the clients that want it. */
  sendEvent(name: EventName, event: Event): void;
}

/** The fake QEMU, as the part behind its sockets sees it. */
export interface FakeHost extends FaultyQemu {
  /** Notes that a command has been received. */
  received(command: Command): void;
  /** Ends with an error. */
  fail(error: unknown): Promise<void>;
}
