/**
 * Runs worlds from seeds, and shows a broken promise as a short transcript.
 *
 *     deno task simulate [--minutes N] [--seed S] [--steps N]
 *
 * With a seed alone only its world is played. A run of many steps is many worlds with consecutive
 * seeds, which allows a failure to be replayed by its own world.
 *
 * @module
 */

import type { Action, Setting } from "./actions.ts";
import { Chance, settingOf } from "./chance.ts";
import { Broken } from "./broken.ts";
import { type Core, World } from "./world.ts";

/** The number of steps in one world. */
export const WORLD_STEPS = 2000;
/** The number of steps after which a long run says how far it is. */
const PROGRESS_STEPS = 1_000_000;
/** The number of shorter lists that are tried. */
const TRIES = 5000;

/** A broken promise, and how to reproduce it. */
export interface Failure {
  readonly setting: Setting;
  readonly actions: readonly Action[];
  readonly error: Error;
  /** The kind of the failure: the promise, or the name of the error. */
  readonly promise: string;
}

/**
 * Plays the world of a seed; returns `undefined` if all promises were kept.
 *
 * @param played is called after each step
 */
export function playSeed(
  core: Core,
  seed: number,
  played?: (world: World) => void,
): Failure | undefined {
  const setting = settingOf(seed);
  const world = new World(core, setting);
  const chance = new Chance(seed);
  const actions: Action[] = [];
  try {
    for (let step = 0; step < WORLD_STEPS; step++) {
      const action = step === WORLD_STEPS - 1
        ? { do: "settle" } as const
        : step === WORLD_STEPS - 50 && seed % 4 === 0
        ? { do: "drain" } as const
        : chance.next(world);
      actions.push(action);
      world.play(action);
      played?.(world);
    }
    return undefined;
  } catch (error) {
    return failure(setting, actions, error);
  }
}

function failure(setting: Setting, actions: readonly Action[], error: unknown): Failure {
  if (!(error instanceof Error)) throw error;
  const promise = error instanceof Broken ? error.promise : error.name;
  return { setting, actions, error, promise };
}

/** Plays a list of actions again. */
function replay(core: Core, setting: Setting, actions: readonly Action[]): Failure | undefined {
  const world = new World(core, setting);
  for (const [at, action] of actions.entries()) {
    try {
      world.play(action);
    } catch (error) {
      return failure(setting, actions.slice(0, at + 1), error);
    }
  }
  return undefined;
}

/** Returns a shorter list that breaks the same promise. */
export function shrunk(core: Core, found: Failure): Failure {
  let best = found;
  let tries = 0;
  const attempt = (actions: readonly Action[]): boolean => {
    tries++;
    const again = replay(core, best.setting, actions);
    if (again === undefined || again.promise !== best.promise) return false;
    best = again;
    return true;
  };
  for (let size = Math.ceil(best.actions.length / 2); size >= 1 && tries < TRIES;) {
    let shorter = false;
    for (let at = best.actions.length - size; at > -size && tries < TRIES; at -= size) {
      const from = Math.max(0, at);
      const rest = [...best.actions.slice(0, from), ...best.actions.slice(from + size)];
      if (attempt(rest)) shorter = true;
    }
    if (size === 1 && !shorter) break;
    size = shorter ? Math.min(size, best.actions.length) : Math.max(1, size >> 1);
  }
  for (let at = best.actions.length - 1; at >= 0; at--) {
    for (;;) {
      const action = best.actions[at];
      const simpler = action && simplerThan(action);
      if (!simpler?.some((each) => attempt(best.actions.with(at, each)))) break;
    }
  }
  return best;
}

/** Returns simpler actions similar to one. */
function simplerThan(action: Action): Action[] {
  if (action.do === "say") {
    const { messages } = action;
    return messages.length < 2
      ? []
      : messages.map((_, at) => ({ ...action, messages: messages.toSpliced(at, 1) }));
  }
  const whole = 1_000_000;
  if ((action.do === "flow" || action.do === "hear") && action.bytes !== whole) {
    return [{ ...action, bytes: whole }];
  }
  return [];
}

/**
 * Returns the conversation in the notation of `tests/transcripts/`, as far as that can express it.
 */
export function transcript(core: Core, { setting, actions }: Failure): string {
  const world = new World(core, setting, true);
  try {
    for (const action of actions) world.play(action);
  } catch (error) {
    if (error instanceof Error) world.lines.push(`# ${error.message.replace(/\s+$/, "")}`);
  }
  return world.lines.map((line) => line.replace(/[\r\n]+/g, " ")).join("\n");
}

/** Returns a failure as text: the seed, and the shortest sequence of actions. */
export function report(core: Core, found: Failure): string {
  const short = shrunk(core, found);
  return [
    `seed ${found.setting.seed}, step ${found.actions.length}: ${found.error.message}`,
    `again: deno task simulate --seed ${found.setting.seed}`,
    `${short.actions.length} of ${found.actions.length} steps lead to it:`,
    transcript(core, short),
    found.error instanceof Broken ? "" : found.error.stack,
  ].join("\n");
}

/**
 * Plays worlds from a seed on.
 *
 * @param played is called after each step
 * @returns the number of steps
 * @throws Error with a report
 */
export function playMany(
  core: Core,
  seed: number,
  enough: (steps: number) => boolean,
  played?: (world: World) => void,
): number {
  let steps = 0;
  for (let each = seed; !enough(steps); each++) {
    const found = playSeed(core, each, played);
    if (found) throw new Error(report(core, found));
    steps += WORLD_STEPS;
  }
  return steps;
}

if (import.meta.main) {
  const { parseArgs } = await import("@std/cli/parse-args");
  const args = parseArgs(Deno.args, { string: ["minutes", "seed", "steps"] });
  const core = await import("../../lib/mod.ts");
  const seed = args.seed === undefined
    ? crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1
    : Number(args.seed);
  const end = performance.now() + Number(args.minutes ?? 1) * 60_000;
  const limit = Number(args.steps ?? (args.seed && !args.minutes ? WORLD_STEPS : Infinity));
  console.log(`seed ${seed}`);
  try {
    const began = performance.now();
    const steps = playMany(
      core,
      seed,
      (steps) => {
        if (steps > 0 && steps % PROGRESS_STEPS === 0) {
          console.log(`${steps} steps; continues with --seed ${seed + steps / WORLD_STEPS}`);
        }
        return steps >= limit || performance.now() > end;
      },
    );
    const seconds = (performance.now() - began) / 1000;
    console.log(
      `${steps} steps in ${steps / WORLD_STEPS} world${steps === WORLD_STEPS ? "" : "s"}, ${
        seconds.toFixed(1)
      } s: ` +
        "every promise was kept",
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
