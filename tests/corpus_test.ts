/**
 * Replays every recorded byte of QEMU.
 *
 * Without QEMU: syntax errors and ids of three QEMU versions, at every cut. With QEMU: all
 * conversations of the installed QEMU's version through a qmpmux, alone and twelve at a time.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { canonical } from "../lib/wire/qemu_json.ts";
import { FrameSplitter } from "../lib/wire/frame.ts";
import { bytesOf, cutsOf, fed, membersOf } from "./support/cuts.ts";
import {
  type Case,
  CORPORA,
  type Corpus,
  corpusFor,
  damagesIn,
  damagesOf,
  Exchange,
  FOUND,
  HANDSHAKES,
  replay,
} from "./support/corpus.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";

for (const { version, grammar, cases } of [...CORPORA, FOUND]) {
  const title = `${cases.length} cases of QEMU ${version}`;

  Deno.test(`FrameSplitter finds the syntax errors that QEMU found at every cut: ${title}`, () => {
    for (const { name, phase, bytes, chunks, heard } of cases) {
      const wanted = damagesIn(heard);
      for (const cut of [chunks, ...cutsOf(bytes)]) {
        const splitter = new FrameSplitter(grammar);
        fed(splitter, [bytesOf(HANDSHAKES[phase])]);
        assertEquals(damagesOf(fed(splitter, cut)), wanted, name);
      }
    }
  });

  Deno.test(`canonical() writes an id as QEMU printed it: ${title}`, () => {
    for (const { name, bytes, heard } of cases.filter(({ name }) => name.startsWith("id"))) {
      assertEquals(idsOf(new FrameSplitter(grammar), bytes), idsIn(heard), name);
    }
  });
}

/** Returns the ids of all objects in the bytes, as qmpmux would print them. */
function idsOf(splitter: FrameSplitter, bytes: Uint8Array): string[] {
  const ids: string[] = [];
  for (const thing of fed(splitter, [bytes])) {
    if ("damage" in thing) continue;
    const id = membersOf(thing).find(({ key }) => key === "id");
    if (id) ids.push(canonical(thing.bytes, id.start, id.end));
  }
  return ids;
}

/** Returns the ids that QEMU printed: the last member of a return, the first of an error. */
function idsIn(heard: string): string[] {
  return heard.split("\r\n").flatMap((line) => {
    const found = /^\{"return": .*?, "id": (.*)\}$/.exec(line) ??
      /^\{"id": (.*), "error": \{"class"/.exec(line);
    return found ? [found[1]!] : [];
  });
}

/**
 * Starts a QEMU and a qmpmux in front of it.
 *
 * @param run also gets a QEMU without a qmpmux if this version of QEMU is not recorded
 */
async function served(
  run: (path: string, corpora: Corpus[], bare: string | undefined) => Promise<void>,
): Promise<void> {
  using place = makePlace();
  await using _qemu = await startQemu(`${place.path}/qemu`);
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(["--qemu", `${place.path}/qemu`, "--listen", path]);
  const { exchange, greeting } = await Exchange.open(path);
  exchange[Symbol.dispose]();
  const { major, minor } = JSON.parse(greeting).QMP.version.qemu;
  const corpus = corpusFor(major, minor);
  const found = FOUND.grammar === corpus.grammar ? [FOUND] : [];
  const isRecorded = corpus.version.startsWith(`${major}.${minor}.`);
  await using bare = isRecorded ? undefined : await startQemu(`${place.path}/bare`);
  await run(path, [corpus, ...found], bare?.path);
}

/**
 * Replays every case, one after the other; returns the differences.
 *
 * @param bare a QEMU to ask directly if its reply differs from the recorded one
 */
async function differences(
  path: string,
  { grammar }: Corpus,
  cases: readonly Case[],
  bare: string | undefined,
): Promise<object[]> {
  const differing: object[] = [];
  for (const it of cases) {
    const heard = await replay(path, it, grammar);
    if (heard === it.heard) continue;
    const wanted = bare === undefined ? it.heard : await replay(bare, it, grammar);
    if (heard !== wanted) differing.push({ name: it.name, heard, wanted });
  }
  return differing;
}

Deno.test({
  name: "qmpmux answers every recorded case with QEMU's bytes",
  ignore: WITHOUT_QEMU,
  fn: () =>
    served(async (path, corpora, bare) => {
      for (const corpus of corpora) {
        assert(corpus === FOUND || corpus.cases.length > 300);
        assertEquals(await differences(path, corpus, corpus.cases, bare), []);
      }
    }),
});

Deno.test({
  name: "qmpmux answers every recorded case with QEMU's bytes to twelve clients at a time",
  ignore: WITHOUT_QEMU,
  fn: () =>
    served(async (path, corpora, bare) => {
      for (const corpus of corpora) {
        // Every client gets one client's events.
        const cases = corpus.cases.filter(({ name }) => !name.startsWith("event/"));
        const clients = Array.from({ length: 12 }, (_, i) => {
          const from = Math.floor(cases.length * i / 12);
          const turned = [...cases.slice(from), ...cases.slice(0, from)];
          return differences(path, corpus, turned, bare);
        });
        assertEquals((await Promise.all(clients)).flat(), []);
      }
    }),
});
