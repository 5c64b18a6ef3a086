/**
 * The handshakes with clients, as tables.
 *
 * `qmp` is today's: one command, `qmp_capabilities`, ends the negotiation. `rfc2010`
 * is the negotiation proposed in January 2010: a handshake mode, in which each
 * event is enabled by name, and a switch to the operational mode.
 *
 * @module
 */

import { quoted } from "../wire/qemu_json.ts";
import type { Command, Reply } from "../wire/message.ts";
import { errorReply, returnReply, withData } from "../wire/reply.ts";
import { asciiBytes } from "../wire/text.ts";
import type { DialectName } from "../policy/admission.ts";
import { ArgumentError, Arguments } from "./arguments.ts";

/** The state of the client's negotiation: under way, or complete. */
export type Mode = "negotiation" | "command";

/** The state of a handshake: one client's mode, capabilities and enabled events. */
export interface HandshakeState {
  /** The mode. */
  readonly mode: Mode;
  /** The capabilities that this QEMU offers. */
  readonly offered: readonly string[];
  /** The capabilities that the client has enabled. */
  readonly capabilities: ReadonlySet<string>;
  /** The events enabled by name; `undefined` if the dialect sends every one. */
  readonly events: ReadonlySet<string> | undefined;
}

/** The answer to a command of the dialect, and the change it makes. */
export interface Handled {
  /** The reply to the client. */
  readonly reply: Reply;
  /** The change of the state, if any. */
  readonly change?: Partial<HandshakeState>;
}

/** Answers one command of a dialect. */
export type Handler = (state: HandshakeState, command: Command) => Handled;

/** A dialect: its greeting, the commands it accepts in each mode, and the form of its errors. */
export interface Dialect {
  /** The name, for `dialect=`. */
  readonly name: DialectName;
  /** Whether it reaches qmpmux only, not QEMU. */
  readonly isControl: boolean;
  /** The enabled events at the start. */
  readonly events: ReadonlySet<string> | undefined;
  /** The capabilities that a client can enable. */
  readonly capabilities: readonly string[];
  /** The dialect's own names of the modes. */
  readonly modes: Readonly<Record<Mode, string>>;
  /** Returns a client's greeting, made of QEMU's. */
  greeting(qemus: Uint8Array): Uint8Array;
  /** The commands that it answers itself. */
  readonly own: Readonly<Record<Mode, ReadonlyMap<string, Handler>>>;
  /** Other commands that run during negotiation. */
  readonly exceptions: ReadonlySet<string>;
  /** The answer to every other command during negotiation. */
  readonly refusal: Reply;
  /** Returns the answer to malformed JSON; `desc` is QEMU's. */
  damage(desc: string): Reply;
  /** Converts a reply of QEMU's form to the dialect's. */
  inDialect(reply: Reply): Reply;
}

const DONE = returnReply("{}");

/** Returns a handler that answers the first wrong argument with an error. */
function checked(
  read: (args: Arguments, state: HandshakeState) => Handled,
  refuse: Refusing,
): Handler {
  return (state, command) => {
    try {
      return read(new Arguments(command), state);
    } catch (error) {
      if (error instanceof ArgumentError) return { reply: refuse(error.message) };
      throw error;
    }
  };
}

type Refusing = (desc: string) => Reply;

const generic: Refusing = (desc) => errorReply("GenericError", desc);

/** The capabilities that are enabled at QEMU if it offers them, and that each client can enable for itself. */
export const KNOWN_CAPABILITIES: readonly "oob"[] = ["oob"];

const acceptCapabilities = checked((args, { offered }) => {
  const enable = args.takeOptionalValues("enable", KNOWN_CAPABILITIES);
  args.end();
  const missing = enable.filter((name) => !offered.includes(name));
  if (missing.length > 0) {
    return { reply: generic(`Capability ${missing.join(", ")} not available`) };
  }
  return { reply: DONE, change: { mode: "command", capabilities: new Set(enable) } };
}, generic);

const ignoreCapabilities = checked((args) => {
  args.takeOptionalValues("enable", KNOWN_CAPABILITIES);
  args.end();
  const desc = "Capabilities negotiation is already complete, command ignored";
  return { reply: errorReply("CommandNotFound", desc) };
}, generic);

/** Today's QMP. */
export const QMP: Dialect = {
  name: "qmp",
  isControl: false,
  events: undefined,
  capabilities: KNOWN_CAPABILITIES,
  modes: { negotiation: "negotiation", command: "command" },
  greeting: (qemus) => qemus,
  own: {
    negotiation: new Map([["qmp_capabilities", acceptCapabilities]]),
    command: new Map([["qmp_capabilities", ignoreCapabilities]]),
  },
  exceptions: new Set(),
  refusal: errorReply(
    "CommandNotFound",
    "Expecting capabilities negotiation with 'qmp_capabilities'",
  ),
  damage: generic,
  inDialect: (reply) => reply,
};

/** Returns an error of 2010, which has `data`, an object. */
function rfcError(errorClass: string, desc: string, data = "{}"): Reply {
  return errorReply(errorClass, desc, data);
}

const rfcGeneric: Refusing = (desc) => rfcError("GenericError", desc);

const INVALID_MODE = rfcError(
  // The RFC's own spelling.
  "QMPInvalidModeCommad",
  "The issued command is invalid in this mode",
);

const invalidMode: Handler = () => ({ reply: INVALID_MODE });

function invalidParameter(name: string): Reply {
  return rfcError("InvalidParameter", `Invalid parameter ${name}`, `{"name": ${quoted(name)}}`);
}

const queryMode = checked((args, { mode }) => {
  args.end();
  return { reply: returnReply(`{"mode": ${quoted(RFC2010.modes[mode])}}`) };
}, rfcGeneric);

const EVENT_NAME = /^[A-Z][A-Z0-9_]{0,127}$/;
/** The number of events that a client may enable. */
const ENABLED_LIMIT = 1024;

function changeEvents(change: (enabled: Set<string>, name: string) => void): Handler {
  return checked((args, { events }) => {
    const name = args.takeString("name");
    args.end();
    if (!EVENT_NAME.test(name)) return { reply: invalidParameter("name") };
    const enabled = new Set(events);
    change(enabled, name);
    if (enabled.size > ENABLED_LIMIT) return { reply: rfcGeneric("Too many events are enabled") };
    return { reply: DONE, change: { events: enabled } };
  }, rfcGeneric);
}

const switchMode = checked((args) => {
  const mode = args.takeString("mode");
  args.end();
  if (mode !== RFC2010.modes.command) return { reply: invalidParameter("mode") };
  return { reply: DONE, change: { mode: "command" } };
}, rfcGeneric);

/** Answers a command that did not exist in 2010. */
const noCapabilities: Handler = (_, { name }) => ({
  reply: rfcError("CommandNotFound", `The command ${name} has not been found`),
});

/** The dialect of the RFC of January 2010. */
export const RFC2010: Dialect = {
  name: "rfc2010",
  isControl: false,
  events: new Set(),
  capabilities: [],
  modes: { negotiation: "handshake", command: "operational" },
  greeting: () => asciiBytes('{"QMP": {"capabilities": ["async messages"]}}\r\n'),
  own: {
    negotiation: new Map([
      ["query-qmp-mode", queryMode],
      ["async_msg_enable", changeEvents((enabled, name) => enabled.add(name))],
      ["async_msg_disable", changeEvents((enabled, name) => enabled.delete(name))],
      ["qmp_switch_mode", switchMode],
    ]),
    command: new Map([
      ["query-qmp-mode", queryMode],
      ["async_msg_enable", invalidMode],
      ["async_msg_disable", invalidMode],
      ["qmp_switch_mode", invalidMode],
      ["qmp_capabilities", noCapabilities],
    ]),
  },
  exceptions: new Set(["query-version", "query-commands"]),
  refusal: INVALID_MODE,
  damage: () => rfcError("JSONParsing", "Invalid JSON syntax"),
  inDialect: (reply) => reply.kind === "error" ? withData(reply, "{}") : reply,
};

/** The dialect of the control socket: today's QMP with qmpmux's own commands only, and without QEMU's events. */
export const CONTROL: Dialect = {
  ...QMP,
  name: "control",
  isControl: true,
  events: new Set(),
  capabilities: [],
};

/** The dialects by name. */
export const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  qmp: QMP,
  rfc2010: RFC2010,
  control: CONTROL,
};
