/**
 * `qmpmux wait --gone`: at QEMU, and through a qmpmux that closes, holds or refuses clients.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { runToTimeout } from "./support/timeout.ts";

const FILTER = "__org.qmpmux_set-event-filter";

/** Starts `qmpmux wait --gone`. */
function waitGone(path: string, ...more: string[]): ReturnType<typeof runQmpmux> {
  return runQmpmux(["wait", "--gone", "--socket", path, ...more]);
}

const GONE = { code: 0, stdout: "", stderr: "" };

/** Waits until a client of the qmpmux has asked to be told of the loss; returns its name. */
async function watched(admin: TestClient): Promise<string> {
  for (;;) {
    const reply = await admin.ask({ execute: "__org.qmpmux_query-clients" });
    const { return: clients } = JSON.parse(reply);
    const found = (clients as { name: string; filter: string[] | null }[]).find(({ filter }) =>
      filter?.includes("__org.qmpmux_QEMU_LOST")
    );
    if (found !== undefined) return found.name;
  }
}

Deno.test("qmpmux wait --gone returns at once if nothing listens", async () => {
  using place = makePlace();
  assertEquals(await waitGone(`${place.path}/none`), GONE);
});

Deno.test("qmpmux wait --gone returns when a monitor closes its connection", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  await using _qemu = new FakeQemu(path, {
    answer({ name }, connection): string | undefined {
      if (name === FILTER) connection.finish();
      return undefined;
    },
  });
  assertEquals(await waitGone(path), GONE);
});

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  Deno.test({
    name: `qmpmux wait --gone returns when QEMU is ended with ${signal}`,
    ignore: WITHOUT_QEMU,
    async fn(): Promise<void> {
      using place = makePlace();
      await using qemu = await startQemu(`${place.path}/vm`);
      const waiting = waitGone(qemu.path);
      qemu.kill(signal);
      assertEquals(await waiting, GONE);
    },
  });
}

Deno.test({
  name: "qmpmux wait --gone returns when QEMU ends, while another client holds its monitor",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    using holder = await TestClient.ready(qemu.path);
    const late = await waitGone(qemu.path, "--timeout", "1.5");
    assertEquals([late.code, late.stdout], [124, ""]);
    assertMatch(late.stderr, /^qmpmux: wait: .* sends no greeting: .* holds this monitor/);
    const waiting = waitGone(qemu.path);
    await holder.send({ execute: "quit" });
    assertEquals(await waiting, GONE);
  },
});

Deno.test({
  name: "qmpmux wait --gone does not take a silent socket of QEMU's for a qmpmux without QEMU",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    const path = `${place.path}/agent`;
    const agent = `socket,path=${path},server=on,wait=off,id=agent`;
    const devices = "-device virtio-serial -device virtserialport,chardev=agent".split(" ");
    await using _qemu = await startQemu(`${place.path}/vm`, [
      ...["-machine", "pc", "-chardev", agent],
      ...devices,
    ]);
    const { code, stderr } = await waitGone(path, "--timeout", "2.5");
    assertEquals(code, 124);
    assertMatch(stderr, /sends no greeting: .*guest agent/);
  },
});

for (
  const [what, listener, ...args] of [
    ["closes its clients", ""],
    ["holds its clients", "", "--on-loss", "hold"],
    ["refuses clients without QEMU", ",absent=refuse"],
  ] as const
) {
  Deno.test({
    name: `qmpmux wait --gone returns when QEMU ends behind a qmpmux that ${what}`,
    ignore: WITHOUT_QEMU,
    async fn(): Promise<void> {
      using place = makePlace();
      await using qemu = await startQemu(`${place.path}/vm`);
      const [path, control] = [`${place.path}/mux`, `${place.path}/admin`];
      await using mux = await startQmpmux([
        ...["--qemu", qemu.path, "--listen", path + listener],
        ...["--control", control, ...args],
      ]);
      await mux.log.until(/connected to QEMU/);
      using admin = await TestClient.ready(control);
      const waiting = waitGone(path);
      await watched(admin);
      const late = await runToTimeout(path, ["wait", "--gone"], /sends no greeting/);
      assertEquals([late.code, late.stderr], [
        124,
        "qmpmux: wait: QEMU has not ended within SECONDS s\n",
      ]);
      qemu.kill("SIGKILL");
      assertEquals(await waiting, GONE);
      // It is not there any more.
      assertEquals(await waitGone(path), GONE);
    },
  });
}

Deno.test("qmpmux wait --gone goes on if qmpmux disconnects it, or starts again", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const [path, control] = [`${place.path}/mux`, `${place.path}/admin`];
  const args = ["--qemu", qemu.path, "--listen", path, "--control", control];
  let waiting: ReturnType<typeof waitGone>;
  {
    await using mux = await startQmpmux(args);
    await mux.log.until(/connected to QEMU/);
    waiting = waitGone(path);
    using admin = await TestClient.ready(control);
    const name = await watched(admin);
    await admin.ask({ execute: "__org.qmpmux_disconnect-client", arguments: { name } });
    while (await watched(admin) === name);
  }
  await using mux = await startQmpmux(args);
  await mux.log.until(/connected to QEMU/);
  using admin = await TestClient.ready(control);
  await watched(admin);
  using client = await TestClient.ready(path);
  await client.send({ execute: "quit" });
  assertEquals(await waiting, GONE);
});

Deno.test("qmpmux wait --gone goes on if qmpmux connects to QEMU again", async () => {
  using place = makePlace();
  const [path, control] = [`${place.path}/mux`, `${place.path}/admin`];
  await using _qemu = new FakeQemu(`${place.path}/vm`, {
    answer({ name }, connection): string | undefined {
      if (name === "malform") connection.say("}\r\n");
      return name === "malform" ? "" : undefined;
    },
  });
  await using mux = await startQmpmux([
    ...["--qemu", `${place.path}/vm`, "--listen", path, "--control", control],
    ...["--on-loss", "hold"],
  ]);
  await mux.log.until(/connected to QEMU/);
  const waiting = waitGone(path);
  using admin = await TestClient.ready(control);
  const name = await watched(admin);
  using client = await TestClient.ready(path);
  await client.send({ execute: "malform" });
  while (await watched(admin) === name);
  await client.lines.until(/QEMU_BACK/);
  await client.send({ execute: "quit" });
  assertEquals(await waiting, GONE);
});

Deno.test("qmpmux wait --gone fails if qmpmux ends, because nothing tells of QEMU then", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const [path, control] = [`${place.path}/mux`, `${place.path}/admin`];
  let waiting: ReturnType<typeof waitGone>;
  {
    await using mux = await startQmpmux(
      ["--qemu", qemu.path, "--listen", path, "--control", control],
    );
    await mux.log.until(/connected to QEMU/);
    waiting = waitGone(path);
    using admin = await TestClient.ready(control);
    await watched(admin);
    mux.kill("SIGTERM");
    await mux.ended;
  }
  const { code, stdout, stderr } = await waiting;
  assertEquals([code, stdout], [69, ""]);
  assertMatch(stderr, /^qmpmux: wait: qmpmux does not listen at unix:\S*\/mux any more, so /);
});

Deno.test("qmpmux wait --gone refuses what it cannot watch", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  const cases: [string[], number, RegExp][] = [
    [["--event", "STOP"], 64, /--event and --gone exclude each other/],
    [["--status", "running"], 64, /--status and --gone exclude each other/],
    [[], 69, /does not speak QMP/],
  ];
  await using _other = new FakeQemu(path, { greeting: "SSH-2.0-x\r\n" });
  for (const [args, status, pattern] of cases) {
    const { code, stderr } = await waitGone(path, ...args);
    assertEquals(code, status, stderr);
    assertMatch(stderr, pattern);
  }
});
