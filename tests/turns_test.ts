/**
 * Turns of the event loop: when a connection has to yield to others.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { Records } from "../lib/daemon/records.ts";
import { CLOCK } from "../lib/platform/clock.ts";
import { UnbrokenWork } from "../lib/platform/turns.ts";
import { FakeLog } from "./support/fake_log.ts";

/** Returns how many of a hundred equal pieces of work, in microseconds, are followed by a yield. */
function turnsAmong(work: number, pause: number): number {
  const unbroken = new UnbrokenWork(CLOCK, 1);
  let turns = 0;
  for (let i = 0; i < 100; i++) {
    const began = i * (work + pause) / 1e6;
    unbroken.add(began, began + work / 1e6);
    if (unbroken.takeExcess()) turns++;
  }
  return turns;
}

Deno.test("UnbrokenWork.takeExcess() requests a yield after a millisecond of work with hardly a pause", () => {
  assertEquals(turnsAmong(110, 1), 10);
  assertEquals(turnsAmong(2000, 1), 100);
});

Deno.test("UnbrokenWork.takeExcess() requests none for a client that sends one command at a time", () => {
  assertEquals(turnsAmong(40, 160), 0);
  assertEquals(turnsAmong(500, 600), 0);
});

Deno.test("Records.render() yields a turn after each VM and each part, if they take that long", async () => {
  const settings = serveSettings(["--qemu", "/q", "--listen", "/m", "--metrics", "/n"]);
  let now = 0;
  // Each look at the clock finds a second passed.
  const clock = { ...CLOCK, now: () => now++ };
  const records = new Records(settings, new FakeLog(), "1.2.3", clock, () => {});
  for (let i = 0; i < 50; i++) records.ofVm(`vm${i}`);
  let [turns, rendered] = [0, false];
  const count = (): void => {
    turns++;
    if (!rendered) setTimeout(count, 0);
  };
  count();
  const parts = await records.render();
  rendered = true;
  assert(turns >= 50 + parts.length, `${turns} turns for ${parts.length} parts`);
  const text = await new Blob([...parts] as BlobPart[]).text();
  assert(text.includes("\nqmpmux_vms 50\n") && text.endsWith("\n"));
  for (let i = 0; i < 50; i++) assert(text.includes(`\nqmpmux_upstream_up{vm="vm${i}"} 0\n`));
  await records.close();
});
