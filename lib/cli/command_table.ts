/**
 * The command line as one table: subcommands, their flags, and what else a user can rely on.
 *
 * The program reads its flags by it, prints its help from it and makes its
 * completions of it; the manual pages are made of it. So an accepted flag is a
 * documented one.
 *
 * @module
 */

import type { ExitStatus } from "../platform/failure.ts";
import { UsageError } from "../policy/usage_error.ts";
import { type Setting, SETTING_NAMES, type SettingName, SETTINGS } from "../config/settings.ts";
import { nearest } from "../policy/suggestion.ts";
import type { Completed } from "../config/value_kinds.ts";

/** One flag of a subcommand. */
export interface Flag {
  /** What stands for its value; a switch has none. */
  readonly value?: string;
  /** The values there are, where they are few; of an open value those that are usual. */
  readonly words?: readonly string[];
  /** What kind of value it takes. */
  readonly kind?: Completed;
  /** What holds where nothing is said. */
  readonly initial?: string | number;
  /** May it be given many times? */
  readonly many?: true;
  /** The letter that stands for it behind a single hyphen. */
  readonly short?: string;
  /** The environment variable that can stand for it. */
  readonly variable?: string;
  /** What it is. */
  readonly help: string;
}

/** One argument of a subcommand that is no flag. */
export interface Operand {
  /** What stands for it. */
  readonly value: string;
  /** The values there are, where they are few. */
  readonly words?: readonly string[];
  /** The kind of value it is. */
  readonly kind?: Completed;
  /** May there be any number of them? */
  readonly many?: true;
}

/** One subcommand. */
export interface Subcommand {
  /** What it is for, in half a line. */
  readonly summary: string;
  /** How it is written, without `qmpmux NAME`; a row for each way. */
  readonly usage: readonly string[];
  /** What it does, in paragraphs. */
  readonly about: readonly string[];
  /** Its flags by their names; `--help` and `-h` are there always. */
  readonly flags: Readonly<Record<string, Flag>>;
  /** What it takes besides. */
  readonly operands?: readonly Operand[];
  /** What is said behind the flags, in paragraphs. */
  readonly notes?: readonly string[];
}

function socket(help: string): Flag {
  return { value: "ADDR", kind: "address", short: "s", variable: "QMPMUX_SOCKET", help };
}

const TIMEOUT: Flag = { value: "S", help: "give up after so many seconds, with status 124" };

const ADMINISTRATION = {
  control: {
    value: "ADDR",
    kind: "address",
    variable: "QMPMUX_CONTROL",
    help: "the control socket of qmpmux, which answers without QEMU too",
  },
  socket: socket("a listener of a role that administers"),
  json: { help: "print the answer as JSON" },
  timeout: TIMEOUT,
} as const satisfies Subcommand["flags"];

/** The flags of `qmpmux serve`: the settings, and what a file cannot say. */
const SERVE_FLAGS: Readonly<Record<ServeFlag, Flag>> = settingFlags({
  "listen": {
    value: "ADDR[,...]",
    kind: "listener",
    many: true,
    help: "where clients connect; may be given many times",
  },
  "config": { value: "FILE", kind: "file", help: "a TOML file that says the same; flags win" },
  "print-config": { help: "print the settings that come of it all, and end" },
});

/** The name of a flag of `qmpmux serve`. */
type ServeFlag = "listen" | "config" | "print-config" | SettingName;

/** A flag for each setting that is not of the file only; some others behind the first, which is QEMU's. */
function settingFlags<Other extends string>(
  others: Readonly<Record<Other, Flag>>,
): Readonly<Record<SettingName | Other, Flag>> {
  const flags = SETTING_NAMES.flatMap((name): [SettingName, Flag][] => {
    const { value, words, kind, initial, shownInitial, fileOnly, help }: Setting<unknown> =
      SETTINGS[name];
    if (fileOnly) return [];
    const shown = shownInitial ?? (typeof initial === "boolean" ? undefined : initial);
    return [[name, {
      ...(value !== undefined && { value }),
      ...(words !== undefined && { words }),
      ...(kind !== undefined && { kind }),
      ...(shown !== undefined && { initial: shown as string | number }),
      help,
    }]];
  });
  const [first, ...rest] = flags;
  return Object.fromEntries([first!, ...Object.entries<Flag>(others), ...rest]) as Record<
    SettingName | Other,
    Flag
  >;
}

/** The names of the subcommands; the table below has exactly these. */
const NAMES = [
  "serve",
  "check",
  "exec",
  "events",
  "wait",
  "status",
  "clients",
  "kick",
  "reload",
  "help",
  "version",
  "completion",
] as const;

/** The subcommands, in the order in which they are documented. */
export const SUBCOMMANDS = {
  serve: {
    summary: "own QEMU's monitor and serve many clients",
    usage: ["--qemu ADDR --listen ADDR[,option=value...] [--listen ...]", "--config FILE"],
    about: [
      "Owns one QMP connection to QEMU and gives every client that connects a virtual monitor " +
      "of its own.",
    ],
    flags: SERVE_FLAGS,
  },
  check: {
    summary: "tell what is wrong in a configuration file, or whether a monitor answers",
    usage: ["--config FILE", "--live [--qemu ADDR | --config FILE] [--timeout S]"],
    about: [
      "Says what is wrong in a configuration file, a line each: FILE:LINE: what. With --live " +
      "asks whether a monitor answers: QEMU's own, or one of qmpmux's.",
    ],
    flags: {
      config: { value: "FILE", kind: "file", help: "the file" },
      live: { help: "connect, negotiate, and hang up" },
      qemu: { value: "ADDR", kind: "address", help: "the monitor to ask" },
      timeout: { value: "S", initial: 5, help: "seconds it may take" },
    },
    notes: [
      "Exit status 0: nothing is wrong; 78: something is in the file; 69: no monitor answers.",
    ],
  },
  exec: {
    summary: "run one command",
    usage: ["[--socket ADDR] [--timeout S] COMMAND [key=value... | JSON]"],
    about: ["Runs one command and prints the value it returns as JSON."],
    flags: { socket: socket("the monitor to talk to"), timeout: TIMEOUT },
    operands: [{ value: "COMMAND", kind: "command" }, { value: "key=value... | JSON", many: true }],
    notes: [
      "A value is JSON where it can be read as such, else a string; key.member=value fills a " +
      "nested object. Exit status 1: QEMU answered with an error; 77: a role refuses the command.",
    ],
  },
  events: {
    summary: "print events as they come",
    usage: ["[--socket ADDR] [--filter GLOB]... [--count N] [--timeout S]"],
    about: ["Prints events as they come, one JSON object a line."],
    flags: {
      socket: socket("the monitor to listen to"),
      filter: {
        value: "GLOB",
        kind: "event",
        many: true,
        help: "only events of such a name; may be given many times",
      },
      count: { value: "N", help: "end after so many" },
      timeout: { value: "S", help: "end after so many seconds, with status 124" },
    },
    notes: ["Ends when QEMU goes: with status 0, or with 1 before --count events have come."],
  },
  wait: {
    summary: "wait for QEMU, an event or a status of the machine",
    usage: ["[--socket ADDR] [--event GLOB | --status STATUS] [--timeout S]"],
    about: [
      "Waits until QEMU answers; with --event until such an event comes, and prints it; with " +
      "--status until query-status says so.",
    ],
    flags: {
      socket: socket("the monitor to ask"),
      event: { value: "GLOB", kind: "event", help: "wait for an event of such a name" },
      status: {
        value: "STATUS",
        // deno-fmt-ignore
        words: [
          "running", "paused", "shutdown", "suspended", "prelaunch", "inmigrate", "postmigrate",
          "finish-migrate", "save-vm", "restore-vm", "io-error", "internal-error", "watchdog",
          "guest-panicked", "debug", "colo",
        ],
        help: "wait for a status of the machine: running, paused, shutdown, ...",
      },
      timeout: TIMEOUT,
    },
  },
  status: {
    summary: "tell how a running qmpmux stands",
    usage: ["[--control ADDR | --socket ADDR] [--json] [--timeout S]"],
    about: ["Tells how a running qmpmux stands."],
    flags: ADMINISTRATION,
  },
  clients: {
    summary: "list the clients of a running qmpmux",
    usage: ["[--control ADDR | --socket ADDR] [--json] [--timeout S]"],
    about: ["Lists the clients of a running qmpmux."],
    flags: ADMINISTRATION,
  },
  kick: {
    summary: "end a client",
    usage: ["[--control ADDR | --socket ADDR] [--json] [--timeout S] NAME"],
    about: ["Ends a client, behind what is queued for it."],
    flags: ADMINISTRATION,
    operands: [{ value: "NAME", kind: "client" }],
  },
  reload: {
    summary: "have a running qmpmux read its configuration again",
    usage: ["[--control ADDR | --socket ADDR] [--json] [--timeout S]"],
    about: ["Has a running qmpmux read its configuration file again, and tells the outcome."],
    flags: ADMINISTRATION,
  },
  help: {
    summary: "print the help, or that of a subcommand",
    usage: ["[SUBCOMMAND]"],
    about: ["Prints the help, or that of a subcommand."],
    flags: {},
    operands: [{ value: "SUBCOMMAND", words: NAMES }],
  },
  version: {
    summary: "print the version",
    usage: [""],
    about: ["Prints the version, the commit, and the versions of Deno and V8, in one line."],
    flags: {},
  },
  completion: {
    summary: "print the completions of a shell",
    usage: ["bash|zsh|fish"],
    about: ["Prints what makes a shell complete qmpmux's subcommands, flags and their values."],
    flags: {},
    operands: [{ value: "SHELL", words: ["bash", "zsh", "fish"] }],
    notes: [
      "bash and zsh: source <(qmpmux completion bash), or zsh; " +
      "fish: qmpmux completion fish | source. Packages put it where the shell looks for it.",
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
 * @param word a word, or a flag that stands instead of one
 */
export function unknownSubcommand(word: string): UsageError {
  const isFlag = word.startsWith("-");
  const known = isFlag ? GLOBAL_FLAGS.map(({ name }) => `--${name}`) : NAMES;
  const meant = nearest(word, known);
  const kind = isFlag ? "flag" : "subcommand";
  const instead = meant === undefined ? "see qmpmux --help" : `did you mean ${meant}?`;
  return new UsageError(`unknown ${kind} ${word === "" ? '""' : word}; ${instead}`);
}

/** What the program is, in half a line. */
export const SUMMARY = "one QEMU monitor (QMP) for many clients";

/** The flags that stand instead of a subcommand. */
export const GLOBAL_FLAGS: readonly (Flag & { readonly name: string; readonly short: string })[] = [
  { name: "version", short: "V", help: "version, commit, Deno and V8" },
  { name: "help", short: "h", help: "help; after a subcommand, its own" },
];

/** The forms of an address, each with what it is. */
export const ADDRESSES: readonly (readonly [form: string, help: string])[] = [
  ["unix:/path", "a unix socket; the path alone means the same, and so does the name of a file"],
  ["unix-abstract:NAME", "a unix socket that is no file"],
  ["tcp:HOST:PORT", "a TCP port; HOST:PORT means the same"],
  ["fd:NAME", "a socket that systemd passes under this name; for --listen and --metrics"],
];

/** What the program ends with. */
export const EXIT_STATUSES: Readonly<Record<ExitStatus, string>> = {
  0: "done",
  1: "failure; for exec: QEMU answered with an error",
  64: "bad command line",
  69: "no such QEMU or qmpmux",
  77: "not permitted: by the system, or a role refuses the command",
  78: "bad configuration",
  124: "a one-shot command timed out",
};
