/**
 * The progress of a job as text.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { bytesText, type JobView, Progress, Rate, timeText } from "../lib/cli/progress.ts";

function view(done: number, more: Partial<JobView> = {}): JobView {
  return {
    status: "running",
    isUsual: true,
    done,
    total: 1000,
    bytes: undefined,
    hint: undefined,
    ...more,
  };
}

Deno.test("Rate measures over the last ten seconds", () => {
  const rate = new Rate();
  assertEquals(rate.perSecond, undefined);
  rate.add(0, 0);
  rate.add(0.4, 100);
  assertEquals(rate.perSecond, undefined);
  rate.add(1, 100);
  assertEquals(rate.perSecond, 100);
  for (let second = 2; second <= 20; second++) rate.add(second, 100);
  assertEquals(rate.perSecond, 0);
});

Deno.test("Rate begins anew if the number has become less", () => {
  const rate = new Rate();
  rate.add(0, 500);
  rate.add(1, 100);
  assertEquals(rate.perSecond, undefined);
  rate.add(2, 150);
  assertEquals(rate.perSecond, 50);
});

Deno.test("Progress.words has percent, rate, time left, and an unusual status with its hint", () => {
  const progress = new Progress();
  progress.add(0, view(0, { bytes: 0 }));
  assertEquals(progress.words, ["0 %"]);
  progress.add(2, view(100, { bytes: 4 << 20 }));
  assertEquals(progress.words, ["10 %", "2.0 MiB/s", "0:18 left"]);
  progress.add(3, view(999, { status: "paused", isUsual: false, hint: "do" }));
  assertEquals(progress.words[0], "99 %");
  assertEquals(progress.words.slice(-2), ["paused", "do"]);
  progress.finish();
  assertEquals(progress.words, ["100 %", "done"]);
});

Deno.test("Progress.words has the status if nothing else is known", () => {
  const progress = new Progress();
  progress.add(0, view(0, { total: 0 }));
  assertEquals([progress.percent, progress.words], [undefined, ["running"]]);
  progress.add(9, view(1200));
  assertEquals(progress.words, ["100 %"]);
});

Deno.test("Progress.line fits its bar into the terminal, and leaves it out if there is no room", () => {
  const progress = new Progress();
  progress.add(0, view(500));
  assertEquals(progress.line("job j", 80), `job j  [${"#".repeat(20)}${"-".repeat(20)}]  50 %`);
  const narrow = progress.line("job j", 30);
  assertEquals(narrow, "job j  [#######-------]  50 %");
  assertEquals(narrow.length < 30, true);
  assertEquals(progress.line("job j", 23), "job j  50 %");
  assertEquals(progress.line("job j", 9), "job j  …");
  assertEquals(progress.line("job j", 1), "…");
});

Deno.test("bytesText() and timeText() choose their units", () => {
  assertEquals([0, 1023, 1024, 1536 * 1024, 2 ** 50].map(bytesText), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 MiB",
    "1024.0 TiB",
  ]);
  assertEquals([0, 0.2, 59.5, 3599, 3600, 90061].map(timeText), [
    "0:00",
    "0:01",
    "1:00",
    "59:59",
    "1:00:00",
    "25:01:01",
  ]);
});
