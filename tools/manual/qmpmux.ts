/**
 * qmpmux(1): the program, its flags, environment, signals and exit statuses.
 *
 * @module
 */

import { flagText, limitInitial, limitValue } from "../../lib/cli/help.ts";
import {
  ADDRESSES,
  EXIT_STATUSES,
  type Flag,
  GLOBAL_FLAGS,
  type Subcommand,
  SUBCOMMANDS,
  SUMMARY,
} from "../../lib/cli/command_table.ts";
import { LIMIT_NAMES, limitRange, type LimitRow, LIMITS } from "../../lib/policy/limits.ts";
import { OPTION_NAMES, type OptionRow, OPTIONS } from "../../lib/config/options.ts";
import { rowsOf } from "./markdown.ts";
import type { Block, Page } from "./roff.ts";

const COMMANDS: readonly (readonly [name: string, row: Subcommand])[] = Object.entries(SUBCOMMANDS);

/** The environment variables that the program reads. */
const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  ["QMPMUX_SOCKET", "The default of `--socket` for one-shot commands."],
  [
    "QMPMUX_CONTROL",
    "The default of `--control` for administrative subcommands. It takes precedence over " +
    "`QMPMUX_SOCKET`.",
  ],
  ["NOTIFY_SOCKET", "The socket for notifications to systemd: readiness, status and stopping."],
  ["WATCHDOG_USEC", "The timeout of systemd's watchdog in microseconds."],
  ["WATCHDOG_PID", "The process that the watchdog monitors."],
  ["LISTEN_FDS", "The number of sockets passed by systemd."],
  ["LISTEN_PID", "The process that the sockets were passed to."],
  ["LISTEN_FDNAMES", "The names of the passed sockets, as in `fd:<NAME>`."],
  ["JOURNAL_STREAM", "If it is set, the default of `--log-format` is `journal`."],
  ["NO_COLOR", "If it is not empty, show and shell print no colors on a terminal."],
  [
    "QMPMUX_HISTORY",
    "The file in which the shell keeps its history; if it is empty, the shell keeps none. Without it, " +
    "the file is `qmpmux/history` in `XDG_STATE_HOME`.",
  ],
  ["XDG_STATE_HOME", "The directory of that file; `~/.local/state` by default."],
  ["HOME", "The home directory, for that default."],
  ["QMPMUX_COMMIT", "The commit that `--version` prints; set in the compiled program."],
];

/** The signals that `serve` handles. */
const SIGNALS: readonly (readonly [term: string, meaning: string])[] = [
  [
    "`SIGTERM`, `SIGINT`",
    "Refuses new commands, waits until pending commands have finished, disconnects all clients " +
    "after the output queued for them has been sent, and exits. It stops waiting after " +
    "`--drain-timeout`, or at a second such signal.",
  ],
  [
    "`SIGHUP`",
    "Reloads the configuration file and reopens the audit. A valid file applies to connected " +
    "clients too, and disconnects none of them. An invalid file changes nothing; the log has the errors.",
  ],
  ["`SIGUSR1`, `SIGUSR2`", "Writes the status to the log."],
];

const FILES: readonly (readonly [term: string, meaning: string])[] = [
  [
    "`/etc/qmpmux/qmpmux.toml`",
    "The configuration of the unit `qmpmux`, which serves every VM of the host.",
  ],
  ["`/etc/default/qmpmux-<VM>`", "The arguments of the unit `qmpmux@<VM>`, in `QMPMUX_ARGS`."],
  ["`/run/qemu/<VM>/qmp.sock`", "QEMU's monitor, as the units expect it."],
  ["`/run/qmpmux/<VM>/mux.sock`", "The socket for clients, of either unit."],
  [
    "`/run/qmpmux/<VM>/watch.sock`",
    "The socket for clients that only watch, of the unit `qmpmux`.",
  ],
  [
    "`/run/qmpmux/control.sock`, `/run/qmpmux/<VM>/control.sock`",
    "The control socket of the unit `qmpmux`, and of `qmpmux@<VM>`, for root and the unit's user. " +
    "`systemctl reload` uses it.",
  ],
  [
    "`/run/qmpmux/metrics.sock`",
    "The metrics of the unit `qmpmux`. The unit `qmpmux-metrics.socket` shows them on 127.0.0.1:19767.",
  ],
  ["`/etc/qmpmux/example.toml`", "An example for `--config`, from the Debian package."],
];

/** The examples; each line that begins with `qmpmux` is a valid command line. */
const EXAMPLES: readonly (readonly [what: string, lines: string])[] = [
  [
    "Start QEMU with a monitor, and serve it to many clients:",
    `qemu-system-x86_64 -qmp unix:/run/vm/qmp.sock,server=on,wait=off
qmpmux serve --qemu unix:/run/vm/qmp.sock --listen unix:/run/vm/mux.sock`,
  ],
  [
    "Let one group only watch the VM, and another group operate it:",
    `qmpmux serve --qemu /run/vm/qmp.sock \\
  --listen /run/vm/watch.sock,role=observer,mode=0660,group=watchers \\
  --listen /run/vm/run.sock,role=operator,mode=0660,group=operators \\
  --listen /run/vm/admin.sock,role=admin`,
  ],
  [
    "In scripts:",
    `qmpmux wait --socket /run/vm/mux.sock --timeout 30
qmpmux exec --socket /run/vm/mux.sock query-status
qmpmux exec --socket /run/vm/mux.sock blockdev-add driver=null-co node-name=n size=1048576
qmpmux exec --socket '/run/*/mux.sock' --timeout 5 query-status
qmpmux events --socket /run/vm/mux.sock --filter 'BLOCK_JOB_*' --count 1 --timeout 60`,
  ],
  [
    "For administrators:",
    `qmpmux clients --socket /run/vm/admin.sock
qmpmux kick --socket /run/vm/admin.sock watch/3
qmpmux kick --socket /run/vm/admin.sock 'watch/*'`,
  ],
];

/** Returns the page. */
export function qmpmuxPage(): Page {
  return {
    name: "qmpmux",
    section: 1,
    summary: SUMMARY,
    sections: [
      ["SYNOPSIS", { lines: synopsis().join("\n") }],
      [
        "DESCRIPTION",
        "QEMU's control socket serves one client at a time. qmpmux holds that one connection and " +
        "gives each of any number of clients its own monitor, with its own handshake, capabilities, " +
        "event filter and ids. To a client it looks like QEMU's own monitor: the greeting, replies, " +
        "events and errors are QEMU's, byte for byte.",
        "It can be started before QEMU, and reconnects when QEMU is restarted. The role of a " +
        "listener can limit its clients to watching the VM, or to operating the VM without access to " +
        "the host. A client that floods, stalls or sends malformed data affects only itself.",
        "Data is printed to standard output, everything else to standard error.",
      ],
      ["OPTIONS", {
        grant: GLOBAL_FLAGS.map((
          { name, short, help },
        ) => [`\`-${short}\`, \`--${name}\``, sentence(help)]),
      }],
      ["SUBCOMMANDS", ...COMMANDS.flatMap(([name, row]) => subcommand(name, row))],
      [
        "ADDRESSES",
        "An `<ADDR>` is one of:",
        { grant: ADDRESSES.map(([form, help]) => [spelled(form), sentence(help)]) },
        "QEMU's options `,server=on,wait=off` are accepted after an address; they describe what qmpmux " +
        "always does. A path has at most 107 bytes. Listening on an address that other machines can " +
        "reach requires `allow-remote=on`.",
      ],
      [
        "LISTENER OPTIONS",
        "Options follow the address of `--listen`, separated by commas. In the file they are keys of " +
        "the listener's table.",
        { grant: OPTION_NAMES.map(option) },
        { heading: "Limits" },
        "Limits on the resources that one client can use. `<BYTES>` may be written 64K, 1M or 1G.",
        { grant: LIMIT_NAMES.map(limit) },
      ],
      [
        "ROLES",
        { grant: rowsOf("roles.md", "role").map(([name, what]) => [name!, sentence(what!)]) },
        "Further roles can be defined in the file; see `qmpmux.toml`(5). A command that a role refuses " +
        "is never sent to QEMU.",
      ],
      ["EXIT STATUS", {
        grant: Object.entries(EXIT_STATUSES).map((
          [status, what],
        ) => [`\`${status}\``, sentence(what)]),
      }],
      ["SIGNALS", "Signals that `qmpmux serve` handles:", { grant: SIGNALS }],
      ["ENVIRONMENT", { grant: VARIABLES.map(([name, what]) => [`\`${name}\``, what]) }],
      ["FILES", { grant: FILES }],
      ["EXAMPLES", ...EXAMPLES.flatMap(([what, lines]): Block[] => [what, { lines }])],
      ["SEE ALSO", "`qmpmux.toml`(5), `qmpmux-protocol`(7), `qemu`(1), `systemd.socket`(5)"],
    ],
  };
}

/** Returns the synopsis, one line for each form of the command line. */
function synopsis(): string[] {
  const usage = COMMANDS.flatMap(([name, { usage }]) => usage.map((words) => `${name} ${words}`));
  const globals = GLOBAL_FLAGS.map(({ name }) => `--${name}`);
  return [...usage, ...globals].map((words) => `qmpmux ${words}`);
}

function subcommand(name: string, { about, flags, notes = [] }: Subcommand): Block[] {
  const grant = Object.entries(flags).map(([flag, row]) =>
    [spelled(flagText(flag, row)), told(row)] as const
  );
  return [
    { heading: `qmpmux ${name}` },
    ...about.map(marked),
    { grant: [...grant, ["`-h`, `--help`", "Print help."]] },
    ...notes.map(marked),
  ];
}

function told(flag: Flag): string {
  const { help, variable } = flag;
  const instead = variable === undefined ? "" : ` Default: the value of \`${variable}\`.`;
  return `${sentence(marked(help))}${otherwise(flag)}${instead}`;
}

function option(name: keyof typeof OPTIONS): [string, string] {
  const row: OptionRow = OPTIONS[name];
  return [spelled(`${name}=${row.value}`), `${sentence(row.help)}${otherwise(row)}`];
}

function limit(name: keyof typeof LIMITS): [string, string] {
  const row: LimitRow = LIMITS[name];
  const others = Object.entries(row.forRole ?? {}).map(([role, value]) => `, ${value} for ${role}`);
  const unsaid = `Default: ${limitInitial(row)}${others.join("")}.`;
  return [
    spelled(`${name}=${limitValue(row)}`),
    `${sentence(row.help)} ${unsaid} Range: ${limitRange(row)}.`,
  ];
}

/** Returns the spelling of a flag or address; words in capitals are placeholders. */
export function spelled(form: string): string {
  const parts = form.split(/([A-Z]{2,}|(?<=[ =])[A-Z]\b)/);
  return `\`${parts.map((part, i) => i % 2 === 1 ? `<${part}>` : part).join("")}\``;
}

/** Returns a text in which flags are marked as literals. */
function marked(text: string): string {
  return text.replace(/(?<![\w`-])--?[a-z][a-z-]*/g, "`$&`");
}

/** Returns a text with a capital letter and a full stop, as a sentence. */
export function sentence(text: string): string {
  const begun = /^[a-z']+([ ,;]|$)/.test(text) ? text[0]!.toUpperCase() + text.slice(1) : text;
  return begun.endsWith(".") ? begun : `${begun}.`;
}

/** Returns the default as a sentence that follows others. */
export function otherwise({ initial, words }: Flag | OptionRow): string {
  if (initial === undefined) return "";
  return ` Default: ${words?.includes(String(initial)) ? `\`${initial}\`` : initial}.`;
}
