/**
 * The example whose client lives longer than its monitor.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { within } from "./support/deadline.ts";
import { Fake } from "./support/fake.ts";
import { emptyReturn, eventLine } from "./support/fake_qemu.ts";
import { Lines } from "./support/lines.ts";
import { kill } from "./support/qmpmux.ts";

const ROOT = new URL("../", import.meta.url).pathname;

Deno.test("examples/client_restart.ts prints events, and the state after a restart", async () => {
  let connections = 0;
  await using fake = new Fake({
    answer: ({ name, id }, { say, finish }) => {
      if (name === "query-status") return '{"return": {"status": "paused"}}\r\n';
      connections++;
      say(emptyReturn({ id }) + eventLine(connections === 1 ? "RESUME" : "STOP"));
      if (connections === 1) finish();
      return "";
    },
  });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", `${ROOT}examples/client_restart.ts`, fake.path],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  try {
    const lines = new Lines(child.stdout);
    const printed = [await lines.next(), await lines.next(), await lines.next()];
    assertEquals(printed.sort(), ["RESUME", "STOP", "paused"]);
  } finally {
    kill(child);
    await within("its end", child.status);
  }
});
