/**
 * One connection to a fake QEMU: its end, and what is queued then.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { ClientSocket } from "../lib/platform/client_socket.ts";
import { FakeConnection } from "../lib/testing/fake_connection.ts";
import { greetingOf, readVersion } from "../lib/testing/qemu_version.ts";
import { within } from "./support/deadline.ts";

const GREETING = greetingOf(readVersion("11.1.0"), []);

Deno.test("FakeConnection ends when it is closed, even if its client never reads", async () => {
  const writing = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<null>();
  let closes = 0;
  const socket: ClientSocket = {
    read: () => closed.promise,
    // Not even the close ends the write, as in Deno 2.6.
    write: () => {
      writing.resolve();
      return new Promise(() => {});
    },
    close: () => {
      closes++;
      closed.resolve(null);
    },
  };
  const connection = new FakeConnection(socket, 1, () => {});
  const serving = connection.serve(GREETING);
  await writing.promise;
  connection.close();
  await within("the end of the connection", serving);
  assertEquals(closes, 1);
});
