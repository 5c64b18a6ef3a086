/**
 * A simulated QEMU: its queue, its order, its out-of-band lane, its events.
 *
 * In-band commands run one at a time in the order of their arrival, out-of-band ones are answered
 * at once. A command that runs when a connection is lost is answered on the next one, as by QEMU.
 * It parses by counting brackets and `JSON.parse`. It differs from `FakeQemu` in that it has no
 * socket, acts only when the world asks it to, and keeps every command with its reply.
 *
 * @module
 */

import type { SimulatedFds } from "./holdings.ts";
import { IMMUTABLE, lastingValue, type ReplyContent, replyLine, written } from "./rules.ts";
import { DescriptorTable, namesUsed, TABLE_COMMANDS, type Touch } from "./table.ts";

/** A command that was sent to QEMU. */
export interface Exec {
  /** Its number in the world; its reply contains it. */
  readonly number: number;
  /**
   * The text as QEMU received it, without the number of an out-of-band command; once the client's
   * own text is known, also without the tags of names.
   */
  text: string;
  readonly name: string;
  /** The arguments as QEMU received them. */
  readonly args: Readonly<Record<string, unknown>>;
  /** The descriptors received with it. */
  readonly fds: SimulatedFds | undefined;
  readonly oob: string | undefined;
  readonly process: number;
  readonly connection: number;
  /** The reply, once it was sent. */
  outcome: ReplyContent | undefined;
  /** The position of the descriptor that it added. */
  put?: { readonly fd: number; readonly id: number };
}

/** A message from QEMU; `text` is plain, with its line end. */
export interface Said {
  readonly kind:
    | "greeting"
    | "event"
    | "reply"
    | "negotiated"
    | "refused"
    | "late"
    | "junk"
    | "hostile"
    | "unreadable"
    | "end";
  readonly text: string;
  /** The bytes as they are written, with the line end. */
  readonly wire: string;
  readonly name?: string;
  readonly exec?: Exec;
}

/** The versions that simulated QEMUs have. */
export const VERSIONS = [[7, 2, 22], [11, 1, 3]] as const;

/** Forms of replies; each contains the number of the command. */
const SHAPES: readonly ((mark: string) => string)[] = [
  (mark) => `"${mark}"`,
  (mark) => `{"at": "${mark}", "id": 7}`,
  (mark) => `["${mark}", {"id": 18446744073709551615}]`,
  (mark) => `{"text": "\\"}, \\"id\\": 3", "at": "${mark}"}`,
  (mark) => `{"n": inf, "at": "${mark}"}`,
  (mark) => `{"error": {"class": "x"}, "at": "${mark}", "event": "STOP"}`,
];
/** The number of forms of replies. */
export const SHAPE_COUNT = SHAPES.length;

/** A text longer than any of QEMU's names. */
const LONG_NAME = "X".repeat(300);
/** A text longer than any list of commands. */
const LONG_LIST = "x".repeat(140_000);

/** Messages that no QEMU sends after its negotiation, whatever the commands. */
const HOSTILE: readonly string[] = [
  '{"return": {}, "id": 9007199254740993}\r\n',
  '{"id": [1], "error": {"class": "GenericError", "desc": "another\'s"}}\r\n',
  `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "${LONG_NAME}"}\r\n`,
];
/** Values that are not a reply to a command. */
const UNREADABLE: ReadonlyMap<string, readonly string[]> = new Map([
  ["query-commands", [
    "[nope]",
    '[{"name": 7}]',
    "[null]",
    '{"name": "stop"}',
    `[{"name": "${LONG_LIST}"}]`,
    `["${"\\\n".repeat(20)}"]`,
  ]],
  ["add-fd", [
    "nope",
    "[]",
    '{"fdset-id": "x y", "fd": "}"}',
    '{"fdset-id": 1e999, "fd": 1}',
    '{"fdset-id": -1, "fd": 1.5}',
    `{"fdset-id": 1, "fd": 20, "x": "${"x".repeat(5000)}"}`,
  ]],
]);
/** The maximum number of hostile actions. */
export const HOSTILE_COUNT = 6;

/** All QEMUs of one world, one after the other. */
export class SimulatedQemu {
  process = 0;
  connection = 0;
  connected = false;
  oob = true;
  version = 0;
  running = false;
  /** Commands that wait to be executed; the first of them runs. */
  queue: Exec[] = [];
  /** Messages that have not arrived completely. */
  out: Said[] = [];
  /** The bytes that have not arrived. */
  wire = "";
  /** All commands, by their numbers. */
  readonly execs: Exec[] = [];
  /** Its descriptors. */
  table = new DescriptorTable<SimulatedFds>();
  /** A function that is called when it acts on a descriptor. */
  touched: (exec: Exec, how: Touch, fds: SimulatedFds) => void = () => {};
  /**
   * A function that is called with the descriptors under the names of a command, one after the
   * other.
   */
  looked: (exec: Exec, nth: number, fds: SimulatedFds | undefined) => void = () => {};
  readonly pretty: boolean;
  readonly #refuses = new Set<number>();
  #late: Exec | undefined;
  #clock = 0;
  #lastOob = "0";
  #quits = false;

  constructor(pretty: boolean) {
    this.pretty = pretty;
  }

  /** Brings a connection up. */
  arrive(fresh: boolean, version: number, oob: boolean, refuses: boolean): void {
    if (fresh || this.#quits || this.process === 0) {
      this.#quits = false;
      this.process++;
      this.version = version;
      this.oob = oob;
      this.running = true;
      this.#late = undefined;
      this.table = new DescriptorTable();
    }
    this.connected = true;
    this.connection++;
    if (refuses) this.#refuses.add(this.connection);
    this.queue = this.#late === undefined ? [] : [this.#late];
    this.out = [];
    this.wire = "";
  }

  /** The line of its greeting. */
  get greeting(): string {
    const [major, minor, micro] = VERSIONS[this.version]!;
    return `{"QMP": {"version": {"qemu": {"micro": ${micro}, "minor": ${minor}, "major": ${major}}, ` +
      `"package": ""}, "capabilities": [${this.oob ? '"oob"' : ""}]}}\r\n`;
  }

  greet(): void {
    this.#say({ kind: "greeting", text: this.greeting });
  }

  /** Sends a late out-of-band reply. */
  stale(): void {
    if (this.#lastOob === "0") return;
    this.#say({ kind: "late", text: `{"return": "late", "id": ${this.#lastOob}}\r\n` });
  }

  /** Sends something that no QEMU sends, or not now. */
  junk(text: string): void {
    this.#say({ kind: text.startsWith('{"QMP"') ? "greeting" : "junk", text });
  }

  #say(said: Omit<Said, "wire">): void {
    if (this.#quits) return;
    this.#quits = said.kind === "end";
    const { kind, text } = said;
    const isPlain = !this.pretty || /^(junk|hostile|unreadable|end)$/.test(kind);
    const wire = isPlain ? text : written(text, true);
    this.out.push({ ...said, wire });
    this.wire += wire;
  }

  event(name: string, more?: string): void {
    const stamp = `{"seconds": 1700000000, "microseconds": ${++this.#clock}}`;
    const data = name === "SHUTDOWN" ? '{"guest": false, "reason": "host-qmp-quit"}' : more;
    const tail = data === undefined ? "" : `, "data": ${data}`;
    const text = `{"timestamp": ${stamp}, "event": "${name}"${tail}}\r\n`;
    this.#say({ kind: "event", name, text });
  }

  /** Closes the connection: the running command continues, waiting ones are dropped. */
  lose(): void {
    this.connected = false;
    this.#late = this.queue[0];
    for (const { oob } of this.execs.slice(-50)) if (oob !== undefined) this.#lastOob = oob;
    this.queue = [];
    this.out = [];
    this.wire = "";
    this.table.waiting = undefined;
  }

  /** Takes a command; returns `undefined` if the text is not one. */
  received(text: string, fds?: SimulatedFds): Exec | undefined {
    // Received descriptors replace those that wait.
    if (fds) this.table.waiting = fds;
    let value: Record<string, unknown>;
    try {
      value = JSON.parse(text);
    } catch {
      return undefined;
    }
    if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
    const { execute, "exec-oob": execOob } = value;
    const name = execute ?? execOob;
    if (typeof name !== "string" || (execute !== undefined && execOob !== undefined)) {
      return undefined;
    }
    const [, id] = /,"id":(\d+)\}$/.exec(text) ?? [];
    const rest = id === undefined ? text : text.slice(0, -`,"id":${id}}`.length) + "}";
    const exec: Exec = {
      number: this.execs.length,
      text: rest,
      name,
      args: (value["arguments"] ?? {}) as Exec["args"],
      fds,
      oob: execOob === undefined ? undefined : id ?? "",
      process: this.process,
      connection: this.connection,
      outcome: undefined,
    };
    this.execs.push(exec);
    if (name === "qmp_capabilities") this.queue.push({ ...exec, oob: id ?? "" });
    else if (execOob === undefined) this.queue.push(exec);
    return exec;
  }

  /** Answers an out-of-band command. */
  overtake(exec: Exec): void {
    this.#answer(exec, exec.number % 3 === 0, exec.number % SHAPES.length);
  }

  /** Sends a wrong reply to the first waiting command, or something that no QEMU sends. */
  defy(shape: number): void {
    const exec = this.queue[0];
    const values = exec?.connection === this.connection ? UNREADABLE.get(exec.name) : undefined;
    if (exec === undefined || values === undefined) {
      return this.#say({ kind: "hostile", text: HOSTILE[shape % HOSTILE.length]! });
    }
    this.queue.shift();
    const text = `{"return": ${values[shape % values.length]}}\r\n`;
    this.#say({ kind: "unreadable", text, exec });
  }

  /** Executes the first waiting command. */
  run(fails: boolean, shape: number, event: string): void {
    const exec = this.queue.shift();
    if (exec === undefined || !this.connected) return;
    if (exec === this.#late) {
      this.#late = undefined;
      const value = exec.name === "qmp_capabilities" ? "{}" : `"late #${exec.number}#"`;
      this.#say({ kind: "late", text: replyLine("qmp", exec.oob, { value }) });
      return;
    }
    if (exec.name === "qmp_capabilities") {
      const refuses = this.#refuses.has(this.connection);
      const outcome = refuses ? { errorClass: "GenericError", desc: "No" } : { value: "{}" };
      const text = replyLine("qmp", exec.oob, outcome);
      this.#say({ kind: refuses ? "refused" : "negotiated", text });
      return;
    }
    if (exec.name === "stop" && this.running) {
      this.running = false;
      this.event("STOP");
    } else if (exec.name === "cont" && !this.running) {
      this.running = true;
      this.event("RESUME");
    } else if (exec.name === "quit") this.event("SHUTDOWN");
    else if (event !== "") this.event(event);
    this.#answer(exec, fails && exec.name !== "quit", shape);
    if (exec.name === "quit") this.#say({ kind: "end", text: "" });
  }

  #answer(exec: Exec, fails: boolean, shape: number): void {
    const mark = `#${exec.number}#`;
    const lasts = IMMUTABLE.includes(exec.name) && exec.oob === undefined;
    exec.outcome = TABLE_COMMANDS.has(exec.name)
      ? this.#descriptors(exec, fails, shape)
      : fails || "fdname" in exec.args
      ? { errorClass: "GenericError", desc: `Failed ${mark}` }
      : { value: lasts ? lastingValue(exec.process, exec.name) : SHAPES[shape]!(mark) };
    this.#say({ kind: "reply", text: replyLine("qmp", exec.oob, exec.outcome), exec });
  }

  /** Applies a command to the descriptors. */
  #descriptors(exec: Exec, fails: boolean, shape: number): ReplyContent {
    const { name, args, oob } = exec;
    const mark = `#${exec.number}#`;
    const error = (desc: string): ReplyContent => ({
      errorClass: "GenericError",
      desc: `${desc} ${mark}`,
    });
    if (oob !== undefined && name !== "migrate-recover") return error("It does not support OOB");
    const how = fails ? shape % 2 === 0 ? "before" : "in" : "no";
    const result = this.table.run(
      name,
      args,
      how,
      (touch, fds) => this.touched(exec, touch, fds),
      (nth, fds) => this.looked(exec, nth, fds),
    );
    if ("desc" in result) return error(result.desc);
    const [used] = namesUsed(name, args);
    if (name === "chardev-add" && used !== undefined) {
      // A name is shown in more than one way.
      this.event("JOB_STATUS_CHANGE", `{"addr": {"str": "${used}", "type": "fd"}}`);
      const file = `json:{\\"server.str\\": \\"${used}\\"}`;
      return { value: `[{"filename": "fd:${used},server=on"}, "${file}", "${mark}"]` };
    }
    if (name !== "add-fd") return { value: SHAPES[shape]!(mark) };
    const { fd, "fdset-id": id } = JSON.parse(result.value);
    exec.put = { fd, id };
    return { value: `${result.value.slice(0, -1)}, "at": "${mark}"}` };
  }
}
