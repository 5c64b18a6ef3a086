/**
 * Tests of `power_off.ts` with a fake QEMU, for `deno test`.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLost } from "@qmpmux/qmpmux/client";
import { FakeQemu } from "@qmpmux/qmpmux/testing";
import { powerOff } from "./power_off.ts";

const RECORDING = new URL("power_off.jsonl", import.meta.url);
const SHUTDOWN = { name: "SHUTDOWN", data: { guest: true, reason: "guest-shutdown" } };

Deno.test("a guest that obeys is not forced", async () => {
  await using qemu = await FakeQemu.scripted([
    { execute: "system_powerdown", after: [SHUTDOWN] },
  ]);
  assertEquals(await powerOff(qemu.address, 10_000), "obeyed");
  qemu.verify();
});

Deno.test("a guest that does not obey is forced", async () => {
  await using qemu = await FakeQemu.scripted([
    { execute: "system_powerdown" },
    { execute: "quit" },
  ]);
  assertEquals(await powerOff(qemu.address, 10), "forced");
  qemu.verify();
});

Deno.test("the end of QEMU is an error", async () => {
  await using qemu = await FakeQemu.scripted([{ execute: "system_powerdown", fault: "drop" }]);
  await assertRejects(() => powerOff(qemu.address, 10_000), ConnectionLost);
});

Deno.test("the recorded guest is forced", async () => {
  await using qemu = await FakeQemu.fromRecording(RECORDING);
  assertEquals(await powerOff(qemu.address, 10), "forced");
  qemu.verify();
});

Deno.test("the recorded guest is not forced if it obeys", async () => {
  await using qemu = await FakeQemu.fromRecording(RECORDING, {
    faults: ['system_powerdown: event SHUTDOWN {"guest":true,"reason":"guest-shutdown"} after'],
  });
  assertEquals(await powerOff(qemu.address, 10_000), "obeyed");
  assertEquals(qemu.mismatches, []);
});
