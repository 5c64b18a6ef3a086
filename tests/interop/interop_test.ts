/**
 * Third-party clients, unmodified, through qmpmux in front of a real QEMU.
 *
 * A client that talks to one monitor must see through qmpmux exactly what it sees from QEMU: its
 * scenario is played with both and the outcomes are compared.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { TestClient } from "../support/client.ts";
import { within } from "../support/deadline.ts";
import { Lines } from "../support/lines.ts";
import { makePlace } from "../support/place.ts";
import { startQemu, type TestQemu } from "../support/qemu.ts";
import { startQmpmux } from "../support/qmpmux.ts";
import { play } from "../support/replay.ts";
import { startLibvirt } from "./libvirt.ts";
import { checkRecording } from "./witnesses.ts";
import { type Exit, getGo, getLibvirt, getPython, getRust, run, without } from "./setup.ts";

const HERE = import.meta.dirname!;

/** A disk whose commands can be slow, and objects that can be told apart by their size. */
const EQUIPMENT = [
  ...["-drive", "if=none,id=disk,driver=null-co"],
  ...[1, 2, 3, 4].flatMap((number) => [
    "-object",
    `memory-backend-ram,id=m${number},size=${number * 4096}`,
  ]),
];

/** A QEMU behind qmpmux. */
interface Shared extends AsyncDisposable {
  readonly qemu: TestQemu;
  /** The socket of qmpmux. */
  readonly path: string;
  /** A directory for a client's files. */
  readonly home: string;
}

async function startShared(): Promise<Shared> {
  await using stack = new AsyncDisposableStack();
  const place = stack.use(makePlace());
  const qemu = stack.use(await startQemu(join(place.path, "qemu"), EQUIPMENT));
  const path = join(place.path, "mux");
  const recording = join(place.path, "recording");
  stack.defer(() => checkRecording(Deno.readTextFileSync(recording)));
  stack.use(await startQmpmux(["--qemu", qemu.path, "--listen", path, "--record", recording]));
  const kept = stack.move();
  return { qemu, path, home: place.path, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Returns the output of a client through qmpmux; asserts that it is the same with QEMU alone. */
async function sameAsAlone(
  play: (path: string, home: string) => Promise<Exit>,
): Promise<Exit> {
  const through = await (async () => {
    await using shared = await startShared();
    return await play(shared.path, shared.home);
  })();
  using place = makePlace();
  await using qemu = await startQemu(join(place.path, "qemu"), EQUIPMENT);
  await within("QEMU's greeting", greets(qemu.path));
  const alone = await play(qemu.path, place.path);
  assertEquals(undatedOutcome(through), undatedOutcome(alone));
  return through;
}

/**
 * Resolves when QEMU sends its greeting: its socket file exists a moment before it accepts
 * connections.
 */
async function greets(path: string): Promise<void> {
  for (;;) {
    try {
      using client = await TestClient.connect(path);
      await client.line();
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    }
  }
}

function undatedOutcome({ code, stdout, stderr }: Exit): Exit {
  const undated = (text: string): string =>
    text.replaceAll(/(seconds['"]?: )\d+/g, "$1…").replaceAll(/\/qmpmux-[^/]+\/(mux|qemu)/g, "…");
  return { code, stdout: undated(stdout), stderr: undated(stderr) };
}

async function playPython(scenario: string, path: string): Promise<Exit> {
  const env = { PYTHONPATH: await getPython(), PYTHONDONTWRITEBYTECODE: "1" };
  return await run("python3", [join(HERE, "python/client.py"), scenario, path], { env });
}

/** Kills a client that a failed test has left. */
function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    // It has exited by itself.
    if (!(error instanceof TypeError)) throw error;
  }
}

/** Returns the result that a scenario printed; @throws Error with its problem */
function result({ code, stdout, stderr }: Exit): unknown {
  if (code !== 0) throw new Error(`The client ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

const python = { ignore: without("python") };

Deno.test(
  "qemu.qmp connect() connects, executes and reconnects through qmpmux",
  python,
  async () => {
    const outcome = await sameAsAlone((path) => playPython("converse", path));
    const { status, version, again } = result(outcome) as Record<string, Record<string, unknown>>;
    assertEquals([status!.status, status!.running], ["prelaunch", false]);
    assertEquals(version, again);
  },
);

Deno.test(
  "qemu.qmp execute() returns each client its own reply when two send at once",
  python,
  async () => {
    await using shared = await startShared();
    const outcome = await playPython("concurrent", shared.path);
    assertEquals(result(outcome), { asked: 200, right: 200 });
  },
);

Deno.test(
  "qemu.qmp EventListener gets the events of its filter, whichever client caused them",
  python,
  async () => {
    await using shared = await startShared();
    const outcome = await playPython("events", shared.path);
    assertEquals(result(outcome), {
      every: ["RESUME", "STOP", "RESUME", "RESET", "STOP"],
      filtered: ["RESUME", "RESUME"],
      own: ["RESUME", "RESUME"],
    });
  },
);

Deno.test("qemu.qmp execute() raises QEMU's errors and continues", python, async () => {
  const outcome = await sameAsAlone((path) => playPython("errors", path));
  const { refused } = result(outcome) as { refused: { class: string }[] };
  assertEquals(refused.map((refusal) => refusal.class), [
    "CommandNotFound",
    "DeviceNotFound",
    "GenericError",
    "GenericError",
    "CommandNotFound",
  ]);
});

Deno.test("qemu.qmp execute() out of band overtakes a command in flight", python, async () => {
  const outcome = await sameAsAlone((path) => playPython("oob", path));
  assertEquals(result(outcome), {
    order: ["out-of-band", "in-band", "behind"],
    answer: [{ type: "chardev", id: "compat_monitor0" }],
    refusal: { class: "GenericError", desc: "The command query-name does not support OOB" },
  });
});

Deno.test("qemu.qmp disconnect() gets end of file when QEMU quits", python, async () => {
  await using shared = await startShared();
  const outcome = await playPython("leaving", shared.path);
  assertEquals(result(outcome), {
    answer: {},
    after: ["EOFError", "EOFError"],
    events: [{ name: "SHUTDOWN", data: { guest: false, reason: "host-qmp-quit" } }],
  });
});

Deno.test(
  "qemu.qmp execute() is interrupted when QEMU dies with a command in flight",
  python,
  async () => {
    await using shared = await startShared();
    const child = new Deno.Command("python3", {
      args: [join(HERE, "python/client.py"), "interrupted", shared.path],
      env: { PYTHONPATH: await getPython(), PYTHONDONTWRITEBYTECODE: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    using stack = new DisposableStack();
    stack.defer(() => kill(child));
    const lines = new Lines(child.stdout);
    await lines.until(/^under way$/);
    shared.qemu.kill("SIGKILL");
    assertEquals(await lines.rest(), ['{"type": "ExecInterruptedError", "text": "Disconnected"}']);
    await within("the client's disconnect", child.status);
  },
);

/** The address of the BIOS's first instruction in a paused machine. */
const RESET_VECTOR = 0xffff0;

Deno.test("drgn reads a guest's memory through fds=on, 24 clients at once", python, async () => {
  using place = makePlace();
  const at = (name: string): string => join(place.path, name);
  await using qemu = await startQemu(at("qemu"), ["-machine", "q35", "-device", "vmcoreinfo"]);
  await using _mux = await startQmpmux(["--qemu", qemu.path, "--listen", `${at("mux")},fds=on`]);
  const script = at("read.py");
  Deno.writeTextFileSync(script, `print(prog.read(${RESET_VECTOR}, 8, True).hex())\n`);
  const folder = await getPython();
  const env = { PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: "1" };
  const args = [join(folder, "bin/drgn"), "--no-default-symbols", "--qemu", at("mux"), script];
  const outcomes = await Promise.all(
    Array.from({ length: 24 }, () => run("python3", args, { env })),
  );
  using client = await TestClient.ready(at("mux"));
  const line = await client.ask({
    execute: "human-monitor-command",
    arguments: { "command-line": `xp /8xb ${RESET_VECTOR}` },
  });
  const bytes = [...line.matchAll(/ 0x([0-9a-f]{2})/g)].map(([, byte]) => byte).join("");
  assertMatch(bytes, /^ea.{14}$/);
  for (const outcome of outcomes) {
    assertEquals(outcome, { code: 0, stdout: `${bytes}\n`, stderr: "" });
  }
});

async function playShell(input: string, path: string, home: string): Promise<Exit> {
  const folder = await getPython();
  const env = { PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: "1", HOME: home };
  return await run("python3", [join(folder, "bin/qmp-shell"), path], { env, input });
}

Deno.test("qmp-shell shows replies, errors and events as with QEMU alone", python, async () => {
  const lines = [
    "query-status",
    "cont",
    "", // The command shows the events so far.
    "stop",
    "",
    "no-such-command",
    "device_del id=nope",
    "qom-get path=/machine property=type",
    "human-monitor-command command-line='info status'",
  ];
  const { stdout } = await sameAsAlone((path, home) =>
    playShell(lines.map((line) => `${line}\n`).join(""), path, home)
  );
  assertMatch(stdout, /^Welcome to the QMP low-level shell!\nConnected to QEMU \d+\.\d+\.\d+\n/);
  assertMatch(stdout, /'event': 'RESUME'[^]*'event': 'STOP'[^]*CommandNotFound[^]*DeviceNotFound/);
  assertMatch(stdout, /"none-machine"/);
});

const go = { ignore: without("go") };

Deno.test(
  "go-qemu SocketMonitor runs commands and streams events beside another client",
  go,
  async () => {
    const client = await getGo();
    await using shared = await startShared();
    const reply = await run(client, [shared.path]);
    // Newer QEMU has no singlestep.
    const stdout = reply.stdout.replaceAll(String.raw`\"singlestep\": false, `, "");
    const outcome = result({ ...reply, stdout }) as Record<string, unknown>;
    assertMatch(String(outcome.version), /^\d+\.\d+\.\d+$/);
    delete outcome.version;
    assertEquals(outcome, {
      capabilities: ["oob"],
      replies: {
        cont: '{"return": {}}',
        running: '{"return": {"status": "running", "running": true}}',
        stop: '{"return": {}}',
        stopped: '{"return": {"status": "paused", "running": false}, "id": "seven"}',
        other: '{"return": {}}',
        quit: '{"return": {}}',
      },
      refused: [
        "The command no-such-command has not been found",
        "Device 'nope' not found",
        "QMP input member 'odd' is unexpected",
      ],
      watched: ["RESUME", "STOP", "SHUTDOWN"],
      dated: true,
      closed: true,
      afterClose: "error",
    });
  },
);

const rust = { ignore: without("rust") };

Deno.test("qapi Qmp executes typed commands and receives events through qmpmux", rust, async () => {
  const client = await getRust();
  const { code, stdout, stderr } = await sameAsAlone((path) => run(client, ["blocking", path]));
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^events \["RESUME", "STOP"\]$/m);
  assertMatch(stdout, /^refused DeviceNotFound: Device 'nope' not found$/m);
});

Deno.test(
  "qapi QmpStreamTokio executes for several tasks and streams events to the end",
  rust,
  async () => {
    const client = await getRust();
    const { code, stdout, stderr } = await sameAsAlone((path) => run(client, ["concurrent", path]));
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^sizes 4096 8192 12288 16384$/m);
    assertMatch(stdout, /^events \["RESUME", "STOP", "SHUTDOWN"\]$/m);
    assertMatch(stdout, /^after ended$/m);
  },
);

for (const scenario of ["blocking", "concurrent"]) {
  Deno.test(`qapi gets from a replay what it got from QEMU: ${scenario}`, rust, async () => {
    const client = await getRust();
    using place = makePlace();
    const [qemuPath, mux, file] = ["qemu", "mux", "file"].map((name) => join(place.path, name)) as [
      string,
      string,
      string,
    ];
    await using _qemu = await startQemu(qemuPath, EQUIPMENT);
    await using qmpmux = await startQmpmux(
      ["--qemu", qemuPath, "--listen", mux, "--record", file],
    );
    const recorded = await run(client, [scenario, mux]);
    assertEquals([recorded.code, recorded.stderr], [0, ""]);
    qmpmux.kill("SIGTERM");
    await qmpmux.ended;
    await using playing = await play(Deno.readTextFileSync(file), "--speed", "0");
    assertEquals(await run(client, [scenario, join(playing.path, "s")]), recorded);
    assertEquals(await playing.stop(), 0);
  });
}

const socat = { ignore: without("socat") };

Deno.test("socat gets all its replies after half-closing, as from QEMU alone", socat, async () => {
  const input = [
    '{"execute": "qmp_capabilities"}',
    '{"execute": "cont", "id": 1}',
    "HELLO",
    "{'execute': 'query-status', 'id': {'b': 1, 'a': [1.0, 18446744073709551615]}}",
    '{"execute": "stop", "id": "\u00e9\u{1f600}"}',
    '{"execute": "query-qmp-schema"}',
    '{"execute": "no-such-command", "id": null}',
    "",
  ].join("\r\n");
  const { code, stdout } = await sameAsAlone((path) =>
    // The timeout until the end of file; the last reply is sooner.
    run("socat", ["-t", "20", "-", `UNIX-CONNECT:${path}`], { input })
  );
  assertEquals(code, 0);
  assertMatch(stdout, /\r\n\{"id": null, "error": \{"class": "CommandNotFound", [^]*\r\n$/);
});

Deno.test("socat sessions typed side by side each get their own replies", socat, async () => {
  await using shared = await startShared();
  using stack = new DisposableStack();
  const sessions = Array.from({ length: 3 }, () => {
    const child = new Deno.Command("socat", {
      args: ["-t", "20", "-", `UNIX-CONNECT:${shared.path}`],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    stack.defer(() => kill(child));
    return { child, keys: child.stdin.getWriter(), screen: new Lines(child.stdout) };
  });
  const type = async (session: number, text: string): Promise<string | undefined> => {
    const { keys, screen } = sessions[session]!;
    await keys.write(new TextEncoder().encode(`${text}\n`));
    return (await screen.next())?.trimEnd();
  };
  for (const [number, { screen }] of sessions.entries()) {
    assertMatch((await screen.next())!, /^\{"QMP": \{"version": /);
    assertEquals(await type(number, '{"execute":"qmp_capabilities"}'), '{"return": {}}');
  }
  const answers = await Promise.all(
    sessions.map((_, number) => type(number, `{"execute":"query-name","id":${number}}`)),
  );
  assertEquals(answers, [0, 1, 2].map((number) => `{"return": {}, "id": ${number}}`));
  assertMatch((await type(0, '{"execute":"cont"}'))!, /"event": "RESUME"\}$/);
  for (const { child, keys } of sessions) {
    await keys.close();
    assertEquals((await within("socat's end", child.status)).code, 0);
  }
  const rests = await Promise.all(sessions.map(({ screen }) => screen.rest()));
  assertEquals(rests[0]!.map((line) => line.trimEnd()), ['{"return": {}}']);
  assertMatch(rests[1]!.join("\n"), /^\{.*"event": "RESUME"\}\r?$/);
  assertMatch(rests[2]!.join("\n"), /^\{.*"event": "RESUME"\}\r?$/);
});

const libvirt = { ignore: without("libvirt") };

Deno.test(
  "libvirt runs a domain through qmpmux while others use its monitor",
  libvirt,
  async (t) => {
    await getLibvirt();
    await using host = await startLibvirt();
    const recording = host.file("recording");
    const args = ["--qemu", host.qemu, "--listen", host.mux, "--record", recording];
    await using qmpmux = await startQmpmux(args);
    const { virsh, file } = host;

    /** Runs an action of libvirt while another client sends a hundred commands. */
    const beside = async (asker: TestClient, ...args: string[]): Promise<string> => {
      const asking = (async () => {
        for (let id = 0; id < 100; id++) {
          await asker.send({ execute: "query-status", id });
          const reply = await asker.lines.until(/^\{"return": /);
          assertMatch(reply, new RegExp(`"running": (true|false)\\}, "id": ${id}\\}$`));
        }
      })();
      const [said] = await Promise.all([virsh(...args), asking]);
      return said;
    };
    const state = (): Promise<string> => virsh("domstate", "shared", "--reason");

    await t.step("start --paused", async () => {
      await virsh("start", "shared", "--paused");
      assertEquals(await state(), "paused (user)");
    });

    using watcher = await TestClient.ready(host.mux, ["oob"]);
    using asker = await TestClient.ready(host.mux);
    const watched = (event: string): Promise<string> =>
      watcher.lines.until(new RegExp(`"event": "${event}"`));

    await t.step("resume and suspend", async () => {
      await beside(asker, "resume", "shared");
      await watched("RESUME");
      assertEquals(await state(), "running (unpaused)");
      await beside(asker, "suspend", "shared");
      await watched("STOP");
      assertEquals(await state(), "paused (user)");
      await beside(asker, "resume", "shared");
      await watched("RESUME");
    });

    await t.step("follow another client's changes", async () => {
      await asker.send({ execute: "stop" });
      await asker.lines.until(/^\{"return": /);
      await watched("STOP");
      await untilState(state, /^paused/);
      await asker.send({ execute: "cont" });
      await asker.lines.until(/^\{"return": /);
      await watched("RESUME");
      await untilState(state, /^running/);
    });

    await t.step("reset", async () => {
      await beside(asker, "reset", "shared");
      await watched("RESET");
    });

    await t.step("query", async () => {
      assertMatch(await beside(asker, "domstats", "shared"), /block\.0\.capacity=1048576/);
      assertMatch(await beside(asker, "dommemstat", "shared"), /^actual 65536$/m);
      const command = '{"execute":"query-name"}';
      assertMatch(
        await beside(asker, "qemu-monitor-command", "shared", command),
        /^\{"return":\{"name":"shared"\},"id":"libvirt-\d+"\}$/,
      );
    });

    await t.step("screenshot", async () => {
      await beside(asker, "screenshot", "shared", file("screen.ppm"));
      assert(Deno.statSync(file("screen.ppm")).size > 0);
    });

    await t.step("attach and detach a disk", async () => {
      await beside(asker, "attach-device", "shared", file("disk.xml"), "--live");
      assertMatch(await virsh("domblklist", "shared"), /^ ?sdb +\S+\/second\.img$/m);
      await beside(asker, "detach-device", "shared", file("disk.xml"), "--live");
      await watched("DEVICE_DELETED");
      assert(!(await virsh("domblklist", "shared")).includes("sdb"));
    });

    await t.step("snapshot and block commit", async () => {
      const overlay = `sda,file=${file("overlay.qcow2")}`;
      const flags = ["--disk-only", "--no-metadata", "--diskspec", overlay];
      await beside(asker, "snapshot-create-as", "shared", "first", ...flags);
      await watched("JOB_STATUS_CHANGE");
      assertMatch(await virsh("domblklist", "shared"), /overlay\.qcow2/);
      await beside(asker, "blockcommit", "shared", "sda", "--active", "--pivot", "--wait");
      await watched("BLOCK_JOB_COMPLETED");
      assertMatch(await virsh("domblklist", "shared"), /disk\.img/);
    });

    await t.step("restart of libvirtd", async () => {
      await host.restart();
      assertMatch(await beside(asker, "domstate", "shared"), /^running$/);
      await beside(asker, "suspend", "shared");
      await watched("STOP");
    });

    await t.step("destroy", async () => {
      await virsh("destroy", "shared");
      await watched("SHUTDOWN");
      assertEquals(await watcher.lines.next(), undefined);
      assertEquals(await state(), "shut off (destroyed)");
    });

    await t.step("start again, and another client's quit", async () => {
      await virsh("start", "shared");
      using other = await TestClient.ready(host.mux);
      await other.send({ execute: "quit" });
      await other.lines.until(/^\{"return": \{\}\}/);
      assertEquals(await other.lines.next(), undefined);
      await untilState(state, /^shut off/);
    });

    await t.step("qmpmux's exit, as a crash", async () => {
      await virsh("start", "shared");
      qmpmux.kill("SIGKILL");
      await untilState(state, /^shut off \(crashed\)/);
      checkRecording(Deno.readTextFileSync(recording));
    });
  },
);

/**
 * Polls until the domain's state is as wanted: libvirt acts on an event only after it has arrived.
 */
async function untilState(state: () => Promise<string>, wanted: RegExp): Promise<void> {
  let waiting = true;
  const reached = async (): Promise<void> => {
    while (waiting && !wanted.test(await state()));
  };
  try {
    await within(`a state like ${wanted}`, reached());
  } finally {
    waiting = false;
  }
}
