/**
 * `qmpmux check --live`, which tests whether a monitor answers.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { runAt, runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { BEFORE_ACCEPTED, BEFORE_SESSION, runToTimeout } from "./support/timeout.ts";

const answers = {
  answer: ({ name }: { name: string }): string | undefined =>
    name === "query-version" ? '{"return": {"package": "x"}}\r\n' : undefined,
};

Deno.test("qmpmux check --live prints the version of a monitor that answers", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, answers);
  const printed = { code: 0, stdout: '{"package": "x"}\n', stderr: "" };
  assertEquals(await runQmpmux(["check", "--live", "--qemu", qemu.path]), printed);
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, `qemu = "${qemu.path}"\n`);
  assertEquals(await runQmpmux(["check", "--live", "--config", file]), printed);
});

Deno.test({
  name: "qmpmux check --live reports that a monitor is busy, and names its holder",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    using holder = await TestClient.ready(qemu.path);
    // A client that is queued holds nothing yet.
    using _waiting = await TestClient.connect(qemu.path);
    const busy = await runToTimeout(qemu.path, ["check", "--live"], /waits for its QEMU/);
    assertEquals([busy.code, busy.stdout], [69, ""]);
    const who = `process ${Deno.pid} \\(${Deno.execPath()}\\) holds this monitor`;
    assertMatch(busy.stderr, new RegExp(`sends no greeting: ${who}, which serves one at a time`));
    assertEquals(await holder.ask({ execute: "query-name" }), '{"return": {}}');
  },
});

Deno.test({
  name: "qmpmux check --live names the holder even if the backlog is full",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    using _holder = await TestClient.ready(qemu.path);
    const waiting: Deno.Conn[] = [];
    try {
      // Connects until the backlog is full.
      for (;;) waiting.push(await Deno.connect({ transport: "unix", path: qemu.path }));
    } catch (error) {
      assertMatch((error as Error).message, /temporarily unavailable/);
    }
    const busy = await runQmpmux(["check", "--live", "--qemu", qemu.path]);
    for (const each of waiting) each.close();
    assertEquals([busy.code, busy.stdout], [69, ""]);
    assertMatch(
      busy.stderr,
      new RegExp(`: process ${Deno.pid} \\(.*\\) holds this monitor, which`),
    );
  },
});

Deno.test("qmpmux check --live names no client of a qmpmux without QEMU as the holder", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(["--qemu", `${place.path}/vm`, "--listen", path]);
  using _other = await TestClient.connect(path);
  const { code, stderr } = await runToTimeout(path, ["check", "--live"], BEFORE_ACCEPTED);
  assertEquals(code, 69);
  assertMatch(
    stderr,
    /sends no greeting: it is a qmpmux that waits for its QEMU, or not a monitor/,
  );
});

Deno.test("qmpmux check --live distinguishes a program that accepts no connections from a busy monitor", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  using _silent = Deno.listen({ transport: "unix", path });
  const { code, stdout, stderr } = await runAt(path, ["check", "--live"], 0.3);
  assertEquals([code, stdout], [69, ""]);
  assertMatch(stderr, /sends no greeting: the program that listens there accepts no connections/);
});

Deno.test("qmpmux check --live reports that a socket without a greeting may be a guest agent's", async () => {
  using place = makePlace();
  const path = `${place.path}/agent`;
  await using _agent = new FakeQemu(path, { greeting: "" });
  const { code, stderr } = await runToTimeout(path, ["check", "--live"], BEFORE_ACCEPTED);
  assertEquals(code, 69);
  assertMatch(stderr, /not a monitor \(the socket of a guest agent sends no greeting either\)\n$/);
});

Deno.test("qmpmux check --live reports that a monitor sends a greeting and no reply", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) => name === "query-version" ? "" : undefined,
  });
  const { code, stderr } = await runToTimeout(qemu.path, ["check", "--live"], BEFORE_SESSION);
  assertEquals([code, stderr], [
    69,
    `qmpmux: check: unix:${qemu.path}: no reply within SECONDS s\n`,
  ]);
});

Deno.test("qmpmux check --live fails if nothing listens, and asks for missing arguments", async () => {
  using place = makePlace();
  const none = await runQmpmux(["check", "--live", "--qemu", `${place.path}/none`]);
  assertEquals(none.code, 69);
  for (const args of [["check"], ["check", "--live"], ["check", "--qemu", "/x"]]) {
    assertEquals((await runQmpmux(args)).code, 64);
  }
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, "once = true\n");
  const { code, stderr } = await runQmpmux(["check", "--live", "--config", file]);
  assertEquals(code, 64);
  assertMatch(stderr, /no monitor is named/);
});

Deno.test("qmpmux check refuses an invalid timeout, with and without --live", async () => {
  for (const more of [[], ["--live"]]) {
    const { code, stderr } = await runQmpmux([
      "check",
      ...more,
      "--config",
      "/dev/null",
      "--timeout",
      "abc",
    ]);
    assertEquals(code, 64);
    assertMatch(stderr, /check: invalid value "abc" for --timeout: expected seconds above 0/);
  }
});
