/**
 * The commands that a lease is for, and the commands that another command counts as.
 *
 * A lease is for commands that change something. Commands that only read are never leased, nor are
 * `quit` and the handshake. A command that this file does not know counts as a change.
 *
 * @module
 */

import { readPath, visitEnds } from "./argument_path.ts";
import { type Matcher, matcherOf } from "./glob.ts";
import { globsOverlap } from "./glob_overlap.ts";
import { OBSERVER_COMMANDS, words } from "./observer_role.ts";
import type { Judged } from "./policy.ts";
import { argumentsOf } from "../wire/message.ts";

/** The most globs of a lease. */
export const LEASE_GLOBS_LIMIT = 64;
/** The most characters of such a glob; QEMU's longest command has 38. */
export const LEASE_GLOB_LENGTH_LIMIT = 64;

/** The commands that are never leased. All others change something, or may do so. */
const NEVER_LEASED: ReadonlySet<string> = new Set([
  ...OBSERVER_COMMANDS,
  // An observer may not run these, because they can crash QEMU or show secrets; they change nothing.
  ...words(`
    device-list-properties qom-get qom-list-get qom-list-properties query-cpu-model-baseline
    query-cpu-model-comparison query-cpu-model-expansion query-firmware-log
    query-sev-attestation-report query-sev-capabilities query-sev-launch-measure
  `),
  // An emergency must not wait.
  "quit",
]);

/** The command that may do whatever QEMU can, as text for people. */
const HMP = "human-monitor-command";

/** The ends of the commands that exist both as `job-…` and as `block-job-…`. */
const JOB_ACTIONS = words("cancel complete dismiss finalize pause resume");

const ACTION_TYPES = readPath("actions[*].type");

/** The names that a command counts as; `any` for one that may do anything. */
export type Effects = "any" | readonly string[];

/** Returns the names that a command counts as; `undefined` if no lease concerns it. */
export function effectsOf(command: Judged): Effects | undefined {
  const { name } = command;
  if (NEVER_LEASED.has(name)) return undefined;
  if (name === HMP) return "any";
  if (name !== "transaction") return twins(name);
  const names = new Set([name]);
  visitEnds(argumentsOf(command), ACTION_TYPES, (type) => {
    if (type?.isString) { for (const each of twins(type.scalar)) names.add(each); }
    return true;
  });
  return [...names];
}

/** Returns a name and the other name of the same command: `job-pause` and `block-job-pause`. */
function twins(name: string): readonly string[] {
  if (name.startsWith("job-")) return [name, `block-${name}`];
  return name.startsWith("block-job-") ? [name, name.slice("block-".length)] : [name];
}

/** A set of commands that change something, given by globs. */
export class LeaseScope {
  /** The globs. */
  readonly globs: readonly string[];
  readonly #matchers: readonly Matcher[];

  /**
   * Creates the set of all commands whose names match any of these globs.
   *
   * @throws RangeError if there are none, too many or a too long one, or one is a command that is never leased
   */
  constructor(globs: readonly string[]) {
    if (globs.length === 0 || globs.length > LEASE_GLOBS_LIMIT) {
      throw new RangeError(
        `Invalid commands: found ${globs.length} globs; expected 1 to ${LEASE_GLOBS_LIMIT}`,
      );
    }
    for (const glob of globs) checkGlob(glob);
    this.globs = [...new Set(globs)];
    this.#matchers = this.globs.map(matcherOf);
  }

  /** Returns whether a command with these effects is in the set. */
  covers(effects: Effects): boolean {
    // Text for people can run any command.
    if (effects === "any") return true;
    return effects.some((name) => this.#matchers.some((matches) => matches(name)));
  }

  /** Returns whether a command may be in this set and in another. */
  overlaps(other: LeaseScope): boolean {
    const hasAny = this.#has(HMP) || other.#has(HMP);
    return hasAny || JOB_ACTIONS.some((action) => this.#coversJobs(action, other)) ||
      this.globs.some((glob) => other.globs.some((each) => globsOverlap(glob, each)));
  }

  #has(name: string): boolean {
    return this.#matchers.some((matches) => matches(name));
  }

  #coversJobs(action: string, other: LeaseScope): boolean {
    const effects = twins(`job-${action}`);
    return this.covers(effects) && other.covers(effects);
  }
}

function checkGlob(glob: string): void {
  if (glob.length > LEASE_GLOB_LENGTH_LIMIT) {
    throw new RangeError(
      `Command glob too long: ${glob.length} characters exceed the limit of ${LEASE_GLOB_LENGTH_LIMIT}`,
    );
  }
  if (!/^[A-Za-z0-9_.*?-]+$/.test(glob)) {
    throw new RangeError("Invalid command glob: expected the name of a command, with * and ?");
  }
  if (NEVER_LEASED.has(glob)) {
    throw new RangeError(`The command ${glob} is never leased: leases are for what changes the VM`);
  }
}
