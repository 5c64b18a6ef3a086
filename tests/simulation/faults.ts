/**
 * Faults planted in the core, to see that the simulation finds them.
 *
 *     deno task simulate:faults
 *
 * Each is a small change of text in a copy of `lib/`. One that can no longer be
 * made, because the text has changed, is an error: the list follows the code.
 *
 * @module
 */

import { type Failure, playSeed, report, WORLD_STEPS } from "./run.ts";
import type { Core } from "./world.ts";

const LIB = new URL("../../lib/", import.meta.url);

/** A fault: in this file, this text becomes that. */
export interface Fault {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** The faults that are planted, one at a time. */
export const FAULTS: readonly Fault[] = [
  {
    name: "five in-band commands at QEMU",
    file: "session/upstream.ts",
    from: "IN_FLIGHT_LIMIT = 4",
    to: "IN_FLIGHT_LIMIT = 5",
  },
  {
    name: "three commands of one client at QEMU",
    file: "sharing/scheduler.ts",
    from: "PARTY_LIMIT = 2",
    to: "PARTY_LIMIT = 3",
  },
  {
    name: "what overtakes is not one of a client's two",
    file: "sharing/scheduler.ts",
    from: "busy.overtook ? OVERTAKER_LIMIT : PARTY_LIMIT",
    to: "PARTY_LIMIT",
  },
  {
    name: "what has been answered still counts as at QEMU",
    file: "hub/mux.ts",
    from: "this.#scheduler.landed(settled);",
    to: "",
  },
  {
    name: "what overtakes is sent though too much of it was given up",
    file: "session/upstream.ts",
    from: "GIVEN_UP_LIMIT = 16",
    to: "GIVEN_UP_LIMIT = 17",
  },
  {
    name: "what was at QEMU is still awaited after a loss",
    file: "session/upstream.ts",
    from: "this.#inBand = [];\n    this.#outOfBand.clear();",
    to: "",
  },
  {
    name: "any reply ends the negotiation",
    file: "session/upstream.ts",
    from: "if (!answer || message.id !== this.#nonce)",
    to: "if (!answer)",
  },
  {
    name: "out-of-band numbers begin again",
    file: "session/upstream.ts",
    from: "this.#nonce = nonce;",
    to: "this.#nonce = nonce; this.#lastId = 0;",
  },
  {
    name: "an answered out-of-band command is not forgotten",
    file: "session/upstream.ts",
    from: "this.#outOfBand.delete(id);",
    to: "",
  },
  {
    name: "a second greeting is taken for an event",
    file: "session/upstream.ts",
    from: 'return { broken: "it sent a second greeting" }',
    to: "return { dropped: message }",
  },
  {
    name: "a QEMU that is silent is asked too late",
    file: "session/upstream.ts",
    from: "silence >= patience / 2 && ",
    to: "silence >= patience && ",
  },
  {
    name: "a stalled QEMU is not told",
    file: "hub/mux.ts",
    from: "this.#notices.stalled(true);",
    to: ";",
  },
  {
    name: "who waits for a greeting is let go too late",
    file: "hub/mux.ts",
    from: "if (now - since < handshakeTime) continue;",
    to: "if (now - since < 2 * handshakeTime) continue;",
  },
  {
    name: "ten commands of a client wait",
    file: "session/monitor.ts",
    from: "withOob: 9",
    to: "withOob: 10",
  },
  {
    name: "a client is read on behind an out-of-band command",
    file: "session/monitor.ts",
    from: "this.#slots.length >= limit || this.#oobWaiting",
    to: "this.#slots.length >= limit",
  },
  {
    name: "a reply does not wait for those before it",
    file: "session/monitor.ts",
    from: "if (answer === undefined) break;",
    to: "if (answer === undefined) continue;",
  },
  {
    name: "an answer of ours is given before its turn",
    file: "session/monitor.ts",
    from: "this.#slots.push({ id, answer });\n    this.#settle();",
    to: "const reply = answer(); this.#slots.push({ id, answer: reply });\n    this.#settle();",
  },
  {
    name: "events come before the handshake is over",
    file: "session/monitor.ts",
    from: 'if (mode !== "command" || this.#left) return false;',
    to: "if (this.#left) return false;",
  },
  {
    name: "a role's events are not looked at",
    file: "session/monitor.ts",
    from: "if (role.events !== undefined && !role.events.passes(name)) return false;",
    to: "",
  },
  {
    name: "events are shown that the dialect has not enabled",
    file: "session/monitor.ts",
    from: "if (events !== undefined && !events.has(name)) return false;",
    to: "",
  },
  {
    name: "a client that has left is still sent its reply",
    file: "session/monitor.ts",
    from: "fill(ticket: Ticket, reply: Reply): void {\n    if (this.#left) return;",
    to: "fill(ticket: Ticket, reply: Reply): void {",
  },
  {
    name: "a client keeps a capability that QEMU has lost",
    file: "session/monitor.ts",
    from: "return [...this.#standing.capabilities].every((name) => offered.includes(name));",
    to: "return true;",
  },
  {
    name: "new terms are not taken",
    file: "session/monitor.ts",
    from: "adopt(terms: Terms): void {\n    this.#terms = terms;",
    to: "adopt(_terms: Terms): void {",
  },
  {
    name: "oob is enabled where QEMU does not offer it",
    file: "session/dialect.ts",
    from: "if (missing.length > 0) {",
    to: "if (missing.length > 9) {",
  },
  {
    name: "lasting answers outlive a QEMU",
    file: "sharing/query_cache.ts",
    from: "this.#kept.clear();",
    to: "",
  },
  {
    name: "a question can be joined when it has left",
    file: "sharing/query_cache.ts",
    from: "flies(question: Question): void {\n    this.#waiting.delete(question);",
    to: "flies(question: Question): void {",
  },
  {
    name: "errors are kept as lasting answers",
    file: "sharing/query_cache.ts",
    from: ' && isPlain(command) && reply.kind === "return";',
    to: " && isPlain(command);",
  },
  {
    name: "questions with other arguments are twins",
    file: "sharing/query_cache.ts",
    from: "return name + argumentsText(command);",
    to: "return name;",
  },
  {
    name: "a client keeps its turn when it was served",
    file: "sharing/scheduler.ts",
    from:
      "      this.#waiting.delete(party);\n      if (jobs.length > 0) this.#waiting.set(party, jobs);",
    to: "      if (jobs.length === 0) this.#waiting.delete(party);",
  },
  {
    name: "the last of a client's commands goes first",
    file: "sharing/scheduler.ts",
    from: "const job = jobs.shift()!;",
    to: "const job = jobs.pop()!;",
  },
  {
    name: "a client joins though it has something unfinished",
    file: "hub/mux.ts",
    from: "joins && monitor.idle ? this.#cache.question(command)",
    to: "joins ? this.#cache.question(command)",
  },
  {
    name: "a client joins where its listener says it may not",
    file: "hub/mux.ts",
    from: "joins && monitor.idle ? this.#cache.question(command)",
    to: "monitor.idle ? this.#cache.question(command)",
  },
  {
    name: "kept answers are given where the listener wants none",
    file: "hub/mux.ts",
    from: "caches ? this.#cache.answer(command)",
    to: "true ? this.#cache.answer(command)",
  },
  {
    name: "a shared question goes with the first who asked it",
    file: "hub/mux.ts",
    from: "for (const job of this.#scheduler.drop(monitor)) this.#inherit(job);",
    to: "this.#scheduler.drop(monitor);",
  },
  {
    name: "a shared question that is inherited waits behind what came later",
    file: "hub/mux.ts",
    from: "if (heir) this.#scheduler.enqueueFirst(heir.monitor, job);",
    to: "if (heir) this.#scheduler.enqueue(heir.monitor, job);",
  },
  {
    name: "a refused command runs",
    file: "hub/mux.ts",
    from: "if (!verdict.allow) {",
    to: "if (!verdict.allow && oob) {",
  },
  {
    name: "the list of commands is not cut to the role",
    file: "hub/mux.ts",
    from: "monitor.fill(ticket, seenBy(monitor.terms.role, settled.command, reply));",
    to: "monitor.fill(ticket, reply);",
  },
  {
    name: "a QEMU that was never ready is told to be lost",
    file: "hub/mux.ts",
    from: "if (wasReady) this.#spread(",
    to: "this.#spread(",
  },
  {
    name: "the end is not told when QEMU goes meanwhile",
    file: "hub/mux.ts",
    from: "was not sent`);\n    this.#rest();",
    to: "was not sent`);",
  },
  {
    name: "who waits for a greeting is forgotten",
    file: "hub/mux.ts",
    from: "monitor.greet(greeting);\n      monitor.peer.resume();",
    to: "monitor.greet(greeting);",
  },
  {
    name: "a command given up still waits",
    file: "hub/mux.ts",
    from: "if (!job.sent) this.#scheduler.remove(job);",
    to: "if (!job.sent && others.length > 0) this.#scheduler.remove(job);",
  },
  {
    name: "what follows a shared question overtakes it",
    file: "hub/mux.ts",
    from: "const after = joined?.sent ? undefined : joined;",
    to: "const after = undefined;",
  },
  {
    name: "only the first who shares a question has a deadline",
    file: "hub/mux.ts",
    from: "const late = job.askers.filter(({ deadline }) => deadline <= this.#now);",
    to: "const late = job.askers.filter(() => job.askers[0]!.deadline <= this.#now);",
  },
  {
    name: "a client's id goes on to QEMU",
    file: "wire/message.ts",
    from: "bytes: idMember ? without(frame, idMember) : bytes,",
    to: "bytes,",
  },
  {
    name: "an id is put behind an error",
    file: "wire/reply.ts",
    from: 'if (reply.kind === "error") return inserted(bytes, 1, `"id": ${id}, `);',
    to: "",
  },
  {
    name: "a key may come twice",
    file: "wire/frame.ts",
    from: "if (keys.has(key)) return texts.duplicateKey;",
    to: "",
  },
  {
    name: "an escaped quote ends a string of QEMU's",
    file: "wire/balance.ts",
    from: "else if (byte === BACKSLASH) escaped = true;",
    to: "",
  },
];

/** How a fault was found, and in which world; `undefined` where it was not. */
export interface Finding {
  readonly fault: Fault;
  /** Steps until a promise was seen broken. */
  readonly steps: number;
  readonly core: Core;
  readonly failure: Failure | undefined;
}

/** Plants a fault in a copy of the core and plays until it is found, or for so many steps. */
export async function find(fault: Fault, steps: number, seed = 1): Promise<Finding> {
  const directory = await Deno.makeTempDir({ prefix: "qmpmux-fault-" });
  try {
    await copy(LIB, directory, fault);
    const core: Core = await import(`file://${directory}/mod.ts`);
    let played = 0;
    for (let each = seed; played < steps; each++) {
      const failure = playSeed(core, each);
      if (failure) {
        return { fault, core, failure, steps: played + failure.actions.length };
      }
      played += WORLD_STEPS;
    }
    return { fault, core, failure: undefined, steps: played };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function copy(from: URL, to: string, fault: Fault): Promise<void> {
  let planted = false;
  const walk = async (path: string): Promise<void> => {
    await Deno.mkdir(`${to}/${path}`, { recursive: true });
    for await (const { name, isDirectory } of Deno.readDir(new URL(path, from))) {
      if (isDirectory) {
        await walk(`${path}${name}/`);
        continue;
      }
      let text = await Deno.readTextFile(new URL(path + name, from));
      if (path + name === fault.file) {
        const parts = text.split(fault.from);
        if (parts.length !== 2) {
          throw new Error(`${fault.file}: ${parts.length - 1} times: ${fault.from}`);
        }
        text = parts.join(fault.to);
        planted = true;
      }
      await Deno.writeTextFile(`${to}/${path}${name}`, text);
    }
  };
  await walk("");
  if (!planted) throw new Error(`There is no ${fault.file}`);
}

if (import.meta.main) {
  const steps = 500_000;
  const verbose = Deno.args.includes("--transcripts");
  let found = 0;
  for (const fault of FAULTS) {
    const finding = await find(fault, steps);
    const { failure } = finding;
    if (failure) found++;
    const how = failure
      ? `found after ${finding.steps} steps (${failure.promise})`
      : `NOT found in ${finding.steps} steps`;
    console.log(`${fault.name}: ${how}`);
    if (failure && verbose) console.log(report(finding.core, failure));
  }
  console.log(`${found} of ${FAULTS.length} planted faults were found`);
  if (found < FAULTS.length) Deno.exit(1);
}
