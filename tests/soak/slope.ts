/**
 * Leaks found by slope: a test for growth below noise.
 *
 * Theil and Sen: the median of the slopes between all pairs of points, which a few outliers do not
 * affect, and bounds for it by Kendall's order statistics. A figure grows if it grows by the lower
 * bound.
 *
 * @module
 */

/** A measured quantity, over commands, connections or time. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A slope, and bounds that contain it with the requested confidence. */
export interface Slope {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Two-sided 99 %: the lower bound is wrong once in 200. */
const Z = 2.576;

/** The number of points: enough for bounds, with few pairs. */
const BLOCKS = 60;
/** The minimum number of points in a block, to find its least. */
const BLOCK_LEAST = 4;

/**
 * Returns the slope of at least four points in the order of `x`; @throws RangeError if there are
 * fewer
 */
export function slopeOf(points: readonly Point[]): Slope {
  const slopes: number[] = [];
  for (const [at, from] of points.entries()) {
    for (const to of points.slice(at + 1)) {
      if (to.x > from.x) slopes.push((to.y - from.y) / (to.x - from.x));
    }
  }
  if (points.length < 4 || slopes.length < 6) throw new RangeError("A slope needs four points");
  slopes.sort((a, b) => a - b);
  const last = slopes.length - 1;
  const value = (slopes[last >> 1]! + slopes[(last + 1) >> 1]!) / 2;
  const n = points.length;
  const variance = n * (n - 1) * (2 * n + 5) / 18 * stickiness(points, value);
  const half = Z * Math.sqrt(variance);
  const at = (place: number): number => slopes[Math.max(0, Math.min(last, place))]!;
  return {
    value,
    low: at(Math.floor((slopes.length - half) / 2) - 1),
    high: at(Math.ceil((slopes.length + half) / 2)),
  };
}

/**
 * Returns the factor by which the variance of Kendall's statistic is greater because neighbouring
 * points are correlated (Hamed and Rao, 1998): memory that is collected from time to time varies
 * slowly, and that is not growth.
 */
function stickiness(points: readonly Point[], slope: number): number {
  const n = points.length;
  const ranks = ranksOf(points.map(({ x, y }) => y - slope * x));
  const mean = (n - 1) / 2;
  const square = ranks.reduce((sum, rank) => sum + (rank - mean) ** 2, 0);
  if (square === 0) return 1;
  let sum = 0;
  for (let lag = 1; lag < n - 2; lag++) {
    let product = 0;
    for (let at = lag; at < n; at++) product += (ranks[at]! - mean) * (ranks[at - lag]! - mean);
    const likeness = product / square;
    // A correlation that chance alone would give is ignored.
    if (Math.abs(likeness) < 1.96 / Math.sqrt(n)) continue;
    sum += (n - lag) * (n - lag - 1) * (n - lag - 2) * likeness;
  }
  return Math.max(1, 1 + 2 * sum / (n * (n - 1) * (n - 2)));
}

/** Returns the rank of each value; equal ones share the middle of their ranks. */
function ranksOf(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return values.map((value) => (sorted.indexOf(value) + sorted.lastIndexOf(value)) / 2);
}

/**
 * Returns the least point of each of some sixty blocks: the memory that is left after a collection.
 */
export function floorOf(points: readonly Point[]): Point[] {
  const size = Math.max(BLOCK_LEAST, Math.ceil(points.length / BLOCKS));
  const floor: Point[] = [];
  for (let at = 0; at + size <= points.length; at += size) {
    const block = points.slice(at, at + size);
    floor.push(block.reduce((least, point) => point.y < least.y ? point : least));
  }
  return floor;
}

/** The result of looking for growth. */
export interface Verdict extends Slope {
  /** The number of points that the slope is based on. */
  readonly points: number;
  readonly threshold: number;
  readonly grows: boolean;
}

/**
 * Returns whether something grows by more than a threshold, after a warm-up of a third.
 *
 * @param threshold in units of `y` for one of `x`
 * @param warmUp the minimum number of points in the warm-up
 * @returns `undefined` if too little was measured
 */
export function judgeGrowth(
  points: readonly Point[],
  threshold: number,
  warmUp = 0,
): Verdict | undefined {
  const floor = floorOf(points.slice(Math.max(warmUp, Math.ceil(points.length / 3))));
  if (floor.length < 10) return undefined;
  const slope = slopeOf(floor);
  return { ...slope, points: floor.length, threshold, grows: slope.low > threshold };
}
