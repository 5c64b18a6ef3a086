/**
 * An example of the client library, which runs on Deno, Node and Bun.
 *
 * It uses a monitor of QEMU or of qmpmux, and leaves its VM paused:
 *
 *     deno run --allow-all examples/client.ts /run/qemu/vm1/qmp.sock
 *
 * @module
 */

import process from "node:process";
import { connect, ConnectionLost, QmpError, TimeoutError } from "@qmpmux/qmpmux/client";

const [address = "/run/qemu/vm1/qmp.sock"] = process.argv.slice(2);

const qmp = await connect(address, { enable: ["oob"], timeout: 5000 });
const { status } = await qmp.execute("query-status");
console.log("status:", status);

try {
  await qmp.execute("device_del", { id: "disk9" }, { timeout: 2000 });
} catch (error) {
  if (error instanceof QmpError) console.log("refused:", error.errorClass);
  else if (error instanceof TimeoutError) console.log("no reply yet; it may still run");
  else if (error instanceof ConnectionLost) console.log("unknown effect:", error.inFlight);
  else throw error;
}

const events = qmp.events(["RESUME", "STOP"]);
const stopped = qmp.waitFor("STOP", { timeout: 5000 });
await qmp.execute("cont");
await qmp.execute("stop");
await stopped;
for await (const event of events) {
  if (event.name === "__org.qmpmux_GAP") console.log("events are missing:", event.data.reason);
  else console.log("event:", event.name);
  if (event.name === "STOP") break;
}

const iothread = { "qom-type": "iothread", id: "io1", "poll-max-ns": 9007199254740993n };
await qmp.execute("object-add", iothread);
const place = { path: "/objects/io1", property: "poll-max-ns" };
console.log("exact:", await qmp.execute("qom-get", place) === 9007199254740993n);
await qmp.execute("object-del", { id: "io1" });

const controller = new AbortController();
const schema = qmp.execute("query-qmp-schema", {}, { signal: controller.signal });
controller.abort(new Error("not needed any more"));
await schema.catch((error) => console.log("given up:", error.message));

await qmp.close();
