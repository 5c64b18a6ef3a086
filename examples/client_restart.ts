/**
 * An example of the client library that lives longer than its monitor.
 *
 * It prints each change of a VM's state, also after QEMU or qmpmux is started again:
 *
 *     deno run --allow-all examples/client_restart.ts /run/qemu/vm1/qmp.sock
 *
 * @module
 */

import process from "node:process";
import { connect, ConnectionLost, QmpError } from "@qmpmux/qmpmux/client";

const [address = "/run/qemu/vm1/qmp.sock"] = process.argv.slice(2);

await using qmp = await connect(address, { reconnect: true });
for await (const event of qmp.events(["RESUME", "STOP", "SHUTDOWN"])) {
  if (event.name !== "__org.qmpmux_GAP") console.log(event.name);
  else await printState();
}

/** Prints the state after a gap: only a query tells it. */
async function printState(): Promise<void> {
  try {
    console.log((await qmp.execute("query-status")).status);
  } catch (error) {
    // QEMU was lost again. A further gap follows when it is back.
    if (!(error instanceof ConnectionLost || error instanceof QmpError)) throw error;
  }
}
