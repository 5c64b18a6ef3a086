/**
 * Growth and noise: planted leaks are found, and nothing else is.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { floorOf, judgeGrowth, type Point, slopeOf } from "./soak/slope.ts";
import { Random } from "./support/random.ts";

const MIB = 1 << 20;

/** Returns a number around 0, seldom beyond 3 times the spread. */
function noise(random: Random, spread: number): number {
  let sum = 0;
  for (let i = 0; i < 12; i++) sum += random.below(1000) / 1000 - 0.5;
  return sum * spread;
}

interface Shape {
  readonly seed: number;
  /** Bytes per command that are never freed. */
  readonly leak: number;
  readonly samples?: number;
  /**
   * The number of samples between two collections, and the garbage that accumulates between them.
   */
  readonly period?: number;
  readonly garbage?: number;
  readonly noise?: number;
}

/**
 * Returns the memory of a program whose garbage is collected from time to time, over ten minutes of
 * 2,000 commands a second.
 */
function memory(shape: Shape): Point[] {
  const { seed, leak, samples = 300, period = 37, garbage = 20 * MIB, noise: spread = MIB } = shape;
  const random = new Random(seed);
  const points: Point[] = [];
  let collected = 0;
  for (let at = 0; at < samples; at++) {
    if (at - collected > period * (0.7 + 0.6 * random.below(100) / 100)) collected = at;
    const commands = at * 4000;
    // The heap warms up: it grows fast at first, then not.
    const warm = 40 * MIB * (1 - Math.exp(-at / 20));
    const pile = garbage * (at - collected) / period;
    const burst = random.oneIn(10) ? 10 * MIB * random.below(100) / 100 : 0;
    const y = 60 * MIB + warm + pile + burst + leak * commands + noise(random, spread);
    points.push({ x: commands, y });
  }
  return points;
}

const SEEDS = Array.from({ length: 100 }, (_, seed) => seed + 1);

function found(shape: Omit<Shape, "seed">): number {
  return SEEDS.filter((seed) => judgeGrowth(memory({ ...shape, seed }), 4)!.grows).length;
}

Deno.test("slopeOf() returns the slope of a line exactly", () => {
  const line = Array.from({ length: 10 }, (_, x) => ({ x, y: 3 * x + 1 }));
  assertEquals(slopeOf(line), { value: 3, low: 3, high: 3 });
});

Deno.test("slopeOf() is not affected by a few outliers", () => {
  const random = new Random(1);
  const points = Array.from({ length: 40 }, (_, x) => ({
    x,
    y: x % 10 === 9 ? 1e6 : 2 * x + noise(random, 0.5),
  }));
  assert(Math.abs(slopeOf(points).value - 2) < 0.1);
});

Deno.test("slopeOf() returns bounds that contain the true slope as often as promised", () => {
  let held = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const { low, high } = slopeOf(
      Array.from({ length: 25 }, (_, x) => ({ x, y: 5 * x + noise(random, 10) })),
    );
    if (low <= 5 && 5 <= high) held++;
  }
  // 99 % of 300, with a margin for chance.
  assert(held >= 290, `${held} of 300`);
});

Deno.test("slopeOf() widens its bounds if neighbouring points are correlated", () => {
  /** Noise of which a part stays until the next point, with the same spread for any part. */
  const held = (stays: number): number => {
    let held = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const random = new Random(seed);
      let y = 0;
      const { low, high } = slopeOf(Array.from({ length: 60 }, (_, x) => {
        y = stays * y + noise(random, Math.sqrt(1 - stays ** 2));
        return { x, y };
      }));
      if (low <= 0 && 0 <= high) held++;
    }
    return held;
  };
  assert(held(0) >= 195, `${held(0)} of 200`);
  // Bounds for independent points contain 0 in 170 cases.
  assert(held(0.6) >= 178, `${held(0.6)} of 200`);
});

Deno.test("slopeOf() refuses too few points", () => {
  const points = [1, 2, 3].map((x) => ({ x, y: x }));
  assertThrows(() => slopeOf(points), RangeError);
  assertEquals(judgeGrowth(points, 0), undefined);
});

Deno.test("floorOf() keeps the least of each block", () => {
  const points = [5, 3, 4, 9, 8, 7, 2, 6].map((y, x) => ({ x, y }));
  assertEquals(floorOf(points), [{ x: 1, y: 3 }, { x: 6, y: 2 }]);
});

Deno.test("judgeGrowth() finds a leak of 16 bytes a command below the noise", () => {
  const times = found({ leak: 16 });
  assert(times >= 95, `${times} of ${SEEDS.length}`);
  assertEquals(found({ leak: 20 }), SEEDS.length);
});

Deno.test("judgeGrowth() finds a leak if garbage is collected seldom", () => {
  const times = found({ leak: 32, period: 70 });
  assert(times >= 90, `${times} of ${SEEDS.length}`);
});

Deno.test("judgeGrowth() does not report warming up, garbage and bursts as a leak", () => {
  const times = found({ leak: 0 }) + found({ leak: 0, period: 70 }) +
    found({ leak: 0, period: 12 });
  assert(times <= 3, `${times} of ${3 * SEEDS.length}`);
});

Deno.test("judgeGrowth() does not report growth below its threshold", () => {
  const times = found({ leak: 2 });
  assert(times <= 2, `${times} of ${SEEDS.length}`);
});

Deno.test("judgeGrowth() finds a smaller leak in a longer run", () => {
  assertEquals(found({ leak: 6, samples: 3600 }), SEEDS.length);
  assert(found({ leak: 0, samples: 3600 }) <= 1);
});

Deno.test("judgeGrowth() finds a descriptor leaked per 500 connections", () => {
  // Samples of descriptors and of clients are taken at different moments.
  const points = (every: number): Point[] => {
    const random = new Random(every);
    return Array.from({ length: 300 }, (_, at) => ({
      x: 120 * at,
      y: 30 + Math.floor(120 * at / every) + random.below(5) - 2,
    }));
  };
  assert(judgeGrowth(points(500), 0.001)!.grows);
  assert(!judgeGrowth(points(Infinity), 0.001)!.grows);
});
