/**
 * The connection to QEMU: errors after which qmpmux retries, errors for which retrying is useless,
 * and the close.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Mux } from "../lib/hub/mux.ts";
import type { QemuEnding } from "../lib/wire/peer.ts";
import { CLOCK } from "../lib/platform/clock.ts";
import { checkPlace } from "../lib/platform/dial.ts";
import type { Stream } from "../lib/platform/stream.ts";
import { Failure } from "../lib/platform/failure.ts";
import type { Log } from "../lib/platform/log.ts";
import { dial, Pauses, Qemu, type QemuDeps } from "../lib/daemon/qemu.ts";
import { TURNS } from "../lib/platform/turns.ts";
import { parseQemu } from "../lib/config/options.ts";
import { strictErrors } from "./support/client_deps.ts";
import { within } from "./support/deadline.ts";
import { FakeLog } from "./support/fake_log.ts";
import { options, STRICT_NOTICES } from "./support/stage.ts";
import { makePair, readText, readToEnd, write } from "./support/pair.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";

/** Pauses that the test ends. */
class HeldPauses extends Pauses {
  taken = 0;
  #held = Promise.withResolvers<void>();
  #begun = Promise.withResolvers<void>();

  /** Resolves when the next pause has begun. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  go(): void {
    this.#held.resolve();
  }

  override async take(abandoned: AbortSignal): Promise<void> {
    this.taken++;
    this.#held = Promise.withResolvers();
    this.#begun.resolve();
    this.#begun = Promise.withResolvers();
    abandoned.addEventListener("abort", () => this.#held.resolve(), { once: true });
    await this.#held.promise;
  }
}

/** Returns the times to which timers were set while `act` ran. */
async function timesOf(act: () => Promise<void>): Promise<number[]> {
  const original = globalThis.setTimeout;
  const times: number[] = [];
  globalThis.setTimeout = ((handler: () => void, time: number) => {
    times.push(time);
    return original(handler, 0);
  }) as unknown as typeof setTimeout;
  try {
    await act();
  } finally {
    globalThis.setTimeout = original;
  }
  return times;
}

const NEVER = new AbortController().signal;

Deno.test("Pauses.take() doubles the pause each time, up to a second", async () => {
  const pauses = new Pauses();
  const times = await timesOf(async () => {
    for (let i = 0; i < 8; i++) await pauses.take(NEVER);
  });
  assertEquals(times, [20, 40, 80, 160, 320, 640, 1000, 1000]);
});

Deno.test("Pauses.reset() makes the next pause a short one", async () => {
  const pauses = new Pauses();
  const times = await timesOf(async () => {
    for (let i = 0; i < 3; i++) await pauses.take(NEVER);
    pauses.reset();
    await pauses.take(NEVER);
  });
  assertEquals(times, [20, 40, 80, 20]);
});

Deno.test("Pauses.take() ends when it is aborted, and leaves no timer", async () => {
  const pauses = new Pauses();
  const abandon = new AbortController();
  const pause = pauses.take(abandon.signal);
  abandon.abort();
  await within("the pause to end", pause);
  const times = await timesOf(() => pauses.take(abandon.signal));
  assertEquals(times, []);
});

Deno.test("dial() retries until QEMU is there, and logs each reason once", async () => {
  using place = makePlace();
  const path = `${place.path}/qemu`;
  const log = new FakeLog();
  const pauses = new HeldPauses();
  let begun = pauses.begun;
  const dialling = dial({ address: () => parseQemu(path), pauses, log, stop: NEVER });
  const again = async (): Promise<void> => {
    await within("a pause", begun);
    begun = pauses.begun;
    pauses.go();
  };
  await again();
  await again();
  await within("a pause", begun);
  assertEquals(log.lines, [`unix:${path}: QEMU's socket does not exist yet; waiting`]);
  // A socket that nothing listens on, as a killed QEMU leaves it.
  const dead = Deno.listen({ transport: "unix", path: `${place.path}/made` });
  Deno.linkSync(`${place.path}/made`, path);
  dead.close();
  await again();
  await within("a pause", begun);
  assertEquals(log.lines.slice(1), [`unix:${path}: nothing listens there yet; waiting`]);
  Deno.removeSync(path);
  using listener = Deno.listen({ transport: "unix", path });
  await again();
  using socket = await within("a connection", dialling) as Deno.Conn;
  assert(socket !== undefined);
  (await listener.accept()).close();
  assertEquals(log.lines.length, 2);
  assertEquals(pauses.taken, 4);
});

Deno.test("dial() stops when it is aborted", async () => {
  using place = makePlace();
  const abandon = new AbortController();
  const log = new FakeLog();
  const told = log.next;
  const dialling = dial({
    address: () => parseQemu(`${place.path}/qemu`),
    pauses: new Pauses(),
    log,
    stop: abandon.signal,
  });
  await told;
  abandon.abort();
  assertEquals(await within("dial() to return", dialling), undefined);
  assertEquals(
    await dial({
      address: () => parseQemu(`${place.path}/qemu`),
      pauses: new Pauses(),
      log,
      stop: abandon.signal,
    }),
    undefined,
  );
  assertEquals(log.lines.length, 1);
});

Deno.test("dial() connects over TCP, and retries there too", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const log = new FakeLog();
  const pauses = new HeldPauses();
  const { begun } = pauses;
  const dialling = dial({
    address: () => parseQemu(`127.0.0.1:${port}`),
    pauses,
    log,
    stop: NEVER,
  });
  await within("a pause", begun);
  assertEquals(log.lines, [`tcp:127.0.0.1:${port}: nothing listens there yet; waiting`]);
  using back = Deno.listen({ hostname: "127.0.0.1", port });
  pauses.go();
  using socket = await within("a connection", dialling) as Deno.Conn;
  assert(socket !== undefined);
  (await back.accept()).close();
});

Deno.test("dial() logs other errors of connecting, and retries", async () => {
  using place = makePlace();
  Deno.writeTextFileSync(`${place.path}/file`, "");
  const abandon = new AbortController();
  const log = new FakeLog();
  const pauses = new HeldPauses();
  const { begun } = pauses;
  const dialling = dial({
    address: () => parseQemu(`${place.path}/file/qemu`),
    pauses,
    log,
    stop: abandon.signal,
  });
  await within("a pause", begun);
  assert(/^unix:.*: .*Not a directory.*; waiting$/.test(log.lines[0]!), log.lines[0]);
  abandon.abort();
  assertEquals(await dialling, undefined);
});

Deno.test("dial() throws on internal errors", async () => {
  const address = { transport: "unix", path: "\0".repeat(200) } as const;
  const pauses = new HeldPauses();
  const broken: Log = {
    info: () => {
      throw new RangeError("bug");
    },
    warn: () => {},
    withVm: () => broken,
  };
  await assertRejects(
    () => dial({ address: () => address, pauses, log: broken, stop: NEVER }),
    RangeError,
    "bug",
  );
});

Deno.test({
  name: "dial() reports that QEMU's monitor is busy when other clients are queued",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    const path = `${place.path}/qemu`;
    await using _qemu = await startQemu(path);
    // QEMU's socket file exists a moment before QEMU listens.
    const served = await dial({
      address: () => parseQemu(path),
      pauses: new Pauses(),
      log: new FakeLog(),
      stop: NEVER,
    });
    const others: Stream[] = [served!];
    const abandon = new AbortController();
    const log = new FakeLog();
    const told = log.next;
    try {
      const filling = new HeldPauses();
      const { begun } = filling;
      const fill = async (): Promise<void> => {
        for (;;) {
          const socket = await dial({
            address: () => parseQemu(path),
            pauses: filling,
            log,
            stop: abandon.signal,
          });
          if (socket === undefined) return;
          others.push(socket);
        }
      };
      const filled = fill();
      await within("a pause", begun);
      await told;
      abandon.abort();
      await filled;
      assertEquals(log.lines, [
        `unix:${path}: QEMU's monitor is busy with other clients; it serves one at a time; waiting`,
      ]);
    } finally {
      for (const other of others) other.close();
    }
  },
});

Deno.test("dial() does not retry if the process may not use TCP", async () => {
  const original = Deno.connect;
  Deno.connect = (() => {
    throw new Error("Address family not supported by protocol (os error 97)");
  }) as unknown as typeof Deno.connect;
  try {
    const dialling = dial({
      address: () => parseQemu("127.0.0.1:1"),
      pauses: new HeldPauses(),
      log: new FakeLog(),
      stop: NEVER,
    });
    const error = await assertRejects(() => dialling, Failure, "RestrictAddressFamilies=AF_UNIX");
    assertEquals(error.status, 78);
  } finally {
    Deno.connect = original;
  }
});

Deno.test("checkPlace() accepts a path at which QEMU is or can appear", () => {
  using place = makePlace();
  checkPlace(parseQemu(`${place.path}/qemu`));
  using _listener = Deno.listen({ transport: "unix", path: `${place.path}/qemu` });
  checkPlace(parseQemu(`${place.path}/qemu`));
  Deno.symlinkSync("qemu", `${place.path}/link`);
  checkPlace(parseQemu(`${place.path}/link`));
  checkPlace(parseQemu("unix-abstract:qemu"));
  checkPlace(parseQemu("127.0.0.1:1"));
  checkPlace(parseQemu("unix:qemu-that-is-not-there"));
  checkPlace(parseQemu(`${place.path}/no/directory/qemu`));
});

for (
  const [what, name, message] of [
    ["a file for a directory", "file/qemu", "PLACE/file is not a directory; correct --qemu"],
    [
      "a file above the directory",
      "file/a/qemu",
      "PLACE/file/a is not a directory; correct --qemu",
    ],
    ["links that lead nowhere", "loop/qemu", "too many symbolic links; correct --qemu"],
    [
      "a file",
      "file",
      "PLACE/file is not a socket; correct --qemu, or start QEMU with -qmp unix:PLACE",
    ],
    ["a directory", "directory", "PLACE/directory is not a socket; correct --qemu, or start QEMU"],
  ] as const
) {
  Deno.test(`checkPlace() refuses ${what} and names the remedy`, () => {
    using place = makePlace();
    Deno.writeTextFileSync(`${place.path}/file`, "");
    Deno.mkdirSync(`${place.path}/directory`);
    Deno.symlinkSync("loop", `${place.path}/loop`);
    const error = assertThrows(
      () => checkPlace(parseQemu(`${place.path}/${name}`)),
      Failure,
      message.replaceAll("PLACE", place.path),
    );
    assertEquals(error.status, 69);
  });
}

function qemuDeps(): QemuDeps {
  return {
    mux: makeMux(),
    errors: strictErrors(),
    turns: TURNS,
    clock: CLOCK,
    messageLimit: 1 << 20,
  };
}

function makeMux(): Mux {
  return new Mux(options(), STRICT_NOTICES);
}

Deno.test("Qemu.run() reads QEMU to the end and reports the disconnect", async () => {
  using pair = await makePair();
  const qemu = new Qemu(pair.ours, qemuDeps());
  assertEquals(qemu.heard, false);
  const running = qemu.run();
  await write(pair.theirs, '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, ');
  await write(pair.theirs, '"package": ""}, "capabilities": []}}\r\n');
  assert((await readText(pair.theirs, 31)).startsWith('{"execute":"qmp_capabilities",'));
  pair.theirs.close();
  const ending: QemuEnding = { kind: "closed", text: "QEMU closed its monitor" };
  assertEquals(await within("QEMU to disconnect", running), ending);
  assertEquals(qemu.heard, true);
});

Deno.test("Qemu uses another number for the handshake on each connection", async () => {
  const nonces = new Set<string>();
  for (let i = 0; i < 20; i++) {
    using pair = await makePair();
    const running = new Qemu(pair.ours, qemuDeps()).run();
    await write(pair.theirs, '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, ');
    await write(pair.theirs, '"package": ""}, "capabilities": []}}\r\n');
    let text = "";
    while (!text.endsWith("}")) text += await readText(pair.theirs, 1);
    const { id } = JSON.parse(text);
    assert(Number.isSafeInteger(id) && id >= 0, text);
    nonces.add(String(id));
    pair.theirs.close();
    await running;
  }
  assertEquals(nonces.size, 20);
});

Deno.test("Qemu.run() disconnects a server that does not speak QMP, and records its bytes", async () => {
  using pair = await makePair();
  const qemu = new Qemu(pair.ours, qemuDeps());
  const running = qemu.run();
  await write(pair.theirs, "SSH-2.0-Example\r\nmore\r\n");
  const ending = await within("the end", running);
  assertEquals(ending.text, "it does not speak QMP");
  assert(ending.kind === "no-qmp" && ending.said.startsWith("SSH-2.0-Example"));
  assertEquals(await readToEnd(pair.theirs), "");
});

Deno.test("Qemu.run() ends with the limit that a message of QEMU's exceeds", async () => {
  for (const bytes of [`{"a": "${"x".repeat(1100)}"}\r\n`, `{"a": "${"x".repeat(1100)}`]) {
    using pair = await makePair();
    const running = new Qemu(pair.ours, { ...qemuDeps(), messageLimit: 1024 }).run();
    await write(pair.theirs, bytes);
    assertEquals(await within("the end", running), {
      kind: "unexpected",
      text: "it sent a message of more than 1024 bytes",
      detail: "it sent a message of more than 1024 bytes; the limit is max-message",
    });
  }
});

Deno.test("Qemu.close() closes the connection, and reports the given reason", async () => {
  using pair = await makePair();
  const qemu = new Qemu(pair.ours, qemuDeps());
  const running = qemu.run();
  const ending: QemuEnding = { kind: "shutdown", text: "enough" };
  qemu.close(ending);
  assertEquals(await within("the end", running), ending);
  assertEquals(await readToEnd(pair.theirs), "");
});
