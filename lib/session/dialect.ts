/**
 * The handshakes with clients, as tables.
 *
 * `qmp` is today's QMP: the command `qmp_capabilities` completes the negotiation. `rfc2010` is
 * the protocol proposed in January 2010. In its handshake mode a client enables each event by
 * name, and then switches to the operational mode.
 *
 * @module
 */

import { quoted } from "../wire/qemu_json.ts";
import type { Command, Reply } from "../wire/message.ts";
import { errorReply, returnReply, withData } from "../wire/reply.ts";
import { asciiBytes } from "../wire/text.ts";
import type { DialectName } from "../policy/admission.ts";
import { ArgumentError, Arguments } from "./arguments.ts";

/** The mode of a client: in negotiation, or after it. */
export type Mode = "negotiation" | "command";

/** The state of one client's handshake. */
export interface HandshakeState {
  /** The mode. */
  readonly mode: Mode;
  /** The capabilities that this QEMU offers. */
  readonly offered: readonly string[];
  /** The capabilities that the client has enabled. */
  readonly capabilities: ReadonlySet<string>;
  /** The events that the client has enabled by name; `undefined` if the dialect sends all events. */
  readonly events: ReadonlySet<string> | undefined;
}

/** The result of a command of the dialect. */
export interface Handled {
  /** The reply to the client. */
  readonly reply: Reply;
  /** The changed parts of the state, if any. */
  readonly change?: Partial<HandshakeState>;
}

/** A function that answers one command of a dialect. */
export type Handler = (state: HandshakeState, command: Command) => Handled;

/** A dialect: its greeting, the commands it accepts in each mode, and the form of its errors. */
export interface Dialect {
  /** The name, for `dialect=`. */
  readonly name: DialectName;
  /** Whether its clients can only send qmpmux's own commands. */
  readonly isControl: boolean;
  /** The events that are enabled for a new client; `undefined` means all. */
  readonly events: ReadonlySet<string> | undefined;
  /** The capabilities that a client can enable. */
  readonly capabilities: readonly string[];
  /** The dialect's names for the modes. */
  readonly modes: Readonly<Record<Mode, string>>;
  /** Returns the greeting for clients; `qemus` is QEMU's greeting. */
  greeting(qemus: Uint8Array): Uint8Array;
  /** The commands that the dialect answers itself, by mode. */
  readonly own: Readonly<Record<Mode, ReadonlyMap<string, Handler>>>;
  /** The other commands that a client may run during negotiation. */
  readonly exceptions: ReadonlySet<string>;
  /** The error for all other commands during negotiation. */
  readonly refusal: Reply;
  /** Returns the error for malformed JSON; `desc` is QEMU's error text. */
  damage(desc: string): Reply;
  /** Converts a reply in QEMU's form to the dialect's form. */
  inDialect(reply: Reply): Reply;
}

const DONE = returnReply("{}");

/** Returns a handler that reads the arguments and replies with an error if one is wrong. */
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

/** The capabilities that qmpmux enables if QEMU offers them; each client can then enable them for itself. */
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

/** Returns an error in the form of 2010; `data` is the text of an object. */
function rfcError(errorClass: string, desc: string, data = "{}"): Reply {
  return errorReply(errorClass, desc, data);
}

const rfcGeneric: Refusing = (desc) => rfcError("GenericError", desc);

const INVALID_MODE = rfcError(
  // The spelling mistake is the RFC's.
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
/** The most events that a client may enable. */
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

/** Refuses a command that did not exist in 2010. */
const noCapabilities: Handler = (_, { name }) => ({
  reply: rfcError("CommandNotFound", `The command ${name} has not been found`),
});

/** The dialect proposed in the RFC of January 2010. */
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

/** The dialect of the control socket: today's QMP with only qmpmux's own commands, and without events. */
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
