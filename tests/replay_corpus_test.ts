/**
 * Every recorded conversation with QEMU, once through `qmpmux record` and then from `qmpmux replay`:
 * the bytes must be the same.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { type Corpus, corpusFor, FOUND, normalised, replay } from "./support/corpus.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { contains, startRecord } from "./support/record.ts";
import { play } from "./support/replay.ts";

/** All that was heard: the reply to each case by its name, and what another client got meanwhile. */
interface Heard {
  readonly cases: ReadonlyMap<string, string>;
  readonly watched: readonly string[];
}

/** Converses with a monitor, one case after the other, while another client watches. */
async function converse(path: string, corpora: readonly Corpus[]): Promise<Heard> {
  using watcher = await TestClient.ready(path);
  const cases = new Map<string, string>();
  for (const { cases: all, grammar } of corpora) {
    for (const it of all) cases.set(it.name, await replay(path, it, grammar));
  }
  // All events come before the reply to the last command.
  const watched: string[] = [];
  await watcher.send({ execute: "query-status", id: LAST });
  for (let line = await watcher.line(); !line.includes(LAST); line = await watcher.line()) {
    watched.push(normalised(line));
  }
  return { cases, watched };
}

const LAST = "the watcher's end";

/** Returns the corpora for the QEMU at a socket. */
async function corporaFor(path: string): Promise<Corpus[]> {
  using client = await TestClient.connect(path);
  const { major, minor } = JSON.parse(await client.line()).QMP.version.qemu;
  const corpus = corpusFor(major, minor);
  return corpus.grammar === FOUND.grammar ? [corpus, FOUND] : [corpus];
}

Deno.test({
  name: "qmpmux replay answers every recorded case with the bytes of the recorded QEMU",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    const [qemuPath, mux, file] = ["qemu", "mux", "file"].map((name) => `${place.path}/${name}`);
    await using _qemu = await startQemu(qemuPath!);
    await using _qmpmux = await startQmpmux(
      ["--qemu", qemuPath!, "--listen", mux!, "--control", `${place.path}/control`],
      { listeners: 2 },
    );
    const corpora = await corporaFor(mux!);
    await using record = await startRecord(place.path, [file!]);
    const expected = await converse(mux!, corpora);
    await contains(file!, `${LAST}\\"}"}`);
    record.stop("SIGINT");
    assertEquals((await record.ended).code, 0);

    await using playing = await play(Deno.readTextFileSync(file!), "--speed", "0");
    const { cases, watched } = await converse(`${playing.path}/s`, corpora);
    const differing = [...expected.cases].filter(([name, heard]) => cases.get(name) !== heard);
    assertEquals(
      differing.map(([name, wanted]) => ({ name, wanted, heard: cases.get(name) })),
      [],
    );
    assert(cases.size > 300);
    assert(watched.length > 0);
    assertEquals(watched, expected.watched);
    assertEquals(await playing.stop(), 0);
  },
});
