/**
 * What happens next in a world, by chance that follows from a seed.
 *
 * @module
 */

import { Random } from "../support/random.ts";
import type { Action, Message, Setting, Spoken } from "./actions.ts";
import { SHAPE_COUNT } from "./qemu.ts";
import { EVENTS, IDS, type RoleName, type SimTerms } from "./rules.ts";
import type { World } from "./world.ts";

const ROLES: readonly RoleName[] = ["full", "full", "full", "observer", "operator", "guest"];
const FILTERS: readonly (readonly string[])[] = [["STOP"], ["S*", "R*"], ["*"], []];
const OWN = "__org.qmpmux_";

/** Damage that leaves nothing open behind it, and how many values of it are told. */
const DAMAGE: readonly (readonly [string, number])[] = [
  ["\xff", 1],
  ["]", 1],
  ['{"execute":}', 1],
  ['{"a" 1}', 1],
  ["[1 2]", 1],
  ['{"execute":"stop","execute":"quit"}', 1],
  ["nope ", 1],
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

const JUNK = ["garbage\r\n", '{"foo": 1}\r\n', '[{"return": {}}]\r\n', "\x00"];

/** The settings of the world of a seed. */
export function settingOf(seed: number): Setting {
  const random = new Random(seed * 2 + 1);
  const onLoss = random.oneIn(2) ? "hold" : "close";
  const deadlines = random.pick([
    [],
    [],
    [],
    [{ glob: "device_del", seconds: 6 }, { glob: "query-b*", seconds: 8 }],
    [{ glob: "device_del", seconds: 6 }, { glob: "query-b*", seconds: 8 }],
    [{ glob: "*", seconds: 2 }],
  ]);
  return { seed, onLoss, deadlines };
}

/** Chooses what happens in one world. */
export class Chance {
  readonly #random: Random;
  readonly #seats: number;
  #tags = 0;
  /** Is QEMU silent, and for how many choices? */
  #silent = 0;
  /** How often of a thousand a client leaves instead of talking. */
  readonly #restless: number;
  /** For how many choices QEMU is silent, at most: long enough for all to be given up. */
  readonly #silence: number;
  /** How slow QEMU is. */
  readonly #slowness: number;
  /** What all ask more often than anything else. */
  readonly #favourite: string;
  /** Do most ask the same, and much of it at a time? */
  readonly #alike: boolean;
  /** How many of a hundred messages are below untagged commands. */
  readonly #asks: number;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#alike = this.#random.oneIn(4);
    this.#seats = this.#random.pick(this.#alike ? [6, 9] : [1, 2, 4, 6, 9, 12]);
    this.#restless = this.#random.pick([0, 10, 80]);
    this.#slowness = this.#random.pick([1, 3, 10, 20]);
    this.#favourite = this.#random.pick(
      this.#alike ? ["query-status", "query-block"] : ["query-status", "query-block", "stop"],
    );
    const [deadline] = settingOf(seed).deadlines;
    this.#silence = deadline?.glob === "*" ? 1000 : 100;
    this.#asks = this.#random.pick(this.#alike ? [35, 50] : [18, 60, 60]);
  }

  next(world: World): Action {
    const random = this.#random;
    const { qemu } = world;
    if (!qemu.connected && random.oneIn(6)) return this.#arrive();
    if (this.#silent > 0) this.#silent--;
    if (world.drained && random.oneIn(7)) return { do: "lose" };
    const kind = random.below(1000);
    const who = random.below(this.#seats);
    const client = world.clients.get(who);
    const absent = client === undefined || client.seat.closed;
    if (kind < 500) {
      if (absent) return { do: "connect", who, terms: this.#terms(this.#dialect()) };
      if (random.below(1000) < this.#restless) {
        return { do: "leave", who: this.#leaver(world, who) };
      }
      if (client.outbox !== "") return this.#flow(who, client.outbox.length);
      return this.#say(world, who);
    }
    if (kind < 880) {
      if (this.#silent === 0) {
        const runs = qemu.queue.length > 0 && random.oneIn(this.#slowness);
        if (runs && (qemu.wire === "" || random.oneIn(3))) return this.#run();
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
      return { do: "adopt", who, terms: this.#terms(client.seat.terms.dialect) };
    }
    if (kind < 980) return { do: "stall", who, stalled: random.oneIn(2) };
    if (kind < 983) {
      this.#silent = random.below(this.#silence);
      return { do: "tick", by: 5 };
    }
    if (kind < 987) return random.oneIn(2) ? { do: "lose" } : { do: "tick", by: 1 };
    if (kind < 988) {
      return { do: "junk", text: random.oneIn(3) ? qemu.greeting : random.pick(JUNK) };
    }
    if (kind < 991) return { do: "stale" };
    if (kind < 996) return { do: "settle" };
    return { do: "tick", by: 2 };
  }

  /** Who leaves: most of all one whose command waits here. */
  #leaver(world: World, otherwise: number): number {
    if (this.#random.oneIn(3)) return otherwise;
    const waiting = [...world.clients].filter(([, { seat }]) => seat.unsent !== undefined);
    return waiting.length === 0 ? otherwise : this.#random.pick(waiting)[0];
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

  #dialect(): SimTerms["dialect"] {
    return this.#random.pick(["qmp", this.#alike ? "qmp" : "rfc2010"]);
  }

  #terms(dialect: SimTerms["dialect"]): SimTerms {
    const random = this.#random;
    const role = this.#alike ? "full" : random.pick(ROLES);
    return {
      name: "stage",
      role,
      dialect,
      events: random.oneIn(3) ? random.pick(FILTERS) : undefined,
      caches: !random.oneIn(3),
      joins: !random.oneIn(this.#alike ? 12 : 4),
    };
  }

  #run(): Action {
    const random = this.#random;
    return {
      do: "run",
      fails: random.oneIn(8),
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

  /** One message, or a flood of them. */
  #say(world: World, who: number): Action {
    const random = this.#random;
    const { seat } = world.clients.get(who)!;
    const messages: Message[] = [];
    let count = random.oneIn(seat.oob ? 3 : 12) ? 1 + random.below(random.pick([3, 14])) : 1;
    if (seat.phase !== "command") count = random.oneIn(6) ? 3 : 1;
    for (let i = 0; i < count; i++) {
      const { phase, terms: { dialect }, oob } = seat;
      const [text, ...spoken] = this.#message(phase === "command", dialect, oob);
      messages.push({ text, spoken });
    }
    return { do: "say", who, messages };
  }

  #message(
    operational: boolean,
    dialect: SimTerms["dialect"],
    oob: boolean,
  ): [string, ...Spoken[]] {
    const random = this.#random;
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
      return this.#command("qmp_capabilities", [["enable", ["oob"]]]);
    }
    if (!operational && kind < 80) return this.#handshake(dialect);
    if (kind < 10) return this.#handshake(random.pick(["qmp", "rfc2010"]));
    if (kind < 16) return this.#own();
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

  #handshake(dialect: SimTerms["dialect"]): [string, ...Spoken[]] {
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

  #own(): [string, ...Spoken[]] {
    const random = this.#random;
    switch (random.below(6)) {
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

  /** A command that no other says. */
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

  /** A command in some spelling. */
  #command(
    name: string,
    args: readonly (readonly [string, unknown])[] = [],
    oob = false,
  ): [string, ...Spoken[]] {
    const random = this.#random;
    const argsText = JSON.stringify(Object.fromEntries(args));
    const tagged = /\d/.test(argsText);
    // The same letter, written otherwise: only where no other says the same.
    const escaped = tagged && random.oneIn(8)
      ? `\\u00${name.charCodeAt(0).toString(16)}`
      : name[0]!;
    const verb = oob ? "exec-oob" : "execute";
    const pairs: [string, string][] = [[verb, `"${escaped}${name.slice(1)}"`]];
    if (args.length > 0 || random.oneIn(12) && tagged) pairs.push(["arguments", argsText]);
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
