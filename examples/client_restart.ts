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
import { connect } from "@qmpmux/qmpmux/client";

const [address = "/run/qemu/vm1/qmp.sock"] = process.argv.slice(2);

await using qmp = await connect(address, { reconnect: true });
for await (const event of qmp.events(["RESUME", "STOP", "SHUTDOWN"])) {
  // After a gap only a query tells the state.
  if (event.name !== "__org.qmpmux_GAP") console.log(event.name);
  else console.log((await qmp.execute("query-status")).status);
}
