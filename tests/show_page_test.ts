/**
 * `qmpmux show --html`: the file that it writes, its content, and its limits.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { embedded, PAGE_FILES, pageParts } from "../lib/cli/page_document.ts";
import { PAGE_TEXT_LIMIT, type PageLimits, PageRows } from "../lib/cli/page_rows.ts";
import { TrafficEntries } from "../lib/cli/traffic_entries.ts";
import type { Content } from "../lib/page/model.js";
import { MadeRecording } from "./support/made_recording.ts";
import { madeTraffic } from "./support/made_traffic.ts";
import { makePlace } from "./support/place.ts";
import { programCommand, runQmpmux } from "./support/qmpmux.ts";

const PAGE = new URL("../lib/page/", import.meta.url);

/** Returns the content of a page. */
function contentOf(page: string): Content {
  const [, json] = /<script type="application\/json" id="content">([\s\S]*?)<\/script>/.exec(page)!;
  return JSON.parse(json!);
}

/** Makes a page; returns its text, the exit status and stderr, in which the directory is DIR. */
async function pageOf(
  text: string,
  ...args: string[]
): Promise<{ page: string; code: number; stderr: string; stdout: string }> {
  using place = makePlace();
  const [input, output] = [`${place.path}/rec.jsonl`, `${place.path}/page.html`];
  Deno.writeTextFileSync(input, text);
  const { code, stderr, stdout } = await runQmpmux(["show", input, "--html", output, ...args]);
  const names = [...Deno.readDirSync(place.path)].map(({ name }) => name).sort();
  assertEquals(names, ["page.html", "rec.jsonl"]);
  assertEquals(Deno.statSync(output).mode! & 0o777, 0o600);
  const page = Deno.readTextFileSync(output);
  return { page, code, stderr: stderr.replaceAll(place.path, "DIR"), stdout };
}

/** Returns the rows of a recording, and their maker. */
function rowsOf(made: MadeRecording, limits?: PageLimits): [rows: unknown[], maker: PageRows] {
  const entries = new TrafficEntries({ vm: "vm1", textLimit: PAGE_TEXT_LIMIT });
  const maker = new PageRows("vm1", limits);
  const all = [...made.read()].flatMap(([number, line]) => entries.take(number, line));
  const rows = [...all, ...entries.end()].flatMap((entry) => maker.row(entry) ?? []);
  return [rows.map((row) => JSON.parse(row)), maker];
}

Deno.test("show --html leaves nothing behind if a signal ends it", async () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    using place = makePlace();
    const output = `${place.path}/page.html`;
    Deno.writeTextFileSync(output, "earlier");
    const [command, first] = programCommand();
    const child = new Deno.Command(command, {
      args: [...first, "show", "-", "--html", output],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    using watcher = Deno.watchFs(place.path);
    const stdin = child.stdin.getWriter();
    await stdin.write(new TextEncoder().encode(new MadeRecording().text));
    for await (const { kind } of watcher) if (kind === "modify") break;
    child.kill(signal);
    const { code, stderr } = await child.output();
    assertEquals(code, 1);
    assertEquals(
      new TextDecoder().decode(stderr),
      "qmpmux: show: a signal has ended it before the page was whole\n",
    );
    assertEquals([...Deno.readDirSync(place.path)].map(({ name }) => name), ["page.html"]);
    assertEquals(Deno.readTextFileSync(output), "earlier");
    await stdin.close();
  }
});

Deno.test("show --html writes a page with a row for each entry", async () => {
  const made = new MadeRecording();
  const peer = { pid: 4711, uid: 7, gid: 7, comm: "socat" };
  made.connect("mux/1", 0, { role: "full", dialect: "qmp", listener: "mux", peer });
  made.exchange({ client: "mux/1", t: 1, name: "stop", args: '{"a": 1.0}', wait: 0.5, run: 0.25 });
  made.exchange({
    client: "mux/1",
    t: 2,
    name: "x",
    oob: true,
    reply: '"error": {"class": "CommandNotFound", "desc": "no <x>"}',
  });
  made.event(3, "STOP", '{"b": 2}', ["mux/1"]);
  made.command("ops/2", 4, '{"execute":"cont"}');
  made.add({ t: 5, side: "client", client: "ops/2", kind: "damage", length: 3, reason: "r" });
  made.add({ t: 6, dropped: 9 });
  made.disconnect("mux/1", 7, "left");
  const { page, code, stderr, stdout } = await pageOf(made.text, "--vm", "vm*");
  assertEquals([code, stderr, stdout], [0, "", ""]);
  assertMatch(page, /<title>vm1: recording<\/title>/);
  assertEquals(contentOf(page), {
    rows: [
      { k: "+", l: 2, t: 0, c: 0, a: "role full, dialect qmp" },
      {
        ...{ k: "c", l: 3, t: 1, c: 0, n: "stop", a: '{"a": 1.0}', m: 6, e: 1.75, w: 0.5, r: 0.25 },
        ...{ x: "r", v: "{}" },
      },
      {
        ...{ k: "c", l: 7, t: 2, c: 0, n: "x", o: 1, m: 8, e: 2, x: "e", y: "CommandNotFound" },
        v: "no <x>",
      },
      { k: "e", l: 9, t: 3, n: "STOP", a: '{"b": 2}' },
      { k: "d", l: 12, t: 5, c: 1, a: "r", z: 3 },
      { k: "x", l: 13, t: 6, z: 9 },
      { k: "-", l: 14, t: 7, c: 0, a: "left" },
      { k: "c", l: 11, t: 4, c: 1, n: "cont", x: "n", v: "no reply at the end" },
    ],
    start: Date.parse("2026-01-02T03:04:05Z"),
    vm: "vm1",
    qemu: "7.2.22",
    version: "0.1.0",
    filters: ["--vm vm*"],
    clients: [
      {
        ...{ n: "mux/1", p: "socat", pid: 4711, uid: 7, role: "full", dialect: "qmp" },
        listener: "mux",
      },
      { n: "ops/2" },
    ],
    cut: 0,
    damaged: 0,
  });
});

Deno.test("a page has QEMU's version from its first greeting if the recording is older", async () => {
  const made = new MadeRecording({ greeting: null });
  const version = '{"qemu": {"micro": 1, "minor": 2, "major": 8}, "package": ""}';
  const text = `{"QMP": {"version": ${version}, "capabilities": ["oob"]}}`;
  made.add({ t: 1, side: "qemu", dir: "<", kind: "greeting", text });
  const { page, code } = await pageOf(made.text);
  assertEquals([code, contentOf(page).qemu], [0, "8.2.1"]);
});

Deno.test("the page refers to nothing outside, and allows its own program only", async () => {
  const { page } = await pageOf(madeTraffic(200).text);
  const { before, after } = await pageParts("x");
  for (const text of [page, before + after]) {
    assertEquals(text.match(/\b(?:https?|wss?|ftp|file|data|blob):/g), null);
    assertEquals(text.match(/\b(?:src|href|srcset|action|formaction|ping|poster)=/g), null);
    assertEquals(text.match(/@import|url\(|\bimport\s*\(|\bfrom "/g), null);
    assertEquals([...text.matchAll(/<\/?script\b/g)].length, 4);
  }
  const [policy] = /default-src 'none'; script-src 'sha256-[\w+/]+=*'; [^"]*/.exec(page)!;
  assert(!policy.includes("'unsafe-eval'") && !/script-src[^;]*unsafe/.test(policy));
});

Deno.test("hostile texts stay within the content", async () => {
  const hostile = '</script><script>alert(1)</script><!--<script>\u2028"\\';
  const made = new MadeRecording({ vm: hostile, version: hostile });
  made.connect(hostile, 0, { role: hostile, listener: hostile, peer: { comm: hostile } });
  const text = JSON.stringify(hostile);
  made.exchange({
    client: hostile,
    t: 1,
    name: text.slice(1, -1),
    args: text,
    reply: `"return": ${text}`,
  });
  made.event(2, text.slice(1, -1), text);
  const { page, code } = await pageOf(made.text);
  assertEquals(code, 0);
  assertEquals([...page.matchAll(/<\/?script\b/g)].length, 4);
  assert(!page.includes("<!--"));
  assertMatch(page, /<title>&lt;\/script&gt;&lt;script&gt;/);
  const { vm, clients, rows } = contentOf(page);
  assertEquals([vm, clients[0]!.n, clients[0]!.p], [hostile, hostile, hostile]);
  assertEquals(JSON.parse(rows[1]!.v!), hostile);
  assertEquals(JSON.parse(embedded(text)), hostile);
});

Deno.test("a page has a limited number of rows, and says which it leaves out", () => {
  const made = new MadeRecording();
  for (let t = 0; t < 10; t++) {
    made.exchange({ client: "a/1", t, name: "stop", run: 0.1 });
    made.event(t + 0.5, "STOP");
  }
  made.disconnect("a/1", 20);
  const [rows, maker] = rowsOf(made, { rows: 4, bytes: 1e6, clients: 10 });
  assertEquals(rows.length, 4);
  assertEquals(maker.left, { commands: 8, events: 8, others: 1, from: 2, to: 20 });
});

Deno.test("a page has a limited size", () => {
  const made = new MadeRecording();
  const reply = `"return": ${JSON.stringify("x".repeat(1000))}`;
  for (let t = 0; t < 10; t++) made.exchange({ client: "a/1", t, name: "stop", reply });
  const [rows, maker] = rowsOf(made, { rows: 100, bytes: 4500, clients: 10 });
  assertEquals(rows.length, 4);
  assertEquals(maker.left, { commands: 6, events: 0, others: 0, from: 4, to: 9 });
});

Deno.test("the size of a page counts what makes texts safe", () => {
  const made = new MadeRecording();
  const reply = `"return": ${JSON.stringify("<".repeat(1000))}`;
  for (let t = 0; t < 10; t++) made.exchange({ client: "a/1", t, name: "stop", reply });
  const [rows] = rowsOf(made, { rows: 100, bytes: 13000, clients: 10 });
  assertEquals(rows.length, 2);
});

Deno.test("long texts are cut, and counted", () => {
  const made = new MadeRecording();
  const long = JSON.stringify("x".repeat(PAGE_TEXT_LIMIT));
  made.exchange({ client: "a/1", t: 0, name: "stop", args: long, reply: `"return": ${long}` });
  made.exchange({ client: "a/1", t: 0, name: "stop", args: '{"a": "…"}' });
  const [[first], maker] = rowsOf(made);
  const { a, v } = first as { a: string; v: string };
  assertEquals([a.length, v.length], [PAGE_TEXT_LIMIT, PAGE_TEXT_LIMIT]);
  assert(a.endsWith("x…") && v.endsWith("x…"));
  assertEquals(maker.cut, 2);
});

Deno.test("clients beyond the limit of lanes share one", () => {
  const made = new MadeRecording();
  for (let t = 0; t < 5; t++) made.connect(`a/${t}`, t);
  const [rows, maker] = rowsOf(made, { rows: 100, bytes: 1e6, clients: 3 });
  assertEquals(rows.map((row) => (row as { c: number }).c), [0, 1, 2, 3, 3]);
  assertEquals(maker.clients.map(({ n }) => n), ["a/0", "a/1", "a/2", "other clients"]);
});

Deno.test("in a recording of many VMs, each QEMU has a lane", () => {
  const made = new MadeRecording();
  const event = { t: 1, side: "qemu", dir: "<", kind: "event", text: '{"event": "STOP"}' };
  made.add(event);
  made.add({ ...event, vm: "vm2" });
  made.add({ ...event, t: 2, vm: "vm2" });
  made.connect("a/1", 3, { vm: "vm2" });
  const [rows, maker] = rowsOf(made);
  assertEquals(rows.map((row) => (row as { c?: number }).c), [undefined, 0, 0, 1]);
  assertEquals(maker.clients.map((client) => JSON.parse(JSON.stringify(client))), [
    { n: "QEMU", vm: "vm2", q: 1 },
    { n: "a/1", vm: "vm2" },
  ]);
});

Deno.test("show --html writes a page of a damaged recording, and exits with 1", async () => {
  const made = new MadeRecording();
  made.event(0, "STOP");
  const { page, code, stderr } = await pageOf(`${made.text}damage\n`);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /rec\.jsonl: line 3: it is not a JSON object\n.*1 damaged line is left out\n$/,
  );
  assertEquals([contentOf(page).damaged, contentOf(page).rows.length], [1, 1]);
});

Deno.test("show --html replaces a page, and follows a link to one", async () => {
  using place = makePlace();
  const [input, output, link] = ["rec", "old.html", "link.html"].map((name) =>
    `${place.path}/${name}`
  );
  Deno.writeTextFileSync(input!, madeTraffic(10).text);
  Deno.writeTextFileSync(output!, "old");
  Deno.symlinkSync(output!, link!);
  assertEquals(await runQmpmux(["show", input!, `--html=${link}`]), {
    code: 0,
    stdout: "",
    stderr: "",
  });
  assertMatch(Deno.readTextFileSync(output!), /^<!DOCTYPE html>/);
  assert(Deno.lstatSync(link!).isSymlink);
});

Deno.test("show --html - writes to stdout, and a pipe gets the page as it is", async () => {
  using place = makePlace();
  const [input, pipe] = [`${place.path}/rec`, `${place.path}/pipe`];
  Deno.writeTextFileSync(input, madeTraffic(10).text);
  const { code, stdout } = await runQmpmux(["show", input, "--html=-"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^<!DOCTYPE html>[\s\S]*<\/html>\s*$/);
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  const [written, read] = await Promise.all([
    runQmpmux(["show", input, "--html", pipe]),
    new Deno.Command("cat", { args: [pipe] }).output(),
  ]);
  assertEquals(written.code, 0);
  assertEquals(new TextDecoder().decode(read.stdout), stdout);
  assertEquals((await runQmpmux(["show", input, "--html", "/dev/null"])).code, 0);
  assert(Deno.statSync("/dev/null").isCharDevice);
});

Deno.test("show --html names what it cannot write, and leaves nothing", async () => {
  using place = makePlace();
  const input = `${place.path}/rec`;
  Deno.writeTextFileSync(input, madeTraffic(10).text);
  const cases: [output: string, args: string[], code: number, message: RegExp][] = [
    [input, [], 64, /^qmpmux: show: --html: .*\/rec is the recording; name another file\n$/],
    [`${place.path}/none/x`, [], 1, /\/none\/x: it cannot be written: No such file/],
    [place.path, [], 1, /: it cannot be written: Is a directory/],
    ["", [], 64, /^qmpmux: show: --html: the path is empty; name a file\n$/],
    ["x", ["--json"], 64, /^qmpmux: show: --html and --json exclude each other; give one\n$/],
  ];
  for (const [output, args, code, message] of cases) {
    const ran = await runQmpmux(["show", input, `--html=${output}`, ...args]);
    assertMatch(ran.stderr, message);
    assertEquals(ran.code, code);
  }
  assertEquals([...Deno.readDirSync(place.path)].map(({ name }) => name), ["rec"]);
});

Deno.test("a page is made of every file of lib/page", () => {
  const files = [...Deno.readDirSync(PAGE)].map(({ name }) => name);
  assertEquals(files.filter((name) => name !== "check.json").sort(), PAGE_FILES.toSorted());
});

Deno.test("each module of a page stands behind those that it imports", () => {
  const seen = new Set<string>();
  for (const name of PAGE_FILES.filter((name) => name.endsWith(".js"))) {
    const text = Deno.readTextFileSync(new URL(name, PAGE));
    for (const [, imported] of text.matchAll(/^import [^;]*"\.\/([^"]+)"/gm)) {
      assert(seen.has(imported!), `${name} imports ${imported}`);
    }
    seen.add(name);
  }
});
