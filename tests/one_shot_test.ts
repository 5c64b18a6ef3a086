/**
 * `qmpmux events` and `qmpmux wait`, through a qmpmux and directly at a monitor.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { reasonOf } from "../lib/cli/deadline.ts";
import type { Command } from "../lib/wire/message.ts";
import { emptyReturn, eventLine, FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { hostileMonitor } from "./support/hostile.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { programCommand, runAt, runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { BEFORE_ACCEPTED, BEFORE_REPLY, BEFORE_SESSION, runToTimeout } from "./support/timeout.ts";

/** Starts the program and returns its output, line by line. */
function start(args: string[]): { lines: Lines; status: Promise<Deno.CommandStatus> } {
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  return { lines: new Lines(child.stdout), status: child.status };
}

/** Answers every command with an event and its return. */
const eventful = {
  answer: ({ name, id }: Command): string | undefined =>
    name === "__org.qmpmux_set-event-filter" || name === "query-status"
      ? undefined
      : `${eventLine("RESET")}${eventLine("STOP")}${emptyReturn({ id })}`,
};

Deno.test("qmpmux events prints the requested events, and exits after --count of them", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, eventful);
  const { code, stdout } = await runQmpmux(
    ["events", "--socket", qemu.path, "--filter", "ST*", "--count", "1"],
  );
  assertEquals(code, 0);
  assertMatch(stdout, /^\{"timestamp": \{.*\}, "event": "STOP"\}\n$/);
});

for (const [filter, came] of [["RES*", 2], ["STOP", 0]] as const) {
  Deno.test(`qmpmux events --count fails if QEMU disconnects after ${came} of them`, async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    await using _qemu = hostileMonitor(path, "event", eventLine("RESET") + eventLine("RESUME"));
    const args = ["events", "--socket", path, "--filter", filter, "--count", "3"];
    const { code, stdout, stderr } = await runQmpmux(args);
    assertEquals([code, stdout.split("\n").length - 1], [1, came]);
    assertEquals(stderr, `qmpmux: events: the connection ended after ${came} of 3 events\n`);
  });
}

for (
  const [more, early, said] of [
    [[], BEFORE_SESSION, "0 events arrived within SECONDS s"],
    [["--filter", "RESET"], /greeting|0 events/, "1 event arrived within SECONDS s"],
    [
      ["--filter", "RES*", "--count", "3"],
      /greeting|[01] of 3 events/,
      "2 of 3 events arrived within SECONDS s",
    ],
  ] as const
) {
  Deno.test(`qmpmux events ${more.join(" ")} exits with 124 after the timeout, and reports it`, async () => {
    using place = makePlace();
    await using qemu = new FakeQemu(`${place.path}/vm`, {
      answer: ({ name }) =>
        name.startsWith("__org")
          ? `{"return": {}}\r\n${eventLine("RESET")}${eventLine("RESUME")}`
          : undefined,
    });
    const { code, stderr } = await runToTimeout(qemu.path, ["events", ...more], early);
    assertEquals([code, stderr], [124, `qmpmux: events: ${said}\n`]);
  });
}

Deno.test("qmpmux events through qmpmux gets what others cause, and exits when QEMU does", async () => {
  using place = makePlace();
  await using _qemu = new FakeQemu(`${place.path}/vm`);
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(["--qemu", `${place.path}/vm`, "--listen", path]);
  const filters = ["--filter", "RESUME", "--filter", "SHUTDOWN"];
  const { lines, status } = start(["events", "--socket", path, ...filters]);
  using actor = await TestClient.ready(path);
  // Until its first event, it may not be listening yet.
  let listening = false;
  const first = lines.next().then((line) => {
    listening = true;
    return line;
  });
  while (!listening) {
    await actor.session({ execute: "cont" }, 2);
    await actor.session({ execute: "stop" }, 2);
  }
  assertMatch((await first)!, /"event": "RESUME"/);
  await actor.send({ execute: "quit" });
  const rest = await lines.rest();
  assertMatch(rest.pop()!, /"event": "SHUTDOWN"/);
  assertEquals(rest.filter((line) => !line.includes('"event": "RESUME"')), []);
  assertEquals((await status).code, 0);
});

Deno.test("qmpmux wait returns when QEMU answers, however late", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(["--qemu", `${place.path}/vm`, "--listen", path]);
  const waiting = runQmpmux(["wait", "--socket", path]);
  await using _qemu = new FakeQemu(`${place.path}/vm`);
  assertEquals(await waiting, { code: 0, stdout: "", stderr: "" });
});

Deno.test("qmpmux wait --status returns when the machine reaches the status", async () => {
  using place = makePlace();
  let asked = 0;
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }, connection) => {
      if (name !== "query-status") return undefined;
      const status = asked++ === 0 ? "paused" : "running";
      // An event announces the change, after the first reply.
      queueMicrotask(() => status === "paused" && connection.say(eventLine("RESUME")));
      return `{"return": {"status": "${status}"}}\r\n`;
    },
  });
  const { code } = await runQmpmux(["wait", "--socket", qemu.path, "--status", "running"]);
  assertEquals({ code, asked }, { code: 0, asked: 2 });
});

Deno.test("qmpmux wait --status polls, even if no event reports the change", async () => {
  using place = makePlace();
  let asked = 0;
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) =>
      name === "query-status"
        ? `{"return": {"status": "${asked++ === 0 ? "paused" : "postmigrate"}"}}\r\n`
        : undefined,
  });
  const args = ["wait", "--socket", qemu.path, "--status", "postmigrate"];
  assertEquals(await runQmpmux(args), { code: 0, stdout: "", stderr: "" });
});

Deno.test("qmpmux wait reports why it timed out", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  const none = await runToTimeout(path, ["wait"], /sends no greeting/);
  assertEquals([none.code, none.stdout], [124, ""]);
  assertMatch(none.stderr, /^qmpmux: wait: unix:.*\/vm: nothing listens there; .*\n$/);
  using _silent = Deno.listen({ transport: "unix", path });
  const silent = await runAt(path, ["wait"], 0.3);
  assertEquals([silent.code, silent.stdout], [124, ""]);
  assertMatch(
    silent.stderr,
    /sends no greeting: the program that listens there accepts no connections/,
  );
});

for (
  const [what, said] of [
    [["--event", "STOP"], "no event STOP arrived within SECONDS s"],
    [["--status", "running"], "the machine is paused; it was not running within SECONDS s"],
  ] as const
) {
  Deno.test(`qmpmux wait ${what[0]} reports what it was waiting for at its timeout`, async () => {
    using place = makePlace();
    await using qemu = new FakeQemu(`${place.path}/vm`);
    assertEquals(await runToTimeout(qemu.path, ["wait", ...what], BEFORE_REPLY), {
      code: 124,
      stdout: "",
      stderr: `qmpmux: wait: ${said}\n`,
    });
  });
}

Deno.test("qmpmux wait --status reports that it got no reply", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) => name === "query-status" ? "" : undefined,
  });
  const args = ["wait", "--status", "running"];
  const { code, stderr } = await runToTimeout(qemu.path, args, BEFORE_SESSION);
  assertEquals([code, stderr], [
    124,
    "qmpmux: wait: query-status was not answered within SECONDS s\n",
  ]);
});

for (const args of [["exec", "query-status"], ["status"], ["kick", "a/1"]]) {
  Deno.test(`qmpmux ${args[0]} --timeout expires, and reports what it was waiting for`, async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    {
      await using _qemu = new FakeQemu(path, {
        answer: ({ name }) => name === "qmp_capabilities" ? undefined : "",
      });
      const unanswered = await runToTimeout(path, args, BEFORE_SESSION);
      assertEquals([unanswered.code, unanswered.stdout], [124, ""]);
      assertMatch(unanswered.stderr, / no reply within SECONDS s; the command may still run\n$/);
    }
    using _silent = Deno.listen({ transport: "unix", path: `${path}2` });
    const silent = await runAt(`${path}2`, args, 0.3);
    assertEquals([silent.code, silent.stdout], [124, ""]);
    assertMatch(silent.stderr, /vm2 accepts connections but sends no greeting: /);
  });
}

Deno.test("subcommands report a QEMU that greets, but does not answer the negotiation", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, { answer: () => "" });
  for (const args of [["exec", "stop"], ["exec", "-"], ["events"], ["wait"], ["check", "--live"]]) {
    const { code, stderr } = await runToTimeout(qemu.path, args, /sends no greeting/);
    assertEquals(code, args[0] === "check" ? 69 : 124);
    assertMatch(
      stderr,
      /vm sent a greeting, but has not answered qmp_capabilities: its QEMU is busy, .*\n$/,
      args.join(" "),
    );
  }
});

Deno.test("no subcommand reports a qmpmux without QEMU as a busy monitor", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(["--qemu", `${place.path}/vm`, "--listen", path]);
  using _other = await TestClient.connect(path);
  for (
    const args of [
      ["exec", "query-status"],
      ["events"],
      ["wait"],
      ["wait", "--event", "STOP"],
      ["status"],
      ["clients"],
      ["kick", "a/1"],
      ["reload"],
      ["check", "--live"],
    ]
  ) {
    const { code, stderr } = await runToTimeout(path, args, BEFORE_ACCEPTED);
    assertEquals(code, args[0] === "check" ? 69 : 124);
    const pattern = /: it is a qmpmux that waits for its QEMU, or not a monitor .*\n$/;
    assertMatch(stderr, pattern, args.join(" "));
  }
});

Deno.test("reasonOf() reports only what it can observe", () => {
  const nobody = { accepted: false, served: false, holders: [] };
  const cases: [Parameters<typeof reasonOf>[0], RegExp][] = [
    [
      undefined,
      /^it is a qmpmux that waits for its QEMU, a monitor that another client holds .*, or not/,
    ],
    [nobody, /accepts no connections/],
    [{ ...nobody, accepted: true }, /^another client holds this monitor, .*ss -xp/],
    [
      { ...nobody, accepted: true, served: true },
      /^it is a qmpmux that waits for its QEMU, or not/,
    ],
    [
      { ...nobody, accepted: true, holders: [{ pid: 7, program: "/bin/x" }] },
      /^process 7 \(\/bin\/x\) holds this monitor, .*; stop it, or connect both to qmpmux$/,
    ],
    [
      { ...nobody, accepted: true, holders: [{ pid: 7, program: "/usr/bin/qmpmux" }] },
      /^process 7 \(\/usr\/bin\/qmpmux\) holds .*; connect to a listener of that qmpmux$/,
    ],
  ];
  for (const [connected, pattern] of cases) assertMatch(reasonOf(connected), pattern);
});

Deno.test("qmpmux exec reports only what it can know about a TCP port without a greeting", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = silent.addr as Deno.NetAddr;
  const { code, stderr } = await runAt(`127.0.0.1:${port}`, ["exec", "stop"], 0.3);
  assertEquals(code, 124);
  assertMatch(stderr, /sends no greeting: it is a qmpmux that waits for its QEMU, a monitor that /);
});

Deno.test("qmpmux exec reports that a monitor closed the connection without a greeting", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  await using _monitor = hostileMonitor(path, "greeting", "");
  const { code, stderr } = await runQmpmux(["exec", "--socket", path, "stop"]);
  assertEquals(code, 69);
  assertMatch(stderr, /vm closed the connection without a greeting: its QEMU is away, or it does/);
});

Deno.test("qmpmux wait --event prints the event, and fails if QEMU disconnects first", async () => {
  using place = makePlace();
  {
    await using qemu = new FakeQemu(`${place.path}/vm`, eventful);
    const { code, stdout } = await runQmpmux(["wait", "--socket", qemu.path, "--event", "RES?T"]);
    assertEquals(code, 0);
    assertMatch(stdout, /"event": "RESET"/);
  }
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }, connection) => {
      if (name.startsWith("__org")) queueMicrotask(() => connection.hangUp());
      return undefined;
    },
  });
  const { code, stderr } = await runQmpmux(["wait", "--socket", qemu.path, "--event", "STOP"]);
  assertEquals(code, 1, stderr);
});

Deno.test("qmpmux wait and events refuse invalid arguments", async () => {
  const cases: [string[], RegExp][] = [
    [["wait", "--socket", "/x", "--event", "A", "--status", "b"], /exclude each other/],
    [
      ["wait", "--socket", "/x", "--timeout", "x"],
      /invalid value "x" for --timeout: expected seconds/,
    ],
    [
      ["wait", "--socket", "/x", "--status", "runing"],
      /^qmpmux: wait: unknown status "runing"; did you mean "running"\?\n$/,
    ],
    [
      ["wait", "--socket", "/x", "--status", "on fire"],
      /unknown status "on fire": expected running, paused, shutdown, .*, colo\n$/,
    ],
    [
      ["wait", "--socket", "/x", "--event", "STPO"],
      /^qmpmux: wait: --event: unknown event "STPO"; did you mean "STOP"\? To use it anyway, write "STPO\*"\n$/,
    ],
    [
      ["events", "--socket", "/x", "--filter", "STOP", "--filter", "reset"],
      /^qmpmux: events: --filter: unknown event "reset"; did you mean "RESET"\?/,
    ],
    [
      ["events", "--socket", "/x", "--filter", "a b"],
      /invalid value "a b" for --filter: expected the name of an event, with \* and \?/,
    ],
    [
      ["events", "--socket", "/x", "--count", "0"],
      /invalid value "0" for --count: expected a number/,
    ],
    [["events", "--socket", "/x", "--socket", "/y"], /--socket is given twice/],
    [["events", "more"], /unexpected argument more/],
  ];
  for (const [args, pattern] of cases) {
    const { code, stderr } = await runQmpmux(args);
    assertEquals(code, 64, stderr);
    assertMatch(stderr, pattern);
  }
});
