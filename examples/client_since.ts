/**
 * An example of the client library that misses no event, also those that came while it was not running.
 *
 * It prints each event, and the cursor at which the next run continues:
 *
 *     deno run --allow-all examples/client_since.ts /run/qmpmux/vm1/mux.sock [CURSOR]
 *
 * @module
 */

import process from "node:process";
import { connect } from "@qmpmux/qmpmux/client";

const [address = "/run/qmpmux/vm1/mux.sock", since = "oldest"] = process.argv.slice(2);

await using qmp = await connect(address, { reconnect: true });
for await (const event of qmp.events(["*"], { since })) {
  if (event.name === "__org.qmpmux_GAP") console.log("events are missing:", event.data.reason);
  else console.log(event.name);
  console.log("cursor:", qmp.cursor);
}
