/**
 * libvirt's probe of a QEMU, once with QEMU and recorded, then from replays: libvirt must find the
 * same capabilities.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { makePlace } from "../support/place.ts";
import { startQmpmux } from "../support/qmpmux.ts";
import { play } from "../support/replay.ts";
import { startLibvirt } from "./libvirt.ts";
import { getLibvirt, without } from "./setup.ts";

const EMULATOR = new URL("libvirt/probed.sh", import.meta.url);

/** Returns the capabilities that a new libvirtd finds in the emulator. */
async function capabilitiesOf(emulator: string): Promise<string> {
  await using host = await startLibvirt({ emulator: () => emulator });
  return await host.virsh("domcapabilities", "--emulatorbin", emulator);
}

/** Returns a recording of clients as a file of replies, in the form of libvirt's own tests. */
function repliesOf(recording: string): string {
  const texts = new Map<number, string>();
  const pieces: string[] = [];
  for (const [index, line] of recording.trimEnd().split("\n").entries()) {
    const { side, kind, of, text } = JSON.parse(line);
    if (side !== "client") continue;
    if (kind === "command") texts.set(index + 1, text);
    else if (kind === "reply") pieces.push(texts.get(of)!, text);
  }
  return pieces.map((text) => `${JSON.stringify(JSON.parse(text), null, 2)}\n`).join("\n");
}

Deno.test(
  "libvirt's probe finds the same capabilities in a QEMU, its recording, and a file of its replies",
  { ignore: without("libvirt") },
  async (t) => {
    await getLibvirt();
    using place = makePlace();
    const [emulator, monitor, qemu, file] = ["probed.sh", "monitor", "qemu", "recording"]
      .map((name) => `${place.path}/${name}`) as [string, string, string, string];
    Deno.copyFileSync(EMULATOR, emulator);
    Deno.chmodSync(emulator, 0o755);

    const qmpmux = await startQmpmux(
      ["--qemu", `${qemu}.sock`, "--listen", monitor, "--record", file],
    );
    await using _qmpmux = qmpmux;
    Deno.symlinkSync("/usr/bin/qemu-system-x86_64", qemu);
    const expected = await capabilitiesOf(emulator);
    assertStringIncludes(expected, "<domain>");
    qmpmux.kill("SIGTERM");
    await qmpmux.ended;
    Deno.removeSync(qemu);

    const recording = Deno.readTextFileSync(file);
    for (const [name, text] of [["recording", recording], ["replies", repliesOf(recording)]]) {
      await t.step(name!, async () => {
        await using playing = await play(text!, "--speed", "0", "--listen", monitor);
        assertEquals(await capabilitiesOf(emulator), expected);
        assertEquals(await playing.stop(), 0);
      });
    }
  },
);
