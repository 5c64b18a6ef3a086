/**
 * Long replies of a real QEMU, and an exit that does not wait for idle clients.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";

/** Bytes of memory that the monitor prints; each takes some eight characters. */
const DUMPED = 3_000_000;

Deno.test({
  name: "a client gets all of a 23 MB reply, with its id, and other clients are served meanwhile",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    const machine = ["-machine", "pc", "-m", "64"];
    await using qemu = await startQemu(`${place.path}/vm`, machine);
    await using mux = await startQmpmux(["--qemu", qemu.path, "--listen", `${place.path}/mux`]);
    await mux.log.until(/connected to QEMU/);
    using other = await TestClient.ready(`${place.path}/mux`);
    const socket = await Deno.connect({ transport: "unix", path: `${place.path}/mux` });
    const command = `{"execute":"qmp_capabilities"}{"execute":"human-monitor-command",` +
      `"arguments":{"command-line":"xp /${DUMPED}xb 0"},"id":"long"}`;
    await socket.write(new TextEncoder().encode(command));
    const buffer = new Uint8Array(1 << 20);
    let read = 0;
    let tail = "";
    while (!tail.endsWith(', "id": "long"}\r\n')) {
      const length = await within("the reply to continue", socket.read(buffer));
      assert(length !== null, `The connection ended after ${read} bytes`);
      read += length;
      tail = (tail + new TextDecoder().decode(buffer.subarray(0, length))).slice(-64);
    }
    assert(read > 22_000_000, `${read} bytes`);
    socket.close();
    assertEquals(await other.ask({ execute: "query-name", id: 1 }), '{"return": {}, "id": 1}');
  },
});

Deno.test({
  name: "--once: an idle client that does not close does not delay qmpmux's exit",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    await using mux = await startQmpmux([
      ...["--qemu", qemu.path, "--listen", `${place.path}/mux`, "--once"],
    ]);
    await mux.log.until(/connected to QEMU/);
    // Reads nothing and closes nothing until qmpmux has exited.
    using idle = await Deno.connect({ transport: "unix", path: `${place.path}/mux` });
    await idle.read(new Uint8Array(4096));
    qemu.kill("SIGKILL");
    const { code } = await within("qmpmux to exit", mux.ended);
    assertEquals(code, 0);
  },
});
