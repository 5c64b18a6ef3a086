/**
 * The behaviours of clients: kinds of them, each with its listener, its share and its acts.
 *
 * An act is a few commands with known replies, and leaves nothing behind.
 *
 * @module
 */

import type { Random } from "../support/random.ts";
import type { Caller, Nonsense, Question } from "./caller.ts";
import { ALL, type Filter, NONE } from "./events.ts";

/** The names of the listeners; each has a role, one the dialect of 2010. */
export const LISTENERS = {
  watch: 'role = "observer"',
  run: 'role = "operator"',
  full: 'role = "full"',
  admin: 'role = "admin"',
  old: 'dialect = "rfc2010"',
} as const;

/** The name of a listener. */
export type ListenerName = keyof typeof LISTENERS;

/** The load around a client, as far as its behaviour uses it. */
export interface Surroundings {
  readonly random: Random;
  /** A promise that resolves when the load ends. */
  readonly end: Promise<void>;
  /** QEMU's greeting, and the replies that never change, by command. */
  readonly greeting: string;
  readonly lasting: ReadonlyMap<string, string>;
  /** Waits as long as a client does that sends that many commands at a time. */
  pause(commands: number): Promise<void>;
  /**
   * Takes one from the budget of a costly act, which all clients share; returns false if this
   * second's is spent.
   */
  spend(what: Costly): boolean;
  /** Clients that wait for an administrator to disconnect them. */
  readonly victims: { readonly name: string; readonly gone: Promise<void> }[];
  /** Counts commands that were sent and whose replies will not be read. */
  abandoned(commands: number): void;
  /** Checks that a client has got everything that it must have got by now, and releases it. */
  farewell(caller: Caller): Promise<void>;
}

/** Acts with a high cost for all clients: events are sent to all, and the long replies are long. */
export type Costly = "toggle" | "job" | "list" | "schema" | "reload";

/** A kind of client. */
export interface Kind {
  readonly name: string;
  readonly listener: ListenerName;
  /** The number of such clients among 100. */
  readonly share: number;
  /** Whether it stays connected for all acts, or reconnects for each. */
  readonly stays: boolean;
  /** Negotiates; `undefined` stands for today's negotiation, without capabilities. */
  readonly begin?: (caller: Caller, around: Surroundings) => Promise<void>;
  /** Performs an act. A client that does not stay must disconnect. */
  readonly act: (caller: Caller, around: Surroundings) => Promise<void>;
}

const STATUS: Question = {
  name: "query-status",
  answer: /^\{"status": "(running|paused|prelaunch)".*"running": (true|false)\}$/,
};
const ALWAYS_RUNS: Question = { name: "query-rx-filter", answer: "[]" };
const BLOCK: Question = { name: "query-block", answer: "[]" };
const IOTHREADS: Question = { name: "query-iothreads", answer: "[]" };
const MACHINE: Question = {
  name: "qom-get",
  args: '{"path":"/machine","property":"type"}',
  answer: '"none-machine"',
};
const ROOT: Question = {
  name: "qom-list",
  args: '{"path":"/"}',
  answer: /^\[\{"name": "type".*"name": "chardevs".*\]$/,
};
const HUMAN: Question = {
  name: "human-monitor-command",
  args: '{"command-line":"info version"}',
  answer: /^"[\d.]+.*\\r\\n"$/,
};
const UNKNOWN: Question = {
  name: "no-such-command",
  error: true,
  answer:
    /^\{"class": "CommandNotFound", "desc": "The command no-such-command has (not been found|been refused.*)"/,
};

/** The queries whose replies never change, and how often QEMU may be sent them. */
export const LASTING = ["query-version", "query-name", "query-target", "query-qmp-schema"] as const;

function lasting({ lasting }: Surroundings, name: string): Question {
  return { name, answer: lasting.get(name)! };
}

/** Returns some of the usual queries. */
function some(around: Surroundings, among: readonly Question[]): Question[] {
  const { random } = around;
  const all = [...among, lasting(around, "query-version"), lasting(around, "query-name")];
  return Array.from({ length: 1 + random.below(3) }, () => random.pick(all));
}

function refusal(name: string, role: string): Question {
  return {
    name,
    error: true,
    answer: (text) =>
      text.startsWith(
        `{"class": "CommandNotFound", "desc": "The command ${name} has been refused: role ${role}`,
      ),
  };
}

/** Sends commands one by one, with pauses between, as most clients do. */
async function oneByOne(
  caller: Caller,
  around: Surroundings,
  questions: readonly Question[],
): Promise<void> {
  for (const question of questions) await caller.ask(question);
  await around.pause(questions.length);
}

/** Adds and deletes a block node; a client that lists the nodes sees it at once. */
async function addNode(caller: Caller, around: Surroundings): Promise<void> {
  const node = `n${caller.number}`;
  const args = `{"driver":"null-co","node-name":"${node}","size":65536}`;
  await oneByOne(caller, around, [
    { name: "blockdev-add", args, answer: "{}" },
    named(node, true),
    {
      name: "blockdev-add",
      args,
      error: true,
      answer: (text) => text.includes(`"Duplicate nodes with node-name='${node}'"`),
    },
    { name: "blockdev-del", args: `{"node-name":"${node}"}`, answer: "{}" },
    named(node, false),
  ]);
}

function named(node: string, there: boolean): Question {
  return {
    name: "query-named-block-nodes",
    args: '{"flat":true}',
    answer: (text) => text.includes(`"node-name": "${node}"`) === there,
  };
}

/** Performs the same act with an object; all commands are sent at once, and answered in order. */
async function addObject(caller: Caller, around: Surroundings): Promise<void> {
  const id = `t${caller.number}`;
  const questions = [
    { name: "object-add", args: `{"qom-type":"throttle-group","id":"${id}"}`, answer: "{}" },
    object(id, true),
    { name: "object-del", args: `{"id":"${id}"}`, answer: "{}" },
    object(id, false),
    {
      name: "object-del",
      args: `{"id":"${id}"}`,
      error: true,
      answer: (text: string) => text.includes(`"object '${id}' not found"`),
    },
  ];
  await caller.askAll(questions);
  await around.pause(questions.length);
}

function object(id: string, there: boolean): Question {
  return {
    name: "qom-list",
    args: '{"path":"/objects"}',
    answer: (text) => text.includes(`"name": "${id}"`) === there,
  };
}

/** Runs a job: nine events before and around its reply. */
async function backUp(caller: Caller, around: Surroundings): Promise<void> {
  const [from, to] = [`f${caller.number}`, `b${caller.number}`];
  const add = (node: string): Question => ({
    name: "blockdev-add",
    args: `{"driver":"null-co","node-name":"${node}","size":65536}`,
    answer: "{}",
  });
  const del = (node: string): Question => ({
    name: "blockdev-del",
    args: `{"node-name":"${node}"}`,
    answer: "{}",
  });
  const args = `{"job-id":"j${caller.number}","device":"${from}","target":"${to}","sync":"full"}`;
  await oneByOne(caller, around, [
    add(from),
    add(to),
    { name: "blockdev-backup", args, answer: "{}" },
    // It ends by itself, at once; until then the node is in use.
  ]);
  for (let ended = false; !ended;) {
    const jobs = await caller.ask({ name: "query-jobs", answer: /^\[.*\]$/ });
    ended = !jobs.includes(`"id": "j${caller.number}"`);
  }
  await oneByOne(caller, around, [del(from), del(to)]);
}

/** Runs and stops the machine; all clients get the events. */
async function toggle(caller: Caller, around: Surroundings): Promise<void> {
  const questions = ["cont", "stop", "system_reset"].map((name) => ({ name, answer: "{}" }));
  await oneByOne(caller, around, questions.slice(0, around.random.oneIn(4) ? 3 : 2));
}

async function operate(caller: Caller, around: Surroundings): Promise<void> {
  const { random } = around;
  if (random.oneIn(8) && around.spend("toggle")) return await toggle(caller, around);
  if (random.oneIn(6)) return await addNode(caller, around);
  if (random.oneIn(6)) return await addObject(caller, around);
  await oneByOne(caller, around, some(around, [STATUS, BLOCK, IOTHREADS, MACHINE, ROOT, UNKNOWN]));
}

const FILTERS: readonly Filter[] = [ALL, NONE, ["STOP"], ["RESUME", "RESET"], ["JOB_*"], ["*"]];

const ENCODER = new TextEncoder();

const NONSENSE: readonly Nonsense[] = ([
  ["{}", /QMP input lacks member 'execute'/],
  ["[1]", /QMP input must be a JSON object/],
  ['{"execute" "x"}', /JSON parse error, (missing : in object pair|expecting ':')/],
  ['{"execute":"query-name",}', /JSON parse error, expecting (value|key)/],
] as const).map(([text, error]) => ({ bytes: ENCODER.encode(text), error }));

const STRAY: Nonsense = { bytes: Uint8Array.of(0xff), error: /JSON parse error, stray '\\uFFFD'/ };

/** All kinds of clients; the shares add up to 100. */
export const KINDS: readonly Kind[] = [
  {
    name: "observer",
    listener: "watch",
    share: 20,
    stays: true,
    act: async (caller, around) => {
      const questions = some(around, [STATUS, BLOCK, MACHINE, ROOT, IOTHREADS]);
      if (around.random.oneIn(5)) {
        questions.push(refusal(around.random.pick(["stop", "quit", "blockdev-del"]), "observer"));
      }
      await oneByOne(caller, around, questions);
    },
  },
  {
    name: "operator",
    listener: "run",
    share: 19,
    stays: true,
    act: async (caller, around) => {
      if (around.random.oneIn(10)) {
        return await oneByOne(caller, around, [
          {
            name: "screendump",
            args: '{"filename":"/nowhere"}',
            error: true,
            answer: /The command screendump has been refused: role operator/,
          },
        ]);
      }
      await operate(caller, around);
    },
  },
  {
    name: "full",
    listener: "full",
    share: 19,
    stays: true,
    act: async (caller, around) => {
      if (around.random.oneIn(4)) return await oneByOne(caller, around, [ALWAYS_RUNS, HUMAN]);
      if (around.random.oneIn(4) && around.spend("job")) return await backUp(caller, around);
      await operate(caller, around);
    },
  },
  {
    name: "administrator",
    listener: "admin",
    share: 2,
    stays: true,
    act: administer,
  },
  {
    name: "victim",
    listener: "full",
    share: 1,
    stays: false,
    act: async (caller, { victims, end }) => {
      const self = await caller.ask({ name: "__org.qmpmux_query-self", answer: /"name": "/ });
      const [, name] = /"name": "([^"]+)"/.exec(self)!;
      caller.expectEnd();
      const victim = { name: name!, gone: caller.ended };
      victims.push(victim);
      await Promise.race([caller.ended, end]);
      // No administrator has disconnected it; a client that has removed it from the list will.
      const at = victims.indexOf(victim);
      if (at >= 0) victims.splice(at, 1);
      else await caller.ended;
      caller.leave();
    },
  },
  {
    name: "out-of-band",
    listener: "full",
    share: 8,
    stays: true,
    begin: (caller, { greeting }) => caller.negotiate(greeting, ["oob"]),
    act: async (caller, around) => {
      // More than QEMU queues, with out-of-band commands between.
      const yank: Question = { name: "query-yank", oob: true, answer: /^\[.*\]$/ };
      const refused: Question = {
        name: "query-status",
        oob: true,
        error: true,
        answer: /The command query-status does not support OOB/,
      };
      const questions = Array.from(
        { length: 2 + around.random.below(10) },
        () =>
          around.random.oneIn(3)
            ? around.random.oneIn(4) ? refused : yank
            : around.random.pick([ALWAYS_RUNS, STATUS, BLOCK, MACHINE]),
      );
      await caller.askAll(questions);
      await around.pause(questions.length);
    },
  },
  {
    name: "client of 2010",
    listener: "old",
    share: 8,
    stays: true,
    begin: (caller, { random }) =>
      caller.negotiateOld(random.pick([[], ["STOP"], ["STOP", "RESUME", "RESET"]])),
    act: async (caller, around) => {
      await oneByOne(caller, around, [
        ...some(around, [STATUS, BLOCK, MACHINE]),
        {
          name: "qmp_switch_mode",
          args: '{"mode":"operational"}',
          error: true,
          answer:
            '{"class": "QMPInvalidModeCommad", "desc": "The issued command is invalid in this mode", "data": {}}',
        },
      ]);
    },
  },
  {
    name: "listener",
    listener: "watch",
    share: 5,
    stays: true,
    act: async (caller, around) => {
      await caller.choose(around.random.pick(FILTERS));
      await around.pause(5);
    },
  },
  {
    name: "slow reader",
    listener: "full",
    share: 2,
    stays: true,
    act: async (caller, around) => {
      caller.slow = true;
      const long = around.spend("schema");
      const question = long
        ? lasting(around, "query-qmp-schema")
        : { name: "query-commands", answer: /^\[\{"name": .*\}\]$/ };
      caller.hold();
      const answered = caller.askAll(new Array<Question>(long ? 8 : 20).fill(question));
      await around.pause(20);
      caller.release();
      await answered;
    },
  },
  {
    name: "half-closer",
    listener: "full",
    share: 4,
    stays: false,
    act: async (caller, around) => {
      const questions = [ALWAYS_RUNS, STATUS, MACHINE, BLOCK, UNKNOWN];
      const answered = caller.askAll(questions);
      answered.catch(() => {});
      await caller.halfClose();
      await answered;
      await around.pause(questions.length + 1);
    },
  },
  {
    name: "guest",
    listener: "run",
    share: 6,
    stays: false,
    act: async (caller, around) => {
      await oneByOne(caller, around, some(around, [STATUS, BLOCK, ROOT]));
      await around.farewell(caller);
    },
  },
  {
    name: "deserter",
    listener: "full",
    share: 2,
    stays: false,
    act: async (caller, around) => {
      // In the middle of commands, inside a command, or without any.
      const answered = caller.askAll([ALWAYS_RUNS, STATUS, ROOT]);
      answered.catch(() => {});
      await caller.write(ENCODER.encode('{"execute":"query-sta'));
      if (around.random.oneIn(2)) await answered;
      around.abandoned(caller.leave());
      await around.pause(4);
    },
  },
  {
    name: "mumbler",
    listener: "full",
    share: 4,
    stays: true,
    act: async (caller, around) => {
      const bad = around.random.pick(NONSENSE);
      await caller.askAll([STATUS, bad, MACHINE, STRAY, BLOCK]);
      await around.pause(5);
    },
  },
];

async function administer(caller: Caller, around: Surroundings): Promise<void> {
  const { victims } = around;
  if (around.spend("list")) {
    const self = await caller.ask({ name: "__org.qmpmux_query-self", answer: /"role": "admin"/ });
    const [, name] = /"name": "([^"]+)"/.exec(self)!;
    return await oneByOne(caller, around, [
      { name: "__org.qmpmux_query-clients", answer: (text) => text.includes(`"name": "${name}"`) },
    ]);
  }
  if (around.spend("reload")) {
    return await oneByOne(caller, around, [{ name: "__org.qmpmux_reload", answer: "{}" }]);
  }
  const victim = around.random.oneIn(3) ? victims.shift() : undefined;
  if (victim) {
    const args = JSON.stringify({ name: victim.name });
    await caller.ask({ name: "__org.qmpmux_disconnect-client", args, answer: "{}" });
    return await victim.gone;
  }
  await oneByOne(caller, around, [
    { name: "__org.qmpmux_query-status", answer: /"qemu": "ready"/ },
    ...some(around, [STATUS, MACHINE]),
  ]);
}
