/**
 * qmpmux.toml(5): the configuration file.
 *
 * @module
 */

import { type Flag, SUBCOMMANDS } from "../../lib/cli/command_table.ts";
import { CONFIG_KEYS } from "../../lib/config/config.ts";
import { LIMIT_NAMES, limitRange, type LimitRow, LIMITS } from "../../lib/policy/limits.ts";
import { OPTION_NAMES, type OptionRow, OPTIONS } from "../../lib/config/options.ts";
import { rowsOf } from "./markdown.ts";
import { otherwise, sentence } from "./qmpmux.ts";
import { limitInitial } from "../../lib/cli/help.ts";
import type { Page } from "./roff.ts";

/** The top-level keys that are tables; all others have the names of flags. */
const TABLES: Readonly<Record<string, string>> = {
  deadline: "A table: how long commands may take. See DEADLINES.",
  role: "An array of tables: roles of the file's own. See ROLES.",
  listen: "An array of tables: where clients connect. See LISTENERS.",
};

/** A file with every key; a test reads it. */
export const EXAMPLE = `qemu = "unix:/run/vm/qmp.sock"
on-loss = "hold"
drain-timeout = 10
metrics = "unix:/run/qmpmux/metrics.sock,mode=0660,group=prometheus"
audit = "journal"

[deadline]
"query-*" = 5

[[role]]
name = "backup"
events = ["BLOCK_JOB_*", "JOB_STATUS_CHANGE"]
rules = [
  { refuse = "blockdev-add", where = { driver = ["nbd", "http*"] }, because = "no network disks" },
  { allow = "blockdev-add", where = { "file.filename" = "/backup/*" }, only = ["driver", "node-name", "file.driver", "file.filename"] },
  { allow = ["query-*", "blockdev-backup", "blockdev-del", "job-*"] },
]

[[listen]]
address = "unix:/run/qmpmux/backup.sock"
role = "backup"
mode = "0660"
group = "backup"
rate = 10
max-command = "64K"

[[listen]]
address = "unix:/run/qmpmux/admin.sock"
role = "admin"
`;

/** Returns the page. */
export function tomlPage(): Page {
  return {
    name: "qmpmux.toml",
    section: 5,
    summary: "configuration of qmpmux",
    sections: [
      [
        "DESCRIPTION",
        "`qmpmux serve --config <FILE>` reads a file in TOML that says what the flags say, under the " +
        "same names. Flags win over the file. The file may have any name. An unknown key is an error.",
        "`qmpmux check --config <FILE>` says all that is wrong, each with its line, and ends with 0 " +
        "or 78. `qmpmux serve --print-config` prints what is in force, with every default.",
        "`SIGHUP`, or `qmpmux reload`, reads the file again. A good file takes effect on the clients " +
        "that are there without dropping one; a bad one changes nothing.",
      ],
      ["TOP LEVEL", { grant: CONFIG_KEYS.map((key) => [`\`${key}\``, keyText(key)]) }],
      [
        "DEADLINES",
        "In `[deadline]` each key is the name of a command, with * and ?, and its value the seconds " +
        "such commands may take. The first that matches counts. A command that takes longer is " +
        "answered with an error; it may still run.",
      ],
      [
        "LISTENERS",
        "Each `[[listen]]` is a listener. Its keys are the options of `--listen`; see qmpmux(1).",
        {
          grant: [
            ["`address`", "Text. Where it listens; needed."],
            ...OPTION_NAMES.map((name) => [`\`${name}\``, optionText(OPTIONS[name])] as const),
            ...LIMIT_NAMES.map((name) => [`\`${name}\``, limitText(LIMITS[name])] as const),
          ],
        },
      ],
      [
        "ROLES",
        "Each `[[role]]` is a role. Rules are tried in their order, and the first that matches " +
        "decides; where none matches, the command is refused.",
        {
          grant: rowsOf("roles.md", "key of a role").map(([key, what]) => [key!, sentence(what!)]),
        },
        { heading: "Rules" },
        {
          grant: rowsOf("roles.md", "key of a rule").map(([key, what]) => [key!, sentence(what!)]),
        },
        "All that a rule asks must hold. An argument is named by its path: `device`, " +
        '`target.driver`, `actions[*].type`, `"a.b".c` where a name has a dot in it; `**` at the ' +
        "end is the value and all below it. Where a path has many ends, `allow` asks that each of " +
        "them matches, and that there is one; `refuse` asks whether any does.",
        'Values are compared as text: `1` and `"1"` are the same, and so are `1.0` and `1`; no two ' +
        "integers of 64 bits are.",
        "Write allow lists with `only`. A rule that refuses some values of an argument misses what " +
        "you have not thought of: other commands that do the same, another spelling of a path, " +
        "members that a newer QEMU has.",
      ],
      ["EXAMPLE", { lines: EXAMPLE }],
      ["SEE ALSO", "`qmpmux`(1), `qmpmux-protocol`(7)"],
    ],
  };
}

function keyText(key: string): string {
  const table = TABLES[key];
  if (table !== undefined) return table;
  const flags: Readonly<Record<string, Flag>> = SUBCOMMANDS.serve.flags;
  const flag = flags[key];
  if (flag === undefined) {
    throw new Error(`Cannot tell what the key ${key} is: there is no such flag`);
  }
  return `${typeOf(flag)} ${sentence(flag.help)}${otherwise(flag)}`;
}

function typeOf({ value, words, kind }: Flag): string {
  if (value === undefined) return "True or false.";
  if (kind === undefined && words) return `${listed(words)}.`;
  if (value === "S" || value === "N") return "Number.";
  if (value.endsWith(",...")) return "List of texts.";
  return "Text.";
}

function optionText(row: OptionRow): string {
  const { value, words } = row;
  const type = value === "on|off"
    ? "True or false."
    : value.includes("+")
    ? "List of texts."
    : words && value.includes("|")
    ? `${listed(words)}.`
    : "Text.";
  return `${type} ${sentence(row.help)}${otherwise(row)}`;
}

function limitText(row: LimitRow): string {
  const type = row.unit === "bytes" ? "Number, or text as 64K." : "Number.";
  const off = row.off ? ' Or "off".' : "";
  return `${type}${off} ${sentence(row.help)} Without it: ${limitInitial(row)}. Possible: ${
    limitRange(row)
  }.`;
}

function listed(words: readonly string[]): string {
  const quoted = words.map((word) => `\`"${word}"\``);
  return `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}
