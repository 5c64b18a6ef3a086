/**
 * `qmpmux exec` at every socket that matches a glob.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { execAtAll } from "../lib/cli/exec_many.ts";
import { Failure } from "../lib/platform/failure.ts";
import { socketsMatching } from "../lib/platform/paths.ts";
import { emptyReturn, FakeQemu, type FakeQemuManners } from "./support/fake_qemu.ts";
import { hostileMonitor } from "./support/hostile.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux } from "./support/qmpmux.ts";
import { untilTimeout } from "./support/timeout.ts";

/** Starts a monitor for each VM, at VM/qmp.sock in a directory. */
function monitors(
  place: string,
  manners: Readonly<Record<string, FakeQemuManners>>,
): AsyncDisposableStack {
  const made = new AsyncDisposableStack();
  for (const [vm, each] of Object.entries(manners)) {
    Deno.mkdirSync(`${place}/${vm}`);
    made.use(new FakeQemu(`${place}/${vm}/qmp.sock`, each));
  }
  return made;
}

Deno.test("socketsMatching() returns sockets in order, and nothing hidden or else", () => {
  using place = makePlace();
  const { path } = place;
  using made = new DisposableStack();
  for (const vm of ["web-2", "web-1", ".web-3", "db"]) {
    Deno.mkdirSync(`${path}/${vm}`);
    made.use(Deno.listen({ transport: "unix", path: `${path}/${vm}/mux.sock` }));
  }
  made.use(Deno.listen({ transport: "unix", path: `${path}/web-4` }));
  Deno.mkdirSync(`${path}/web-5/mux.sock`, { recursive: true });
  Deno.mkdirSync(`${path}/web-6`);
  const shortened = (glob: string): string[] =>
    socketsMatching(`${path}/${glob}`).map((found) => found.slice(path.length + 1));
  assertEquals(shortened("web-*/mux.sock"), ["web-1/mux.sock", "web-2/mux.sock"]);
  assertEquals(shortened("*/m?x.*"), ["db/mux.sock", "web-1/mux.sock", "web-2/mux.sock"]);
  assertEquals(shortened(".*/mux.sock"), [".web-3/mux.sock"]);
  assertEquals(shortened("web*"), ["web-4"]);
  assertEquals(shortened("*//mux.sock").length, 3);
  assertEquals(shortened("none/*"), []);
  assertEquals(shortened("web-4/*"), []);
});

/** Runs a function while the system denies a call. */
function denying(call: "readDirSync" | "statSync", run: () => void): void {
  const original = Deno[call];
  Object.assign(Deno, {
    [call]: (): void => {
      throw new Deno.errors.PermissionDenied("denied");
    },
  });
  try {
    run();
  } finally {
    Object.assign(Deno, { [call]: original });
  }
}

Deno.test("socketsMatching() throws where a directory cannot be read", () => {
  denying("readDirSync", () => {
    const error = assertThrows(() => socketsMatching("/run/*/x"), Failure);
    assertEquals([error.status, error.message], [77, "/run/: no permission to read the directory"]);
  });
});

Deno.test("socketsMatching() returns what it may not look at", () => {
  using place = makePlace();
  Deno.mkdirSync(`${place.path}/vm`);
  denying("statSync", () => {
    assertEquals(socketsMatching(`${place.path}/*/x`), [`${place.path}/vm/x`]);
  });
});

Deno.test("qmpmux exec --socket GLOB asks all sockets though one greets with damage", async () => {
  using place = makePlace();
  await using _monitors = monitors(place.path, {
    "a": { greeting: '{"QMP": {"version": 5, "capabilities": [{"toString": 1}]}}\r\n' },
    "b": { answer: ({ name }) => name === "ask" ? '{"return": 1}\r\n' : undefined },
  });
  const at = ["exec", "--socket", `${place.path}/*/qmp.sock`, "ask"];
  const { code, stdout } = await runQmpmux(at);
  const [first, second] = stdout.split("\n");
  assertEquals(JSON.parse(first!).error.desc.includes("does not speak QMP"), true);
  assertEquals([code, JSON.parse(second!).return], [1, 1]);
});

Deno.test("qmpmux exec --socket GLOB prints a line for each socket, in order", async () => {
  using place = makePlace();
  const answers = (value: string): FakeQemuManners => ({
    answer: ({ name }) => name === "ask" ? `{"return": ${value}}\r\n` : undefined,
  });
  await using _monitors = monitors(place.path, {
    "b": answers('{"n": 18446744073709551615}'),
    "a": answers("[]"),
    "ü": answers('"\\u001b"'),
  });
  const at = ["exec", "--socket", `${place.path}/*/qmp.sock`];
  assertEquals(await runQmpmux([...at, "ask", "x=1"]), {
    code: 0,
    stdout: `{"socket": "${place.path}/a/qmp.sock", "return": []}\n` +
      `{"socket": "${place.path}/b/qmp.sock", "return": {"n": 18446744073709551615}}\n` +
      `{"socket": "${place.path}/\\u00FC/qmp.sock", "return": "\\u001b"}\n`,
    stderr: "",
  });
});

Deno.test("qmpmux exec --socket GLOB ends with 1 where one does not return a value", async () => {
  using place = makePlace();
  await using _monitors = monitors(place.path, {
    "error": {},
    "gone": { leaves: true },
    "late": { answer: () => "" },
    "ok": { answer: emptyReturn },
  });
  const at = ["exec", "nope", "--socket", `unix:${place.path}/*/qmp.sock`];
  const { code, stdout, stderr } = await untilTimeout(
    (seconds) => runQmpmux([...at, "--timeout", String(seconds)]),
    ({ stdout }) => /no greeting|no reply|has not answered.*\n.*has not answered/.test(stdout),
  );
  assertEquals([code, stderr], [1, ""]);
  const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  const vms = lines.map(({ socket }) => socket.split("/").at(-2));
  assertEquals(vms, ["error", "gone", "late", "ok"]);
  const [error, gone, late, ok] = lines;
  assertEquals(error.error, {
    class: "CommandNotFound",
    desc: "The command nope has not been found",
  });
  assertEquals(Object.keys(gone.error), ["desc"]);
  assertEquals(ok.return, {});
  assertMatch(late.error.desc, /has not answered/);
});

Deno.test("execAtAll() gives a silent monitor 30 seconds if no timeout is given", async () => {
  using place = makePlace();
  const timers: (() => void)[] = [];
  await using _monitors = monitors(place.path, {
    "late": {
      answer: ({ name }) => {
        if (name !== "ask") return undefined;
        // It has been asked: now the time passes.
        for (const run of timers) run();
        return "";
      },
    },
  });
  const original = { setTimeout, print: Deno.stdout.writeSync, revoke: Deno.permissions.revoke };
  let printed = "";
  Object.assign(globalThis, {
    setTimeout: (run: () => void, time: number): unknown => {
      if (time !== 30_000) return original.setTimeout(run, time);
      timers.push(run);
      return undefined;
    },
  });
  Deno.stdout.writeSync = (bytes) => {
    printed += new TextDecoder().decode(bytes);
    return bytes.length;
  };
  // The test keeps its own permissions.
  Deno.permissions.revoke = (what) => Deno.permissions.query(what);
  try {
    assertEquals(await execAtAll(`${place.path}/*/qmp.sock`, "ask", "{}"), 1);
  } finally {
    Object.assign(globalThis, { setTimeout: original.setTimeout });
    Deno.stdout.writeSync = original.print;
    Deno.permissions.revoke = original.revoke;
  }
  assertMatch(
    printed,
    /"error": \{"desc": "exec: no reply within 30 s; the command may still run"\}/,
  );
});

Deno.test("qmpmux exec --socket GLOB asks more sockets than it connects to at a time", async () => {
  using place = makePlace();
  const names = Array.from({ length: 80 }, (_, i) => `vm${String(i).padStart(2, "0")}`);
  await using _monitors = monitors(
    place.path,
    Object.fromEntries(names.map((name) => [name, { answer: emptyReturn }])),
  );
  const env = { QMPMUX_SOCKET: `${place.path}/vm??/qmp.sock` };
  const { code, stdout } = await runQmpmux(["exec", "stop"], env);
  assertEquals(code, 0);
  const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line).socket);
  assertEquals(lines, names.map((name) => `${place.path}/${name}/qmp.sock`));
});

Deno.test("qmpmux exec --socket GLOB says so where no socket matches", async () => {
  using place = makePlace();
  const { code, stderr } = await runQmpmux(["exec", "--socket", `${place.path}/*.sock`, "stop"]);
  assertEquals(code, 69);
  assertMatch(stderr, /^qmpmux: exec: no socket matches \/.*\*\.sock; correct --socket, or/);
});

Deno.test("qmpmux exec --socket GLOB prints ASCII whatever the monitors say", async () => {
  using place = makePlace();
  const text = JSON.stringify("\x1b[2J\x7f\x9b31m\u202e\u2028").slice(1, -1);
  const said = [
    `{"return": "${text}"}\r\n`,
    `{"error": {"class": "${text}", "desc": "${text}"}}\r\n`,
    '{"error": 5}\r\n',
    '{"return": {"a": ',
    "",
  ];
  await using made = new AsyncDisposableStack();
  for (const [index, bytes] of said.entries()) {
    made.use(hostileMonitor(`${place.path}/${index}.sock`, "query-name", bytes));
  }
  made.use(hostileMonitor(`${place.path}/5.sock`, "greeting", "\x1b[2J\r\n"));
  const args = ["exec", "--socket", `${place.path}/*.sock`, "query-name"];
  const { code, stdout, stderr } = await runQmpmux(args);
  assertEquals([code, stderr], [1, ""]);
  assertMatch(stdout, /^(?:[\x20-\x7e]+\n){6}$/);
  const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.map((line) => Object.keys(line.error ?? line)), [
    ["socket", "return"],
    ["class", "desc"],
    ["desc"],
    ["desc"],
    ["desc"],
    ["desc"],
  ]);
});
