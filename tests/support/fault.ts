/**
 * A qmpmux in front of a real QEMU, and the state of both as seen from outside.
 *
 * The QEMU has a buffer `r` that records the data that commands write, in order: it shows which of
 * them ran, and how often.
 *
 * @module
 */

import { makePlace } from "./place.ts";
import { startQemu, type TestQemu } from "./qemu.ts";
import { startQmpmux, type TestQmpmux } from "./qmpmux.ts";

/** Whether the long forms are requested. */
export const LONG: boolean = Deno.args.includes("--long");

/** Shared machines are slow at times, and this is not a measure of speed. */
const PATIENCE_MS = 60_000;

/** The interval at which a state without an event is polled. */
const POLL_MS = 5;

/** A QEMU and a qmpmux in front of it, which exit with the test. */
export interface Scene extends AsyncDisposable {
  readonly directory: string;
  readonly qemu: TestQemu;
  readonly mux: TestQmpmux;
  /** The path on which clients connect. */
  readonly path: string;
  /** Returns a path in the scene's directory. */
  at(name: string): string;
}

/** The differences of a scene from the default one. */
export interface SceneOptions {
  /** Options of the listener, such as `,cache=off`. */
  readonly options?: string;
  /** Flags of `qmpmux serve`. */
  readonly flags?: readonly string[];
  /**
   * Returns the head of a configuration file, which can be reloaded; without it, flags are used.
   */
  readonly file?: (at: (name: string) => string) => string;
  /** A command that starts the program, which follows it. */
  readonly under?: (at: (name: string) => string) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether QEMU is stopped before qmpmux is started. */
  readonly stopped?: boolean;
}

/** Further arguments of each QEMU. */
export const RING: readonly string[] = ["-chardev", "ringbuf,id=r,size=65536"];

/** Starts both; unless QEMU is stopped, they are connected. */
export async function makeScene(
  { options = "", flags = [], file, under, env, stopped }: SceneOptions = {},
): Promise<Scene> {
  await using made = new AsyncDisposableStack();
  const { path: directory } = made.use(makePlace());
  const at = (name: string): string => `${directory}/${name}`;
  const qemu = made.use(await startQemu(at("vm"), RING));
  if (stopped) {
    qemu.kill("SIGSTOP");
    await isStopped(qemu.pid);
  }
  if (file !== undefined) Deno.writeTextFileSync(at("x.toml"), configOf(at, file(at)));
  const given = file === undefined
    ? ["--qemu", qemu.path, "--listen", at("mux") + options]
    : ["--config", at("x.toml")];
  // A stopped QEMU is not asked whether it is ready: that would be a command.
  const patient = flags.includes("--stall-timeout") ? [] : ["--stall-timeout", "600"];
  const mux = made.use(
    await startQmpmux([...given, ...patient, ...flags], {
      ...(under && { under: under(at) }),
      ...(env && { env }),
      listeners: 1,
    }),
  );
  if (!stopped) await mux.log.until(/connected to QEMU/);
  const owned = made.move();
  const dispose = (): Promise<void> => owned.disposeAsync();
  return { directory, qemu, mux, path: at("mux"), at, [Symbol.asyncDispose]: dispose };
}

/** Returns the text of a configuration file for a scene. */
export function configOf(at: (name: string) => string, head: string): string {
  return `qemu = "${at("vm")}"\n${head}\n[[listen]]\naddress = "${at("mux")}"\n`;
}

/** The numbers that qmpmux logs about itself on request. */
export interface Standing {
  readonly clients: number;
  readonly inFlight: number;
  readonly waiting: number;
  /** Commands at QEMU and commands that wait. */
  readonly pending: number;
  /** The number of times that a QEMU has been ready. */
  readonly sessions: number;
}

/** Requests qmpmux's numbers; earlier lines of the log are skipped. */
export async function standing(mux: TestQmpmux): Promise<Standing> {
  // On SIGUSR1 `deno run` opens its debugger as well.
  mux.kill("SIGUSR2");
  const line = await mux.log.until(/status: /);
  const found = /session (\d+); (\d+) clients; (\d+) commands at QEMU, (\d+) waiting/.exec(line);
  const [sessions, clients, inFlight, waiting] = found!.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return { clients, inFlight, waiting, pending: inFlight + waiting, sessions };
}

/** Polls until qmpmux reports the wanted numbers; returns all of them. */
export async function stands(mux: TestQmpmux, wanted: Partial<Standing>): Promise<Standing> {
  let last: Standing | undefined;
  await until(() => `${JSON.stringify(wanted)}, not ${JSON.stringify(last)}`, async () => {
    const now = await standing(mux);
    last = now;
    return Object.entries(wanted).every(([key, value]) => now[key as keyof Standing] === value);
  });
  return last!;
}

/** Polls until a state without an event is reached; returns the result of `isSo` then. */
export async function until<T>(
  what: string | (() => string),
  isSo: () => T | false | Promise<T | false>,
): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  while (true) {
    const found = await isSo();
    if (found) return found;
    if (performance.now() > end) {
      throw new Error(`Waited in vain for ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Waits, for effects that only the clock causes. */
export function passes(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** Resolves when a process that was sent SIGSTOP has stopped. */
export function isStopped(pid: number): Promise<boolean> {
  return until(`process ${pid} to stop`, () => {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  });
}

/** Limits a process to that many more open descriptors. */
export async function limitDescriptors(pid: number, more: number): Promise<void> {
  const used = new Set([...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => Number(name)));
  // A new descriptor gets the lowest free number.
  let below = 0;
  for (let free = 0; free < more; below++) if (!used.has(below)) free++;
  const args = ["--pid", `${pid}`, `--nofile=${below}:`];
  const { success } = await new Deno.Command("prlimit", { args }).output();
  if (!success) throw new Error("prlimit failed");
}

/**
 * Returns a command that starts the program after it has mounted a small disk, which only the
 * program sees and which disappears with it.
 *
 * @param more further shell words, such as `2>FILE`
 */
export function withDisk(place: string, more = ""): readonly string[] {
  const user = Deno.uid() === 0 ? [] : ["--user", "--map-root-user"];
  const mount = `mkdir ${place} && mount -t tmpfs -o size=64k qmpmux ${place}`;
  return ["unshare", "--mount", ...user, "sh", "-c", `${mount} && exec "$@" ${more}`, "sh"];
}

/** Fills the disk at a path that a process sees; returns a function that frees space again. */
export function fillDisk(pid: number, place: string): () => void {
  const path = `/proc/${pid}/root${place}/filler`;
  const file = Deno.openSync(path, { write: true, create: true });
  try {
    for (;;) file.writeSync(new Uint8Array(4096));
  } catch (error) {
    if (!/os error 28\b/.test(String(error))) throw error;
  } finally {
    file.close();
  }
  return () => Deno.removeSync(path);
}

/** Returns a command that appends a text to QEMU's buffer. */
export function note(data: string, id?: unknown): string {
  const command = { execute: "ringbuf-write", arguments: { device: "r", data } };
  return JSON.stringify(id === undefined ? command : { ...command, id });
}

/** A command that reads the text in QEMU's buffer. */
export const NOTES = '{"execute":"ringbuf-read","arguments":{"device":"r","size":65536}}';
