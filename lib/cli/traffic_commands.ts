/**
 * The rows of the command table for subcommands about traffic.
 *
 * @module
 */

import type { Subcommand } from "./command_form.ts";

/** The flags that filter traffic. */
export const TRAFFIC_FLAGS = {
  vm: { value: "GLOB", kind: "vm", many: true, help: "only VMs with such names" },
  client: { value: "GLOB", kind: "client", many: true, help: "only clients with such names" },
  command: { value: "GLOB", kind: "command", many: true, help: "only such commands" },
  event: { value: "GLOB", kind: "event", many: true, help: "only such events" },
} as const satisfies Subcommand["flags"];

/** The paragraph about them. */
const FILTERS =
  "Each filter may be repeated. --vm and --client limit everything. With --command or --event, " +
  "only such commands and events are shown.";

/** The flags of subcommands that look at a running qmpmux. */
const LIVE_FLAGS = {
  control: {
    value: "ADDR",
    kind: "address",
    variable: "QMPMUX_CONTROL",
    help: "qmpmux's control socket",
  },
  ...TRAFFIC_FLAGS,
  secrets: { help: "keep secrets; only for root and the user of qmpmux" },
  timeout: { value: "S", help: "timeout in seconds; then exit with status 124" },
} as const satisfies Subcommand["flags"];

/** `qmpmux tap`. */
export const TAP = {
  summary: "print the traffic of a running qmpmux",
  usage: ["[--control ADDR] [--vm GLOB]... [--client GLOB]... [--command GLOB]... [--events]"],
  about: [
    "Prints each command with its answer when that is sent: the client, its program if it is known, the " +
    "arguments, and the time that it waited in qmpmux and ran at QEMU. Also prints connections. " +
    "Secrets are removed as in the audit.",
    FILTERS,
  ],
  flags: {
    ...LIVE_FLAGS,
    events: { help: "print events, too" },
    json: { help: "print the lines of a recording" },
  },
  notes: [
    "If the output is not taken fast enough, messages are left out, and their number is printed. " +
    "qmpmux and its clients never wait for it.",
  ],
} as const satisfies Subcommand;

/** `qmpmux record`. */
export const RECORD = {
  summary: "write the traffic of a running qmpmux to a file",
  usage: ["[--control ADDR] [--vm GLOB]... [--client GLOB]... [--command GLOB]... FILE"],
  about: [
    "Writes a recording to FILE, a new file that only its user can read, until SIGINT, SIGTERM, or the end of " +
    "qmpmux. FILE has whole lines at any time. Secrets are removed as in the audit.",
    FILTERS,
  ],
  flags: {
    ...LIVE_FLAGS,
    events: { help: "with --command, all events, too" },
  },
  operands: [{ value: "FILE", kind: "file" }],
  notes: [
    "If FILE cannot be written fast enough, messages are left out, and a line has their number. qmpmux and its " +
    "clients never wait for it. Exit status 1: FILE exists already, or it cannot be written, as on a full disk.",
  ],
} as const satisfies Subcommand;

/** `qmpmux show`. */
export const SHOW = {
  summary: "print a recording",
  usage: [
    "[--json] [--vm GLOB]... [--client GLOB]... [--command GLOB]... [--event GLOB]... FILE",
    "--html OUT [the same filters] FILE",
  ],
  about: [
    "Prints a recording for people: one line for each command with its answer, event and connection. " +
    "FILE may be - for stdin.",
    FILTERS,
  ],
  flags: {
    ...TRAFFIC_FLAGS,
    from: { value: "TIME", help: "from this time on: HH:MM:SS in UTC, RFC 3339, or +S" },
    to: { value: "TIME", help: "until this time; +S is S seconds after the beginning" },
    html: {
      value: "OUT",
      kind: "file",
      help: "write a page for a browser, which needs nothing else",
    },
    json: { help: "print the lines that pass the filters, as a recording" },
  },
  operands: [{ value: "FILE", kind: "file" }],
  notes: [
    "Exit status 1: FILE is not a recording, has a newer format, or has damaged lines, which are " +
    "named and left out.",
  ],
} as const satisfies Subcommand;

/** `qmpmux replay`. */
export const REPLAY = {
  summary: "play a recording as the QEMU that it came from",
  usage: ["--listen ADDR [--lenient] [--speed N] [--as qemu] [--vm NAME] [--fault SPEC]... FILE"],
  about: [
    "Listens like a QEMU monitor, and plays FILE to each client: greeting, negotiation, replies, and events " +
    "in their places. FILE is a recording, a file of replies as in libvirt's tests, or the reply of " +
    "query-qmp-schema; - stands for stdin. The first connection gets the first recorded client, and so on; later ones get the last.",
    "A command that was not recorded, or comes in another order, gets GenericError. The nearest recorded " +
    "command is printed on stderr. Queries may come in any order among other queries.",
  ],
  flags: {
    listen: {
      value: "ADDR[,...]",
      kind: "listener",
      options: ["name", "mode", "user", "group", "directory-mode", "allow-remote"],
      many: true,
      help: "address for clients; with name=, for the recorded clients of that listener",
    },
    lenient: { help: "answer by command and arguments, whatever the order" },
    speed: { value: "N", initial: 1, help: "1 as recorded, 2 twice as fast; 0 waits for nothing" },
    as: {
      value: "clients|qemu",
      words: ["clients", "qemu"],
      initial: "clients",
      help: "play the recorded clients' monitors, or the one QEMU behind qmpmux",
    },
    vm: { value: "NAME", kind: "vm", help: "the VM, if the recording is of several" },
    fault: {
      value: "SPEC",
      many: true,
      help: "COMMAND[#N]: ACTION, such as 'query-block: delay 5s', 'stop#2: drop', 'cont: silent'",
    },
  },
  operands: [{ value: "FILE", kind: "file" }],
  notes: [
    "Descriptors are not played: the recorded reply comes with or without one.",
    "It runs until SIGINT or SIGTERM. Exit status 0: every command was recorded; 1: one was not, or FILE cannot " +
    "be played; then it does not listen.",
  ],
} as const satisfies Subcommand;
