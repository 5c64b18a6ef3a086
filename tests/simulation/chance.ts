/**
 * The choice of the next action in a world, at random from a seed.
 *
 * @module
 */

import { Random } from "../support/random.ts";
import {
  type Action,
  COMMAND_LIMIT,
  type Message,
  type Rules,
  type Setting,
  type Spoken,
} from "./actions.ts";
import { type Bounds, RUN } from "./journal.ts";
import { HOSTILE_COUNT, SHAPE_COUNT, type SimulatedQemu } from "./qemu.ts";
import { EVENTS, IDS, type RoleName, type SimGrant } from "./rules.ts";
import type { World } from "./world.ts";

const ROLES: readonly RoleName[] = [
  "full",
  "full",
  "full",
  "observer",
  "operator",
  "guest",
  "admin",
];
/** The roles that may pass descriptors. */
const FREE_ROLES: readonly RoleName[] = ["full", "guest", "admin"];
const OWN = "__org.qmpmux_";
const FILTERS: readonly (readonly string[])[] = [
  ["STOP"],
  ["S*", "R*"],
  ["*"],
  ["STOP", `${OWN}QEMU_LOST`],
  [],
];

/**
 * Bounds of the event log: small ones, so that clients fall behind. A gap is longer than 160 bytes,
 * which most events are not.
 */
const LOGS: readonly Bounds[] = [
  { bytes: 1 << 20, events: 10_000 },
  { bytes: 160, events: 10_000 },
  { bytes: 1 << 20, events: 8 },
  { bytes: 1500, events: 10_000 },
  { bytes: 300, events: 3 },
  { bytes: 0, events: 0 },
];
/** Texts for `since` that are not cursors of a client. */
const WRONG_CURSORS = ["x", "1.2", `${RUN}.1.999999`, `${RUN}.0.1`, `${RUN}.9.2`, "other.1.2", 7];

/** Malformed input that leaves nothing open, and the number of errors that it causes. */
const DAMAGE: readonly (readonly [string, number])[] = [
  ["\xff", 1],
  ["]", 1],
  ['{"execute":}', 1],
  ['{"a" 1}', 1],
  ["[1 2]", 1],
  ['{"execute":"stop","execute":"quit"}', 1],
  ["nope ", 1],
  [`{"execute":"${"x".repeat(2 * COMMAND_LIMIT)}"}`, 1],
  [`{"execute":"x","arguments":{"a":"${"x".repeat(COMMAND_LIMIT)}","b":{"execute":"quit"}}}`, 1],
  ['{"execute":\xff}', 2],
];

const NO_OBJECT = "QMP input must be a JSON object";
const MALFORMED: readonly (readonly [string, string])[] = [
  ["1 ", NO_OBJECT],
  ['["execute"]', NO_OBJECT],
  ['"stop"', NO_OBJECT],
  ["{}", "QMP input lacks member 'execute'"],
  ['{"execute":7}', "QMP input member 'execute' must be a string"],
  ['{"execute":"quit","arguments":[]}', "QMP input member 'arguments' must be an object"],
  ['{"execute":"quit","x":{}}', "QMP input member 'x' is unexpected"],
];

/** The kinds of commands below that use sets. */
const SET_KINDS = [4, 4, 6, 6, 7, 8, 8, 13, 13, 13, 19, 19] as const;

/** Paths that are seldom asked for: for each of these the owner of the command at QEMU is known. */
const PATHS = [..."abcdefghijklmnopqrstuvwxyz"].map((letter) => `/machine/${letter}`);

/** Names of descriptors: letters with three spellings each, which makes many commands differ. */
const FD_NAMES = ["jolo", "monk", "nolo:monk", "joke", "7up"] as const;

const JUNK = [
  "garbage\r\n",
  '{"foo": 1}\r\n',
  '[{"return": {}}]\r\n',
  "\x00",
  '{"error": 5}\r\n',
  '{"error": {"class": 7, "desc": []}}\r\n',
  '{"event": {}}\r\n',
  '{"return":}\r\n',
  '{"return":[]]\r\n',
  `{"foo": ${"[".repeat(1100)}${"]".repeat(1100)}, "return": 1}\r\n`,
];

/** Returns the settings of the world with a seed. */
export function settingOf(seed: number): Setting {
  const random = new Random(seed * 2 + 1);
  const eventLog = new Random(seed ^ 0x10c).pick(LOGS);
  return { seed, pretty: random.oneIn(4), ...rulesOf(random), eventLog };
}

function rulesOf(random: Random): Omit<Rules, "eventLog"> {
  const onLoss = random.oneIn(2) ? "hold" : "close";
  const deadlines = random.pick([
    [],
    [],
    [],
    [{ glob: "device_del", seconds: 6 }, { glob: "query-b*", seconds: 8 }],
    [{ glob: "device_del", seconds: 6 }, { glob: "query-b*", seconds: 8 }],
    [{ glob: "*", seconds: 2 }],
    [{ glob: "*fd", seconds: 2 }, { glob: "*", seconds: 9 }],
  ]);
  return { onLoss, deadlines, probesWhenIdle: random.oneIn(2) };
}

/** A source of actions for one world. */
export class Chance {
  readonly #random: Random;
  /** A separate source of randomness, so that everything else stays as it would be without it. */
  readonly #hostility: Random;
  /** Another one, for subscriptions. */
  readonly #watch: Random;
  /** The number of times in a thousand that a subscriber is considered. */
  readonly #watches: number;
  #eventLog: Bounds;
  readonly #seats: number;
  #tags = 0;
  /** The number of choices for which QEMU stays silent. */
  #silent = 0;
  /** The number of times in a thousand that a client disconnects instead of sending. */
  readonly #restless: number;
  /**
   * The maximum number of choices for which QEMU is silent: long enough for all commands to be
   * abandoned.
   */
  readonly #silence: number;
  /** A measure of QEMU's slowness. */
  readonly #slowness: number;
  /** The query that all clients send more often than any other. */
  readonly #favourite: string;
  /** Whether most clients send the same query, and many at a time. */
  readonly #alike: boolean;
  /** Whether many clients send what another has waiting, while deadlines expire. */
  readonly #echoes: boolean;
  /** Whether queries have a short deadline at present. */
  #hurried = false;
  /** The percentage of messages that are commands with a tag. */
  readonly #asks: number;
  /** The percentage of messages that involve descriptors. */
  readonly #passes: number;
  /** The names of descriptors: few, to cause conflicts. */
  readonly #names: readonly string[];
  /** Whether many of these involve sets. */
  readonly #fillsSets: boolean;
  /** Names of descriptors at QEMU that no client has chosen. */
  readonly #upstreamNames = new Set<string>();
  /** Spellings of commands that have been used. */
  readonly #spelled = new Set<string>();

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#hostility = new Random(~seed);
    this.#watch = new Random(seed ^ 0x5eed);
    this.#watches = this.#watch.pick([0, 20, 150, 400]);
    this.#eventLog = settingOf(seed).eventLog;
    const sort = this.#random.below(12);
    this.#echoes = sort === 0;
    this.#alike = sort < 4;
    this.#seats = this.#random.pick(
      this.#echoes ? [9, 12] : this.#alike ? [6, 9] : [1, 2, 4, 6, 9, 12],
    );
    this.#restless = this.#random.pick([0, 10, 80]);
    this.#slowness = this.#random.pick(this.#echoes ? [10, 20] : [1, 3, 10, 20]);
    this.#favourite = this.#random.pick(
      this.#alike ? ["query-status", "query-block"] : ["query-status", "query-block", "stop"],
    );
    const [deadline] = settingOf(seed).deadlines;
    this.#silence = deadline?.glob === "*" ? 1000 : 100;
    this.#asks = this.#random.pick(this.#echoes ? [85] : this.#alike ? [35, 50] : [18, 60, 60]);
    this.#passes = this.#random.pick([0, 0, 5, 40, 40]);
    this.#fillsSets = this.#random.oneIn(2);
    this.#names = this.#random.pick([
      FD_NAMES,
      FD_NAMES,
      FD_NAMES.slice(1, 3),
      FD_NAMES.slice(3, 4),
    ]);
  }

  next(world: World): Action {
    const random = this.#random;
    const { qemu } = world;
    if (this.#watch.below(1000) < this.#watches) {
      const action = this.#subscriber(world);
      if (action !== undefined) return action;
    }
    if (!qemu.connected && random.oneIn(6)) return this.#arrive();
    if (this.#silent > 0) this.#silent--;
    if (world.drained && random.oneIn(7)) return { do: "lose" };
    if (this.#echoes && random.oneIn(40)) return { do: "retune", rules: this.#sooner() };
    const kind = random.below(1000);
    if (this.#echoes && kind >= 980 && kind < 991 && !random.oneIn(5)) {
      return { do: "tick", by: 1 };
    }
    const who = random.below(this.#seats);
    const client = world.clients.get(who);
    const absent = client === undefined || client.seat.closed;
    if (kind < 500) {
      if (absent) return { do: "connect", who, grant: this.#grant(this.#dialect()) };
      if (random.below(1000) < this.#restless) {
        return { do: "leave", who: this.#leaver(world, who) };
      }
      if (client.outbox !== "") return this.#flow(who, client.outbox.length);
      return this.#say(world, who);
    }
    if (kind < 880) {
      if (this.#silent === 0) {
        const runs = qemu.queue.length > 0 && random.oneIn(this.#slowness);
        if (runs && (qemu.wire === "" || random.oneIn(3))) return this.#run(qemu);
        if (qemu.wire !== "") return this.#hear(Math.max(1, qemu.wire.indexOf("\n") + 1));
      }
      if (absent) return { do: "event", name: random.pick(EVENTS) };
      return client.outbox === "" ? this.#say(world, who) : this.#flow(who, client.outbox.length);
    }
    if (kind < 905) return { do: "event", name: random.pick(EVENTS) };
    if (kind < 930) return { do: "tick", by: random.pick([1, 2, 3]) };
    if (kind < 945) return { do: "leave", who };
    if (kind < 960) return { do: "tick", by: random.pick([0.5, 1, 1, 2, 3, 5, 5, 70]) };
    if (kind < 970 && !absent) {
      return { do: "adopt", who, grant: this.#grant(client.seat.grant.dialect) };
    }
    if (kind < 980) return { do: "stall", who, stalled: random.oneIn(2) };
    if (kind < 983) {
      this.#silent = random.below(this.#silence);
      return { do: "tick", by: 5 };
    }
    if (kind < 985) return { do: "lose" };
    if (kind < 987) return { do: "retune", rules: this.#withLog(rulesOf(random)) };
    if (kind < 988) {
      return { do: "junk", text: random.oneIn(3) ? qemu.greeting : random.pick(JUNK) };
    }
    if (kind < 991) return { do: "stale" };
    // A deadline that is set while a query waits applies to clients that join it later.
    if (this.#alike && kind < 995) return { do: "retune", rules: this.#sooner() };
    if (kind < 996) return { do: "settle" };
    if (kind < 997 && !absent) return { do: "end", who };
    return { do: "tick", by: 2 };
  }

  /** Chooses the client that disconnects, most often one whose command is waiting. */
  #leaver(world: World, otherwise: number): number {
    if (this.#random.oneIn(3)) return otherwise;
    const waiting = [...world.clients].filter(([, { seat }]) => seat.unsent !== undefined);
    return waiting.length === 0 ? otherwise : this.#random.pick(waiting)[0];
  }

  /** Returns settings with a short deadline for all, or with none. */
  #sooner(): Rules {
    const { onLoss, probesWhenIdle } = rulesOf(this.#random);
    this.#hurried = this.#random.oneIn(2);
    const glob = this.#echoes ? "qom-list" : "*";
    const deadlines = this.#hurried ? [{ glob, seconds: 1 }] : [];
    return this.#withLog({ onLoss: this.#echoes ? "hold" : onLoss, deadlines, probesWhenIdle });
  }

  /** Adds the bounds of the event log, which change seldom. */
  #withLog(rules: Omit<Rules, "eventLog">): Rules {
    if (this.#watch.oneIn(3)) this.#eventLog = this.#watch.pick(LOGS);
    return { ...rules, eventLog: this.#eventLog };
  }

  /** Returns an action of a client that subscribes, or of one that might. */
  #subscriber(world: World): Action | undefined {
    const watch = this.#watch;
    const who = watch.below(this.#seats);
    const client = world.clients.get(who);
    if (client === undefined || client.seat.phase !== "command") return undefined;
    if (client.seat.closed) {
      if (client.wire === undefined || client.wire.empty || !client.stalled) return undefined;
      return { do: "sip", who, lines: 1 + watch.below(4) };
    }
    if (watch.oneIn(3)) return { do: "event", name: watch.pick(EVENTS) };
    if (client.wire !== undefined && client.stalled && !watch.oneIn(4)) {
      return { do: "sip", who, lines: 1 + watch.below(watch.pick([1, 4, 30])) };
    }
    const kind = watch.below(20);
    if (kind < 3) return { do: "stall", who, stalled: true };
    if (kind < 5) return { do: "stall", who, stalled: false };
    if (kind < 6) return { do: "leave", who };
    if (kind < 7) return { do: "adopt", who, grant: this.#grant(client.seat.grant.dialect) };
    if (kind < 8) return { do: "tick", by: watch.pick([1, 2, 5]) };
    if (client.outbox !== "") return this.#flow(who, client.outbox.length);
    if (client.wire !== undefined && watch.oneIn(3)) return this.#say(world, who);
    if (client.wire !== undefined && watch.oneIn(2)) return undefined;
    const [text, ...spoken] = this.#command(`${OWN}subscribe`, this.#subscription(world));
    return { do: "say", who, messages: [{ text, spoken }] };
  }

  /** Returns the arguments of a subscription. */
  #subscription({ cursors }: World): [string, unknown][] {
    const watch = this.#watch;
    const args: [string, unknown][] = [];
    const kind = watch.below(8);
    const [latest] = cursors.slice(-1);
    if (kind === 0) args.push(["since", watch.pick(WRONG_CURSORS)]);
    else if (kind < 3 || kind < 7 && latest === undefined) args.push(["since", "oldest"]);
    else if (kind < 5) args.push(["since", latest]);
    else if (kind < 7) args.push(["since", watch.pick(cursors)]);
    if (watch.oneIn(3)) args.push(["enable", watch.oneIn(12) ? 7 : watch.pick(FILTERS)]);
    if (!watch.oneIn(4)) {
      args.push(["bookmarks", watch.pick(["each", "each", "each", 1, 3, 0, "x"])]);
    }
    return args;
  }

  #arrive(): Action {
    const random = this.#random;
    return {
      do: "arrive",
      fresh: random.oneIn(2),
      version: random.below(2),
      oob: !random.oneIn(4),
      slips: random.oneIn(4),
      refuses: random.oneIn(12),
      stale: random.oneIn(3),
    };
  }

  #dialect(): SimGrant["dialect"] {
    return this.#random.pick(["qmp", this.#alike ? "qmp" : "rfc2010"]);
  }

  #grant(dialect: SimGrant["dialect"]): SimGrant {
    const random = this.#random;
    const free = this.#passes > 5 && !random.oneIn(3);
    const role = this.#alike ? "full" : random.pick(free ? FREE_ROLES : ROLES);
    return {
      name: "stage",
      role,
      dialect,
      events: random.oneIn(3) ? random.pick(FILTERS) : undefined,
      caches: !random.oneIn(3),
      joins: !random.oneIn(this.#alike ? 12 : 4),
    };
  }

  #run({ queue }: SimulatedQemu): Action {
    const random = this.#random;
    const isRead = /^(query-commands|add-fd)$/.test(queue[0]?.name ?? "");
    if (this.#hostility.oneIn(isRead ? 10 : 2000)) {
      return { do: "defy", shape: this.#hostility.below(HOSTILE_COUNT) };
    }
    return {
      do: "run",
      fails: random.oneIn(this.#passes > 5 ? 4 : 8),
      shape: random.below(SHAPE_COUNT),
      event: random.oneIn(10) ? random.pick(EVENTS) : "",
    };
  }

  #hear(length: number): Action {
    const random = this.#random;
    const bytes = random.pick([length, length, length, 4096, 1 + random.below(length)]);
    return { do: "hear", bytes };
  }

  #flow(who: number, length: number): Action {
    const random = this.#random;
    return { do: "flow", who, bytes: random.oneIn(3) ? 1 + random.below(length) : length };
  }

  /** Makes a client send one message, or many. */
  #say(world: World, who: number): Action {
    const random = this.#random;
    const { seat } = world.clients.get(who)!;
    const asks = this.#echoes && seat.phase === "command" && !seat.oob;
    if (asks && random.below(4) > 0) return this.#ask(world, who);
    const messages: Message[] = [];
    let count = random.oneIn(seat.oob ? 3 : 12) ? 1 + random.below(random.pick([3, 14])) : 1;
    if (seat.phase !== "command") count = random.oneIn(6) ? 3 : 1;
    for (let i = 0; i < count; i++) {
      const { phase, grant: { dialect }, oob } = seat;
      const [text, ...spoken] = this.#message(phase === "command", dialect, oob, world);
      messages.push({ text, spoken, ...this.#fds(text, spoken) });
    }
    return { do: "say", who, messages };
  }

  /**
   * Makes a client send a query if none of its own is pending: another client's query, while there
   * are deadlines.
   */
  #ask({ clients }: World, who: number): Action {
    const random = this.#random;
    const { seat } = clients.get(who)!;
    if (seat.entries.length > 0 || (!this.#hurried && random.oneIn(2))) {
      return { do: "event", name: random.pick(EVENTS) };
    }
    const others = [...clients.values()].flatMap(({ seat: { unsent } }) => {
      const { name, args } = unsent?.command ?? {};
      // A text with a number belongs to one client.
      return name === "qom-list" && !/\d/.test(args!) ? [JSON.parse(args!).path as string] : [];
    });
    const echo = this.#hurried && others.length > 0;
    const path = random.pick(echo ? others : PATHS);
    const [text, ...spoken] = this.#command("qom-list", [["path", path]]);
    return { do: "say", who, messages: [{ text, spoken }] };
  }

  #message(
    operational: boolean,
    dialect: SimGrant["dialect"],
    oob: boolean,
    world: World,
  ): [string, ...Spoken[]] {
    const random = this.#random;
    if (operational && random.below(100) < this.#passes) return this.#descriptors(oob, world);
    const kind = random.below(100);
    if (kind < 4) {
      const [text, count] = random.pick(DAMAGE);
      return [`${text}\n`, ...Array.from({ length: count }, (): Spoken => ({ kind: "damage" }))];
    }
    if (kind < 7) {
      const [text, because] = random.pick(MALFORMED);
      return [text, { kind: "malformed", because, id: undefined }];
    }
    if (!operational && this.#alike && dialect === "qmp") {
      const oob = !this.#echoes || random.oneIn(2);
      return this.#command("qmp_capabilities", oob ? [["enable", ["oob"]]] : []);
    }
    if (!operational && kind < 80) return this.#handshake(dialect);
    if (kind < 10) return this.#handshake(random.pick(["qmp", "rfc2010"]));
    if (kind < 16) return this.#own(world);
    if (kind < (oob ? 34 : 18)) return this.#command(...this.#tagged(), true);
    if (kind < this.#asks) return this.#command(...this.#tagged());
    if (kind === 99 && random.oneIn(6)) return this.#command("quit");
    const name = this.#alike && !random.oneIn(4) ? this.#favourite : random.pick([
      this.#favourite,
      this.#favourite,
      this.#favourite,
      "query-status",
      "query-block",
      "query-version",
      "query-name",
      "query-commands",
      "stop",
      "cont",
      "qom-list",
    ]);
    if (name === "qom-list") {
      return this.#command(name, [["path", random.pick(["/", "/machine"])]]);
    }
    return this.#command(name);
  }

  #handshake(dialect: SimGrant["dialect"]): [string, ...Spoken[]] {
    const random = this.#random;
    if (dialect === "qmp") {
      const enable = random.pick([undefined, [], ["oob"], ["oob"], ["oob"], ["oob", "oob"], [
        "nope",
      ], 7]);
      return this.#command("qmp_capabilities", enable === undefined ? [] : [["enable", enable]]);
    }
    const name = random.pick([...EVENTS, ...EVENTS, "bad name"]);
    switch (random.below(7)) {
      case 0:
        return this.#command("query-qmp-mode");
      case 1:
        return this.#command("async_msg_disable", [["name", name]]);
      case 2:
      case 3:
        return this.#command("qmp_switch_mode", [["mode", random.pick(["operational", "x"])]]);
      default:
        return this.#command("async_msg_enable", [["name", name]]);
    }
  }

  #own(world: World): [string, ...Spoken[]] {
    const random = this.#random;
    switch (random.below(7)) {
      case 6:
        return this.#end(world);
      case 0:
        return this.#command(`${OWN}query-clients`, [], random.oneIn(3));
      case 1:
        return this.#command(`${OWN}query-self`, [], random.oneIn(6));
      case 2:
        return this.#command(`${OWN}nope`);
      case 3:
        return this.#command(`${OWN}set-event-filter`, [["enable", 7]]);
      default:
        return this.#command(`${OWN}set-event-filter`, [["enable", random.pick(FILTERS)]]);
    }
  }

  /** Ends a client's stream, or disconnects it through itself. */
  #end({ clients }: World): [string, ...Spoken[]] {
    const random = this.#random;
    const numbers = [...clients.values()].map(({ seat }) => seat.number);
    const name = `stage/${random.oneIn(4) ? 0 : random.pick(numbers)}`;
    return this.#command(`${OWN}disconnect-client`, [["name", name]]);
  }

  /** Returns a command whose text is unique. */
  #tagged(): [string, [string, unknown][]] {
    const random = this.#random;
    const tag = `t${++this.#tags}`;
    switch (random.below(7)) {
      case 0:
        return ["qom-get", [["path", tag], ["property", random.pick(["type", "secret"])]]];
      case 1:
        return ["qom-list", [["path", tag]]];
      case 2:
        return ["human-monitor-command", [["command-line", tag]]];
      case 3:
        return ["query-yank", [["t", tag]]];
      case 4:
        return ["x-thing", [["tag", tag]]];
      case 5:
        return ["migrate-recover", [["uri", tag]]];
      default:
        return ["device_del", [["id", tag]]];
    }
  }

  /** Chooses whether descriptors are sent with a message, and where. */
  #fds(text: string, spoken: readonly Spoken[]): { fds?: number } {
    const random = this.#random;
    if (this.#passes === 0) return {};
    const takes = spoken.some((each) =>
      each.kind === "command" && (each.name === "getfd" || each.name === "add-fd")
    );
    if (!(takes ? random.below(4) > 0 : random.oneIn(30))) return {};
    return { fds: random.oneIn(3) ? random.below(text.length) : 0 };
  }

  /** Returns a command that passes, uses or closes a descriptor, or would if it were valid. */
  #descriptors(oob: boolean, world: World): [string, ...Spoken[]] {
    const { qemu } = world;
    const random = this.#random;
    const name = this.#fdName(world);
    const tag = `t${++this.#tags}`;
    const sets = [...qemu.table.sets.values()];
    const set = sets.length > 0 && !random.oneIn(6)
      ? random.oneIn(2) ? sets.at(-1) : random.pick(sets)
      : undefined;
    const id = set?.id ?? random.below(3);
    const fd = set !== undefined && !random.oneIn(3) ? random.pick([...set.fds.keys()]) : 10;
    const kind = this.#fillsSets && !random.oneIn(4) ? random.pick(SET_KINDS) : random.below(25);
    switch (kind) {
      case 0:
        return this.#passing("getfd", [["name", name]]);
      case 1:
        return this.#passing("getfd", [["fdname", name], ["x", 1]]);
      case 2:
        return this.#passing("add-fd", [["fdset-id", "none"]]);
      case 3:
        return this.#passing("getfd", [["fdname", random.oneIn(2) ? 7 : name]], oob);
      case 4:
      case 5:
        return this.#passing("add-fd", []);
      case 6:
        return this.#passing("add-fd", [["fdset-id", id], ["opaque", "o"]]);
      case 7:
        return this.#passing("remove-fd", [["fdset-id", id]]);
      case 8:
        return this.#passing("remove-fd", [["fdset-id", id], ["fd", fd]]);
      case 9:
        return this.#passing("migrate", [["uri", `fd:${name}`]]);
      case 10:
        return this.#passing("add_client", [["protocol", "vnc"], ["fdname", name]]);
      case 11: {
        const fds = random.oneIn(2) ? name : `${name}:${random.pick(this.#names)}`;
        return this.#passing("netdev_add", [["type", "tap"], ["id", tag], ["fds", fds]]);
      }
      case 12: {
        const backend = { type: "socket", data: { addr: { type: "fd", data: { str: name } } } };
        return this.#passing("chardev-add", [["id", tag], ["backend", backend]]);
      }
      case 13:
        return this.#passing("blockdev-add", [
          ["driver", "file"],
          ["node-name", tag],
          ["filename", `/dev/fdset/${id}`],
        ]);
      case 19: {
        const node = [...qemu.table.nodes.keys()].at(random.oneIn(2) ? -1 : 0) ?? tag;
        return this.#passing("blockdev-del", [["node-name", node]]);
      }
      case 20:
        // QEMU ignores the name.
        return this.#passing("netdev_add", [
          ["type", "stream"],
          ["id", tag],
          ["addr", { type: "fd", str: name }],
        ]);
      case 14:
        return this.#passing("migrate-recover", [["uri", `fd:${name}`]], oob);
      case 15:
      case 16:
        return this.#passing("closefd", [["fdname", name]]);
      case 17:
        return this.#end(world);
      case 18:
      case 21:
      case 22:
        // A query that could be shared, and must not be: its name is each client's own.
        if (/\d/.test(name)) return this.#passing("getfd", [["fdname", name]]);
        return this.#command("qom-list", [["path", "/"], ["fdname", name]]);
      default:
        return this.#passing("getfd", [["fdname", name]]);
    }
  }

  /**
   * Returns a name of a descriptor; sometimes QEMU's name for one that a client has passed, or had.
   */
  #fdName({ qemu: { table } }: World): string {
    const random = this.#random;
    for (const name of table.names.keys()) if (name.includes("~")) this.#upstreamNames.add(name);
    const tagged = [...this.#upstreamNames].slice(-4);
    return tagged.length > 0 && random.oneIn(12) ? random.pick(tagged) : random.pick(this.#names);
  }

  /** Returns such a command in a unique spelling. */
  #passing(
    name: string,
    args: readonly (readonly [string, unknown])[],
    oob = false,
  ): [string, ...Spoken[]] {
    for (let tries = 0;; tries++) {
      // There are few spellings without arguments.
      const more = tries < 20 ? args : [...args, ["opaque", `t${++this.#tags}`] as const];
      const [text, command] = this.#command(name, more, oob, true);
      const { strict } = command as Spoken & { kind: "command" };
      // Without an escape it could be one of qmpmux's own.
      if (!strict.includes("\\u") || this.#spelled.has(strict)) continue;
      this.#spelled.add(strict);
      return [text, command!];
    }
  }

  /** Returns a JSON text with some letters of its strings in another spelling. */
  #respelled(json: string): string {
    const random = this.#random;
    return json.replace(/"[^"]*"/g, (string) =>
      string.replace(/[a-z]/g, (letter) => {
        if (!random.oneIn(4)) return letter;
        const hex = letter.charCodeAt(0).toString(16);
        return `\\u00${random.oneIn(2) ? hex : hex.toUpperCase()}`;
      }));
  }

  /** Returns a command in some spelling. */
  #command(
    name: string,
    args: readonly (readonly [string, unknown])[] = [],
    oob = false,
    respelled = false,
  ): [string, ...Spoken[]] {
    const random = this.#random;
    const argsText = JSON.stringify(Object.fromEntries(args));
    const tagged = /\d/.test(argsText);
    // The same letter in another spelling: only if no other command has the same text.
    const escaped = tagged && random.oneIn(8)
      ? `\\u00${name.charCodeAt(0).toString(16)}`
      : name[0]!;
    const verb = oob ? "exec-oob" : "execute";
    const said = respelled ? this.#respelled(`"${name}"`) : `"${escaped}${name.slice(1)}"`;
    const pairs: [string, string][] = [[verb, said]];
    if (args.length > 0 || random.oneIn(12) && tagged) {
      pairs.push(["arguments", respelled ? this.#respelled(argsText) : argsText]);
    }
    const [written, id] = random.oneIn(3) ? [undefined, undefined] : random.pick(IDS);
    const strict = `{${pairs.map(([key, value]) => `"${key}":${value}`).join(",")}}`;
    if (written !== undefined) pairs.splice(random.below(pairs.length + 1), 0, ["id", written]);
    const loose = random.oneIn(4);
    const space = (): string => loose ? random.pick(["", " ", "\t", "\r\n"]) : "";
    const quote = (text: string): string =>
      loose && /^"[a-z_-]*"$/.test(text) ? `'${text.slice(1, -1)}'` : text;
    const members = pairs.map(([key, value]) =>
      `${space()}${quote(`"${key}"`)}${space()}:${space()}${quote(value)}${space()}`
    );
    const text = `{${members.join(",")}}${random.pick(["", "\n", "\r\n"])}`;
    return [text, { kind: "command", name, oob, id, strict, args: argsText }];
  }
}
