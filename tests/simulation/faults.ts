/**
 * Faults planted in the core, which the simulation must find.
 *
 *     deno task simulate:faults
 *
 * Each is a small change of text in a copy of `lib/`. A fault whose text is no longer in the code
 * is an error: the list follows the code.
 *
 * @module
 */

import { EVENT_FAULTS } from "./event_faults.ts";
import { type Failure, playSeed, report, WORLD_STEPS } from "./run.ts";
import type { Core } from "./world.ts";

const LIB = new URL("../../lib/", import.meta.url);

/** A fault: `from` in this file is replaced by `to`. */
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
    name: "an overtaking command does not count as one of a client's two",
    file: "sharing/scheduler.ts",
    from: "if (busy.overtook) return",
    to: "if (false) return",
  },
  {
    name: "an answered command still counts as at QEMU",
    file: "hub/dispatch.ts",
    from: "this.#scheduler.remove(request);\n    if (state",
    to: 'if (state === "waiting") this.#scheduler.remove(request);\n    if (state',
  },
  {
    name: "a command overtakes although too many abandoned ones are at QEMU",
    file: "session/upstream.ts",
    from: "ABANDONED_LIMIT = 16",
    to: "ABANDONED_LIMIT = 17",
  },
  {
    name: "commands at QEMU are still pending after a disconnect",
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
    name: "out-of-band numbers restart",
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
    name: "a second greeting is read as an event",
    file: "session/upstream.ts",
    from: 'return broken("it sent a second greeting", message.bytes);',
    to: "return { dropped: message };",
  },
  {
    name: "a silent QEMU is probed too late",
    file: "session/upstream.ts",
    from: "silence >= patience / 2 && ",
    to: "silence >= patience && ",
  },
  {
    name: "a stalled QEMU is not reported",
    file: "hub/mux.ts",
    from: "this.#notices.stalled(true);",
    to: ";",
  },
  {
    name: "a client that waits for a greeting is disconnected too late",
    file: "hub/mux.ts",
    from: "if (now - since < handshakeTime) continue;",
    to: "if (now - since < 2 * handshakeTime) continue;",
  },
  {
    name: "ten commands of a client are pending",
    file: "session/slot.ts",
    from: "withOob: 9",
    to: "withOob: 10",
  },
  {
    name: "a client is read past an out-of-band command",
    file: "session/monitor.ts",
    from: "this.#slots.length >= limit || this.#oobWaiting",
    to: "this.#slots.length >= limit",
  },
  {
    name: "a reply does not wait for earlier ones",
    file: "session/monitor.ts",
    from: "if (reply === undefined) break;",
    to: "if (reply === undefined) continue;",
  },
  {
    name: "a local reply is sent before its turn",
    file: "session/monitor.ts",
    from: "this.#slots.push(slot);\n    this.#settle();",
    to: "slot.answer = answer(slot); this.#slots.push(slot);\n    this.#settle();",
  },
  {
    name: "events are sent before the handshake is complete",
    file: "session/monitor.ts",
    from: 'if (mode !== "command" || this.left) return false;',
    to: "if (this.left) return false;",
  },
  {
    name: "a role's event filter is ignored",
    file: "session/monitor.ts",
    from: "if (role.events !== undefined && !role.events.passes(name)) return false;",
    to: "",
  },
  {
    name: "events are sent that the dialect has not enabled",
    file: "session/monitor.ts",
    from: "if (events !== undefined && !this.#reader && !events.has(name.text)) return false;",
    to: "",
  },
  {
    name: "a disconnected client is still sent its reply",
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
    name: "new settings of a client are not applied",
    file: "session/monitor.ts",
    from: "adopt(grant: Grant): void {\n    this.#grant = grant;",
    to: "adopt(_terms: Grant): void {",
  },
  {
    name: "oob is enabled although QEMU does not offer it",
    file: "session/dialect.ts",
    from: "if (missing.length > 0) {",
    to: "if (missing.length > 9) {",
  },
  {
    name: "cached replies outlive a QEMU",
    file: "sharing/query_cache.ts",
    from: "this.#cached.clear();",
    to: "",
  },
  {
    name: "a query that has been sent can still be joined",
    file: "sharing/query_cache.ts",
    from: "started(question: Question): void {\n    this.#pending.delete(question);",
    to: "started(question: Question): void {",
  },
  {
    name: "errors are cached",
    file: "sharing/query_cache.ts",
    from: ' && isPlain(command) && reply.kind === "return";',
    to: " && isPlain(command);",
  },
  {
    name: "queries with different arguments are joined",
    file: "sharing/query_cache.ts",
    from: "return name + argumentsText(command);",
    to: "return name;",
  },
  {
    name: "a client keeps its turn after it was served",
    file: "sharing/scheduler.ts",
    from:
      "      this.#waiting.delete(owner);\n      if (jobs.length > 0) this.#waiting.set(owner, jobs);",
    to: "      if (jobs.length === 0) this.#waiting.delete(owner);",
  },
  {
    name: "a client's last command is sent first",
    file: "sharing/scheduler.ts",
    from: "const job = jobs.shift()!;",
    to: "const job = jobs.pop()!;",
  },
  {
    name: "a client joins a query while it has a pending command",
    file: "hub/dispatch.ts",
    from: "joins && monitor.idle ? this.#question(command)",
    to: "joins ? this.#question(command)",
  },
  {
    name: "a client joins although its listener forbids it",
    file: "hub/dispatch.ts",
    from: "joins && monitor.idle ? this.#question(command)",
    to: "monitor.idle ? this.#question(command)",
  },
  {
    name: "cached replies are used although the listener forbids it",
    file: "hub/dispatch.ts",
    from: "caches ? this.#cache.cached(command)",
    to: "true ? this.#cache.cached(command)",
  },
  {
    name: "a shared query is dropped with the first client that sent it",
    file: "hub/dispatch.ts",
    from: "else this.#inherit(request);\n    }",
    to: 'else this.#retire(request, "dropped");\n    }',
  },
  {
    name: "an inherited shared query is sent after later commands",
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
    name: "the list of commands is not filtered for the role",
    file: "hub/dispatch.ts",
    from: "monitor.fill(ticket, seenBy(monitor.grant.role, command, reply));",
    to: "monitor.fill(ticket, reply);",
  },
  {
    name: "a QEMU that was never ready is reported as lost",
    file: "hub/mux.ts",
    from: "if (wasReady) this.#spread(",
    to: "this.#spread(",
  },
  {
    name: "the end of a drain is not reported when QEMU disconnects meanwhile",
    file: "hub/mux.ts",
    from: "answerAskers();\n    }\n    this.#rest();",
    to: "answerAskers();\n    }",
  },
  {
    name: "a client that waits for a greeting is forgotten",
    file: "hub/mux.ts",
    from: "monitor.greet(greeting);\n        monitor.peer.resume();",
    to: "monitor.greet(greeting);",
  },
  {
    name: "an abandoned command stays in the queue",
    file: "hub/dispatch.ts",
    from: "this.#scheduler.remove(request);\n    if (state",
    to: 'if (state === "sent") this.#scheduler.remove(request);\n    if (state',
  },
  {
    name: "a shared query loses its turn when a client that joined it abandons it",
    file: "hub/dispatch.ts",
    from: "(owner === undefined || late.includes(owner))",
    to: "owner !== null",
  },
  {
    name: "a query about a descriptor is shared",
    file: "hub/dispatch.ts",
    from: "question === undefined || namesDescriptors(command) ? undefined : question",
    to: "namesDescriptors === undefined ? undefined : question",
  },
  {
    name: "a delayed command stays in the queue after it was abandoned",
    file: "hub/dispatch.ts",
    from: "this.#heldBack.delete(request);\n    this.#scheduler.remove",
    to: "this.#scheduler.remove",
  },
  {
    name: "a command after a shared query overtakes it",
    file: "hub/dispatch.ts",
    from: 'after: joined?.state === "waiting" ? joined : undefined,',
    to: "after: undefined,",
  },
  {
    name: "only the first client of a shared query has a deadline",
    file: "hub/dispatch.ts",
    from: "const late = request.askers.filter(({ deadline }) => deadline <= now);",
    to: "const late = request.askers.filter(() => request.askers[0]!.deadline <= now);",
  },
  {
    name: "a QEMU that was not probed counts as stalled",
    file: "session/upstream.ts",
    from: "silence < patience || !owes || this.#stalled",
    to: "silence < patience || this.#stalled",
  },
  {
    name: "the events of a local reply are sent before its turn",
    file: "session/monitor.ts",
    from: "if (this.#settling) return;",
    to: "",
  },
  {
    name: "a client that has asked to be told of the loss is not",
    file: "hub/mux.ts",
    from: "if (wasReady && isAskedFor(name, monitor)) monitor.peer.send(lost.bytes);",
    to: "",
  },
  {
    name: "a client is told of the loss that has not asked for it by name",
    file: "hub/own_events.ts",
    from: "return monitor.filter?.includes(name.text) === true && monitor.chooses(name);",
    to: "return monitor.chooses(name);",
  },
  {
    name: "a client is not ended though an administrator is told so",
    file: "hub/administration.ts",
    from: 'vm.dismiss(monitor, `disconnected by ${own}${process}`, "kicked");',
    to: "",
  },
  {
    name: "a disconnected client stays in the list",
    file: "hub/mux.ts",
    from: "if (!this.#monitors.delete(monitor)) return;",
    to: "if (!this.#monitors.has(monitor) || monitor.left) return;",
  },
  {
    name: "new settings of the hub are not applied",
    file: "hub/mux.ts",
    from: "adopt(options: MuxOptions): void {\n    this.#options = options;",
    to: "adopt(given: MuxOptions): void {\n    const options = this.#options;\n    void given;",
  },
  {
    name: "commands that wait out of turn are not counted",
    file: "session/monitor.ts",
    from: "return this.#slots.length + (this.#oobWaiting ? 1 : 0);",
    to: "return this.#slots.length;",
  },
  {
    name: "local replies are plain although QEMU's are pretty",
    file: "session/reply_style.ts",
    from: "isPrettyStyle && isPrettied(reply) ? pretty(reply) : reply",
    to: "isPrettyStyle && isPrettied(reply) && pretty ? reply : reply",
  },
  {
    name: "a pretty reply is parsed completely",
    file: "wire/message.ts",
    from: "(isPretty(bytes) ? readPretty(bytes) : leadingId(bytes))",
    to: "(isPretty(bytes) && !readPretty ? undefined : leadingId(bytes))",
  },
  {
    name: "data follows a pretty error instead of being in it",
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
    name: "a text inside a command that is too long runs as a command",
    file: "wire/frame.ts",
    from:
      "this.#skipping = true;\n    this.#normalizer.forget();\n    return this.#damage(TOO_LONG);",
    to: "this.#normalizer.forget();\n    return this.#damage(TOO_LONG);",
  },
  {
    name: "waiting descriptors stay open when their client disconnects",
    file: "session/monitor.ts",
    from: "const slots = this.#slots.splice(0);\n    this.takeFds()?.close();",
    to: "const slots = this.#slots.splice(0);",
  },
  {
    name: "descriptors that arrive after their client has disconnected stay open",
    file: "hub/mux.ts",
    from: "if (monitor.left) fds.close();\n    else monitor",
    to: "monitor",
  },
  {
    name: "new descriptors do not close the waiting ones",
    file: "session/monitor.ts",
    from: "this.#fds?.close();",
    to: "",
  },
  {
    name: "a command's descriptors stay with its client",
    file: "session/monitor.ts",
    from: "this.#fds = undefined;",
    to: "",
  },
  {
    name: "descriptors of a dropped command stay open",
    file: "hub/dispatch.ts",
    from: 'if (state === "waiting") fds?.close();',
    to: 'if (state === "waiting" && end !== "dropped") fds?.close();',
  },
  {
    name: "descriptors of an abandoned command stay open",
    file: "hub/dispatch.ts",
    from: 'else if (others.length === 0) this.#retire(request, "dropped");',
    to: 'else if (others.length === 0) this.#retire({ ...request, fds: undefined }, "dropped");',
  },
  {
    name: "descriptors of an abandoned command are closed although QEMU has them",
    file: "hub/dispatch.ts",
    from: 'if (state === "waiting") fds?.close();',
    to: "fds?.close();",
  },
  {
    name: "descriptors of an unsent command stay open when QEMU disconnects",
    file: "hub/dispatch.ts",
    from: 'for (const request of unsent) this.#retire(request, "dropped");',
    to: 'for (const request of unsent) this.#retire({ ...request, fds: undefined }, "dropped");',
  },
  {
    name: "descriptors of a refused command stay open",
    file: "hub/dispatch.ts",
    from: 'this.#retire(request, "refused");',
    to: 'this.#retire({ ...request, fds: undefined }, "refused");',
  },
  {
    name: "a command that a role refuses takes the descriptors",
    file: "hub/intake.ts",
    from: "if (!verdict.allow) {",
    to: "if (!verdict.allow) {\n      monitor.takeFds()?.close();",
  },
  {
    name: "a command with wrong arguments takes the descriptors",
    file: "hub/fd_gate.ts",
    from: "takesDescriptor(command) && takesSurely(command);\n  const fds",
    to: "takesDescriptor(command);\n  const fds",
  },
  {
    name: "an out-of-band command takes the descriptors",
    file: "hub/fd_gate.ts",
    from: "const takes = !command.oob && ",
    to: "const takes = ",
  },
  {
    name: "a command follows one with descriptors",
    file: "hub/fd_gate.ts",
    from: "return this.#taking?.fds !== undefined;",
    to: "return false;",
  },
  {
    name: "a command overtakes one with descriptors",
    file: "hub/dispatch.ts",
    from: "const held = this.#gate.hasFds || this.#isBroken;",
    to: "const held = false;",
  },
  {
    name: "a silent QEMU is probed behind a command with descriptors",
    file: "session/upstream.ts",
    from: "!this.#asked && !hasFds",
    to: "!this.#asked",
  },
  {
    name: "a command with descriptors is sent beside others",
    file: "hub/fd_gate.ts",
    from: 'return fds !== undefined && busy ? "hold" : true;',
    to: "return fds === undefined || !busy || true;",
  },
  {
    name: "other commands are sent before one with descriptors",
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
    name: "a command that takes a descriptor stays in flight forever",
    file: "hub/fd_gate.ts",
    from: "if (this.#taking === request) this.#taking = undefined;",
    to: "",
  },
  {
    name: "a command that takes a descriptor stays in flight after QEMU has disconnected",
    file: "hub/fd_gate.ts",
    from: "this.#tracked.clear();\n    this.#taking = undefined;",
    to: "this.#tracked.clear();",
  },
  {
    name: "a descriptor that QEMU may have kept can be used by another client",
    file: "hub/fd_gate.ts",
    from: 'if (fds) this.#strayed = reply.kind === "error";',
    to: "",
  },
  {
    name: "a descriptor that a disconnected QEMU kept still blocks others",
    file: "hub/fd_gate.ts",
    from: "this.#taking = undefined;\n    this.#strayed = false;",
    to: "this.#taking = undefined;",
  },
  {
    name: "a name that QEMU is about to close is given to another client",
    file: "sharing/fd_names.ts",
    from: "this.#closings.set(command, name);",
    to: "this.#closings.set(command, name);\n    this.#upstream.delete(name.upstream);",
  },
  {
    name: "a delayed command counts as sent",
    file: "hub/dispatch.ts",
    from: "if (!held && !this.#lets(request)) return;",
    to: "if (!this.#lets(request)) return;",
  },
  {
    name: "a delayed command is sent although its client has disconnected",
    file: "hub/dispatch.ts",
    from: 'if (!isAwaited(request)) this.#retire(request, "dropped");',
    to: 'if (request === undefined) this.#retire(request, "dropped");',
  },
  {
    name: "a delayed command is not checked when it is sent",
    file: "hub/dispatch.ts",
    from: "if (this.#lets(request)) this.#send(request);\n      }",
    to: "this.#send(request);\n      }",
  },
  {
    name: "a client's leftovers are closed although they are another's by now",
    file: "sharing/fd_names.ts",
    from: "names.filter(({ atQemu }) => atQemu === 0)",
    to: "names.filter(() => true)",
  },
  {
    name: "a client's leftovers are not closed after its last command",
    file: "hub/dispatch.ts",
    from: "if (owner?.left) this.clean(owner);",
    to: "",
  },
  {
    name: "a client's leftovers are forgotten when it disconnects twice",
    file: "hub/mux.ts",
    from: "if (!this.#monitors.delete(monitor)) return;",
    to: "this.#monitors.delete(monitor);",
  },
  {
    name: "names stay at QEMU after the shutdown",
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
    name: "another client's name is used",
    file: "sharing/fd_names.ts",
    from: 'return tag ?? (this.#isFree(text) ? "" : this.#tags!.none);',
    to: 'return tag ?? "";',
  },
  {
    name: "another client's name is reused",
    file: "sharing/fd_names.ts",
    from: 'const tag = this.#isFree(own) ? "" : this.#tags!.next();',
    to: 'const tag = "";',
  },
  {
    name: "a name gets a tag although no other client has it",
    file: "sharing/fd_names.ts",
    from: 'const tag = this.#isFree(own) ? "" : this.#tags!.next();',
    to: "const tag = this.#tags!.next();",
  },
  {
    name: "a tag is used twice",
    file: "wire/tags.ts",
    from: "(++this.#last)",
    to: "(1)",
  },
  {
    name: "a name gets the tag reserved for unknown names",
    file: "sharing/fd_names.ts",
    from: '"" : this.#tags!.next();',
    to: '"" : this.#tags!.none;',
  },
  {
    name: "a client reaches another's descriptor by its name at QEMU",
    file: "sharing/fd_names.ts",
    from:
      "if (this.#upstream.has(own)) return false;\n    // If a client's name looks tagged, `withOwnNames` would cut it.\n    return this.#tags === undefined || !own.includes(this.#tags.mark);",
    to: "return this.#upstream.get(own)?.own !== own;",
  },
  {
    name: "a tag that a client has written is removed",
    file: "sharing/fd_names.ts",
    from: "return this.#tags === undefined || !own.includes(this.#tags.mark);",
    to: "return true;",
  },
  {
    name: "both of two tags are removed",
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
    name: "tags stay in QEMU's replies to another client",
    file: "wire/tags.ts",
    from: "if (!this.#used) return bytes;",
    to: "if (!(this.#used = !this.#used)) return bytes;",
  },
  {
    name: "the names of descriptors differ from those at QEMU",
    file: "hub/dispatch.ts",
    from: "request.bytes = admitted;",
    to: "",
  },
  {
    name: "a name that QEMU may still have is free",
    file: "sharing/fd_names.ts",
    from: "else this.#doubt(name);",
    to: "else this.#gone(name);",
  },
  {
    name: "a name that was passed again is still uncertain",
    file: "sharing/fd_names.ts",
    from: "      name.held = true;\n      this.#namespaces.get(name.owner)?.doubted.delete(name);",
    to: "",
  },
  {
    name: "names are not found in addresses",
    file: "sharing/fd_references.ts",
    from: "if (!isPrefixed && !NAMING.test(key)) return;",
    to: "if (!NAMING.test(key)) return;",
  },
  {
    name: "names are not found among several",
    file: "sharing/fd_references.ts",
    from: 'key.endsWith("fds") && !inArray ? text.split(":")',
    to: 'key.endsWith("fds") && text === "" ? text.split(":")',
  },
  {
    name: "a used name still belongs to its client",
    file: "sharing/fd_names.ts",
    from: "if (isClosed || (worked && isTakenAway)) this.#gone(name);",
    to: "if (isClosed) this.#gone(name);",
  },
  {
    name: "names of a disconnected QEMU still have owners",
    file: "sharing/fd_names.ts",
    from: "this.#namespaces.clear();",
    to: "",
  },
  {
    name: "any client can use the names of an earlier connection",
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
    name: "another client's set is changed",
    file: "sharing/fd_sets.ts",
    from: "if (concerned.every((each) => each === undefined || each === owner)) return undefined;",
    to: "return undefined;",
  },
  {
    name: "a descriptor added to a set is not recorded",
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
    name: "a set that was created again counts as used",
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
    name: "the rest of a set stays there after its last use",
    file: "hub/dispatch.ts",
    from: "this.#free();\n    if (owner",
    to: "if (owner",
  },
  {
    name: "a set that a command failed to open counts as used",
    file: "sharing/fd_sets.ts",
    from: "if (!worked || PASSING.has(command.name)) free(named);",
    to: "if (PASSING.has(command.name)) free(named);",
  },
  {
    name: "an answered command is not recorded",
    file: "hub/dispatch.ts",
    from: "this.#recorder.ended(request, end);",
    to: 'if (typeof end === "string") this.#recorder.ended(request, end);',
  },
  {
    name: "the command of a disconnected client is not recorded",
    file: "hub/dispatch.ts",
    from: "this.#recorder.ended(request, end);",
    to: 'if (end !== "dropped") this.#recorder.ended(request, end);',
  },
  {
    name: "an abandoned command is not recorded",
    file: "hub/dispatch.ts",
    from: "this.#recorder.ended({ ...request, askers: late }",
    to: "this.#recorder.ended({ ...request, askers: [] }",
  },
  {
    name: "an abandoned command is recorded again when QEMU answers",
    file: "hub/dispatch.ts",
    from: "request.askers.splice(0, request.askers.length, ...others);",
    to: "if (others.length > 0) request.askers.splice(0, request.askers.length, ...others);",
  },
  {
    name: "a command that QEMU did not answer before its disconnect is not recorded",
    file: "hub/dispatch.ts",
    from: "this.#recorder.ended(request, end);",
    to: 'if (end !== "lost") this.#recorder.ended(request, end);',
  },
  {
    name: "a local reply whose client has disconnected is not recorded",
    file: "hub/mux.ts",
    from: "this.#recorder.recordDropped(dropped);",
    to: "",
  },
  {
    name: "a client's id is forwarded to QEMU",
    file: "wire/command_reader.ts",
    from: "bytes: idPlace === ABSENT ? bytes : withoutMember(frame, idPlace),",
    to: "bytes,",
  },
  {
    name: "an id follows an error",
    file: "wire/reply.ts",
    from: 'if (kind === "error") return [1, `"id": ${id}, `];',
    to: "",
  },
  {
    name: "a key may be repeated",
    file: "wire/normalizer.ts",
    from:
      "if (!this.#keys.add(object, this.#out.buffer, keyStart, keyEnd)) return texts.duplicateKey;",
    to: "",
  },
  {
    name: "an escaped quote ends a string from QEMU",
    file: "wire/message_splitter.ts",
    from: "else if (byte === BACKSLASH) escaped = true;",
    to: "",
  },
  {
    name: "an element of QEMU's list is parsed without a guard",
    file: "hub/listing.ts",
    from: "} catch {\n    throw notElements(reply);",
    to: "} catch (error) {\n    throw error;",
  },
  {
    name: "an object from QEMU is parsed without a guard",
    file: "wire/reply.ts",
    from: "} catch {\n    // Malformed JSON is refused",
    to: "} catch (error) {\n    if (reply) throw error;\n    // Malformed JSON is refused",
  },
  {
    name: "an object from QEMU may have any length",
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
    name: "a list of commands may contain anything",
    file: "hub/listing.ts",
    from: 'if (typeof Object(element).name === "string") return true;',
    to: "if (element !== undefined) return true;",
  },
  {
    name: "an event's name may have any length",
    file: "session/upstream.ts",
    from: "message.name.length <= EVENT_NAME_CHARS_LIMIT",
    to: "message.name.length <= 1e9 * EVENT_NAME_CHARS_LIMIT",
  },
  {
    name: "a plain reply is indented although QEMU's greeting was pretty",
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
    name: "a reply with an unknown number is dropped",
    file: "session/upstream.ts",
    from: "Number(id) <= this.#lastId;",
    to: "Number(id) > 0;",
  },
  {
    name: "a connection with unexpected bytes continues",
    file: "hub/mux.ts",
    from: 'return this.#qemu?.close({ kind: "unexpected", text, detail });',
    to: "return void [text, detail];",
  },
  {
    name: "a client gets no error if QEMU's reply is malformed",
    file: "hub/dispatch.ts",
    from: "failAll(askers, desc, this.#contain);\n      throw error;",
    to: "if (desc === undefined) failAll(askers, desc, this.#contain);\n      throw error;",
  },
  ...EVENT_FAULTS,
];

/**
 * The result of a search for a fault, and the core; `failure` is `undefined` if it was not found.
 */
export interface Finding {
  readonly fault: Fault;
  /** Steps until a broken promise was found. */
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
          throw new Error(
            `${fault.file} contains the text ${parts.length - 1} times, not once: ${fault.from}`,
          );
        }
        text = parts.join(fault.to);
        planted = true;
      }
      await Deno.writeTextFile(`${to}/${path}${name}`, text);
    }
  };
  await walk("");
  if (!planted) throw new Error(`${fault.file} does not exist`);
}

if (import.meta.main) {
  const steps = 10_000_000;
  const verbose = Deno.args.includes("--transcripts");
  const found: number[] = [];
  for (const fault of FAULTS) {
    const finding = await find(fault, steps);
    const { failure } = finding;
    if (failure) found.push(finding.steps);
    const how = failure
      ? `found after ${finding.steps} steps (${failure.promise})`
      : `NOT found in ${finding.steps} steps`;
    console.log(`${fault.name}: ${how}`);
    if (failure && verbose) console.log(report(finding.core, failure));
  }
  found.sort((a, b) => a - b);
  const [median, maximum] = [found[found.length >> 1], found.at(-1)];
  console.log(`${found.length} of ${FAULTS.length} planted faults were found`);
  console.log(`steps until a fault was found: median ${median}, maximum ${maximum}`);
  if (found.length < FAULTS.length) Deno.exit(1);
}
