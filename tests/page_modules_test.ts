/**
 * The parts of the page of a recording that need no browser.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { durationText as ofShow } from "../lib/cli/traffic_text.ts";
import { clockText, counted, durationText, oneLine } from "../lib/page/format.js";
import { notesOf } from "../lib/page/head.js";
import { piecesOf } from "../lib/page/json_text.js";
import { Layout } from "../lib/page/layout.js";
import { type Content, Model, type Row } from "../lib/page/model.js";
import { densityOf } from "../lib/page/overview.js";
import { testsOf } from "../lib/page/search.js";
import { marksOf, View } from "../lib/page/view.js";
import { START } from "./support/made_recording.ts";

/** Returns a model of rows, whose clients are `a` and `b`. */
function modelOf(rows: Row[]): Model {
  const clients = [{ n: "a" }, { n: "b" }];
  const content: Content = {
    start: Date.parse(START),
    filters: [],
    clients,
    cut: 0,
    damaged: 0,
    rows,
  };
  return new Model(content);
}

/** Returns a command of client `a` from one time to another. */
function command(t: number, e: number, more: Partial<Row> = {}): Row {
  return { k: "c", l: 2, t, c: 0, e, r: e - t, x: "r", ...more };
}

Deno.test("the page and show write durations alike", () => {
  for (let seconds = 1e-7; seconds < 1e6; seconds *= 1.07) {
    assertEquals(durationText(seconds), ofShow(seconds));
  }
});

Deno.test("clockText() gives the time in UTC with so many digits", () => {
  const start = Date.parse("2026-01-02T23:59:59.750Z");
  assertEquals(clockText(start, 0, 3), "23:59:59.750");
  assertEquals(clockText(start, 0.0000015, 6), "23:59:59.750002");
  assertEquals(clockText(start, 0.25, 0), "00:00:00");
  assertEquals(clockText(start, 0.2499999, 3), "00:00:00.000");
});

Deno.test("counted() and oneLine() write for people", () => {
  assertEquals(counted(1, "message"), "1 message");
  assertEquals(counted(1234567, "message"), "1\u202f234\u202f567 messages");
  assertEquals(oneLine("a\r\n  b\x1b\u202e", 100), "a b\\u001b\\u202e");
  assertEquals(oneLine("x".repeat(10), 4), "xxxx…");
});

Deno.test("piecesOf() lays out JSON with its digits, also if it is cut", () => {
  const text = (json: string): string => piecesOf(json).map(([piece]) => piece).join("");
  assertEquals(
    text('{"a":18446744073709551615,"b":[1.10,{}],"c":[]}'),
    [
      "{",
      '  "a": 18446744073709551615,',
      '  "b": [',
      "    1.10,",
      "    {}",
      "  ],",
      '  "c": []',
      "}",
    ].join("\n"),
  );
  assertEquals(text('{"a": "x\\"}, '), '{\n  "a": "x\\"}, ');
  assertEquals(text('{"a": [1, …'), '{\n  "a": [\n    1,\n    …');
  assertEquals(text("]]]}"), "\n]\n]\n]\n}");
  assertEquals(piecesOf('{"k": "v", "n": -1, "t": true}').filter(([, kind]) => kind), [
    ['"k"', "key"],
    ['"v"', "string"],
    ['"n"', "key"],
    ["-1", "number"],
    ['"t"', "key"],
    ["true", "word"],
  ]);
});

Deno.test("piecesOf() shows what is behind its limit as it is", () => {
  const json = `[${"1,".repeat(100000)}1]`;
  const pieces = piecesOf(json);
  assertEquals(pieces.at(-1), [json.slice(65536), ""]);
});

Deno.test("commands that overlap get slots of their own, five at most", () => {
  const rows = [command(0, 10), command(1, 2), command(1.5, 3), command(2, 4), command(11, 12)];
  const model = modelOf(rows);
  assertEquals([...model.slot], [0, 1, 2, 1, 0]);
  assertEquals(model.lanes.map(({ depth }) => depth), [1, 3, 1]);
  const many = modelOf(Array.from({ length: 20 }, (_, i) => command(i / 100, 10)));
  assertEquals(many.lanes[1]!.depth, 5);
});

Deno.test("a command without a reply lasts until its client disconnects", () => {
  const lost = { k: "c", l: 2, t: 1, c: 0, x: "n" } as const;
  const model = modelOf([
    { k: "+", l: 3, t: 0, c: 0 },
    lost,
    { k: "-", l: 4, t: 5, c: 0 },
    { ...lost, t: 6 },
    { k: "e", l: 5, t: 9 },
  ]);
  assertEquals([model.end[1], model.end[3]], [5, 9]);
  assertEquals([...model.failed], [0, 1, 0, 1, 0]);
});

Deno.test("Model ends a command without a reply with the connection that had it, among many", () => {
  const rows = Array.from({ length: 1000 }, (_, i): Row[] => [
    { k: "+", l: 1, t: i, c: 0 },
    { k: "c", l: 2, t: i + 0.25, c: 0, x: "n", v: "" },
    { k: "-", l: 3, t: i + 0.5, c: 0 },
    // This one comes while the client is not connected.
    { k: "c", l: 4, t: i + 0.75, c: 0, x: "n", v: "" },
  ]).flat();
  const model = modelOf(rows);
  const ends = rows.flatMap(({ k, l, t }) => k === "c" ? [l === 2 ? t + 0.25 : model.last] : []);
  assertEquals([...model.end].filter((_, index) => rows[index]!.k === "c"), ends);
});

Deno.test("lanes without anything in view or among the matches take no room", () => {
  const rows: Row[] = [command(0, 1), { k: "e", l: 3, t: 5 }, { ...command(8, 9), c: 1 }];
  const model = modelOf(rows);
  const layout = new Layout(model);
  const view = new View(0, 10);
  layout.arrange(view, undefined);
  assertEquals(layout.count, 3);
  view.show(7, 10);
  layout.arrange(view, undefined);
  assertEquals([...layout.tops], [0, 28, 28, 56]);
  assertEquals([27, 28, 55, 56, -1].map((y) => layout.laneAt(y)), [0, 2, 2, undefined, undefined]);
  view.showAll();
  layout.arrange(view, new Uint8Array([1, 0, 0]));
  assertEquals(layout.count, 2);
});

Deno.test("a view stays within the recording", () => {
  const view = new View(0, 100);
  assert(view.isWhole);
  view.zoom(0.5, 50);
  assertEquals([Math.round(view.from), Math.round(view.to)], [25, 76]);
  view.pan(-10);
  assertEquals(view.from, view.min);
  view.pan(1000);
  assertEquals(view.to, view.max);
  view.zoom(1e-12, 50);
  assert(view.to - view.from > 1e-5);
  view.zoom(1e12, 50);
  assert(view.isWhole);
  view.show(10, 20);
  view.reveal(80);
  assertEquals([view.from, view.to], [75, 85]);
  const one = new View(3, 3);
  one.zoom(0.5, 3);
  assert(one.from < 3 && one.to > 3);
});

Deno.test("the marks of an axis are round times, and not too many", () => {
  for (let span = 1e-5; span < 1e7; span *= 1.3) {
    const { times, places } = marksOf(3, 3 + span, 10, 11045);
    assert(times.length > 2 || span > 864000, `${span}: ${times.length}`);
    assert(times.length <= 11, `${span}: ${times.length}`);
    const texts = new Set(times.map((t) => clockText(0, t, places)));
    assert(texts.size === times.length || span > 86400, `${span}: ${[...texts]}`);
  }
  const { times } = marksOf(0, 60, 6, 5);
  assertEquals(times, [5, 15, 25, 35, 45, 55]);
});

Deno.test("a search needs all words, in any letter case, and knows kinds and clients", () => {
  const row = {
    k: "c",
    l: 1,
    t: 0,
    c: 0,
    n: "device_del",
    a: '{"id": "Net9"}',
    x: "e",
    y: "DeviceNotFound",
  } as const;
  const passes = (query: string): boolean => testsOf(query).every((test) => test(row, "ops/2"));
  for (
    const query of [
      "",
      "net9",
      "DEVICE net",
      "ops/2",
      "notfound",
      "is:error is:command",
      "client:ops/2",
    ]
  ) {
    assert(passes(query), query);
  }
  for (const query of ["net8", "device net8", "is:event", "is:connection", "client:ops", ".*"]) {
    assert(!passes(query), query);
  }
});

Deno.test("notesOf() tells what the page leaves out", () => {
  const { content } = modelOf([]);
  assertEquals(notesOf(content), []);
  const left = { commands: 1200, events: 1, others: 0, from: 60, to: 3661.5 };
  assertEquals(notesOf({ ...content, left, cut: 1, damaged: 2, filters: ["--vm a", "--to +1"] }), [
    "This page has the beginning of the recording. It leaves out 1\u202f200 commands, 1 event, from " +
    "03:05:05.000 to 04:05:06.500 UTC. Choose others with --from or the filters of qmpmux show.",
    "1 long text is cut; the recording has all of it.",
    "2 damaged lines are left out.",
    "Filtered: --vm a --to +1",
  ]);
});

Deno.test("the overview counts messages and errors in columns", () => {
  const model = modelOf([command(0, 1), command(5, 6, { x: "e" }), command(10, 11)]);
  const { all, failed } = densityOf(model, new View(0, 10), 3);
  assertEquals([[...all], [...failed]], [[1, 1, 1], [0, 1, 0]]);
});
