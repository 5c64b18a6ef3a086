/**
 * A fake QEMU for the tests of programs that talk to QEMU. It runs on Deno, Node and Bun.
 *
 * Its monitor is QEMU's: greeting, negotiation, ids, errors of malformed input, commands out of band. From the
 * schema of a QEMU it knows every command, and refuses wrong arguments with the error of that QEMU. A script
 * says which commands are expected. A recording is played as the QEMU that it came from.
 *
 * @example Testing that a program stops a VM
 * ```ts
 * import { FakeQemu } from "@qmpmux/qmpmux/testing";
 * import { connect } from "@qmpmux/qmpmux/client";
 *
 * Deno.test("the VM is stopped", async () => {
 *   await using qemu = await FakeQemu.scripted([
 *     { execute: "query-status", return: { status: "running", running: true } },
 *     { execute: "stop", before: [{ name: "STOP" }] },
 *   ]);
 *   await using qmp = await connect(qemu.address);
 *   if ((await qmp.execute("query-status")).running) await qmp.execute("stop");
 *   qemu.verify();
 * });
 * ```
 *
 * @module
 */

export {
  FakeQemu,
  type FakeQemuOptions,
  type ReceivedCommand,
  type SchemaOptions,
} from "./fake_qemu.ts";
export type { FakeEvent } from "./answer.ts";
export type { RecordingOptions } from "./recorded.ts";
export { PlayError } from "./play.ts";
export type { ByteStreams } from "../client/byte_streams.ts";
export type { Replies, ReplyFunction } from "./schema_answers.ts";
export type { ScriptEntry } from "./script.ts";
export { SchemaError } from "../client/introspection.ts";
export { QmpError } from "../client/errors.ts";
