/**
 * `qmpmux show`: a recording for people, excerpts, and files that are not whole.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { TextLineStream } from "@std/streams/text-line-stream";
import type { Given } from "../lib/cli/flags.ts";
import { timeRange } from "../lib/cli/time_range.ts";
import { MadeRecording } from "./support/made_recording.ts";
import { makePlace } from "./support/place.ts";
import { programCommand, runQmpmux } from "./support/qmpmux.ts";

type Ran = Awaited<ReturnType<typeof runQmpmux>>;

/** Shows a recording, whose path becomes FILE in the output. */
async function show(text: string | Uint8Array<ArrayBuffer>, ...args: string[]): Promise<Ran> {
  using place = makePlace();
  const path = `${place.path}/rec.jsonl`;
  Deno.writeFileSync(path, typeof text === "string" ? new TextEncoder().encode(text) : text);
  const { code, stdout, stderr } = await runQmpmux(["show", ...args, path]);
  return { code, stdout, stderr: stderr.replaceAll(path, "FILE") };
}

/** Returns a short recording. */
function made(): MadeRecording {
  const made = new MadeRecording();
  made.connect("mux/1", 0, { role: "full" });
  made.exchange({ client: "mux/1", t: 1, name: "query-status", wait: 0.001, run: 0.002 });
  made.exchange({ client: "ops/2", t: 2, name: "stop", wait: 0.001, run: 0.002 });
  made.event(2.001, "STOP", undefined, ["mux/1", "ops/2"]);
  made.exchange({ client: "ops/2", t: 3, name: "query-name" });
  made.disconnect("mux/1", 4);
  return made;
}

const TEXT = `-- vm1, QEMU 7.2.22, recorded by qmpmux 0.1.0
-- 2026-01-02 UTC
03:04:05.000 mux/1: connected: role full
03:04:06.000 mux/1: query-status → {} [waited 1 ms, ran 2 ms]
03:04:07.000 ops/2: stop → {} [waited 1 ms, ran 2 ms]
03:04:07.001 QEMU: STOP
03:04:08.000 ops/2: query-name → {}
03:04:09.000 mux/1: disconnected
`;

Deno.test("show prints a line for each command, event and connection", async () => {
  assertEquals(await show(made().text), { code: 0, stdout: TEXT, stderr: "" });
});

Deno.test("show finds the command of a reply in a later file, in all files and in that one alone", async () => {
  const text = '{"execute":"query-block","id":1}';
  const first = new MadeRecording();
  first.connect("mux/1", 0);
  first.command("mux/1", 1, text);
  const second = new MadeRecording({ time: "2026-01-02T03:04:15.000Z" });
  second.connect("mux/1", 0);
  const times = { ago: 11, wait: 0.001, run: 10, command: text };
  second.reply("mux/1", 2, undefined, '{"return": [], "id": 1}', times);
  const lines = async (recording: string): Promise<string[]> =>
    (await show(recording)).stdout.split("\n").filter((line) => !line.startsWith("--"));
  const told = "mux/1: query-block → [] [waited 1 ms, ran 10 s]";
  const both = ["03:04:05.000 mux/1: connected", `03:04:06.000 ${told}`, ""];
  assertEquals(await lines(first.text + second.text), both);
  assertEquals(await lines(second.text), [
    "03:04:15.000 mux/1: connected",
    `03:04:15.000 ${told}`,
    "",
  ]);
});

Deno.test("show - reads stdin", async () => {
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, "show", "--command", "stop", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(made().text));
  await writer.close();
  const { code, stdout } = await child.output();
  const lines = TEXT.split("\n").filter((line) => /^--|stop/.test(line));
  assertEquals(new TextDecoder().decode(stdout), `${lines.join("\n")}\n`);
  assertEquals(code, 0);
});

Deno.test("show prints what has come while the recording continues", async () => {
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, "show", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const [header, connect, ...more] = made().lines;
  await writer.write(new TextEncoder().encode(`${header}\n${connect}\n`));
  const decoder = new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>;
  const lines = child.stdout.pipeThrough(decoder).pipeThrough(new TextLineStream()).values();
  const printed = [];
  while (printed.length < 3) printed.push((await lines.next()).value);
  assertEquals(printed, TEXT.split("\n").slice(0, 3));
  await writer.write(new TextEncoder().encode(more.join("\n")));
  await writer.close();
  for await (const line of lines) printed.push(line);
  assertEquals(`${printed.join("\n")}\n`, TEXT);
  assertEquals((await child.status).code, 0);
});

Deno.test("show --json passes a recording on as it is", async () => {
  const { text } = made();
  assertEquals(await show(text, "--json"), { code: 0, stdout: text, stderr: "" });
});

Deno.test("show --json prints an excerpt that is a recording, in which lines refer to each other", async () => {
  const { stdout, code } = await show(made().text, "--json", "--client", "ops/*");
  assertEquals(code, 0);
  const [header, ...lines] = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(header["qmpmux-recording"], 1);
  assertEquals(
    lines.map(({ side, kind, of, for: asked }) => [side, kind, of ?? asked]),
    [
      ["client", "command", undefined],
      ["qemu", "command", [2]],
      ["qemu", "reply", 3],
      ["client", "reply", 2],
      ["client", "event", undefined],
      ["client", "command", undefined],
      ["client", "reply", 7],
    ],
  );
  const commands = TEXT.split("\n").filter((line) => line.includes(" ops/2: "));
  const shown = (await show(stdout)).stdout.split("\n").filter((line) => line.includes(" ops/2: "));
  assertEquals(shown, commands);
});

Deno.test("show --json escapes what a terminal interprets, and changes no value", async () => {
  const event = {
    t: 1,
    side: "qemu",
    kind: "event",
    text: '{"event":"A\u009b31m\u202e\x7f\u{e0041} é"}',
  };
  const header = { "qmpmux-recording": 1, time: "2026-01-02T03:04:05Z", vm: "a\u009b" };
  // White space of JSON stays.
  const text = `${JSON.stringify(header)}\n\t${JSON.stringify(event)}\r\n`;
  const { code, stdout } = await show(text, "--json");
  assertEquals(code, 0);
  assert(!/[\x7f-\x9f\u202e\u{e0041}]/u.test(stdout) && stdout.includes("é"), stdout);
  assertEquals(stdout.trim().split("\n").map((line) => JSON.parse(line)), [header, event]);
});

Deno.test("show --json keeps members that it does not know", async () => {
  const made = new MadeRecording();
  made.add({ t: 0, side: "client", client: "a/1", kind: "disconnect", colour: "red" });
  const of = made.command("b/1", 1, '{"execute":"stop"}');
  made.add({ t: 2, side: "client", client: "b/1", kind: "reply", text: "{}", of, colour: "red" });
  const { stdout } = await show(made.text, "--json", "--client", "b/*");
  assertEquals(stdout.trimEnd().split("\n").map((line) => JSON.parse(line)).at(-1), {
    t: 2,
    side: "client",
    client: "b/1",
    kind: "reply",
    text: "{}",
    of: 2,
    colour: "red",
  });
});

Deno.test("show --from and --to limit the time", async () => {
  const lines = TEXT.split("\n");
  const shown = async (...args: string[]): Promise<string[]> => {
    const { code, stdout, stderr } = await show(made().text, ...args);
    assertEquals([code, stderr], [0, ""]);
    return stdout.trimEnd().split("\n").slice(2);
  };
  assertEquals(await shown("--from", "03:04:07"), lines.slice(4, -1));
  assertEquals(await shown("--from", "+2.002"), lines.slice(4, 5).concat(lines.slice(6, -1)));
  assertEquals(await shown("--to", "2026-01-02T04:04:07.001+01:00"), lines.slice(2, 6));
  assertEquals(await shown("--from", "03:04:07", "--to", "03:04:07.5"), lines.slice(4, 6));
  assertEquals(await shown("--from", "03:04"), lines.slice(2, -1));
  assertEquals(await shown("--from", "03:05"), []);
  const excerpt = (await show(made().text, "--json", "--from", "+3", "--to", "+3.5")).stdout;
  assertEquals((await show(excerpt)).stdout.split("\n").slice(2, -1), lines.slice(6, 7));
});

Deno.test("a time of the day is that of the first day, or of the next if that is nearer", () => {
  const ranges: [start: string, text: string, from: number][] = [
    ["23:00:00", "23:00:01.5", 1.5],
    ["23:00:00", "22:59:59", -1],
    ["23:00:00", "00:10", 4200],
    ["03:00:00", "22:00", 68400],
    ["03:00:00.25", "03:00:00", -0.25],
  ];
  for (const [start, text, from] of ranges) {
    const given = { one: (flag: string) => flag === "from" ? text : undefined } as Given;
    assertEquals(timeRange("show", given, `2026-01-02T${start}Z`), { from, to: Infinity });
  }
});

Deno.test("show refuses a time that it cannot read", async () => {
  const expected =
    "expected HH:MM:SS in UTC, a time of RFC 3339, or +S, seconds after the beginning";
  for (
    const text of [
      "3:04",
      "24:00",
      "12:60:00",
      "yesterday",
      "+x",
      "2026-01-02",
      "2026-13-02T03:04:05Z",
    ]
  ) {
    const { code, stderr } = await show(made().text, "--from", text);
    assertEquals([code, stderr], [
      64,
      `qmpmux: show: invalid value "${text}" for --from: ${expected}\n`,
    ]);
  }
  const { code, stderr } = await show(made().text, "--from", "+2", "--to", "+1");
  assertEquals([code, stderr], [64, "qmpmux: show: --to is before --from; exchange them\n"]);
});

Deno.test("show takes the files of a recording that was rotated for one", async () => {
  const one = made();
  one.connect("ops/2", 5);
  const two = new MadeRecording({ time: "2026-01-02T03:05:05.000Z" });
  two.connect("ops/2", 0);
  two.exchange({ client: "ops/2", t: 1, name: "cont", wait: 0.001, run: 0.002 });
  const { code, stdout, stderr } = await show(one.text + two.text);
  assertEquals([code, stderr], [0, ""]);
  const more = "03:05:06.000 ops/2: cont → {} [waited 1 ms, ran 2 ms]\n";
  assertEquals(stdout, `${TEXT}03:04:10.000 ops/2: connected\n${more}`);
  const excerpt = (await show(one.text + two.text, "--json", "--command", "cont")).stdout;
  const lines = excerpt.trimEnd().split("\n").slice(1).map((line) => JSON.parse(line));
  assertEquals(
    lines.map(({ t, of, for: asked }) => [t, of ?? asked]),
    [[61, undefined], [61.001, [2]], [61.003, 3], [61.003, 2]],
  );
  const header = TEXT.split("\n").slice(0, 2).join("\n");
  assertEquals((await show(excerpt)).stdout, `${header}\n${more}`);
});

Deno.test("show names damaged lines by their numbers, leaves them out, and exits with 1", async () => {
  const { lines } = made();
  const whole = lines.slice(0, 2).join("\n");
  const rest = lines.slice(2).map((line) => `${line}\n`).join("");
  const { code, stdout, stderr } = await show(`${whole}\n{"t":\n\n{"t":1,"kind":"x"}\n${rest}`);
  assertEquals(code, 1);
  assertEquals(stdout.split("\n").length > 3, true);
  assertEquals(
    stderr,
    "qmpmux: show: FILE: line 3: it is not a JSON object\n" +
      "qmpmux: show: FILE: line 4: it is not a JSON object\n" +
      'qmpmux: show: FILE: line 5: "kind" is not one of greeting, command, reply, event, damage, connect, ' +
      "disconnect\n" +
      "qmpmux: show: FILE: 3 damaged lines are left out\n",
  );
});

Deno.test("show names twenty damaged lines, and counts the others", async () => {
  const { code, stderr } = await show(made().text + "\n".repeat(100000));
  assertEquals(code, 1);
  const lines = stderr.trimEnd().split("\n");
  assertEquals(lines.length, 21);
  assertEquals(lines.at(-1), "qmpmux: show: FILE: 100000 damaged lines are left out");
});

Deno.test("show takes an incomplete last line for the end of a recording that is being written", async () => {
  const { text, lines } = made();
  assertEquals(await show(text + '{"t":5,"si'), {
    code: 0,
    stdout: TEXT,
    stderr: `qmpmux: show: FILE: line ${
      lines.length + 1
    }: it is incomplete; the recording ends there\n`,
  });
});

Deno.test("show refuses what is not a recording", async () => {
  for (const text of ["", "\n", "hello\n", '{"a":1}\n', new Uint8Array([0, 255, 10, 128])]) {
    assertEquals(await show(text), {
      code: 1,
      stdout: "",
      stderr: "qmpmux: show: FILE: it is not a recording of qmpmux\n",
    });
  }
});

Deno.test("show refuses a file without end that is not a recording", async () => {
  const { code, stdout, stderr } = await runQmpmux(["show", "/dev/zero"]);
  assertEquals([code, stdout], [1, ""]);
  assertEquals(stderr, "qmpmux: show: /dev/zero: it is not a recording of qmpmux\n");
});

Deno.test("show says that a recording has a newer format", async () => {
  const { code, stdout, stderr } = await show('{"qmpmux-recording":2,"x":1}\n');
  assertEquals([code, stdout], [1, ""]);
  assertEquals(
    stderr,
    "qmpmux: show: FILE: it has format 2, and this qmpmux reads format 1; use a newer qmpmux\n",
  );
});

Deno.test("show names a file that cannot be read", async () => {
  using place = makePlace();
  const path = `${place.path}/none`;
  const missing = await runQmpmux(["show", path]);
  assertEquals([missing.code, missing.stderr], [64, `qmpmux: ${path}: file not found\n`]);
  const directory = await runQmpmux(["show", place.path]);
  assertEquals(directory.code, 1);
  assertMatch(directory.stderr, /^qmpmux: \/.*: it cannot be read: .*directory.*\n$/);
});

Deno.test("show checks its flags", async () => {
  const cases: [args: string[], message: string][] = [
    [[], "the recording is missing; name its file, or - for stdin"],
    [
      ["--client", "a b", "f"],
      'invalid value "a b" for --client: expected the name of a client, with * and ?',
    ],
    [
      ["--command", "query status", "f"],
      'invalid value "query status" for --command: expected the name of a command, with * and ?',
    ],
    [
      ["--event", "SHUTDWON", "f"],
      '--event: unknown event "SHUTDWON"; did you mean "SHUTDOWN"? To use it anyway, write "SHUTDWON*"',
    ],
    [["a", "b"], "unexpected argument b; see qmpmux show --help"],
    [["--htlm", "x", "f"], "unknown flag --htlm; did you mean --html?"],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await runQmpmux(["show", ...args]);
    assertEquals([code, stderr], [64, `qmpmux: show: ${message}\n`]);
  }
});

Deno.test("show ends quietly if the reader of its output does", async () => {
  using place = makePlace();
  const path = `${place.path}/rec.jsonl`;
  const long = made();
  for (let i = 0; i < 20000; i++) long.event(5, "RESUME");
  Deno.writeTextFileSync(path, long.text);
  const [command, first] = programCommand();
  const words = [command, ...first, "show", path].map((word) => `'${word}'`).join(" ");
  const { stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", `${words} | head -n 1; echo "\${PIPESTATUS[0]}"`],
  }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  assertEquals(new TextDecoder().decode(stdout), `${TEXT.split("\n")[0]}\n1\n`);
});
