/**
 * `qmpmux can`: whether a role may run a command, by a file and by a running qmpmux.
 *
 * Its answers are compared with what a listener does with the same command.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { permissionOf } from "../lib/hub/own_commands.ts";
import type { Permission } from "../lib/hub/permission.ts";
import type { Role } from "../lib/policy/policy.ts";
import { readRole, ROLES } from "../lib/policy/roles.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { MadeValues } from "./support/made_values.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { Random } from "./support/random.ts";
import { grant, Stage } from "./support/stage.ts";
import { allCommands, argumentsWith, commandOf } from "./support/verdicts.ts";

const BACKUP = `[[role]]
name = "backup"
rules = [
  { refuse = "blockdev-add", where = { driver = ["nbd", "http*"] }, because = "no network disks" },
  { allow = "blockdev-add", where = { driver = "qcow2", "file.filename" = "/backup/*" }, absent = ["force"], only = ["driver", "node-name", "file.filename"] },
  { allow = "blockdev-add", where = { driver = "null-co" }, only = { driver = "*", size = ["1", "2"] } },
  { allow = ["query-*", "job-*"] },
  { allow = "transaction", where = { "actions[*].type" = ["abort", "blockdev-backup"] }, present = ["properties"] },
  { refuse = "quit" },
  { allow = "quit" },
]
`;

/** Returns the name of a rule of that file by its line. */
function ruleAt(file: string, line: number): string {
  const texts: Readonly<Record<number, string>> = {
    4: "refuse blockdev-add if driver=nbd|http*",
    5: "allow blockdev-add if driver=qcow2 and file.filename=/backup/* and force is not given",
    6: "allow blockdev-add if driver=null-co",
    7: "allow query-*, job-*",
    8: "allow transaction if actions[*].type=abort|blockdev-backup and properties is given",
    9: "refuse quit",
    10: "allow quit",
  };
  return `${file}:${line} (${texts[line]})`;
}

/** The words after the role, the exit status, and the lines of the output. */
type Outcome = readonly [words: string[], code: number, lines: string[]];

function outcomes(file: string): Outcome[] {
  const rule = (line: number): string => ruleAt(file, line);
  const nearest = (line: number): string =>
    `the nearest rule that allows blockdev-add is ${rule(line)}, but`;
  return [
    [["query-status"], 0, [`allowed: role backup, rule ${rule(7)}`]],
    [["blockdev-add", "driver=null-co", "size=2"], 0, [
      `allowed: role backup, rule ${rule(6)}`,
    ]],
    [["blockdev-add", '{"driver": "qcow2", "file": {"filename": "/backup/a"}}'], 0, [
      `allowed: role backup, rule ${rule(5)}`,
    ]],
    [["blockdev-add", "driver=nbd", "file.filename=/backup/a"], 1, [
      `refused: role backup, rule ${rule(4)}: no network disks`,
      nearest(5),
      '  driver is "nbd", which does not match qcow2',
    ]],
    [["blockdev-add", "driver=qcow2", "file.filename=/backup/../a"], 1, [
      "refused: role backup, no rule allows it",
      nearest(5),
      '  file.filename is "/backup/../a", which does not match /backup/*: ' +
      "wildcards never match a .. component",
    ]],
    [["blockdev-add", "driver=qcow2", "file.filename=/backup/a", "read-only=true"], 1, [
      `refused: role backup, rule ${rule(5)}: argument read-only is not allowed`,
      nearest(5),
      "  read-only is given, but the rule does not list it",
    ]],
    [["blockdev-add", "driver=qcow2", "force=1", "file.filename=/backup/a"], 1, [
      "refused: role backup, no rule allows it",
      nearest(5),
      "  force is given, but must not be",
    ]],
    [["blockdev-add", "driver=null-co", "size=3"], 1, [
      `refused: role backup, rule ${rule(6)}: the value of argument size is not allowed`,
      nearest(6),
      "  size is 3, which does not match 1 or 2",
    ]],
    [["blockdev-add", "node-name=n"], 1, [
      "refused: role backup, no rule allows it",
      nearest(5),
      "  driver is missing; expected qcow2",
      "  file.filename is missing; expected /backup/*",
    ]],
    [["transaction", '{"actions": [{"type": "abort"}, {"type": "drive-mirror"}]}'], 1, [
      "refused: role backup, no rule allows it",
      `the nearest rule that allows transaction is ${rule(8)}, but`,
      '  actions[*].type is "drive-mirror", which does not match abort or blockdev-backup',
      "  properties is missing",
    ]],
    [["transaction", '{"actions": [{"type": "abort"}], "properties": {}}'], 0, [
      `allowed: role backup, rule ${rule(8)}`,
    ]],
    [["quit"], 1, [
      `refused: role backup, rule ${rule(9)}`,
      `rule ${rule(10)} would allow it, but an earlier rule refuses it`,
    ]],
    [["stop"], 1, ["refused: role backup, no rule allows it"]],
    [["__org.qmpmux_query-self"], 0, ["allowed: role backup: it is for every client"]],
    [["__org.qmpmux_reload"], 1, [
      "refused: role backup: it is for roles that administer qmpmux",
    ]],
    [["qmp_capabilities"], 0, ["allowed: role backup: it is for every client"]],
  ];
}

function writeConfig(place: string, more = BACKUP): string {
  const file = `${place}/x.toml`;
  Deno.writeTextFileSync(file, `${more}[[listen]]\naddress = "${place}/mux"\n`);
  return file;
}

Deno.test("qmpmux can names the rule of a file that allows or refuses, and the nearest one", async () => {
  using place = makePlace();
  const file = writeConfig(place.path);
  for (const [words, code, lines] of outcomes(file)) {
    assertEquals(
      await runQmpmux(["can", "--config", file, "--as", "backup", ...words]),
      { code, stdout: lines.map((line) => `${line}\n`).join(""), stderr: "" },
    );
  }
});

Deno.test("qmpmux can asks a running qmpmux for roles that no listener uses", async () => {
  using place = makePlace();
  const file = writeConfig(place.path);
  const control = `${place.path}/control`;
  const args = ["--config", file, "--qemu", `${place.path}/vm`, "--control", control];
  await using mux = await startQmpmux(args, { listeners: 2 });
  for (const [words, code, lines] of outcomes(file)) {
    assertEquals(
      await runQmpmux(["can", "--control", control, "--as", "backup", ...words]),
      { code, stdout: lines.map((line) => `${line}\n`).join(""), stderr: "" },
    );
  }
  const refused = await runQmpmux(["can", "--control", control, "--as", "bakcup", "stop"]);
  assertEquals(refused, {
    code: 64,
    stdout: "",
    stderr: "qmpmux: can: Role 'bakcup' not found; did you mean 'backup'?\n",
  });
  // A reload brings other roles; the variable names the socket.
  writeConfig(place.path, BACKUP.replace("backup", "keeper"));
  assertEquals((await runQmpmux(["reload", "--control", control])).code, 0);
  await mux.log.until(/reloaded/);
  const env = { QMPMUX_CONTROL: control };
  assertEquals((await runQmpmux(["can", "--as", "keeper", "query-status"], env)).code, 0);
  assertEquals((await runQmpmux(["can", "--as", "backup", "query-status"], env)).code, 64);
});

Deno.test("qmpmux can prints the same JSON for a file and for a running qmpmux", async () => {
  using place = makePlace();
  const file = writeConfig(place.path);
  const control = `${place.path}/control`;
  const args = ["--config", file, "--qemu", `${place.path}/vm`, "--control", control];
  await using _mux = await startQmpmux(args, { listeners: 2 });
  const words = ["--as", "backup", "--json", "blockdev-add", "driver=nbd"];
  const answers = [
    await runQmpmux(["can", "--config", file, ...words]),
    await runQmpmux(["can", "--control", control, ...words]),
  ].map(({ code, stdout }) => [code, JSON.parse(stdout)]);
  assertEquals(answers[0], answers[1]);
  assertEquals(answers[0], [1, {
    role: "backup",
    command: "blockdev-add",
    allowed: false,
    because: `role backup, rule ${ruleAt(file, 4)}: no network disks`,
    rule: "refuse blockdev-add if driver=nbd|http*",
    source: `${file}:4`,
    nearest: {
      rule: "allow blockdev-add if driver=null-co",
      source: `${file}:6`,
      differences: [{
        argument: "driver",
        text: 'is "nbd", which does not match null-co',
      }],
    },
  }]);
});

/** The words of a command line without a file, the status, and the output or the error. */
const WITHOUT_FILE: readonly (readonly [words: string[], code: number, said: string])[] = [
  [["--as", "operator", "stop"], 0, "allowed: role operator, rule 'allow stop'\n"],
  [["--as", "observer", "stop"], 1, "refused: role observer, no rule allows it\n"],
  [["--as", "full", "anything"], 0, "allowed: role full, rule 'allow *'\n"],
  [["--as", "full", "__org.qmpmux_reload"], 1, "refused: role full: it is for roles that adm"],
  [["--as", "admin", "__org.qmpmux_can"], 0, "allowed: role admin: it administers qmpmux\n"],
  [
    ["--as", "operator", "transaction", '{"actions": [{"type": "drive-backup"}]}'],
    1,
    "refused: role operator, rule 'refuse transaction': each action must be one",
  ],
  [["--as", "operator", "qiut"], 1, 'no known QEMU has a command "qiut"; did you mean "quit"?\n'],
  [["--as", "operater", "stop"], 64, "Role 'operater' not found; did you mean 'operator'?\n"],
  [["--as", "mine", "stop"], 64, "give --config FILE or --control ADDR for the roles of a file\n"],
  [["--as", "full"], 64, "can: the command is missing"],
  [["stop"], 64, "can: --as is missing; name the role"],
  [["--as", "full", "--config", "/x", "--control", "/y", "stop"], 64, "exclude each other"],
  [["--as", "full", "stop", "x"], 64, "can: invalid argument x: expected key=value"],
  [["--as", "full", "stop", '{"a": 1, "a": 2}'], 64, "invalid arguments: JSON parse error, dup"],
  [["--as", "full", "--config", "/no/such/file", "stop"], 78, "/no/such/file: file not found"],
  [["--as", "mine", "--control", "/no/such/socket", "stop"], 69, "nothing listens there"],
  [["--as", "full", "--timeout", "abc", "stop"], 64, 'invalid value "abc" for --timeout: expected'],
  [["--as", "full", "--timeout=-1", "stop"], 64, 'invalid value "-1" for --timeout: expected'],
  [
    ["--as", "full", "--config", "/x", "--timeout", "1h", "stop"],
    64,
    '"1h" for --timeout: expected',
  ],
  [["--as", "full", "--timeout", "0.5", "stop"], 0, "allowed: role full"],
];

for (const [words, code, said] of WITHOUT_FILE) {
  Deno.test(`qmpmux can ${words.join(" ")} exits with ${code}`, async () => {
    const result = await runQmpmux(["can", ...words], { QMPMUX_CONTROL: "" });
    assertStringIncludes(`${result.stdout}${result.stderr}`, said);
    assertEquals(result.code, code);
  });
}

Deno.test("qmpmux can reports the errors of a file as check does", async () => {
  using place = makePlace();
  const file = writeConfig(place.path, "[[role]]\nname = 'a b'\nrules = 1\n");
  const [can, check] = [
    await runQmpmux(["can", "--config", file, "--as", "full", "stop"]),
    await runQmpmux(["check", "--config", file]),
  ];
  assertEquals(can, check);
  assertEquals(can.code, 78);
});

Deno.test("qmpmux can reports a socket that does not answer its question", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  for (const answer of ["1", "{}", '{"allowed": true, "because": 1}']) {
    await using other = new FakeQemu(`${place.path}/other`, {
      answer: ({ name }) => name === "__org.qmpmux_can" ? `{"return": ${answer}}\r\n` : undefined,
    });
    for (const { path } of answer === "1" ? [qemu, other] : [other]) {
      const { code, stdout } = await runQmpmux(["can", "--control", path, "--as", "x", "stop"]);
      assertEquals([code, stdout], [69, ""]);
    }
  }
});

Deno.test("qmpmux can exits with 69 if the connection is lost before the answer", async () => {
  using place = makePlace();
  await using mux = new FakeQemu(`${place.path}/mux`, {
    answer: ({ name }, { hangUp }) => {
      if (name === "qmp_capabilities") return undefined;
      hangUp();
      return "";
    },
  });
  const { code, stdout } = await runQmpmux(["can", "--control", mux.path, "--as", "x", "stop"]);
  assertEquals([code, stdout], [69, ""]);
});

/** Roles with conditions of every form. */
const JUDGED: readonly Role[] = [
  ...ROLES.values(),
  readRole({
    name: "mixed",
    rules: [
      { refuse: "block*", where: { device: ["a*", "x"] }, because: "device" },
      { refuse: "*", present: ["force"] },
      { allow: ["blockdev-*", "block_*"], only: { "node-name": "*", driver: ["null-co", "x"] } },
      { allow: "transaction", where: { "actions[*].type": ["abort", "x"] } },
      { allow: "transaction", absent: ["actions"], only: [] },
      { allow: "*-add", where: { id: "?" }, only: ["id", "a.**"] },
      { allow: ["query-*", "q*t"], where: { id: "/b/*" } },
      { allow: ["migrate*", "device*"], only: ["id", "driver", "uri"] },
    ],
  }, "f:1"),
  readRole({ name: "nothing", rules: [] }, "f:1"),
];

/** The values that commands return if the hub reads them. */
const QEMU_RETURNS: Readonly<Record<string, string>> = {
  "add-fd": '{"fd": 1, "fdset-id": 1}',
  "query-commands": "[]",
  "query-fdsets": "[]",
};

/** Yields every recorded command: alone, with each of its arguments, and with random ones. */
function* questions(random: Random): Generator<readonly [name: string, args: string]> {
  const values = new MadeValues(random);
  for (const [name, paths] of allCommands()) {
    // The dialect answers the handshake itself.
    if (name === "qmp_capabilities") continue;
    yield [name, "{}"];
    for (const path of paths) yield [name, JSON.stringify(argumentsWith(path))];
    const key = random.pick(["id", "device", "driver", "actions", "force"]);
    yield [name, `{${JSON.stringify(key)}: ${values.value(3)}}`];
    const climbing = { id: random.pick(["/b/c", "/b/../c", "/b/..c", "x"]) };
    yield [name, JSON.stringify(climbing)];
  }
  for (const name of ["query-self", "reload", "query-status", "can", "nope"]) {
    yield [`__org.qmpmux_${name}`, "{}"];
  }
}

Deno.test("permissionOf() and __org.qmpmux_can agree with what a listener of that role does", () => {
  const roles = new Map(JUDGED.map((role) => [role.name, role]));
  let [allowed, refused, near] = [0, 0, 0];
  for (const role of JUDGED) {
    const stage = new Stage(60, { roles });
    stage.qemuReady();
    const client = stage.connect("client", grant({ role, caches: false, joins: false }));
    const admin = stage.connect("admin", grant({ role: ROLES.get("admin")! }));
    for (const each of [client, admin]) each.say('{"execute":"qmp_capabilities"}');
    client.peer.take();
    admin.peer.take();
    for (const [name, args] of questions(new Random(7))) {
      const text = `{"execute":${JSON.stringify(name)},"arguments":${args}}`;
      client.say(text);
      const reply = QEMU_RETURNS[name] ?? "{}";
      for (const _ of stage.qemu.take()) stage.qemuSays(`{"return": ${reply}}`);
      const [line] = client.peer.take();
      assert(line !== undefined, `${role.name}: no reply to ${text}`);
      const desc: string | undefined = JSON.parse(line).error?.desc;
      const isRefused = desc?.startsWith(`The command ${name} has been refused: `) ?? false;

      const answer = permissionOf(role, commandOf(text));
      const shown = `${role.name}: ${text}: ${line}`;
      assertEquals(answer.allowed, !isRefused, shown);
      if (isRefused) {
        assertEquals(desc, `The command ${name} has been refused: ${answer.because}`);
        refused++;
        if (answer.nearest) near++;
      } else allowed++;

      const question = `{"role":"${role.name}","command":${
        JSON.stringify(name)
      },"arguments":${args}}`;
      admin.say(`{"execute":"__org.qmpmux_can","arguments":${question}}`);
      const asked = JSON.parse(admin.peer.take()[0]!).return as Permission;
      assertEquals(asked, JSON.parse(JSON.stringify(answer)), shown);
    }
  }
  assert(allowed > 1000 && refused > 1000 && near > 100, `${allowed} ${refused} ${near}`);
});
