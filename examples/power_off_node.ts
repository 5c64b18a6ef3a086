/**
 * Tests of `power_off.ts` with a fake QEMU, for Node: `node --test examples/power_off_node.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLost } from "@qmpmux/qmpmux/client";
import { FakeQemu } from "@qmpmux/qmpmux/testing";
import { powerOff } from "./power_off.ts";

const RECORDING = new URL("power_off.jsonl", import.meta.url);
const SHUTDOWN = { name: "SHUTDOWN", data: { guest: true, reason: "guest-shutdown" } };

/** Runs a test with a fake QEMU, and ends that. */
async function withQemu(
  starting: Promise<FakeQemu>,
  run: (qemu: FakeQemu) => Promise<void>,
): Promise<void> {
  const qemu = await starting;
  try {
    await run(qemu);
    assert.deepEqual(qemu.mismatches, []);
  } finally {
    await qemu.close();
  }
}

test("a guest that obeys is not forced", () => {
  const qemu = FakeQemu.scripted([{ execute: "system_powerdown", after: [SHUTDOWN] }]);
  return withQemu(qemu, async ({ address }) => {
    assert.equal(await powerOff(address, 10_000), "obeyed");
  });
});

test("a guest that does not obey is forced", () => {
  const qemu = FakeQemu.scripted([{ execute: "system_powerdown" }, { execute: "quit" }]);
  return withQemu(qemu, async (qemu) => {
    assert.equal(await powerOff(qemu.address, 10), "forced");
    qemu.verify();
  });
});

test("the end of QEMU is an error", () => {
  const qemu = FakeQemu.scripted([{ execute: "system_powerdown", fault: "drop" }]);
  return withQemu(qemu, async ({ address }) => {
    await assert.rejects(() => powerOff(address, 10_000), ConnectionLost);
  });
});

test("the recorded guest is forced", () =>
  withQemu(FakeQemu.fromRecording(RECORDING), async (qemu) => {
    assert.equal(await powerOff(qemu.address, 10), "forced");
    qemu.verify();
  }));
