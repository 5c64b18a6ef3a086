/**
 * The page of a recording in Chromium: what it shows, its mouse and keys, and 10,000 messages.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Browser, type Look, WITHOUT_CHROMIUM } from "./support/browser.ts";
import { MadeRecording } from "./support/made_recording.ts";
import { madeTraffic } from "./support/made_traffic.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux } from "./support/qmpmux.ts";

/** A test with a page of a recording. */
interface PageTest {
  readonly name: string;
  readonly made: () => MadeRecording;
  readonly test: (browser: Browser) => Promise<void>;
  readonly look: Look & { readonly flags?: readonly string[] };
}

/** The tests, which share a browser because that starts slowly. */
const TESTS: PageTest[] = [];

function testPage(
  name: string,
  made: () => MadeRecording,
  test: (browser: Browser) => Promise<void>,
  look: PageTest["look"] = {},
): void {
  TESTS.push({ name, made, test, look });
}

/** Makes a page, opens it, and runs a test with it. */
async function run(browser: Browser, { made, test, look }: PageTest): Promise<void> {
  using place = makePlace();
  const [input, output] = [`${place.path}/rec.jsonl`, `${place.path}/page.html`];
  Deno.writeTextFileSync(input, made().text);
  const args = ["show", input, "--html", output, ...look.flags ?? []];
  const { code, stderr } = await runQmpmux(args);
  assertEquals([code, stderr], [0, ""]);
  await browser.open(output, look);
  await test(browser);
  assertEquals(browser.problems, []);
  assertEquals(browser.requests, [`file://${output}`]);
}

Deno.test("the page of a recording, in Chromium", { ignore: WITHOUT_CHROMIUM }, async (t) => {
  await using browser = await Browser.start();
  for (const each of TESTS) await t.step(each.name, () => run(browser, each));
});

/** Returns the text of the first element that matches. */
async function textOf(browser: Browser, selector: string): Promise<string> {
  return await browser.evaluate(
    `document.querySelector(${JSON.stringify(selector)}).innerText`,
  ) as string;
}

/** The rows of the list, each as the texts of its cells, without those that are too far down to be made. */
const ROWS = `[...document.querySelectorAll("#rows .row:not([hidden])")]
  .sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)
  .map((row) => [...row.children].map((cell) => cell.textContent))`;

async function rowsOf(browser: Browser): Promise<string[][]> {
  await browser.painted();
  return await browser.evaluate(ROWS) as string[][];
}

/** Returns the messages that the list shows. */
async function messagesOf(browser: Browser): Promise<string[]> {
  return (await rowsOf(browser)).map(([, , message]) => message!);
}

/** Sets the search, and waits until the list has its result. */
async function search(browser: Browser, query: string, result: RegExp): Promise<void> {
  await browser.evaluate('document.getElementById("query").select()');
  await browser.press("Backspace");
  await browser.type(query);
  await browser.until(`${result}.test(document.getElementById("count").textContent)`);
}

/** Returns whether a colour, by its name, is on the canvas of the lanes. */
async function hasColour(browser: Browser, name: string): Promise<boolean> {
  return await browser.evaluate(`(() => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = "var(--${name})";
    const [red, green, blue] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
    const canvas = document.querySelector("#space canvas").cloneNode();
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(document.querySelector("#space canvas"), 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) {
      if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) return true;
    }
    return false;
  })()`) as boolean;
}

/** Returns a recording of a few messages of each kind. */
function short(): MadeRecording {
  const made = new MadeRecording();
  const peer = { pid: 4711, uid: 7, gid: 7, comm: "socat" };
  made.connect("mux/1", 0, { role: "full", dialect: "qmp", listener: "mux", peer });
  made.connect("ops/2", 0.5, { role: "operator" });
  made.exchange({ client: "mux/1", t: 1, name: "query-status", wait: 1, run: 2 });
  made.exchange({
    client: "ops/2",
    t: 3,
    name: "device_del",
    args: '{"id": "net9", "size": 18446744073709551615}',
    reply: '"error": {"class": "DeviceNotFound", "desc": "Device net9 not found"}',
    wait: 0.001,
    run: 0.5,
  });
  made.exchange({ client: "ops/2", t: 5, name: "query-version" });
  made.event(6, "STOP", '{"a": 1}');
  made.disconnect("ops/2", 8, "left");
  return made;
}

testPage("shows the head, a lane a client and a row a message", short, async (browser) => {
  assertEquals(await textOf(browser, "h1"), "vm1");
  assertEquals(
    await textOf(browser, "#about"),
    "QEMU 7.2.22 · 2026-01-02 03:04:05 UTC · 8 s · recorded by qmpmux 0.1.0",
  );
  assertEquals(
    (await textOf(browser, "#figures")).replaceAll("\n", " "),
    "3 commands 1 error 1 event 2 clients 1 s longest wait 2 s longest run",
  );
  assertEquals(await textOf(browser, "#count"), "7 messages · 3 of 3 lanes");
  assertEquals(await rowsOf(browser), [
    ["03:04:05.000", "mux/1socat", "▶connectedrole full, dialect qmp", "", "", ""],
    ["03:04:05.500", "ops/2", "▶connectedrole operator", "", "", ""],
    ["03:04:06.000", "mux/1socat", "query-status", "{}", "1 s", "2 s"],
    [
      "03:04:08.000",
      "ops/2",
      'device_del{"id": "net9", "size": 18446744073709551615}',
      "✕ DeviceNotFound: Device net9 not found",
      "1 ms",
      "500 ms",
    ],
    ["03:04:10.000", "ops/2", "query-version", "{}", "", ""],
    ["03:04:11.000", "QEMU", '◆STOP{"a": 1}', "", "", ""],
    ["03:04:13.000", "ops/2", "◀disconnectedleft", "", "", ""],
  ]);
  for (const colour of ["run", "error", "event", "connect", "own"]) {
    assert(await hasColour(browser, colour), colour);
  }
});

testPage("opens the details of a bar that is clicked, and of a row", short, async (browser) => {
  const bar = await browser.evaluate(`(() => {
    const { left, top, width } = document.querySelector("#space canvas").getBoundingClientRect();
    // The command of mux/1 ran from 2 to 4 of -0.08 to 8.16 seconds; its lane is the second one.
    return [left + 200 + (width - 200) * 3.08 / 8.24, top + 26 + 28 + 14];
  })()`) as [number, number];
  await browser.mouse(...bar, "move");
  assertEquals(
    (await textOf(browser, "#hint")).replaceAll("\n", " "),
    "query-status mux/1 · waited 1 s · ran 2 s · in all 3 s {}",
  );
  await browser.mouse(...bar);
  assertEquals(await textOf(browser, "#detail h2"), "query-status");
  assert((await textOf(browser, "#detail dl")).includes("socat 4711"));
  await browser.evaluate('document.querySelector("[data-index=\\"3\\"]").click()');
  assertEquals(await textOf(browser, ".badge"), "✕ error");
  assertEquals(
    await textOf(browser, "#detail pre"),
    '{\n  "id": "net9",\n  "size": 18446744073709551615\n}',
  );
  assertEquals(await textOf(browser, "#detail section.failed pre"), "Device net9 not found");
  await browser.press("Escape");
  assert(await browser.evaluate('document.getElementById("details").hidden'));
});

testPage("searches in names, arguments, answers, kinds and clients", short, async (browser) => {
  await search(browser, "NET9", /^1 of/);
  assertEquals((await messagesOf(browser)).length, 1);
  await search(browser, "is:error", /^1 of/);
  await search(browser, "client:ops/2", /^4 of/);
  assertEquals(await textOf(browser, "#count"), "4 of 7 messages · 4 match · 2 of 3 lanes");
  await search(browser, "no such thing", /^0 of/);
  await browser.evaluate('document.getElementById("clear").click()');
  await browser.until('/^7 messages/.test(document.getElementById("count").textContent)');
});

testPage("answers to keys", short, async (browser) => {
  await browser.press("ArrowDown");
  assertEquals(await textOf(browser, "#detail h2"), "connected");
  await browser.press("j");
  await browser.press("ArrowDown");
  assertEquals(await textOf(browser, "#detail h2"), "query-status");
  await browser.press("k");
  assertEquals(await textOf(browser, "#detail h2"), "connected");
  await browser.press("e");
  assertEquals(await textOf(browser, "#detail h2"), "device_del");
  for (let i = 0; i < 5; i++) await browser.press("+");
  assertEquals(
    await textOf(browser, "#count"),
    "2 of 7 messages · in 257 ms of time · 3 of 3 lanes",
  );
  await browser.press("ArrowRight");
  await browser.press("0");
  assertEquals(await textOf(browser, "#count"), "7 messages · 3 of 3 lanes");
  await browser.press("/");
  await browser.type("STOP");
  await browser.until('/^1 of/.test(document.getElementById("count").textContent)');
  await browser.press("Enter");
  assertEquals(await textOf(browser, "#detail h2"), "STOP");
  await browser.press("Escape");
  await browser.until('/^7 messages/.test(document.getElementById("count").textContent)');
  await browser.press("?");
  assert(await browser.evaluate('document.getElementById("keys").open'));
});

testPage(
  "zooms and moves with the wheel, and chooses a range in the overview",
  short,
  async (browser) => {
    const place = async (selector: string, part: number): Promise<[number, number]> =>
      await browser.evaluate(`(() => {
      const { left, top, width, height } = document.querySelector("${selector}").getBoundingClientRect();
      return [left + width * ${part}, top + height / 2];
    })()`) as [number, number];
    const range = async (): Promise<number> =>
      await browser.evaluate('document.getElementById("range").offsetWidth') as number;
    const whole = await range();
    const [x, y] = await place("#space canvas", 0.5);
    for (let i = 0; i < 10; i++) await browser.wheel(x, y, -120);
    const zoomed = await range();
    assert(zoomed < whole / 4, `${zoomed} of ${whole}`);
    const left = async (): Promise<number> =>
      await browser.evaluate('document.getElementById("range").offsetLeft') as number;
    const before = await left();
    await browser.wheel(x, y, 0, 400);
    assert(await left() > before);
    await browser.evaluate('document.getElementById("all").click()');
    assertEquals(await range(), whole);
  },
);

testPage("filters kinds and errors by its buttons", short, async (browser) => {
  const press = async (name: string): Promise<void> => {
    await browser.evaluate(
      `[...document.querySelectorAll("#chips button")].find((b) => b.textContent === "${name}").click()`,
    );
  };
  await press("Events");
  await press("Connections");
  assertEquals(await messagesOf(browser), [
    "query-status",
    'device_del{"id": "net9", "size": 18446744073709551615}',
    "query-version",
  ]);
  await press("Errors only");
  assertEquals((await messagesOf(browser)).length, 1);
});

testPage("is dark if the user prefers that, and on demand", short, async (browser) => {
  const background = (): Promise<unknown> =>
    browser.evaluate("getComputedStyle(document.body).backgroundColor");
  assertEquals(await background(), "rgb(21, 25, 31)");
  assert(await hasColour(browser, "surface"));
  await browser.evaluate('document.getElementById("theme").click()');
  await browser.painted();
  assertEquals(await background(), "rgb(255, 255, 255)");
  assert(await hasColour(browser, "surface"));
  await browser.press("t");
  assertEquals(await background(), "rgb(21, 25, 31)");
}, { scheme: "dark" });

testPage("follows when the preferred colours change", short, async (browser) => {
  await browser.setScheme("dark");
  await browser.painted();
  assert(await hasColour(browser, "surface"));
  assertEquals(
    await browser.evaluate("getComputedStyle(document.body).color"),
    "rgb(228, 232, 238)",
  );
});

/** Returns a recording with texts that try to be markup, a program, or something invisible. */
function hostile(): MadeRecording {
  const text = `</script><img src=x onerror="globalThis.harmed=1">\u202e\x1b[2J${"\u0000"}`;
  const made = new MadeRecording({ vm: text, version: text });
  const json = JSON.stringify(text);
  made.connect(text, 0, { role: text, dialect: text, listener: text, peer: { comm: text } });
  made.exchange({
    client: text,
    t: 1,
    name: json.slice(1, -1),
    args: json,
    reply: `"return": ${json}`,
  });
  const error = JSON.stringify({ class: text, desc: text });
  made.exchange({ client: text, t: 2, name: "x", reply: `"error": ${error}`, run: 1 });
  made.event(3, json.slice(1, -1), json);
  made.command(text, 4, text);
  made.disconnect(text, 5, text);
  return made;
}

testPage("shows hostile texts as texts", hostile, async (browser) => {
  for (let row = 0; row < 6; row++) await browser.press("ArrowDown");
  await browser.mouse(700, 250, "move");
  assertEquals(await browser.evaluate("globalThis.harmed"), undefined);
  assertEquals(await browser.evaluate('document.querySelectorAll("img, body script").length'), 1);
  const shown = await browser.evaluate("document.body.innerText") as string;
  assert(shown.includes("</script><img"));
  // deno-lint-ignore no-control-regex
  assertEquals(shown.match(/[\x00-\x08\x0b-\x1f\u202e]/)?.index, undefined);
});

testPage(
  "shows 10,000 messages, of which few are elements",
  () => madeTraffic(10_000),
  async (browser) => {
    const count = async (): Promise<number> =>
      await browser.evaluate('document.querySelectorAll("*").length') as number;
    const total = Number(
      /^[\d\u202f]+/.exec(await textOf(browser, "#count"))![0].replaceAll("\u202f", ""),
    );
    assert(total >= 10_000, `${total}`);
    const first = await messagesOf(browser);
    assert(await count() < 1000);
    await browser.evaluate('document.getElementById("list").scrollTop = 1e9');
    await browser.until(
      `document.querySelector('#rows [aria-rowindex="${total}"]')?.hidden === false`,
    );
    const last = await messagesOf(browser);
    assert(last.length > 5 && last.length < 100, `${last.length}`);
    assert(last.join() !== first.join());
    assert(await count() < 1000);
    await search(browser, "snapshot is:command", /^\d+ of/);
    for (const message of await messagesOf(browser)) {
      assert(
        message.startsWith("blockdev-snapshot"),
      );
    }
  },
);

testPage("tells what it leaves out", () => madeTraffic(200), async (browser) => {
  assertEquals(await textOf(browser, "#notes"), "Filtered: --client mux/* --command query-*");
}, { flags: ["--client", "mux/*", "--command", "query-*"] });

testPage("of a recording without messages opens", () => new MadeRecording(), async (browser) => {
  assertEquals(await textOf(browser, "#count"), "0 messages · 1 of 1 lane");
  await browser.press("ArrowDown");
  await browser.press("+");
  await browser.press("e");
});

testPage("fits a small window", short, async (browser) => {
  const wide = await browser.evaluate("document.documentElement.scrollWidth");
  assertEquals(wide, 360);
  await browser.evaluate('document.querySelector("[data-index=\\"3\\"]").click()');
  assertEquals(await textOf(browser, ".badge"), "✕ error");
}, { width: 360, height: 640 });
