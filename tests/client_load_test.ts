/**
 * Many commands in flight with a real QEMU, given up at random: no reply goes to another command.
 *
 * Ten thousand here; `-- --long`: a hundred thousand, and the heap must not grow. It prints its seed;
 * `QMPMUX_TEST_SEED` repeats one.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { connect, type Qmp, QmpError, TimeoutError } from "../lib/client/mod.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";
import { PROGRAM, startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { Random } from "./support/random.ts";

const IS_LONG = Deno.args.includes("--long");
const COUNT = IS_LONG ? 100_000 : 10_000;
const PATIENCE_MS = 15 * 60_000;
/** The commands that wait for replies at once. */
const IN_FLIGHT = 300;
/** The most bytes that the heap may grow from the first tenth of the commands to the last. */
const GROWTH = 1 << 20;

/** The ends of commands, by their numbers. */
type Ends = Record<"value" | "refused" | "aborted" | "late" | "wrong", number>;

const ABORTED = new Error("aborted by the test");

/** Runs commands from a seed, whose replies tell which command they belong to. */
class Load {
  readonly ends: Ends = { value: 0, refused: 0, aborted: 0, late: 0, wrong: 0 };
  readonly #qmp: Qmp;
  readonly #random: Random;
  /** Commands that can be aborted. */
  readonly #controllers: AbortController[] = [];

  constructor(qmp: Qmp, seed: number) {
    this.#qmp = qmp;
    this.#random = new Random(seed);
  }

  /** Runs the next command to its end. */
  async run(number: number): Promise<void> {
    const random = this.#random;
    const options: { signal?: AbortSignal; timeout?: number } = {};
    if (random.oneIn(5)) {
      const controller = new AbortController();
      this.#controllers.push(controller);
      options.signal = controller.signal;
    }
    if (random.oneIn(5)) options.timeout = random.below(30);
    if (random.oneIn(4)) this.#controllers.splice(0).forEach((each) => each.abort(ABORTED));
    const isRefused = random.oneIn(3);
    const pages = 1 + random.below(8);
    try {
      const value = isRefused
        ? await this.#qmp.execute("device_del", { id: `d${number}` }, options)
        : await this.#qmp.execute(
          "qom-get",
          { path: `/objects/m${pages}`, property: "size" },
          options,
        );
      this.ends[!isRefused && value === pages * 4096 ? "value" : "wrong"]++;
    } catch (error) {
      this.ends[endOf(error, isRefused ? `'d${number}'` : undefined)]++;
    }
  }
}

function endOf(error: unknown, own: string | undefined): keyof Ends {
  if (error === ABORTED) return "aborted";
  if (error instanceof TimeoutError) return "late";
  const isOwn = error instanceof QmpError && own !== undefined && error.desc.includes(own);
  return isOwn ? "refused" : "wrong";
}

/** Returns the size of the heap after a collection, in the long form. */
function heap(): number | undefined {
  if (!IS_LONG) return undefined;
  (globalThis as unknown as { gc(): void }).gc();
  return Deno.memoryUsage().heapUsed;
}

Deno.test({
  name: `${COUNT} commands in flight get their own replies, some given up at random`,
  ignore: WITHOUT_QEMU,
  fn: async () => {
    const seed = Number(Deno.env.get("QMPMUX_TEST_SEED") ?? Date.now() % 2 ** 31);
    console.log(`${PROGRAM}: seed ${seed}`);
    using place = makePlace();
    const objects = Array.from({ length: 8 }, (_, index) => [
      "-object",
      `memory-backend-ram,id=m${index + 1},size=${(index + 1) * 4096}`,
    ]);
    await using qemu = await startQemu(`${place.path}/vm`, objects.flat());
    await using qmp = await connect(qemu.path);
    const load = new Load(qmp, seed);
    const heaps: (number | undefined)[] = [];
    let number = 0;
    const worker = async (): Promise<void> => {
      while (number < COUNT) {
        if (number % (COUNT / 10) === 0) heaps.push(heap());
        await load.run(number++);
      }
    };
    await within(
      "all replies",
      Promise.all(Array.from({ length: IN_FLIGHT }, worker)),
      PATIENCE_MS,
    );
    heaps.push(heap());
    console.log(JSON.stringify(load.ends));
    if (IS_LONG) console.log("heap in KiB:", heaps.map((bytes) => bytes! >> 10).join(" "));
    const total = Object.values(load.ends).reduce((sum, count) => sum + count);
    assertEquals([load.ends.wrong, total], [0, COUNT]);
    for (const end of ["value", "refused", "aborted"] as const) assert(load.ends[end] > 0, end);
    assertEquals(await qmp.execute("query-name"), {});
    const [, first, last] = [0, heaps[1], heaps.at(-1)];
    if (IS_LONG && first !== undefined) {
      assert(last! - first < GROWTH, `${last! - first} bytes more`);
    }
  },
});
