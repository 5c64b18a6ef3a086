/**
 * Roles, rules and arguments: the commands that are allowed.
 *
 * Rules are written as in a file, and commands as a client sends them.
 *
 * @module
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { pathText, readPath, valueText } from "../lib/policy/argument_path.ts";
import { globMatches } from "../lib/policy/glob.ts";
import {
  judge,
  refusesEntirely,
  refusesNothing,
  type Role,
  ruleName,
} from "../lib/policy/policy.ts";
import { FULL, readOwnForm, readRole, ROLES } from "../lib/policy/roles.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { Random } from "./support/random.ts";
import { grant, Stage } from "./support/stage.ts";
import { commandOf } from "./support/verdicts.ts";

function role(...rules: unknown[]): Role {
  return readRole({ name: "test", rules }, "test.toml:1");
}

/** Returns the verdict of a role on a command with these arguments, as text of a client. */
function verdict(judging: Role, args: string, name = "c"): string {
  const text = `{"execute":${JSON.stringify(name)},"arguments":${args}}`;
  const found = judge(judging, commandOf(text));
  return found.allow ? "allowed" : found.because;
}

/** Returns the full name of the rule that decides. */
function decisive(judging: Role, args: string, name = "c"): string {
  const text = `{"execute":${JSON.stringify(name)},"arguments":${args}}`;
  return ruleName(judging.name, judge(judging, commandOf(text)).rule);
}

const NOTHING = "role test, no rule allows it";

Deno.test("judge() applies the first rule that matches", () => {
  const rules = role({ refuse: "query-x", because: "it is x" }, { allow: "query-*" });
  assertEquals(verdict(rules, "{}", "query-x"), "role test, rule 'refuse query-x': it is x");
  assertEquals(verdict(rules, "{}", "query-y"), "allowed");
});

Deno.test("judge() refuses commands that no rule matches", () => {
  assertEquals(verdict(role(), "{}"), NOTHING);
  assertEquals(verdict(role({ allow: "d" }), "{}"), NOTHING);
});

Deno.test("judge() names a rule that has no reason", () => {
  assertEquals(verdict(role({ refuse: "*" }), "{}"), "role test, rule 'refuse *'");
});

Deno.test("judge() distinguishes case in names, and compares the whole name", () => {
  const rules = role({ allow: "query-*" });
  assertEquals(verdict(rules, "{}", "Query-x"), NOTHING);
  assertEquals(verdict(rules, "{}", "x-query-x"), NOTHING);
});

Deno.test("judge() treats a list of globs as any of them", () => {
  const rules = role({ allow: ["a", "b?"] });
  assertEquals(["a", "b1", "b", "c"].map((name) => verdict(rules, "{}", name)), [
    "allowed",
    "allowed",
    NOTHING,
    NOTHING,
  ]);
});

Deno.test("judge() requires all conditions of a rule", () => {
  const rules = role({ allow: "c", where: { a: "x", b: "y" } });
  assertEquals(verdict(rules, '{"a":"x","b":"y","more":1}'), "allowed");
  assertEquals(verdict(rules, '{"a":"x"}'), NOTHING);
  assertEquals(verdict(rules, '{"a":"x","b":"z"}'), NOTHING);
  assertEquals(verdict(rules, '{"a":"x","b":{"y":"y"}}'), NOTHING);
  assertEquals(verdict(rules, '{"a":"x","b":["y"]}'), NOTHING);
});

/** A wanted value, a value a client sends, and whether they are equal. */
const VALUES: [unknown, string, boolean][] = [
  ["raw", '"raw"', true],
  ["raw", '"Raw"', false],
  ["raw", String.raw`"\u0072a\u0077"`, true],
  ["raw", "'raw'", true],
  ["raw", '"raw\\u0000"', false],
  ["r*w", '"r.\\nw"', true],
  ["r?w", '"r😀w"', true],
  ["", '""', true],
  ["null", "null", true],
  [["a", "b"], '"b"', true],
  [["a", "b"], '"c"', false],
  [true, "true", true],
  [true, "false", false],
  [true, "1", false],
  [1, "1", true],
  [1, "1.0", true],
  [1, "10e-1", true],
  [1, '"1"', true],
  [1, "1.0000000000000002", false],
  [0, "-0", true],
  [0, "-0.0", true],
  ["-0", '"-0"', true],
  ["0", '"-0"', false],
  [-0, "0", true],
  [0.5, "5e-1", true],
  [9007199254740991, "9007199254740991", true],
  [9007199254740992n, "9007199254740993", false],
  [9007199254740993n, "9007199254740993", true],
  ["9007199254740993", "9007199254740992", false],
  [18446744073709551615n, "18446744073709551615", true],
  [18446744073709551615n, "18446744073709551614", false],
  ["inf", "1e400", true],
];

for (const [wanted, sent, same] of VALUES) {
  const shown = typeof wanted === "bigint" ? `${wanted}` : JSON.stringify(wanted);
  Deno.test(`judge() treats ${sent} as ${shown}: ${same}`, () => {
    const rules = role({ allow: "c", where: { a: wanted } });
    assertEquals(verdict(rules, `{"a":${sent}}`) === "allowed", same);
  });
}

/** A path in `where` with the value "x", arguments, and whether they have it. */
const PLACES: [string, string, boolean][] = [
  ["a.b", '{"a":{"b":"x"}}', true],
  ["a.b", '{"a.b":"x"}', false],
  ['"a.b"', '{"a.b":"x"}', true],
  ['"a.b"', '{"a":{"b":"x"}}', false],
  ["a[*]", '{"a":["x"]}', true],
  ["a[*]", '{"a":"x"}', false],
  ["a[*]", '{"a":[]}', false],
  ["a[*]", '{"a[*]":"x"}', false],
  ['"a[*]"', '{"a[*]":"x"}', true],
  ["a[*].b", '{"a":[{"b":"x"},{"b":"x"}]}', true],
  ["a[*].b", '{"a":[{"b":"x"},{"b":"y"}]}', false],
  ["a[*].b", '{"a":[{"b":"x"},{}]}', false],
  ["a[*].b", '{"a":{"b":"x"}}', false],
  ["a[*][*]", '{"a":[["x"],["x","x"]]}', true],
  ["a.0", '{"a":["x"]}', false],
  ["a.0", '{"a":{"0":"x"}}', true],
  ["length", '{"length":"x"}', true],
  ["a.length", '{"a":[]}', false],
  ['""', '{"":"x"}', true],
  ["__proto__", '{"__proto__":"x"}', true],
  ["__proto__.b", '{"__proto__":{"b":"x"}}', true],
  ["b", '{"__proto__":{"b":"x"}}', false],
  ["toString", "{}", false],
  ["constructor.name", "{}", false],
  [String.raw`"\u0061"`, '{"a":"x"}', true],
  ["a", String.raw`{"\u0061":"x"}`, true],
  ["2", '{"2":"x","1":"y"}', true],
  ['"**"', '{"**":"x"}', true],
  ["a.**", '{"a":"x"}', true],
  ["a.**", '{"a":[{"b":"x"},"x"]}', true],
  ["a.**", '{"a":[{"b":"x"},"y"]}', false],
  ["a.**", '{"a":{}}', false],
];

for (const [path, args, has] of PLACES) {
  Deno.test(`judge() finds ${path} in ${args}: ${has}`, () => {
    assertEquals(verdict(role({ allow: "c", where: { [path]: "x" } }), args) === "allowed", has);
  });
}

Deno.test("judge() refuses if one of many elements matches", () => {
  const rules = role({ refuse: "c", where: { "a[*].b": "x" } }, { allow: "c" });
  assertEquals(
    verdict(rules, '{"a":[{"b":"y"},{"b":"x"}]}'),
    "role test, rule 'refuse c if a[*].b=x'",
  );
  assertEquals(verdict(rules, '{"a":[{"b":"y"},{}]}'), "allowed");
  assertEquals(verdict(rules, '{"a":[]}'), "allowed");
});

Deno.test("judge() accepts a path that begins at the command's arguments", () => {
  const rules = role(
    { refuse: "c", where: { "arguments.actions[*].type": "abort" }, because: "it aborts" },
    { allow: "c", only: ["arguments.actions[*].type"] },
  );
  assertEquals(verdict(rules, '{"actions":[{"type":"x"}]}'), "allowed");
  assertEquals(
    verdict(rules, '{"actions":[{"type":"x"},{"type":"abort"}]}'),
    "role test, rule 'refuse c if actions[*].type=abort': it aborts",
  );
});

Deno.test("judge() finds a value anywhere with **", () => {
  const rules = role({ refuse: "*", where: { "**": "/etc/*" } }, { allow: "*" });
  assertEquals(
    verdict(rules, '{"a":[{"b":[["/etc/x"]]}]}'),
    "role test, rule 'refuse * if **=/etc/*'",
  );
  assertEquals(verdict(rules, '{"/etc/x":[]}'), "allowed");
});

/** A rule about `a[*].b`, arguments, and whether it matches them, as `allow` and as `refuse`. */
const PRESENCE: ["present" | "absent", string, boolean, boolean][] = [
  ["present", "{}", false, false],
  ["present", '{"a":[]}', false, false],
  ["present", '{"a":[{"b":{}}]}', true, true],
  ["present", '{"a":[{"b":null},{}]}', false, true],
  ["absent", "{}", true, true],
  ["absent", '{"a":[]}', true, true],
  ["absent", '{"a":[{"b":0}]}', false, false],
  ["absent", '{"a":[{"b":0},{}]}', false, true],
  ["absent", '{"a":[{"c":0}]}', true, true],
];

for (const [is, args, allows, refuses] of PRESENCE) {
  Deno.test(`judge() matches a[*].b ${is} in ${args}: to allow ${allows}, to refuse ${refuses}`, () => {
    assertEquals(verdict(role({ allow: "c", [is]: ["a[*].b"] }), args) === "allowed", allows);
    const refusing = role({ refuse: "c", [is]: ["a[*].b"] }, { allow: "c" });
    assertEquals(verdict(refusing, args) !== "allowed", refuses);
  });
}

/** Returns a character as escapes, one for each of its units. */
function escaped(char: string, capitals: boolean): string {
  return char.split("").map((unit) => {
    const code = unit.charCodeAt(0).toString(16).padStart(4, "0");
    return `\\u${capitals ? code.toUpperCase() : code}`;
  }).join("");
}

/** Returns a value in one of the forms in which a client can write it. */
function spelled(value: unknown, random: Random): string {
  const space = (): string => random.pick(["", "", " ", "\n", "\t \r"]);
  const list = (open: string, items: string[], close: string): string =>
    open + items.map((item) => space() + item + space()).join(",") + space() + close;
  if (Array.isArray(value)) return list("[", value.map((item) => spelled(item, random)), "]");
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(([name, of]) =>
      `${spelled(name, random)}${space()}:${space()}${spelled(of, random)}`
    );
    for (let i = members.length; i > 1;) {
      const other = random.below(i--);
      [members[i], members[other]] = [members[other]!, members[i]!];
    }
    return list("{", members, "}");
  }
  if (typeof value !== "string") return String(value);
  const quote = random.pick(['"', "'"]);
  const units = [...value].map((char) => {
    if (char < " " || random.oneIn(3)) return escaped(char, random.oneIn(2));
    return char === quote || char === "\\" ? `\\${char}` : char;
  });
  return quote + units.join("") + quote;
}

Deno.test("judge() returns the same for every spelling of a command", () => {
  const random = new Random(5);
  const commands: [unknown, boolean][] = [
    [{ execute: "migrate", arguments: { uri: "exec:id" } }, false],
    [{ execute: "human-monitor-command", arguments: { "command-line": "info status" } }, true],
    [{ execute: "human-monitor-command", arguments: { "command-line": "info 'x\"\\" } }, false],
    [{ execute: "qom-get", arguments: { path: "/é😀", property: "type" }, id: "a" }, true],
    [{ execute: "qom-get", arguments: { path: "/é😀", property: "data" } }, false],
    [{
      execute: "transaction",
      arguments: { actions: [{ type: "abort", data: {} }, { type: "drive-backup", data: {} }] },
    }, false],
    [{ execute: "balloon", arguments: { value: 1, "value\0": 2 } }, false],
  ];
  for (const [command, allowed] of commands) {
    for (let i = 0; i < 300; i++) {
      const text = spelled(command, random);
      assertEquals(judge(ROLES.get("operator")!, commandOf(text)).allow, allowed, text);
    }
  }
});

Deno.test("the role in docs/roles.md allows backups of files in one directory", () => {
  const backup = readRole({
    name: "backup",
    events: ["BLOCK_JOB_*", "JOB_STATUS_CHANGE"],
    rules: [
      {
        refuse: "blockdev-add",
        where: { driver: ["nbd", "http*"] },
        because: "no network disks",
      },
      {
        allow: "blockdev-add",
        where: { driver: "qcow2", "file.driver": "file", "file.filename": "/backup/*" },
        only: ["driver", "node-name", "file.driver", "file.filename"],
      },
      { allow: ["query-*", "blockdev-backup", "blockdev-del", "job-*"] },
    ],
  }, "qmpmux.toml:1");
  const add = (args: unknown): string => verdict(backup, JSON.stringify(args), "blockdev-add");
  const file = { driver: "file", filename: "/backup/a.qcow2" };
  assertEquals(add({ driver: "qcow2", "node-name": "n", file }), "allowed");
  assertEquals(
    add({ driver: "qcow2", file: { ...file, filename: "/etc/x" } }),
    "role backup, no rule allows it",
  );
  assertEquals(
    add({ driver: "qcow2", file: { ...file, filename: "/backup/../etc/x" } }),
    "role backup, no rule allows it",
  );
  assertEquals(
    add({ driver: "qcow2", file, backing: "/etc/x" }),
    "role backup, rule 'allow blockdev-add if driver=qcow2 and file.driver=file and " +
      "file.filename=/backup/*': argument backing is not allowed",
  );
  assertEquals(
    add({ driver: "https" }),
    "role backup, rule 'refuse blockdev-add if driver=nbd|http*': no network disks",
  );
  assertEquals(verdict(backup, "{}", "job-cancel"), "allowed");
  assertEquals(verdict(backup, "{}", "quit"), "role backup, no rule allows it");
});

/** `only`, arguments, and the one that is not listed: an argument, or the value of one. */
const LISTS: [unknown, string, string | undefined][] = [
  [[], "{}", undefined],
  [["a"], "{}", undefined],
  [["a"], '{"a":1}', undefined],
  [["a"], '{"a":1,"b":2}', "b"],
  [["a"], '{"a":{"b":2}}', "a.b"],
  [["a"], '{"a":[2]}', "a[*]"],
  [["a"], '{"a":{}}', undefined],
  [["a"], '{"a":[]}', undefined],
  [["a.b"], '{"a":{"b":1}}', undefined],
  [["a.b"], '{"a":{}}', undefined],
  [["a.b"], '{"a":1}', "the value of argument a"],
  [["a.b"], '{"a.b":1}', '"a.b"'],
  [['"a.b"'], '{"a.b":1}', undefined],
  [["a[*]"], '{"a":[1,2]}', undefined],
  [["a[*]"], '{"a":[1,[2]]}', "a[*][*]"],
  [["a[*].b", "a[*]"], '{"a":[{"b":1},2]}', undefined],
  [["a[*].b"], '{"a":[{"b":1},{"c":1}]}', "a[*].c"],
  [["a[*].b"], '{"a":{"b":1}}', "a.b"],
  [["a.**"], '{"a":{"b":[{"c":1}]}}', undefined],
  [["a.**"], '{"b":{}}', "b"],
  [["**"], '{"a":1,"b":{"c":2}}', undefined],
  [{ a: ["x", "y"] }, '{"a":"y"}', undefined],
  [{ a: ["x", "y"] }, '{"a":"z"}', "the value of argument a"],
  [{ a: "x" }, '{"a":{}}', "the value of argument a"],
  [{ a: "x" }, '{"a":[]}', "the value of argument a"],
  [{ a: 7 }, '{"a":7.0}', undefined],
  [["__proto__"], '{"__proto__":1}', undefined],
  [["a"], '{"__proto__":{"a":1}}', "__proto__"],
  [["a"], '{"":1}', '""'],
  [["a"], '{"a b":1}', '"a b"'],
];

for (const [only, args, outside] of LISTS) {
  Deno.test(`judge() reports for ${JSON.stringify(only)} the unlisted argument in ${args}: ${outside}`, () => {
    const expected = outside === undefined
      ? "allowed"
      : `role test, rule 'allow c': ${
        outside.startsWith("the value") ? outside : `argument ${outside}`
      } is not allowed`;
    assertEquals(verdict(role({ allow: "c", only }), args), expected);
  });
}

Deno.test("judge() with a list refuses only what the list contains", () => {
  const rules = role({ refuse: "c", only: ["a"] }, { allow: "c" });
  assertEquals(verdict(rules, '{"a":1}'), "role test, rule 'refuse c'");
  assertEquals(verdict(rules, '{"a":1,"b":2}'), "allowed");
});

Deno.test("judge() cuts a long name from a client", () => {
  const rules = role({ allow: "c", only: ["a"] });
  const text = verdict(rules, `{"${"b".repeat(500)}":1}`);
  assertEquals(text.length, "role test, rule 'allow c':  is not allowed".length + 120);
});

Deno.test("judge() reaches the maximum depth of QEMU", () => {
  const deep = `${"[".repeat(1000)}"x"${"]".repeat(1000)}`;
  const rules = role({ refuse: "c", where: { "**": "x" } }, { allow: "c" });
  assertEquals(verdict(rules, `{"a":${deep}}`), "role test, rule 'refuse c if **=x'");
});

Deno.test("judge() caches a limited number of names, and still judges others", () => {
  const rules = role({ allow: "query-*" });
  for (let i = 0; i < 3000; i++) assertEquals(verdict(rules, "{}", `query-${i}`), "allowed");
  assertEquals(verdict(rules, "{}", "stop"), NOTHING);
});

Deno.test("judge() lets the roles full and admin run every command", () => {
  for (const name of ["full", "admin"]) {
    assertEquals(verdict(ROLES.get(name)!, '{"uri":"exec:id"}', "migrate"), "allowed");
  }
  assertEquals([...ROLES.values()].map(({ administers }) => administers), [
    false,
    false,
    false,
    true,
  ]);
});

Deno.test("refusesNothing() is true if the first rule allows everything", () => {
  const roles = [
    role({ allow: "*" }, { refuse: "a" }),
    role({ allow: ["a", "*"] }),
    role(),
    role({ refuse: "*" }),
    role({ allow: "?*" }),
    role({ allow: "*", where: { a: 1 } }),
    role({ refuse: "a" }, { allow: "*" }),
  ];
  assertEquals(roles.map(refusesNothing), [true, true, false, false, false, false, false]);
});

Deno.test("refusesEntirely() is false if some arguments would be allowed", () => {
  const rules = role(
    { refuse: "a", where: { x: 1 } },
    { allow: "a", only: ["y"] },
    { refuse: ["a", "b"] },
    { allow: ["b", "c"] },
    { refuse: "d", where: { x: 1 } },
  );
  assertEquals(["a", "b", "c", "d", "e"].map((name) => refusesEntirely(rules, name)), [
    false,
    true,
    false,
    true,
    true,
  ]);
  assertEquals(refusesEntirely(FULL, "anything"), false);
});

Deno.test("globMatches() matches whole texts with * and ?", () => {
  const cases: [string, string, boolean][] = [
    ["", "", true],
    ["", "a", false],
    ["*", "", true],
    ["*", "any\n thing", true],
    ["a*", "ab", true],
    ["*a", "ba", true],
    ["*a", "ab", false],
    ["a*b*c", "axxbyyc", true],
    ["a*b*c", "axxcyyb", false],
    ["*ab", "aab", true],
    ["a**b", "ab", true],
    ["?", "", false],
    ["?", "ab", false],
    ["a?", "a", false],
    ["?", "😀", true],
    ["a.c", "abc", false],
    ["[ab]", "a", false],
    ["[ab]", "[ab]", true],
  ];
  for (const [glob, text, matches] of cases) {
    assertEquals(globMatches(glob, text), matches, `${glob} ${text}`);
  }
});

Deno.test("globMatches() terminates on a text made to keep it busy", () => {
  assertEquals(globMatches("*a".repeat(20) + "b", "a".repeat(100_000)), false);
});

for (const text of ["a", "a.b", "a[*].b[*][*]", '"a.b".c', '""', '"a b"', "**", "a.**", '"**"']) {
  Deno.test(`readPath() reads ${text}, and pathText() writes it back as that`, () => {
    assertEquals(pathText(readPath(text)), text);
  });
}

for (
  const text of [
    "",
    ".",
    "a.",
    ".a",
    "a[0]",
    "a[*",
    "a[*]b",
    "a..b",
    '"a',
    '"\\x"',
    "**.a",
    "*",
    "a.*b",
  ]
) {
  Deno.test(`readPath() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(
      () => readPath(text),
      RangeError,
      `invalid argument ${JSON.stringify(text)}: expected`,
    );
  });
}

Deno.test("valueText() refuses a number that would lose precision", () => {
  assertThrows(() => valueText(2 ** 53), RangeError, "write its digits in quotes");
});

const FORMS: [unknown, string][] = [
  [undefined, "f:1: role: invalid value nothing: expected a table of key = value pairs"],
  ["role", 'f:1: role: invalid value "role": expected a table'],
  [[], "f:1: role: invalid value []: expected a table"],
  [{ name: "a", rules: [], colour: 1 }, 'role a: unknown key "colour": expected name, rules, '],
  [{ name: "a", rules: [], event: [] }, 'role a: unknown key "event"; did you mean "events"?'],
  [{ rules: [] }, "f:1: role: name is missing: expected 1 to 64 letters"],
  [{ name: "a b", rules: [] }, 'f:1: role: invalid value "a b" for name: expected 1 to 64 letters'],
  [{ name: "full", rules: [] }, "role full: full is a built-in role; choose another name"],
  [{ name: "a" }, "f:1: role a: rules is missing: expected a list of rules"],
  [{ name: "a", rules: {} }, "f:1: role a: invalid value {} for rules: expected a list of rules"],
  [
    { name: "a", rules: [], administers: 1 },
    "role a: invalid value 1 for administers: expected true or false",
  ],
  [
    { name: "a", rules: [], events: [1] },
    "f:1: role a: invalid value 1 for events: expected the name of an event, with * and ?",
  ],
  [{ name: "a", rules: [], events: [""] }, 'role a: invalid value "" for events'],
  [
    { name: "a", rules: [], events: ["STOP", "RESUM"] },
    'role a: events: unknown event "RESUM"; did you mean "RESUME"? To use it anyway, write "RESUM*"',
  ],
  [
    { name: "a", rules: [], events: Array(300).fill("X") },
    "f:1: role a: events: Too many event globs: 300 exceed the limit of 256",
  ],
];

for (const [form, message] of FORMS) {
  Deno.test(`readRole() refuses ${JSON.stringify(form)?.slice(0, 60)}`, () => {
    assertThrows(() => readRole(form, "f:1"), UsageError, message);
  });
}

const EITHER = 'expected either allow = "GLOB" or refuse = "GLOB", with a command';
const RULES: [unknown, string][] = [
  ["allow", 'invalid value "allow": expected a table of key = value pairs'],
  [{}, EITHER],
  [{ allow: "a", refuse: "b" }, EITHER],
  [{ allow: "a", when: {} }, 'unknown key "when": expected allow, refuse, where, present, '],
  [{ alow: "a" }, 'unknown key "alow"; did you mean "allow"?'],
  [{ allow: 1 }, "invalid value 1 for allow: expected a command, with * and ?, in 1 to 256"],
  [{ allow: [undefined] }, "allow is missing: expected a command"],
  [{ refuse: ["a", ""] }, 'invalid value "" for refuse: expected a command, with * and ?'],
  [{ refuse: "a".repeat(300) }, "… for refuse: expected a command"],
  [{ allow: [] }, "invalid value [] for allow: expected at least one command, with * and ?"],
  [
    { allow: "a", because: "x" },
    'invalid value "x" for because: expected a short text, in a refuse rule',
  ],
  [{ refuse: "a", because: "" }, 'invalid value "" for because: expected a short text'],
  [{ refuse: "a", where: [] }, "invalid value [] for where: expected a table"],
  [{ refuse: "a", where: { "a.": 1 } }, 'invalid argument "a.": expected names joined by "."'],
  [
    { refuse: "a", where: { a: {} } },
    "invalid value {} for where.a: expected a text of at most 256",
  ],
  [{ refuse: "a", where: { a: [[1n]] } }, 'invalid value ["1"] for where.a'],
  [{ refuse: "a", where: { a: [] } }, "invalid value [] for where.a: expected at least one value"],
  [{ refuse: "a", where: { a: NaN } }, "invalid value NaN for where.a"],
  [
    { refuse: "a", where: { a: 2 ** 60 } },
    "1152921504606847000 is too large to be exact; write its digits",
  ],
  [{ refuse: "a", present: [1] }, "invalid value 1 for present: expected an argument"],
  [{ refuse: "a", absent: "[" }, 'invalid argument "[": expected names'],
  [{ allow: "a", only: 1 }, "invalid value 1 for only: expected an argument"],
  [{ allow: "a", only: ["a[0]"] }, 'invalid argument "a[0]": expected names'],
  [{ allow: "a", only: { a: [] } }, "invalid value [] for only.a: expected at least one value"],
  [{ allow: "a", only: null }, "invalid value null for only: expected a table"],
];

for (const [rule, message] of RULES) {
  const shown = JSON.stringify(rule, (_, value) => typeof value === "bigint" ? `${value}` : value);
  Deno.test(`readRole() refuses the rule ${shown.slice(0, 60)}`, () => {
    const form = { name: "a", rules: [{ allow: "x" }, rule] };
    assertThrows(() => readRole(form, "f:1"), UsageError, message);
    assertThrows(() => readRole(form, "f:1"), UsageError, "f:1: role a: rule 2: ");
  });
}

Deno.test("readRole() reports every problem of a role, one a line", () => {
  const form = {
    name: "a",
    colour: 1,
    administers: "no",
    events: 7,
    rules: [{ allow: "a" }, 5, { refuse: "b", where: { "": {}, c: {} }, only: 1, x: 2 }],
  };
  const { message } = assertThrows(() => readRole(form, "f:1"), UsageError);
  const scalar = "expected a text of at most 256 characters, with * and ?, a number, true or false";
  assertEquals(message.split("\n"), [
    'f:1: role a: unknown key "colour": expected name, rules, events, administers, lease',
    "f:1: role a: rule 2: invalid value 5: expected a table of key = value pairs",
    'f:1: role a: rule 3: unknown key "x": expected allow, refuse, where, present, absent, only, ' +
    "because",
    'f:1: role a: rule 3: invalid argument "": expected names joined by ".", [*] after an array, ' +
    '"…" around a name with other characters, or ** at the end',
    `f:1: role a: rule 3: invalid value {} for where.c: ${scalar}`,
    "f:1: role a: rule 3: invalid value 1 for only: expected an argument, in 1 to 256 characters",
    "f:1: role a: invalid value 7 for events: expected the name of an event, with * and ?, in 1 to " +
    "256 characters",
    'f:1: role a: invalid value "no" for administers: expected true or false',
  ]);
});

Deno.test("readOwnForm() reports for each problem the part of the role with it", () => {
  const form = { name: "full", rules: [{ allow: "a" }, {}], events: 1, colour: 1 };
  const { name, role, problems } = readOwnForm(form);
  assertEquals([name, role], ["full", undefined]);
  assertEquals(problems.map(({ part }) => part), ["colour", 1, "events", "name"]);
  assertEquals(readOwnForm(7).problems.map(({ part }) => part), [undefined]);
});

Deno.test("judge() names the rule that decides, also when it allows", () => {
  const rules = role(
    { refuse: "c", where: { a: [1, "x*"], "b.c": true }, present: "d", absent: ["e", "f"] },
    { allow: ["c", "d*"], only: ["a", "b.c", "d"] },
  );
  const refusing =
    "refuse c if a=1|x* and b.c=true and d is given and e is not given and f is not given";
  assertEquals(decisive(rules, '{"a":"xy","b":{"c":true},"d":0}'), `role test: ${refusing}`);
  assertEquals(decisive(rules, '{"a":7}'), "role test: allow c, d*");
  assertEquals(decisive(rules, '{"z":7}'), "role test: allow c, d*");
  assertEquals(decisive(rules, "{}", "x"), "role test: no rule allows it");
  assertEquals(judge(rules, commandOf('{"execute":"x"}')).rule, undefined);
  assertEquals(decisive(FULL, "{}", "x"), "role full: allow *");
  const odd = role({ refuse: "c", where: { a: ["", "?????*", "??"] } });
  assertEquals(
    decisive(odd, '{"a":""}'),
    'role test: refuse c if a=""|(5 or more characters)|??',
  );
});

Deno.test("judge() cuts the text of a long rule, the same way each time", () => {
  const rules = role({ refuse: "c", where: { a: ["b".repeat(200)] } }, { allow: "c" });
  const name = decisive(rules, `{"a":"${"b".repeat(200)}"}`);
  assertEquals(name, `role test: refuse c if a=${"b".repeat(105)}…`);
  assertEquals(name.length, "role test: ".length + 120);
});

Deno.test("judge() names a rule of a file by its line", () => {
  const form = { name: "a", rules: [{ refuse: "c", because: "so" }, { allow: "d", only: [] }] };
  const { role } = readOwnForm(form, (rule) => `/etc/x.toml:${rule + 7}`);
  assertEquals(decisive(role!, "{}"), "/etc/x.toml:7 (refuse c)");
  assertEquals(verdict(role!, "{}"), "role a, rule /etc/x.toml:7 (refuse c): so");
  assertEquals(
    verdict(role!, '{"x":1}', "d"),
    "role a, rule /etc/x.toml:8 (allow d): argument x is not allowed",
  );
});

Deno.test("readRole() reads every key", () => {
  const read = readRole({
    name: "backup",
    events: "JOB_*",
    administers: true,
    rules: [{
      refuse: ["a", "b"],
      where: { x: [1, true], "y[*].z": "g*" },
      present: "p",
      absent: ["q", "r.s"],
      because: "so",
    }],
  }, "f:1");
  assertEquals([read.name, read.administers, read.events?.globs], ["backup", true, ["JOB_*"]]);
  const [rule] = read.rules;
  assertEquals([rule!.effect, rule!.commands, rule!.because], ["refuse", ["a", "b"], "so"]);
  assertEquals(rule!.conditions.map(({ path, is }) => [pathText(path), is]), [
    ["x", ["1", "true"]],
    ["y[*].z", ["g*"]],
    ["p", "present"],
    ["q", "absent"],
    ["r.s", "absent"],
  ]);
});

Deno.test("readRole() shows all events if none are named, and none for an empty list", () => {
  assertEquals(readRole({ name: "a", rules: [] }, "f").events, undefined);
  assertEquals(readRole({ name: "a", rules: [], events: [] }, "f").events?.passes("STOP"), false);
});

Deno.test("a cached or joined query is refused to a client whose role forbids it", () => {
  const stage = new Stage();
  stage.qemuReady();
  const blind = readRole({ name: "blind", rules: [{ refuse: "query-*" }, { allow: "*" }] }, "f");
  const asking = stage.ready("a");
  asking.say('{"execute":"query-version"}');
  stage.qemuSays('{"return": {}}');
  for (const name of ["b", "c", "d"]) stage.ready(name).say('{"execute":"query-status"}');
  stage.qemu.take();
  const client = stage.connect("e", grant({ role: blind }));
  client.say('{"execute":"qmp_capabilities"}');
  client.peer.take();
  for (const name of ["query-version", "query-status", "query-commands"]) {
    client.say(`{"execute":"${name}"}`);
    const [line] = client.peer.take();
    assertStringIncludes(
      line!,
      `The command ${name} has been refused: role blind, rule 'refuse query-*'`,
    );
  }
  assertEquals(stage.qemu.take(), []);
});

Deno.test("an event must pass the filters of a role, its listener and its client", () => {
  const stage = new Stage();
  stage.qemuReady();
  const seeing = readRole({ name: "a", rules: [], events: ["STOP", "RESUME"] }, "f");
  const client = stage.connect("a", grant({ role: seeing, events: ["STOP", "RESET"] }));
  client.say('{"execute":"qmp_capabilities"}');
  client.peer.take();
  const event = (name: string): string =>
    `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "${name}"}`;
  for (const name of ["STOP", "RESUME", "RESET"]) stage.qemuSays(event(name));
  assertEquals(client.peer.take(), [event("STOP")]);
});
