/**
 * qmpmux.toml(5): the configuration file.
 *
 * @module
 */

import { type Flag, SUBCOMMANDS } from "../../lib/cli/command_table.ts";
import { CONFIG_KEYS, VM_KEYS } from "../../lib/config/config.ts";
import { LIMIT_NAMES, limitRange, type LimitRow, LIMITS } from "../../lib/policy/limits.ts";
import { OPTION_NAMES, type OptionRow, OPTIONS } from "../../lib/config/options.ts";
import { rowsOf } from "./markdown.ts";
import { otherwise, sentence } from "./qmpmux.ts";
import { limitInitial } from "../../lib/cli/help.ts";
import type { Page } from "./roff.ts";

/** The top-level keys that are tables; all other keys have the names of flags. */
const TABLES: Readonly<Record<string, string>> = {
  deadline: "A table of timeouts for commands. See DEADLINES.",
  role: "An array of tables, each defining a role. See ROLES.",
  listen: "An array of tables, each defining a listener. See LISTENERS.",
  vm: "Text: the name of the only VM. Or an array of tables, each defining a VM. See VMS.",
};

/** An example file, which a test reads. */
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
        "`qmpmux serve --config <FILE>` reads a TOML file. Its keys have the names of the flags. Flags " +
        "take precedence over the file. The file may have any name. An unknown key is an error.",
        "`qmpmux check --config <FILE>` reports every error with its line, and exits with status 0 or " +
        "78. `qmpmux serve --print-config` prints the resulting settings, including the defaults.",
        "`SIGHUP` and `qmpmux reload` reload the file. A valid file applies to connected clients too, " +
        "and disconnects none of them. An invalid file changes nothing.",
      ],
      ["TOP LEVEL", { grant: CONFIG_KEYS.map((key) => [`\`${key}\``, keyText(key)]) }],
      [
        "DEADLINES",
        "In `[deadline]` each key is the name of a command, which may contain the wildcards * and ?, and " +
        "each value a timeout in seconds. The first key that matches a command applies. After the " +
        "timeout the client gets an error; QEMU may still run the command.",
      ],
      [
        "LISTENERS",
        "Each `[[listen]]` is a listener. Its keys are the options of `--listen`; see qmpmux(1).",
        {
          grant: [
            ["`address`", "Text. The address that it listens on; required."],
            ...OPTION_NAMES.map((name) => [`\`${name}\``, optionText(OPTIONS[name])] as const),
            ...LIMIT_NAMES.map((name) => [`\`${name}\``, limitText(LIMITS[name])] as const),
          ],
        },
      ],
      [
        "VMS",
        "With `{vm}` in the path of `qemu` and in the address of each listener, qmpmux serves a VM for each " +
        "path that matches. `{vm}` stands for its name. Each `[[vm]]` names a VM, which is found or has " +
        "addresses of its own. A key that is missing has the value of the top level.",
        { grant: VM_KEYS.map((key) => [`\`${key}\``, vmKeyText(key)] as const) },
      ],
      [
        "ROLES",
        "Each `[[role]]` is a role. Rules are tried in order, and the first that matches decides. " +
        "If no rule matches, the command is refused.",
        {
          grant: rowsOf("roles.md", "key of a role").map(([key, what]) => [key!, sentence(what!)]),
        },
        { heading: "Rules" },
        {
          grant: rowsOf("roles.md", "key of a rule").map(([key, what]) => [key!, sentence(what!)]),
        },
        "A rule matches if all of its conditions hold. An argument is named by its path, such as " +
        "`device`, `target.driver` or `actions[*].type`. A name that contains a dot is quoted, as in " +
        '`"a.b".c`. `**` at the end of a path means the value and everything below it. If several ' +
        "values have a path, `allow` requires that each of them matches, and that at least one exists; " +
        "`refuse` matches if any of them does.",
        'Values are compared as text: `1` equals `"1"`, and `1.0` equals `1`. Different 64-bit integers ' +
        "are never equal.",
        "Write allow lists with `only`. A rule that refuses some values of an argument misses " +
        "what you have not thought of: other commands with the same effect, another spelling of a path, " +
        "or members that a newer QEMU has.",
      ],
      [
        "FILES",
        {
          grant: [
            ["`/etc/qmpmux/qmpmux.toml`", "The file of the unit `qmpmux`: every VM of the host."],
            ["`/etc/qmpmux/example.toml`", "An example of a file for one VM."],
          ],
        },
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
    throw new Error(`Cannot describe the key ${key}: no flag has this name`);
  }
  return `${typeOf(flag)} ${sentence(flag.help)}${otherwise(flag)}`;
}

/** The keys of a VM that mean something else than at the top level. */
const OF_VM: Readonly<Record<string, string>> = {
  name: "Text. Its name: 1 to 255 letters, digits, _, . or -, and not . or ..; required.",
  qemu: "Text. QEMU's monitor. Default: the path of `qemu` at the top level, with the name.",
  deadline: "A table of timeouts for commands, instead of that of the top level. See DEADLINES.",
  listen: "An array of tables, each defining a listener of this VM, written `[[vm.listen]]`. " +
    "Default: each `[[listen]]`, with the name.",
};

function vmKeyText(key: string): string {
  const own = OF_VM[key];
  if (own !== undefined) return own;
  const flags: Readonly<Record<string, Flag>> = SUBCOMMANDS.serve.flags;
  const flag = flags[key]!;
  return `${typeOf(flag)} ${sentence(flag.help)} Default: the value of the top level.`;
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
  return `${type}${off} ${sentence(row.help)} Default: ${limitInitial(row)}. Range: ${
    limitRange(row)
  }.`;
}

function listed(words: readonly string[]): string {
  const quoted = words.map((word) => `\`"${word}"\``);
  return `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}
