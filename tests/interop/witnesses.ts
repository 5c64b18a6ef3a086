/**
 * A qmpmux with all of its records on: the recording of the process, taps, the audit, the log, metrics.
 *
 * One of the taps keeps secrets. It proves that what the other records must not have did pass.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { readHeader, readRecordingLine } from "../../lib/observe/recording_reader.ts";
import { TestClient } from "../support/client.ts";
import { within } from "../support/deadline.ts";
import { Lines } from "../support/lines.ts";
import { kill, programCommand, runQmpmux, startQmpmux } from "../support/qmpmux.ts";

/** The name of the listener whose client is the last thing that all records tell of. */
const LAST = "the-last";

/** The texts of all records. */
export interface Testimony {
  /** The lines of a tap that keeps secrets: it tells which did pass. */
  readonly secrets: string;
  /** All other records, by name. */
  readonly records: Readonly<Record<string, string>>;
}

/** A qmpmux that is watched. */
export interface Witnessed extends AsyncDisposable {
  kill(signal: Deno.Signal): void;
  /** Ends qmpmux and its records; returns their texts. */
  testimony(): Promise<Testimony>;
}

/** Starts it in a directory, for the monitor `qemu`; clients connect at `mux`. */
export async function startWitnessed(
  place: string,
  qemu: string,
  mux: string,
): Promise<Witnessed> {
  const at = (name: string): string => `${place}/${name}`;
  await using stack = new AsyncDisposableStack();
  const listeners = [`${mux},identity=on,log-clients=on`, `${at("last")},name=${LAST}`];
  const args = [
    ...["--qemu", qemu, ...listeners.flatMap((each) => ["--listen", each])],
    ...["--record", at("recording"), "--audit", at("audit"), "--audit-all"],
    ...["--control", at("control"), "--metrics", at("metrics")],
  ];
  const qmpmux = stack.use(await startQmpmux(args, { listeners: 3 }));
  const tap = async (...flags: readonly string[]): Promise<RunningTap> =>
    stack.use(await startTap(["--control", at("control"), "--events", ...flags]));
  const [text, json, secrets] = [
    await tap(),
    await tap("--json"),
    await tap("--json", "--secrets"),
  ];
  const kept = stack.move();
  return {
    kill: (signal) => qmpmux.kill(signal),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
    async testimony(): Promise<Testimony> {
      (await TestClient.connect(at("last")))[Symbol.dispose]();
      await Promise.all([text, json, secrets].map(({ lines }) => lines.until(new RegExp(LAST))));
      const metrics = await metricsAt(at("metrics"));
      qmpmux.kill("SIGUSR1");
      await qmpmux.log.until(/status: /);
      qmpmux.kill("SIGTERM");
      assertEquals((await within("qmpmux to end", qmpmux.ended)).code, 0);
      await qmpmux.log.rest();
      const seen = ({ lines }: RunningTap): string =>
        lines.seen.map((line) => `${line}\n`).join("");
      return {
        secrets: seen(secrets),
        records: {
          "tap": seen(text),
          "tap --json": seen(json),
          "serve --record": Deno.readTextFileSync(at("recording")),
          "the audit": Deno.readTextFileSync(at("audit")),
          "the log": qmpmux.log.seen.join("\n"),
          "the metrics": metrics,
          ...await shown(at("recording"), at("page.html")),
        },
      };
    },
  };
}

/** A running `qmpmux tap`. */
interface RunningTap extends AsyncDisposable {
  readonly lines: Lines;
}

/** Starts a tap; resolves when it has printed its header. */
async function startTap(args: readonly string[]): Promise<RunningTap> {
  const [program, first] = programCommand();
  const child = new Deno.Command(program, {
    args: [...first, "tap", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = new Lines(child.stdout);
  await lines.next("the header of a tap");
  return {
    lines,
    async [Symbol.asyncDispose](): Promise<void> {
      kill(child);
      await child.status;
      await lines.rest();
    },
  };
}

async function metricsAt(path: string): Promise<string> {
  using socket = await Deno.connect({ transport: "unix", path });
  await socket.write(new TextEncoder().encode("GET /metrics HTTP/1.0\r\n\r\n"));
  return await new Response(socket.readable).text();
}

/** Returns what `show` makes of a recording. */
async function shown(recording: string, page: string): Promise<Record<string, string>> {
  const run = async (...flags: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await runQmpmux(["show", recording, ...flags]);
    assertEquals([code, stderr], [0, ""]);
    return stdout;
  };
  const [text, json] = [await run(), await run("--json")];
  await run("--html", page);
  return { "show": text, "show --json": json, "show --html": Deno.readTextFileSync(page) };
}

/** Asserts that a text is a recording of format 1, each line of which is well-formed. */
export function checkRecording(text: string): void {
  assert(text.endsWith("\n"), "The last line is incomplete");
  const [header, ...lines] = text.trimEnd().split("\n");
  const { "qmpmux-recording": format } = JSON.parse(header!);
  assertEquals(format, 1);
  const read = readHeader(header!);
  assert(!("wrong" in read), header);
  for (const line of lines) {
    const read = readRecordingLine(line);
    assert(!("wrong" in read), `${JSON.stringify(read)}: ${line}`);
    assert(read.kind !== "gap", line);
  }
}

/** A secret in a record. */
export interface Found {
  readonly secret: string;
  /** The name of the record. */
  readonly record: string;
  readonly line: string;
}

/** Returns the secrets that are in records. */
export function found(
  secrets: readonly string[],
  records: Readonly<Record<string, string>>,
): Found[] {
  const forms = secrets.map((secret) => ({ secret, all: formsOf(secret) }));
  return Object.entries(records).flatMap(([record, text]) =>
    text.split("\n").flatMap((line) =>
      forms.filter(({ all }) => all.some((form) => line.includes(form)))
        .map(({ secret }) => ({ secret, record, line }))
    )
  );
}

/** Returns the forms in which a record could tell a text: as it is, encoded, or as a dump of memory. */
function formsOf(text: string): string[] {
  const bytes = new TextEncoder().encode(text);
  const dump = [...bytes].map((byte) => `0x${byte.toString(16).padStart(2, "0")}`);
  const chars = [...text].map((char) => `'${char}'`);
  return [text, bytes.toBase64(), bytes.toHex(), dump.join(" "), chars.join(" ")];
}
