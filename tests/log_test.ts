/**
 * Lines on stderr: one line each, whatever they contain.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { formatFor, openLog, say, stderrLog } from "../lib/platform/log.ts";
import { printable } from "../lib/wire/printable.ts";

/** Returns the text that `talk` writes to stderr; `take` is the write. */
function heardOf(talk: () => void, take = (bytes: Uint8Array): number => bytes.length): string {
  const decoder = new TextDecoder();
  const original = Deno.stderr.writeSync;
  let heard = "";
  Deno.stderr.writeSync = (bytes): number => {
    const taken = take(bytes);
    heard += decoder.decode(bytes.subarray(0, taken), { stream: true });
    return taken;
  };
  try {
    talk();
  } finally {
    Deno.stderr.writeSync = original;
  }
  return heard;
}

Deno.test("say() writes one line after the program's name", () => {
  assertEquals(heardOf(() => say("it is")), "qmpmux: it is\n");
});

Deno.test("say() escapes control characters", () => {
  const heard = heardOf(() => say("a\nb\r\x1b[31mc\x00d\x7fe\tf\x9bg"));
  assertEquals(heard, "qmpmux: a\\nb\\r\\u001b[31mc\\u0000d\\u007fe\\tf\\u009bg\n");
});

for (
  const [what, codes] of [
    ["C0", [0x00, 0x07, 0x1b, 0x1f, 0x7f]],
    ["C1", [0x80, 0x9b, 0x9d, 0x9f]],
    ["ends of lines", [0x0a, 0x0d, 0x85, 0x2028, 0x2029]],
    ["changes of direction", [0x061c, 0x200e, 0x200f, 0x202a, 0x202e, 0x2066, 0x2069]],
    ["no width", [0x00ad, 0x034f, 0x200b, 0x200c, 0x200d, 0x2060, 0xfeff, 0xfff9, 0xfe0f]],
    ["tags", [0xe0001, 0xe0041, 0xe007f]],
    ["halves of a pair", [0xd800, 0xdbff, 0xdc00, 0xdfff]],
  ] as const
) {
  Deno.test(`printable() escapes as JSON does: ${what}`, () => {
    for (const code of codes) {
      const char = String.fromCodePoint(code);
      const text = printable(`a${char}b`);
      assertMatch(text, /^a\\(?:u[0-9a-f]{4}|[bfnrt])(?:\\u[0-9a-f]{4})?b$/);
      assertEquals(JSON.parse(`"${text}"`), `a${char}b`);
    }
  });
}

Deno.test("printable() keeps surrogate pairs and letters of every script", () => {
  const text = 'Gr\u00fc\u00dfe \u6f22\u5b57 \u{1f600} \u0639\u0631\u0628 \\ "';
  assertEquals(printable(text), text);
});

Deno.test("say() keeps letters of every script", () => {
  assertEquals(heardOf(() => say("Grüße 漢字")), "qmpmux: Grüße 漢字\n");
});

Deno.test("say() continues after a partial write", () => {
  assertEquals(heardOf(() => say("in pieces"), () => 1), "qmpmux: in pieces\n");
});

Deno.test("say() survives a stderr that is a closed pipe", () => {
  const closed = (): number => {
    throw new Deno.errors.BrokenPipe("closed");
  };
  assertEquals(heardOf(() => say("unheard"), closed), "");
});

Deno.test("say() throws on any other error", () => {
  const broken = (): number => {
    throw new Deno.errors.BadResource("bug");
  };
  assertThrows(() => heardOf(() => say("x"), broken), Deno.errors.BadResource);
});

Deno.test("stderrLog writes notices and warnings alike", () => {
  const heard = heardOf(() => {
    stderrLog.info("told");
    stderrLog.warn("warned");
  });
  assertEquals(heard, "qmpmux: told\nqmpmux: warned\n");
});

Deno.test("openLog() writes the journal's priorities before each line", () => {
  const log = openLog("journal");
  const heard = heardOf(() => {
    log.info("told");
    log.warn("warned\n<0>not another");
  });
  assertEquals(heard, "<6>told\n<4>warned\\n<0>not another\n");
});

Deno.test("openLog() writes JSON, one object a line", () => {
  const log = openLog("json");
  const lines = heardOf(() => {
    log.info('"told"\n\x1b');
    log.warn("warned\x9b\u{e0041}");
  }).trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.map(({ level, message }) => [level, message]), [
    ["info", '"told"\n\x1b'],
    ["warning", "warned\x9b\u{e0041}"],
  ]);
  assert(lines.every(({ time }) => /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(time)));
});

for (
  const [format, expected] of [
    ["text", "qmpmux: web-1: told\nqmpmux: web-1: warned\n"],
    ["journal", "<6>web-1: told\n<4>web-1: warned\n"],
  ] as const
) {
  Deno.test(`Log.withVm() names the VM in each line of ${format}, and leaves the log as it is`, () => {
    const log = openLog(format);
    const ofVm = log.withVm("web-1");
    const heard = heardOf(() => {
      ofVm.info("told");
      ofVm.warn("warned");
    });
    assertEquals(heard, expected);
    assertEquals(heardOf(() => log.info("plain")).includes("web-1"), false);
  });
}

Deno.test("Log.withVm() names the VM in a field of JSON", () => {
  const heard = heardOf(() => openLog("json").withVm("a").withVm("web-1").warn("warned"));
  const { time: _, ...fields } = JSON.parse(heard);
  assertEquals(fields, { level: "warning", vm: "web-1", message: "warned" });
  assertEquals("vm" in JSON.parse(heardOf(() => openLog("json").info("told"))), false);
});

Deno.test("formatFor() chooses the journal's format if stderr is the journal", () => {
  assertEquals(formatFor("9:1234", false), "journal");
  assertEquals([formatFor("9:1234", true), formatFor(undefined, false)], ["text", "text"]);
});
