/**
 * Subscribers over real sockets, under load: they are cut off anywhere in the stream, come back with their
 * last cursor, and no event is lost, doubled or misplaced unless a gap is told.
 *
 * The first test makes each kind of gap. The second makes a thousand cuts, with `-- --long` ten
 * thousand. Each prints its seed; `QMPMUX_TEST_SEED` repeats one.
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

/** Returns a generator, and prints its seed. */
function seeded(): Random {
  const seed = Number(Deno.env.get("QMPMUX_TEST_SEED") ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  return new Random(seed);
}

function noCounts(): Counts {
  return { cuts: 0, events: 0, gaps: { reply: 0, session: 0, slow: 0 }, replies: 0 };
}

Deno.test("each kind of gap is told, and nothing else is missing", async () => {
  const random = seeded();
  using place = makePlace();
  const path = `${place.path}/mux`;
  await using qemu = new NumberingQemu(`${place.path}/vm`);
  await using mux = await startQmpmux([
    ...["--qemu", `unix:${place.path}/vm`, "--listen", `unix:${path}`],
    ...["--on-loss=hold", "--event-log-events=60"],
  ]);
  await mux.log.until(/connected to QEMU/);
  const [counts, others] = [noCounts(), noCounts()];
  const reader = new EventReader(path, random, counts);
  // Its reply comes behind all events that QEMU has sent.
  const taken = async (): Promise<void> => {
    const witness = new EventReader(path, random, others);
    await witness.connect();
    await witness.readUpToReply();
    witness.cut();
  };
  const readAll = async (): Promise<void> => {
    await reader.readUpTo(qemu.last);
    assertEquals(reader.faults, []);
  };
  await reader.connect();
  qemu.emit(10);
  await readAll();

  reader.cut();
  qemu.emit(100);
  await taken();
  await reader.connect();
  await readAll();
  assertEquals(counts.gaps.reply, 1);

  qemu.hangUp();
  await mux.log.until(/connected to QEMU/);
  qemu.emit(10);
  await readAll();
  assertEquals(counts.gaps.session, 1);

  const { slow } = counts.gaps;
  // The reader's connection does not hold them.
  qemu.emit(8_000);
  await taken();
  await readAll();
  assert(counts.gaps.slow > slow);
  reader.cut();
});

Deno.test(`${CUTS} cuts of subscribers lose, double and misplace no event without a told gap`, async () => {
  const random = seeded();
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

  const counts = noCounts();
  // The number of cuts decides when: a slow machine has no more and no fewer of these than a quick one.
  const disturb = (): void => {
    if (counts.cuts % 40 === 0) qemu.hangUp();
    if (counts.cuts % 25 === 0) {
      write(random.pick([60, 2000, 2000]));
      mux.kill("SIGHUP");
    }
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
      disturb();
    }
  };
  let isDone = false;
  const emit = async (): Promise<void> => {
    while (!isDone) {
      qemu.emit(random.below(6));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const emitting = emit();
  await within("all cuts", Promise.all(readers.map(work)), PATIENCE_MS);
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
  assert(counts.replies > 0);
});
