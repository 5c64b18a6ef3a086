/**
 * The command line as one table: subcommands, flags, forms of addresses, and exit statuses.
 *
 * The parsing of flags, the help, the completions and the manual pages are all derived
 * from it, so that every accepted flag is documented.
 *
 * @module
 */

import type { ExitStatus } from "../platform/failure.ts";
import { UsageError } from "../policy/usage_error.ts";
import { type Setting, SETTING_NAMES, type SettingName, SETTINGS } from "../config/settings.ts";
import { nearest } from "../policy/suggestion.ts";
import { type Flag, socketFlag, type Subcommand, TIMEOUT } from "./command_form.ts";
import { MONITOR_COMMANDS } from "./monitor_commands.ts";
import { RECORD, REPLAY, SHOW, TAP } from "./traffic_commands.ts";

export type { Flag, Operand, Subcommand } from "./command_form.ts";

const ADMINISTRATION = {
  control: {
    value: "ADDR",
    kind: "address",
    variable: "QMPMUX_CONTROL",
    help: "qmpmux's control socket, which works without QEMU too",
  },
  socket: socketFlag("a listener whose role administers"),
  json: { help: "print the reply as JSON" },
  timeout: TIMEOUT,
} as const satisfies Subcommand["flags"];

/** The flags of administration that concerns VMs. */
const ADMINISTRATION_OF_VMS = {
  ...ADMINISTRATION,
  vm: { value: "GLOB", kind: "vm", help: "only VMs with such names" },
} as const satisfies Subcommand["flags"];

/** The flags of `qmpmux serve`: the settings, and the flags that are not settings of the file. */
const SERVE_FLAGS: Readonly<Record<ServeFlag, Flag>> = settingFlags({
  "listen": {
    value: "ADDR[,...]",
    kind: "listener",
    many: true,
    help: "address for clients; repeat it for more",
  },
  "config": {
    value: "FILE",
    kind: "file",
    help: "TOML file with the same settings; flags override it",
  },
  "print-config": { help: "print the resulting settings as TOML, and exit" },
});

/** The name of a flag of `qmpmux serve`. */
type ServeFlag = "listen" | "config" | "print-config" | SettingName;

/** Returns flags in the order of the help: `--qemu`, those that are not settings, the other settings. */
function settingFlags<Other extends string>(
  others: Readonly<Record<Other, Flag>>,
): Readonly<Record<SettingName | Other, Flag>> {
  const [first, ...rest] = SETTING_NAMES.flatMap((name): [string, Flag][] => {
    const { value, words, kind, initial, shownInitial, fileOnly, help }: Setting<unknown> =
      SETTINGS[name];
    const shown = shownInitial ?? (typeof initial === "boolean" ? undefined : initial);
    const flag = { value, words, kind, initial: shown as Flag["initial"], help };
    return fileOnly ? [] : [[name, flag]];
  });
  const flags = Object.fromEntries([first!, ...Object.entries<Flag>(others), ...rest]);
  return flags as Record<SettingName | Other, Flag>;
}

/** The names of the subcommands; the table below has exactly these. */
// deno-fmt-ignore
const NAMES = [
  "serve", "check", "can", "exec", "events", "wait", "shell", "types", "tap", "record", "show", "replay", "status",
  "clients", "kick", "reload", "help", "version", "completion",
] as const;

/** The subcommands, in the order in which they are documented. */
export const SUBCOMMANDS = {
  serve: {
    summary: "own QEMU's monitor and serve many clients",
    usage: ["--qemu ADDR --listen ADDR[,option=value...] [--listen ...]", "--config FILE"],
    about: [
      "Keeps one QMP connection to QEMU and gives each client its own virtual monitor.",
    ],
    flags: SERVE_FLAGS,
  },
  check: {
    summary: "check a configuration file, or whether a monitor answers",
    usage: ["--config FILE", "--live [--qemu ADDR | --config FILE] [--timeout S]"],
    about: [
      "Prints each error in a configuration file as FILE:LINE: error. With --live, connects to a " +
      "monitor of QEMU or qmpmux, and prints QEMU's version.",
    ],
    flags: {
      config: { value: "FILE", kind: "file", help: "the file to check" },
      live: { help: "connect to the monitor, negotiate, and disconnect" },
      qemu: { value: "ADDR", kind: "address", help: "the monitor to connect to" },
      timeout: { value: "S", initial: 5, help: "timeout in seconds" },
    },
    notes: [
      "Exit status 0: no error; 78: an error in the file; 69: no monitor answers.",
    ],
  },
  can: {
    summary: "tell whether a role may run a command",
    usage: [
      "[--config FILE | --control ADDR] --as ROLE COMMAND [key=value... | JSON | @FILE]",
    ],
    about: [
      "Tells whether clients with a role may run a command with these arguments, and which rule " +
      "decides. If it is refused, also prints the nearest rule that allows the command, and what differs.",
    ],
    flags: {
      config: { value: "FILE", kind: "file", help: "the configuration file with the role" },
      control: {
        value: "ADDR",
        kind: "address",
        variable: "QMPMUX_CONTROL",
        help: "control socket of a running qmpmux, which knows the roles of its file",
      },
      as: { value: "ROLE", kind: "role", help: "the role; a built-in one needs no file" },
      json: { help: "print the answer as JSON" },
      timeout: TIMEOUT,
    },
    operands: [{ value: "COMMAND", kind: "command" }, {
      value: "key=value... | JSON | @FILE",
      kind: "argument",
      many: true,
    }],
    notes: [
      "The arguments are read as by exec. Nothing is run. Exit status 0: the role allows the command; " +
      "1: it refuses it; 64: the role does not exist; 78: an error in the file.",
    ],
  },
  ...MONITOR_COMMANDS,
  tap: TAP,
  record: RECORD,
  show: SHOW,
  replay: REPLAY,
  status: {
    summary: "show the status of a running qmpmux",
    usage: ["[--control ADDR | --socket ADDR] [--vm GLOB] [--json] [--timeout S]"],
    about: ["Shows the status of a running qmpmux. If it may serve many VMs, each has a row."],
    flags: ADMINISTRATION_OF_VMS,
  },
  clients: {
    summary: "list the clients of a running qmpmux",
    usage: ["[--control ADDR | --socket ADDR] [--vm GLOB] [--json] [--timeout S]"],
    about: ["Lists the clients of a running qmpmux."],
    flags: ADMINISTRATION_OF_VMS,
  },
  kick: {
    summary: "disconnect clients",
    usage: ["[--control ADDR | --socket ADDR] [--vm GLOB] [--json] [--timeout S] NAME"],
    about: [
      "Disconnects a client after the output queued for it has been sent. NAME may be a glob; then it " +
      "disconnects every client that matches.",
    ],
    flags: ADMINISTRATION_OF_VMS,
    operands: [{ value: "NAME", kind: "client" }],
  },
  reload: {
    summary: "make a running qmpmux reread its configuration",
    usage: ["[--control ADDR | --socket ADDR] [--json] [--timeout S]"],
    about: ["Makes a running qmpmux reread its configuration file, and reports errors."],
    flags: ADMINISTRATION,
  },
  help: {
    summary: "print help for qmpmux or a subcommand",
    usage: ["[SUBCOMMAND]"],
    about: ["Prints help for qmpmux or for a subcommand."],
    flags: {},
    operands: [{ value: "SUBCOMMAND", words: NAMES }],
  },
  version: {
    summary: "print the version",
    usage: [""],
    about: ["Prints the version, the commit, and the versions of Deno and V8 on one line."],
    flags: {},
  },
  completion: {
    summary: "print the completion script for a shell",
    usage: ["bash|zsh|fish"],
    about: [
      "Prints a script that completes subcommands, flags and values. The names of commands, their " +
      "arguments, events, clients and VMs come from the monitor on the command line, or in " +
      "QMPMUX_SOCKET or QMPMUX_CONTROL, if it answers within 100 ms.",
    ],
    flags: {},
    operands: [{ value: "SHELL", words: ["bash", "zsh", "fish"] }],
    notes: [
      "bash: source <(qmpmux completion bash); zsh: source <(qmpmux completion zsh); " +
      "fish: qmpmux completion fish | source. The Debian package installs all three.",
    ],
  },
} as const satisfies Readonly<Record<typeof NAMES[number], Subcommand>>;

/** The name of a subcommand. */
export type SubcommandName = keyof typeof SUBCOMMANDS;

/** Returns whether a word is the name of a subcommand. */
export function isSubcommand(word: string): word is SubcommandName {
  return Object.hasOwn(SUBCOMMANDS, word);
}

/**
 * Returns the error for a word that is not the name of a subcommand.
 *
 * @param word the first argument, which may be a flag
 */
export function unknownSubcommand(word: string): UsageError {
  const isFlag = word.startsWith("-");
  const known = isFlag ? GLOBAL_FLAGS.map(({ name }) => `--${name}`) : NAMES;
  const meant = nearest(word, known);
  const kind = isFlag ? "flag" : "subcommand";
  const instead = meant === undefined ? "see qmpmux --help" : `did you mean ${meant}?`;
  return new UsageError(`unknown ${kind} ${word === "" ? '""' : word}; ${instead}`);
}

/** The program's purpose, in half a line. */
export const SUMMARY = "one QEMU monitor (QMP) for many clients";

/** The flags that can be used instead of a subcommand. */
export const GLOBAL_FLAGS: readonly (Flag & { readonly name: string; readonly short: string })[] = [
  { name: "version", short: "V", help: "version, commit, Deno and V8" },
  { name: "help", short: "h", help: "help; after a subcommand, help for it" },
];

/** The forms of an address, each with its help. */
export const ADDRESSES: readonly (readonly [form: string, help: string])[] = [
  ["unix:/path", "a unix socket; unix: may be left out"],
  ["unix-abstract:NAME", "an abstract unix socket"],
  ["tcp:HOST:PORT", "a TCP port; tcp: may be left out"],
  ["fd:NAME", "a socket passed by systemd under this name; for --listen and --metrics"],
];

/** The exit statuses. */
export const EXIT_STATUSES: Readonly<Record<ExitStatus, string>> = {
  0: "done",
  1: "failure; for exec: QEMU returned an error; for can: the role refuses the command",
  64: "bad command line",
  69: "QEMU or qmpmux is unavailable",
  77: "not permitted: by the system, or a role refuses the command",
  78: "bad configuration",
  124: "a one-shot command timed out",
};
