/**
 * `--metrics`, `--audit`, `--log-format`: on the command line and in the file.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { ConfigError, UsageError } from "../lib/policy/usage_error.ts";
import { readConfig } from "../lib/config/config.ts";
import { configText } from "../lib/config/config_text.ts";
import { parseAudit, parseMetrics, placeText } from "../lib/config/recording.ts";
import type { ServeSettings, SettingValues } from "../lib/config/settings.ts";
import { makePlace } from "./support/place.ts";

const BASE = ["--qemu", "unix:/q", "--listen", "unix:/l"];

/** Returns the settings of a command line. */
function settings(...args: string[]): ServeSettings {
  return serveSettings([...BASE, ...args]);
}

/** Returns the settings of the audit. */
function auditOf(given: Partial<SettingValues>): unknown[] {
  return [given.audit, given["audit-failure"], given["audit-all"]];
}

function refusal(...args: string[]): string {
  return assertThrows(() => settings(...args), UsageError).message;
}

Deno.test("parseMetrics() accepts a socket with its mode and owner", () => {
  const text = "unix:/run/m.sock,mode=0640,user=prom,group=7";
  assertEquals(placeText(parseMetrics(text)), text);
});

Deno.test("parseMetrics() accepts a port of this machine, and an abstract socket", () => {
  assertEquals(placeText(parseMetrics("127.0.0.1:9100")), "tcp:127.0.0.1:9100");
  assertEquals(placeText(parseMetrics("unix-abstract:m")), "unix-abstract:m");
});

Deno.test("parseMetrics() refuses an address that other machines can reach", () => {
  assertEquals(
    assertThrows(() => parseMetrics("0.0.0.0:9100"), UsageError).message,
    "0.0.0.0:9100: other machines could read the metrics; use a unix socket or 127.0.0.1",
  );
});

Deno.test("parseMetrics() refuses options of a QMP listener", () => {
  for (
    const [option, problem] of [
      ["role=observer", 'unknown option "role": expected mode, user, group'],
      ["allow-remote=on", 'unknown option "allow-remote": expected mode, user, group'],
      ["mdoe=0600", 'unknown option "mdoe"; did you mean "mode"?'],
      ["mode", '"mode" has no value; write option=value'],
    ]
  ) {
    assertEquals(
      assertThrows(() => parseMetrics(`/m,${option}`), UsageError).message,
      `/m,${option}: ${problem}`,
    );
  }
});

Deno.test("parseAudit() accepts a path or journal, and nothing else", () => {
  assertEquals([parseAudit("journal"), parseAudit("/var/log/a")], ["journal", "/var/log/a"]);
  for (const text of ["", "a\0b"]) assertEquals(parseAudit(text), undefined);
});

Deno.test("serveSettings() records nothing by default", () => {
  const { metrics, audit, "log-format": logFormat } = settings();
  assertEquals([metrics, audit, logFormat], [undefined, undefined, undefined]);
});

Deno.test("serveSettings() reads the destinations of metrics, audit and log", () => {
  const given = settings(
    ...["--metrics", "/m", "--audit", "journal", "--audit-failure", "refuse", "--audit-all"],
    ...["--log-format", "json"],
  );
  assertEquals(given.metrics && placeText(given.metrics), "unix:/m,mode=0600");
  assertEquals(auditOf(given), ["journal", "refuse", true]);
  assertEquals(given["log-format"], "json");
});

Deno.test("serveSettings() reads the host names for metrics, from a flag or the file", () => {
  using place = makePlace();
  const hosts = ["node1.example", "[fd00::1]", "192.0.2.7", "my_host"];
  const given = settings("--metrics", "127.0.0.1:1", "--metrics-host", hosts.join(","));
  assertEquals(given["metrics-host"], hosts);
  const file = `${place.path}/x.toml`;
  const more = 'qemu = "/q"\n[[listen]]\naddress = "/l"\n';
  Deno.writeTextFileSync(
    file,
    `metrics = "127.0.0.1:1"\nmetrics-host = ${JSON.stringify(hosts)}\n${more}`,
  );
  const read = serveSettings(["--config", file]);
  assertEquals(read["metrics-host"], hosts);
  Deno.writeTextFileSync(file, configText(read));
  assertEquals(serveSettings(["--config", file]), read);
});

for (const names of ["", "a b", "a,", "a:80", "http://a", "-a", ".a", "a."]) {
  Deno.test(`serveSettings() refuses ${JSON.stringify(names)} as host names`, () => {
    assertEquals(
      refusal("--metrics", "127.0.0.1:1", `--metrics-host=${names}`),
      `serve: invalid value "${names}" for --metrics-host: expected host names without a port`,
    );
  });
}

Deno.test("serveSettings() refuses host names without metrics", () => {
  assertEquals(
    refusal("--metrics-host", "a"),
    "serve: metrics-host needs metrics, which is not set; set metrics, or leave metrics-host out",
  );
});

Deno.test("serveSettings() continues without the audit by default", () => {
  assertEquals(auditOf(settings("--audit", "/a")), ["/a", "continue", false]);
});

Deno.test("serveSettings() names the invalid flag", () => {
  assertEquals(
    refusal("--audit", "/a", "--audit-failure", "stop"),
    'serve: invalid value "stop" for --audit-failure: expected refuse or continue',
  );
  assertEquals(
    refusal("--log-format", "xml"),
    'serve: invalid value "xml" for --log-format: expected text, json or journal',
  );
  assert(refusal("--metrics", "0.0.0.0:1").startsWith("serve: --metrics: 0.0.0.0:1: other"));
});

Deno.test("serveSettings() refuses audit options without an audit", () => {
  for (const flags of [["--audit-all"], ["--audit-failure", "refuse"]]) {
    const name = flags[0]!.slice(2);
    assertEquals(
      refusal(...flags),
      `serve: ${name} needs audit, which is not set; set audit, or leave ${name} out`,
    );
  }
});

Deno.test("serveSettings() refuses metrics at a listener's address", () => {
  assertEquals(
    refusal("--metrics", "unix:/l"),
    "serve: unix:/l is given twice; use each address only once",
  );
});

Deno.test("readConfig() reads back what configText() writes about records", () => {
  const given = settings(
    ...["--metrics", "/m,mode=0640", "--audit", "/a", "--audit-all", "--log-format", "journal"],
  );
  const { values } = readConfig(configText(given), "x.toml");
  assertEquals(values.metrics, given.metrics);
  assertEquals(auditOf(values), ["/a", "continue", true]);
  assertEquals(values["log-format"], "journal");
});

Deno.test("readConfig() names the line of an error about records", () => {
  const text = 'log-format = "xml"\nmetrics = "0.0.0.0:1"\naudit = 1\naudit-failure = "x"\n' +
    'audit-all = "yes"\n';
  const { problems } = assertThrows(() => readConfig(text, "x.toml"), ConfigError);
  assertEquals(problems, [
    'x.toml:1: invalid value "xml" for log-format: expected text, json or journal',
    "x.toml:2: metrics: 0.0.0.0:1: other machines could read the metrics; " +
    "use a unix socket or 127.0.0.1",
    "x.toml:3: invalid value 1 for audit: expected a path or journal",
    'x.toml:4: invalid value "x" for audit-failure: expected refuse or continue',
    'x.toml:5: invalid value "yes" for audit-all: expected true or false',
  ]);
});
