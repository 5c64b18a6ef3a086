/**
 * A real QEMU survives everything that the roles observer and operator allow.
 *
 * Every command that a role allows runs on a machine full of devices, paused and running: with each
 * object it can name, and with valid and odd values for each argument, generated from QEMU's own
 * schema. Then commands run in random order. QEMU must answer after each of them. The roles refuse
 * what QEMU does not survive.
 *
 * With `-- --long` more is tried, and the figures are printed.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { globMatches } from "../lib/policy/glob.ts";
import { operatorRows } from "../lib/policy/operator_role.ts";
import { judge, refusesEntirely } from "../lib/policy/policy.ts";
import { ROLES } from "../lib/policy/roles.ts";
import {
  type Arguments,
  CallMaker,
  type Choice,
  INTEGERS,
  type Json,
  type Shape,
  spell,
  TEXTS,
} from "./support/calls.ts";
import type { Entity } from "./support/commands.ts";
import { Machine, ORDERLY } from "./support/machine.ts";
import { WITHOUT_QEMU } from "./support/qemu.ts";
import { Random } from "./support/random.ts";
import { commandOf } from "./support/verdicts.ts";

const LONG = Deno.args.includes("--long");
const SEED = Number(Deno.env.get("QMPMUX_FUZZ_SEED") ?? 1);

/** The limits on the calls that are tried for one command. */
interface Limits {
  /** The most values of one required argument; all values are tried in order. */
  readonly required: number;
  /** The same for one optional argument. */
  readonly optional: number;
  /** The most random calls of each kind. */
  readonly chance: number;
}

/** A machine has 220 ids and 190 objects; there are 20 odd integers, and 11 odd texts. */
const LIMITS: Limits = LONG
  ? { required: 3000, optional: 300, chance: 100 }
  : { required: 260, optional: 22, chance: 20 };
/** The limits for one kind of device: QEMU 7.2 takes 50 ms to fail. */
const DEVICE_LIMITS: Limits = LONG
  ? { required: 75, optional: 2, chance: 30 }
  : { required: 9, optional: 0, chance: 3 };
/** The number of random commands, in one mode. */
const WALK = LONG ? 10_000 : 1200;
/** The number of calls that are made to the same machine. */
const WALK_LENGTH = 400;

const ROLES_TRIED = [ROLES.get("observer")!, ROLES.get("operator")!];

/** Commands that make QEMU exit in an orderly way (status 0), with the reason. */
const ENDING: ReadonlyMap<string, string> = new Map([
  ["quit", "ends QEMU; this is what it is for"],
]);

/** Commands that affect others: after one has been tried, a new machine follows. */
const SETTING = /^(migrate-set-(parameters|capabilities)|snapshot-load)$/;

/**
 * Commands that are tried separately, and then not again on that machine, with the reason.
 *
 * While firmware runs on emulated CPUs (TCG), a `device_add` that fails can wait forever: QEMU
 * waits for the CPU to leave its loop (`drain_call_rcu`), and the CPU waits for a device that QEMU
 * would have to serve. Seen on 7.2 and 10.0; no rule of a role can prevent it.
 */
const ALONE: ReadonlyMap<string, string> = new Map([
  ["cont", "starts the firmware where the machine was paused"],
  ["system_reset", "starts the firmware"],
  ["set-action", "may have a reset end QEMU"],
]);

/** Calls that are not tried, with the reason. */
const UNTRIED: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/"prealloc":true/, "fills the host's memory, which an operator may do"],
];

/** The names of a machine's objects, by kind. */
type Names = Readonly<Record<string, readonly string[]>>;

async function namesOf(machine: Machine): Promise<Names> {
  const paths: string[] = [];
  const walk = async (path: string): Promise<void> => {
    paths.push(path);
    for (const name of await machine.children(path)) {
      await walk(`${path.replace(/\/$/, "")}/${name}`);
    }
  };
  await walk("/");
  const list = async (command: string, key: string, args = {}): Promise<string[]> =>
    (await machine.query(command, args)).map((entry: Record<string, string>) => entry[key])
      .filter((name: string | undefined) => name);
  const network: string = await machine.query("human-monitor-command", {
    "command-line": "info network",
  });
  const nodes = await list("query-named-block-nodes", "node-name", { flat: true });
  const names = {
    nodes,
    devices: await machine.children("/machine/peripheral"),
    drives: await list("query-block", "qdev"),
    objects: await machine.children("/objects"),
    jobs: await list("query-jobs", "id"),
    chardevs: await list("query-chardev", "label"),
    nets: [...network.matchAll(/(\S+):.*type=/g)].map(([, name]) => name!),
  };
  return {
    ...names,
    // Devices precede their memory regions: if only some are tried, devices are.
    paths: paths.sort((a, b) => Number(a.includes("[")) - Number(b.includes("["))),
    types: (await list("qom-list-types", "name")).sort(),
    models: await list("query-cpu-definitions", "name"),
    options: await list("query-command-line-options", "option"),
    bitmaps: ["bitmap0", "bitmap1", "bitmap2", "new-bitmap"],
    ids: [...new Set([...Object.values(names).flat(), "export0", "snapshot0", "sw1", "audio0"])],
  };
}

/** `NEW` in a text stands for an unused name. */
const NEW = "NEW";

/** The kinds of names that an argument may refer to, by its path or its command and path. */
const KINDS: readonly (readonly [pattern: RegExp, kinds: readonly string[]])[] = [
  [/(-add|_add) (id|node-name)$/, [NEW, "nodes"]],
  [/ job-id$/, [NEW, "jobs"]],
  [/ filter-node-name$/, [NEW, "nodes"]],
  [/ path$/, ["paths"]],
  [/ (typename|implements)$/, ["types"]],
  [/^(block-dirty-bitmap|transaction).*(bitmaps\[\*\]|[.]name| name|bitmap)$/, ["bitmaps"]],
  [/ bitmap$/, ["bitmaps"]],
  [/ (top-node|base-node|bottom|target|overlay|file|replaces|vmstate|node|node-name)$/, ["nodes"]],
  [/ devices\[\*\]$/, ["nodes"]],
  [/[.](node|target|overlay|node-name)$/, ["nodes"]],
  [/^(job-|block-job).* (id|device)$/, ["jobs"]],
  [/^blockdev-(backup|mirror|snapshot).* device$/, ["nodes", "drives"]],
  [/^(chardev|ringbuf)/, ["chardevs", "objects"]],
  [/^(netdev|set_link|query-rx-filter)/, ["nets", "devices"]],
  [/^query-command-line-options/, ["options"]],
  [/cpu-model/, ["models"]],
];

/**
 * Returns a function that generates calls for a machine with these names, within the roles' limits.
 */
function callMaker(schema: readonly Entity[], names: Names): CallMaker {
  const rowOf = (command: string): string[] =>
    operatorRows().get(command)?.cases.flatMap(({ only }) => Object.keys(only)) ?? [];
  const matching = (globs: readonly string[]): string[] =>
    globs.flatMap((glob) =>
      /[*?]/.test(glob) ? names.types!.filter((type) => globMatches(glob, type)) : [glob]
    );
  return new CallMaker(schema, {
    names(command, path): readonly string[] {
      const kinds = KINDS.find(([pattern]) => pattern.test(`${command} ${path}`))?.[1] ?? ["ids"];
      return kinds.flatMap((kind) => kind === NEW ? [NEW] : names[kind]!);
    },
    listed(command, path): readonly string[] | undefined {
      const { cases = [] } = operatorRows().get(command) ?? {};
      const globs = cases.flatMap(({ where, only }) => where?.[path] ?? only[path] ?? []);
      return globs.length === 0 || globs.includes("*") ? undefined : matching(globs);
    },
    isNamed(command, path): boolean {
      return rowOf(command).some((named) =>
        named === path || named.startsWith(`${path.replace(/[.]$/, "")}.`) ||
        named.startsWith(`${path}[`) ||
        (named.endsWith(".**") && `${path}.`.startsWith(named.slice(0, -2)))
      );
    },
  });
}

/** The counts of the calls that have been tried. */
interface Figures {
  readonly commands: Set<string>;
  calls: number;
  /** The calls that QEMU did not survive. */
  readonly deaths: string[];
}

/** Runs calls that a role allows, on one machine after the other. */
class Trial implements AsyncDisposable {
  readonly figures: Figures = { commands: new Set(), calls: 0, deaths: [] };
  readonly #runs: boolean;
  #machine: Machine;
  #parts: readonly string[] = [];
  #fresh = 0;
  /** The last calls on this machine. */
  #trail: string[] = [];

  constructor(runs: boolean, machine: Machine) {
    this.#runs = runs;
    this.#machine = machine;
  }

  get machine(): Machine {
    return this.#machine;
  }

  /**
   * Runs a call, and checks that QEMU answers once more.
   *
   * @returns whether it worked; `undefined` if no role allows it, or it is not to be tried
   */
  async call(command: string, args: Arguments): Promise<boolean | undefined> {
    const text = spell({ execute: command, arguments: args })
      .replaceAll(`"${NEW}"`, () => `"new${++this.#fresh}"`);
    const asked = commandOf(text);
    if (!ROLES_TRIED.some((role) => judge(role, asked).allow)) return undefined;
    if (UNTRIED.some(([pattern]) => pattern.test(text))) return undefined;
    const { figures } = this;
    figures.commands.add(command);
    figures.calls++;
    this.#trail.push(text);
    const answer = await this.#machine.ask(text);
    const status = answer && await this.#machine.ask({ execute: "query-status" });
    if (status === undefined) return await this.#ended(command);
    if (this.#runs && !status.return.running) {
      const goesOn = await this.#machine.ask({ execute: "cont" });
      if (goesOn === undefined) return await this.#ended("cont");
      if ("error" in goesOn) await this.restart();
    }
    const worked = "return" in answer;
    // There are few slots for devices.
    if (worked && command === "device_add") {
      const gone = await this.#machine.ask({
        execute: "device_del",
        arguments: { id: idOf(text) },
      });
      if (gone === undefined) return await this.#ended("device_del");
    }
    return worked;
  }

  /** Records that QEMU has exited, or does not answer, and starts a new machine. */
  async #ended(command: string): Promise<false> {
    const ending = await this.#machine.ending();
    if (ending !== ORDERLY || !ENDING.has(command)) {
      const last = this.#trail.slice(-8).map((call) => call.slice(0, 300));
      this.figures.deaths.push([`${ending}, by:`, ...last].join("\n  "));
      keep(this.#trail);
    }
    await this.restart();
    return false;
  }

  /** Replaces this machine by a new one. */
  async restart(): Promise<void> {
    await this.#machine[Symbol.asyncDispose]();
    this.#machine = await Machine.start(this.#runs);
    this.#parts = [];
    this.#trail = [];
  }

  /** Replaces this machine if it has lost an object since the last call of this function. */
  async restore(): Promise<void> {
    const parts = await this.#machine.parts();
    const lost = this.#parts.some((part) => !parts.includes(part));
    if (lost) await this.restart();
    this.#parts = lost ? await this.#machine.parts() : parts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#machine[Symbol.asyncDispose]();
  }
}

/** Writes down the calls that QEMU did not survive, if that is wanted. */
function keep(trail: readonly string[]): void {
  const directory = Deno.env.get("QMPMUX_TRAILS");
  if (directory === undefined) return;
  Deno.writeTextFileSync(`${directory}/${Date.now()}.qmp`, `${trail.join("\n")}\n`);
}

function idOf(text: string): unknown {
  return JSON.parse(text).arguments.id;
}

/** Tries a way to call a command: each value of each argument, and then several at once. */
async function tryShape(
  trial: Trial,
  command: string,
  { fixed, required, optional }: Shape,
  random: Random,
  limits: Limits,
): Promise<void> {
  const { chance } = limits;
  const plain = Object.fromEntries(required.map(({ name, values }) => [name, values[0] ?? null]));
  const singly = required.flatMap(({ name, values }) =>
    some(values.slice(1), limits.required, chance, random)
      .map((value) => ({ ...plain, [name]: value }))
  );
  const mixed = required.length < 2
    ? []
    : Array.from({ length: chance }, () => mix(required, random));
  const worked: Arguments[] = [];
  const { deaths } = trial.figures;
  const enough = deaths.length + 3;
  const run = async (args: Arguments): Promise<boolean> => {
    if (deaths.length >= enough) return false;
    return await trial.call(command, { ...fixed, ...args }) ?? false;
  };
  for (const args of [plain, ...singly, ...mixed]) {
    if (await run(args) && worked.length < 2) worked.push(args);
  }
  const bases = worked.length > 0 ? worked : [plain];
  for (const { name, values } of optional) {
    for (const value of some(values, limits.optional, Math.min(1, limits.optional), random)) {
      await run({ ...random.pick(bases), [name]: value });
    }
  }
  if (optional.length === 0) return;
  for (let count = 0; count < chance; count++) {
    await run({ ...random.pick(bases), ...mix(optional.filter(() => random.oneIn(3)), random) });
  }
}

function mix(choices: readonly Choice[], random: Random): Arguments {
  const chosen = choices.filter(({ values }) => values.length > 0);
  return Object.fromEntries(chosen.map(({ name, values }) => [name, random.pick(values)]));
}

/** Takes the first values in their order, and then a few of the others at random. */
function some<T>(things: readonly T[], first: number, more: number, random: Random): readonly T[] {
  const others = things.slice(first);
  const chosen = others.length <= more
    ? others
    : Array.from({ length: more }, () => random.pick(others));
  return [...things.slice(0, first), ...chosen];
}

/** The buses into which devices can be plugged. */
const BUSES = [
  "port4",
  "dev-virtio-scsi-pci.0",
  "dev-qemu-xhci.0",
  "dev-virtio-serial-pci.0",
  "dev-nvme",
  "ide.2",
  "bridge1",
  "pcie.0",
];

/** Properties that some devices require, with values that are probably valid. */
const NEEDED: Readonly<Record<string, readonly Json[]>> = {
  drive: ["disk8"],
  memdev: ["ram4"],
  chardev: ["null0"],
  rng: ["rng0"],
  "socket-id": [1],
  "core-id": [1],
  "thread-id": [0],
};

/** Returns the ways to make devices, which QEMU's schema does not describe. */
async function deviceShapes(machine: Machine, names: Names): Promise<Shape[]> {
  const [{ where, only }] = operatorRows().get("device_add")!.cases as [
    { where: Readonly<Record<string, readonly string[]>>; only: object },
  ];
  const drivers = names.types!.filter((type) =>
    where.driver!.some((glob) => globMatches(glob, type)) &&
    // The others cannot be plugged: all CPUs are of one kind.
    (!type.endsWith("-cpu") || /^(max|qemu64)-/.test(type)) &&
    (LONG || !type.endsWith("-transitional"))
  );
  const shapes: Shape[] = [];
  for (const driver of drivers) {
    const answer = await machine.ask({
      execute: "device-list-properties",
      arguments: { typename: driver },
    });
    const properties: { name: string; type: string }[] = answer?.return ?? [];
    const usable = properties.filter(({ name }) => name in only);
    const choices = usable.map(({ name, type }) => ({
      name,
      values: [...NEEDED[name] ?? [], ...propertyValues(name, type, names)],
    }));
    shapes.push({
      fixed: { driver },
      required: [
        {
          name: "id",
          values: [NEW, ...names.devices!.slice(0, LONG ? 3 : 1), ...LONG ? TEXTS : []],
        },
        ...driver.endsWith("-cpu") ? [] : [{ name: "bus", values: [...BUSES, "", "no-such"] }],
        ...choices.filter(({ name }) => name in NEEDED),
      ],
      optional: choices.filter(({ name }) => !(name in NEEDED)),
    });
  }
  return shapes;
}

/** Values of a device's property, by its type. */
function propertyValues(name: string, type: string, names: Names): readonly Json[] {
  if (name === "drive") return [...names.nodes!, "", "no-such"];
  if (/bool/.test(type)) return [true, false, 1];
  if (/int|size/.test(type)) return INTEGERS;
  return [...names.objects!.slice(0, 5), "hub3", "user0", "on", "1.1", ...TEXTS];
}

/** A way to call a command that a role allows. */
interface Plan {
  readonly command: string;
  readonly shape: Shape;
}

/** The calls that can be tried on a machine. */
interface Plans {
  /** The commands that a role allows. */
  readonly commands: readonly string[];
  readonly plain: readonly Plan[];
  readonly devices: readonly Plan[];
}

async function plansFor(machine: Machine): Promise<Plans> {
  const names = await namesOf(machine);
  const schema: Entity[] = await machine.query("query-qmp-schema");
  const maker = callMaker(schema, names);
  const commands = schema.filter((entity) => entity["meta-type"] === "command")
    .map(({ name }) => name)
    .filter((name) => !ROLES_TRIED.every((role) => refusesEntirely(role, name))).sort();
  const plain = commands.filter((name) => name !== "device_add" && name !== "quit");
  const command = "device_add";
  return {
    commands,
    plain: plain.flatMap((command) => maker.shapesOf(command).map((shape) => ({ command, shape }))),
    devices: (await deviceShapes(machine, names)).map((shape) => ({ command, shape })),
  };
}

/** Tries each way to call a command separately. */
async function sweep(
  trial: Trial,
  plans: readonly Plan[],
  random: Random,
  limits: Limits,
): Promise<void> {
  for (const [index, { command, shape }] of plans.entries()) {
    await tryShape(trial, command, shape, random, limits);
    if (command === plans[index + 1]?.command && command !== "device_add") continue;
    if (SETTING.test(command) || ALONE.has(command)) await trial.restart();
    else await trial.restore();
  }
}

/** Runs commands in random order. */
async function wander(trial: Trial, plans: readonly Plan[], random: Random): Promise<void> {
  for (let step = 0; step < WALK; step++) {
    if (step % WALK_LENGTH === 0) await trial.restart();
    const { command, shape } = random.pick(plans);
    if (ALONE.has(command)) continue;
    const optional = shape.optional.filter(() => random.oneIn(4));
    await trial.call(command, { ...shape.fixed, ...mix([...shape.required, ...optional], random) });
  }
}

/** Tries everything on a paused or running machine. */
async function tryAll(runs: boolean): Promise<void> {
  await using trial = new Trial(runs, await Machine.start(runs));
  await using devices = new Trial(runs, await Machine.start(runs));
  const plans = await plansFor(trial.machine);
  await Promise.all([
    (async () => {
      await sweep(trial, plans.plain, new Random(SEED), LIMITS);
      await wander(trial, [...plans.plain, ...plans.devices], new Random(SEED));
    })(),
    sweep(devices, plans.devices, new Random(SEED), DEVICE_LIMITS),
  ]);
  const { qemu: { major, minor, micro } } = await trial.machine.query("query-version");
  const deaths = [...trial.figures.deaths, ...devices.figures.deaths];
  const calls = trial.figures.calls + devices.figures.calls;
  const figures =
    `QEMU ${major}.${minor}.${micro}, ${runs ? "running" : "paused"}, seed ${SEED}: ` +
    `${plans.commands.length} commands, ${calls} calls, ${deaths.length} deaths`;
  if (LONG) console.log(figures);
  assertEquals(deaths, [], figures);
  const tried = new Set([...trial.figures.commands, ...devices.figures.commands, "quit"]);
  assertEquals([...tried].sort(), plans.commands);
  // Paused or slow jobs would have to be cancelled first.
  await trial.restart();
  await trial.call("quit", {});
  assertEquals(trial.figures.deaths, []);
}

Deno.test({
  name: "QEMU survives everything that observer and operator allow, paused and running",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    await Promise.all([tryAll(false), tryAll(true)]);
  },
});
