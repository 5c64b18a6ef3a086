/**
 * qmpmux-protocol(7): the protocol of a listener's socket.
 *
 * @module
 */

import { OWN_PREFIX } from "../../lib/hub/own_commands.ts";
import { rowsOf } from "./markdown.ts";
import { sentence } from "./qmpmux.ts";
import type { Page } from "./roff.ts";

interface OwnCommand {
  readonly name: string;
  readonly args?: string;
  readonly what: readonly string[];
}

const FOR_ALL: readonly OwnCommand[] = [
  {
    name: "set-event-filter",
    args: '{"enable": [GLOB...]}',
    what: [
      "Chooses the events the client hears from then on, by their names with * and ?; case counts. " +
      "It chooses within what listener and role let the client see. `[]` is none. It is in force for " +
      "events after its reply, which is `{}`.",
    ],
  },
  {
    name: "query-self",
    what: [
      "Returns what the client is here: its `name`; the `vm`; its `role`; its `mode`, in the words of the " +
      "dialect; the `capabilities` it has enabled; its `filter`, a list of globs or null; `qemu-pid`, " +
      "QEMU's process, or null where its socket does not tell it; the `commands` of this kind that it may run.",
    ],
  },
];

const FOR_ADMINISTRATORS: readonly OwnCommand[] = [
  {
    name: "query-clients",
    what: [
      "Returns a list of the clients: `name`; `listener`; `peer`, the `pid`, `uid` and `gid` of the " +
      "process, or null where it is not known; `role`; `dialect`; `mode`; `capabilities`; `filter`, " +
      "of a long one its beginning; `in-flight` (commands at QEMU); `waiting` (commands here); " +
      "`unread-bytes`; `commands` (how many it has given); `last-command`; `age` in seconds.",
    ],
  },
  {
    name: "query-status",
    what: [
      "Returns how qmpmux stands: `vm`, its name; `qemu` (absent, greeting, negotiating, ready or stalled), its " +
      "`version` or null, `sessions` (how often a QEMU has been ready), `clients`, `waiting`, " +
      "`in-flight`, `age` in seconds, and `qemu-pid`, QEMU's process or null.",
    ],
  },
  {
    name: "disconnect-client",
    args: '{"name": NAME}',
    what: ["Ends a client, behind what is queued for it. The name is that of `query-clients`."],
  },
  {
    name: "reload",
    what: [
      "Reads the configuration file again. The reply comes when that is done: `{}`, or an error that " +
      "names everything wrong in the file, in which case nothing has changed.",
    ],
  },
];

/** Returns the page. */
export function protocolPage(): Page {
  return {
    name: "qmpmux-protocol",
    section: 7,
    summary: "what a client of qmpmux says and hears",
    sections: [
      [
        "DESCRIPTION",
        "A client that connects to a listener of `qmpmux`(1) is given a virtual monitor: its own " +
        "handshake, capabilities, event filter and ids. The dialect is the listener's; QEMU is " +
        "always spoken to in today's QMP.",
        "A client hears in-band replies in the order in which it asked, however they were obtained. " +
        "An out-of-band reply waits for no one. Events keep their place among the replies. A client " +
        "that comes before QEMU hears nothing until QEMU's greeting is there.",
      ],
      [
        "QMP",
        "Today's QMP, with `dialect=qmp` or without a word. The greeting is QEMU's own, " +
        "`qmp_capabilities` ends the negotiation, and `oob` can be enabled where QEMU offers it. " +
        "Replies, errors and events are QEMU's, byte for byte; an `id` may be any JSON value and comes " +
        "back as QEMU would print it.",
      ],
      [
        "RFC 2010",
        "With `dialect=rfc2010`, the negotiation that was proposed for QMP in January 2010.",
        {
          lines: `S: {"QMP": {"capabilities": ["async messages"]}}
C: {"execute": "query-qmp-mode"}
S: {"return": {"mode": "handshake"}}
C: {"execute": "async_msg_enable", "arguments": {"name": "STOP"}}
S: {"return": {}}
C: {"execute": "qmp_switch_mode", "arguments": {"mode": "operational"}}
S: {"return": {}}`,
        },
        "What the commands return, and whether others run:",
        {
          grant: rowsOf("dialects.md", "command").map(([name, handshake, operational]) =>
            [name!, `Handshake mode: ${handshake}. Operational mode: ${operational}.`] as const
          ),
        },
        "A refusal is",
        {
          lines: '{"error": {"class": "QMPInvalidModeCommad",\n  ' +
            '"desc": "The issued command is invalid in this mode", "data": {}}}',
        },
        "in the proposal's own spelling. Nothing is enabled at first; events come in operational mode " +
        "only, and only those that were enabled by name and that the listener shows. There is no way " +
        "back. Errors have a `data` object, empty where QEMU's has none.",
        { heading: "Where the proposal is silent" },
        { grant: rowsOf("dialects.md", "question").map(([what, how]) => [what!, sentence(how!)]) },
      ],
      [
        "OWN COMMANDS",
        `Their names begin with \`${OWN_PREFIX}\`, the form that the QMP specification keeps for ` +
        "downstreams. They are answered here, in their turn, and are no part of `query-commands`. " +
        "They run once the negotiation has ended, and not out of band.",
        { heading: "For every client" },
        { grant: FOR_ALL.map(commandTerm) },
        { heading: "For clients whose role administers qmpmux" },
        { grant: FOR_ADMINISTRATORS.map(commandTerm) },
        "To other roles they are refused; see below.",
      ],
      [
        "OWN EVENTS",
        "With `--on-loss hold` only:",
        {
          grant: [
            [
              `\`${OWN_PREFIX}QEMU_LOST\``,
              "QEMU disconnected; `data` has a `reason`. Commands at QEMU are answered with an error that " +
              "says that their effect is unknown, those that were not sent with one that says so.",
            ],
            [
              `\`${OWN_PREFIX}QEMU_BACK\``,
              "A QEMU is there again; `data` has its `version`. A client that has enabled what this " +
              "QEMU lacks is closed instead.",
            ],
          ],
        },
        "Without it clients see QEMU's last bytes, then the end of the stream, as they would with " +
        "QEMU's own monitor.",
      ],
      [
        "REFUSALS",
        "What qmpmux answers in QEMU's place, in its turn among the replies and with its id:",
        {
          grant: [
            [
              "`CommandNotFound`",
              "`The command <NAME> has been refused: role <ROLE>, rule <RULE>: <REASON>`. The role does not " +
              "allow the command, or not with these arguments. `query-commands` lists what the role " +
              "does not refuse altogether.",
            ],
            [
              "`GenericError`",
              "`The command <NAME> has been refused: its audit record cannot be written`, with " +
              "`--audit-failure refuse`.",
              "`qmpmux is shutting down`.",
              "`QEMU is away; <NAME> was not sent`, `QEMU disconnected; <NAME> was not sent`, " +
              "`QEMU disconnected; the effect of <NAME> is unknown`, with `--on-loss hold`.",
              "`<NAME> was not answered in time; it may still run`, `<NAME> could not be sent in time; " +
              "it has not run`, with a `[deadline]` in the file.",
              "`QEMU does not answer out-of-band commands; <NAME> was not sent`, while it leaves sixteen of " +
              "them unanswered.",
              "`JSON token size limit exceeded`. The command is longer than the listener allows; " +
              "nothing of it goes on.",
            ],
          ],
        },
      ],
      [
        "DIFFERENCES",
        "How a virtual monitor differs from QEMU's own, and why:",
        { items: rowsOf("fidelity.md", "difference").map(([what, why]) => `${what} ${why}`) },
      ],
      ["SEE ALSO", "`qmpmux`(1), `qmpmux.toml`(5)"],
    ],
  };
}

function commandTerm({ name, args, what }: OwnCommand): [string, ...string[]] {
  const given = args?.replace(/[A-Z]{2,}/g, "<$&>");
  return [`\`${OWN_PREFIX}${name}${given === undefined ? "" : ` ${given}`}\``, ...what];
}
