/**
 * `qmpmux exec --job` and `--migration`: at a monitor that chooses the moment of its events, at QEMU, and
 * through a qmpmux.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Command } from "../lib/wire/message.ts";
import { TestClient } from "./support/client.ts";
import { emptyReturn, eventLine, FakeQemu, type FakeQemuConnection } from "./support/fake_qemu.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, type TestQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { programCommand, runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { runToTimeout } from "./support/timeout.ts";

const WITHOUT_PYTHON = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").includes("python3");

function statusEvents(...statuses: string[]): string {
  return statuses.map((status) => eventLine("JOB_STATUS_CHANGE", { id: "j", status })).join("");
}

/** A reply to `query-jobs`. */
type Jobs = (id: Command["id"]) => string;

function jobs(...list: object[]): Jobs {
  return (id) => {
    const tail = id === undefined ? "" : `, "id": ${id}`;
    return `{"return": ${JSON.stringify(list)}${tail}}\r\n`;
  };
}

const RUNNING = {
  "id": "j",
  "type": "backup",
  "status": "running",
  "current-progress": 1,
  "total-progress": 2,
};

/** A fake QEMU with the command `go`, and a list of its replies to `query-jobs`; the last one stays. */
function fakeQemu(
  path: string,
  replies: readonly Jobs[],
  go: (id: Command["id"], connection: FakeQemuConnection) => string = (id) => emptyReturn({ id }),
): FakeQemu & { readonly asked: number } {
  let asked = 0;
  const qemu = new FakeQemu(path, {
    answer({ name, id }, connection): string | undefined {
      if (name === "go") return go(id, connection);
      if (name !== "query-jobs") return undefined;
      return replies[Math.min(asked++, replies.length - 1)]!(id);
    },
  });
  return Object.defineProperty(qemu, "asked", { get: () => asked }) as ReturnType<typeof fakeQemu>;
}

function execJob(path: string, ...args: string[]): ReturnType<typeof runQmpmux> {
  return runQmpmux(["exec", "--socket", path, ...args, "--job", "j"]);
}

Deno.test("qmpmux exec --job knows the end of a job that vanishes before the reply", async () => {
  using place = makePlace();
  const all = ["created", "running", "waiting", "pending", "concluded", "null"];
  await using qemu = fakeQemu(
    `${place.path}/vm`,
    [jobs()],
    (id) => statusEvents(...all) + emptyReturn({ id }),
  );
  assertEquals(await execJob(qemu.path, "go"), {
    code: 0,
    stdout: "{}\n",
    stderr: "qmpmux: job j: done\n",
  });
  // It was asked for once, before the command.
  assertEquals(qemu.asked, 1);
});

Deno.test("qmpmux exec --job asks for the error of a job when an event tells of its end", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  const failed = { ...RUNNING, status: "concluded", error: "No \x1b space" };
  let asked = 0;
  await using _qemu = new FakeQemu(path, {
    answer({ name, id }, connection): string | undefined {
      if (name !== "query-jobs") return undefined;
      if (++asked === 2) return jobs(failed)(id);
      queueMicrotask(() => connection.say(statusEvents("aborting", "concluded")));
      return jobs(RUNNING)(id);
    },
  });
  assertEquals(await execJob(path), {
    code: 1,
    stdout: "",
    stderr: "qmpmux: job j: 50 %\nqmpmux: exec: job j failed: No \\u001b space\n",
  });
});

Deno.test("qmpmux exec --job polls, and fails if nothing tells how the job has ended", async () => {
  using place = makePlace();
  await using qemu = fakeQemu(`${place.path}/vm`, [jobs(RUNNING), jobs()]);
  assertEquals(await execJob(qemu.path), {
    code: 1,
    stdout: "",
    stderr: "qmpmux: job j: 50 %\n" +
      "qmpmux: exec: job j has ended, and neither events nor query-jobs tell how\n",
  });
});

Deno.test("qmpmux exec --job names the jobs if there is none with this ID", async () => {
  using place = makePlace();
  for (
    const [list, said] of [
      [[], "it has no jobs"],
      [[{ ...RUNNING, id: "backup" }, { ...RUNNING, id: "x1" }], "it has backup, x1"],
    ] as const
  ) {
    await using qemu = fakeQemu(`${place.path}/vm`, [jobs(...list)]);
    for (const [stdout, ...args] of [[""], ["{}\n", "go"]]) {
      assertEquals(await execJob(qemu.path, ...args), {
        code: 1,
        stdout,
        stderr: `qmpmux: exec: QEMU has no job j; ${said}\n`,
      });
    }
  }
  await using qemu = fakeQemu(`${place.path}/vm`, [jobs({ ...RUNNING, id: "backup" })]);
  const { stderr } = await runQmpmux(["exec", "-s", qemu.path, "--job", "bakcup"]);
  assertEquals(stderr, "qmpmux: exec: QEMU has no job bakcup; did you mean backup?\n");
});

Deno.test("qmpmux exec --job ends with the error of the command", async () => {
  using place = makePlace();
  await using qemu = fakeQemu(
    `${place.path}/vm`,
    [jobs()],
    () =>
      `${statusEvents("created", "null")}{"error": {"class": "GenericError", "desc": "no"}}\r\n`,
  );
  assertEquals(await execJob(qemu.path, "go"), {
    code: 1,
    stdout: "",
    stderr: "qmpmux: go: GenericError: no\n",
  });
});

Deno.test("qmpmux exec --job runs nothing that it may not follow", async () => {
  using place = makePlace();
  let ran = false;
  await using qemu = fakeQemu(`${place.path}/vm`, [jobs()], (id) => {
    ran = true;
    return emptyReturn({ id });
  });
  const path = `${place.path}/mux`;
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(
    file,
    `qemu = "${qemu.path}"\n[[role]]\nname = "own"\nrules = [{ allow = "go" }]\n` +
      `[[listen]]\naddress = "${path}"\nrole = "own"\n`,
  );
  await using mux = await startQmpmux(["--config", file], { listeners: 1 });
  await mux.log.until(/connected to QEMU/);
  for (const args of [[], ["go"]]) {
    const { code, stdout, stderr } = await execJob(path, ...args);
    assertEquals([code, stdout], [77, ""]);
    assertMatch(stderr, /^qmpmux: query-jobs: .*The command query-jobs has been refused: role own/);
  }
  assertEquals(ran, false);
});

for (
  const [what, isHeld] of [["QEMU disconnects", false], ["qmpmux loses QEMU", true]] as const
) {
  Deno.test(`qmpmux exec --job fails if ${what} before the end`, async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    await using _qemu = new FakeQemu(path, {
      answer({ name, id }, connection): string | undefined {
        if (name !== "query-jobs") return undefined;
        connection.finish();
        return jobs(RUNNING)(id);
      },
    });
    const listen = `${place.path}/mux`;
    await using _mux = isHeld
      ? await startQmpmux(["--qemu", path, "--listen", listen, "--on-loss", "hold"])
      : undefined;
    assertEquals(await execJob(isHeld ? listen : path), {
      code: 1,
      stdout: "",
      stderr: "qmpmux: job j: 50 %\nqmpmux: exec: QEMU disconnected before job j ended\n",
    });
  });
}

Deno.test("qmpmux exec --job --timeout tells the status of the job", async () => {
  using place = makePlace();
  await using qemu = fakeQemu(`${place.path}/vm`, [jobs({ ...RUNNING, status: "ready" })]);
  const early = /greeting|did not end within SECONDS s$/m;
  assertEquals(await runToTimeout(qemu.path, ["exec", "--job", "j"], early), {
    code: 124,
    stdout: "",
    stderr: "qmpmux: job j: 50 %, ready, complete it with job-complete\n" +
      "qmpmux: exec: job j did not end within SECONDS s; it is ready\n",
  });
});

Deno.test("qmpmux exec refuses --job and --migration where they mean nothing", async () => {
  const cases: [string[], RegExp][] = [
    [["--job", "j", "--migration"], /--job and --migration exclude each other/],
    [["go", "--job", "j", "--until", "STOP"], /--until and --job exclude each other/],
    [["go", "--job", "j", "--match", "data.a=1"], /--match needs --until/],
    [["-", "--job", "j"], /--job needs one command; name it in place of -/],
    [["--migration", "--socket", "/x/*"], /--migration needs one socket/],
    [["--job", ""], /invalid value "" for --job: expected the ID of a job/],
    [[], /the command is missing/],
  ];
  for (const [args, pattern] of cases) {
    const { code, stderr } = await runQmpmux(["exec", ...args], { QMPMUX_SOCKET: "/x" });
    assertEquals(code, 64, stderr);
    assertMatch(stderr, pattern);
  }
});

/** The commands of a QEMU in a test, at its own monitor or through a qmpmux. */
class Commands {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Runs `qmpmux exec`; returns its exit status, and what it prints without lines of progress. */
  async exec(...args: string[]): Promise<[code: number, stdout: string, stderr: string]> {
    const { code, stdout, stderr } = await runQmpmux(["exec", "-s", this.#path, ...args]);
    const isProgress = (line: string): boolean =>
      /^qmpmux: (job \S+|the migration): (?!done)/.test(line);
    const said = stderr.split("\n").filter((line) => !isProgress(line)).join("\n");
    return [code, stdout, said];
  }

  /** Adds disks: `src` and `dst` of 3 MiB, `new`, and `bad`, which cannot be written. */
  async addDisks(place: string): Promise<void> {
    Deno.writeFileSync(`${place}/src`, new Uint8Array(3 << 20).fill(7));
    for (const name of ["dst", "new", "bad.file"]) {
      Deno.writeFileSync(`${place}/${name}`, new Uint8Array(0));
    }
    Deno.truncateSync(`${place}/dst`, 3 << 20);
    Deno.truncateSync(`${place}/bad.file`, 3 << 20);
    for (const name of ["src", "dst", "new", "bad.file"]) {
      const disk = ["driver=file", `node-name=${name}`, `filename=${place}/${name}`];
      if (name !== "bad.file") assertEquals((await this.exec("blockdev-add", ...disk))[0], 0);
    }
    const bad = {
      "driver": "blkdebug",
      "node-name": "bad",
      "image": { driver: "file", filename: `${place}/bad.file` },
      "inject-error": [{ event: "none", iotype: "write", errno: 28, once: false }],
    };
    assertEquals((await this.exec("blockdev-add", JSON.stringify(bad)))[0], 0);
  }
}

const DONE: [number, string, string] = [0, "{}\n", "qmpmux: job j: done\n"];

function failed(reason: string, stdout = "{}\n"): [number, string, string] {
  return [1, stdout, `qmpmux: exec: ${reason}\n`];
}

/** Follows jobs of all kinds to their ends. */
async function followJobs(at: Commands): Promise<void> {
  const create = ["blockdev-create", "job-id=j", "options.driver=qcow2", "options.file=new"];
  const backup = ["blockdev-backup", "job-id=j", "device=src", "sync=full"];
  const follow = ["--job", "j"];
  assertEquals(await at.exec(...create, "options.size=1048576", ...follow), DONE);
  // It has ended, and stays until it is dismissed.
  assertEquals(await at.exec(...follow), [0, "", "qmpmux: job j: done\n"]);
  assertEquals(await at.exec("job-dismiss", "id=j", ...follow), DONE);
  assertEquals(await at.exec(...follow), failed("QEMU has no job j; it has no jobs", ""));
  const [code, stdout, stderr] = await at.exec(...create, "options.size=1", ...follow);
  assertEquals([code, stdout], [1, "{}\n"]);
  assertMatch(stderr, /^qmpmux: exec: job j failed: .*512.*\n$/);
  assertEquals((await at.exec("job-dismiss", "id=j"))[0], 0);
  // These vanish when they end.
  assertEquals(await at.exec(...backup, "target=dst", ...follow), DONE);
  assertEquals(
    await at.exec(...backup, "target=bad", ...follow),
    failed("job j failed: No space left on device"),
  );
  const paused = await at.exec(
    ...backup,
    "target=bad",
    "on-target-error=stop",
    ...follow,
    "--timeout",
    "1",
  );
  assertEquals(paused.slice(0, 2), [124, "{}\n"]);
  assertMatch(paused[2], /job j did not end within 1 s; it is paused\n$/);
  assertEquals(await at.exec("job-cancel", "id=j", ...follow), failed("job j was cancelled"));
  // It is cancelled gently: the copy is complete.
  const mirror = ["blockdev-mirror", "job-id=j", "device=src", "target=dst", "sync=full"];
  const ready = await at.exec(...mirror, "--until", "BLOCK_JOB_READY");
  assertEquals(ready[0], 0);
  assertEquals(await at.exec("block-job-cancel", "device=j", ...follow), DONE);
}

/** Follows migrations to their ends. */
async function followMigrations(at: Commands, place: string): Promise<void> {
  const failing = await at.exec("migrate", "uri=tcp:127.0.0.1:1", "--migration");
  assertEquals(failing.slice(0, 2), [1, "{}\n"]);
  assertMatch(failing[2], /^qmpmux: exec: the migration failed: .*Connection refused\n$/);
  assertEquals(await at.exec("--migration"), [1, "", failing[2]]);
  // Nobody reads what QEMU sends here.
  using target = Deno.listen({ transport: "unix", path: `${place}/target` });
  const slow = await at.exec(
    "migrate",
    `uri=unix:${place}/target`,
    "--migration",
    "--timeout",
    "1",
  );
  using _accepted = await target.accept();
  assertEquals(slow.slice(0, 2), [124, "{}\n"]);
  assertMatch(slow[2], /the migration did not end within 1 s; it is (?:setup|active)\n$/);
  assertEquals(
    await at.exec("migrate_cancel", "--migration"),
    failed("the migration was cancelled"),
  );
  assertEquals(await at.exec("migrate", "uri=exec:cat >/dev/null", "--migration"), [
    0,
    "{}\n",
    "qmpmux: the migration: done\n",
  ]);
}

/** Starts a QEMU with memory, which a migration needs. */
function startWithMemory(place: string): Promise<TestQemu> {
  return startQemu(`${place}/vm`, ["-m", "512"], () => {});
}

for (const isThrough of [false, true]) {
  const where = isThrough ? "through qmpmux" : "at QEMU";
  Deno.test({
    name: `qmpmux exec --job and --migration end with the status of what they follow ${where}`,
    ignore: WITHOUT_QEMU,
    async fn(): Promise<void> {
      using place = makePlace();
      await using qemu = await startWithMemory(place.path);
      const path = `${place.path}/mux`;
      await using _mux = isThrough
        ? await startQmpmux(["--qemu", qemu.path, "--listen", path])
        : undefined;
      const at = new Commands(isThrough ? path : qemu.path);
      assertEquals(
        await at.exec("--migration"),
        failed("QEMU has no migration; start it with migrate", ""),
      );
      await at.addDisks(place.path);
      await followJobs(at);
      await followMigrations(at, place.path);
    },
  });
}

/** Returns the arguments that start a slow job. */
function slowBackup(path: string, speed: number): string[] {
  return [
    ...["exec", "-s", path, "blockdev-backup", "job-id=j", "device=src", "target=dst"],
    ...["sync=full", `speed=${speed}`, "--job", "j"],
  ];
}

Deno.test({
  name: "qmpmux exec --job tells that another client has cancelled the job",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    const path = `${place.path}/mux`;
    await using _mux = await startQmpmux(["--qemu", qemu.path, "--listen", path]);
    await new Commands(path).addDisks(place.path);
    const [command, first] = programCommand();
    const child = new Deno.Command(command, {
      args: [...first, ...slowBackup(path, 65536)],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const lines = new Lines(child.stderr);
    assertMatch((await lines.next())!, /^qmpmux: job j: \d+ %/);
    using client = await TestClient.ready(path);
    await client.send({ execute: "job-cancel", arguments: { id: "j" } });
    assertEquals((await lines.rest()).at(-1), "qmpmux: exec: job j was cancelled");
    assertEquals((await child.status).code, 1);
  },
});

Deno.test({
  name: "qmpmux exec --job draws a bar on a terminal",
  ignore: WITHOUT_QEMU || WITHOUT_PYTHON,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    await new Commands(qemu.path).addDisks(place.path);
    const [command, first] = programCommand();
    const script =
      "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    const { code, stdout } = await new Deno.Command("python3", {
      args: ["-c", script, command, ...first, ...slowBackup(qemu.path, 1 << 20)],
      stdin: "null",
    }).output();
    const drawn = new TextDecoder().decode(stdout).split("\r");
    assertEquals(code, 0, drawn.join("\n"));
    assertEquals(drawn.slice(0, 1), ["{}"]);
    const bars = drawn.filter((each) =>
      /^job j {2}\[#*-+\] {2}\d+ %( {2}\S+ [KM]?i?B\/s {2}\d+:\d\d left)?( {2}\w+)?$/.test(each)
    );
    assert(bars.length > 1, drawn.join("\n"));
    assert(bars.some((each) => /B\/s/.test(each)), drawn.join("\n"));
    assertMatch(drawn.at(-2)!, /^job j {2}\[#{40}\] {2}100 % {2}done *$/);
    assertEquals(drawn.at(-1), "\n");
  },
});
