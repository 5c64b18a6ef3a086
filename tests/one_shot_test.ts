/**
 * `qmpmux events` and `qmpmux wait`, through a qmpmux and at a monitor itself.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { eventLine, StandIn } from "../tools/stand_in.ts";
import { TestClient } from "./support/client.ts";
import { Hostile } from "./support/hostile.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { programCommand, runQmpmux, startQmpmux } from "./support/qmpmux.ts";

/** Starts the program and gives its output, line by line. */
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
  answer: ({ name }: { name: string }): string | undefined =>
    name === "__org.qmpmux_set-event-filter" || name === "query-status"
      ? undefined
      : `${eventLine("RESET")}${eventLine("STOP")}{"return": {}}\r\n`,
};

Deno.test("qmpmux events prints those asked for, and ends after as many", async () => {
  using place = makePlace();
  await using qemu = new StandIn(`${place.path}/vm`, eventful);
  const { code, stdout } = await runQmpmux(
    ["events", "--socket", qemu.path, "--filter", "ST*", "--count", "1"],
  );
  assertEquals(code, 0);
  assertMatch(stdout, /^\{"timestamp": \{.*\}, "event": "STOP"\}\n$/);
});

for (const [filter, came] of [["RES*", 2], ["STOP", 0]] as const) {
  Deno.test(`qmpmux events --count fails where QEMU goes after ${came} of them`, async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    await using _qemu = new Hostile(path, "event", eventLine("RESET") + eventLine("RESUME"));
    const args = ["events", "--socket", path, "--filter", filter, "--count", "3"];
    const { code, stdout, stderr } = await runQmpmux(args);
    assertEquals([code, stdout.split("\n").length - 1], [1, came]);
    assertEquals(stderr, `qmpmux: events: the connection ended after ${came} of 3 events\n`);
  });
}

Deno.test("qmpmux events ends with 124 after the time given", async () => {
  using place = makePlace();
  await using qemu = new StandIn(`${place.path}/vm`);
  const args = ["events", "--socket", qemu.path, "--timeout", "0.2"];
  assertEquals(await runQmpmux(args), { code: 124, stdout: "", stderr: "" });
});

Deno.test("qmpmux events through qmpmux hears what others cause, and ends with QEMU", async () => {
  using place = makePlace();
  await using _qemu = new StandIn(`${place.path}/vm`);
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(["--qemu", `${place.path}/vm`, "--listen", path]);
  const filters = ["--filter", "RESUME", "--filter", "SHUTDOWN"];
  const { lines, status } = start(["events", "--socket", path, ...filters]);
  using actor = await TestClient.ready(path);
  // Until it hears something, it may not be listening yet.
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

Deno.test("qmpmux wait returns when QEMU answers, however late it comes", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(["--qemu", `${place.path}/vm`, "--listen", path]);
  const waiting = runQmpmux(["wait", "--socket", path]);
  await using _qemu = new StandIn(`${place.path}/vm`);
  assertEquals(await waiting, { code: 0, stdout: "", stderr: "" });
});

Deno.test("qmpmux wait --status returns when the machine has it", async () => {
  using place = makePlace();
  let asked = 0;
  await using qemu = new StandIn(`${place.path}/vm`, {
    answer: ({ name }, connection) => {
      if (name !== "query-status") return undefined;
      const status = asked++ === 0 ? "paused" : "running";
      // The change is told by an event, behind the first answer.
      queueMicrotask(() => status === "paused" && connection.say(eventLine("RESUME")));
      return `{"return": {"status": "${status}"}}\r\n`;
    },
  });
  const { code } = await runQmpmux(["wait", "--socket", qemu.path, "--status", "running"]);
  assertEquals({ code, asked }, { code: 0, asked: 2 });
});

Deno.test("qmpmux wait --status asks again, also where no event tells of the change", async () => {
  using place = makePlace();
  let asked = 0;
  await using qemu = new StandIn(`${place.path}/vm`, {
    answer: ({ name }) =>
      name === "query-status"
        ? `{"return": {"status": "${asked++ === 0 ? "paused" : "postmigrate"}"}}\r\n`
        : undefined,
  });
  const args = ["wait", "--socket", qemu.path, "--status", "postmigrate"];
  assertEquals(await runQmpmux(args), { code: 0, stdout: "", stderr: "" });
});

Deno.test("qmpmux wait says why it has waited in vain", async () => {
  using place = makePlace();
  const args = ["wait", "--socket", `${place.path}/vm`, "--timeout", "0.3"];
  const none = await runQmpmux(args);
  assertEquals([none.code, none.stdout], [124, ""]);
  assertMatch(none.stderr, /^qmpmux: wait: unix:.*\/vm: nobody listens there; .*\n$/);
  using _silent = Deno.listen({ transport: "unix", path: `${place.path}/vm` });
  const silent = await runQmpmux(args);
  assertEquals([silent.code, silent.stdout], [124, ""]);
  assertMatch(silent.stderr, /gives no greeting: another client holds this monitor, .*\n$/);
});

Deno.test("qmpmux wait says nothing where it has waited for the machine in vain", async () => {
  using place = makePlace();
  await using qemu = new StandIn(`${place.path}/vm`);
  const args = ["wait", "--socket", qemu.path, "--event", "STOP", "--timeout", "0.3"];
  assertEquals(await runQmpmux(args), { code: 124, stdout: "", stderr: "" });
});

for (const [command, ...operands] of [["exec", "query-status"], ["status"], ["kick", "a/1"]]) {
  Deno.test(`qmpmux ${command} --timeout gives up, and says what it has waited for`, async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    const args = [command!, "--socket", path, "--timeout", "0.3", ...operands];
    {
      await using _qemu = new StandIn(path, {
        answer: ({ name }) => name === "qmp_capabilities" ? undefined : "",
      });
      const unanswered = await runQmpmux(args);
      assertEquals([unanswered.code, unanswered.stdout], [124, ""]);
      assertMatch(unanswered.stderr, / no answer came within 0\.3 s; the command may still run\n$/);
    }
    using _silent = Deno.listen({ transport: "unix", path: `${path}2` });
    const silent = await runQmpmux(args.map((each) => each === path ? `${path}2` : each));
    assertEquals([silent.code, silent.stdout], [124, ""]);
    assertMatch(silent.stderr, /vm2 accepts connections but gives no greeting: /);
  });
}

Deno.test("qmpmux wait --event prints the event, and fails where QEMU goes before", async () => {
  using place = makePlace();
  {
    await using qemu = new StandIn(`${place.path}/vm`, eventful);
    const { code, stdout } = await runQmpmux(["wait", "--socket", qemu.path, "--event", "RES?T"]);
    assertEquals(code, 0);
    assertMatch(stdout, /"event": "RESET"/);
  }
  await using qemu = new StandIn(`${place.path}/vm`, {
    answer: ({ name }, connection) => {
      if (name.startsWith("__org")) queueMicrotask(() => connection.hangUp());
      return undefined;
    },
  });
  const { code, stderr } = await runQmpmux(["wait", "--socket", qemu.path, "--event", "STOP"]);
  assertEquals(code, 1, stderr);
});

Deno.test("qmpmux wait and events refuse what makes no sense", async () => {
  const cases: [string[], RegExp][] = [
    [["wait", "--socket", "/x", "--event", "A", "--status", "b"], /exclude each other/],
    [
      ["wait", "--socket", "/x", "--timeout", "x"],
      /invalid value "x" for --timeout: expected seconds/,
    ],
    [["events", "--socket", "/x", "--count", "0"], /--count 0 is no number of events/],
    [["events", "--socket", "/x", "--socket", "/y"], /--socket is given twice/],
    [["events", "more"], /there is no argument more/],
  ];
  for (const [args, pattern] of cases) {
    const { code, stderr } = await runQmpmux(args);
    assertEquals(code, 64, stderr);
    assertMatch(stderr, pattern);
  }
});
