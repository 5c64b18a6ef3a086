/**
 * Restarts under a service manager with a descriptor store: nobody is refused.
 *
 * The manager is a stand-in of a few lines of Python; `tools/vm` runs the units under systemd.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { Lines } from "./support/lines.ts";
import { WITHOUT_PYTHON } from "./support/passer.ts";
import { makePlace } from "./support/place.ts";
import { programCommand } from "./support/qmpmux.ts";

const MANAGER = new URL("support/fd_store.py", import.meta.url).pathname;
const PONG = '{"return": {"name": "vm"}}';

/** qmpmux under a service manager with a descriptor store. */
class Managed implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  readonly said: Lines;
  readonly log: Lines;

  constructor(...args: string[]) {
    const [program, first] = programCommand();
    this.#child = new Deno.Command("python3", {
      args: [MANAGER, program, ...first, "serve", ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#orders = this.#child.stdin.getWriter();
    this.said = new Lines(this.#child.stdout);
    this.log = new Lines(this.#child.stderr);
  }

  async order(order: "restart" | "kill" | "end" | "start" | "names"): Promise<void> {
    await this.#orders.write(new TextEncoder().encode(order));
  }

  /** Returns the paths of the sockets in the store. */
  async stored(): Promise<string[]> {
    await this.order("names");
    const [, ...names] = (await this.said.until(/^names/)).split(/ (?=\d+ )/);
    return names.map((name) => name.replace(/^\d+ /, "")).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#orders.close();
    await within("the manager to end", this.#child.status);
    await Promise.all([this.said.rest(), this.log.rest()]);
  }
}

function fakeQemu(path: string): FakeQemu {
  return new FakeQemu(path, {
    answer: ({ name }) => name === "query-name" ? `${PONG}\r\n` : undefined,
  });
}

function storeTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_PYTHON, fn });
}

for (
  const [how, order, options] of [
    ["SIGTERM", "restart", ""],
    ["SIGKILL", "kill", ""],
    ["SIGTERM, with identity=on", "restart", ",identity=on"],
  ] as const
) {
  storeTest(`serve --fd-store keeps its socket over a restart by ${how}`, async () => {
    using place = makePlace();
    const path = `${place.path}/mux`;
    await using _qemu = fakeQemu(`${place.path}/qemu`);
    const flags = ["--qemu", `${place.path}/qemu`, "--listen", `${path}${options}`];
    await using managed = new Managed(...flags, "--fd-store");
    await managed.log.until(/listening on /);
    using before = await TestClient.ready(path);
    const inode = Deno.lstatSync(path).ino;
    await managed.order(order);
    await managed.said.until(/^ended/);
    await before.lines.rest();
    // It connects before or after the next process listens; both are served.
    using after = await TestClient.ready(path);
    assertEquals(await after.ask({ execute: "query-name" }), PONG);
    await managed.log.until(/listening on /);
    using later = await TestClient.ready(path);
    assertEquals(await later.ask({ execute: "query-name" }), PONG);
    assert(Deno.lstatSync(path).ino !== inode, "the next process listens itself");
    assertEquals(await managed.stored(), [path]);
  });
}

storeTest("a client that connects while no qmpmux runs is served by the next", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  await using _qemu = fakeQemu(`${place.path}/qemu`);
  await using managed = new Managed("--qemu", `${place.path}/qemu`, "--listen", path, "--fd-store");
  await managed.log.until(/listening on /);
  await managed.order("end");
  assertEquals(await managed.said.until(/^ended/), "ended 0");
  using client = await TestClient.connect(path);
  await client.send({ execute: "qmp_capabilities" });
  await managed.order("start");
  const heard = [await client.line(), await client.line()];
  assert(heard[0]!.startsWith('{"QMP"'));
  assertEquals(heard[1], '{"return": {}}');
  assertEquals(await client.ask({ execute: "query-name" }), PONG);
});

storeTest("sockets of VMs that left while no qmpmux ran are removed", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  for (const vm of ["a", "b"]) Deno.mkdirSync(at(`q/${vm}`), { recursive: true });
  const a = fakeQemu(at("q/a/qmp"));
  await using _b = fakeQemu(at("q/b/qmp"));
  const template = `${at("m/{vm}/mux")},directory-mode=0700`;
  await using managed = new Managed(
    ...["--qemu", at("q/{vm}/qmp"), "--listen", template, "--fd-store"],
  );
  for (const _ of "ab") await managed.log.until(/listening on /);
  assertEquals(await managed.stored(), [at("m/a/mux"), at("m/b/mux")]);
  await managed.order("end");
  await managed.said.until(/^ended/);
  await a[Symbol.asyncDispose]();
  Deno.removeSync(at("q/a"), { recursive: true });
  await managed.order("start");
  await managed.log.until(/no longer listening on .*m\/a\/mux, where qmpmux listened before/);
  assertEquals(await managed.stored(), [at("m/b/mux")]);
  assertEquals([...Deno.readDirSync(at("m"))].map(({ name }) => name), ["b"]);
  using client = await TestClient.ready(at("m/b/mux"));
  assertEquals(await client.ask({ execute: "query-name" }), PONG);
});

storeTest("a socket whose listener a reload removes is removed from the store", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using _qemu = fakeQemu(at("qemu"));
  const write = (...names: string[]): void =>
    Deno.writeTextFileSync(
      at("toml"),
      [
        `qemu = "${at("qemu")}"\nfd-store = true\ncontrol = "${at("control")}"\n`,
        ...names.map((name) => `[[listen]]\naddress = "${at(name)}"\n`),
      ].join(""),
    );
  write("a", "b");
  await using managed = new Managed("--config", at("toml"));
  for (const _ of "abc") await managed.log.until(/listening on /);
  assertEquals(await managed.stored(), [at("a"), at("b"), at("control")]);
  write("b");
  using admin = await TestClient.ready(at("control"));
  await admin.ask({ execute: "__org.qmpmux_reload" });
  assertEquals(await managed.stored(), [at("b"), at("control")]);
  assertEquals([...Deno.readDirSync(place.path)].map(({ name }) => name).sort(), [
    ...["b", "control", "qemu", "toml"],
  ]);
});

storeTest(
  "without --fd-store, sockets of the earlier process are taken, and the store is empty",
  async () => {
    using place = makePlace();
    const at = (name: string): string => `${place.path}/${name}`;
    await using _qemu = fakeQemu(at("qemu"));
    const write = (on: boolean): void =>
      Deno.writeTextFileSync(
        at("toml"),
        `qemu = "${at("qemu")}"\nfd-store = ${on}\n[[listen]]\naddress = "${at("a")}"\n`,
      );
    write(true);
    await using managed = new Managed("--config", at("toml"));
    await managed.log.until(/listening on /);
    assertEquals(await managed.stored(), [at("a")]);
    write(false);
    await managed.order("restart");
    await managed.said.until(/^ended/);
    using client = await TestClient.ready(at("a"));
    assertEquals(await client.ask({ execute: "query-name" }), PONG);
    assertEquals(await managed.stored(), []);
    await managed.order("end");
    await managed.said.until(/^ended/);
    await assertRejects(() => TestClient.connect(at("a")), Deno.errors.NotFound);
  },
);
