/**
 * A sandbox in a directory, in which the commands of a document run.
 *
 * The paths of a document in /run, /etc and /var are below a directory of the test, `qmpmux` on
 * PATH is the program under test, and groups are the user's own. A command that begins with
 * `tools/` runs in the checkout.
 *
 * @module
 */

import { within } from "./deadline.ts";
import { Lines } from "./lines.ts";
import { appears, makePlace } from "./place.ts";
import { kill, programCommand } from "./qmpmux.ts";
import { TestTerminal } from "./terminal.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const DECODER = new TextDecoder();

/** Some commands start QEMU and several qmpmux. */
const PATIENCE_MS = 120_000;

/** The output of a command, and its exit status. */
export interface Ran {
  readonly lines: readonly string[];
  readonly code: number;
}

/** A program that is still running. */
export interface Running extends AsyncDisposable {
  /** The lines that it prints, on either stream, with the real paths. */
  readonly lines: Lines;
  /** Types a line. */
  type(line: string): Promise<void>;
  /** Closes the program's input; returns its status. */
  finish(): Promise<number>;
}

/** The directory, and the files in it. */
export class Sandbox implements Disposable {
  readonly #place = makePlace();
  readonly #home: string;

  /** A sandbox with nothing but the programs. */
  constructor() {
    const { path } = this.#place;
    this.#home = `${path}/home`;
    for (const directory of ["home", "bin", "run/qmpmux/vm1", "etc/qmpmux", "var/log/qmpmux"]) {
      Deno.mkdirSync(`${path}/${directory}`, { recursive: true });
    }
    const [qmpmux, args] = programCommand();
    this.#program("qmpmux", [qmpmux, ...args]);
    this.#program("deno", [Deno.execPath()]);
    const qemu = Deno.env.get("QMPMUX_TEST_QEMU");
    if (qemu) this.#program("qemu-system-x86_64", [qemu.startsWith("/") ? qemu : ROOT + qemu]);
  }

  #program(name: string, command: readonly string[]): void {
    const words = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
    Deno.writeTextFileSync(`${this.#place.path}/bin/${name}`, `#!/bin/sh\nexec ${words} "$@"\n`, {
      mode: 0o755,
    });
  }

  /** Returns text of a document with the paths and groups of the sandbox. */
  inside(text: string): string {
    return text
      .replace(/(?<![\w.\/…])\/(run|etc|var)\//g, `${this.#place.path}/$1/`)
      .replace(/\bgroup=[\w-]+/g, `group=${Deno.gid()}`)
      .replace(/^group = "[\w-]+"/gm, `group = "${Deno.gid()}"`)
      .replace(/"@[\w-]+(?=[":])/g, `"@${Deno.gid()}`);
  }

  /** Returns text of the sandbox in the form of a document. */
  outside(text: string): string {
    return text.replaceAll(this.#place.path, "");
  }

  /** Returns the path of a file that a document names. */
  at(path: string): string {
    return path.startsWith("/") ? this.inside(path) : `${this.#home}/${path}`;
  }

  /** Writes a file that a document names. */
  write(path: string, text: string): string {
    const file = this.at(path);
    Deno.mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(file, this.inside(text));
    return file;
  }

  /** Runs a command to its end. */
  async run(command: string): Promise<Ran> {
    const child = this.#spawn(this.inside(command), "null");
    try {
      const { stdout, code } = await within(command, child.output(), PATIENCE_MS);
      const lines = this.outside(DECODER.decode(stdout)).split(/\r?\n/);
      if (lines.at(-1) === "") lines.pop();
      return { lines, code };
    } catch (error) {
      kill(child);
      throw error;
    }
  }

  /** Starts a program that continues to run. */
  start(command: string): Running {
    const child = this.#spawn(`exec ${this.inside(command)}`, "piped");
    const lines = new Lines(child.stdout);
    const typing = child.stdin.getWriter();
    const ended = child.status;
    let open = true;
    const finish = async (): Promise<number> => {
      if (open) await typing.close().catch(() => {});
      open = false;
      return (await within(`${command} to end`, ended)).code;
    };
    return {
      lines,
      type: (line) => typing.write(new TextEncoder().encode(`${line}\n`)),
      finish,
      async [Symbol.asyncDispose](): Promise<void> {
        kill(child);
        await finish();
        await lines.rest();
      },
    };
  }

  /** Starts a command on a terminal. */
  onTerminal(command: string): TestTerminal {
    const [cwd, env] = [this.#home, this.#environment()];
    return new TestTerminal(["bash", "-c", `exec ${this.inside(command)}`], {
      columns: 120,
      cwd,
      env,
    });
  }

  /** Resolves when a process listens on a path that a document names. */
  async listens(path: string): Promise<void> {
    await within(`credentials to listen at ${path}`, appears(this.at(path)));
    const bound = this.inside(path);
    const listener = (line: string): boolean =>
      line.endsWith(` ${bound}`) && line.split(/\s+/)[3] === "00010000";
    while (!Deno.readTextFileSync("/proc/net/unix").split("\n").some(listener)) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Resolves when a file that a document names is not empty. */
  async filled(path: string): Promise<void> {
    const file = this.at(path);
    await within(`a file ${path}`, appears(file));
    while (Deno.statSync(file).size === 0) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  #environment(): Record<string, string> {
    // Coverage of the programs in the sandbox is measured elsewhere.
    const { DENO_COVERAGE_DIR: _, ...env } = Deno.env.toObject();
    const PATH = `${this.#place.path}/bin:${env["PATH"]}`;
    return { ...env, PATH, NO_COLOR: "1", QMPMUX_HISTORY: "" };
  }

  #spawn(command: string, stdin: "null" | "piped"): Deno.ChildProcess {
    return new Deno.Command("bash", {
      args: ["-c", `exec 2>&1\n${command}`],
      cwd: command.replace(/^exec /, "").startsWith("tools/") ? ROOT : this.#home,
      clearEnv: true,
      env: this.#environment(),
      stdin,
      stdout: "piped",
      stderr: "null",
    }).spawn();
  }

  [Symbol.dispose](): void {
    this.#place[Symbol.dispose]();
  }
}

/** The interval at which a state without an event is polled. */
const POLL_MS = 5;
