/**
 * The program as users run it: its output and its exit status.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { helpText } from "../lib/cli/help.ts";
import { VERSION } from "../lib/cli/version.ts";
import { runQmpmux } from "./support/qmpmux.ts";

/** Returns whether this is a git checkout. */
async function hasCommits(): Promise<boolean> {
  const root = new URL("..", import.meta.url).pathname;
  try {
    const args = ["-C", root, "rev-parse", "HEAD"];
    return (await new Deno.Command("git", { args, stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

for (const flag of ["--version", "-V", "version"]) {
  Deno.test(`qmpmux ${flag} prints its version, its commit and its runtime, in one line`, async () => {
    const { code, stdout, stderr } = await runQmpmux([flag]);
    assertEquals([code, stderr], [0, ""]);
    const [, version, origin] =
      /^qmpmux (\d+\.\d+\.\d+) \((.*)\) Deno [\d.]+\S* V8 [\d.]+\S*\n$/.exec(stdout) ?? [];
    assertEquals(version, VERSION, stdout);
    if (!Deno.env.get("QMPMUX_BINARY")) assertEquals(origin, "from source");
    else if (!await hasCommits()) assertEquals(origin, "commit unknown");
    else assertMatch(origin!, /^commit [0-9a-f]{12,}(-dirty)?$/);
  });
}

Deno.test("qmpmux --version prints the commit that was passed in when it was compiled", async () => {
  const { stdout } = await runQmpmux(["--version"], { QMPMUX_COMMIT: "0123456789ab" });
  assertMatch(stdout, /^qmpmux \S+ \(commit 0123456789ab\) Deno /);
});

Deno.test("VERSION is the one in deno.json", () => {
  const { version } = JSON.parse(
    Deno.readTextFileSync(new URL("../deno.json", import.meta.url)),
  );
  assertEquals(VERSION, version);
});

for (const flag of ["--help", "-h", "help"]) {
  Deno.test(`qmpmux ${flag} prints the subcommands to stdout`, async () => {
    const { code, stdout, stderr } = await runQmpmux([flag]);
    assertEquals([code, stderr], [0, ""]);
    assert(stdout.includes("\n  qmpmux serve --qemu ADDR --listen ADDR"), stdout);
    assert(stdout.endsWith("\n") && !stdout.endsWith("\n\n"));
  });
}

for (const args of [["serve", "--help"], ["help", "serve"]]) {
  Deno.test(`qmpmux ${args.join(" ")} prints its flags to stdout`, async () => {
    assertEquals(await runQmpmux(args), { code: 0, stdout: helpText("serve"), stderr: "" });
  });
}

for (const args of [["help", "help"], ["help", "--help"]]) {
  Deno.test(`qmpmux ${args.join(" ")} prints the help of help`, async () => {
    assertEquals(await runQmpmux(args), { code: 0, stdout: helpText("help"), stderr: "" });
  });
}

for (
  const [args, message] of [
    [[], "a subcommand is missing; see qmpmux --help"],
    [["frobnicate"], "unknown subcommand frobnicate; see qmpmux --help"],
    [["toString"], "unknown subcommand toString; see qmpmux --help"],
    [["--verbose"], "unknown flag --verbose; see qmpmux --help"],
    [["sttaus"], "unknown subcommand sttaus; did you mean status?"],
    [["--versoin"], "unknown flag --versoin; did you mean --version?"],
    [["help", "exce"], "unknown subcommand exce; did you mean exec?"],
    [["version", "1"], "version: unexpected argument 1; see qmpmux version --help"],
    [[""], 'unknown subcommand ""; see qmpmux --help'],
    [["a\nb"], "unknown subcommand a\\nb; see qmpmux --help"],
    [
      ["serve"],
      "serve: --listen is missing; give clients an address, such as --listen unix:/run/mux.sock",
    ],
    [["serve", "--verbose"], "serve: unknown flag --verbose; see qmpmux serve --help"],
  ] as const
) {
  Deno.test(`qmpmux ${JSON.stringify(args)} reports the problem in one line and exits with 64`, async () => {
    assertEquals(await runQmpmux(args), { code: 64, stdout: "", stderr: `qmpmux: ${message}\n` });
  });
}
