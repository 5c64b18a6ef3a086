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

/** The environment variables that it reads. */
const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  ["QMPMUX_SOCKET", "The monitor that one-shot commands talk to without `--socket`."],
  [
    "QMPMUX_CONTROL",
    "The control socket that administrative subcommands talk to; before `QMPMUX_SOCKET`.",
  ],
  ["NOTIFY_SOCKET", "Where systemd is told of readiness, status and stopping."],
  ["WATCHDOG_USEC", "How often systemd's watchdog wants a sign of life."],
  ["WATCHDOG_PID", "The process whose sign of life it is."],
  ["LISTEN_FDS", "How many sockets systemd passes."],
  ["LISTEN_PID", "The process they are for."],
  ["LISTEN_FDNAMES", "Their names, which `fd:<NAME>` takes them by."],
  ["JOURNAL_STREAM", "Where it is set, the log has the form `journal`."],
  ["NO_COLOR", "Is for the run-time system; qmpmux has no colors."],
  ["QMPMUX_COMMIT", "Is set within the compiled program: what `--version` says."],
];

/** The signals that `serve` handles. */
const SIGNALS: readonly (readonly [term: string, meaning: string])[] = [
  [
    "`SIGTERM`, `SIGINT`",
    "Commands under way finish, new ones are refused, every client reads its last bytes and the " +
    "end of file. After `--drain-timeout`, or at a second such signal, it ends at once.",
  ],
  [
    "`SIGHUP`",
    "Reads the configuration again and opens the audit anew. A good file takes effect on the " +
    "clients that are there without dropping one; a bad one changes nothing, and the log says why.",
  ],
  ["`SIGUSR1`, `SIGUSR2`", "Writes the status to the log."],
];

const FILES: readonly (readonly [term: string, meaning: string])[] = [
  ["`/etc/default/qmpmux-<VM>`", "What the unit `qmpmux@<VM>` is told, as `QMPMUX_ARGS`."],
  ["`/run/qemu/<VM>/qmp.sock`", "Where the unit looks for QEMU's monitor."],
  ["`/run/qmpmux/<VM>/mux.sock`", "Where the unit's clients connect."],
  [
    "`/run/qmpmux/<VM>/control.sock`",
    "The unit's control socket, for root and the unit's user. `systemctl reload` uses it.",
  ],
  ["`/etc/qmpmux/example.toml`", "What `--config` can be given; the Debian package has it."],
];

/** The examples; each line that begins with `qmpmux` is a valid command line. */
const EXAMPLES: readonly (readonly [what: string, lines: string])[] = [
  [
    "Give QEMU a monitor, and many clients one each:",
    `qemu-system-x86_64 -qmp unix:/run/vm/qmp.sock,server=on,wait=off
qmpmux serve --qemu unix:/run/vm/qmp.sock --listen unix:/run/vm/mux.sock`,
  ],
  [
    "Let a group only watch, and another run the machine:",
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
qmpmux events --socket /run/vm/mux.sock --filter 'BLOCK_JOB_*' --count 1 --timeout 60`,
  ],
  [
    "For administrators:",
    `qmpmux clients --socket /run/vm/admin.sock
qmpmux kick --socket /run/vm/admin.sock watch/3`,
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
        "gives each of any number of clients a monitor of its own: its own handshake, its own " +
        "capabilities, its own event filter, its own ids. A client cannot tell it from QEMU's " +
        "monitor: greeting, replies, events and errors are QEMU's, byte for byte.",
        "It can be started before QEMU, and serves the next one when QEMU is started again. A " +
        "listener can let its clients only watch, or run the machine without reaching the host " +
        "through it. A client that floods, stalls or sends damage harms itself alone.",
        "Data goes to standard output, all else to standard error.",
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
        "QEMU's own spelling of a listening socket is taken too: `,server=on,wait=off` behind it " +
        "means what it does anyway. A path has at most 107 bytes. Listening on an address that " +
        "other machines can reach needs `allow-remote=on`.",
      ],
      [
        "LISTENER OPTIONS",
        "They follow the address of `--listen`, each behind a comma; in the file they are keys of " +
        "the table of the listener.",
        { grant: OPTION_NAMES.map(option) },
        { heading: "Limits" },
        "What one client may cost the others, QEMU and the machine. `<BYTES>` may be written 64K, " +
        "1M or 1G.",
        { grant: LIMIT_NAMES.map(limit) },
      ],
      [
        "ROLES",
        { grant: rowsOf("roles.md", "role").map(([name, what]) => [name!, sentence(what!)]) },
        "More are made in the file; see `qmpmux.toml`(5). What a role refuses never reaches QEMU.",
      ],
      ["EXIT STATUS", {
        grant: Object.entries(EXIT_STATUSES).map((
          [status, what],
        ) => [`\`${status}\``, sentence(what)]),
      }],
      ["SIGNALS", "Of `qmpmux serve`:", { grant: SIGNALS }],
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
    { grant: [...grant, ["`-h`, `--help`", "Its help."]] },
    ...notes.map(marked),
  ];
}

function told(flag: Flag): string {
  const { help, variable } = flag;
  const instead = variable === undefined ? "" : ` Without it, what \`${variable}\` says.`;
  return `${sentence(marked(help))}${otherwise(flag)}${instead}`;
}

function option(name: keyof typeof OPTIONS): [string, string] {
  const row: OptionRow = OPTIONS[name];
  return [spelled(`${name}=${row.value}`), `${sentence(row.help)}${otherwise(row)}`];
}

function limit(name: keyof typeof LIMITS): [string, string] {
  const row: LimitRow = LIMITS[name];
  const others = Object.entries(row.forRole ?? {}).map(([role, value]) => `, ${value} for ${role}`);
  const unsaid = `Without it: ${limitInitial(row)}${others.join("")}.`;
  return [
    spelled(`${name}=${limitValue(row)}`),
    `${sentence(row.help)} ${unsaid} Possible: ${limitRange(row)}.`,
  ];
}

/** Returns the spelling of a flag or address; words in capitals are placeholders. */
export function spelled(form: string): string {
  const parts = form.split(/([A-Z]{2,}|(?<=[ =])[A-Z]\b)/);
  return `\`${parts.map((part, i) => i % 2 === 1 ? `<${part}>` : part).join("")}\``;
}

/** Returns a text with its flags as literals. */
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
  return ` Without it: ${words?.includes(String(initial)) ? `\`${initial}\`` : initial}.`;
}
