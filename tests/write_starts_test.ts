/**
 * The starts of writes: few at once, many in parts, each in its order.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  FEW_STARTS,
  STARTS_LIMIT,
  type Writer,
  WriteStarts,
} from "../lib/platform/write_starts.ts";

/** Writers that note when they start; their writes are done when `finish` is called. */
class Stage {
  readonly started: number[] = [];
  readonly starts = new WriteStarts();
  /** Resolves when this many have started. */
  readonly #awaited = new Map<number, () => void>();
  readonly #writes: PromiseWithResolvers<void>[] = [];

  /** Adds writers, some of which have been closed since they were added. */
  add(count: number, isClosed: (number: number) => boolean = () => false): void {
    for (let i = 0; i < count; i++) this.starts.add(this.#writer(this.#writes.length, isClosed));
  }

  #writer(number: number, isClosed: (number: number) => boolean): Writer {
    const write = Promise.withResolvers<void>();
    this.#writes.push(write);
    return {
      writeOn: (): Promise<void> | undefined => {
        if (isClosed(number)) return undefined;
        this.started.push(number);
        this.#awaited.get(this.started.length)?.();
        return write.promise;
      },
    };
  }

  finish(number: number): void {
    this.#writes[number]!.resolve();
  }

  reaches(count: number): Promise<void> {
    const reached = Promise.withResolvers<void>();
    this.#awaited.set(count, reached.resolve);
    return reached.promise;
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

Deno.test("WriteStarts.add() starts few writers at once, at the end of the turn", async () => {
  const stage = new Stage();
  stage.add(FEW_STARTS);
  assertEquals(stage.started, []);
  await Promise.resolve();
  assertEquals(stage.started, upTo(FEW_STARTS));
  stage.add(1);
  await Promise.resolve();
  assertEquals(stage.started.length, FEW_STARTS + 1);
});

Deno.test("WriteStarts.add() starts many writers in parts, each after the last write of the part before", async () => {
  const stage = new Stage();
  const all = FEW_STARTS + STARTS_LIMIT;
  stage.add(all - 1);
  for (let started = 0; started < all;) {
    const next = Math.min(all, started + STARTS_LIMIT);
    await stage.reaches(next);
    assertEquals(stage.started, upTo(next));
    // A writer that is added meanwhile starts after all others.
    if (started === 0) stage.add(1);
    stage.finish(next - 1);
    started = next;
  }
});

Deno.test("WriteStarts.add() starts all writers though no peer reads", async () => {
  const stage = new Stage();
  stage.add(10 * STARTS_LIMIT);
  await stage.reaches(10 * STARTS_LIMIT);
  assertEquals(stage.started, upTo(10 * STARTS_LIMIT));
});

Deno.test("WriteStarts.add() starts the others if writers have nothing to write", async () => {
  const stage = new Stage();
  const isClosed = (number: number): boolean => number < 5 * STARTS_LIMIT;
  stage.add(6 * STARTS_LIMIT, isClosed);
  await stage.reaches(STARTS_LIMIT);
  assertEquals(stage.started, upTo(6 * STARTS_LIMIT).slice(5 * STARTS_LIMIT));
});
