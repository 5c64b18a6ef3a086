/**
 * Listening sockets: the files they create, replace, and leave alone.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Failure } from "../lib/platform/failure.ts";
import { Listener } from "../lib/platform/listener.ts";
import { bindFile, directoryOf, type UnixAddress } from "../lib/platform/socket_file.ts";
import { parseListener } from "../lib/config/options.ts";
import { within } from "./support/deadline.ts";
import { FakeLog } from "./support/fake_log.ts";
import { leaveDeadSocket, makePlace } from "./support/place.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { FakeQemu } from "./support/fake_qemu.ts";

function open(text: string): Promise<Listener> {
  return Listener.open(parseListener(text));
}

async function refusal(text: string): Promise<[number, string]> {
  const error = await assertRejects(() => open(text), Failure);
  return [error.status, error.message];
}

function names(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

/** Accepts one client and sends it a greeting. */
async function greets(listener: Listener, path: string): Promise<string> {
  const accepting = listener.accept((socket) => {
    // A client that only tests whether the socket is alive has disconnected.
    void socket.write(new TextEncoder().encode("hello")).catch((error) => {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }).finally(() => socket.close());
  }, new FakeLog());
  using client = await Deno.connect({ transport: "unix", path });
  const buffer = new Uint8Array(16);
  const length = await within("the listener's reply", client.read(buffer));
  listener[Symbol.dispose]();
  await within("the listener to end", accepting);
  return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
}

Deno.test("Listener.open() creates a socket only its owner can open, and no other file", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  using listener = await open(path);
  assertEquals(Deno.lstatSync(path).mode! & 0o777, 0o600);
  assertEquals(names(place.path), ["mux.sock"]);
  assertEquals(listener.address, `unix:${path}`);
});

for (const mode of ["0660", "0666", "0400", "0777"]) {
  Deno.test(`Listener.open() gives the socket the mode ${mode}, whatever the umask`, async () => {
    using place = makePlace();
    const path = `${place.path}/mux.sock`;
    const umask = Deno.umask(0o077);
    try {
      using _listener = await open(`${path},mode=${mode}`);
      assertEquals(Deno.lstatSync(path).mode! & 0o777, parseInt(mode, 8));
    } finally {
      Deno.umask(umask);
    }
  });
}

Deno.test("Listener.open() gives the socket to its user and group, and keeps its mode", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  // Only root can give to others.
  const [uid, gid] = Deno.uid() === 0 ? [12345, 23456] : [Deno.uid()!, Deno.gid()!];
  using _listener = await open(`${path},user=${uid},group=${gid},mode=0660`);
  const file = Deno.lstatSync(path);
  assertEquals([file.uid, file.gid, file.mode! & 0o777], [uid, gid, 0o660]);
});

Deno.test("Listener.open() with an unknown user leaves nothing behind", async () => {
  using place = makePlace();
  const [status, message] = await refusal(`${place.path}/mux.sock,user=no-such-one`);
  assertEquals(status, 78);
  assert(message.startsWith("user=no-such-one: /etc/passwd has no such user"), message);
  assertEquals(names(place.path), []);
});

Deno.test("Listener accepts clients, and removes its file when closed", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  using listener = await open(path);
  assertEquals(await greets(listener, path), "hello");
  assertEquals(names(place.path), []);
});

Deno.test("Listener can be disposed twice", async () => {
  using place = makePlace();
  const listener = await open(`${place.path}/mux.sock`);
  listener[Symbol.dispose]();
  listener[Symbol.dispose]();
  assertEquals(names(place.path), []);
});

for (const base of ["m", "mm", "mmm", "mmmm", "m".repeat(12), "m".repeat(40)]) {
  Deno.test(`Listener.open() accepts a path of 107 bytes with a name of ${base.length}`, async () => {
    using place = makePlace();
    const fill = "d".repeat(107 - place.path.length - base.length - 2);
    Deno.mkdirSync(`${place.path}/${fill}`);
    const path = `${place.path}/${fill}/${base}`;
    assertEquals(path.length, 107);
    using listener = await open(`${path},mode=0640`);
    assertEquals(names(directoryOf(path)), [base]);
    assertEquals(Deno.lstatSync(path).mode! & 0o777, 0o640);
    assertEquals(await greets(listener, path), "hello");
    assertEquals(names(directoryOf(path)), []);
  });
}

Deno.test("Listener does not remove a file that another process has put in its place", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  const listener = await open(path);
  Deno.removeSync(path);
  using other = Deno.listen({ transport: "unix", path: `${place.path}/other` });
  Deno.renameSync(`${place.path}/other`, path);
  listener[Symbol.dispose]();
  assertEquals(names(place.path), ["mux.sock"]);
  const [accepted, client] = await Promise.all([
    other.accept(),
    Deno.connect({ transport: "unix", path }),
  ]);
  accepted.close();
  client.close();
});

Deno.test("Listener closes without an error if its file has been removed", async () => {
  using place = makePlace();
  const listener = await open(`${place.path}/mux.sock`);
  Deno.removeSync(`${place.path}/mux.sock`);
  listener[Symbol.dispose]();
  assertEquals(names(place.path), []);
});

Deno.test("Listener.prepare() changes the file at once, and undo() restores it", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  // Only root can give to others.
  const isRoot = Deno.uid() === 0;
  const [uid, gid] = isRoot ? [12345, 23456] : [Deno.uid()!, Deno.gid()!];
  using listener = await open(`${path},mode=0640`);
  const before = Deno.lstatSync(path);
  const change = listener.prepare(parseListener(`${path},user=${uid},group=${gid},mode=0666`));
  const between = Deno.lstatSync(path);
  assertEquals([between.mode! & 0o777, between.uid, between.gid], [0o666, uid, gid]);
  assertEquals(listener.settings.mode, 0o640);
  change.undo();
  const after = Deno.lstatSync(path);
  assertEquals([after.mode, after.uid, after.gid], [before.mode, before.uid, before.gid]);
  assertEquals(await greets(listener, path), "hello");
});

Deno.test("Listener.prepare() that fails has changed nothing", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  using listener = await open(`${path},mode=0640`);
  const before = Deno.lstatSync(path);
  const settings = parseListener(`${path},group=no-such-one,mode=0666`);
  assertThrows(() => listener.prepare(settings), Failure, "has no such group");
  const after = Deno.lstatSync(path);
  assertEquals([after.mode, after.uid, after.gid], [before.mode, before.uid, before.gid]);
  assertEquals(listener.settings.mode, 0o640);
});

Deno.test("Listener.prepare() creates a lost file again, and undo() removes it", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  using listener = await open(path);
  Deno.removeSync(path);
  const change = listener.prepare(parseListener(`${path},mode=0666`));
  assertEquals(Deno.lstatSync(path).mode! & 0o777, 0o666);
  change.undo();
  assertEquals(names(place.path), []);
  listener.adopt(parseListener(path));
  assertEquals(await greets(listener, path), "hello");
});

Deno.test("Listener.prepare() reports what cannot be undone", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  using listener = await open(path);
  const change = listener.prepare(parseListener(`${path},mode=0666`));
  Deno.removeSync(path);
  assertThrows(
    () => change.undo(),
    Failure,
    "old mode and owner of the socket cannot be restored: ",
  );
});

Deno.test("Listener stops listening even if its directory has been removed", async () => {
  using place = makePlace();
  Deno.mkdirSync(`${place.path}/d`);
  const listener = await open(`${place.path}/d/mux.sock`);
  const accepting = listener.accept(() => {}, new FakeLog());
  Deno.removeSync(`${place.path}/d`, { recursive: true });
  Deno.writeTextFileSync(`${place.path}/d`, "");
  listener[Symbol.dispose]();
  await within("the listener to end", accepting);
});

Deno.test("bindFile() fails with a Failure if its directory is removed meanwhile", () => {
  using place = makePlace();
  Deno.mkdirSync(`${place.path}/d`);
  const settings = parseListener(`${place.path}/d/s`);
  const listen = (path: string): { socket: Deno.Listener } => {
    const socket = Deno.listen({ transport: "unix", path });
    Deno.removeSync(`${place.path}/d`, { recursive: true });
    return { socket };
  };
  assertThrows(() => bindFile(settings, settings.address as UnixAddress, listen), Failure);
});

Deno.test("Listener.open() replaces a dead socket", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  leaveDeadSocket(path);
  using listener = await open(path);
  assertEquals(await greets(listener, path), "hello");
});

Deno.test("Listener.open() leaves a live socket alone", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  const first = await open(path);
  const { ino } = Deno.lstatSync(path);
  const [status, message] = await refusal(path);
  assertEquals(status, 1);
  assertEquals(message, `unix:${path} is in use by another process; stop it, or listen elsewhere`);
  assertEquals(Deno.lstatSync(path).ino, ino);
  // The probe that the second listener made is accepted first, and disconnects.
  assertEquals(await greets(first, path), "hello");
});

for (
  const [what, make] of [
    ["file", (path: string) => Deno.writeTextFileSync(path, "precious")],
    ["directory", (path: string) => Deno.mkdirSync(path)],
    ["dangling symbolic link", (path: string) => Deno.symlinkSync("nowhere", path)],
    ["symbolic link to itself", (path: string) => Deno.symlinkSync("mux.sock", path)],
    ["named pipe", (path: string) => {
      new Deno.Command("mkfifo", { args: [path] }).outputSync();
    }],
  ] as const
) {
  Deno.test(`Listener.open() leaves a ${what} alone`, async () => {
    using place = makePlace();
    const path = `${place.path}/mux.sock`;
    make(path);
    const before = Deno.lstatSync(path);
    const [status, message] = await refusal(path);
    assertEquals(status, 78);
    assertEquals(
      message,
      `unix:${path} already exists and is not a socket; remove it, or listen elsewhere`,
    );
    assertEquals(Deno.lstatSync(path).ino, before.ino);
    assertEquals(names(place.path), ["mux.sock"]);
  });
}

Deno.test("Listener.open() leaves a symbolic link to a live socket alone", async () => {
  using place = makePlace();
  using _live = Deno.listen({ transport: "unix", path: `${place.path}/live` });
  Deno.symlinkSync("live", `${place.path}/mux.sock`);
  const [status, message] = await refusal(`${place.path}/mux.sock`);
  assertEquals(status, 78);
  assert(message.includes("already exists and is not a socket"), message);
  assertEquals(names(place.path), ["live", "mux.sock"]);
});

Deno.test("Listener.open() names the missing directory", async () => {
  using place = makePlace();
  const [status, message] = await refusal(`${place.path}/no/mux.sock`);
  assertEquals(status, 78);
  assertEquals(
    message,
    `unix:${place.path}/no/mux.sock: the directory ${place.path}/no does not exist; create it`,
  );
});

Deno.test("Listener.open() reports that a directory's path is a file", async () => {
  using place = makePlace();
  Deno.writeTextFileSync(`${place.path}/file`, "");
  const [status, message] = await refusal(`${place.path}/file/mux.sock`);
  assertEquals(status, 78);
  assertEquals(
    message,
    `unix:${place.path}/file/mux.sock: ${place.path}/file is not a directory; correct the path`,
  );
});

Deno.test("Listener.open() reports other errors of a directory", async () => {
  using place = makePlace();
  Deno.symlinkSync("loop", `${place.path}/loop`);
  const [status, message] = await refusal(`${place.path}/loop/mux.sock`);
  assertEquals(status, 78);
  assert(message.startsWith(`unix:${place.path}/loop/mux.sock: cannot listen there: `), message);
});

Deno.test("Listener.open() listens on an abstract socket, but only once", async () => {
  const name = `qmpmux-test-${crypto.randomUUID()}`;
  using listener = await open(`unix-abstract:${name}`);
  assertEquals(listener.address, `unix-abstract:${name}`);
  assertEquals(await refusal(`unix-abstract:${name}`), [
    1,
    `unix-abstract:${name} is in use by another process; stop it, or listen elsewhere`,
  ]);
  assertEquals(await greets(listener, `\0${name}`), "hello");
});

Deno.test("Listener.address has the port chosen for port 0, which is then in use", async () => {
  using listener = await open("127.0.0.1:0");
  const { address } = listener;
  assert(/^tcp:127\.0\.0\.1:[1-9]\d*$/.test(address), address);
  assertEquals(await refusal(address), [
    1,
    `${address} is in use by another process; stop it, or listen elsewhere`,
  ]);
});

Deno.test("Listener.open() refuses an address of another machine", async () => {
  assertEquals(await refusal("192.0.2.1:0,allow-remote=on"), [
    78,
    "tcp:192.0.2.1:0 is not an address of this machine; listen on one that is",
  ]);
});

Deno.test("Listener.open() names the drop-in if systemd forbids TCP", async () => {
  const original = Deno.listen;
  Deno.listen = (() => {
    throw new Error("Address family not supported by protocol (os error 97)");
  }) as unknown as typeof Deno.listen;
  try {
    const [status, message] = await refusal("127.0.0.1:9636");
    assertEquals(status, 78);
    assertEquals(
      message,
      "tcp:127.0.0.1:9636: this process may not use such addresses (address family not supported); " +
        "under systemd, allow TCP by a drop-in (systemctl edit) with PrivateNetwork=no, " +
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 and IPAddressAllow=localhost in [Service]",
    );
  } finally {
    Deno.listen = original;
  }
});

Deno.test("Listener.open() refuses an unknown host", async () => {
  const [status, message] = await refusal("no-such-host.invalid:1,allow-remote=on");
  assertEquals(status, 78);
  assert(message.startsWith("tcp:no-such-host.invalid:1: "), message);
});

Deno.test("Listener.accept() throws errors other than a lack of descriptors", async () => {
  using place = makePlace();
  using listener = await open(`${place.path}/mux.sock`);
  const accepting = listener.accept((socket) => {
    socket.close();
    throw new RangeError("bug");
  }, new FakeLog());
  using _client = await Deno.connect({ transport: "unix", path: `${place.path}/mux.sock` });
  await assertRejects(() => accepting, RangeError, "bug");
});

Deno.test("Listener.accept() continues when descriptors were short and are available again", async () => {
  using place = makePlace();
  const path = `${place.path}/mux.sock`;
  await using _qemu = new FakeQemu(`${place.path}/qemu`);
  await using mux = await startQmpmux(["--qemu", `${place.path}/qemu`, "--listen", path], {
    under: ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"],
  });
  using connections = new DisposableStack();
  const clients: Deno.Conn[] = [];
  await mux.log.until(/: connected to QEMU /);
  while (clients.length < 80) {
    clients.push(connections.use(await Deno.connect({ transport: "unix", path })));
  }
  const warning = `qmpmux: unix:${path}: no descriptor is left for another client; ` +
    "raise the limit of open files (LimitNOFILE=)";
  assertEquals(await mux.log.next(), warning);
  for (const client of clients.splice(0, 79)) client.close();
  assertEquals(await within("a greeting", clients[0]!.read(new Uint8Array(8))), 8);
  mux.kill("SIGTERM");
  assertEquals((await within("the program to exit", mux.ended)).code, 0);
  // The waiting clients have used up the descriptors again, perhaps more than once.
  assertEquals((await mux.log.rest()).filter((line) => line !== warning), []);
});

const DIRECTORIES: [string, string][] = [
  ["/run/mux.sock", "/run"],
  ["/mux.sock", "/"],
  ["mux.sock", "."],
  ["./mux.sock", "."],
  ["a/mux.sock", "a"],
];

for (const [path, directory] of DIRECTORIES) {
  Deno.test(`directoryOf() returns ${directory} for ${path}`, () => {
    assertEquals(directoryOf(path), directory);
  });
}
