/**
 * The configuration file: its contents, and its errors.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { readConfigFile } from "../lib/platform/config_file.ts";
import { Failure } from "../lib/platform/failure.ts";
import { readConfig } from "../lib/config/config.ts";
import { ConfigError } from "../lib/policy/usage_error.ts";
import { configText } from "../lib/config/config_text.ts";
import type { ListenerSettings } from "../lib/config/options.ts";
import { roleWarnings } from "../lib/policy/roles.ts";
import { ruleName } from "../lib/policy/policy.ts";
import { TomlFile } from "../lib/config/toml.ts";
import { makePlace } from "./support/place.ts";

function problems(text: string): readonly string[] {
  try {
    return readConfig(text, "f").conflicts;
  } catch (error) {
    assert(error instanceof ConfigError);
    return error.problems;
  }
}

Deno.test("readConfig() reads settings under the names of the flags", () => {
  const config = readConfig(
    `
qemu = "unix:/run/vm.sock,server=on,wait=off"
once = true
ready = "qemu"
greeting-timeout = 2.5
handshake-timeout = 30
drain-timeout = 1

[[role]]
name = "backup"
events = ["BLOCK_JOB_*"]
rules = [
  { allow = ["query-*"] },
  { refuse = "*", because = "it is no query" },
]

[[listen]]
address = "unix:/run/a.sock"
name = "a"
role = "backup"
events = ["STOP", "RES*"]
mode = "0660"
group = "kvm"
cache = false

[[listen]]
address = "127.0.0.1:4444"
dialect = "rfc2010"
`,
    "f",
  );
  assertEquals(config.values.qemu, { transport: "unix", path: "/run/vm.sock" });
  assertEquals([config.values.once, config.values.ready], [true, "qemu"]);
  const { values } = config;
  assertEquals(
    [values["greeting-timeout"], values["handshake-timeout"], values["drain-timeout"]],
    [2.5, 30, 1],
  );
  const [first, second] = config.listeners;
  assertEquals([first!.grant.name, first!.grant.role.name], ["a", "backup"]);
  assertEquals(first!.grant.events!.globs, ["STOP", "RES*"]);
  assertEquals([first!.mode, first!.group, first!.grant.caches], [0o660, "kvm", false]);
  assertEquals([second!.grant.dialect, second!.grant.role.name], ["rfc2010", "full"]);
  assertEquals(config.roles.has("observer"), true);
});

Deno.test("readConfig() reads the settings for a slow or absent QEMU", () => {
  const { values } = readConfig(
    'on-loss = "hold"\nstall-timeout = 3\nwatchdog = "qemu"\n' +
      '[deadline]\nmigrate = 600\n"query-*" = 5\n',
    "f",
  );
  assertEquals([values["on-loss"], values["stall-timeout"], values.watchdog], ["hold", 3, "qemu"]);
  assertEquals(values.deadline, [
    { glob: "migrate", seconds: 600 },
    { glob: "query-*", seconds: 5 },
  ]);
});

Deno.test("readConfig() reads the output of configText() as the same settings", () => {
  const text = [
    'qemu = "unix:/run/vm"',
    'on-loss = "hold"',
    "[deadline]",
    '"query-*" = 5',
    "[[listen]]",
    'address = "unix:/run/a"',
    'user = "root"',
    'group = "root"',
    'events = ["STOP"]',
    "[[listen]]",
    'address = "0.0.0.0:4444"',
    "allow-remote = true",
  ].join("\n");
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, text);
  const settings = serveSettings(["--config", file]);
  Deno.writeTextFileSync(file, configText(settings));
  assertEquals(serveSettings(["--config", file]), settings);
});

/** Returns the rules of a listener's roles, without their line numbers. */
function rulesOf({ grant, admission }: ListenerSettings): unknown[] {
  const roles = [grant.role, ...admission.special.map(({ grant }) => grant.role)];
  return roles.map(({ rules }) => rules.map(({ name: { text }, ...rule }) => ({ text, ...rule })));
}

Deno.test("configText() writes the roles of listeners unchanged", () => {
  const rules = `[
  { refuse = "blockdev-add", where = { driver = ["nbd", "http*"], n = 5 }, because = "a \\"b\\"" },
  { allow = "a", where = { "actions[*].type" = true }, present = ["x"], absent = ["y.z", "u"] },
  { allow = "b", only = ["a", '"a.b".c', "d.**"] },
  { allow = ["c", "d*"], only = { driver = "qcow2", "file.filename" = "/backup/*", any = "*" } },
  { allow = "e", only = [] },
]`;
  const text = [
    'qemu = "unix:/run/vm"',
    `[[role]]\nname = "one"\nevents = []\nrules = ${rules}`,
    `[[role]]\nname = "two"\nadministers = true\nrules = []`,
    `[[role]]\nname = "unused"\nrules = []`,
    '[[listen]]\naddress = "/a"\nrole = "one"',
    '[[listen]]\naddress = "/b"\nrole = "one"\nrole-for = ["root:two"]',
  ].join("\n");
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  Deno.writeTextFileSync(file, text);
  const settings = serveSettings(["--config", file]);
  const written = configText(settings);
  Deno.writeTextFileSync(file, written);
  const again = serveSettings(["--config", file]);
  assertEquals(again.listeners.map(rulesOf), settings.listeners.map(rulesOf));
  assertEquals(configText(again), written);
  assertEquals([...written.matchAll(/^name = "(one|two|unused)"$/gm)].map(([, name]) => name), [
    "one",
    "two",
  ]);
});

Deno.test("readConfig() of an empty file sets nothing", () => {
  const { listeners, values } = readConfig("", "f");
  assertEquals([listeners, values], [[], {}]);
});

Deno.test("readConfig() reports every problem, each with its line", () => {
  assertEquals(
    problems(`qemu = 7
quemu = "x"
once = "yes"
drain-timeout = 0
ready = 1

[[listen]]
address = "unix:/run/a"
role = "nobody"

[[listen]]
name = "b"

[[role]]
name = "x"
rules = [{ permit = "*" }]
`),
    [
      "f:1: invalid value 7 for qemu: expected text in quotes",
      'f:2: unknown key "quemu"; did you mean "qemu"?',
      'f:3: invalid value "yes" for once: expected true or false',
      "f:4: invalid value 0 for drain-timeout: expected seconds above 0 and up to 86400",
      "f:5: invalid value 1 for ready: expected listening or qemu",
      'f:9: unknown role "nobody": expected full, observer, operator, admin, x',
      'f:11: address is missing; write address = "unix:/path"',
      ...problems('[[role]]\nname = "x"\nrules = [{ permit = "*" }]\n').map((problem) =>
        problem.replace(/^f:3/, "f:16")
      ),
    ],
  );
});

Deno.test("readConfig() reports every problem of a listener", () => {
  assertEquals(
    problems(`[[listen]]
address = "/run/a"
mode = "rwx"
role = "nobody"
events = ["STPO"]
rate = -1
frobnicate = 1
[[listen]]
address = "/run/a"
allow-remote = "perhaps"
[[listen]]
address = "0.0.0.0:1"
allow-remote = "perhaps"
mode = "0600"
`).map((problem) => Number(/^f:(\d+): /.exec(problem)?.[1])),
    [3, 4, 5, 6, 7, 9, 10, 13],
  );
});

for (
  const [what, text, expected] of [
    ["no TOML", "a = 1\nb = \n", /^f:\d: invalid TOML: /],
    ["a key twice", "once = true\nonce = false\n", /^f:2: this key is given twice; remove one$/],
    [
      "one table for many",
      '[listen]\naddress = "/x"\n',
      /^f:1: listen is a single table; begin it with \[\[listen\]\]$/,
    ],
    [
      "an unknown option",
      '[[listen]]\naddress = "/x"\ncolour = "red"\n',
      /^f:3: unknown option "colour": expected name, role, /,
    ],
    [
      "a key that is none",
      "frobnicate = 1\n",
      /^f:1: unknown key "frobnicate": expected qemu, vm, control, once, ready, .*, role, listen$/,
    ],
    [
      "a misspelt option",
      '[[listen]]\naddress = "/x"\nmax-client = 1\n',
      /^f:3: unknown option "max-client"; did you mean "max-clients"\?$/,
    ],
    [
      "an option of no kind",
      '[[listen]]\naddress = "/x"\nname = 7\n',
      /^f:3: invalid value 7 for name: expected text/,
    ],
    ["a path too long", `[[listen]]\naddress = "/${"x".repeat(120)}"\n`, /^f:2: .*has 121 bytes/],
    [
      "an address of two listeners",
      '[[listen]]\naddress = "/x"\n[[listen]]\nrole = "observer"\naddress = "unix:/x"\n',
      /^f:5: unix:\/x is given twice; use each address only once$/,
    ],
    [
      "QEMU's address for a listener",
      'qemu = "/x"\n[[listen]]\naddress = "/x"\n',
      /^f:3: unix:\/x is given twice; use each address only once$/,
    ],
    [
      "the metrics' address for a listener",
      'metrics = "/m"\n[[listen]]\naddress = "/m"\n',
      /^f:3: unix:\/m is given twice; use each address only once$/,
    ],
    [
      "the audit's path for a listener",
      'audit = "/a"\n[[listen]]\naddress = "/a"\n',
      /^f:3: unix:\/a is given twice; use each address only once$/,
    ],
    [
      "one path in two spellings",
      '[[listen]]\naddress = "/b/x"\n[[listen]]\naddress = "/b/c/.././/x"\n',
      /^f:4: unix:\/b\/c\/.* is given twice; use each address only once$/,
    ],
    [
      "descriptors for a QEMU on TCP",
      'qemu = "127.0.0.1:99"\n[[listen]]\naddress = "/x"\nfds = true\n',
      /^f:4: fds=on: only unix sockets carry descriptors; let QEMU listen on one$/,
    ],
    [
      "a role that is there",
      '[[role]]\nname = "full"\nrules = []\n',
      /^f:2: role full: full is a built-in role; choose another name$/,
    ],
    [
      "a role that is given twice",
      '[[role]]\nname = "x"\nrules = []\n[[role]]\nrules = []\nname = "x"\n',
      /^f:6: role x is defined twice; choose another name$/,
    ],
  ] as [string, string, RegExp][]
) {
  Deno.test(`readConfig() refuses ${what}`, () => {
    const [problem, ...more] = problems(text);
    assertEquals([expected.test(problem!), more], [true, []], problem);
  });
}

Deno.test("readConfig() reports every problem of a role, each at its own line", () => {
  const found = problems(`[[role]]
colour = 1
name = "x"
rules = [ # [
  { allow = "a" }, { permit = "b" },
  # { allow = 1 },
  { allow = """[
{""", where = { a = "]}", b = [] } },
  { allow = "a", because = "so" },
]
events = 7
[[role]]
rules = [
]
[[role]]
name = "y"
[[role.rules]]
allow = "a"
[[role.rules]]
refuse = ""
[[role]]
name = "z"
rules = [7, { allow = "a" }]
[[listen]]
address = "/a"
role = "x"
`);
  assertEquals(found.map((problem) => problem.slice(0, problem.indexOf(": expected"))), [
    'f:2: role x: unknown key "colour"',
    'f:5: role x: rule 2: unknown key "permit"',
    "f:7: role x: rule 3: invalid value [] for where.b",
    'f:9: role x: rule 4: invalid value "so" for because',
    "f:11: role x: invalid value 7 for events",
    "f:12: role: name is missing",
    'f:19: role y: rule 2: invalid value "" for refuse',
    "f:23: role z: rule 1: invalid value 7",
    // No error about the listener: its role exists, although it is invalid.
  ]);
});

Deno.test("readConfig() records the line of each rule", () => {
  const { roles } = readConfig(
    `[[role]]
name = "x"
rules = [{ allow = "a" },

  { refuse = "b", where = { a = "1" } }, { allow = "c" }]
[[role]]
name = "y"
[[role.rules]]
allow = "a"
[[role]]
name = "z"
[[role.rules]]
allow = "b"
[[role.rules]]
allow = "c"
`,
    "/etc/f.toml",
  );
  const names = (role: string): string[] =>
    roles.get(role)!.rules.map(({ name }) => ruleName(role, name));
  assertEquals(names("x"), [
    "/etc/f.toml:3 (allow a)",
    "/etc/f.toml:5 (refuse b if a=1)",
    "/etc/f.toml:5 (allow c)",
  ]);
  assertEquals(names("y"), ["/etc/f.toml:8 (allow a)"]);
  assertEquals(names("z"), ["/etc/f.toml:12 (allow b)", "/etc/f.toml:14 (allow c)"]);
});

Deno.test("roleWarnings() lists each name that no known QEMU has, with its rule's line", () => {
  const { roles } = readConfig(
    `[[role]]
name = "x"
rules = [
  { allow = ["query-*", "blockdev-ad", "query-status"] },
  { refuse = "nonsense-*" },
  { refuse = "guest-shutdown-now" },
  { allow = ["__com.redhat_drive-mirror", "x-*", "*"] },
]
`,
    "/etc/f.toml",
  );
  assertEquals(roleWarnings(roles.values()), [
    '/etc/f.toml:4: warning: role x: no known QEMU has a command "blockdev-ad"; ' +
    'did you mean "blockdev-add"?',
    '/etc/f.toml:5: warning: role x: no known QEMU has a command "nonsense-*"; check its spelling',
    '/etc/f.toml:6: warning: role x: no known QEMU has a command "guest-shutdown-now"; ' +
    "check its spelling",
  ]);
});

for (
  const [what, role] of [
    ["has no name", '[[role]]\nnmae = "x"\nrules = []\n'],
    ["is a single table", '[role]\nname = "x"\nrules = []\n'],
  ] as const
) {
  Deno.test(`readConfig() reports no unknown role if one ${what}`, () => {
    const listener = '[[listen]]\naddress = "/a"\nrole = "x"\nrole-for = "root:x"\n';
    const found = problems(role + listener);
    assertEquals(found.filter((problem) => problem.includes("unknown role")), []);
    assert(found.length > 0);
    assertEquals(problems(listener).length, 2);
  });
}

for (
  const [what, text, line] of [
    ["in quotes", 'once = true\n"__proto__" = 1\n', 2],
    ["in single quotes", "\n'__proto__' = {a=1}\n", 2],
    ["bare, and with a space", "__proto__ \t= 1\n", 1],
    ["with a key behind it", "__proto__.a = 1\n", 1],
    ["in escapes", String.raw`"\u005f_proto\U0000005f_" = 1`, 1],
    ["of a header", "once = true\n[__proto__]\nonce = false\n", 2],
    ["of a listener", '[[listen]]\naddress = "/x"\n"__proto__" = 1\n', 3],
    [
      "of a rule, on a line of its own",
      '[[role]]\nname = "x"\nrules = [\n{ allow = "*" },\n{ allow = "*", __proto__ = 1 },\n]\n',
      5,
    ],
    ["behind a comment and texts", `a = """\n"b\\""""" # "\nonce = ''''c'''\n__proto__ = 1`, 4],
  ] as [string, string, number][]
) {
  Deno.test(`readConfig() refuses a key __proto__ ${what}, like any unknown key`, () => {
    const found = problems(text).filter((problem) => problem.includes("__proto__"));
    assertEquals(found.length, 1);
    assertMatch(
      found[0]!,
      new RegExp(`^f:${line}: (role x: rule 2: )?unknown (key|option) "__proto__"`),
    );
  });
}

Deno.test("readConfig() accepts __proto__ wherever any key or text is allowed", () => {
  const config = readConfig(
    [
      "# __proto__ = 1",
      'qemu = "unix:/__proto__"',
      "[deadline]",
      "__proto__ = 5",
      "[[role]]",
      'name = "__proto__"',
      `rules = [{ refuse = ["__proto__", '__proto__ = 1'], because = """`,
      '__proto__ = 1""", where = { __proto__ = "x" } }]',
    ].join("\n"),
    "f",
  );
  assertEquals(config.roles.get("__proto__")!.rules[0]!.conditions[0]!.path, ["__proto__"]);
  assertEquals(config.values.deadline, [{ glob: "__proto__", seconds: 5 }]);
});

Deno.test("readConfig() accepts a table of as many keys as fit into a file", () => {
  const keys = Array.from({ length: 80_000 }, (_, i) => `a${i} = 1\n`).join("");
  assertEquals(readConfig(`[deadline]\n${keys}`, "f").values.deadline!.length, 80_000);
});

Deno.test("readConfig() reports a thousand problems, and says that there may be more", () => {
  const rows = (row: (i: number) => string): string =>
    Array.from({ length: 50_000 }, (_, i) => row(i)).join("");
  const files = [
    rows((i) => `k${i} = 1\n`),
    `[[listen]]\naddress = "/m"\n${rows((i) => `k${i} = 1\n`)}`,
    `[[role]]\nname = "a"\nrules = [\n${rows(() => "{ x = 1 },\n")}]\n`,
  ];
  for (const text of files) {
    const { problems } = assertThrows(() => readConfig(text, "f"), ConfigError);
    assertEquals(problems.length, 1001);
    assertMatch(problems.at(-1)!, /^f:\d+: there may be more problems; correct these first$/);
  }
  const { problems } = readConfig(
    `qemu = "/q"\n${'[[listen]]\naddress = "/m"\n'.repeat(5000)}`,
    "f",
  );
  assertEquals(problems.length, 1001);
  assertEquals(problems.at(-1), "f:2003: there may be more problems; correct these first");
});

Deno.test("readConfigFile() reads 1 MiB, and refuses a longer or an endless file", () => {
  using place = makePlace();
  const file = `${place.path}/x.toml`;
  const most = `once = true\n#é${"x".repeat((1 << 20) - 15)}`;
  Deno.writeTextFileSync(file, most);
  assertEquals(Deno.statSync(file).size, 1 << 20);
  assertEquals(readConfigFile(file).values.once, true);
  Deno.writeTextFileSync(file, `${most}x`);
  for (const path of [file, "/dev/zero"]) {
    const { status, message } = assertThrows(() => readConfigFile(path), Failure);
    assertEquals([status, message], [
      78,
      `${path}: the file has more than 1048576 bytes (1 MiB); shorten it`,
    ]);
  }
});

Deno.test("TomlFile.lineOf() finds keys and elements, and none inside a text", () => {
  const toml = new TomlFile(
    'a = [\n  "b = 1", # [\n  { c = 2 },\n]\n[[t]]\n"x y" = 1\n[[t]]\nz = 1\nu.v = 2\n[t.w]\n',
  );
  const { a, t } = toml.table as Record<string, Record<string, unknown>[]>;
  const lines = (container: unknown, ...keys: (string | number)[]): (number | undefined)[] =>
    keys.map((key) => toml.lineOf(container, key));
  assertEquals(lines(toml.table, "a", "b", "t"), [1, undefined, 5]);
  assertEquals([lines(a, 0, 1, 2), lines(a![1], "c")], [[2, 3, undefined], [3]]);
  assertEquals([lines(t, 0, 1), lines(t![0], "x y", "z")], [[5, 7], [6, undefined]]);
  assertEquals([lines(t![1], "z", "u", "w"), lines(t![1]!.u, "v")], [[8, 9, 10], [9]]);
});

for (
  const [what, text, expected] of [
    ["of a listener", '[[listen]]\naddress = "/x"\naddress = "/y"\n', "f:3"],
    ["in another spelling", 'once = true\n\n"on\\u0063e" = true\n', "f:3"],
    ["of an inline table", "[[role]]\nrules = [\n{ allow = 'a', allow = 'b' }]\n", "f:3"],
    ["behind a dot", "deadline.a = 1\ndeadline.a = 2\n", "f:2"],
    ["that is a table", "[deadline]\na = 1\n[deadline]\nb = 2\n", "f:3"],
    ["called __proto__", "[deadline]\n__proto__ = 1\n'__proto__' = 1\n", "f:3"],
  ] as const
) {
  Deno.test(`readConfig() refuses a repeated key ${what}`, () => {
    assertEquals(problems(text), [`${expected}: this key is given twice; remove one`]);
  });
}

for (
  const [what, text, expected] of [
    ["a missing value", "once =\n\nvm = 'x'\n", "f:1: invalid TOML: "],
    ["a missing value at the end", "once = \n\n", "f:1: invalid TOML: "],
    ["a missing sign", "once\n\n[deadline]\n", "f:1: invalid TOML: the key, equals sign, "],
    ["an open text", "vm = 'x\nonce = true\n", "f:1: invalid TOML: unterminated string"],
    [
      "a mode without quotes",
      "[[listen]]\nmode = 0600\n",
      'f:2: invalid TOML: a number cannot begin with 0; write a mode in quotes, as "0600"',
    ],
    [
      "deep nesting",
      `vm = ${"[".repeat(1e5)}${"]".repeat(1e5)}`,
      "f:1: invalid TOML: it is nested too deeply",
    ],
    ["long keys", `vm${".a".repeat(1e5)} = 1`, "f:1: invalid TOML: it is nested too deeply"],
  ] as const
) {
  Deno.test(`readConfig() refuses ${what}, and names the line`, () => {
    const [problem = "", ...more] = problems(text);
    assertEquals([problem.slice(0, expected.length), more], [expected, []]);
  });
}
