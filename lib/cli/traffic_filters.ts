/**
 * Filters of traffic: `--vm`, `--client`, `--command` and `--event`, each a glob that may be repeated.
 *
 * The globs of one flag are alternatives. `--vm` and `--client` limit everything. `--command` and
 * `--event` choose among the messages: with either, connections and damage are left out.
 *
 * @module
 */

import { type Matcher, matcherOf } from "../policy/glob.ts";
import { misspelt } from "../policy/event_filter.ts";
import { UsageError } from "../policy/usage_error.ts";
import type { Given } from "./flags.ts";
import type { TRAFFIC_FLAGS } from "./traffic_commands.ts";

/** The globs of each flag; an absent one matches everything. */
export type TrafficGlobs = { readonly [Flag in keyof typeof TRAFFIC_FLAGS]?: readonly string[] };

/** The prefix of the events that qmpmux itself sends. */
const OWN_PREFIX = "__org.qmpmux_";

/** A place of traffic: the VM, and the client unless it is on QEMU's side. */
export interface TrafficPlace {
  /** The VM's name, if it has one. */
  readonly vm?: string | undefined;
  /** The client's name. */
  readonly client?: string | undefined;
}

/** A compiled filter. */
export class TrafficFilter {
  /** Whether it lets everything pass. */
  readonly isEmpty: boolean;
  readonly #vm: Matcher | undefined;
  readonly #client: Matcher | undefined;
  readonly #command: Matcher | undefined;
  readonly #event: Matcher | undefined;

  /** Compiles globs. */
  constructor({ vm, client, command, event }: TrafficGlobs = {}) {
    this.#vm = anyOf(vm);
    this.#client = anyOf(client);
    this.#command = anyOf(command);
    this.#event = anyOf(event);
    this.isEmpty = [vm, client, command, event].every((globs) => !globs?.length);
  }

  /** Tells whether a command and its reply pass; an unreadable command has no name. */
  command(place: TrafficPlace, name: string | undefined): boolean {
    if (!this.#isHere(place)) return false;
    if (this.#command === undefined) return this.#event === undefined;
    return name !== undefined && this.#command(name);
  }

  /** Tells whether an event passes: from QEMU, or as it is sent to a client. */
  event(place: TrafficPlace, name: string | undefined): boolean {
    if (!this.#isHere(place)) return false;
    if (this.#event === undefined) return this.#command === undefined;
    return name !== undefined && this.#event(name);
  }

  /** Tells whether something that happens to a connection passes. */
  connection(place: TrafficPlace): boolean {
    return this.#command === undefined && this.#event === undefined && this.#isHere(place);
  }

  /**
   * Tells whether an event that passes is shown where each is to appear once: as QEMU sends it. With a
   * filter of clients it appears as each of them gets it. QEMU does not send qmpmux's own events.
   */
  isShownAt({ client }: TrafficPlace, name: string | undefined): boolean {
    return client === undefined || this.#client !== undefined ||
      (name?.startsWith(OWN_PREFIX) ?? false);
  }

  #isHere({ vm, client }: TrafficPlace): boolean {
    if (this.#vm !== undefined && (vm === undefined || !this.#vm(vm))) return false;
    return this.#client === undefined || (client !== undefined && this.#client(client));
  }
}

/** Compiles alternatives; `undefined` if there are none, which matches everything. */
function anyOf(globs: readonly string[] = []): Matcher | undefined {
  if (globs.length === 0) return undefined;
  const matchers = globs.map(matcherOf);
  return (text) => matchers.some((matches) => matches(text));
}

/** The globs that a command line can name, by flag: the form of names, and the phrase for it. */
const FORMS: { readonly [Flag in keyof typeof TRAFFIC_FLAGS]: [form: RegExp, expected: string] } = {
  vm: [/^[\w.*?-]+$/, "the name of a VM, with * and ?"],
  client: [/^\S+$/, "the name of a client, with * and ?"],
  command: [/^[\w.*?-]+$/, "the name of a command, with * and ?"],
  event: [/^[\w.*?-]+$/, "the name of an event, with * and ?"],
};

/**
 * Reads the globs from a command line.
 *
 * @throws UsageError if no name can match one, or if the name of an event seems to be misspelt
 */
export function trafficGlobs(command: string, given: Given): TrafficGlobs {
  const pairs = Object.entries(FORMS).map(([flag, [form, expected]]) => {
    const globs = given.all(flag);
    const bad = globs.find((glob) => !form.test(glob));
    if (bad !== undefined) {
      throw new UsageError(
        `${command}: invalid value "${bad}" for --${flag}: expected ${expected}`,
      );
    }
    return [flag, globs];
  });
  const globs: TrafficGlobs = Object.fromEntries(pairs);
  for (const glob of globs.event ?? []) {
    const problem = misspelt(glob);
    if (problem !== undefined) throw new UsageError(`${command}: --event: ${problem}`);
  }
  return globs;
}
