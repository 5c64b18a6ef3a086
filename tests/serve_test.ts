/**
 * The flags of `qmpmux serve`, as a list of words and as settings.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { helpText, showHelp } from "../lib/cli/help.ts";
import { readFlags } from "../lib/cli/flags.ts";
import { NO_FILE } from "../lib/cli/serve_flags.ts";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { ROLES } from "../lib/policy/roles.ts";
import { readConfig } from "../lib/config/config.ts";
import type { ServeSettings } from "../lib/config/settings.ts";

const NEEDED = ["--qemu", "/run/vm", "--listen", "/run/mux"];

function settings(...more: string[]): ServeSettings {
  return serveSettings([...NEEDED, ...more]);
}

Deno.test("NO_FILE is what readConfig() returns for an empty file", () => {
  assertEquals(NO_FILE, readConfig("", ""));
});

Deno.test("serveSettings() has a default for every flag but the two addresses", () => {
  const { listeners, ...rest } = settings();
  assertEquals(rest, {
    qemu: { transport: "unix", path: "/run/vm" },
    vms: [],
    roles: new Map(ROLES),
    vm: undefined,
    control: undefined,
    once: false,
    ready: "listening",
    "greeting-timeout": 10,
    "handshake-timeout": 60,
    "drain-timeout": 5,
    "stall-timeout": 10,
    "on-loss": "close",
    "fd-store": false,
    watchdog: "loop",
    "max-clients": 4096,
    "max-unread": 256 << 20,
    "max-vms": 2048,
    "max-message": 64 << 20,
    "event-log-bytes": 1 << 20,
    "event-log-events": 10_000,
    "log-format": undefined,
    metrics: undefined,
    "metrics-host": undefined,
    audit: undefined,
    "audit-failure": "continue",
    "audit-all": false,
    record: undefined,
    "record-size": 64 << 20,
    "record-files": 4,
    deadline: [],
  });
  assertEquals(listeners.map(({ grant }) => grant.name), ["mux"]);
});

Deno.test("serveSettings() reads every flag", () => {
  const read = settings(
    ...["--once", "--greeting-timeout", "0.5", "--handshake-timeout=7", "--drain-timeout", "86400"],
  );
  assertEquals(
    [read.once, read["greeting-timeout"], read["handshake-timeout"], read["drain-timeout"]],
    [true, 0.5, 7, 86400],
  );
});

Deno.test("serveSettings() accepts many listeners, in their order", () => {
  const { listeners } = settings("--listen", "/run/b.sock", "--listen=127.0.0.1:4444");
  assertEquals(listeners.map(({ grant }) => grant.name), ["mux", "b", "127.0.0.1:4444"]);
});

Deno.test("serveSettings() accepts port 0 many times, which is another port each time", () => {
  const { listeners } = settings("--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0");
  assertEquals(listeners.length, 3);
});

for (const args of [["--help"], ["-h"], [...NEEDED, "--help"], ["--qemu", "nonsense", "-h"]]) {
  Deno.test(`readFlags() recognizes a request for help in ${args.join(" ")}`, () => {
    assert(readFlags("serve", args).help);
  });
}

Deno.test("serveSettings() reads when qmpmux reports to systemd that it is ready", () => {
  assertEquals(settings("--ready", "qemu").ready, "qemu");
  assertEquals(settings("--ready=listening").ready, "listening");
});

Deno.test("serveSettings() accepts sockets passed by systemd", () => {
  const { listeners } = settings("--listen", "fd:a", "--listen", "fd:b,name=c");
  assertEquals(listeners.map(({ grant }) => grant.name), ["mux", "a", "c"]);
});

const SEE = "see qmpmux serve --help";
const TIME = "expected seconds above 0 and up to 86400";

const BAD: [string[], string][] = [
  [[], "serve: --listen is missing; give clients an address, such as --listen unix:/run/mux.sock"],
  [["--qemu", "/run/vm"], "serve: --listen is missing; give clients an address"],
  [
    ["--qemu", "127.0.0.1:4444", "--listen", "/run/mux,fds=on"],
    "serve: fds=on: only unix sockets carry descriptors; let QEMU listen on one",
  ],
  [["--listen", "/run/mux"], "serve: --qemu is missing; name QEMU's monitor, such as --qemu unix:"],
  [["--qemu", "--listen", "/run/mux"], "serve: --qemu: the value is missing; write --qemu ADDR"],
  [["--qemu=", "--listen", "/run/mux"], "serve: --qemu is missing; name QEMU's monitor"],
  [
    ["--qemu", "/run/vm", "--listen"],
    "serve: --listen: the value is missing; write --listen ADDR[,...]",
  ],
  [["--qemu", "/run/vm", "--listen="], 'invalid address "": expected unix:/path'],
  [[...NEEDED, "--qemu", "/run/vm2"], "serve: --qemu is given twice; remove one"],
  [[...NEEDED, "--listen", "/run/vm"], "serve: unix:/run/vm is given twice; use each address"],
  [
    [...NEEDED, "--listen", "unix:/run/mux"],
    "serve: unix:/run/mux is given twice; use each address",
  ],
  [[...NEEDED, "--listen", "a b"], 'invalid address "a b": expected unix:/path'],
  [[...NEEDED, "--verbose"], `serve: unknown flag --verbose; ${SEE}`],
  [[...NEEDED, "-x"], `serve: unknown flag -x; ${SEE}`],
  [[...NEEDED, "-hx"], `serve: unknown flag -hx; ${SEE}`],
  [[...NEEDED, "--no-once"], `serve: unknown flag --no-once; ${SEE}`],
  [[...NEEDED, "--qemu.x", "1"], `serve: unknown flag --qemu.x; did you mean --qemu?`],
  [[...NEEDED, "--toString"], `serve: unknown flag --toString; ${SEE}`],
  [[...NEEDED, "--lisen=/run/a"], "serve: unknown flag --lisen; did you mean --listen?"],
  [[...NEEDED, "--on_loss", "hold"], "serve: unknown flag --on_loss; did you mean --on-loss?"],
  [[...NEEDED, "more"], `serve: unexpected argument more; ${SEE}`],
  [[...NEEDED, ""], `serve: unexpected argument ""; ${SEE}`],
  [[...NEEDED, "--", "more"], `serve: unexpected argument more; ${SEE}`],
  [[...NEEDED, "--", "--once"], `serve: unexpected argument --once; ${SEE}`],
  [[...NEEDED, "--once=perhaps"], "serve: --once=perhaps: expected no value; write --once alone"],
  [["--help=all"], "serve: --help=all: expected no value; write --help alone"],
  [[...NEEDED, "--drain-timeout", "0"], `serve: invalid value "0" for --drain-timeout: ${TIME}`],
  [
    [...NEEDED, "--drain-timeout", "soon"],
    `serve: invalid value "soon" for --drain-timeout: ${TIME}`,
  ],
  [[...NEEDED, "--drain-timeout=-1"], `serve: invalid value "-1" for --drain-timeout: ${TIME}`],
  [
    [...NEEDED, "--ready", "soon"],
    'serve: invalid value "soon" for --ready: expected listening or qemu',
  ],
  [
    [...NEEDED, "--listen", "fd:a", "--listen", "fd:a"],
    "serve: fd:a is given twice; use each address only once",
  ],
  [
    [...NEEDED, "--drain-timeout", "1e3"],
    `serve: invalid value "1e3" for --drain-timeout: ${TIME}`,
  ],
  [
    [...NEEDED, "--drain-timeout", "86401"],
    `serve: invalid value "86401" for --drain-timeout: ${TIME}`,
  ],
  [
    [...NEEDED, "--drain-timeout", "Infinity"],
    `serve: invalid value "Infinity" for --drain-timeout: ${TIME}`,
  ],
  [[...NEEDED, "--drain-timeout="], `serve: invalid value "" for --drain-timeout: ${TIME}`],
  [
    [...NEEDED, "--greeting-timeout", "5s"],
    `serve: invalid value "5s" for --greeting-timeout: ${TIME}`,
  ],
  [
    [...NEEDED, "--handshake-timeout", "1."],
    `serve: invalid value "1." for --handshake-timeout: ${TIME}`,
  ],
  [
    [...NEEDED, "--drain-timeout", "1", "--drain-timeout", "1"],
    "serve: --drain-timeout is given twice; remove one",
  ],
];

for (const [args, message] of BAD) {
  Deno.test(`serveSettings() refuses "${args.join(" ")}" and names the expected form`, () => {
    assertThrows(() => serveSettings(args), UsageError, message);
  });
}

Deno.test("helpText() of serve lists every flag and every option that serve reads", () => {
  for (
    const word of [
      ...["--qemu", "--listen", "--once", "--greeting-timeout", "--handshake-timeout"],
      ...["--drain-timeout", "--help", "name=", "dialect=", "events=", "mode=", "user=", "group="],
      ...[
        "allow-remote=",
        "unix:/path",
        "unix-abstract:NAME",
        "tcp:HOST:PORT",
        "fd:NAME",
        "--ready",
      ],
    ]
  ) {
    assert(helpText("serve").includes(word), `${word} is not explained`);
  }
});

Deno.test("helpText() of serve fits a terminal of 100 columns", () => {
  assertEquals(helpText("serve").split("\n").filter((line) => line.length > 100), []);
});

Deno.test("showHelp() prints the help and finishes", () => {
  const { stdout } = Deno;
  const original = stdout.writeSync;
  const printed: number[] = [];
  // Written in parts, because a pipe may accept only a part.
  stdout.writeSync = (bytes): number => printed.push(...bytes.subarray(0, 100)) && 100;
  try {
    assertEquals(showHelp("serve"), 0);
  } finally {
    stdout.writeSync = original;
  }
  assertEquals(new TextDecoder().decode(new Uint8Array(printed)), helpText("serve"));
});
