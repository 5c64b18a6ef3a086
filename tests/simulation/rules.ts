/**
 * The knowledge of the model: its own tables of roles, queries, events and ids.
 *
 * They are written from the promises and from QEMU's rules, not from the code under test; if the
 * two differ, one of them is wrong.
 *
 * @module
 */

/** The settings of a simulated client, as plain data. */
export interface SimGrant {
  readonly name: string;
  readonly role: RoleName;
  readonly dialect: "qmp" | "rfc2010";
  readonly events: readonly string[] | undefined;
  readonly caches: boolean;
  readonly joins: boolean;
}

/** The roles that simulated clients have. */
export type RoleName = "full" | "admin" | "observer" | "operator" | "guest";

/** The role `guest`, which is not built in: most commands, few events. */
export const GUEST = {
  name: "guest",
  events: ["S*"],
  rules: [
    { refuse: "quit", because: "the machine is not its own" },
    { refuse: "qom-get", where: { property: "secret" } },
    { allow: "*" },
  ],
};

const READERS = [
  "query-status",
  "query-block",
  "query-version",
  "query-name",
  "query-commands",
  "qom-list",
];

/** Returns whether a client in this role may run a command; `args` is JSON. */
export function allowed(role: RoleName, name: string, args: string): boolean {
  if (role === "full" || role === "admin") return true;
  const secret = name === "qom-get" && args.includes('"secret"');
  if (role === "guest") return name !== "quit" && !secret;
  // The operator may send no unknown argument.
  if (name === "qom-list" && args.includes('"fdname"')) return role === "observer";
  if (READERS.includes(name)) return true;
  if (name === "qom-get") return !secret;
  if (name === "query-yank") return role === "observer" || args === "{}";
  return role === "operator" &&
    ["stop", "cont", "quit", "device_del", "blockdev-del"].includes(name);
}

/** The commands that simulated QEMUs list, in this order, rotated by one for each process. */
const LISTED = [
  "stop",
  "cont",
  "quit",
  "query-status",
  "query-name",
  "qom-get",
  "device_del",
  "human-monitor-command",
  "migrate-recover",
  "query-version",
];

const UNLISTED: Readonly<Record<RoleName, readonly string[]>> = {
  full: [],
  admin: [],
  guest: ["quit"],
  observer: ["stop", "cont", "quit", "device_del", "human-monitor-command", "migrate-recover"],
  operator: ["migrate-recover"],
};

/** Replies that stay the same as long as a QEMU process runs. */
export const IMMUTABLE: readonly string[] = ["query-version", "query-name", "query-commands"];

/** Read-only queries: clients that send the same may share the reply. */
export const SHARED: readonly string[] = [...IMMUTABLE, "query-status", "query-block", "qom-list"];

/**
 * Returns the value that a QEMU process always returns to an immutable query, as a role sees it.
 */
export function lastingValue(process: number, name: string, role: RoleName = "full"): string {
  if (name !== "query-commands") return `{"of": "${name}", "process": ${process}}`;
  const turned = LISTED.map((_, at) => LISTED[(at + process) % LISTED.length]!);
  const seen = turned.filter((each) => !UNLISTED[role].includes(each));
  return `[${seen.map((each) => `{"name": "${each}"}`).join(", ")}]`;
}

/** Names of events that simulated QEMUs have. */
export const EVENTS: readonly string[] = [
  "STOP",
  "RESUME",
  "SHUTDOWN",
  "RESET",
  "JOB_STATUS_CHANGE",
];

/** Returns whether a list of globs lets a name pass; without a list, all pass. */
export function passes(globs: readonly string[] | undefined, name: string): boolean {
  if (globs === undefined) return true;
  return globs.some((glob) => {
    const star = glob.indexOf("*");
    if (star < 0) return glob === name;
    return name.startsWith(glob.slice(0, star)) && name.endsWith(glob.slice(star + 1));
  });
}

/** Returns the events that a role shows. */
export function roleEvents(role: RoleName): readonly string[] | undefined {
  return role === "guest" ? GUEST.events : undefined;
}

/** Ids as a client may write them (bytes as characters), and as QEMU prints them. */
export const IDS: readonly (readonly [string, string])[] = [
  ["1", "1"],
  ['"a"', '"a"'],
  ["18446744073709551615", "18446744073709551615"],
  ["1.0", "1"],
  ["null", "null"],
  ['{"b":1,"a":2}', '{"a": 2, "b": 1}'],
  ["[1,[],{}]", "[1, [], {}]"],
  ['"\\u00e9/\\/"', '"\\u00E9//"'],
  ['"\xc3\xa9"', '"\\u00E9"'],
  ["-0", "0"],
  ["0.1", "0.10000000000000001"],
  ["1e400", "inf"],
  ['"\\n\\"}"', '"\\n\\"}"'],
  ['{"id":{"id":5}}', '{"id": {"id": 5}}'],
  ["true", "true"],
];

/** The content of a reply. */
export type ReplyContent =
  | { readonly value: string }
  | { readonly errorClass: string; readonly desc: string; readonly data?: string };

/** Returns a reply's line as a client of a dialect must get it. */
export function replyLine(
  dialect: SimGrant["dialect"],
  id: string | undefined,
  outcome: ReplyContent,
): string {
  if ("value" in outcome) {
    return `{"return": ${outcome.value}${id === undefined ? "" : `, "id": ${id}`}}\r\n`;
  }
  const { errorClass, desc, data = "{}" } = outcome;
  const tail = dialect === "rfc2010" ? `, "data": ${data}` : "";
  const head = id === undefined ? "" : `"id": ${id}, `;
  return `{${head}"error": {"class": "${errorClass}", "desc": "${desc}"${tail}}}\r\n`;
}

/** Returns a message as QEMU writes it, plain or with `pretty=on`. */
export function written(text: string, pretty: boolean): string {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^{}[\],:\s"]+/g) ?? [];
  let [out, depth] = ["", 0];
  const line = (): string => pretty ? `\r\n${"    ".repeat(depth)}` : "";
  for (const [at, token] of tokens.entries()) {
    const last = tokens[at - 1] ?? "";
    if ("}]".includes(token)) {
      depth--;
      out += line() + token;
      continue;
    }
    if ("{[".includes(last) && last !== "" || last === ",") {
      out += last === "," && !pretty ? " " : line();
    }
    out += token === ":" ? ": " : token;
    if ("{[".includes(token)) depth++;
  }
  return `${out}\r\n`;
}

/** Returns an error of the most common class. */
export function generic(desc: string): ReplyContent {
  return { errorClass: "GenericError", desc };
}
