/**
 * The rows of the command table for work at one monitor: commands, events, waiting, types.
 *
 * @module
 */

import { socketFlag, type Subcommand, TIMEOUT } from "./command_form.ts";

/** The subcommands. */
export const MONITOR_COMMANDS = {
  exec: {
    summary: "run one command",
    usage: [
      "[--socket ADDR] [--timeout S] COMMAND [key=value... | JSON | @FILE]",
      "[--socket ADDR] [--timeout S] COMMAND [...] --until EVENT [--match PATH=VALUE]...",
      "[--socket ADDR] [--timeout S] [COMMAND [...]] --job ID | --migration",
      "[--socket ADDR] [--timeout S] -",
    ],
    about: [
      "Runs one command and prints its return value as JSON. If the path of ADDR has * or ?, runs it " +
      "at every socket that matches, and prints a line for each, in the order of the paths: " +
      '{"socket": PATH, "return": VALUE}, or "error" in place of "return". Each socket then has a ' +
      "timeout: that of --timeout, or 30 seconds.",
      "With -, runs the commands on stdin in one session: a JSON object on each line, " +
      '{"execute": NAME, "arguments": {...}, "id": ID}. Prints the replies in their order, a line for ' +
      "each, with its id.",
      "With --until, prints the value and then the first event with that name which follows the " +
      "command, also if it comes before the reply. EVENT may have * and ?.",
      "With --job or --migration, follows a job or the migration to its end, after the command if one " +
      "is given. Stderr has a progress bar if it is a terminal, and lines otherwise.",
    ],
    flags: {
      socket: socketFlag("the monitor to connect to"),
      until: {
        value: "EVENT",
        kind: "event",
        help: "after the reply, also wait for an event with this name, and print it",
      },
      match: {
        value: "PATH=VALUE",
        many: true,
        help: "only an event with this value, such as data.device=disk0; repeat it for more",
      },
      job: { value: "ID", kind: "job", help: "follow the job with this ID to its end" },
      migration: { help: "follow the migration to its end" },
      timeout: TIMEOUT,
    },
    operands: [
      { value: "COMMAND", kind: "command" },
      { value: "key=value... | JSON | @FILE", kind: "argument", many: true },
    ],
    notes: [
      "A value is JSON if it parses, else a string; key.member=value sets a member of a " +
      "nested object. @FILE has one JSON object. Exit status 1: QEMU returned an error; 77: a role " +
      "refuses the command. With a glob or with -, it is 0 if all returned a value, and otherwise 1. " +
      "With --job or --migration it is also 1 if that fails or is cancelled.",
    ],
  },
  events: {
    summary: "print events as they arrive",
    usage: [
      "[--socket ADDR] [--filter GLOB]... [--count N] [--timeout S]",
      "[--socket ADDR] [...] --since CURSOR|oldest [--cursor-file FILE]",
    ],
    about: [
      "Prints events as they arrive, one JSON object per line.",
      "With --since, first prints the events that qmpmux has kept since then; an event " +
      "__org.qmpmux_GAP stands where some are missing. --cursor-file keeps the place behind the last " +
      "event that was printed, and the next run continues there.",
    ],
    flags: {
      socket: socketFlag("the monitor to read events from"),
      filter: {
        value: "GLOB",
        kind: "event",
        many: true,
        help: "only events with this name; repeat it for more",
      },
      since: {
        value: "CURSOR",
        words: ["oldest", "now"],
        help: "begin at a cursor of qmpmux, at the oldest event that it keeps, or now",
      },
      "cursor-file": {
        value: "FILE",
        kind: "file",
        help: "keep the cursor in this file; if it exists, it overrides --since",
      },
      count: { value: "N", help: "exit after N events" },
      timeout: { value: "S", help: "exit after S seconds, with status 124" },
    },
    notes: [
      "Exits when QEMU disconnects: with status 0, or with 1 before --count events have arrived.",
    ],
  },
  wait: {
    summary: "wait for QEMU, an event, a status of the VM, or the end of QEMU",
    usage: ["[--socket ADDR] [--event GLOB | --status STATUS | --gone] [--timeout S]"],
    about: [
      "Waits until QEMU answers. With --event, waits for that event and prints it; with --status, " +
      "waits until query-status reports that status; with --gone, waits until QEMU has ended.",
    ],
    flags: {
      socket: socketFlag("the monitor to connect to"),
      event: { value: "GLOB", kind: "event", help: "wait for an event with this name" },
      status: {
        value: "STATUS",
        // deno-fmt-ignore
        words: [
          "running", "paused", "shutdown", "suspended", "prelaunch", "inmigrate", "postmigrate",
          "finish-migrate", "save-vm", "restore-vm", "io-error", "internal-error", "watchdog",
          "guest-panicked", "debug", "colo",
        ],
        help: "wait until the VM has this status: running, paused, shutdown, ...",
      },
      gone: { help: "wait until QEMU has ended, or is not there" },
      timeout: TIMEOUT,
    },
  },
  shell: {
    summary: "type commands by hand, or run those on stdin",
    usage: ["[--socket ADDR] [--keep-going]"],
    about: [
      "Reads commands as exec takes them, COMMAND key=value..., and prints the values. On a terminal it " +
      "completes commands, arguments and values with Tab, shows events as they come, and keeps a " +
      "history. The line \\help lists its own commands.",
      "If stdin is not a terminal, runs the lines on stdin, prints each value as JSON on a line, and " +
      "stops at the first error.",
    ],
    flags: {
      socket: socketFlag("the monitor to connect to"),
      "keep-going": { help: "without a terminal: go on after an error" },
    },
    notes: [
      "Exit status of the first error, without a terminal: 1: QEMU returned an error; 64: a line is " +
      "malformed; 77: a role refuses a command.",
    ],
  },
  types: {
    summary: "print the types of QEMU's commands and events for TypeScript",
    usage: ["[--socket ADDR] [--timeout S]", "--schema FILE"],
    about: [
      "Prints the types of QEMU's commands and events as a file of TypeScript, for programs that use " +
      "qmpmux's client library. They are made from the reply to query-qmp-schema.",
    ],
    flags: {
      socket: socketFlag("the monitor to connect to"),
      schema: {
        value: "FILE",
        kind: "file",
        help: "a file with the reply to query-qmp-schema, or its return value, as JSON",
      },
      timeout: TIMEOUT,
    },
  },
} as const satisfies Readonly<Record<string, Subcommand>>;
