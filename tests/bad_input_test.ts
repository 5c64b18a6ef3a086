/**
 * Bad input from users and from a broken QEMU, given to the program as users run it.
 *
 * A failed start prints one line that names the problem and the remedy, and exits with the status
 * for it. A QEMU that misbehaves affects only the clients it was serving, and qmpmux reconnects.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { eventLine, FakeQemu, type FakeQemuManners } from "./support/fake_qemu.ts";
import { errorReply, withId } from "../lib/wire/reply.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { leaveDeadSocket, makePlace } from "./support/place.ts";
import { kill, programCommand, runQmpmux, startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { untilTimeout } from "./support/timeout.ts";
import { unprivileged } from "./support/unprivileged.ts";

const REDIAL = /: connected to QEMU /;

interface Exit {
  readonly code: number;
  /** The last line on stderr, without the program's name. */
  readonly message: string;
  /** The lines before it. */
  readonly before: string[];
}

/** Returns the exit of a start. Every line on stderr must be from the program itself. */
function endingOf(
  { code, stdout, stderr }: { code: number; stdout: string; stderr: string },
): Exit {
  assertEquals(stdout, "");
  assert(stderr.endsWith("\n"), stderr);
  const lines = stderr.trimEnd().split("\n").map((line) => {
    assert(line.startsWith("qmpmux: "), stderr);
    return line.slice("qmpmux: ".length);
  });
  const message = lines.pop()!;
  return { code, message, before: lines };
}

/** Starts the program, which must exit before it listens; returns its status and error. */
async function refusal(...args: string[]): Promise<[number, string]> {
  const { code, message, before } = endingOf(await runQmpmux(["serve", ...args]));
  assertEquals(before, []);
  return [code, message];
}

/** Starts the program as a user bound by file modes: as root without its privileges. */
async function runUnprivileged(...args: string[]): Promise<Exit> {
  const [command, first] = programCommand();
  const words = [...unprivileged(), command, ...first, "serve", ...args];
  const [program = "", ...rest] = words;
  const output = await within(
    "the program to end",
    new Deno.Command(program, { args: rest, stdin: "null" }).output(),
  );
  const decoder = new TextDecoder();
  return endingOf({
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  });
}

/** Starts it in the same way; it must exit before it listens. */
async function unprivilegedRefusal(...args: string[]): Promise<[number, string]> {
  const { code, message, before } = await runUnprivileged(...args);
  assertEquals(before, []);
  return [code, message];
}

function names(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

/** Makes a directory unwritable, or unreadable, while `act` runs. */
async function withMode(path: string, mode: number, act: () => Promise<void>): Promise<void> {
  Deno.chmodSync(path, mode);
  try {
    await act();
  } finally {
    Deno.chmodSync(path, 0o700);
  }
}

// Command lines; what each flag and option refuses in detail is in serve_test.ts and options_test.ts.

for (
  const [args, message] of [
    [
      ["--qemu", "vm sock", "--listen", "/run/mux"],
      'serve: --qemu: invalid address "vm sock": expected unix:/path',
    ],
    [["--qemu", "/run/vm", "--listen", "h:99999"], "h:99999: port 99999 is out of range; ports"],
    [
      ["--qemu", "/run/vm", "--listen", "/run/mux,colour=red"],
      '--listen /run/mux,colour=red: unknown option "colour": expected name, role',
    ],
    [["--qemu", "/run/vm", "--listen", "/run/vm"], "serve: unix:/run/vm is given twice; use each"],
    [
      ["--qemu", "/run/vm", "--listen", "0.0.0.0:4444"],
      "--listen 0.0.0.0:4444: other machines could control the VM through this address; listen on",
    ],
    [
      ["--qemu", "/run/vm", "--listen", "/run/mux", "--greeting-timeout", "soon"],
      'serve: invalid value "soon" for --greeting-timeout: expected seconds',
    ],
    [
      ["--qemu", "/run/{vm}/qmp", "--listen", "/run/mux"],
      "serve: unix:/run/mux has no {vm}, but every VM needs its own address; put {vm} in its path",
    ],
    [
      ["--qemu", "/run/vm", "--listen", "/run/{vm}/mux"],
      "serve: unix:/run/{vm}/mux has {vm} and qemu has not; put {vm} in both or in neither",
    ],
    [
      ["--qemu", "/run/{vm}/{vm}", "--listen", "/mux/{vm}"],
      "serve: --qemu: unix:/run/{vm}/{vm}: {vm} is given twice; give it once",
    ],
    [
      ["--qemu", "/run/{vm}", "--listen", "tcp:{vm}:4444"],
      'invalid address "tcp:{vm}:4444": {vm} is only for unix sockets; write unix:/path',
    ],
    [
      ["--qemu", "/run/{vm}", "--listen", "/mux/{vm}", "--audit", "/log/{vm}"],
      "serve: --audit: /log/{vm}: the audit is for all VMs; leave {vm} out",
    ],
    [
      ["--qemu", "/run/{vm}", "--listen", "/run/mux-{vm}"],
      "serve: unix:/run/mux-{vm} is also a place where qmpmux looks for QEMU (unix:/run/{vm})",
    ],
  ] as const
) {
  Deno.test(`qmpmux serve ${args.join(" ")} exits with 64`, async () => {
    const [code, said] = await refusal(...args);
    assertEquals([code, said.slice(0, message.length)], [64, message]);
  });
}

for (const flag of ["--qemu", "--listen"]) {
  Deno.test(`qmpmux serve refuses a path of 108 bytes for ${flag}, and reports its name and length`, async () => {
    const path = `/${"p".repeat(107)}`;
    const other = flag === "--qemu" ? "--listen" : "--qemu";
    assertEquals(await refusal(flag, path, other, "/run/other"), [
      64,
      `${
        flag === "--qemu" ? "serve: --qemu: " : ""
      }${path}: the path has 108 bytes, but a socket's has at most 107; use a shorter path`,
    ]);
  });
}

for (const base of ["s", "s".repeat(30)]) {
  Deno.test(`qmpmux serve accepts paths of 107 bytes with names of ${base.length}`, async () => {
    using place = makePlace();
    const fill = "d".repeat(107 - place.path.length - base.length - 2);
    const directory = `${place.path}/${fill}`;
    Deno.mkdirSync(directory);
    const qemuPath = `${directory}/${base.replace("s", "q")}`;
    const path = `${directory}/${base}`;
    assertEquals(path.length, 107);
    await using _qemu = new FakeQemu(qemuPath);
    await using qmpmux = await startQmpmux(["--qemu", qemuPath, "--listen", path]);
    using client = await TestClient.ready(path);
    assertEquals(await client.ask({ execute: "query-name" }), '{"return": {}}');
    assertEquals(names(directory), [base.replace("s", "q"), base].sort());
    qmpmux.kill("SIGTERM");
    assertEquals((await within("the end", qmpmux.ended)).code, 0);
    assertEquals(names(directory), [base.replace("s", "q")]);
  });
}

// QEMU's socket.

Deno.test("qmpmux serve waits for QEMU's directory, reports it once, and connects when QEMU is there", async () => {
  using place = makePlace();
  const directory = `${place.path}/run/vm1`;
  const path = `${place.path}/mux`;
  const qemu = `${directory}/qemu`;
  await using qmpmux = await startQmpmux(["--qemu", qemu, "--listen", path]);
  assertEquals(
    await qmpmux.log.next(),
    `qmpmux: unix:${qemu}: the directory ${directory} does not exist yet; waiting`,
  );
  using client = await TestClient.connect(path);
  Deno.mkdirSync(directory, { recursive: true });
  assertEquals(
    await qmpmux.log.next(),
    `qmpmux: unix:${qemu}: QEMU's socket does not exist yet; waiting`,
  );
  await using _qemu = new FakeQemu(qemu);
  assertMatch(await client.line(), /^\{"QMP"/);
});

Deno.test("qmpmux serve exits with 69 if QEMU's directory is a file", async () => {
  using place = makePlace();
  Deno.writeTextFileSync(`${place.path}/file`, "");
  const path = `${place.path}/file/a/qemu`;
  assertEquals(await refusal("--qemu", path, "--listen", `${place.path}/mux`), [
    69,
    `unix:${path}: ${place.path}/file/a is not a directory; correct --qemu`,
  ]);
});

Deno.test("qmpmux serve exits with 69 if QEMU's path is a regular file, and leaves it alone", async () => {
  using place = makePlace();
  const path = `${place.path}/qemu`;
  Deno.writeTextFileSync(path, "precious");
  assertEquals(await refusal("--qemu", path, "--listen", `${place.path}/mux`), [
    69,
    `unix:${path} is not a socket; correct --qemu, or start QEMU with ` +
    `-qmp unix:${path},server=on,wait=off`,
  ]);
  assertEquals(Deno.readTextFileSync(path), "precious");
  assertEquals(names(place.path), ["qemu"]);
});

Deno.test("qmpmux serve exits with 77 if it may not search QEMU's directory", async () => {
  using place = makePlace();
  const closed = `${place.path}/closed`;
  Deno.mkdirSync(closed);
  await withMode(closed, 0o000, async () => {
    assertEquals(
      await unprivilegedRefusal("--qemu", `${closed}/qemu`, "--listen", `${place.path}/mux`),
      [77, `unix:${closed}/qemu: no permission to access it; run qmpmux as a user who has it`],
    );
  });
});

Deno.test("qmpmux serve exits with 77 if it may not connect to QEMU", async () => {
  using place = makePlace();
  const path = `${place.path}/qemu`;
  await using _qemu = new FakeQemu(path);
  Deno.chmodSync(path, 0o000);
  const { code, message, before } = await runUnprivileged(
    ...["--qemu", path, "--listen", `${place.path}/mux`],
  );
  assertEquals([code, message, before.length], [
    77,
    `unix:${path}: no permission to connect; run qmpmux as a user who has it`,
    1,
  ]);
  assertEquals(names(place.path), ["qemu"]);
});

// The listeners' sockets.

/** Starts the program without a QEMU, with a listener at this path. */
function listening(path: string, run = refusal): Promise<[number, string]> {
  return run("--qemu", `unix-abstract:qmpmux-no-${crypto.randomUUID()}`, "--listen", path);
}

Deno.test("qmpmux serve exits with 78 if a listener's directory is missing", async () => {
  using place = makePlace();
  assertEquals(await listening(`${place.path}/no/mux`), [
    78,
    `unix:${place.path}/no/mux: the directory ${place.path}/no does not exist; create it`,
  ]);
});

Deno.test("qmpmux serve exits with 78 if a listener's path is a regular file, and leaves it alone", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  Deno.writeTextFileSync(path, "precious");
  assertEquals(await listening(path), [
    78,
    `unix:${path} already exists and is not a socket; remove it, or listen elsewhere`,
  ]);
  assertEquals(Deno.readTextFileSync(path), "precious");
});

Deno.test("qmpmux serve exits with 78 if a listener's path is a symbolic link", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  Deno.writeTextFileSync(`${place.path}/target`, "precious");
  Deno.symlinkSync("target", path);
  assertEquals(await listening(path), [
    78,
    `unix:${path} already exists and is not a socket; remove it, or listen elsewhere`,
  ]);
  assertEquals(Deno.readLinkSync(path), "target");
  assertEquals(Deno.readTextFileSync(`${place.path}/target`), "precious");
});

Deno.test("qmpmux serve exits with 1 if another process listens there, and leaves its socket alone", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  await using _other = new FakeQemu(path);
  assertEquals(await listening(path), [
    1,
    `unix:${path} is in use by another process; stop it, or listen elsewhere`,
  ]);
  using client = await TestClient.ready(path);
  assertEquals(await client.ask({ execute: "query-name" }), '{"return": {}}');
});

Deno.test("qmpmux serve replaces a dead socket", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  leaveDeadSocket(path);
  await using _qemu = new FakeQemu(`${place.path}/qemu`);
  await using _qmpmux = await startQmpmux(["--qemu", `${place.path}/qemu`, "--listen", path]);
  using client = await TestClient.ready(path);
  assertEquals(await client.ask({ execute: "query-name" }), '{"return": {}}');
});

for (const [what, mode] of [["write to", 0o555], ["look into", 0o000]] as const) {
  Deno.test(`qmpmux serve exits with 77 if it may not ${what} a listener's directory`, async () => {
    using place = makePlace();
    const closed = `${place.path}/closed`;
    Deno.mkdirSync(closed);
    await withMode(closed, mode, async () => {
      assertEquals(await listening(`${closed}/mux`, unprivilegedRefusal), [
        77,
        `unix:${closed}/mux: no permission to listen there; run qmpmux as a user who has it`,
      ]);
    });
    assertEquals(names(closed), []);
  });
}

Deno.test("qmpmux serve exits with 77 if it may not remove a dead socket", async () => {
  using place = makePlace();
  const closed = `${place.path}/closed`;
  Deno.mkdirSync(closed);
  leaveDeadSocket(`${closed}/mux`);
  await withMode(closed, 0o555, async () => {
    assertEquals(await listening(`${closed}/mux`, unprivilegedRefusal), [
      77,
      `unix:${closed}/mux: no permission to listen there; run qmpmux as a user who has it`,
    ]);
  });
  assertEquals(names(closed), ["mux"]);
});

Deno.test("qmpmux serve exits with 77 if it may not test whether a socket is dead", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  leaveDeadSocket(path);
  Deno.chmodSync(path, 0o000);
  assertEquals(await listening(path, unprivilegedRefusal), [
    77,
    `unix:${path}: no permission to listen there; run qmpmux as a user who has it`,
  ]);
  assertEquals(names(place.path), ["mux"]);
});

for (const [kind, file] of [["user", "/etc/passwd"], ["group", "/etc/group"]] as const) {
  Deno.test(`qmpmux serve exits with 78 if a ${kind} is unknown, and leaves no file`, async () => {
    using place = makePlace();
    assertEquals(await listening(`${place.path}/mux,${kind}=no-such-one`), [
      78,
      `${kind}=no-such-one: ${file} has no such ${kind}; use an existing one, or a number`,
    ]);
    assertEquals(names(place.path), []);
  });

  Deno.test(`qmpmux serve exits with 77 if it may not give a socket to a ${kind}`, async () => {
    using place = makePlace();
    const path = `${place.path}/mux`;
    const [code, message] = await listening(`${path},${kind}=54321`, unprivilegedRefusal);
    assertEquals(code, 77);
    assert(
      message.startsWith(`unix:${path}: no permission to change the socket's owner to `),
      message,
    );
    assert(message.includes("54321"), message);
    assertEquals(names(place.path), []);
  });
}

Deno.test("qmpmux serve opens no listener if one of them fails", async () => {
  using place = makePlace();
  const [one, other] = [`${place.path}/mux`, `${place.path}/no/mux`];
  assertEquals(await refusal("--qemu", `${place.path}/vm`, "--listen", one, "--listen", other), [
    78,
    `unix:${other}: the directory ${place.path}/no does not exist; create it`,
  ]);
  assertEquals(names(place.path), []);
});

Deno.test("qmpmux serve exits with 78 if the audit's path is a device", async () => {
  using place = makePlace();
  const args = ["--qemu", `${place.path}/qemu`, "--listen", `${place.path}/mux`];
  assertEquals(await refusal(...args, "--audit", "/dev/full"), [
    78,
    "audit /dev/full is not a regular file; name one, or a path for a new one",
  ]);
});

// Programs that answer but are not QEMU.

/** Starts the program in front of a program that is not QEMU, and asserts that it exits. */
async function inFrontOf(manners: FakeQemuManners, ...more: string[]): Promise<Exit> {
  using place = makePlace();
  const path = `${place.path}/qemu`;
  await using _qemu = new FakeQemu(path, manners);
  const ending = endingOf(
    await runQmpmux(["serve", "--qemu", path, "--listen", `${place.path}/mux`, ...more]),
  );
  assertEquals(names(place.path), ["qemu"]);
  assertEquals(ending.before, [`listening on unix:${place.path}/mux (qmp)`]);
  const { message } = ending;
  return { ...ending, message: message.replace(`unix:${path}`, "ADDRESS") };
}

for (
  const [what, banner] of [
    ["an SSH server", "SSH-2.0-Example_1.0\r\n"],
    ["an HTTP server", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"],
    ["a mail server", "220 mail.example ESMTP\r\n"],
    ["a server of JSON-RPC", '{"jsonrpc": "2.0"}\r\n'],
    ["QEMU's human monitor", "QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) "],
  ] as const
) {
  Deno.test(`qmpmux serve exits with 69 in front of ${what} and prints what it sent`, async () => {
    const { code, message } = await inFrontOf({ greeting: banner });
    assertEquals(code, 69);
    assert(
      message.startsWith(
        `ADDRESS is not a QMP server: it sent ${JSON.stringify(banner.slice(0, 12)).slice(0, -1)}`,
      ),
      message,
    );
    assert(message.endsWith("; use the socket given to QEMU with -qmp"), message);
  });
}

Deno.test("qmpmux serve exits with 69 if no greeting arrives in time", async () => {
  const { code, message } = await inFrontOf({ greeting: "" }, "--greeting-timeout", "0.3");
  assertEquals(code, 69);
  assertEquals(
    message,
    "ADDRESS sent no QMP greeting within 0.3 s: it is not a monitor (the socket of a guest agent " +
      "sends no greeting), or another client holds QEMU's monitor, which serves one at a time; " +
      "end that client",
  );
});

// A QEMU that misbehaves.

/** A fake QEMU with qmpmux in front of it. */
interface Scene extends AsyncDisposable {
  readonly qemu: FakeQemu;
  readonly qmpmux: TestQmpmux;
  /** The clients' socket. */
  readonly path: string;
}

async function makeScene(manners: FakeQemuManners, ...more: string[]): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const place = stack.use(makePlace());
  const qemu = stack.use(new FakeQemu(`${place.path}/qemu`, manners));
  const path = `${place.path}/mux`;
  const qmpmux = stack.use(
    await startQmpmux(["--qemu", qemu.path, "--listen", path, ...more]),
  );
  const kept = stack.move();
  return { qemu, qmpmux, path, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Asserts that a new client is served. */
async function assertServes(path: string): Promise<void> {
  using client = await TestClient.ready(path);
  assertEquals(
    await client.ask({ execute: "query-name", id: "own" }),
    '{"return": {}, "id": "own"}',
  );
}

const GREETING = '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 0}, ' +
  '"package": "stand-in"}, "capabilities": ["oob"]}}';

for (
  const [what, bytes, reason] of [
    ["damaged bytes", "}}}garbage\r\n", "it does not speak QMP"],
    ["an object that is no message", '{"hello": "world"}\r\n', "it does not speak QMP"],
    ["a second greeting", `${GREETING}\r\n`, `it sent a second greeting: ${GREETING}`],
  ] as const
) {
  Deno.test(`qmpmux disconnects a QEMU that sends ${what}, disconnects its clients and reconnects`, async () => {
    const answer: FakeQemuManners["answer"] = ({ name }) => name === "stop" ? bytes : undefined;
    await using scene = await makeScene({ answer });
    await scene.qmpmux.log.until(REDIAL);
    using asker = await TestClient.ready(scene.path);
    using other = await TestClient.ready(scene.path);
    await asker.send({ execute: "stop" });
    assertEquals(await asker.lines.next(), undefined);
    assertEquals(await other.lines.next(), undefined);
    assertEquals(
      await scene.qmpmux.log.next(),
      `qmpmux: unix:${scene.qemu.path}: ${reason}`,
    );
    await scene.qmpmux.log.until(REDIAL);
    await assertServes(scene.path);
    assertEquals(scene.qemu.connections, 2);
  });
}

Deno.test("qmpmux forwards no part of a reply that QEMU's disconnect has cut off", async () => {
  const begun = Promise.withResolvers<void>();
  await using scene = await makeScene({
    answer({ name }, connection): string | undefined {
      if (name === "query-status") {
        begun.resolve();
        return '{"return": {"status": "pau';
      }
      if (name !== "stop") return undefined;
      connection.hangUp();
      return "";
    },
  });
  using asker = await TestClient.ready(scene.path);
  using other = await TestClient.ready(scene.path);
  await asker.send({ execute: "query-status" });
  await within("QEMU to begin its reply", begun.promise);
  await other.send({ execute: "stop" });
  assertEquals(await asker.lines.next(), undefined);
  assertEquals(await other.lines.next(), undefined);
  await scene.qmpmux.log.until(REDIAL);
  await assertServes(scene.path);
});

Deno.test("qmpmux reconnects if QEMU refuses qmp_capabilities, and logs it once", async () => {
  let refusals = 0;
  await using scene = await makeScene({
    answer({ name, id }): string | undefined {
      if (name !== "qmp_capabilities" || refusals === 3) return undefined;
      refusals++;
      return new TextDecoder().decode(withId(errorReply("GenericError", "Not today"), id));
    },
  });
  const told = await scene.qmpmux.log.next() ?? "";
  assert(told.includes(`unix:${scene.qemu.path}: it refused qmp_capabilities: `), told);
  assert(told.includes("Not today"), told);
  assert(REDIAL.test(await scene.qmpmux.log.next() ?? ""));
  assertEquals([refusals, scene.qemu.connections], [3, 4]);
  await assertServes(scene.path);
});

Deno.test("qmpmux reconnects if QEMU sends a greeting and nothing else", async () => {
  const isEarly = (told: string): boolean => told.includes("no QMP greeting");
  const told = await untilTimeout(async (seconds) => {
    let silent = true;
    const answer: FakeQemuManners["answer"] = ({ name }) => {
      if (name !== "qmp_capabilities" || !silent) return undefined;
      silent = false;
      return "";
    };
    await using scene = await makeScene({ answer }, "--greeting-timeout", String(seconds));
    const told = await scene.qmpmux.log.next() ?? "";
    if (isEarly(told)) return told;
    await scene.qmpmux.log.until(REDIAL);
    await assertServes(scene.path);
    return told.replace(scene.qemu.path, "PATH");
  }, isEarly);
  assertEquals(
    told,
    "qmpmux: unix:PATH: QEMU sent its greeting but did not complete the negotiation",
  );
});

Deno.test("qmpmux sends its clients the greeting first even if an event preceded it", async () => {
  await using scene = await makeScene({ greeting: `${eventLine("STOP")}${GREETING}\r\n` });
  using client = await TestClient.connect(scene.path);
  assertEquals(await client.line(), GREETING);
  assertEquals(await client.ask({ execute: "qmp_capabilities" }), '{"return": {}}');
  assertEquals(await client.ask({ execute: "query-name" }), '{"return": {}}');
});

Deno.test("qmpmux forwards no late replies that follow QEMU's greeting", async () => {
  await using scene = await makeScene({
    blurts: '{"return": {"late": 1}, "id": "b12"}\r\n{"return": {"late": 2}}\r\n' +
      '{"id": 1, "error": {"class": "GenericError", "desc": "late"}}\r\n' +
      '{"return": {"late": 3}, "id": 1}\r\n',
  });
  using client = await TestClient.connect(scene.path);
  assertEquals(await client.line(), GREETING);
  const lines = await client.session(
    '{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}' +
      '{"execute":"query-name","id":1}{"exec-oob":"query-yank","id":2}{"execute":"query-name"}',
    4,
  );
  // The out-of-band reply may be anywhere after the first.
  assertEquals(lines.filter((line) => line !== '{"return": [], "id": 2}'), [
    '{"return": {}}',
    '{"return": {}, "id": 1}',
    '{"return": {}}',
  ]);
  assertEquals(lines.length, 4);
});

Deno.test("qmpmux neither offers nor requests oob if QEMU lacks it", async () => {
  await using scene = await makeScene({ capabilities: [] });
  using client = await TestClient.connect(scene.path);
  const greeting = await client.line();
  assert(greeting.endsWith('"capabilities": []}}'), greeting);
  assertEquals(
    await client.ask('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}'),
    '{"error": {"class": "GenericError", "desc": "Capability oob not available"}}',
  );
  assertEquals(await client.ask({ execute: "qmp_capabilities" }), '{"return": {}}');
  assertEquals(await client.ask({ execute: "query-name" }), '{"return": {}}');
  const [first = ""] = scene.qemu.heard;
  assert(/^\{"execute":"qmp_capabilities","id":\d+\}$/.test(first), first);
});

// A log that no one reads.

Deno.test("qmpmux keeps serving when no one reads its log any more", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, "serve", "--qemu", `${place.path}/qemu`, "--listen", path],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const ended = child.status;
  await using _ending = {
    async [Symbol.asyncDispose](): Promise<void> {
      kill(child);
      await ended;
    },
  };
  const reader = child.stderr.getReader();
  const { value } = await within("its first line", reader.read());
  assert(new TextDecoder().decode(value).includes("listening on"));
  await reader.cancel();
  await using _qemu = new FakeQemu(`${place.path}/qemu`);
  await assertServes(path);
  child.kill("SIGTERM");
  assertEquals((await within("the program to exit", ended)).code, 0);
});

Deno.test("a QEMU newer than the tested versions gets the nearest grammar, and a log line", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  const version = { major: 12, minor: 3, micro: 4 };
  await using qemu = new FakeQemu(`${place.path}/qemu`, { version });
  await using mux = await startQmpmux(["--qemu", qemu.path, "--listen", path]);
  for (const told of [true, false]) {
    await mux.log.until(/connected to QEMU 12\.3\.4/);
    using client = await TestClient.ready(path);
    // The stream has a second line of its own.
    assertMatch(await client.ask("\n{]"), /"desc": "2:2: JSON parse error, expecting key"/);
    await client.send({ execute: "quit" });
    await client.lines.rest();
    const next = await mux.log.next();
    assertEquals(/QEMU 12\.3\.4 is newer than any that was tested/.test(next!), told, next);
  }
});
