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
    Metrics.render([metrics]),
    "# HELP qmpmux_joined_total Joined\n# TYPE qmpmux_joined_total counter\nqmpmux_joined_total 0\n",
  );
});

Deno.test("Metrics.render() prints a counter with labels once it has a value", () => {
  const metrics = new Metrics();
  const refused = metrics.counter("refused_total", "Refused", "role");
  assertEquals(Metrics.render([metrics]).split("\n").length, 3);
  refused.cell("observer").value += 2;
  assertStringIncludes(Metrics.render([metrics]), 'qmpmux_refused_total{role="observer"} 2\n');
});

Deno.test("Family.cell() returns the same number for the same labels", () => {
  const family = new Metrics().counter("a_total", "A", "x", "y");
  family.cell("1", "2").value++;
  family.cell("1", "2").value++;
  family.cell("2", "1").value++;
  assertEquals([family.cell("1", "2").value, family.cell("2", "1").value], [2, 1]);
});

Deno.test("Metrics.render() escapes the values of labels", () => {
  const metrics = new Metrics({ vm: 'q"' });
  metrics.gauge("a", "A", "x").cell('q"b\\n\n').value = 1;
  assertStringIncludes(Metrics.render([metrics]), 'qmpmux_a{vm="q\\"",x="q\\"b\\\\n\\n"} 1\n');
});

Deno.test("Family.clear() removes values that are not set again", () => {
  const metrics = new Metrics();
  const family = metrics.gauge("a", "A", "x");
  family.cell("gone").value = 1;
  family.clear();
  family.cell("here").value = 2;
  assertEquals(Metrics.render([metrics]).split("\n").slice(2), ['qmpmux_a{x="here"} 2', ""]);
});

Deno.test("Histogram.observe() counts each into its bucket and all larger ones", () => {
  const metrics = new Metrics();
  const waits = metrics.histogram("wait_seconds", "Waited");
  for (const seconds of [0.0001, 0.0002, 0.003, 0.5, 31]) waits.observe(seconds);
  const told = new Map(
    Metrics.render([metrics]).split("\n").filter((line) => line.startsWith("qmpmux_"))
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

Deno.test("Metrics.render() gives every number of a set its labels", () => {
  const metrics = new Metrics({ vm: "web-1" });
  metrics.counter("a_total", "A");
  metrics.gauge("b", "B", "role").cell("full").value = 2;
  metrics.histogram("c_seconds", "C").observe(40);
  const lines = Metrics.render([metrics]).split("\n").filter((line) => /^qmpmux/.test(line));
  assertEquals([...lines.slice(0, 3), ...lines.slice(-3)], [
    'qmpmux_a_total{vm="web-1"} 0',
    'qmpmux_b{vm="web-1",role="full"} 2',
    'qmpmux_c_seconds_bucket{vm="web-1",le="0.0002"} 0',
    'qmpmux_c_seconds_bucket{vm="web-1",le="+Inf"} 1',
    'qmpmux_c_seconds_sum{vm="web-1"} 40',
    'qmpmux_c_seconds_count{vm="web-1"} 1',
  ]);
});

Deno.test("Metrics.render() makes one metric of those with one name, and adds up equal series", () => {
  const sets = [new Metrics({ vm: "a" }), new Metrics({ vm: "b" }), new Metrics(), new Metrics()];
  for (const [index, metrics] of sets.entries()) {
    metrics.counter("a_total", "A", "x").cell("1").value = index + 1;
    metrics.histogram("b_seconds", "B").observe(0.25);
  }
  const lines = Metrics.render(sets).split("\n");
  assertEquals(lines.slice(0, 5), [
    "# HELP qmpmux_a_total A",
    "# TYPE qmpmux_a_total counter",
    'qmpmux_a_total{vm="a",x="1"} 1',
    'qmpmux_a_total{vm="b",x="1"} 2',
    'qmpmux_a_total{x="1"} 7',
  ]);
  assertEquals(lines.filter((line) => /^#.*b_seconds/.test(line)).length, 2);
  assertEquals(lines.filter((line) => /^qmpmux_b_seconds_(?:sum|count)/.test(line)), [
    'qmpmux_b_seconds_sum{vm="a"} 0.25',
    'qmpmux_b_seconds_count{vm="a"} 1',
    'qmpmux_b_seconds_sum{vm="b"} 0.25',
    'qmpmux_b_seconds_count{vm="b"} 1',
    "qmpmux_b_seconds_sum 0.5",
    "qmpmux_b_seconds_count 2",
  ]);
});
