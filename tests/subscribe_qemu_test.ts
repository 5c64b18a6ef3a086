/**
 * Subscriptions on a real QEMU, with the program as users run it: events that came while the client
 * was away, and the end of one QEMU and the next.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { TestClient, undated } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";

const STOP = '{"timestamp": …, "event": "STOP"}';
const RESUME = '{"timestamp": …, "event": "RESUME"}';

/** Subscribes and returns the value of the reply. */
async function subscribe(
  client: TestClient,
  args: object,
): Promise<{ cursor: string; gap?: { reason: string } }> {
  const line = await client.ask({ execute: "__org.qmpmux_subscribe", arguments: args });
  return JSON.parse(line).return;
}

/** Returns the cursor of a bookmark. */
function cursorIn(line: string): string {
  const { event, data } = JSON.parse(line);
  assertEquals(event, "__org.qmpmux_BOOKMARK");
  return data.cursor;
}

Deno.test({
  name: "a client that was away gets what it missed, byte for byte, and then what comes",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    const path = `${place.path}/mux`;
    const args = ["--qemu", qemu.path, "--listen", path, "--on-loss", "hold"];
    await using mux = await startQmpmux(args);
    await mux.log.until(/connected to QEMU/);
    using writer = await TestClient.ready(path);
    const [first] = await writer.session({ execute: "cont" }, 2);
    const [second] = await writer.session({ execute: "stop" }, 2);

    using reader = await TestClient.ready(path);
    const { gap } = await subscribe(reader, { since: "oldest", bookmarks: "each" });
    assertEquals(gap, undefined);
    assertEquals(await reader.line(), first);
    const seen = cursorIn(await reader.line());
    assertEquals(await reader.line(), second);
    reader[Symbol.dispose]();

    await writer.session({ execute: "cont" }, 2);
    using again = await TestClient.ready(path);
    assertEquals(await subscribe(again, { since: seen, bookmarks: "each" }), { cursor: seen });
    assertEquals(await again.line(), second);
    await again.line();
    assertEquals(undated(await again.line()), RESUME);
    await again.line();
    await writer.session({ execute: "stop" }, 2);
    assertEquals(undated(await again.line()), STOP);
    const last = cursorIn(await again.line());
    again[Symbol.dispose]();

    await writer.send({ execute: "quit" });
    await mux.log.until(/closed its monitor/);
    await using next = await startQemu(`${place.path}/vm`);
    assertEquals(next.path, qemu.path);
    await mux.log.until(/connected to QEMU/);
    using back = await TestClient.ready(path);
    assertEquals(await subscribe(back, { since: last }), { cursor: last });
    const names: string[] = [];
    for (let i = 0; i < 4; i++) names.push(JSON.parse(await back.line()).event);
    assertEquals(names, [
      "SHUTDOWN",
      "__org.qmpmux_QEMU_LOST",
      "__org.qmpmux_GAP",
      "__org.qmpmux_QEMU_BACK",
    ]);
    await mux[Symbol.asyncDispose]();

    await using other = await startQmpmux(args);
    await other.log.until(/connected to QEMU/);
    using late = await TestClient.ready(path);
    const { gap: told } = await subscribe(late, { since: last });
    assertMatch(told!.reason, /another run/);
  },
});
