/**
 * A host with many VMs, some with a real QEMU and the others with a fake one, and what serves them:
 * one qmpmux for all, or one for each.
 *
 * @module
 */

import { Lines } from "../tests/support/lines.ts";
import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { type Running, start } from "./programs.ts";

const ROOT = new URL("../", import.meta.url).pathname;
/** The pause between attempts to connect to a socket that does not exist yet. */
const RETRY_MS = 2;

/** The program to measure, and the arguments that come before its subcommand. */
export interface Program {
  readonly name: "source" | "compiled";
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * Returns the programs to measure: the source, and the compiled one if it exists.
 *
 * The source runs in a copy of Deno. Otherwise its memory would be shared with that of the benches,
 * and a host on which qmpmux is the only program of Deno would need more than was measured.
 *
 * @param directory the place of the copy
 */
export function programs(directory: string): Program[] {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const flags = (tasks.qmpmux.command as string).split(" ").slice(1, -1);
  const deno = `${directory}/deno`;
  Deno.copyFileSync(Deno.execPath(), deno);
  const found: Program[] = [
    { name: "source", command: deno, args: [...flags, `${ROOT}main.ts`] },
  ];
  const compiled = Deno.env.get("QMPMUX_BENCH_BINARY") ?? `${ROOT}dist/qmpmux`;
  try {
    Deno.statSync(compiled);
    found.push({ name: "compiled", command: compiled, args: [] });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(`Not measured: the compiled program. There is no ${compiled}`);
  }
  return found;
}

/** The VMs of a host, and the processes that serve them. */
export class Host implements AsyncDisposable {
  readonly vms: number;
  readonly #place: ReturnType<typeof makePlace>;
  readonly #running: AsyncDisposableStack;
  #served = 0;

  private constructor(vms: number, place: ReturnType<typeof makePlace>) {
    this.vms = vms;
    this.#place = place;
    this.#running = new AsyncDisposableStack();
    this.#running.use(place);
  }

  /**
   * Starts the QEMUs of VMs 1 to `vms`, the first `real` of them real. A real one has two further
   * monitors: one for an instance of its own, and one for a client without qmpmux.
   */
  static async create(vms: number, real: number): Promise<Host> {
    const host = new Host(vms, makePlace());
    await using failing = new AsyncDisposableStack();
    failing.use(host);
    Deno.mkdirSync(`${host.#place.path}/q`);
    for (let vm = 1; vm <= Math.min(vms, real); vm++) {
      Deno.mkdirSync(`${host.#place.path}/q/vm${vm}`);
      const further = ["own", "direct"].flatMap((name) => {
        return ["-qmp", `unix:${host.#monitor(vm, name)},server=on,wait=off`];
      });
      host.#running.use(await startQemu(host.#monitor(vm), further));
    }
    if (vms > real) host.#running.use(await fakes(`${host.#place.path}/q`, real + 1, vms));
    failing.move();
    return host;
  }

  /** Returns the socket of a real VM's QEMU that no qmpmux uses. */
  direct(vm: number): string {
    return this.#monitor(vm, "direct");
  }

  #monitor(vm: number | string, name = "qmp"): string {
    return `${this.#place.path}/q/${typeof vm === "number" ? `vm${vm}` : vm}/${name}.sock`;
  }

  /** Starts one qmpmux for all VMs; resolves when it serves all of them. */
  async serveAll({ command, args }: Program): Promise<Served> {
    const directory = `${this.#place.path}/m${this.#served++}`;
    const socket = (vm: number | string): string => `${directory}/${vm}/mux.sock`;
    const began = performance.now();
    const running = await start(command, [
      ...[...args, "serve", "--qemu", `unix:${this.#monitor("{vm}")}`],
      ...["--listen", `unix:${socket("{vm}")},directory-mode=0750`],
    ]);
    await using failing = new AsyncDisposableStack();
    failing.use(running);
    for (let vm = 1; vm <= this.vms; vm++) await greeted(socket(`vm${vm}`));
    failing.move();
    const milliseconds = performance.now() - began;
    return { running, milliseconds, socket: (vm) => socket(`vm${vm}`) };
  }

  /** Starts a qmpmux of its own for a real VM; resolves when it serves that. */
  async serveOwn({ command, args }: Program, vm: number): Promise<Served> {
    const socket = `${this.#place.path}/own${this.#served++}.sock`;
    const began = performance.now();
    const qemu = `unix:${this.#monitor(vm, "own")}`;
    const running = await start(command, [...args, "serve", "--qemu", qemu, "--listen", socket]);
    await using failing = new AsyncDisposableStack();
    failing.use(running);
    await greeted(socket);
    failing.move();
    return { running, milliseconds: performance.now() - began, socket: () => socket };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.disposeAsync();
  }
}

/** A qmpmux that serves. */
export interface Served {
  readonly running: Running;
  /** The time from its start until it served every VM. */
  readonly milliseconds: number;
  /** Returns the socket of a VM. */
  socket(vm: number): string;
}

/** Starts fake QEMUs. */
async function fakes(directory: string, from: number, to: number): Promise<AsyncDisposable> {
  const script = `${ROOT}bench/fakes.ts`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "-A", script, directory, String(from), String(to)],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = new Lines(child.stdout);
  await lines.until(/^ready$/);
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      child.kill("SIGKILL");
      await child.status;
      await lines.rest();
    },
  };
}

/** Connects to a socket as soon as it exists; resolves when it has sent a greeting. */
async function greeted(path: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    try {
      using socket = await Deno.connect({ transport: "unix", path });
      if (await socket.read(new Uint8Array(1)) === null) throw new Error(`${path}: no greeting`);
      return;
    } catch (error) {
      const isAbsent = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused;
      if (!isAbsent || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
