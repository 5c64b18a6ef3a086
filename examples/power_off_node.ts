/**
 * Tests of `power_off.ts` with a fake QEMU, for Node: `node --test examples/power_off_node.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLost } from "@qmpmux/qmpmux/client";
import { FakeQemu, type ScriptEntry } from "@qmpmux/qmpmux/testing";
import { powerOff } from "./power_off.ts";

const SHUTDOWN = { name: "SHUTDOWN", data: { guest: true, reason: "guest-shutdown" } };

/** Runs a test with a fake QEMU, and ends that. */
async function withQemu(
  script: readonly ScriptEntry[],
  run: (qemu: FakeQemu) => Promise<void>,
): Promise<void> {
  const qemu = await FakeQemu.scripted(script);
  try {
    await run(qemu);
    qemu.verify();
  } finally {
    await qemu.close();
  }
}

test("a guest that obeys is not forced", () =>
  withQemu([{ execute: "system_powerdown", after: [SHUTDOWN] }], async ({ address }) => {
    assert.equal(await powerOff(address, 10_000), "obeyed");
  }));

test("a guest that does not obey is forced", () =>
  withQemu([{ execute: "system_powerdown" }, { execute: "quit" }], async ({ address }) => {
    assert.equal(await powerOff(address, 10), "forced");
  }));

test("the end of QEMU is an error", () =>
  withQemu([{ execute: "system_powerdown", fault: "drop" }], async ({ address }) => {
    await assert.rejects(() => powerOff(address, 10_000), ConnectionLost);
  }));
