/**
 * A real QEMU, one qmpmux, many clients that check everything, for any length of time.
 *
 * Clients pause between their acts, because QEMU must not always be busy; in a burst all of them
 * continue at once. Problems are listed; measurements are returned sample by sample, for the caller
 * to judge.
 *
 * @module
 */

import { Lines } from "../support/lines.ts";
import { TestClient } from "../support/client.ts";
import { within } from "../support/deadline.ts";
import { listens, makePlace } from "../support/place.ts";
import { startQemu } from "../support/qemu.ts";
import { Random } from "../support/random.ts";
import { type Costly, type Kind, KINDS, LASTING, LISTENERS } from "./behaviours.ts";
import type { Surroundings } from "./behaviours.ts";
import { Caller, type Desk, Gone, isGone } from "./caller.ts";
import { EventRecord } from "./events.ts";
import { Durations, fetchMetrics, type Metrics, weigh } from "./sampler.ts";
import { kill } from "../support/qmpmux.ts";

/** The size and the length of a load. */
export interface LoadOptions {
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
  /** Commands per second that all clients together aim at. */
  readonly rate: number;
  /** Seconds from burst to burst, and from sample to sample. */
  readonly burst: number;
  readonly sample: number;
  /** The number of problems at which the run ends; 20 by default. */
  readonly most?: number;
  /** The seconds after which everything must have been freed at the end; 30 by default. */
  readonly settle?: number;
  /** The command that starts qmpmux, and its first arguments. */
  readonly program: readonly [string, readonly string[]];
}

/** A sample of everything. Memory in bytes, times in seconds, but waiting in milliseconds. */
export interface Sample {
  readonly kind: "sample";
  /** The time since the first client. */
  readonly seconds: number;
  /** The commands answered and the connections opened so far. */
  readonly commands: number;
  readonly connections: number;
  /** Connected clients, as qmpmux counts them. */
  readonly clients: number;
  readonly rate: number;
  readonly p50: number | null;
  readonly p99: number | null;
  /** Whether there was a burst since the last sample. */
  readonly burst: boolean;
  /** The number of events that all clients have got so far. */
  readonly events: number;
  readonly qmpmux: Process;
  readonly qemu: Process;
  /** Some of the metrics. */
  readonly inFlight: number;
  readonly waiting: number;
  readonly unread: number;
  /** The load average of the machine, over a minute. */
  readonly load: number;
}

/** A process: `processor` is the part of one processor it used since the last sample. */
export interface Process {
  readonly resident: number;
  readonly anonymous: number;
  readonly descriptors: number;
  readonly processor: number;
}

/** The result of a load. */
export interface LoadResult {
  /** The problems that were found. */
  readonly wrong: readonly string[];
  readonly samples: readonly Sample[];
  /** The counts, by name. */
  readonly counts: Readonly<Record<string, number>>;
  /** The log of qmpmux after its start, without the lines about each reload. */
  readonly log: readonly string[];
}

/** The number of problems at which a run ends by default. */
const WRONG_LIMIT = 20;
/** A reply never takes longer, on any machine. */
const PATIENCE_MS = 120_000;
/** The interval at which clients with overdue replies are searched for. */
const TIDY_MS = 1000;
/**
 * The interval at which a test checks whether everything has been freed: there is no event to wait
 * for.
 */
const SETTLE_POLL_MS = 50;
/** The longest a timer takes. */
const FOR_EVER_MS = 2 ** 31 - 1;
/** Events older than this have arrived everywhere, or never will. */
const EVENT_AGE_MS = 120_000;

/** The number of times a second that each costly act may happen, among all clients. */
const BUDGETS: Readonly<Record<Costly, number>> = {
  toggle: 1,
  job: 0.15,
  list: 0.2,
  schema: 0.2,
  reload: 0.05,
};

/** Runs everything; `each` is called with every sample. */
export async function runLoad(
  options: LoadOptions,
  each: (sample: Sample) => void = () => {},
): Promise<LoadResult> {
  using place = makePlace();
  await using qemu = await startQemu(`${place.path}/vm`, [
    "-qmp",
    `unix:${place.path}/direct,server=on,wait=off`,
  ]);
  await within("QEMU's other socket", listens(`${place.path}/direct`));
  const record = new EventRecord();
  await using direct = await Direct.connect(`${place.path}/direct`, record);
  const lasting = new Map<string, string>();
  for (const name of LASTING) lasting.set(name, await direct.answerTo(name));
  const config = `${place.path}/qmpmux.toml`;
  Deno.writeTextFileSync(config, configuration(place.path, options.clients));
  await using mux = await startMux(options.program, config);
  const load = new Load(options, place.path, record, direct, lasting);
  await load.run({ mux, qemu: qemu.pid, each });
  return load.result(mux.said);
}

function configuration(place: string, clients: number): string {
  const most = 2 * clients + 10;
  const listeners = Object.entries(LISTENERS).map(([name, settings]) =>
    `\n[[listen]]\naddress = "unix:${place}/${name}"\nname = "${name}"\n` +
    `max-clients = ${most}\n${settings}\n`
  );
  return `qemu = "unix:${place}/vm"\nmetrics = "unix:${place}/metrics"\n` +
    `max-clients = ${most}\n${listeners.join("")}`;
}

interface Mux extends AsyncDisposable {
  readonly pid: number;
  /** Its log so far. */
  readonly said: string[];
  readonly ended: Promise<Deno.CommandStatus>;
}

async function startMux([command, first]: LoadOptions["program"], config: string): Promise<Mux> {
  const child = new Deno.Command(command, {
    args: [...first, "serve", "--config", config],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const ended = child.status;
  const log = new Lines(child.stderr);
  const said: string[] = [];
  await log.until(/connected to QEMU/);
  const reading = (async () => {
    for (;;) {
      const line = await log.next("a line of the log", FOR_EVER_MS);
      if (line === undefined) return;
      if (!/the configuration has been reloaded/.test(line)) said.push(line);
    }
  })();
  return {
    pid: child.pid,
    said,
    ended,
    async [Symbol.asyncDispose](): Promise<void> {
      kill(child);
      await ended;
      await reading;
    },
  };
}

/** A separate monitor of QEMU, beside qmpmux: its events are the record. */
class Direct implements AsyncDisposable {
  readonly #client: TestClient;
  readonly #record: EventRecord;
  readonly greeting: string;
  #asked = 0;
  #answers = new Map<string, (line: string) => void>();
  #barrier: Promise<unknown> | undefined;
  #reading: Promise<void> = Promise.resolve();

  private constructor(client: TestClient, record: EventRecord, greeting: string) {
    this.#client = client;
    this.#record = record;
    this.greeting = greeting;
  }

  static async connect(path: string, record: EventRecord): Promise<Direct> {
    const client = await TestClient.connect(path);
    const greeting = await client.line();
    await client.ask({ execute: "qmp_capabilities" });
    const direct = new Direct(client, record, greeting);
    direct.#reading = direct.#read();
    return direct;
  }

  async #read(): Promise<void> {
    for (;;) {
      const line = await this.#client.lines.next("QEMU", FOR_EVER_MS).catch((error) => {
        if (isGone(error)) return undefined;
        throw error;
      });
      if (line === undefined) return;
      if (line.startsWith('{"timestamp": ')) this.#record.add(line);
      else {
        const [, id] = /, "id": (\d+)\}$/.exec(line)!;
        this.#answers.get(id!)!(line);
        this.#answers.delete(id!);
      }
    }
  }

  /** Returns QEMU's reply to a command. */
  async answerTo(execute: string): Promise<string> {
    const id = ++this.#asked;
    const answered = Promise.withResolvers<string>();
    this.#answers.set(`${id}`, answered.resolve);
    await this.#client.send({ execute, id });
    const line = await within("QEMU's own answer", answered.promise, PATIENCE_MS);
    return line.slice('{"return": '.length, -`, "id": ${id}}`.length);
  }

  /**
   * Extends the record to the present. One command serves all callers that wait before it is sent.
   */
  async reach(): Promise<void> {
    this.#barrier ??= Promise.resolve().then(() => {
      this.#barrier = undefined;
      return this.answerTo("query-name");
    });
    await this.#barrier;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await this.#reading;
  }
}

interface Stage {
  readonly mux: Mux;
  readonly qemu: number;
  readonly each: (sample: Sample) => void;
}

class Load implements Surroundings, Desk {
  readonly random: Random;
  readonly greeting: string;
  readonly victims: { readonly name: string; readonly gone: Promise<void> }[] = [];
  readonly #end = Promise.withResolvers<void>();
  readonly end = this.#end.promise;
  readonly #options: LoadOptions;
  readonly #place: string;
  readonly #direct: Direct;
  readonly #callers = new Set<Caller>();
  readonly #durations = new Durations();
  readonly #wrong: string[] = [];
  readonly #told = new WeakSet<Caller>();
  readonly #samples: Sample[] = [];
  /** The clients that pause, and the functions that wake them. */
  readonly #sleepers = new Set<() => void>();
  readonly #spent = new Map<Costly, number>();
  readonly #counts = {
    sent: 0,
    answered: 0,
    wellFormed: 0,
    abandoned: 0,
    connections: 0,
    events: 0,
    bursts: 0,
  };
  #over = false;
  #aborted = false;
  #burst = false;
  #began = 0;

  constructor(
    options: LoadOptions,
    place: string,
    readonly record: EventRecord,
    direct: Direct,
    readonly lasting: ReadonlyMap<string, string>,
  ) {
    this.#options = options;
    this.#place = place;
    this.#direct = direct;
    this.random = new Random(options.seed);
    this.greeting = direct.greeting;
  }

  async run(stage: Stage): Promise<void> {
    const { seconds, clients, burst, sample } = this.#options;
    const { mux } = stage;
    const base = weigh(mux.pid).descriptors;
    this.#began = performance.now();
    const timers = [
      setTimeout(() => this.#finish(), seconds * 1000),
      setInterval(() => this.#wakeAll(), burst * 1000),
      setInterval(() => this.#tidy(), TIDY_MS),
    ];
    void mux.ended.then(() => {
      if (!this.#over) this.#note("qmpmux has ended");
    });
    const lives = kindsFor(clients).map((kind) => this.#live(kind));
    const sampling = this.#sampleEvery(sample, stage).catch((error) => this.#fail(error));
    await Promise.all(lives);
    this.#finish();
    for (const timer of timers) clearTimeout(timer);
    await sampling;
    if (this.#wrong.length === 0) await this.#reckon(mux, base);
  }

  result(log: readonly string[]): LoadResult {
    const wrong = [...this.#wrong];
    // Administrators of the load disconnect clients.
    const unwanted = /was dropped|was closed(?!: disconnected by admin\/)|a client was refused/;
    wrong.push(...log.filter((line) => unwanted.test(line)));
    const counts = { ...this.#counts, qemuEvents: this.record.length };
    return { wrong, samples: this.#samples, counts, log };
  }

  pause(commands: number): Promise<void> {
    if (this.#over) return Promise.resolve();
    const { clients, rate } = this.#options;
    // Exponential: clients are independent of each other.
    const chance = (1 + this.random.below(1e6)) / 1e6;
    const ms = Math.min(60_000, -Math.log(chance) * 1000 * commands * clients / rate);
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#sleepers.add(wake);
    });
  }

  spend(what: Costly): boolean {
    const now = performance.now();
    if (now - (this.#spent.get(what) ?? -Infinity) < 1000 / BUDGETS[what]) return false;
    this.#spent.set(what, now);
    return true;
  }

  abandoned(commands: number): void {
    this.#counts.abandoned += commands;
  }

  async farewell(caller: Caller): Promise<void> {
    const since = Date.now();
    // This reply is never cached: QEMU has sent everything before it.
    await caller.ask({ name: "query-status", answer: /^\{"status": / });
    const { heard } = caller.follower;
    await this.#direct.reach();
    const wrong = caller.follower.finish(since, heard);
    if (wrong !== undefined) this.wrong(caller, wrong);
    const left = caller.leave();
    if (left > 0) this.wrong(caller, `${left} commands unanswered at its end`);
  }

  wrong(caller: Caller, what: string): void {
    // One of each is enough: later problems would follow from it.
    if (this.#told.has(caller)) return;
    this.#told.add(caller);
    this.#note(`${caller.kind} ${caller.number} heard ${what}`);
  }

  took(ms: number): void {
    this.#durations.add(ms);
  }

  sent(count: number): void {
    this.#counts.sent += count;
  }

  answered(wellFormed: boolean): void {
    this.#counts.answered++;
    if (wellFormed) this.#counts.wellFormed++;
  }

  #note(what: string): void {
    const most = this.#options.most ?? WRONG_LIMIT;
    if (this.#wrong.length >= most) return;
    this.#wrong.push(what);
    if (this.#wrong.length === most || /has ended|in vain/.test(what)) this.#abort();
  }

  /** Ends the run after an error that is not a client's. */
  #fail(error: unknown): void {
    this.#note(error instanceof Error ? error.stack ?? error.message : String(error));
    this.#abort();
  }

  /** Ends at once, whatever is pending. */
  #abort(): void {
    this.#aborted = true;
    this.#finish();
    for (const caller of this.#callers) caller.leave();
  }

  #finish(): void {
    this.#over = true;
    this.#end.resolve();
    for (const wake of this.#sleepers) wake();
  }

  #wakeAll(): void {
    this.#burst = true;
    this.#counts.bursts++;
    for (const wake of this.#sleepers) wake();
  }

  /** Plays one client after the other, each of one kind. */
  async #live(kind: Kind): Promise<void> {
    // Not all at the same moment.
    await this.pause(1);
    while (!this.#over) {
      const number = ++this.#counts.connections;
      const path = `${this.#place}/${kind.listener}`;
      let caller: Caller;
      try {
        caller = await Caller.connect(path, number, kind.name, this);
      } catch (error) {
        return this.#note(`${kind.name} ${number} could not connect: ${error}`);
      }
      if (this.#aborted) return void caller.leave();
      this.#callers.add(caller);
      try {
        if (kind.begin) await kind.begin(caller, this);
        else await caller.negotiate(this.greeting);
        if (kind.stays) {
          while (!this.#over) await kind.act(caller, this);
          await this.farewell(caller);
        } else await kind.act(caller, this);
      } catch (error) {
        if (!(error instanceof Gone)) this.#fail(error);
        // The reason for its end has been reported, unless the run is over.
        else if (!this.#over && this.#wrong.length === 0) {
          this.#note(`${kind.name} ${number} lost its connection`);
        }
        caller.leave();
      } finally {
        this.#counts.events += caller.follower.heard;
        this.#callers.delete(caller);
      }
    }
  }

  async #sampleEvery(seconds: number, stage: Stage): Promise<void> {
    let last = { at: performance.now(), commands: 0, mux: weigh(stage.mux.pid).processor, qemu: 0 };
    last.qemu = weigh(stage.qemu).processor;
    while (!this.#over) {
      await this.#sleep(seconds * 1000);
      if (this.#over) return;
      const metrics = await fetchMetrics(`${this.#place}/metrics`);
      const [mux, qemu] = [weigh(stage.mux.pid), weigh(stage.qemu)];
      const now = performance.now();
      const elapsed = (now - last.at) / 1000;
      const { answered: commands, connections } = this.#counts;
      const [p50, p99] = [this.#durations.part(0.5), this.#durations.part(0.99)];
      const sample: Sample = {
        kind: "sample",
        seconds: rounded((now - this.#began) / 1000, 2),
        commands,
        connections,
        clients: metrics.get("qmpmux_clients") ?? 0,
        rate: Math.round((commands - last.commands) / elapsed),
        p50: p50 === null ? null : rounded(p50, 3),
        p99: p99 === null ? null : rounded(p99, 3),
        burst: this.#burst,
        events: [...this.#callers].reduce((sum, { follower }) => sum + follower.heard, 0) +
          this.#counts.events,
        qmpmux: { ...mux, processor: rounded((mux.processor - last.mux) / elapsed, 3) },
        qemu: { ...qemu, processor: rounded((qemu.processor - last.qemu) / elapsed, 3) },
        inFlight: metrics.get("qmpmux_inflight") ?? 0,
        waiting: metrics.get("qmpmux_waiting") ?? 0,
        unread: metrics.get("qmpmux_unread_bytes") ?? 0,
        load: Deno.loadavg()[0]!,
      };
      last = { at: now, commands, mux: mux.processor, qemu: qemu.processor };
      this.#durations.clear();
      this.#burst = false;
      this.#samples.push(sample);
      stage.each(sample);
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      void this.end.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Finds clients with overdue replies, and removes events that all have got. */
  #tidy(): void {
    const now = performance.now();
    const horizon = Date.now() - EVENT_AGE_MS;
    let place = this.record.length;
    for (const caller of this.#callers) {
      const { oldest } = caller;
      if (oldest && now - oldest.since > PATIENCE_MS) {
        this.#note(`${caller.kind} ${caller.number} waits in vain for ${oldest.what}`);
      }
      const wrong = caller.follower.catchUp();
      if (wrong !== undefined) this.wrong(caller, wrong);
      caller.follower.skip(horizon);
      place = Math.min(place, caller.follower.place);
    }
    // A client that connects now can get the events in flight.
    while (place > this.record.first && this.record.at(place - 1).at > horizon) place--;
    this.record.forget(place);
  }

  /**
   * Checks that qmpmux's counts are right, and that nothing is left, after all clients have
   * disconnected.
   */
  async #reckon({ pid }: Mux, base: number): Promise<void> {
    const { wellFormed, abandoned } = this.#counts;
    await this.#direct.reach();
    let metrics: Metrics;
    let descriptors: number;
    const end = performance.now() + (this.#options.settle ?? 30) * 1000;
    do {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS));
      metrics = await fetchMetrics(`${this.#place}/metrics`);
      descriptors = weigh(pid).descriptors;
    } while (
      performance.now() < end &&
      (descriptors > base || metrics.get("qmpmux_clients") || metrics.get("qmpmux_inflight"))
    );
    const of = (name: string): number => metrics.get(`qmpmux_${name}`) ?? 0;
    for (const name of ["clients", "inflight", "waiting", "unread_bytes"]) {
      if (of(name) !== 0) this.#note(`qmpmux_${name} is ${of(name)} when all have gone`);
    }
    if (descriptors > base) this.#note(`${descriptors} descriptors at the end, ${base} before`);
    const commands = of("commands_total");
    if (commands < wellFormed || commands > wellFormed + abandoned) {
      this.#note(
        `qmpmux counts ${commands} commands; ${wellFormed} were answered, ${abandoned} left alone`,
      );
    }
    if (of("events_total") !== this.record.length) {
      this.#note(`qmpmux counts ${of("events_total")} events, QEMU sent ${this.record.length}`);
    }
    if (of("upstream_sessions_total") !== 1) this.#note("the connection to QEMU was lost");
  }
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/**
 * Returns a kind for each of that many clients, by the shares, with every kind if there are enough
 * clients.
 */
function kindsFor(clients: number): Kind[] {
  const exact = KINDS.map((kind) => ({ kind, due: kind.share * clients / 100 }));
  const kinds = exact.flatMap(({ kind, due }) =>
    new Array<Kind>(Math.max(1, Math.floor(due))).fill(kind)
  );
  while (kinds.length < clients) kinds.push(KINDS[kinds.length % 3]!);
  return kinds;
}
