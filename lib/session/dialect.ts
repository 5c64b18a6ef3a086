/**
 * The handshakes a client can be met with, as tables.
 *
 * `qmp` is today's: one command, `qmp_capabilities`, ends negotiation. `rfc2010`
 * is the negotiation proposed in January 2010: a handshake mode, in which each
 * event is enabled by name, and a switch to the operational mode.
 *
 * @module
 */

import { quoted } from "../wire/qemu_json.ts";
import type { Command, Reply } from "../wire/message.ts";
import { errorReply, returnReply, withData } from "../wire/reply.ts";
import { asciiBytes } from "../wire/text.ts";
import type { DialectName } from "../policy/grant.ts";
import { ArgumentError, Arguments } from "./arguments.ts";

/** Has the client ended its negotiation? */
export type Mode = "negotiation" | "command";

/** What a handshake has come to: one client's mode, capabilities and enabled events. */
export interface HandshakeState {
  /** Before or after the end of its negotiation. */
  readonly mode: Mode;
  /** Capabilities this QEMU offers. */
  readonly offered: readonly string[];
  /** The capabilities it has enabled. */
  readonly capabilities: ReadonlySet<string>;
  /** Events enabled by name; `undefined` where the dialect sends every one. */
  readonly events: ReadonlySet<string> | undefined;
}

/** The answer to a command of the dialect, and what it changes. */
export interface Outcome {
  /** What the client hears. */
  readonly reply: Reply;
  /** What is different from then on. */
  readonly change?: Partial<HandshakeState>;
}

/** Answers one command of a dialect. */
export type Handler = (state: HandshakeState, command: Command) => Outcome;

/** A dialect: what a client hears first, what it may say when, and how errors look. */
export interface Dialect {
  /** As `dialect=` names it. */
  readonly name: DialectName;
  /** Whether it reaches qmpmux itself and no QEMU. */
  readonly isControl: boolean;
  /** What it starts with. */
  readonly events: ReadonlySet<string> | undefined;
  /** The capabilities a client can come to have here. */
  readonly capabilities: readonly string[];
  /** What a client is called to be in, in the dialect's own words. */
  readonly modes: Readonly<Record<Mode, string>>;
  /** The first bytes a client gets, made of QEMU's greeting. */
  greeting(qemus: Uint8Array): Uint8Array;
  /** The commands it answers itself. */
  readonly own: Readonly<Record<Mode, ReadonlyMap<string, Handler>>>;
  /** Other commands that run during negotiation. */
  readonly exceptions: ReadonlySet<string>;
  /** The answer to all the rest during negotiation. */
  readonly refusal: Reply;
  /** The answer to what is no JSON; `desc` is QEMU's. */
  damage(desc: string): Reply;
  /** A reply of QEMU's form in the dialect's. */
  inDialect(reply: Reply): Reply;
}

const DONE = returnReply("{}");

/** Answers the first wrong argument, or goes on. */
function checked(
  read: (args: Arguments, state: HandshakeState) => Outcome,
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

/** Capabilities of today's QMP that qmpmux can give a client of its own. */
const KNOWN_CAPABILITIES = ["oob"] as const;

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

/** An error of 2010: with `data`, an object. */
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
/** A client cannot make qmpmux remember more names than this. */
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

/** In 2010 there was no such command yet. */
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

/** The control socket's: today's QMP with the commands of qmpmux alone, and none of QEMU's events. */
export const CONTROL: Dialect = {
  ...QMP,
  name: "control",
  isControl: true,
  events: new Set(),
  capabilities: [],
};

/** A dialect by its name. */
export const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  qmp: QMP,
  rfc2010: RFC2010,
  control: CONTROL,
};
