/**
 * `log-clients=on`: clients that connect and disconnect, in the log.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";

Deno.test("log-clients=on logs each client of its listener, who it is, and why it has left", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using qemu = new FakeQemu(at("vm"));
  await using qmpmux = await startQmpmux([
    ...["--qemu", qemu.path, "--listen", `${at("mux")},identity=on,log-clients=on`],
    ...["--listen", `${at("quiet")},role=observer`, "--listen", `${at("ops")},role=admin`],
    ...["--listen", `${at("plain")},log-clients=on,role=observer`],
  ]);
  const client = await TestClient.ready(at("mux"));
  const connected = await qmpmux.log.until(/client mux/);
  const { pid } = Deno;
  assertEquals(
    connected,
    `qmpmux: client mux/1 connected: role full, process ${pid}, user ${Deno.uid()}, group ${Deno.gid()}`,
  );
  client[Symbol.dispose]();
  assertEquals(await qmpmux.log.until(/client mux/), "qmpmux: client mux/1 disconnected: left");
  using _quiet = await TestClient.ready(at("quiet"));
  using plain = await TestClient.ready(at("plain"));
  const next = await qmpmux.log.next();
  assertMatch(next!, /^qmpmux: client plain\/\d+ connected: role observer$/);
  const kicked = await runQmpmux(["kick", "--socket", at("ops"), "plain/*"]);
  assertEquals([kicked.code, kicked.stderr], [0, ""]);
  assertMatch(await qmpmux.log.until(/client plain\/\d+ disconnected/), /disconnected: kicked$/);
  assertEquals(await plain.lines.next(), undefined);
});

Deno.test("log-clients takes on and off, and is printed with the settings", async () => {
  const serve = ["serve", "--qemu", "/run/q", "--print-config", "--listen"];
  const wrong = await runQmpmux([...serve, "/run/m,log-clients=yes"]);
  assertEquals(wrong.code, 64);
  assertMatch(wrong.stderr, /log-clients.*expected on or off/);
  const right = await runQmpmux([...serve, "/run/m,log-clients=on"]);
  assertMatch(right.stdout, /^log-clients = true$/m);
});
