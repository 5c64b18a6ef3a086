/**
 * A qmpmux that is stopped for a while, and a clock that jumps.
 *
 * While it is stopped everything waits, and afterwards everything has happened once. Timeouts
 * follow a steady clock, and count only the time qmpmux ran. The time of day is only recorded.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { TestClient } from "./support/client.ts";
import {
  isStopped,
  makeScene,
  note,
  NOTES,
  passes,
  RING,
  type Scene,
  standing,
  stands,
  until,
} from "./support/fault.ts";
import { Notified } from "./support/passer.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";

/** Whether to skip tests that need libfaketime; only the caller may choose that. */
const WITHOUT_FAKETIME = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").includes(
  "faketime",
);

function test(name: string, fn: () => Promise<void>, ignore = WITHOUT_QEMU): void {
  Deno.test({ name, ignore, fn });
}

async function stopMux({ mux }: Scene): Promise<void> {
  mux.kill("SIGSTOP");
  await isStopped(mux.pid);
}

test("a stopped qmpmux that continues has served every client and QEMU once", async () => {
  await using scene = await makeScene({ options: ",cache=off,join=off" });
  using a = await TestClient.ready(scene.path, ["oob"]);
  using b = await TestClient.ready(scene.path);
  // QEMU runs our commands while no one reads its replies.
  await a.send('{"execute":"query-qmp-schema","id":"long"}');
  await stopMux(scene);
  const each = 20;
  for (const [client, name] of [[a, "a"], [b, "b"]] as const) {
    for (let i = 0; i < each; i++) await client.send(note(`${name};`, i));
  }
  // A client that connects now gets its greeting later.
  using late = await TestClient.connect(scene.path);
  await late.send('{"execute":"qmp_capabilities","id":"late"}');
  scene.mux.kill("SIGCONT");
  assertEquals(JSON.parse(await a.line()).id, "long");
  for (const client of [a, b]) {
    for (let i = 0; i < each; i++) assertEquals(await client.line(), `{"return": {}, "id": ${i}}`);
  }
  assertMatch(await late.line(), /^\{"QMP": /);
  assertEquals(await late.line(), '{"return": {}, "id": "late"}');
  const ran: string[] = JSON.parse(await b.ask(NOTES)).return.split(";");
  assertEquals(ran.filter((entry) => entry === "a").length, each);
  assertEquals(ran.filter((entry) => entry === "b").length, each);
  await stands(scene.mux, { clients: 3, inFlight: 0, waiting: 0, sessions: 1 });
});

test("a QEMU that exits while qmpmux is stopped is read to its last byte", async () => {
  await using scene = await makeScene();
  using client = await TestClient.ready(scene.path);
  await client.send({ execute: "quit", id: 1 });
  const first = await client.line();
  await stopMux(scene);
  await scene.qemu.ended;
  scene.mux.kill("SIGCONT");
  assertMatch(first, /"event": "SHUTDOWN"/);
  assertEquals(await client.lines.rest(), ['{"return": {}, "id": 1}']);
});

test("after a stop nothing counts as late: QEMU is not stalled, no client is idle", async () => {
  using desk = makePlace();
  using manager = new Notified(`${desk.path}/notify`);
  await using scene = await makeScene({
    options: ",idle=5",
    flags: ["--stall-timeout", "4", "--watchdog", "qemu"],
    env: { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: "500000" },
  });
  using client = await TestClient.ready(scene.path);
  // Watchdog notifications, four a second: none is sent while qmpmux is stopped.
  for (let signs = 0; signs < 10; signs++) await manager.until("WATCHDOG=1");
  await stopMux(scene);
  await passes(4.5);
  scene.mux.kill("SIGCONT");
  // One may be from before. No more would be sent if QEMU counted as stalled.
  for (let signs = 0; signs < 4; signs++) await manager.until("WATCHDOG=1");
  assertEquals(await client.ask(note("x")), '{"return": {}}');
  scene.mux.kill("SIGUSR2");
  // Nothing else has been sent since READY=1.
  assertMatch((await scene.mux.log.next())!, /status: QEMU [0-9.]+ ready, .* 1 clients; /);
});

// libfaketime makes the clock jump; it reads the time from a file.

const DAY_MS = 86_400_000;

/** Returns the path of the library, as Debian and others install it. */
function faketimeLibrary(): string {
  for (const place of Deno.readDirSync("/usr/lib")) {
    for (const directory of [`/usr/lib/${place.name}/faketime`, "/usr/lib/faketime"]) {
      const path = `${directory}/libfaketime.so.1`;
      try {
        if (Deno.statSync(path).isFile) return path;
      } catch (error) {
        const { NotFound, NotADirectory } = Deno.errors;
        if (!(error instanceof NotFound || error instanceof NotADirectory)) throw error;
      }
    }
  }
  throw new Error("libfaketime.so.1 not found; install faketime");
}

for (const [way, days] of [["forward", 10], ["back", -10]] as const) {
  test(
    `the clock jumps ${way}: records have the new time, and no timeout fires early or late`,
    async () => {
      const rate = Deno.makeTempFileSync({ prefix: "qmpmux-" });
      using _rate = { [Symbol.dispose]: (): void => Deno.removeSync(rate) };
      Deno.writeTextFileSync(rate, "+0");
      await using made = new AsyncDisposableStack();
      const scene = made.use(
        await makeScene({
          file: (at) =>
            `audit = "${at("audit")}"\non-loss = "hold"\n` +
            `[[listen]]\naddress = "${at("short")}"\nidle = 2\n` +
            `[[listen]]\naddress = "${at("long")}"\nidle = 3600\n`,
          env: {
            LD_PRELOAD: faketimeLibrary(),
            FAKETIME_TIMESTAMP_FILE: rate,
            FAKETIME_NO_CACHE: "1",
            // The steady clock continues, as it does when the real clock is set.
            FAKETIME_DONT_FAKE_MONOTONIC: "1",
          },
        }),
      );
      using client = await TestClient.ready(scene.at("long"));
      assertEquals(await client.ask(note("before")), '{"return": {}}');
      using short = await TestClient.ready(scene.at("short"));

      const before = Date.now();
      Deno.writeTextFileSync(rate, `${days < 0 ? "" : "+"}${days}d`);
      assertEquals(await client.ask(note("after")), '{"return": {}}');
      // Its deadline expires by the steady clock, and no other does.
      assertEquals(await short.lines.rest(), []);
      assertEquals((await standing(scene.mux)).clients, 1);

      const times = (): number[] =>
        Deno.readTextFileSync(scene.at("audit")).trimEnd().split("\n").map((line) =>
          Date.parse(JSON.parse(line).time)
        );
      await until("two records", () => times().length === 2);
      const [first, second] = times() as [number, number];
      assert(first <= before);
      const jump = second - before - days * DAY_MS;
      assert(jump >= -2000 && jump < 60_000, `${jump} ms off`);

      // qmpmux's own events have the new time too, and it retries by the steady clock.
      scene.qemu.kill("SIGKILL");
      const lost = JSON.parse(await client.line());
      assertEquals(lost.event, "__org.qmpmux_QEMU_LOST");
      assert(Math.abs(lost.timestamp.seconds * 1000 - before - days * DAY_MS) < 60_000);
      await scene.qemu.ended;
      await using _next = await startQemu(scene.qemu.path, RING);
      assertMatch(await client.line(), /"__org.qmpmux_QEMU_BACK"/);
    },
    WITHOUT_QEMU || WITHOUT_FAKETIME,
  );
}
