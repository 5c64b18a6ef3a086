/**
 * Pending records of the audit: their order, their limit, and the behaviour when none can be
 * written.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import type { AuditRecord } from "../lib/observe/audit.ts";
import { AuditFile, auditProblem, type AuditWriter } from "../lib/platform/audit_file.ts";
import { AuditTrail } from "../lib/daemon/audit_trail.ts";
import { Failure } from "../lib/platform/failure.ts";
import { entryOf, Journal } from "../lib/platform/journal.ts";
import { within } from "./support/deadline.ts";
import { FakeLog } from "./support/fake_log.ts";
import { makePlace } from "./support/place.ts";

function record(command: string): AuditRecord {
  return {
    time: "2026-01-02T03:04:05.000Z",
    vm: undefined,
    listener: "mux",
    role: "full",
    client: "mux/1",
    peer: undefined,
    command,
    shown: undefined,
    outcome: "return",
    rule: undefined,
    errorClass: undefined,
    duration: 0,
  };
}

/** A writer that writes, fails or waits as the test asks. */
class FakeWriter implements AuditWriter {
  readonly name = "fake";
  readonly written: string[] = [];
  wrong: string | undefined;
  reopened = 0;
  closed = false;
  #held: PromiseWithResolvers<void> | undefined;

  format({ command }: AuditRecord): string {
    return command;
  }

  async write(text: string): Promise<void> {
    await this.#held?.promise;
    if (this.wrong !== undefined) throw new Error(this.wrong);
    this.written.push(text);
  }

  reopen(): void {
    if (this.wrong !== undefined) throw new Error(this.wrong);
    this.reopened++;
  }

  close(): void {
    this.closed = true;
  }

  /** Blocks every write. */
  hold(): void {
    this.#held = Promise.withResolvers();
  }

  go(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }
}

/** Returns a trail to a fake writer. */
function trail(limit?: number): {
  trail: AuditTrail;
  writer: FakeWriter;
  log: string[];
  failures: () => number;
} {
  const writer = new FakeWriter();
  const log = new FakeLog();
  let failures = 0;
  return {
    trail: new AuditTrail(writer, log, () => void failures++, limit),
    writer,
    log: log.lines,
    failures: () => failures,
  };
}

/** Runs every pending task. */
async function turn(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

Deno.test("AuditTrail.keep() writes records in their order", async () => {
  const { trail: kept, writer } = trail();
  for (const name of ["a", "b", "c"]) kept.keep(record(name));
  await kept.close();
  assertEquals(writer.written, ["a", "b", "c"]);
  assert(writer.closed);
});

Deno.test("AuditTrail reports a failure once, counts each, and writes the pending records later", async () => {
  const { trail: kept, writer, log, failures } = trail();
  writer.wrong = "no space";
  kept.keep(record("a"));
  await turn();
  kept.keep(record("b"));
  await turn();
  assertEquals([kept.failing, failures()], [true, 2]);
  assertEquals(log, ["audit fake cannot be written: no space"]);
  writer.wrong = undefined;
  kept.tick();
  await turn();
  assertEquals(writer.written, ["a", "b"]);
  assertEquals(kept.failing, false);
  assertEquals(log.at(-1), "audit fake can be written again; no records were lost");
  await kept.close();
});

Deno.test("AuditTrail.keep() drops records past its limit, counts them, and reports how many", async () => {
  const { trail: kept, writer, log, failures } = trail(2);
  writer.hold();
  for (const name of ["a", "b", "c", "d"]) kept.keep(record(name));
  assertEquals([kept.failing, failures()], [true, 2]);
  writer.go();
  await turn();
  assertEquals(writer.written, ["a", "b"]);
  assertEquals(kept.failing, false);
  assertEquals(log, [
    "audit fake cannot be written: more than 2 characters are queued",
    "audit fake can be written again; 2 records were lost",
  ]);
  await kept.close();
});

Deno.test("AuditTrail.tick() does nothing if nothing has failed", async () => {
  const { trail: kept, writer } = trail();
  kept.tick();
  await turn();
  assertEquals(writer.written, []);
  await kept.close();
});

Deno.test("AuditTrail.reopen() reopens at once if no record is being written", async () => {
  const { trail: kept, writer } = trail();
  kept.reopen();
  await turn();
  assertEquals(writer.reopened, 1);
  await kept.close();
});

Deno.test("AuditTrail.reopen() waits for the record that is being written", async () => {
  const { trail: kept, writer } = trail();
  writer.hold();
  kept.keep(record("a"));
  await turn();
  kept.reopen();
  await turn();
  assertEquals(writer.reopened, 0);
  writer.go();
  await turn();
  assertEquals([writer.reopened, writer.written], [1, ["a"]]);
  await kept.close();
});

Deno.test("AuditTrail.reopen() that fails is retried", async () => {
  const { trail: kept, writer } = trail();
  writer.wrong = "gone";
  kept.reopen();
  await turn();
  assert(kept.failing);
  writer.wrong = undefined;
  kept.tick();
  await turn();
  assertEquals([kept.failing, writer.reopened], [false, 1]);
  await kept.close();
});

Deno.test("AuditTrail.close() reports how many records could not be written", async () => {
  const { trail: kept, writer, log } = trail();
  writer.wrong = "no space";
  kept.keep(record("a"));
  await kept.close();
  await kept.close();
  assertEquals(log.at(-1), "audit fake: 1 records could not be written");
  kept.keep(record("b"));
  await turn();
  assertEquals(writer.written, []);
});

Deno.test("AuditFile.write() appends lines, and creates the file readable by its owner only", async () => {
  using place = makePlace();
  const path = `${place.path}/audit`;
  const file = new AuditFile(path);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  Deno.writeTextFileSync(path, "old\n");
  await file.write("new\n");
  file.close();
  assertEquals(Deno.readTextFileSync(path), "old\nnew\n");
  assert(file.format(record("stop")).endsWith('"outcome":"return","duration":0}\n'));
});

Deno.test("AuditFile.reopen() creates the file again if it has been moved away", async () => {
  using place = makePlace();
  const path = `${place.path}/audit`;
  const file = new AuditFile(path);
  await file.write("a\n");
  Deno.renameSync(path, `${path}.1`);
  await file.write("b\n");
  file.reopen();
  await file.write("c\n");
  file.close();
  assertEquals(Deno.readTextFileSync(`${path}.1`), "a\nb\n");
  assertEquals(Deno.readTextFileSync(path), "c\n");
});

Deno.test("AuditFile.reopen() that fails leaves the old file open", async () => {
  using place = makePlace();
  const path = `${place.path}/audit`;
  const file = new AuditFile(path);
  Deno.renameSync(path, `${path}.1`);
  Deno.mkdirSync(path);
  assertThrows(() => file.reopen(), Failure, "is not a regular file");
  await file.write("a\n");
  file.close();
  assertEquals(Deno.readTextFileSync(`${path}.1`), "a\n");
});

Deno.test("AuditFile.write() fails on a full disk", async () => {
  const file = new AuditFile("/dev/full");
  const error = await file.write("a\n").catch((error) => error);
  assert(error instanceof Error);
  file.close();
});

Deno.test("AuditFile.write() ends the line of a record that was written in part", async () => {
  using place = makePlace();
  const path = `${place.path}/audit`;
  const file = new AuditFile(path);
  const { write } = Deno.FsFile.prototype;
  let calls = 0;
  Deno.FsFile.prototype.write = function (bytes): Promise<number> {
    if (++calls === 2) return Promise.reject(new Error("no space"));
    return write.call(this, calls === 1 ? bytes.slice(0, 3) : bytes);
  };
  try {
    assert(await file.write("first\n").catch((error) => error) instanceof Error);
    await file.write("first\n");
    await file.write("second\n");
  } finally {
    Deno.FsFile.prototype.write = write;
  }
  file.close();
  assertEquals(Deno.readTextFileSync(path), "fir\nfirst\nsecond\n");
});

Deno.test("AuditFile() and auditProblem() name a directory that does not exist", () => {
  using place = makePlace();
  const path = `${place.path}/logs/audit`;
  const text = `audit ${path}: the directory ${place.path}/logs does not exist; create it first`;
  assertEquals(assertThrows(() => new AuditFile(path), Failure).message, text);
  assertEquals(auditProblem(path), text);
  assertEquals(auditProblem(`${place.path}/audit`), undefined);
});

Deno.test("AuditFile() refuses what is not a file", () => {
  using place = makePlace();
  const error = assertThrows(() => new AuditFile(place.path), Failure);
  assertEquals(error.status, 78);
  assertEquals(
    error.message,
    `audit ${place.path} is not a regular file; name one, or a path for a new one`,
  );
});

Deno.test("AuditFile() refuses a path without a directory", () => {
  using place = makePlace();
  const error = assertThrows(() => new AuditFile(`${place.path}/no/audit`), Failure);
  assertEquals(error.status, 78);
});

Deno.test("entryOf() writes fields as lines, and prefixes a value of several lines with its length", () => {
  const entry = new TextDecoder().decode(entryOf({ A: "1=2", B: "x\ny" }));
  assertEquals(entry, "A=1=2\nB\n\x03\0\0\0\0\0\0\0x\ny\n");
});

Deno.test("Journal.write() sends a record as one datagram", async () => {
  using place = makePlace();
  const path = `${place.path}/journal`;
  const manager = Deno.listenDatagram({ transport: "unixpacket", path });
  const journal = new Journal(path);
  try {
    await journal.write(journal.format(record("stop")));
    journal.reopen();
    await journal.write(journal.format(record("cont")));
    const heard: string[] = [];
    for (let i = 0; i < 2; i++) {
      const [bytes] = await within("an entry", manager.receive(new Uint8Array(65536)));
      heard.push(new TextDecoder().decode(bytes));
    }
    assert(heard[0]!.includes("\nQMPMUX_COMMAND=stop\n"), heard[0]);
    assert(heard[1]!.includes("\nQMPMUX_COMMAND=cont\n"), heard[1]);
    assert(heard.every((entry) => entry.startsWith("MESSAGE=mux/1 (full): ")));
  } finally {
    journal.close();
    manager.close();
  }
});

Deno.test("Journal() throws if there is no journal", () => {
  using place = makePlace();
  const error = assertThrows(() => new Journal(`${place.path}/none`), Failure);
  assertEquals(error.status, 78);
});
