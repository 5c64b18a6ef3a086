/**
 * Clients that pass descriptors concurrently: none is lost, none is left behind.
 *
 * The clients are written in Python, which passes descriptors in another way, and check QEMU's
 * `/proc` after each. Ten thousand by two clients here; `-- --long`: a hundred thousand by four.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { within } from "./support/deadline.ts";
import { WITHOUT_PYTHON } from "./support/passer.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";

const [CLIENTS, PASSES] = Deno.args.includes("--long") ? [4, 100_000] : [2, 10_000];
const PATIENCE_MS = PASSES * 30;

/** The counts that the clients report. */
interface Counted {
  readonly passed: number;
  /** The number of deliberate errors. */
  readonly odd: number;
  /** The number of wrong replies, and of files that were not in their place. */
  readonly wrong: number;
  /** The number of descriptors that qmpmux and QEMU had before, and ten times on the way. */
  readonly before: readonly [number, number];
  readonly series: readonly (readonly [number, number])[];
  /** The number of clients' files that qmpmux and QEMU still had at the end. */
  readonly left: readonly [number, number];
  readonly fdsets: readonly unknown[];
}

Deno.test({
  name: `${PASSES} descriptors of ${CLIENTS} clients reach QEMU, each with its command`,
  ignore: WITHOUT_QEMU || WITHOUT_PYTHON,
  fn: async () => {
    using place = makePlace();
    const path = `${place.path}/mux`;
    await using qemu = await startQemu(`${place.path}/qmp`);
    await using mux = await startQmpmux([
      "--qemu",
      `unix:${qemu.path}`,
      "--listen",
      `unix:${path},fds=on`,
    ]);
    const script = new URL("./support/passes.py", import.meta.url).pathname;
    const numbers = [qemu.pid, mux.pid, CLIENTS, PASSES].map(String);
    const command = new Deno.Command("python3", {
      args: [script, path, ...numbers],
      stdin: "null",
    });
    const { stdout, stderr } = await within("the clients", command.output(), PATIENCE_MS);
    const [line = ""] = new TextDecoder().decode(stdout).trim().split("\n").slice(-1);
    assert(line.startsWith("{"), new TextDecoder().decode(stderr));
    const counted: Counted = JSON.parse(line);
    if (Deno.args.includes("--long")) console.log(line);
    assertEquals([counted.passed, counted.odd], [PASSES, PASSES / 10]);
    assertEquals(counted.wrong, 0);
    assertEquals(counted.left, [0, 0]);
    assertEquals(counted.fdsets, []);
    // Space for the descriptors in flight: sixteen of each client, its connection, and one that
    // reconnects.
    const room = 20 * CLIENTS;
    for (const [ours, theirs] of counted.series) {
      assert(ours <= counted.before[0] + room, JSON.stringify(counted.series));
      assert(theirs <= counted.before[1] + room, JSON.stringify(counted.series));
    }
  },
});
