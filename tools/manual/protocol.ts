/**
 * qmpmux-protocol(7): the protocol of a listener's socket.
 *
 * @module
 */

import { OWN_PREFIX } from "../../lib/hub/own_events.ts";
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
      "Sets the client's event filter: a list of event names, in which * and ? are wildcards. Case " +
      "matters, and `[]` matches no event. The client receives only events that the filter, the " +
      "listener and the role all allow. The filter applies to events after the reply, which is `{}`.",
    ],
  },
  {
    name: "subscribe",
    args: '{"since": CURSOR, "enable": [GLOB...], "bookmarks": B}',
    what: [
      "Replaces the client's events and filter by those of the log, which keeps the last events of the VM. All " +
      "arguments are optional. `since` is a cursor, or `oldest` for all kept events; without it, only new events " +
      "follow. `enable` is a filter. `bookmarks` is `each` or a number of seconds.",
      "Returns a `cursor`, and a `gap` with a `reason` if events after `since` are missing. Behind the reply come the " +
      "kept events and then the new ones, each once and in order; after a gap, from the oldest kept one on. A second call " +
      "replaces the first.",
    ],
  },
  {
    name: "query-self",
    what: [
      "Returns information on the client itself: its `name`; the `vm`, or null on the control socket of many " +
      "VMs; its `role`; its `mode`, in the terms of the dialect; the `capabilities` it has enabled; its " +
      "`filter`, a list of globs or null; its `subscription`, null or its `cursor`, `bookmarks` and the number of " +
      "events that it is `behind`; " +
      "`qemu-pid`, QEMU's process id, or null if it is unknown; and `commands`, the commands of qmpmux's " +
      "own that it may run.",
    ],
  },
  {
    name: "query-leases",
    args: '{"vm": GLOB}',
    what: [
      "Returns a list of the leases: `vm`, if their VM has a name; `token`; `client`, which has acquired it; `holders`, " +
      "its connections; `commands`; `age` and `expires` in seconds; `linger`; and `reason`, or null.",
    ],
  },
];

const FOR_HOLDERS: readonly OwnCommand[] = [
  {
    name: "lease-acquire",
    args: '{"commands": [GLOB...], "ttl": S, "wait": S, "linger": S, "reason": TEXT}',
    what: [
      "Acquires the sole right to run commands that match `commands`; by default all that change something. " +
      "All arguments are optional. The lease lasts for `ttl` seconds (60) and can be renewed. `wait` is the number of seconds (0) " +
      "that the acquisition waits for other leases and for matching commands of other clients that are under way. " +
      "The client's later commands wait for the reply.",
      "Returns a `token`, the number that others see; a secret `key`; and `expires`, the seconds until the lease ends. " +
      "It ends before that with its last connection, or `linger` seconds (0) later, with the connection to QEMU, and if " +
      "an administrator disconnects the client. A client may hold one lease.",
      "Commands that only read, `quit`, out-of-band commands and those of qmpmux's own are never leased. A `transaction` counts for the types of its " +
      "actions, `job-...` for `block-job-...`, and `human-monitor-command` for everything.",
    ],
  },
  {
    name: "lease-renew",
    args: '{"key": KEY, "ttl": S}',
    what: [
      "Lets the lease end `ttl` seconds (60) from now. Returns `token` and `expires`.",
    ],
  },
  {
    name: "lease-join",
    args: '{"key": KEY}',
    what: [
      "Lets this connection hold the lease, too. Returns `token` and `expires`.",
    ],
  },
  {
    name: "lease-release",
    args: '{"key": KEY}',
    what: [
      "Ends the lease for all of its connections. A connection that has held a lease which has ended otherwise is refused " +
      "the commands of that lease, until it acquires a lease again or releases the ended one.",
    ],
  },
];

const FOR_ADMINISTRATORS: readonly OwnCommand[] = [
  {
    name: "query-clients",
    args: '{"vm": GLOB}',
    what: [
      "Returns a list of the clients: `vm`, if their VM has a name; `name`; `listener`; `peer`, the `pid`, `uid` and `gid` of the " +
      "process, or null if it is unknown; `role`; `dialect`; `mode`; `capabilities`; `filter`, " +
      "truncated if it is long; `subscription`, as in `query-self`; `in-flight` (commands sent to QEMU); `waiting` (commands that wait in " +
      "qmpmux); `unread-bytes`; `commands` (the number of commands so far); `last-command`; `age` in seconds.",
    ],
  },
  {
    name: "query-status",
    args: '{"vm": GLOB}',
    what: [
      "Returns the status of qmpmux: `vm`, the VM's name; `qemu` (absent, greeting, negotiating, ready or " +
      "stalled); QEMU's `version`, or null; `sessions`, the number of times that a QEMU became ready; " +
      "`clients`; `waiting`; `in-flight`; `age` in seconds; `qemu-pid`, QEMU's process id, or null; `events`, " +
      "the number of QEMU's events; and `up-since`, the seconds from 1970 until this QEMU became ready, or null.",
      "The control socket of a process that can serve many VMs returns a list of such objects. There, a VM " +
      "that cannot be served has the `qemu` `not served`, and a `reason`.",
    ],
  },
  {
    name: "can",
    args: '{"role": NAME, "command": NAME, "arguments": {...}}',
    what: [
      "Returns whether clients with a role may run a command: `role`; `command`; `allowed`, true or false; `because`, " +
      "the words in which a listener refuses; `rule`, the short text of the rule that decides, or null; " +
      "`source`, its file and line, or null; and `nearest`, null or the rule that comes nearest to allowing a " +
      "refused command. That has a `rule`, a `source`, and a list of `differences`, each with the path of an " +
      "`argument` and a `text`. `arguments` is optional. Nothing is run.",
    ],
  },
  {
    name: "disconnect-client",
    args: '{"name": NAME, "vm": GLOB}',
    what: [
      "Disconnects a client after the output queued for it has been sent. The name is that of " +
      "`query-clients`, or a glob for every client that matches, except the one that sends the command. " +
      "If clients of several VMs have one name, `vm` has to select among them.",
    ],
  },
  {
    name: "lease-revoke",
    args: '{"token": N, "vm": GLOB}',
    what: [
      "Ends a lease. Its connections stay, and are refused its commands until they acquire a lease again or release that one.",
    ],
  },
  {
    name: "tap",
    args:
      '{"vm": [GLOB...], "client": [GLOB...], "command": [GLOB...], "events": [GLOB...], "secrets": BOOL, "brief": BOOL}',
    what: [
      "Begins to send the traffic of the VMs on a control socket, each line of a recording as the `data` of " +
      `an event \`${OWN_PREFIX}TAP\`. The lines follow the reply, which is \`{}\`. The filters are optional: ` +
      "without `events` no events are sent, without the others everything is. A client that does not keep up " +
      "loses lines, and a line with `dropped` has their number. `secrets` keeps secrets in the lines; only root " +
      "and qmpmux's own user may ask for that. With `brief`, QEMU's side of clients' commands is left out, and long " +
      "values are cut. A second call replaces the first. A listener refuses this command.",
    ],
  },
  {
    name: "reload",
    what: [
      "Reloads the configuration file. The reply is sent when the reload has finished: `{}`, or an error " +
      "that lists every problem in the file. After an error, nothing has changed.",
    ],
  },
];

/** Returns the page. */
export function protocolPage(): Page {
  return {
    name: "qmpmux-protocol",
    section: 7,
    summary: "the protocol between qmpmux and its clients",
    sections: [
      [
        "DESCRIPTION",
        "A client that connects to a listener of `qmpmux`(1) gets a virtual monitor with its own " +
        "handshake, capabilities, event filter and ids. The listener determines the dialect. qmpmux " +
        "itself always uses today's QMP with QEMU.",
        "A client receives in-band replies in the order of its commands. An out-of-band reply is sent " +
        "as soon as it arrives. Events keep their place among the replies. A client that connects " +
        "before QEMU receives nothing until QEMU sends its greeting.",
      ],
      [
        "QMP",
        "Today's QMP is the default (`dialect=qmp`). The greeting is QEMU's own. `qmp_capabilities` ends " +
        "the negotiation, and can enable `oob` if QEMU offers it. Replies, errors and events are QEMU's, " +
        "byte for byte. An `id` may be any JSON value, and is returned as QEMU would print it.",
      ],
      [
        "RFC 2010",
        "`dialect=rfc2010` uses the negotiation that was proposed for QMP in January 2010:",
        {
          lines: `S: {"QMP": {"capabilities": ["async messages"]}}
C: {"execute": "query-qmp-mode"}
S: {"return": {"mode": "handshake"}}
C: {"execute": "async_msg_enable", "arguments": {"name": "STOP"}}
S: {"return": {}}
C: {"execute": "qmp_switch_mode", "arguments": {"mode": "operational"}}
S: {"return": {}}`,
        },
        "Results of commands in each mode:",
        {
          grant: rowsOf("dialects.md", "command").map(([name, handshake, operational]) =>
            [name!, `Handshake mode: ${handshake}. Operational mode: ${operational}.`] as const
          ),
        },
        "A command that is not available in the current mode is refused with the error",
        {
          lines: '{"error": {"class": "QMPInvalidModeCommad",\n  ' +
            '"desc": "The issued command is invalid in this mode", "data": {}}}',
        },
        "which is spelled as in the proposal. Initially no events are enabled. Events are sent in " +
        "operational mode only, and only those that the client has enabled by name and that the " +
        "listener allows. A client cannot return to the handshake mode. Errors have a `data` object, " +
        "which is empty if QEMU's error has none.",
        { heading: "Where the proposal is silent" },
        { grant: rowsOf("dialects.md", "question").map(([what, how]) => [what!, sentence(how!)]) },
      ],
      [
        "OWN COMMANDS",
        `Their names begin with \`${OWN_PREFIX}\`, the form that the QMP specification reserves for ` +
        "downstreams. qmpmux answers them itself, in the order of the client's commands. " +
        "`query-commands` does not list them. They run only after the negotiation, and not out-of-band.",
        { heading: "For every client" },
        { grant: FOR_ALL.map(commandTerm) },
        { heading: "For clients whose role may lease" },
        { grant: FOR_HOLDERS.map(commandTerm) },
        { heading: "For clients whose role administers qmpmux" },
        { grant: FOR_ADMINISTRATORS.map(commandTerm) },
        "The argument `vm` is optional. Without it, a command concerns every VM that its client administers: " +
        "on a control socket all of the process, on a listener that listener's VM.",
        "Clients with other roles are refused these commands; see REFUSALS.",
      ],
      [
        "OWN EVENTS",
        "For clients that subscribe:",
        {
          grant: [
            [
              `\`${OWN_PREFIX}BOOKMARK\``,
              "The client has every event up to the `cursor` in `data`. It follows each event, or comes after the number " +
              "of seconds that the client has chosen.",
            ],
            [
              `\`${OWN_PREFIX}GAP\``,
              "Events are missing here, for the `reason` in `data`: the connection to QEMU was lost and made again, or " +
              "the client reads so slowly that the log has dropped events.",
            ],
          ],
        },
        "With `--on-loss hold` only:",
        {
          grant: [
            [
              `\`${OWN_PREFIX}QEMU_LOST\``,
              "QEMU has disconnected; `data` has a `reason`, and `closed-by-qemu` with the value true if QEMU " +
              "itself has closed the connection. Pending commands are answered with an error. " +
              "It says whether the effect is unknown, or the command was not sent to QEMU.",
            ],
            [
              `\`${OWN_PREFIX}QEMU_BACK\``,
              "Another QEMU is ready; `data` has its `version`. A client that has enabled a capability that " +
              "this QEMU lacks is disconnected instead.",
            ],
          ],
        },
        "Without this option, clients receive QEMU's last bytes, then the end of the stream, as from " +
        `QEMU's own monitor. A client whose event filter names \`${OWN_PREFIX}QEMU_LOST\` without wildcards ` +
        "gets that event before the end.",
      ],
      [
        "REFUSALS",
        "Errors of qmpmux's own, sent in the order of the client's commands and with the command's id:",
        {
          grant: [
            [
              "`CommandNotFound`",
              "`The command <NAME> has been refused: role <ROLE>, rule <RULE>: <REASON>`. The role does not " +
              "allow the command, or not with these arguments. `query-commands` omits commands that the " +
              "role refuses with any arguments.",
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
              "`The command <NAME> is leased to <CLIENT> until <TIME>: <REASON>`, after the `lease-wait` of the listener.",
              "`The command <NAME> is refused: lease <TOKEN> of this client has ended (<WHY>); acquire a lease again, or " +
              "release that one`.",
              "`QEMU does not answer out-of-band commands; <NAME> was not sent`, while sixteen of them are " +
              "unanswered.",
              "`JSON token size limit exceeded`. The command is longer than the listener allows, and " +
              "no part of it was sent to QEMU.",
            ],
          ],
        },
      ],
      [
        "DIFFERENCES",
        "Differences between a virtual monitor and QEMU's own, with the reasons:",
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
