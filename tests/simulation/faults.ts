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
    from: "OWNER_LIMIT = 2",
    to: "OWNER_LIMIT = 3",
  },
  {
    name: "two commands of one client at QEMU while others are served",
    file: "sharing/scheduler.ts",
    from: "isAlone ? OWNER_LIMIT : SHARED_LIMIT",
    to: "OWNER_LIMIT",
  },
  {
    name: "what overtakes is not one of a client's two",
    file: "sharing/scheduler.ts",
    from: "if (busy.overtook) return",
    to: "if (false) return",
  },
  {
    name: "what has been answered still counts as at QEMU",
    file: "hub/dispatch.ts",
    from: "this.#scheduler.remove(request);\n    if (state",
    to: 'if (state === "waiting") this.#scheduler.remove(request);\n    if (state',
  },
  {
    name: "what overtakes is sent though too much of it was given up",
    file: "session/upstream.ts",
    from: "ABANDONED_LIMIT = 16",
    to: "ABANDONED_LIMIT = 17",
  },
  {
    name: "what was at QEMU is still awaited after a loss",
    file: "session/upstream.ts",
    from: "this.#inBand = [];\n    this.#outOfBand.clear();",
    to: "",
  },
  {
    name: "any reply ends the negotiation",
    file: "session/handshake.ts",
    from: "if (!answer || message.id !== nonce)",
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
    from: 'return broken("it sent a second greeting", message.bytes);',
    to: "return { dropped: message };",
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
    from: "if (reply === undefined) break;",
    to: "if (reply === undefined) continue;",
  },
  {
    name: "an answer of ours is given before its turn",
    file: "session/monitor.ts",
    from: "this.#slots.push(slot);\n    this.#settle();",
    to: "slot.answer = answer(slot); this.#slots.push(slot);\n    this.#settle();",
  },
  {
    name: "events come before the handshake is over",
    file: "session/monitor.ts",
    from: 'if (mode !== "command" || this.left) return false;',
    to: "if (this.left) return false;",
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
    from: "if (events !== undefined && !events.has(name.text)) return false;",
    to: "",
  },
  {
    name: "a client that has left is still sent its reply",
    file: "session/monitor.ts",
    from: "fill(ticket: Ticket, reply: Reply): void {\n    if (this.left) return;",
    to: "fill(ticket: Ticket, reply: Reply): void {",
  },
  {
    name: "a client keeps a capability that QEMU has lost",
    file: "session/monitor.ts",
    from: "return [...this.#state.capabilities].every((name) => offered.includes(name));",
    to: "return true;",
  },
  {
    name: "new terms are not taken",
    file: "session/monitor.ts",
    from: "adopt(grant: Grant): void {\n    this.#grant = grant;",
    to: "adopt(_terms: Grant): void {",
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
    from: "this.#cached.clear();",
    to: "",
  },
  {
    name: "a question can be joined when it has left",
    file: "sharing/query_cache.ts",
    from: "started(question: Question): void {\n    this.#pending.delete(question);",
    to: "started(question: Question): void {",
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
      "      this.#waiting.delete(owner);\n      if (jobs.length > 0) this.#waiting.set(owner, jobs);",
    to: "      if (jobs.length === 0) this.#waiting.delete(owner);",
  },
  {
    name: "the last of a client's commands goes first",
    file: "sharing/scheduler.ts",
    from: "const job = jobs.shift()!;",
    to: "const job = jobs.pop()!;",
  },
  {
    name: "a client joins though it has something unfinished",
    file: "hub/dispatch.ts",
    from: "joins && monitor.idle ? this.#question(command)",
    to: "joins ? this.#question(command)",
  },
  {
    name: "a client joins where its listener says it may not",
    file: "hub/dispatch.ts",
    from: "joins && monitor.idle ? this.#question(command)",
    to: "monitor.idle ? this.#question(command)",
  },
  {
    name: "kept answers are given where the listener wants none",
    file: "hub/dispatch.ts",
    from: "caches ? this.#cache.cached(command)",
    to: "true ? this.#cache.cached(command)",
  },
  {
    name: "a shared question goes with the first who asked it",
    file: "hub/dispatch.ts",
    from: "else this.#inherit(request);\n    }",
    to: 'else this.#retire(request, "dropped");\n    }',
  },
  {
    name: "a shared question that is inherited waits behind what came later",
    file: "hub/dispatch.ts",
    from: "this.#scheduler.enqueueFirst(heir.monitor, request);",
    to: "this.#scheduler.enqueue(heir.monitor, request);",
  },
  {
    name: "a refused command runs",
    file: "hub/intake.ts",
    from: "if (!verdict.allow) {",
    to: "if (!verdict.allow && oob) {",
  },
  {
    name: "the list of commands is not cut to the role",
    file: "hub/dispatch.ts",
    from: "monitor.fill(ticket, seenBy(monitor.grant.role, command, reply));",
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
    from: "answerAskers();\n    }\n    this.#rest();",
    to: "answerAskers();\n    }",
  },
  {
    name: "who waits for a greeting is forgotten",
    file: "hub/mux.ts",
    from: "monitor.greet(greeting);\n        monitor.peer.resume();",
    to: "monitor.greet(greeting);",
  },
  {
    name: "a command given up still waits",
    file: "hub/dispatch.ts",
    from: "this.#scheduler.remove(request);\n    if (state",
    to: 'if (state === "sent") this.#scheduler.remove(request);\n    if (state',
  },
  {
    name: "a shared question loses its turn when one who joined it gives up",
    file: "hub/dispatch.ts",
    from: "(owner === undefined || late.includes(owner))",
    to: "owner !== null",
  },
  {
    name: "a question about a descriptor is shared",
    file: "hub/dispatch.ts",
    from: "question === undefined || namesDescriptors(command) ? undefined : question",
    to: "namesDescriptors === undefined ? undefined : question",
  },
  {
    name: "what is held back waits still when it is given up",
    file: "hub/dispatch.ts",
    from: "this.#heldBack.delete(request);\n    this.#scheduler.remove",
    to: "this.#scheduler.remove",
  },
  {
    name: "what follows a shared question overtakes it",
    file: "hub/dispatch.ts",
    from: 'after: joined?.state === "waiting" ? joined : undefined,',
    to: "after: undefined,",
  },
  {
    name: "only the first who shares a question has a deadline",
    file: "hub/dispatch.ts",
    from: "const late = request.askers.filter(({ deadline }) => deadline <= now);",
    to: "const late = request.askers.filter(() => request.askers[0]!.deadline <= now);",
  },
  {
    name: "a QEMU that was not asked counts as stalled",
    file: "session/upstream.ts",
    from: "silence < patience || !owes || this.#stalled",
    to: "silence < patience || this.#stalled",
  },
  {
    name: "a client that has ended itself is told so",
    file: "session/monitor.ts",
    from: "// The answer may have disconnected the client.\n      if (this.left) return;",
    to: "",
  },
  {
    name: "what an answer of ours brings is sent before its turn",
    file: "session/monitor.ts",
    from: "if (this.#settling) return;",
    to: "",
  },
  {
    name: "a client is not ended though an administrator is told so",
    file: "hub/administration.ts",
    from: 'vm.dismiss(monitor, `disconnected by ${asker.name}`, "kicked");',
    to: "",
  },
  {
    name: "a client that is ended stays in the list",
    file: "hub/mux.ts",
    from: "if (!this.#monitors.delete(monitor)) return;",
    to: "if (!this.#monitors.has(monitor) || monitor.left) return;",
  },
  {
    name: "new settings are not taken",
    file: "hub/mux.ts",
    from: "adopt(options: MuxOptions): void {\n    this.#options = options;",
    to: "adopt(_options: MuxOptions): void {",
  },
  {
    name: "what waits out of turn is not counted",
    file: "session/monitor.ts",
    from: "return this.#slots.length + (this.#oobWaiting ? 1 : 0);",
    to: "return this.#slots.length;",
  },
  {
    name: "our own answers are plain where QEMU's are pretty",
    file: "session/monitor.ts",
    from: "const styled = this.#pretty && isPrettied(reply) ? pretty(reply) : reply;",
    to: "const styled = this.#pretty && isPrettied(reply) && pretty ? reply : reply;",
  },
  {
    name: "a pretty reply is read to its depths",
    file: "wire/message.ts",
    from: "(isPretty(bytes) ? readPretty(bytes) : leadingId(bytes))",
    to: "(isPretty(bytes) && !readPretty ? undefined : leadingId(bytes))",
  },
  {
    name: "data comes behind a pretty error",
    file: "wire/reply.ts",
    from: "if (isPretty(bytes)) {\n    const line = `,",
    to: "if (bytes.length === 0) {\n    const line = `,",
  },
  {
    name: "an id is not indented",
    file: "wire/command_reader.ts",
    from: "isPretty ? { depth: ID_DEPTH, limit } : {}",
    to: "isPretty ? { limit } : {}",
  },
  {
    name: "a command that is too long runs",
    file: "wire/frame.ts",
    from: "this.#limit = Math.min(bytes, token.TOKEN_BYTES_LIMIT);",
    to: "this.#limit = Math.max(bytes, token.TOKEN_BYTES_LIMIT);",
  },
  {
    name: "a text inside a command that is too long becomes a command",
    file: "wire/frame.ts",
    from:
      "this.#skipping = true;\n    this.#normalizer.forget();\n    return { damage: TOO_LONG };",
    to: "this.#normalizer.forget();\n    return { damage: TOO_LONG };",
  },
  {
    name: "descriptors that wait stay open when their client goes",
    file: "session/monitor.ts",
    from: "const slots = this.#slots.splice(0);\n    this.takeFds()?.close();",
    to: "const slots = this.#slots.splice(0);",
  },
  {
    name: "descriptors that come after the end of their client stay open",
    file: "hub/mux.ts",
    from: "if (monitor.left) fds.close();\n    else monitor",
    to: "monitor",
  },
  {
    name: "what comes later does not close what waits",
    file: "session/monitor.ts",
    from: "this.#fds?.close();",
    to: "",
  },
  {
    name: "what a command takes is not taken away",
    file: "session/monitor.ts",
    from: "this.#fds = undefined;",
    to: "",
  },
  {
    name: "descriptors of a command that is forgotten stay open",
    file: "hub/dispatch.ts",
    from: 'if (state === "waiting") fds?.close();',
    to: 'if (state === "waiting" && end !== "dropped") fds?.close();',
  },
  {
    name: "descriptors of a command given up stay open",
    file: "hub/dispatch.ts",
    from: 'else if (others.length === 0) this.#retire(request, "dropped");',
    to: 'else if (others.length === 0) this.#retire({ ...request, fds: undefined }, "dropped");',
  },
  {
    name: "descriptors of a command given up are closed though QEMU has them",
    file: "hub/dispatch.ts",
    from: 'if (state === "waiting") fds?.close();',
    to: "fds?.close();",
  },
  {
    name: "descriptors of what was not sent stay open when QEMU goes",
    file: "hub/dispatch.ts",
    from: 'for (const request of unsent) this.#retire(request, "dropped");',
    to: 'for (const request of unsent) this.#retire({ ...request, fds: undefined }, "dropped");',
  },
  {
    name: "descriptors of a command that is refused stay open",
    file: "hub/dispatch.ts",
    from: 'this.#retire(request, "refused");',
    to: 'this.#retire({ ...request, fds: undefined }, "refused");',
  },
  {
    name: "a command that a role refuses takes what came",
    file: "hub/intake.ts",
    from: "if (!verdict.allow) {",
    to: "if (!verdict.allow) {\n      monitor.takeFds()?.close();",
  },
  {
    name: "a command with wrong arguments takes what came",
    file: "hub/fd_gate.ts",
    from: "takesDescriptor(command) && takesSurely(command);\n  const fds",
    to: "takesDescriptor(command);\n  const fds",
  },
  {
    name: "an out-of-band command takes what came",
    file: "hub/fd_gate.ts",
    from: "const takes = !command.oob && ",
    to: "const takes = ",
  },
  {
    name: "something follows a command with descriptors",
    file: "hub/fd_gate.ts",
    from: "return this.#taking?.fds !== undefined;",
    to: "return false;",
  },
  {
    name: "what overtakes follows a command with descriptors",
    file: "hub/dispatch.ts",
    from: "const held = this.#gate.hasFds || this.#isBroken;",
    to: "const held = false;",
  },
  {
    name: "a silent QEMU is asked behind a command with descriptors",
    file: "session/upstream.ts",
    from: "!this.#asked && !hasFds",
    to: "!this.#asked",
  },
  {
    name: "a command with descriptors does not go alone",
    file: "hub/fd_gate.ts",
    from: 'return fds !== undefined && busy ? "hold" : true;',
    to: "return fds === undefined || !busy || true;",
  },
  {
    name: "others go before a command with descriptors",
    file: "hub/fd_gate.ts",
    from: '"hold" : true',
    to: "false : true",
  },
  {
    name: "two commands that take a descriptor are at QEMU",
    file: "hub/fd_gate.ts",
    from: "if (this.#taking !== undefined && takesDescriptor(command)) return false;",
    to: "",
  },
  {
    name: "a command that takes a descriptor is under way for ever",
    file: "hub/fd_gate.ts",
    from: "if (this.#taking === request) this.#taking = undefined;",
    to: "",
  },
  {
    name: "what took a descriptor of a QEMU that has gone is under way still",
    file: "hub/fd_gate.ts",
    from: "this.#tracked.clear();\n    this.#taking = undefined;",
    to: "this.#tracked.clear();",
  },
  {
    name: "what QEMU has kept can be taken by another",
    file: "hub/fd_gate.ts",
    from: 'if (fds) this.#strayed = reply.kind === "error";',
    to: "",
  },
  {
    name: "what a QEMU that has gone kept is feared still",
    file: "hub/fd_gate.ts",
    from: "this.#taking = undefined;\n    this.#strayed = false;",
    to: "this.#taking = undefined;",
  },
  {
    name: "a name that QEMU is about to forget is another's already",
    file: "sharing/fd_names.ts",
    from: "this.#closings.set(command, name);",
    to: "this.#closings.set(command, name);\n    this.#upstream.delete(name.upstream);",
  },
  {
    name: "what is held back counts before it is sent",
    file: "hub/dispatch.ts",
    from: "if (!held && !this.#lets(request)) return;",
    to: "if (!this.#lets(request)) return;",
  },
  {
    name: "what was held back is sent though its client has left",
    file: "hub/dispatch.ts",
    from: 'if (!isAwaited(request)) this.#retire(request, "dropped");',
    to: 'if (request === undefined) this.#retire(request, "dropped");',
  },
  {
    name: "what was held back is not looked at when it goes",
    file: "hub/dispatch.ts",
    from: "if (this.#lets(request)) this.#send(request);\n      }",
    to: "this.#send(request);\n      }",
  },
  {
    name: "what a client leaves is closed though it is another's by now",
    file: "sharing/fd_names.ts",
    from: "names.filter(({ atQemu }) => atQemu === 0)",
    to: "names.filter(() => true)",
  },
  {
    name: "what a client leaves is not asked for after its last command",
    file: "hub/dispatch.ts",
    from: "if (owner?.left) this.clean(owner);",
    to: "",
  },
  {
    name: "what a client leaves is forgotten when it goes twice",
    file: "hub/mux.ts",
    from: "if (!this.#monitors.delete(monitor)) return;",
    to: "this.#monitors.delete(monitor);",
  },
  {
    name: "at the end names stay at QEMU",
    file: "hub/mux.ts",
    from: "for (const monitor of this.#monitors) this.#dispatch.clean(monitor);",
    to: "",
  },
  {
    name: "a name is closed twice",
    file: "sharing/fd_names.ts",
    from: "    this.#disown(name);\n    const command = ownCommand",
    to: "    const command = ownCommand",
  },
  {
    name: "a name of somebody else's is used",
    file: "sharing/fd_names.ts",
    from: 'return tag ?? (this.#isFree(text) ? "" : this.#tags!.none);',
    to: 'return tag ?? "";',
  },
  {
    name: "a name of somebody else's is given anew",
    file: "sharing/fd_names.ts",
    from: 'const tag = this.#isFree(own) ? "" : this.#tags!.next();',
    to: 'const tag = "";',
  },
  {
    name: "a name gets a tag though nobody else has it",
    file: "sharing/fd_names.ts",
    from: 'const tag = this.#isFree(own) ? "" : this.#tags!.next();',
    to: "const tag = this.#tags!.next();",
  },
  {
    name: "a tag is given twice",
    file: "wire/tags.ts",
    from: "(++this.#last)",
    to: "(1)",
  },
  {
    name: "the tag of what is not there is given",
    file: "sharing/fd_names.ts",
    from: '"" : this.#tags!.next();',
    to: '"" : this.#tags!.none;',
  },
  {
    name: "a client reaches another's by the name that QEMU has for it",
    file: "sharing/fd_names.ts",
    from:
      "if (this.#upstream.has(own)) return false;\n    // A name that looks tagged would lose its end in QEMU's messages.\n    return this.#tags === undefined || !own.includes(this.#tags.mark);",
    to: "return this.#upstream.get(own)?.own !== own;",
  },
  {
    name: "what a client has written as a tag is taken off",
    file: "sharing/fd_names.ts",
    from: "return this.#tags === undefined || !own.includes(this.#tags.mark);",
    to: "return true;",
  },
  {
    name: "of two tags both are taken off",
    file: "wire/tags.ts",
    from: "if (end !== undefined && isLast)",
    to: "if (end !== undefined)",
  },
  {
    name: "tags stay in errors",
    file: "hub/mux.ts",
    from: "readMessage(this.#dispatch.withOwnNames(input))",
    to: "readMessage(input[2] === 0x65 ? input : this.#dispatch.withOwnNames(input))",
  },
  {
    name: "tags stay in events",
    file: "hub/mux.ts",
    from: "readMessage(this.#dispatch.withOwnNames(input))",
    to: "readMessage(input[2] === 0x74 ? input : this.#dispatch.withOwnNames(input))",
  },
  {
    name: "tags stay in what QEMU answers to another client",
    file: "wire/tags.ts",
    from: "if (!this.#used) return bytes;",
    to: "if (!(this.#used = !this.#used)) return bytes;",
  },
  {
    name: "the names of descriptors are not those that QEMU has",
    file: "hub/dispatch.ts",
    from: "request.bytes = admitted;",
    to: "",
  },
  {
    name: "a name that QEMU may have still is free",
    file: "sharing/fd_names.ts",
    from: "else this.#doubt(name);",
    to: "else this.#gone(name);",
  },
  {
    name: "a name that has been given anew is in doubt still",
    file: "sharing/fd_names.ts",
    from: "      name.held = true;\n      this.#namespaces.get(name.owner)?.doubted.delete(name);",
    to: "",
  },
  {
    name: "names are not seen in addresses",
    file: "sharing/fd_references.ts",
    from: "if (!isPrefixed && !NAMING.test(key)) return;",
    to: "if (!NAMING.test(key)) return;",
  },
  {
    name: "names are not seen among several",
    file: "sharing/fd_references.ts",
    from: 'key.endsWith("fds") && !inArray ? text.split(":")',
    to: 'key.endsWith("fds") && text === "" ? text.split(":")',
  },
  {
    name: "a name that was used belongs to its client still",
    file: "sharing/fd_names.ts",
    from: "if (isClosed || (worked && isTakenAway)) this.#gone(name);",
    to: "if (isClosed) this.#gone(name);",
  },
  {
    name: "names of a QEMU that has gone belong to somebody",
    file: "sharing/fd_names.ts",
    from: "this.#namespaces.clear();",
    to: "",
  },
  {
    name: "the names of an earlier connection are anybody's",
    file: "sharing/fd_names.ts",
    from: "for (const name of this.#excess) this.#upstream.set(name.upstream, name);",
    to: "",
  },
  {
    name: "the names of an earlier connection stay at QEMU",
    file: "hub/mux.ts",
    from: "this.#dispatch.ready();",
    to: "",
  },
  {
    name: "a set of somebody else's is changed",
    file: "sharing/fd_sets.ts",
    from: "if (concerned.every((each) => each === undefined || each === owner)) return undefined;",
    to: "return undefined;",
  },
  {
    name: "what is put into a set is not noted",
    file: "sharing/fd_sets.ts",
    from: "set.owners.set(String(fd), owner);",
    to: "",
  },
  {
    name: "a set in use is forgotten with its client",
    file: "sharing/fd_sets.ts",
    from: "owners.set(fd, undefined);",
    to: "owners.delete(fd); if (owners.size === 0 && set.uses === 0) this.#sets.delete(id);",
  },
  {
    name: "a set that was made anew counts as used",
    file: "sharing/fd_sets.ts",
    from: "asked === undefined ? undefined : this.#sets.get(asked);",
    to: "this.#sets.get(String(id));",
  },
  {
    name: "a set that a command has named is closed",
    file: "sharing/fd_sets.ts",
    from: "if (set.uses === 0) commands.push(",
    to: "if (true) commands.push(",
  },
  {
    name: "what was left in a set that is used no more stays there",
    file: "hub/dispatch.ts",
    from: "this.#free();\n    if (owner",
    to: "if (owner",
  },
  {
    name: "a set that a command could not open counts as used",
    file: "sharing/fd_sets.ts",
    from: "if (!worked || PASSING.has(command.name)) free(named);",
    to: "if (PASSING.has(command.name)) free(named);",
  },
  {
    name: "what QEMU has answered is not on record",
    file: "hub/dispatch.ts",
    from: "this.#recorder.ended(request, end);",
    to: 'if (typeof end === "string") this.#recorder.ended(request, end);',
  },
  {
    name: "what a client that left did not wait for is not on record",
    file: "hub/dispatch.ts",
    from: "this.#recorder.ended(request, end);",
    to: 'if (end !== "dropped") this.#recorder.ended(request, end);',
  },
  {
    name: "what was given up is not on record",
    file: "hub/dispatch.ts",
    from: "this.#recorder.ended({ ...request, askers: late }",
    to: "this.#recorder.ended({ ...request, askers: [] }",
  },
  {
    name: "what was given up is on record again when QEMU answers",
    file: "hub/dispatch.ts",
    from: "request.askers.splice(0, request.askers.length, ...others);",
    to: "if (others.length > 0) request.askers.splice(0, request.askers.length, ...others);",
  },
  {
    name: "what QEMU did not answer before it went is not on record",
    file: "hub/dispatch.ts",
    from: "this.#recorder.ended(request, end);",
    to: 'if (end !== "lost") this.#recorder.ended(request, end);',
  },
  {
    name: "an answer of ours whose client has left is not on record",
    file: "hub/mux.ts",
    from: "this.#recorder.recordDropped(dropped);",
    to: "",
  },
  {
    name: "a client's id goes on to QEMU",
    file: "wire/command_reader.ts",
    from: "bytes: idPlace === ABSENT ? bytes : withoutMember(frame, idPlace),",
    to: "bytes,",
  },
  {
    name: "an id is put behind an error",
    file: "wire/reply.ts",
    from: 'if (kind === "error") return [1, `"id": ${id}, `];',
    to: "",
  },
  {
    name: "a key may come twice",
    file: "wire/normalizer.ts",
    from:
      "if (!this.#keys.add(object, this.#out.buffer, keyStart, keyEnd)) return texts.duplicateKey;",
    to: "",
  },
  {
    name: "an escaped quote ends a string of QEMU's",
    file: "wire/message_splitter.ts",
    from: "else if (byte === BACKSLASH) escaped = true;",
    to: "",
  },
  {
    name: "an element of QEMU's list is parsed unguarded",
    file: "hub/listing.ts",
    from: "} catch {\n    throw notElements(reply);",
    to: "} catch (error) {\n    throw error;",
  },
  {
    name: "an object that QEMU returns is parsed unguarded",
    file: "wire/reply.ts",
    from: "} catch {\n    // Malformed JSON is refused",
    to: "} catch (error) {\n    if (reply) throw error;\n    // Malformed JSON is refused",
  },
  {
    name: "an object that QEMU returns may have any length",
    file: "wire/reply.ts",
    from: "if (reply.bytes.length > OBJECT_BYTES_LIMIT) {",
    to: "if (reply.bytes.length > 1e9 * OBJECT_BYTES_LIMIT) {",
  },
  {
    name: "a list of commands may have any length",
    file: "hub/listing.ts",
    from: "if (reply.bytes.length > LIST_BYTES_LIMIT) {",
    to: "if (reply.bytes.length > 1e9 * LIST_BYTES_LIMIT) {",
  },
  {
    name: "a list of commands may hold anything",
    file: "hub/listing.ts",
    from: 'if (typeof Object(element).name === "string") return true;',
    to: "if (element !== undefined) return true;",
  },
  {
    name: "the name of an event may have any length",
    file: "session/upstream.ts",
    from: "message.name.length <= EVENT_NAME_CHARS_LIMIT",
    to: "message.name.length <= 1e9 * EVENT_NAME_CHARS_LIMIT",
  },
  {
    name: "a plain reply is indented where QEMU has greeted with pretty=on",
    file: "session/upstream.ts",
    from: "isPretty(this.#greeting!.bytes) && !isPretty(message.bytes)",
    to: "isPretty(this.#greeting!.bytes) && message.bytes.length === 0",
  },
  {
    name: "a set of QEMU's may have any number",
    file: "sharing/fd_sets.ts",
    from: "if (!isSmallNumber(id) || !isSmallNumber(fd)) {",
    to: "if (id === undefined || fd === undefined) {",
  },
  {
    name: "an error of QEMU's may have any shape",
    file: "wire/message.ts",
    from:
      "if (error !== undefined && !isErrorBody(frame.bytes.subarray(...span(error)))) return undefined;",
    to: "",
  },
  {
    name: "an answer with a number that nobody was given is dropped",
    file: "session/upstream.ts",
    from: "Number(id) <= this.#lastId;",
    to: "Number(id) > 0;",
  },
  {
    name: "a connection with unexpected bytes goes on",
    file: "hub/mux.ts",
    from: 'return this.#qemu?.close({ kind: "unexpected", text, detail });',
    to: "return void [text, detail];",
  },
  {
    name: "who waits for an answer that cannot be read is told nothing",
    file: "hub/dispatch.ts",
    from: "failAll(askers, desc, this.#contain);\n      throw error;",
    to: "if (desc === undefined) failAll(askers, desc, this.#contain);\n      throw error;",
  },
];

/** The way in which a fault was found, and the world; `failure` is `undefined` if it was not. */
export interface Finding {
  readonly fault: Fault;
  /** Steps until a promise was seen broken. */
  readonly steps: number;
  readonly core: Core;
  readonly failure: Failure | undefined;
}

/** Plants a fault in a copy of the core and plays until it is found, or for that many steps. */
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
  const steps = 10_000_000;
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
