/**
 * The table of limits, their values, and their lines in the log.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { helpText } from "../lib/cli/help.ts";
import { LimitLog } from "../lib/daemon/limit_log.ts";
import { TokenBucket } from "../lib/policy/rate_limit.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { readConfig } from "../lib/config/config.ts";
import {
  CLIENTS_IN_ALL,
  defaultLimits,
  LIMIT_NAMES,
  type LimitName,
  type LimitRow,
  LIMITS,
  VMS_IN_ALL,
} from "../lib/policy/limits.ts";
import { parseListener } from "../lib/config/options.ts";
import { FakeLog } from "./support/fake_log.ts";

function limitOf(name: LimitName, text: string): number {
  return parseListener(`/run/a,${name}=${text}`).grant.limits[name];
}

Deno.test("parseListener() sets every limit to its default", () => {
  const { limits } = parseListener("/run/a").grant;
  for (const name of LIMIT_NAMES) assertEquals(limits[name], LIMITS[name].initial, name);
  assertEquals(limits["max-clients"], 2048);
  assertEquals(limits["max-command"], 256 << 10);
});

Deno.test("parseListener() limits an observer's commands to 64 KiB by default", () => {
  const { limits } = parseListener("/run/a,role=observer").grant;
  assertEquals(limits, { ...defaultLimits("full"), "max-command": 65536 });
  const other = parseListener("/run/a,role=observer,max-command=1M").grant.limits;
  assertEquals(other["max-command"], 1 << 20);
});

for (const name of LIMIT_NAMES) {
  const row: LimitRow = LIMITS[name];

  Deno.test(`parseListener() accepts ${name}= from the minimum to the maximum`, () => {
    const slow = name === "max-unread" ? ",slow-unread=4K" : "";
    const read = (text: string): number =>
      parseListener(
        `/run/a,${name}=${text}${slow}${name === "slow-unread" ? ",max-unread=1G" : ""}`,
      )
        .grant.limits[name];
    assertEquals(read(String(row.least)), row.least);
    assertEquals(read(String(row.most)), row.most);
    assert(row.initial === 0 ? row.off : row.initial >= row.least && row.initial <= row.most);
  });

  Deno.test(`parseListener() refuses ${name}= out of range, and names the range`, () => {
    const wrong = [
      String(row.least / 2),
      String(row.most + 1),
      "",
      "-1",
      "many",
      "1e3",
      "0x10",
      "5X",
    ];
    if (!row.off) wrong.push("0", "off");
    for (const text of wrong) {
      assertThrows(
        () => limitOf(name, text),
        UsageError,
        `--listen /run/a,${name}=${text}: invalid value "${text}" for ${name}: expected ${row.unit} from ` +
          `${row.least} to ${row.most}`,
      );
    }
  });
}

Deno.test("parseListener() accepts K, M and G for bytes, and for nothing else", () => {
  assertEquals(limitOf("max-command", "64K"), 65536);
  assertEquals(limitOf("max-command", "2M"), 2 << 20);
  assertEquals(limitOf("max-unread", "1G"), 1 << 30);
  assertThrows(() => limitOf("max-clients", "1K"), UsageError);
  assertThrows(() => limitOf("max-command", "1.5M"), UsageError);
  assertThrows(() => limitOf("max-clients", "1.5"), UsageError);
});

Deno.test("parseListener() accepts off, and 0, for optional limits", () => {
  for (const name of ["rate", "idle"] as const) {
    assertEquals([limitOf(name, "off"), limitOf(name, "0"), limitOf(name, "2.5")], [0, 0, 2.5]);
  }
});

Deno.test("parseListener() refuses a soft limit above the hard one", () => {
  assertThrows(
    () => parseListener("/run/a,slow-unread=2M,max-unread=1M"),
    UsageError,
    "slow-unread=2097152 exceeds max-unread=1048576; lower slow-unread or raise max-unread",
  );
});

Deno.test("readConfig() accepts every limit by its name, as a number or as text", () => {
  const lines = LIMIT_NAMES.map((name) => `${name} = ${LIMITS[name].least}`);
  const read = (text: string): unknown =>
    readConfig(`[[listen]]\naddress = "/run/a"\n${text}`, "f").listeners[0]!.grant.limits;
  assertEquals(
    read(lines.join("\n")),
    Object.fromEntries(LIMIT_NAMES.map((name) => [name, LIMITS[name].least])),
  );
  assertEquals(read('max-command = "64K"\nrate = "off"'), {
    ...defaultLimits("full"),
    "max-command": 65536,
  });
});

Deno.test("readConfig() reports a wrong limit with its line", () => {
  const text = 'max-clients = 0\n\n[[listen]]\naddress = "/run/a"\nidle = 0.5\n';
  const { problems } = assertThrows(() => readConfig(text, "f")) as Error & { problems: string[] };
  assertEquals(problems, [
    "f:1: invalid value 0 for max-clients: expected clients from 1 to 1000000",
    'f:5: invalid value "0.5" for idle: expected seconds from 1 to 86400, or off',
  ]);
});

Deno.test("helpText() of serve and docs/limits.md list every limit with its default", () => {
  const docs = Deno.readTextFileSync(new URL("../docs/limits.md", import.meta.url));
  const shown = (bytes: number): string =>
    bytes % (1 << 20) === 0 ? `${bytes >> 20} MiB` : `${bytes >> 10} KiB`;
  for (const name of LIMIT_NAMES) {
    const { initial, unit, forRole }: LimitRow = LIMITS[name];
    assertMatch(helpText("serve"), new RegExp(`^  ${name}=\\w+ .*\\(${initial || "off"}\\)$`, "m"));
    const value = initial === 0 ? "off" : unit === "bytes" ? shown(initial) : `${initial}`;
    const row = new RegExp(`^\\| \`${name}=\` *\\| ${value}\\b.*\\| ${unit} *\\|`, "m").exec(docs);
    assert(row, `docs/limits.md has no row for ${name} with ${value} and ${unit}`);
    for (const [role, other] of Object.entries(forRole ?? {})) {
      assert(row[0].includes(`${shown(other)} for \`${role}\``), `${name} of ${role}`);
    }
  }
  assertMatch(docs, new RegExp(`^\\| \`--max-clients\` *\\| ${CLIENTS_IN_ALL.initial}\\b`, "m"));
  assertMatch(docs, new RegExp(`^\\| \`--max-vms\` *\\| ${VMS_IN_ALL.initial}\\b`, "m"));
});

Deno.test("serveSettings() takes max-vms from the least to the most, and whole numbers only", () => {
  const read = (text: string): number =>
    serveSettings(["--qemu", "/q/{vm}", "--listen", "/m/{vm}", "--max-vms", text])["max-vms"];
  assertEquals([read("1"), read("65536")], [1, 65536]);
  for (const text of ["0", "65537", "1.5", "1K", "off"]) {
    assertThrows(() => read(text), UsageError, "expected VMs from 1 to 65536");
  }
});

Deno.test("Pace.wait() lets a second's worth of commands through at once, then one by one", () => {
  const bucket = new TokenBucket(4, 100);
  for (let i = 0; i < 4; i++) {
    assertEquals(bucket.wait(100), 0);
    bucket.took();
  }
  assertEquals(bucket.wait(100), 0.25);
  assertEquals(bucket.wait(100.125), 0.125);
  assertEquals(bucket.wait(100.25), 0);
  bucket.took();
  assertEquals(bucket.wait(100.25), 0.25);
  // It never saves up more than a second's worth.
  for (let i = 0; i < 4; i++) {
    assertEquals(bucket.wait(1000), 0);
    bucket.took();
  }
  assertEquals(bucket.wait(1000), 0.25);
});

Deno.test("Pace.wait() lets one command through at a time below one a second", () => {
  const bucket = new TokenBucket(0.5, 0);
  assertEquals(bucket.wait(0), 0);
  bucket.took();
  assertEquals(bucket.wait(0), 2);
  assertEquals(bucket.wait(2), 0);
});

Deno.test("Pace.wait() never waits without a rate, and Pace.adopt() starts one with a full bucket", () => {
  const bucket = new TokenBucket(0, 0);
  for (let i = 0; i < 1000; i++) {
    assertEquals(bucket.wait(0), 0);
    bucket.took();
  }
  bucket.adopt(1, 0);
  assertEquals(bucket.wait(0), 0);
  bucket.took();
  assertEquals(bucket.wait(0), 1);
  // A higher rate fills the same bucket sooner; its tokens stay.
  bucket.adopt(10, 0);
  assertEquals(bucket.wait(0), 0.1);
  bucket.adopt(0, 0);
  assertEquals(bucket.wait(0), 0);
});

Deno.test("LimitLog.reached() counts every time, and logs the first of a minute", () => {
  const log = new FakeLog();
  const counts: string[] = [];
  const limitLog = new LimitLog(log, (limit, listener) => void counts.push(`${listener} ${limit}`));
  limitLog.tick(5);
  limitLog.reached("rate", "a", "one");
  limitLog.reached("rate", "a", "two");
  limitLog.reached("rate", "a", "three");
  limitLog.reached("idle", "a", "another limit");
  limitLog.reached("rate", "b", "another listener");
  limitLog.counted("slow-time", "a");
  assertEquals(log.take(), ["one", "another limit", "another listener"]);
  assertEquals(counts, ["a rate", "a rate", "a rate", "a idle", "b rate", "a slow-time"]);
  assertEquals(limitLog.needsTime, true);
  limitLog.tick(6);
  limitLog.tick(65);
  assertEquals(log.take(), []);
  limitLog.tick(66);
  assertEquals(log.take(), ["a: rate was reached 2 times more in the last minute"]);
  // A limit that is reached continuously is logged once; one that was not is logged at once when it
  // is reached again.
  limitLog.reached("rate", "a", "four");
  limitLog.reached("rate", "b", "anew");
  limitLog.tick(126);
  assertEquals(log.take(), ["anew", "a: rate was reached once more in the last minute"]);
  limitLog.tick(186);
  assertEquals(limitLog.needsTime, false);
  limitLog.reached("rate", "a", "five");
  assertEquals(log.take(), ["five"]);
});
