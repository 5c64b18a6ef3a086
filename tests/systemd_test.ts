/**
 * qmpmux as a service: its environment from the service manager, and its notifications.
 *
 * The test is the manager: it receives the notifications on its own socket and passes listening
 * sockets as systemd does.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { Failure } from "../lib/platform/failure.ts";
import { Notifier, PassedSockets, readServiceEnvironment } from "../lib/platform/systemd.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { FakeLog } from "./support/fake_log.ts";
import { Lines } from "./support/lines.ts";
import { newDenoTest, OLDER_DENO } from "./support/new_deno.ts";
import { leaveDeadSocket, makePlace } from "./support/place.ts";
import { readToEnd, write } from "./support/pair.ts";
import { Notified, passing, WITHOUT_PYTHON } from "./support/passer.ts";
import { kill, programCommand } from "./support/qmpmux.ts";

const US = 1234;

function watchdogOf(variables: Record<string, string>): number | undefined {
  return readServiceEnvironment((name) => variables[name], US).watchdogMs;
}

function passed(names: string, pid = String(US)): PassedSockets {
  return new PassedSockets({ fds: String(names.split(":").length), pid, names }, US);
}

function refusal(sockets: PassedSockets, name: string): string {
  const error = assertThrows(() => sockets.take(name), Failure);
  assertEquals(error.status, 78);
  return error.message;
}

Deno.test("readServiceEnvironment() finds nothing without a service manager", () => {
  const { notifySocket, watchdogMs, sockets } = readServiceEnvironment(() => undefined, US);
  assertEquals([notifySocket, watchdogMs, sockets.untaken], [undefined, undefined, []]);
});

Deno.test("readServiceEnvironment() ignores an empty NOTIFY_SOCKET", () => {
  assertEquals(readServiceEnvironment(() => "", US).notifySocket, undefined);
});

Deno.test("readServiceEnvironment() reads the watchdog's time as milliseconds", () => {
  assertEquals(watchdogOf({ WATCHDOG_USEC: "30000000" }), 30000);
  assertEquals(watchdogOf({ WATCHDOG_USEC: "1500", WATCHDOG_PID: "1234" }), 1.5);
});

Deno.test("readServiceEnvironment() ignores the watchdog of another process", () => {
  assertEquals(watchdogOf({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "4321" }), undefined);
});

for (const usec of ["0", "-1", "soon", "", "1e6"]) {
  Deno.test(`readServiceEnvironment() finds no watchdog in WATCHDOG_USEC=${usec}`, () => {
    assertEquals(watchdogOf({ WATCHDOG_USEC: usec }), undefined);
  });
}

Deno.test("PassedSockets.take() finds a socket by its name", () => {
  const sockets = passed("a:b:c");
  assertEquals([sockets.take("c"), sockets.take("a")], [5, 3]);
});

Deno.test("PassedSockets.take() returns a socket once: it is closed with its listener", () => {
  const sockets = passed("a");
  sockets.take("a");
  assertEquals(
    refusal(sockets, "a"),
    "fd:a: the socket has been used and closed; restart qmpmux to use it again",
  );
});

Deno.test("PassedSockets.untaken lists sockets that no listener uses", () => {
  const sockets = passed("a:b:c");
  sockets.take("b");
  assertEquals(sockets.untaken, ["a", "c"]);
});

Deno.test("PassedSockets.take() finds a socket passed without a name as libsystemd does", () => {
  assertEquals(new PassedSockets({ fds: "1", pid: "1234" }, US).take("unknown"), 3);
});

Deno.test("PassedSockets.take() refuses an unknown name, and lists the known ones", () => {
  assertEquals(
    refusal(passed("a:b"), "mux"),
    "fd:mux: systemd passed no socket of this name, but a, b; correct FileDescriptorName=",
  );
});

Deno.test("PassedSockets.take() refuses any name if no socket was passed", () => {
  const message = "fd:mux: systemd passed no sockets; start qmpmux through a socket unit";
  assertEquals(refusal(new PassedSockets({}, US), "mux"), message);
  assertEquals(refusal(new PassedSockets({ fds: "0", pid: "1234" }, US), "mux"), message);
  assertEquals(refusal(new PassedSockets({ fds: "x", pid: "1234" }, US), "mux"), message);
});

Deno.test("PassedSockets.take() refuses a socket passed to another process", () => {
  assertEquals(
    refusal(passed("mux", "77"), "mux"),
    "fd:mux: the sockets were passed to process 77 (LISTEN_PID), but this is 1234; " +
      "let systemd start qmpmux itself",
  );
});

Deno.test("PassedSockets.take() refuses a name that two sockets have", () => {
  assertEquals(
    refusal(passed("mux:a:mux"), "mux"),
    "fd:mux: systemd passed 2 sockets of this name; " +
      "give each a socket unit and a FileDescriptorName= of its own",
  );
});

for (const kind of ["a path", "an abstract socket"]) {
  Deno.test(`Notifier.ready() reaches ${kind}`, async () => {
    using place = makePlace();
    const path = kind === "a path" ? `${place.path}/n` : `@${place.path}`;
    using manager = new Notified(path);
    const notifier = new Notifier(path, new FakeLog());
    notifier.ready();
    assertEquals(await manager.next(), ["READY=1"]);
    await notifier.close();
  });
}

Deno.test("Notifier sends one datagram per turn", async () => {
  using place = makePlace();
  using manager = new Notified(`${place.path}/n`);
  const notifier = new Notifier(manager.path, new FakeLog());
  notifier.ready();
  notifier.status("as good as new");
  assertEquals(await manager.next(), ["READY=1", "STATUS=as good as new"]);
  await notifier.close();
});

Deno.test("Notifier.status() sends a status once, until it changes", async () => {
  using place = makePlace();
  using manager = new Notified(`${place.path}/n`);
  const notifier = new Notifier(manager.path, new FakeLog());
  for (const [status, line] of [["a", "STATUS=a"], ["a", "WATCHDOG=1"], ["b", "STATUS=b"]]) {
    notifier.status(status!);
    if (line === "WATCHDOG=1") notifier.alive();
    assertEquals(await manager.next(), [line]);
  }
  await notifier.close();
});

Deno.test("Notifier.reloaded() is sent last, however fast the reload was", async () => {
  using place = makePlace();
  using manager = new Notified(`${place.path}/n`);
  const notifier = new Notifier(manager.path, new FakeLog());
  notifier.ready();
  notifier.reloading();
  notifier.reloaded();
  assertEquals(await manager.next(), ["RELOADING=1", "READY=1"]);
  await notifier.close();
});

Deno.test("Notifier.reloaded() does not report readiness", async () => {
  using place = makePlace();
  using manager = new Notified(`${place.path}/n`);
  const notifier = new Notifier(manager.path, new FakeLog());
  notifier.reloading();
  notifier.reloaded();
  notifier.alive();
  assertEquals(await manager.next(), ["WATCHDOG=1"]);
  await notifier.close();
});

Deno.test("Notifier.stopping() is sent once", async () => {
  using place = makePlace();
  using manager = new Notified(`${place.path}/n`);
  const notifier = new Notifier(manager.path, new FakeLog());
  notifier.stopping();
  assertEquals(await manager.next(), ["STOPPING=1"]);
  notifier.stopping();
  notifier.alive();
  assertEquals(await manager.next(), ["WATCHDOG=1"]);
  await notifier.close();
});

Deno.test("Notifier.close() waits until every notification has been sent", async () => {
  using place = makePlace();
  using manager = new Notified(`${place.path}/n`);
  const notifier = new Notifier(manager.path, new FakeLog());
  notifier.stopping();
  await notifier.close();
  assertEquals(await manager.next(), ["STOPPING=1"]);
});

Deno.test("Notifier sends and logs nothing without a manager", async () => {
  const log = new FakeLog();
  const notifier = new Notifier(undefined, log);
  notifier.ready();
  await notifier.close();
  assertEquals([notifier.active, log.lines], [false, []]);
});

Deno.test("Notifier logs once that it cannot send, and sends later notifications", async () => {
  using place = makePlace();
  const log = new FakeLog();
  const notifier = new Notifier(`${place.path}/n`, log);
  const told = log.next;
  notifier.ready();
  await told;
  notifier.alive();
  using manager = new Notified(`${place.path}/n`);
  notifier.status("heard");
  await manager.until("STATUS=heard");
  await notifier.close();
  assertEquals(log.lines, ["systemd cannot be notified: No such file or directory (os error 2)"]);
});

for (const address of ["vsock:2:1234", "n", "/", "@"]) {
  Deno.test(`Notifier ignores an address like ${address}, and logs it once`, async () => {
    const log = new FakeLog();
    const notifier = new Notifier(address, log);
    notifier.ready();
    notifier.stopping();
    await notifier.close();
    assertEquals(log.lines, [
      `systemd cannot be notified: ${address} is neither a path nor an abstract socket`,
    ]);
  });
}

Deno.test("Notifier.close() does not wait forever for a manager that does not read", async () => {
  using place = makePlace();
  using _deaf = new Notified(`${place.path}/n`);
  const notifier = new Notifier(`${place.path}/n`, new FakeLog());
  let sent = 0;
  // The kernel keeps a few datagrams for it; then sending blocks forever.
  const queue = Number(Deno.readTextFileSync("/proc/sys/net/unix/max_dgram_qlen"));
  while (sent++ < queue + 10) {
    notifier.alive();
    await new Promise((resolve) => setTimeout(resolve));
  }
  await within("the notifier to close", notifier.close());
});

Deno.test("the unit starts serve with valid flags", () => {
  const unit = Deno.readTextFileSync(new URL("../systemd/qmpmux@.service", import.meta.url));
  const [, words] = /^Environment="QMPMUX_ARGS=(.*)"$/m.exec(unit) ?? [];
  const settings = serveSettings(words!.replaceAll("%i", "vm1").split(" "));
  const { qemu, listeners: [listener] } = settings;
  assertEquals(qemu, { transport: "unix", path: "/run/qemu/vm1/qmp.sock" });
  assertEquals(listener?.address, { transport: "unix", path: "/run/qmpmux/vm1/mux.sock" });
  assertEquals(listener?.mode, 0o660);
});

/** A program with sockets passed to it and its notifications received. */
class Service implements AsyncDisposable {
  readonly log: Lines;
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;

  constructor(
    args: readonly string[],
    { sockets = [], env = {} }: {
      sockets?: readonly string[];
      env?: Record<string, string> | undefined;
    },
  ) {
    const [program, first] = programCommand();
    const command: [string, string[]] = [program, [...first, "serve", ...args]];
    const [name, words] = sockets.length > 0 ? passing(sockets, command) : command;
    this.#child = new Deno.Command(name, {
      args: words,
      env,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.log = new Lines(this.#child.stderr);
    this.ended = this.#child.status;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    kill(this.#child);
    await this.ended;
    await this.log.rest();
  }
}

/** Returns a manager for a qmpmux without QEMU; `at` returns paths. */
function stage(): { at: (name: string) => string; manager: Notified } & Disposable {
  const place = makePlace();
  const at = (name: string) => `${place.path}/${name}`;
  const manager = new Notified(at("notify"));
  return {
    at,
    manager,
    [Symbol.dispose](): void {
      manager[Symbol.dispose]();
      place[Symbol.dispose]();
    },
  };
}

Deno.test("serve() sends READY=1 when its listeners accept, with or without QEMU", async () => {
  using here = stage();
  await using _service = new Service(
    ["--qemu", here.at("qemu"), "--listen", here.at("mux")],
    { env: { NOTIFY_SOCKET: here.manager.path } },
  );
  assertEquals(await here.manager.next(), [
    "READY=1",
    "STATUS=listening, waiting for QEMU, 0 clients",
  ]);
  using client = await TestClient.connect(here.at("mux"));
  await here.manager.until("STATUS=listening, waiting for QEMU, 1 client");
  await using _qemu = new FakeQemu(here.at("qemu"));
  assert((await client.line()).startsWith('{"QMP"'));
});

Deno.test("serve() with --ready qemu sends READY=1 once QEMU has connected", async () => {
  using here = stage();
  await using _service = new Service(
    ["--qemu", here.at("qemu"), "--listen", here.at("mux"), "--ready", "qemu"],
    { env: { NOTIFY_SOCKET: here.manager.path } },
  );
  assertEquals(await here.manager.next(), ["STATUS=listening, waiting for QEMU, 0 clients"]);
  await using _qemu = new FakeQemu(here.at("qemu"));
  const [ready, status] = await here.manager.next();
  assertEquals(ready, "READY=1");
  assert(/^STATUS=connected to QEMU \d+\.\d+\.\d+, 0 clients$/.test(status!), status);
});

Deno.test("serve() with --ready qemu and many VMs sends READY=1 when each VM has had a QEMU", async () => {
  using here = stage();
  for (const vm of ["a", "b", "c"]) Deno.mkdirSync(here.at(`q/${vm}`), { recursive: true });
  // A VM that cannot be served delays nothing.
  Deno.writeTextFileSync(here.at("q/c/qmp"), "");
  leaveDeadSocket(here.at("q/b/qmp"));
  await using _a = new FakeQemu(here.at("q/a/qmp"));
  await using _service = new Service(
    ["--qemu", here.at("q/{vm}/qmp"), "--listen", here.at("m/{vm}"), "--ready", "qemu"],
    { env: { NOTIFY_SOCKET: here.manager.path } },
  );
  const before = await here.manager.until("STATUS=3 VMs, 1 connected, 1 not served, 0 clients");
  assertEquals(before.filter((line) => line === "READY=1"), []);
  Deno.removeSync(here.at("q/b"), { recursive: true });
  await here.manager.until("READY=1");
});

Deno.test("serve() with --ready qemu and no VM sends READY=1 at once", async () => {
  using here = stage();
  await using _service = new Service(
    ["--qemu", here.at("q/{vm}/qmp"), "--listen", here.at("m/{vm}"), "--ready", "qemu"],
    { env: { NOTIFY_SOCKET: here.manager.path } },
  );
  await here.manager.until("READY=1");
});

Deno.test("serve() sends STATUS that QEMU disconnected", async () => {
  using here = stage();
  const qemu = new FakeQemu(here.at("qemu"));
  await using _service = new Service(
    ["--qemu", here.at("qemu"), "--listen", here.at("mux")],
    { env: { NOTIFY_SOCKET: here.manager.path } },
  );
  await here.manager.until("READY=1");
  using client = await TestClient.ready(here.at("mux"));
  await qemu[Symbol.asyncDispose]();
  assertEquals(await client.lines.rest(), []);
  await here.manager.until("STATUS=QEMU disconnected, 0 clients");
});

Deno.test("serve() sends STATUS that QEMU does not answer, and that it answers again", async () => {
  using here = stage();
  let alive = false;
  await using _qemu = new FakeQemu(here.at("qemu"), {
    answer: ({ name }) => name === "query-yank" && !alive ? "" : undefined,
  });
  await using _service = new Service(
    [
      ...["--qemu", here.at("qemu"), "--listen", here.at("mux")],
      ...["--stall-timeout", "1", "--watchdog", "qemu"],
    ],
    { env: { NOTIFY_SOCKET: here.manager.path } },
  );
  await here.manager.until(/^STATUS=QEMU \d+\.\d+\.\d+ does not answer, 0 clients$/);
  alive = true;
  using client = await TestClient.ready(here.at("mux"));
  await client.ask({ execute: "query-status" });
  await here.manager.until(/^STATUS=connected to QEMU \S+, 1 client$/);
});

Deno.test("serve() sends STOPPING=1 on SIGTERM", async () => {
  using here = stage();
  await using service = new Service(
    ["--qemu", here.at("qemu"), "--listen", here.at("mux")],
    { env: { NOTIFY_SOCKET: here.manager.path } },
  );
  await here.manager.next();
  service.kill("SIGTERM");
  assertEquals(await here.manager.next(), ["STOPPING=1", "STATUS=shutting down, 0 clients"]);
  assertEquals((await within("the end", service.ended)).code, 0);
});

Deno.test("serve() sends watchdog notifications if a watchdog expects them", async () => {
  using here = stage();
  await using _service = new Service(
    ["--qemu", here.at("qemu"), "--listen", here.at("mux")],
    { env: { NOTIFY_SOCKET: here.manager.path, WATCHDOG_USEC: "100000" } },
  );
  await here.manager.until("WATCHDOG=1");
  await here.manager.until("WATCHDOG=1");
});

Deno.test("serve() serves even if notifications fail, and logs it once", async () => {
  using here = stage();
  await using _qemu = new FakeQemu(here.at("qemu"));
  await using service = new Service(
    ["--qemu", here.at("qemu"), "--listen", here.at("mux")],
    { env: { NOTIFY_SOCKET: here.at("nobody"), WATCHDOG_USEC: "10000" } },
  );
  await service.log.until(/: systemd cannot be notified: No such file or directory/);
  using _client = await TestClient.ready(here.at("mux"));
  service.kill("SIGTERM");
  const rest = await service.log.rest();
  assertEquals(rest.filter((line) => line.includes("cannot be notified")), []);
  assertEquals((await service.ended).code, 0);
});

newDenoTest({
  name: "serve() notifies a service manager at an abstract socket",
  fn: async () => {
    using place = makePlace();
    using manager = new Notified(`@${place.path}/manager`);
    await using _service = new Service(
      ["--qemu", `${place.path}/qemu`, "--listen", `${place.path}/mux`],
      { env: { NOTIFY_SOCKET: manager.path } },
    );
    await manager.until("READY=1");
  },
});

function passedTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_PYTHON, fn });
}

/** Defines a test of the program with a passed socket. */
function adoptingTest(name: string, fn: () => Promise<void>): void {
  newDenoTest({ name, ignore: WITHOUT_PYTHON, fn });
}

if (OLDER_DENO !== undefined) {
  passedTest("serve() on an older Deno says that it cannot use a passed socket", async () => {
    using here = stage();
    await using service = new Service(["--qemu", here.at("qemu"), "--listen", "fd:mux"], {
      sockets: [`mux=${here.at("mux")}`],
    });
    const [line = "", ...more] = await service.log.rest();
    assert(
      line.endsWith(
        `fd:mux: Deno ${OLDER_DENO} cannot use sockets that systemd passes; ` +
          "use 2.9 or later, or let qmpmux listen itself (unix:/path)",
      ),
      line,
    );
    assertEquals(more, []);
    assertEquals((await service.ended).code, 78);
  });
}

adoptingTest(
  "serve() serves clients of a passed socket, those too who came before it",
  async () => {
    using here = stage();
    await using _qemu = new FakeQemu(here.at("qemu"));
    await using service = new Service(["--qemu", here.at("qemu"), "--listen", "fd:mux"], {
      sockets: [`mux=${here.at("mux")}`],
    });
    await service.log.until(/: listening on fd:mux \(qmp\)/);
    using one = await TestClient.ready(here.at("mux"));
    using two = await TestClient.ready(here.at("mux"), ["oob"]);
    assertEquals(
      await one.ask({ execute: "query-version", id: 1 }),
      await two.ask({ execute: "query-version", id: 1 }),
    );
  },
);

adoptingTest("serve() answers a client of a passed socket that has ended its half", async () => {
  using here = stage();
  await using _qemu = new FakeQemu(here.at("qemu"));
  await using service = new Service(["--qemu", here.at("qemu"), "--listen", "fd:mux"], {
    sockets: [`mux=${here.at("mux")}`],
  });
  await service.log.until(/: connected to QEMU/);
  using socket = await Deno.connect({ transport: "unix", path: here.at("mux") });
  const ask = (id: number) => `{"execute":"query-name","id":${id}}`;
  await write(socket, `{"execute":"qmp_capabilities"}${ask(1)}${ask(2)}${ask(3)}`);
  await socket.closeWrite();
  const heard = await within("the answers", readToEnd(socket));
  assertEquals(heard.match(/"id": \d/g), ['"id": 1', '"id": 2', '"id": 3']);
});

adoptingTest(
  "serve() outlives a client of a passed socket that resets the connection",
  async () => {
    using here = stage();
    await using _qemu = new FakeQemu(here.at("qemu"));
    await using service = new Service(["--qemu", here.at("qemu"), "--listen", "fd:mux"], {
      sockets: [`mux=${here.at("mux")}`],
    });
    await service.log.until(/: connected to QEMU/);
    for (let i = 0; i < 5; i++) {
      // The greeting stays unread, which causes a reset.
      const socket = await Deno.connect({ transport: "unix", path: here.at("mux") });
      await write(socket, '{"execute":"qmp_capabilities"}');
      socket.close();
    }
    using _client = await TestClient.ready(here.at("mux"));
  },
);

adoptingTest("serve() leaves the file of a passed socket where it is", async () => {
  using here = stage();
  await using service = new Service(["--qemu", here.at("qemu"), "--listen", "fd:mux"], {
    sockets: [`mux=${here.at("mux")}`],
    env: { NOTIFY_SOCKET: here.manager.path },
  });
  await here.manager.next();
  service.kill("SIGTERM");
  assertEquals((await within("the end", service.ended)).code, 0);
  assert(Deno.lstatSync(here.at("mux")).isSocket);
});

adoptingTest("serve() drains clients of a passed socket before it ends", async () => {
  using here = stage();
  let reply: (() => void) | undefined;
  const asked = Promise.withResolvers<void>();
  await using _qemu = new FakeQemu(here.at("qemu"), {
    answer: ({ name }, connection) => {
      if (name !== "query-name") return undefined;
      reply = () => connection.say('{"return": {"name": "late"}}\r\n');
      asked.resolve();
      return "";
    },
  });
  await using service = new Service(["--qemu", here.at("qemu"), "--listen", "fd:mux"], {
    sockets: [`mux=${here.at("mux")}`],
    env: { NOTIFY_SOCKET: here.manager.path },
  });
  await here.manager.next();
  using client = await TestClient.ready(here.at("mux"));
  await client.send({ execute: "query-name" });
  await within("the command at QEMU", asked.promise);
  service.kill("SIGTERM");
  await here.manager.until("STOPPING=1");
  reply!();
  assertEquals(await client.lines.rest(), ['{"return": {"name": "late"}}']);
  assertEquals((await within("the end", service.ended)).code, 0);
});

adoptingTest("serve() takes each of several passed sockets by its name", async () => {
  using here = stage();
  await using _qemu = new FakeQemu(here.at("qemu"));
  await using service = new Service(
    ["--qemu", here.at("qemu"), "--listen", "fd:b,dialect=rfc2010", "--listen", "fd:a"],
    { sockets: [`a=${here.at("a")}`, `b=${here.at("b")}`] },
  );
  await service.log.until(/: connected to QEMU/);
  using modern = await TestClient.connect(here.at("a"));
  assert((await modern.line()).includes('"version"'));
  using old = await TestClient.connect(here.at("b"));
  assertEquals(await old.line(), '{"QMP": {"capabilities": ["async messages"]}}');
});

adoptingTest("serve() serves a passed TCP socket of this machine", async () => {
  using here = stage();
  await using service = new Service(["--qemu", here.at("qemu"), "--listen", "fd:t"], {
    sockets: ["t=0"],
  });
  await service.log.until(/: listening on fd:t \(qmp\)/);
});

adoptingTest("serve() warns of a passed socket that no listener takes", async () => {
  using here = stage();
  await using service = new Service(["--qemu", here.at("qemu"), "--listen", "fd:a"], {
    sockets: [`a=${here.at("a")}`, `b=${here.at("b")}`],
  });
  await service.log.until(/: systemd passed the socket b, but no --listen fd:b uses it$/);
});

const WRONG: readonly {
  readonly what: string;
  readonly listen: string;
  readonly sockets: readonly string[];
  readonly env?: Record<string, string>;
  readonly says: RegExp;
  /** Whether the problem is detected when the socket is adopted. */
  readonly adopted?: true;
}[] = [
  { what: "a name that was not passed", listen: "fd:b", sockets: ["a=a"], says: /but a; correct/ },
  {
    what: "sockets passed to another process",
    listen: "fd:a",
    sockets: ["a=a"],
    env: { LISTEN_PID: "1" },
    says: /passed to process 1 /,
  },
  {
    what: "a name passed twice",
    listen: "fd:a",
    sockets: ["a=a", "a=b"],
    says: /passed 2 sockets of this name/,
  },
  {
    what: "what is no socket",
    listen: "fd:a",
    sockets: ["a=-"],
    says: /descriptor 3 is not a listening socket/,
    adopted: true,
  },
  {
    what: "a passed TCP socket that other machines reach",
    listen: "fd:a",
    sockets: ["a=0.0.0.0:0"],
    says: /other machines could control the VM through tcp:0\.0\.0\.0:\d+/,
    adopted: true,
  },
];

for (const { what, listen, sockets, env, says, adopted } of WRONG) {
  const test = adopted ? adoptingTest : passedTest;
  test(`serve() refuses ${what} with one line and status 78`, async () => {
    using here = stage();
    const placed = sockets.map((socket) => socket.replace(/=([a-z])$/, `=${here.at("$1")}`));
    await using service = new Service(["--qemu", here.at("qemu"), "--listen", listen], {
      sockets: placed,
      env,
    });
    const lines = await service.log.rest();
    assertEquals(lines.length, 1, lines.join("\n"));
    assert(says.test(lines[0]!), lines[0]);
    assertEquals((await service.ended).code, 78);
  });
}

/** Connects, sends the act, plays it, and returns the result that the server prints. */
async function adapted(
  kind: string,
  rest: (socket: Deno.UnixConn, said: () => Promise<string | undefined>) => Promise<void>,
): Promise<unknown> {
  using place = makePlace();
  const path = `${place.path}/s`;
  const script = new URL("./support/passed_server.ts", import.meta.url).pathname;
  const flags = ["run", "--no-prompt", "--allow-env", script];
  const [program, args] = passing([`s=${path}`], [Deno.execPath(), flags]);
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped" }).spawn();
  const lines = new Lines(child.stdout);
  try {
    assertEquals(await lines.next(), '"unix"');
    let heard: Promise<string | undefined> | undefined;
    const outcome = () => heard ??= lines.next();
    {
      using socket = await Deno.connect({ transport: "unix", path });
      await write(socket, kind);
      await rest(socket, outcome);
    }
    const said = await outcome();
    using last = await Deno.connect({ transport: "unix", path });
    await write(last, "q");
    assertEquals(await lines.next(), '"BadResource"');
    assertEquals((await within("the end", child.status)).code, 0);
    return JSON.parse(said!);
  } finally {
    kill(child);
    await child.status;
    await lines.rest();
  }
}

passedTest(
  "a passed connection is read to the end of file, and can be written to then",
  async () => {
    const said = await adapted("e", async (socket) => {
      await write(socket, "hello there");
      await socket.closeWrite();
      assertEquals(await readToEnd(socket), "hello there");
    });
    assertEquals(said, "hello there");
  },
);

passedTest(
  "a passed connection is ended by halves, and is read then, but not written to",
  async () => {
    const said = await adapted("h", async (socket) => {
      assertEquals(await readToEnd(socket), "");
      await write(socket, "still here");
    });
    assertEquals(said, ["still here", "BrokenPipe"]);
  },
);

passedTest("a passed connection is written to in pieces", async () => {
  const said = await adapted("w", async (socket) => {
    assertEquals((await within("all of it", readToEnd(socket))).length, 4 << 20);
  });
  assertEquals(said, [true, 4 << 20]);
});

passedTest("a passed connection that is closed interrupts its reading", async () => {
  const said = await adapted("c", async (socket) => {
    assertEquals(await readToEnd(socket), "");
  });
  assertEquals(said, ["Interrupted", "Interrupted"]);
});

passedTest("a passed connection that is closed interrupts its writing", async () => {
  const said = await adapted("b", async (socket, outcome) => {
    // It is writing, because something has arrived; nothing more is read until it has been closed.
    await socket.read(new Uint8Array(1));
    await write(socket, "x");
    await outcome();
  });
  assertEquals(said, "Interrupted");
});

passedTest("a passed connection gives what came before a reset, then the reset", async () => {
  const said = await adapted("r", async (socket) => {
    await socket.read(new Uint8Array(1));
    await write(socket, "last words");
  });
  assertEquals(said, ["ConnectionReset", "last words", "ConnectionReset"]);
});

passedTest("a passed connection tells that its peer has gone when it is written to", async () => {
  assertEquals(await adapted("g", async () => {}), "BrokenPipe");
});
