/**
 * `qmpmux check`, `--config`, `--print-config`, and SIGHUP on connected clients.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { programCommand, runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { unprivileged } from "./support/unprivileged.ts";

Deno.test("qmpmux check reports problems with their lines, and exits with 78", async () => {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, 'qemu = "unix:/run/vm"\nquemu = 1\n\n[[listen]]\naddress = "x y"\n');
  assertEquals(await runQmpmux(["check", "--config", file]), {
    code: 78,
    stdout: "",
    stderr: `qmpmux: ${file}:2: unknown key "quemu"; did you mean "qemu"?\n` +
      `qmpmux: ${file}:5: invalid address "x y": expected unix:/path, /path, unix-abstract:NAME, ` +
      "tcp:HOST:PORT or HOST:PORT\n",
  });
  Deno.writeTextFileSync(file, 'qemu = "unix:/run/vm"\n');
  assertEquals(await runQmpmux(["check", "--config", file]), { code: 0, stdout: "", stderr: "" });
});

Deno.test("qmpmux check reports a recording that serve could not write, and a directory that it may not write", async () => {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  const [head, listen] = ['qemu = "unix:/run/vm"\n', '[[listen]]\naddress = "/run/a"\n'];
  const check = async (record: string): ReturnType<typeof runQmpmux> => {
    Deno.writeTextFileSync(file, `${head}record = "${record}"\n${listen}`);
    return await runQmpmux(["check", "--config", file]);
  };
  const valid = { code: 0, stdout: "", stderr: "" };
  assertEquals(await check(`${place.path}/recording`), valid);
  assertEquals([...Deno.readDirSync(place.path)].map(({ name }) => name), ["x.toml"]);
  const missing = `${place.path}/logs/recording`;
  const wrong = [
    [
      missing,
      `record ${missing}: the directory ${place.path}/logs does not exist; create it first`,
    ],
    [
      place.path,
      `record ${place.path} exists and is not a recording; name another file, or remove it`,
    ],
  ] as const;
  for (const [path, text] of wrong) {
    const stderr = `qmpmux: ${file}:2: ${text}\n`;
    assertEquals(await check(path), { code: 78, stdout: "", stderr });
    assertEquals(await runQmpmux(["serve", "--config", file]), { code: 78, stdout: "", stderr });
  }
  Deno.mkdirSync(`${place.path}/closed`, { mode: 0o555 });
  await check(`${place.path}/closed/recording`);
  const [program, args] = programCommand();
  const [command, ...rest] = [...unprivileged(), program, ...args, "check", "--config", file];
  const { code, stderr } = await new Deno.Command(command!, { args: rest }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [
    0,
    `qmpmux: check: record ${place.path}/closed/recording: you cannot create files in ` +
    `${place.path}/closed: no permission; the user of qmpmux must be able to\n`,
  ]);
});

Deno.test("qmpmux check reports users, groups and audits that serve would refuse, with lines", async () => {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  const lines = [
    'qemu = "unix:/run/vm"',
    'metrics = "/run/metrics,group=nosuch"',
    `audit = "${place.path}"`,
    "[[listen]]",
    'address = "/run/a"',
    'group = "nosuch"',
    'user = "nosuch"',
    "[[listen]]",
    'address = "/run/b"',
    'role = "full"',
    'allow = ["root", "@nosuch"]',
    'role-for = ["nobodyx:admin", "root:observer"]',
  ];
  const unknown = (kind: string, what: string): string =>
    `${what}: /etc/${
      kind === "user" ? "passwd" : "group"
    } has no such ${kind}; use an existing one, or a number`;
  const problems = [
    [2, unknown("group", "group=nosuch")],
    [3, `audit ${place.path} is not a regular file; name one, or a path for a new one`],
    [6, unknown("group", "group=nosuch")],
    [7, unknown("user", "user=nosuch")],
    [11, unknown("group", "allow=@nosuch")],
    [12, unknown("user", "role-for=nobodyx")],
  ].map(([line, text]) => `qmpmux: ${file}:${line}: ${text}\n`);
  Deno.writeTextFileSync(file, lines.join("\n"));
  const expected = { code: 78, stdout: "", stderr: problems.join("") };
  assertEquals(await runQmpmux(["check", "--config", file]), expected);
  assertEquals(await runQmpmux(["serve", "--config", file]), expected);
  // They are reported with errors of other kinds, in the order of the file.
  Deno.writeTextFileSync(file, ["qemuu = 1", ...lines, "frobnicate = 1", ""].join("\n"));
  const { stderr } = await runQmpmux(["check", "--config", file]);
  assertEquals(
    stderr.trimEnd().split("\n").map((line) => Number(line.split(":")[2])),
    [1, 3, 4, 7, 8, 12, 13, 14],
  );
});

Deno.test("qmpmux serve does not look up users and groups that flags replace", async () => {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(
    file,
    `metrics = "/run/metrics,group=nosuch"\naudit = "${place.path}"\n` +
      '[[listen]]\naddress = "/run/a"\ngroup = "nosuch"\n',
  );
  const [path, other] = [`${place.path}/mux`, `${place.path}/metrics`];
  const flags = ["--metrics", other, "--audit", `${place.path}/audit`];
  await using mux = await startQmpmux(
    ["--qemu", `${place.path}/vm`, "--listen", path, "--config", file, ...flags],
  );
  assertEquals(mux.listening.length, 1);
});

/** Returns a client's role as qmpmux reports it. */
async function roleOf(client: TestClient): Promise<string> {
  return JSON.parse(await client.ask({ execute: "__org.qmpmux_query-self" })).return.role;
}

Deno.test("SIGHUP: a file with an unknown user changes nothing, and the log has its line", async () => {
  using place = makePlace();
  const [file, path] = [`${place.path}/x.toml`, `${place.path}/mux`];
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const text = `qemu = "${qemu.path}"\n[[listen]]\naddress = "${path}"\n`;
  Deno.writeTextFileSync(file, text);
  await using mux = await startQmpmux(["--config", file]);
  await mux.log.until(/connected to QEMU/);
  const before = Deno.statSync(path);
  using client = await TestClient.ready(path);
  Deno.writeTextFileSync(file, `${text}mode = "0666"\nrole = "observer"\nallow = "nobodyx"\n`);
  mux.kill("SIGHUP");
  assertMatch(await mux.log.until(/not reloaded/), /x\.toml:6: allow=nobodyx: .*no such user/);
  const { ino, mode } = Deno.statSync(path);
  assertEquals([ino, mode], [before.ino, before.mode]);
  assertEquals(await roleOf(client), "full");
  using newcomer = await TestClient.ready(path);
  assertEquals(await roleOf(newcomer), "full");
  assertEquals(qemu.connections, 1);
});

Deno.test("qmpmux check warns about a rule that matches no command, and exits with 0", async () => {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  const rules = '[\n  { allow = "query-*" },\n  { allow = "block-comit" },\n]';
  Deno.writeTextFileSync(file, `[[role]]\nname = "x"\nrules = ${rules}\n`);
  assertEquals(await runQmpmux(["check", "--config", file]), {
    code: 0,
    stdout: "",
    stderr: `qmpmux: ${file}:5: warning: role x: no known QEMU has a command "block-comit"; ` +
      'did you mean "block-commit"?\n',
  });
});

Deno.test("qmpmux check and serve name a missing file", async () => {
  for (const args of [["check"], ["serve"]]) {
    const { code, stderr } = await runQmpmux([...args, "--config", "/nowhere/x.toml"]);
    assertEquals(code, 78);
    assertEquals(stderr, "qmpmux: /nowhere/x.toml: file not found; correct --config\n");
  }
});

Deno.test("qmpmux serve --print-config prints settings that it reads back as the same", async () => {
  using place = makePlace();
  const flags = ["--qemu", "/run/vm", "--listen", "/run/a,events=STOP,mode=0660,role=observer"];
  const first = await runQmpmux(["serve", ...flags, "--once", "--print-config"]);
  assertEquals(first.code, 0);
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, first.stdout);
  assertEquals(await runQmpmux(["serve", "--config", file, "--print-config"]), first);
  // Flags win.
  const other = await runQmpmux(["serve", "--config", file, "--qemu", "/run/b", "--print-config"]);
  assertMatch(other.stdout, /^qemu = "unix:\/run\/b"$/m);
});

Deno.test("SIGHUP: a valid file takes effect on connected clients, an invalid one changes nothing", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const [file, a, b] = ["x.toml", "a", "b"].map((name) => `${place.path}/${name}`) as [
    string,
    string,
    string,
  ];
  const write = (...listeners: string[]): void =>
    Deno.writeTextFileSync(file, [`qemu = "${qemu.path}"`, ...listeners].join("\n"));
  const listener = (address: string, more = ""): string =>
    `[[listen]]\naddress = "${address}"\n${more}`;

  write(listener(a));
  await using mux = await startQmpmux(["--config", file]);
  await mux.log.until(/listening on/);
  await mux.log.until(/connected to QEMU/);
  using client = await TestClient.ready(a);
  const self = async (): Promise<{ role: string; name: string }> =>
    JSON.parse(await client.ask({ execute: "__org.qmpmux_query-self" })).return;
  assertEquals((await self()).role, "full");

  // Another role, another mode, one more listener: no client is disconnected.
  write(listener(a, 'role = "observer"\nname = "seen"\nmode = "0666"'), listener(b));
  mux.kill("SIGHUP");
  await mux.log.until(/has been reloaded/);
  assertEquals(await self().then(({ role, name }) => [role, name]), ["observer", "seen/1"]);
  assertMatch(await client.ask({ execute: "cont" }), /CommandNotFound.*observer/);
  assertEquals(Deno.statSync(a).mode! & 0o777, 0o666);
  using second = await TestClient.ready(b);

  // An invalid file, and a setting that cannot change: both are reported, and nothing changes.
  write(listener(a, 'role = "nobody"'));
  mux.kill("SIGHUP");
  assertMatch(await mux.log.until(/not reloaded/), /x\.toml:4: unknown role "nobody"/);
  Deno.writeTextFileSync(file, `qemu = "/run/{vm}"\n${listener("/mux/{vm}")}`);
  mux.kill("SIGHUP");
  await mux.log.until(/not reloaded: qemu cannot change/);
  assertEquals(await self().then(({ role, name }) => [role, name]), ["observer", "seen/1"]);
  assertEquals(Deno.statSync(a).mode! & 0o777, 0o666);
  {
    using _third = await TestClient.ready(b);
  }

  // A listener that is removed accepts no more clients; connected ones stay.
  write(listener(b));
  mux.kill("SIGHUP");
  await mux.log.until(/has been reloaded/);
  assert(![...Deno.readDirSync(place.path)].some(({ name }) => name === "a"));
  assertEquals((await self()).role, "observer");
  assertEquals(JSON.parse(await second.ask({ execute: "query-status" })).return.status, "paused");
  assertEquals(qemu.connections, 1);
});

Deno.test("SIGHUP: clients of a removed listener get its new settings when it is added again", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const [file, a, b] = [`${place.path}/x.toml`, `${place.path}/a`, `${place.path}/b`];
  const write = (...listeners: string[]): void =>
    Deno.writeTextFileSync(file, [`qemu = "${qemu.path}"`, ...listeners].join("\n"));
  const listener = (address: string, more = ""): string =>
    `[[listen]]\naddress = "${address}"\n${more}`;
  write(listener(a), listener(b));
  await using mux = await startQmpmux(["--config", file]);
  await mux.log.until(/connected to QEMU/);
  using client = await TestClient.ready(a);
  for (
    const listeners of [
      [listener(b)],
      [listener(a, 'role = "observer"\nmax-clients = 1'), listener(b)],
    ]
  ) {
    write(...listeners);
    mux.kill("SIGHUP");
    await mux.log.until(/has been reloaded/);
  }
  assertMatch(await client.ask({ execute: "cont" }), /CommandNotFound.*observer/);
  // It counts: the listener is full.
  using refused = await TestClient.connect(a);
  assertEquals(await refused.lines.next(), undefined);
  await mux.log.until(/a: a client was refused: 1 are connected already/);
});

Deno.test("SIGHUP: if one listener cannot apply its new settings, none does", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const [file, a, b, c] = ["x.toml", "a", "b", "c"].map((name) => `${place.path}/${name}`) as [
    string,
    string,
    string,
    string,
  ];
  const write = (...listeners: [string, string][]): void =>
    Deno.writeTextFileSync(
      file,
      `qemu = "${qemu.path}"\n` +
        listeners.map(([path, more]) => `[[listen]]\naddress = "${path}"\n${more}\n`).join(""),
    );
  const modeOf = (path: string): number => Deno.statSync(path).mode! & 0o777;
  const roleAt = async (path: string): Promise<string> => {
    using client = await TestClient.ready(path);
    return await roleOf(client);
  };

  write([a, ""], [b, ""]);
  await using mux = await startQmpmux(["--config", file]);
  await mux.log.until(/listening on .*b /);
  await mux.log.until(/connected to QEMU/);

  // A new listener, one with other settings, and one that cannot be created: its path is taken.
  Deno.removeSync(b);
  Deno.writeTextFileSync(b, "precious");
  write([c, ""], [a, 'role = "observer"\nmode = "0666"'], [b, 'mode = "0666"']);
  mux.kill("SIGHUP");
  await mux.log.until(/not reloaded: .*b is in use by another process/);
  assertEquals(mux.log.seen.filter((line) => line.includes(`listening on unix:${c}`)), []);
  assert(![...Deno.readDirSync(place.path)].some(({ name }) => name === "c"));
  assertEquals([modeOf(a), await roleAt(a)], [0o600, "full"]);
  assertEquals(Deno.readTextFileSync(b), "precious");

  // A listener that the file no longer has is still there, too.
  write([b, 'mode = "0666"']);
  mux.kill("SIGHUP");
  await mux.log.until(/not reloaded/);
  assertEquals(await roleAt(a), "full");

  // With the path free, all of it takes effect.
  Deno.removeSync(b);
  write([c, ""], [a, 'role = "observer"\nmode = "0666"'], [b, 'mode = "0666"']);
  mux.kill("SIGHUP");
  await mux.log.until(/has been reloaded/);
  assertEquals([modeOf(a), modeOf(b), modeOf(c)], [0o666, 0o666, 0o600]);
  assertEquals([await roleAt(a), await roleAt(b), await roleAt(c)], ["observer", "full", "full"]);
});

Deno.test("SIGHUP without a file is logged, and qmpmux keeps running", async () => {
  using place = makePlace();
  await using _qemu = new FakeQemu(`${place.path}/vm`);
  await using mux = await startQmpmux(
    ["--qemu", `${place.path}/vm`, "--listen", `${place.path}/mux`],
  );
  mux.kill("SIGHUP");
  await mux.log.until(/no configuration file was given; restart qmpmux with --config/);
  using _client = await TestClient.ready(`${place.path}/mux`);
});

const IDENTITY_FIXED =
  /not reloaded: .*: identity, which allow, role-for, user-rate and fds imply, cannot change/;
const RELOADED = /has been reloaded/;

/** The options of the listeners before and after a reload, in TOML, and the log line of the reload. */
const IDENTITY_CHANGES: readonly (readonly [string[], string[], RegExp])[] = [
  [[""], ['allow = ["root"]'], IDENTITY_FIXED],
  [["identity = true"], [""], IDENTITY_FIXED],
  [[""], ["", "identity = true"], IDENTITY_FIXED],
  [["identity = true"], ["fds = true"], /not reloaded: .*: the first fds=on cannot be added/],
  [["identity = true"], ["identity = true", "user-rate = 9"], RELOADED],
  [["fds = true", "identity = true"], ["fds = true", "fds = true"], RELOADED],
];

for (const [before, after, line] of IDENTITY_CHANGES) {
  Deno.test(`SIGHUP: listeners with ${JSON.stringify([before, after])}: ${line.source}`, async () => {
    using place = makePlace();
    const file = `${place.path}/x.toml`;
    const write = (listeners: readonly string[]): void => {
      const tables = listeners.map((options, index) =>
        `[[listen]]\naddress = "${place.path}/${index}"\n${options}\n`
      );
      Deno.writeTextFileSync(file, `qemu = "${place.path}/vm"\n${tables.join("")}`);
    };
    write(before);
    await using mux = await startQmpmux(["--config", file]);
    await mux.log.until(/listening on/);
    write(after);
    mux.kill("SIGHUP");
    assertMatch(await mux.log.until(/not reloaded|has been reloaded/), line);
  });
}
