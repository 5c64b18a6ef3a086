/**
 * Numbers as Prometheus reads them.
 *
 * @module
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Metrics } from "../lib/observe/prometheus.ts";

Deno.test("Metrics.render() prints a counter without labels from the start", () => {
  const metrics = new Metrics();
  metrics.counter("joined_total", "Joined");
  assertEquals(
    metrics.render(),
    "# HELP qmpmux_joined_total Joined\n# TYPE qmpmux_joined_total counter\nqmpmux_joined_total 0\n",
  );
});

Deno.test("Metrics.render() prints a counter with labels once it has a value", () => {
  const metrics = new Metrics();
  const refused = metrics.counter("refused_total", "Refused", "role");
  assertEquals(metrics.render().split("\n").length, 3);
  refused.cell("observer").value += 2;
  assertStringIncludes(metrics.render(), 'qmpmux_refused_total{role="observer"} 2\n');
});

Deno.test("Family.cell() returns the same number for the same labels", () => {
  const family = new Metrics().counter("a_total", "A", "x", "y");
  family.cell("1", "2").value++;
  family.cell("1", "2").value++;
  family.cell("2", "1").value++;
  assertEquals([family.cell("1", "2").value, family.cell("2", "1").value], [2, 1]);
});

Deno.test("Family.render() escapes the values of labels", () => {
  const family = new Metrics().gauge("a", "A", "x");
  family.cell('q"b\\n\n').value = 1;
  assertStringIncludes(family.render(), 'qmpmux_a{x="q\\"b\\\\n\\n"} 1\n');
});

Deno.test("Family.clear() removes values that are not set again", () => {
  const family = new Metrics().gauge("a", "A", "x");
  family.cell("gone").value = 1;
  family.clear();
  family.cell("here").value = 2;
  assertEquals(family.render().split("\n").slice(2), ['qmpmux_a{x="here"} 2', ""]);
});

Deno.test("Histogram.observe() counts each into its bucket and all larger ones", () => {
  const metrics = new Metrics();
  const waits = metrics.histogram("wait_seconds", "Waited");
  for (const seconds of [0.0001, 0.0002, 0.003, 0.5, 31]) waits.observe(seconds);
  const told = new Map(
    metrics.render().split("\n").filter((line) => line.startsWith("qmpmux_"))
      .map((line) => line.split(" ") as [string, string]),
  );
  const bucket = (le: string): string | undefined =>
    told.get(`qmpmux_wait_seconds_bucket{le="${le}"}`);
  assertEquals(
    ["0.0002", "0.002", "0.005", "0.1", "0.5", "30", "+Inf"].map(bucket),
    ["2", "2", "3", "3", "4", "4", "5"],
  );
  assertEquals(told.get("qmpmux_wait_seconds_count"), "5");
  assertEquals(Number(told.get("qmpmux_wait_seconds_sum")), 31.5033);
});

Deno.test("Metrics.counter() throws if the name is taken", () => {
  const metrics = new Metrics();
  metrics.counter("a_total", "A");
  assertThrows(() => metrics.counter("a_total", "B"), Error, "two metrics named qmpmux_a_total");
});
