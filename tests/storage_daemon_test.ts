/**
 * The monitor of `qemu-storage-daemon`, which has no machine, through qmpmux.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { listens, makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";

const WITHOUT = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",");

Deno.test({
  name: "qmpmux serves the monitor of qemu-storage-daemon like that of a machine",
  ignore: WITHOUT.includes("qemu-storage-daemon"),
  fn: async () => {
    using place = makePlace();
    const [socket, mux] = [`${place.path}/storage`, `${place.path}/mux`];
    const chardev = `socket,path=${socket},server=on,wait=off,id=monitor`;
    const daemon = new Deno.Command("qemu-storage-daemon", {
      args: ["--chardev", chardev, "--monitor", "chardev=monitor"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      await listens(socket);
      await using qmpmux = await startQmpmux(["--qemu", socket, "--listen", mux]);
      await qmpmux.log.until(/connected to QEMU /);
      const exec = async (...words: string[]): Promise<unknown> => {
        const { code, stdout, stderr } = await runQmpmux(["exec", "--socket", mux, ...words]);
        assertEquals([code, stderr], [0, ""]);
        return JSON.parse(stdout);
      };
      await exec("blockdev-add", "driver=null-co", "node-name=n", "size=1048576");
      const nodes = await exec("query-named-block-nodes") as { "node-name": string }[];
      assertEquals(nodes.map((node) => node["node-name"]), ["n"]);
      const live = await runQmpmux(["check", "--live", "--qemu", mux]);
      assertMatch(live.stdout, /^\{"qemu": \{/);
      const other = await runQmpmux(["exec", "--socket", mux, "query-status"]);
      assertMatch(other.stderr, /CommandNotFound: The command query-status has not been found/);
    } finally {
      daemon.kill("SIGKILL");
      await daemon.status;
    }
  },
});
