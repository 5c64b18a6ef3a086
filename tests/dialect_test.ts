/**
 * The dialects as tables. The transcripts show their replies.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { DIALECTS, QMP, RFC2010 } from "../lib/session/dialect.ts";
import { errorReply, returnReply } from "../lib/wire/reply.ts";
import { asciiBytes } from "../lib/wire/text.ts";
import { grant, Stage } from "./support/stage.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

Deno.test("DIALECTS has each dialect under its own name", () => {
  for (const [name, dialect] of Object.entries(DIALECTS)) assertEquals(dialect.name, name);
});

Deno.test("QMP.greeting() returns QEMU's own bytes", () => {
  const bytes = asciiBytes('{"QMP": {}}\r\n');
  assertEquals(QMP.greeting(bytes), bytes);
});

Deno.test("RFC2010.dressed() adds an empty data to errors, and does not change returns", () => {
  const error = RFC2010.inDialect(errorReply("X", 'a "}}" b'));
  assertEquals(
    text(error.bytes),
    '{"error": {"class": "X", "desc": "a \\"}}\\" b", "data": {}}}\r\n',
  );
  const reply = returnReply("{}");
  assertEquals(RFC2010.inDialect(reply), reply);
});

Deno.test("RFC2010 remembers a limited number of enabled events", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.connect("a", grant({ dialect: "rfc2010" }));
  client.peer.take();
  const enable = (name: string): string => {
    client.say(`{"execute":"async_msg_enable","arguments":{"name":"${name}"}}`);
    return client.peer.take()[0]!;
  };
  for (let i = 0; i < 1024; i++) assertEquals(enable(`E${i}`), '{"return": {}}');
  assert(enable("ONE_MORE").includes("Too many events are enabled"));
  assertEquals(enable("E7"), '{"return": {}}');
});
