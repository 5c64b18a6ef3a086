/**
 * Subscribers over real sockets, under load: they are cut off anywhere in the stream, come back with their
 * last cursor, and no event is lost, doubled or misplaced unless a gap is told.
 *
 * A thousand cuts here; `-- --long`: ten thousand. It prints its seed; `QMPMUX_TEST_SEED` repeats one.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { within } from "./support/deadline.ts";
import { type Counts, EventReader, NumberingQemu } from "./support/event_reader.ts";
import { makePlace } from "./support/place.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { Random } from "./support/random.ts";

const CUTS = Deno.args.includes("--long") ? 10_000 : 1000;
const READERS = 12;
const PATIENCE_MS = 10 * 60_000;

Deno.test(`${CUTS} cuts of subscribers lose, double and misplace no event without a told gap`, async () => {
  const seed = Number(Deno.env.get("QMPMUX_TEST_SEED") ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  using place = makePlace();
  const path = `${place.path}/mux`;
  const file = `${place.path}/mux.toml`;
  const write = (events: number): void =>
    Deno.writeTextFileSync(
      file,
      `qemu = "unix:${place.path}/vm"\non-loss = "hold"\nevent-log-events = ${events}\n` +
        `[[listen]]\naddress = "unix:${path}"\n`,
    );
  write(2000);
  await using qemu = new NumberingQemu(`${place.path}/vm`);
  await using mux = await startQmpmux(["--config", file], { listeners: 1 });
  await mux.log.until(/connected to QEMU/);

  const counts: Counts = {
    cuts: 0,
    events: 0,
    gaps: { reply: 0, session: 0, slow: 0 },
    replies: 0,
  };
  const readers = Array.from({ length: READERS }, () => new EventReader(path, random, counts));
  const work = async (reader: EventReader): Promise<void> => {
    while (counts.cuts < CUTS) {
      const isNew = random.oneIn(40);
      if (isNew) reader.forget();
      await reader.connect();
      if (isNew) await reader.readUpToReply();
      await reader.read(random.below(random.pick([3, 40, 150])));
      reader.cut();
    }
  };
  let [isCalm, isDone] = [false, false];
  const emit = async (): Promise<void> => {
    for (let turn = 1; !isDone; turn++) {
      qemu.emit(random.below(6));
      if (turn % 400 === 0 && !isCalm) qemu.hangUp();
      if (turn % 150 === 0 && !isCalm) {
        write(random.pick([60, 2000, 2000, 2000, 2000, 2000]));
        mux.kill("SIGHUP");
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const emitting = emit();
  await within("all cuts", Promise.all(readers.map(work)), PATIENCE_MS);
  isCalm = true;
  const atEnd = qemu.last;
  await within(
    "the rest",
    Promise.all(readers.map(async (reader) => {
      await reader.connect();
      await reader.readUpTo(atEnd);
      reader.cut();
    })),
    PATIENCE_MS,
  );
  isDone = true;
  await emitting;
  console.log(JSON.stringify(counts));
  assertEquals(readers.flatMap(({ faults }) => faults).slice(0, 20), []);
  assert(counts.cuts >= CUTS);
  for (const [kind, count] of Object.entries(counts.gaps)) assert(count > 0, `no gap: ${kind}`);
  assert(counts.replies > 0);
});
