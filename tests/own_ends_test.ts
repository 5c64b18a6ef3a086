/**
 * Clients that pass descriptors which keep their own connections open, and then disconnect; and
 * descriptors that no command uses.
 *
 * If qmpmux held a descriptor of a client's own end, the connection would stay open, and qmpmux
 * would not notice the client's disconnect.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { Descriptors } from "../lib/platform/descriptors.ts";
import { loadLibc } from "../lib/platform/libc.ts";
import { FDS_IN_ALL } from "../lib/daemon/fd_budget.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { WITHOUT_PYTHON } from "./support/passer.ts";
import { eventually, memoryFilesOf, PassingClient, socketPair } from "./support/passing.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, type TestQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { descriptorsOf } from "./support/process.ts";

const LIBC = loadLibc();
const OWN_END = /^qmpmux: client fds\/\d+ passed an end of a connection to qmpmux: it was closed$/;

/** A qmpmux with listeners of every kind, and a QEMU behind it. */
interface Scene extends AsyncDisposable {
  readonly qemu: TestQemu;
  readonly mux: TestQmpmux;
  at(name: string): string;
  /** Waits until only the observing client is connected, and nothing unneeded is open. */
  isEmpty(): Promise<void>;
}

async function makeScene(options = "", sockets: readonly string[] = []): Promise<Scene> {
  const place = makePlace();
  const at = (name: string): string => join(place.path, name);
  const qemu = await startQemu(at("qmp"));
  const passed = sockets.map((name) => ["--listen", `fd:${name},fds=on,name=passed`]).flat();
  const mux = await startQmpmux([
    ...["--qemu", `unix:${qemu.path}`],
    ...["--listen", `unix:${at("fds")},fds=on,name=fds${options}`],
    ...["--listen", `unix:${at("plain")},role=admin,name=plain`],
    ...["--listen", `unix-abstract:${at("abstract").slice(-80)},fds=on,name=abstract`],
    ...passed,
  ], { sockets: sockets.map((name) => `${name}=${at(name)}`) });
  const watcher = await TestClient.ready(at("plain"));
  const count = async (): Promise<number> => {
    const line = await watcher.ask({ execute: "__org.qmpmux_query-clients" });
    return JSON.parse(line).return.length;
  };
  const gone = async (): Promise<void> => {
    while (await count() > 1) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const open = descriptorsOf(mux.pid);
  return {
    qemu,
    mux,
    at,
    async isEmpty(): Promise<void> {
      await within("the clients to disconnect", gone());
      await eventually("the descriptors to be closed", () => descriptorsOf(mux.pid) <= open);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      watcher[Symbol.dispose]();
      await mux[Symbol.asyncDispose]();
      await qemu[Symbol.asyncDispose]();
      place[Symbol.dispose]();
    },
  };
}

function test(name: string, run: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_QEMU, fn: run });
}

test("a client that passes its own end and disconnects is detected, and the log names what it passed", async () => {
  await using scene = await makeScene();
  for (const ready of [true, false]) {
    const client = await (ready ? PassingClient.ready : PassingClient.connect)(scene.at("fds"));
    await client.send(" ", [client.number, "kept", client.number]);
    if (ready) assertEquals(await client.getfd("f", []), '{"return": {}}');
    client[Symbol.dispose]();
  }
  await scene.mux.log.until(OWN_END);
  await scene.isEmpty();
  // Once a minute is enough.
  assertEquals(scene.mux.log.seen.filter((line) => OWN_END.test(line)).length, 1);
});

test("a listener's new socket file is recognized too, after a reload", async () => {
  using place = makePlace();
  const [file, path] = [join(place.path, "config"), join(place.path, "fds")];
  await using qemu = await startQemu(join(place.path, "qmp"));
  const listener =
    `[[listen]]\naddress = "unix:${path}"\nfds = true\nname = "fds"\nrole = "admin"\n`;
  Deno.writeTextFileSync(file, `qemu = "unix:${qemu.path}"\n${listener}`);
  await using mux = await startQmpmux(["--config", file]);
  await mux.log.until(/connected to QEMU/);
  Deno.removeSync(path);
  mux.kill("SIGHUP");
  await mux.log.until(/configuration has been reloaded/);
  const client = await PassingClient.ready(path);
  await client.send(" ", [client.number]);
  client[Symbol.dispose]();
  await mux.log.until(OWN_END);
});

test("the end of another connection to qmpmux is refused too, whatever its listener", async () => {
  await using scene = await makeScene("", ["sd"]);
  const path = `\0${scene.at("abstract").slice(-80)}`;
  for (const other of [scene.at("plain"), scene.at("sd"), path, scene.at("fds")]) {
    using client = await PassingClient.ready(scene.at("fds"));
    const victim = await PassingClient.ready(other);
    await client.send(" ", [victim.number]);
    victim[Symbol.dispose]();
    const answer = await client.getfd("f", []);
    assertEquals(/No file descriptor supplied/.test(answer), true, `${other}: ${answer}`);
  }
  await scene.isEmpty();
});

test("unused descriptors are closed after fds-time=, together with those in flight inside them", async () => {
  await using scene = await makeScene(",fds-time=1");
  using patient = await PassingClient.ready(scene.at("fds"));
  await patient.send('{"execute":', ["waits"]);
  // Its own end is in flight in a socket that it passes.
  const [mine, theirs] = socketPair();
  const client = await PassingClient.ready(scene.at("fds"));
  LIBC.sendWith(mine, new Uint8Array(1), new Descriptors(LIBC, [client.number]));
  await client.send(" ", [theirs]);
  for (const each of [mine, theirs]) LIBC.close(each);
  client[Symbol.dispose]();
  await scene.mux.log.until(
    /client fds\/\d+ passed file descriptors that no command used for 1 s: they were closed$/,
  );
  await eventually("the file to be closed", () => memoryFilesOf(scene.mux.pid).length === 0);
  // The client itself stays connected, and gets what it passes later.
  assertMatch(await patient.ask('"query-name"}'), /^\{"return"/);
  assertMatch(await patient.getfd("f", []), /No file descriptor supplied via SCM_RIGHTS/);
  assertEquals(await patient.getfd("g"), '{"return": {}}');
  patient[Symbol.dispose]();
  await scene.isEmpty();
});

test("past 1024 descriptors of all clients new ones are closed", async () => {
  await using scene = await makeScene(",fds-time=3600");
  const sixteen = Array.from({ length: 16 }, (_, index) => `of-16-${index}`);
  const clients: PassingClient[] = [];
  for (let held = 0; held < FDS_IN_ALL; held += 16) {
    const client = await PassingClient.ready(scene.at("fds"));
    await client.send(" ", sixteen);
    clients.push(client);
  }
  await eventually("all to be there", () => memoryFilesOf(scene.mux.pid).length === FDS_IN_ALL);
  using late = await PassingClient.ready(scene.at("fds"));
  assertMatch(await late.getfd("f"), /No file descriptor supplied via SCM_RIGHTS/);
  await scene.mux.log.until(
    /client fds\/\d+ passed a file descriptor, which was closed: 1024 of all clients are waiting already$/,
  );
  // A command takes one of sixteen, which frees space for fifteen.
  assertEquals(await clients[0]!.getfd("first", []), '{"return": {}}');
  assertEquals(await late.getfd("f"), '{"return": {}}');
  for (const client of [...clients, late]) client[Symbol.dispose]();
  await scene.isEmpty();
});

test("a socket of another program is forwarded, even one with a name", async () => {
  await using scene = await makeScene();
  using client = await PassingClient.ready(scene.at("fds"));
  const [mine, theirs] = socketPair();
  assertEquals(await client.getfd("pair", [mine]), '{"return": {}}');
  const listening = LIBC.listen(scene.at("other"));
  assertEquals(await client.getfd("listening", [listening]), '{"return": {}}');
  using other = await PassingClient.connect(scene.at("other"));
  assertEquals(await client.getfd("named", [other.number]), '{"return": {}}');
  for (const each of [mine, theirs, listening]) LIBC.close(each);
});

Deno.test({
  name: "a thousand clients that pass their own ends and disconnect leave nothing",
  ignore: WITHOUT_QEMU || WITHOUT_PYTHON,
  fn: async () => {
    await using scene = await makeScene();
    const code = `
import array, socket, sys
for i in range(1000):
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    client.recv(1000)
    rights = array.array("i", [client.fileno()] * (1 + i % 3))
    client.sendmsg([b" "], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    client.close()
`;
    const args = ["-c", code, scene.at("fds")];
    const { success } = await new Deno.Command("python3", { args, stdin: "null" }).output();
    assertEquals(success, true);
    await scene.isEmpty();
  },
});
