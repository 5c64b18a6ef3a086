/**
 * The arguments that are shown, none of which may be a secret.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { isSuspect, type Shown, withoutSecrets } from "../lib/observe/secrets.ts";
import { FrameSplitter } from "../lib/wire/frame.ts";
import { readCommand } from "../lib/wire/command_reader.ts";
import type { Command } from "../lib/wire/message.ts";

function commandOf(text: string): Command {
  const splitter = new FrameSplitter();
  splitter.load(new TextEncoder().encode(text));
  const input = splitter.next();
  if (input === undefined || "damage" in input) throw new Error(`${text} is not a value`);
  const command = readCommand(input, false);
  if ("because" in command) throw new Error(command.because);
  return command;
}

/** Returns the text that shows a known command's arguments. */
function shown(name: string, args: string): string {
  const text = `{"execute": ${JSON.stringify(name)}, "arguments": ${args}}`;
  const part = withoutSecrets(commandOf(text), true);
  assert(part && "arguments" in part);
  JSON.parse(part.arguments);
  return part.arguments;
}

function names(name: string, args: string): readonly string[] {
  const part: Shown | undefined = withoutSecrets(
    commandOf(`{"execute": "${name}", "arguments": ${args}}`),
    false,
  );
  assert(part && "names" in part);
  return part.names;
}

const SECRET = "hunter2";

/** Commands with a secret, each in another argument. */
const CARRIERS: readonly [name: string, args: string][] = [
  ["set_password", '{"protocol": "vnc", "password": "hunter2"}'],
  ["set_password", "{'protocol': 'vnc', 'pass\\u0077ord': 'hunter2'}"],
  ["set_password", '{"protocol": "vnc", "password": {"a": ["hunter2"]}}'],
  ["set_password", '{"protocol": "hunter2"}'],
  ["set_password", '{"pasword": "hunter2"}'],
  ["expire_password", '{"protocol": "vnc", "time": "hunter2"}'],
  ["change-vnc-password", '{"password": "hunter2"}'],
  ["blockdev-add", '{"driver": "x", "apikeys": ["hunter2"], "tls-key": "hunter2"}'],
  ["block_passwd", '{"device": "d", "password": "hunter2"}'],
  ["object-add", '{"qom-type": "secret", "id": "s", "data": "hunter2"}'],
  ["object-add", '{"qom_type": "secret", "id": "s", "data": "hunter2"}'],
  ["object-add", '{"data": "hunter2", "id": "s", "qom-type": "secret"}'],
  ["object-add", "{'qom-type': '\\u0073ecret', 'id': 's', 'd\\u0061ta': 'hunter2'}"],
  ["object-add", '{"qom-type": "secret", "id": "s", "props": {"data": "hunter2"}}'],
  ["object-add", '{"qom-type": "secret_keyring", "id": "s", "serial": "hunter2"}'],
  ["object-add", '{"qom-type": "tls-creds-x509", "id": "t", "passwordid": "hunter2"}'],
  ["blockdev-add", '{"driver": "luks", "file": {"driver": "curl", "password": "hunter2"}}'],
  ["blockdev-add", '{"driver": "curl", "url": "https://me:hunter2@host/x"}'],
  ["blockdev-add", '{"driver": "curl", "cookie": "hunter2"}'],
  ["blockdev-add", '{"driver": "file", "filename": "json:{\\"p\\": \\"hunter2\\"}"}'],
  ["blockdev-change-medium", '{"filename": "nbd:x,password=hunter2"}'],
  ["transaction", '{"actions": [{"type": "x", "data": {"deep": [{"token": "hunter2"}]}}]}'],
  ["qom-set", '{"path": "/objects/s", "property": "anything", "value": "hunter2"}'],
  ["qom-set", '{"path": "/objects/s", "property": "anything", "value": ["hunter2"]}'],
  ["ringbuf-write", '{"device": "r", "data": "hunter2"}'],
  ["migrate", '{"uri": "exec:curl -u me:hunter2 http://x"}'],
  [
    "migrate",
    '{"channels": [{"addr": {"transport": "exec", "args": ["/bin/x", "-p", "hunter2"]}}]}',
  ],
  ["migrate-set-parameters", '{"cpr-exec-command": ["/bin/x", "-p", "hunter2"]}'],
  ["migrate-set-parameters", '{"cpr-exec-command": [["hunter2"]]}'],
  ["netdev_add", '{"type": "user", "guestfwd": [{"str": "tcp:1.2.3.4:5-cmd:x -p hunter2"}]}'],
  ["human-monitor-command", '{"command-line": "migrate -d exec:x -p hunter2"}'],
  ["human-monitor-command", '{"command-line": "migrate -d \\"exec:x -p hunter2\\""}'],
  [
    "human-monitor-command",
    '{"command-line": "netdev_add user,guestfwd=tcp:1.2.3.4:5-cmd:x -p hunter2"}',
  ],
  ["sev-inject-launch-secret", '{"packet-header": "hunter2", "secret": "hunter2"}'],
  ["human-monitor-command", '{"command-line": "set_password vnc hunter2"}'],
  ["human-monitor-command", '{"command-line": "change vnc password hunter2"}'],
  ["human-monitor-command", '{"command-line": "object_add secret,id=s,data=hunter2"}'],
  ["human-monitor-command", '{"command-line": "ringbuf_write r hunter2"}'],
  ["human-monitor-command", '{"command-line": "qom-set /objects/s data hunter2"}'],
  ["human-monitor-command", '{"command-line": "info status\\nx hunter2"}'],
  ["human-monitor-command", '{"command-line": "password=hunter2"}'],
  ["migrate", '{"uri": "-----BEGIN hunter2"}'],
  ["add-fd", '{"fdset-id": 1, "opaque": "hunter2"}'],
  ["blockdev-add", '{"driver": "https", "url": "https://host/disk?sig=hunter2"}'],
  ["blockdev-add", '{"driver": "https", "url": "https://host/disk?X-Amz-Signature=hunter2"}'],
  ["human-monitor-command", '{"command-line": "set_pasword vnc hunter2"}'],
  ["human-monitor-command", '{"command-line": "drive_add 0 file=https://host/x?sig=hunter2"}'],
];

for (const [name, args] of CARRIERS) {
  Deno.test(`withoutSecrets() removes the secret of ${name} ${args}`, () => {
    assert(!shown(name, args).includes(SECRET));
    assert(isSuspect(commandOf(`{"execute": "${name}", "arguments": ${args}}`)));
  });
}

Deno.test("isSuspect() clears only arguments that withoutSecrets() does not change", () => {
  // Parts of words, which make secrets now and then.
  const parts =
    "a b x 1 é pas s sw ord SE cret to ken coo kie pri vate ke y au th da ta ar gs cpr-ex ec " +
    "cmd json command line url : = @ // - . _ -----BEG IN \n";
  const words = parts.split(/ /);
  // A linear congruential generator, so that each run draws the same.
  let state = 1;
  const drawn = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * limit);
  };
  const word = (): string =>
    Array.from({ length: 1 + drawn(4) }, () => words[drawn(words.length)]).join("");
  let [cleared, suspect] = [0, 0];
  for (let round = 0; round < 4000; round++) {
    const name = ["blockdev-add", "migrate", "human-monitor-command", "x"][drawn(4)];
    const args = JSON.stringify({ [word()]: word(), [word()]: [{ [word()]: drawn(9) }, [word()]] });
    const command = commandOf(`{"execute": "${name}", "arguments": ${args}}`);
    let removed = 0;
    const part = withoutSecrets(command, true, { mark: "(gone)", removed: () => removed++ });
    assert(part && "arguments" in part);
    if (isSuspect(command)) suspect++;
    else {
      cleared++;
      assertEquals([removed, part.arguments.includes("(gone)")], [0, false], args);
    }
  }
  assert(cleared > 100 && suspect > 100, `${cleared} ${suspect}`);
});

Deno.test("withoutSecrets() removes keys typed into the guest", () => {
  assertEquals(
    shown("send-key", '{"keys": [{"type": "qcode", "data": "h"}], "hold-time": 1}'),
    '{"keys":"(removed)","hold-time":1}',
  );
  assertEquals(shown("input-send-event", '{"events": []}'), '{"events":"(removed)"}');
  const line = shown("human-monitor-command", '{"command-line": "sendkey h-u"}');
  assertEquals(line, '{"command-line":"sendkey (removed)"}');
});

Deno.test("withoutSecrets() shows arguments without secrets", () => {
  assertEquals(
    shown("set_password", '{"protocol": "vnc", "connected": "keep", "password": "x"}'),
    '{"protocol":"vnc","connected":"keep","password":"(removed)"}',
  );
  assertEquals(
    shown("object-add", '{"qom-type": "secret", "id": "s", "format": "raw", "data": "x"}'),
    '{"qom-type":"secret","id":"s","format":"raw","data":"(removed)"}',
  );
  assertEquals(
    shown("blockdev-add", '{"driver": "raw", "file": {"driver": "file", "filename": "/a b"}}'),
    '{"driver":"raw","file":{"driver":"file","filename":"/a b"}}',
  );
  assertEquals(
    shown("human-monitor-command", '{"command-line": "info block"}'),
    '{"command-line":"info block"}',
  );
  assertEquals(
    shown("human-monitor-command", '{"command-line": " xp/4xw 0x1000"}'),
    '{"command-line":" xp/4xw 0x1000"}',
  );
  assertEquals(shown("migrate", '{"uri": "tcp:host:4444"}'), '{"uri":"tcp:host:4444"}');
  assertEquals(
    shown("migrate", '{"channels": [{"addr": {"args": ["/bin/x", "-p"]}}], "args": []}'),
    '{"channels":[{"addr":{"args":["/bin/x","(removed)"]}}],"args":[]}',
  );
});

Deno.test("withoutSecrets() shows numbers and words of qom-set, not texts", () => {
  assertEquals(
    shown("qom-set", '{"path": "/x", "property": "p", "value": 2}'),
    '{"path":"/x","property":"p","value":2}',
  );
});

Deno.test("withoutSecrets() keeps numbers of 64 bits, and those that JSON lacks", () => {
  assertEquals(
    shown("balloon", '{"value": 18446744073709551615, "x": 1e400, "y": null, "z": true}'),
    '{"value":18446744073709551615,"x":"inf","y":null,"z":true}',
  );
});

Deno.test("withoutSecrets() shows names of any kind unchanged", () => {
  assertEquals(
    shown("x", '{"__proto__": 1, "2": 3, "1": 4, "": 5, "a\\"b": 6}'),
    '{"__proto__":1,"2":3,"1":4,"":5,"a\\"b":6}',
  );
});

Deno.test("withoutSecrets() returns nothing for a command without arguments", () => {
  assertEquals(withoutSecrets(commandOf('{"execute": "stop"}'), true), undefined);
});

Deno.test("withoutSecrets() shows only the names of an unknown command's arguments", () => {
  assertEquals(names("new-in-qemu-20", '{"harmless": 1, "x": {"y": "hunter2"}}'), [
    "harmless",
    "x",
  ]);
});

Deno.test("withoutSecrets() limits the number of names it shows", () => {
  const args = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [`${i}`.padStart(100, "n"), 1]),
  );
  const found = names("unknown", JSON.stringify(args));
  assertEquals(found.length, 32);
  assertEquals(found[0]!.length, 64);
});

Deno.test("withoutSecrets() shows only the names of long arguments", () => {
  const part = withoutSecrets(
    commandOf(`{"execute": "migrate", "arguments": {"uri": "${"x".repeat(20000)}"}}`),
    true,
  );
  assertEquals(part, { names: ["uri"] });
});

Deno.test("withoutSecrets() removes values nested deeper than any command's", () => {
  const args = `{"a": ${"[".repeat(200)}"hunter2"${"]".repeat(200)}}`;
  assert(!shown("x", args).includes(SECRET));
  assert(isSuspect(commandOf(`{"execute": "x", "arguments": ${args}}`)));
});
