/**
 * The compiled program in an empty root.
 *
 * The root has the program, the libraries it is linked to, /proc, and the directory of QEMU's
 * socket: no shell, no Deno, no /tmp, no network, no privileges. For root, with `QMPMUX_BINARY`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { TestClient, undated } from "./support/client.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { programCommand } from "./support/qmpmux.ts";
import { WITHOUT_ROOT } from "./support/without.ts";

const NOBODY = 65534;

/** Returns the libraries that a program names, and those they name, including the loader. */
function librariesOf(program: string): string[] {
  const { stdout } = new Deno.Command("ldd", { args: [program] }).outputSync();
  const said = new TextDecoder().decode(stdout);
  return Array.from(said.matchAll(/(\/\S+) \(0x/g), ([, path]) => path!);
}

/** Copies a file to the same path below `root`. */
function take(file: string, root: string, as = file): void {
  Deno.mkdirSync(`${root}${as.slice(0, as.lastIndexOf("/"))}`, { recursive: true });
  Deno.copyFileSync(file, `${root}${as}`);
}

/** Returns all paths below a directory, except directories. */
function files(root: string, path = ""): string[] {
  return Array.from(Deno.readDirSync(root + path)).flatMap(({ name, isDirectory }) => {
    const below = `${path}/${name}`;
    return isDirectory ? files(root, below) : [below];
  }).sort();
}

/**
 * A root with a program in it, run by the user nobody with a network namespace that has no links.
 */
class EmptyRoot implements AsyncDisposable {
  readonly #place = makePlace();
  readonly path = `${this.#place.path}/root`;
  /** The libraries that were copied there. */
  readonly libraries: readonly string[];
  #child: Deno.ChildProcess | undefined;
  #log: Lines | undefined;

  constructor() {
    const [program] = programCommand();
    this.libraries = librariesOf(program).sort();
    for (const library of this.libraries) take(library, this.path);
    take(program, this.path, "/qmpmux");
    Deno.mkdirSync(`${this.path}/proc`);
    Deno.mkdirSync(`${this.path}/vm`);
    Deno.chmodSync(this.#place.path, 0o755);
    Deno.chmodSync(`${this.path}/vm`, 0o777);
  }

  /** Starts the program; returns its log. */
  start(args: readonly string[]): Lines {
    this.#child = new Deno.Command("unshare", {
      args: [
        ...["--mount", "--net", "--ipc", "--uts", "--pid", "--fork"],
        ...["--root", this.path, "--mount-proc"],
        ...["--setgid", String(NOBODY), "--setuid", String(NOBODY)],
        ...["/qmpmux", ...args],
      ],
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#log = new Lines(this.#child.stderr);
    return this.#log;
  }

  /** The process id of the program outside; `undefined` if it has ended. */
  get pid(): number | undefined {
    const { pid } = this.#child!;
    try {
      const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
      return children === "" ? undefined : Number(children);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child) {
      // unshare ends with the program, but not the other way round.
      const { pid } = this;
      if (pid !== undefined) Deno.kill(pid, "SIGKILL");
      await this.#child.status;
      await this.#log!.rest();
    }
    this.#place[Symbol.dispose]();
  }
}

if (Deno.env.get("QMPMUX_BINARY")) {
  const ignore = WITHOUT_QEMU || WITHOUT_ROOT;

  Deno.test({
    name:
      "a compiled qmpmux shares QEMU among clients, in a root where there is nothing but itself",
    ignore,
    fn: async () => {
      await using root = new EmptyRoot();
      await using qemu = await startQemu(`${root.path}/vm/qemu`);
      Deno.chmodSync(qemu.path, 0o666);
      const log = root.start(["serve", "--qemu", "/vm/qemu", "--listen", "/vm/mux,mode=0666"]);
      await log.until(/: connected to QEMU/);

      using one = await TestClient.ready(`${root.path}/vm/mux`);
      using two = await TestClient.ready(`${root.path}/vm/mux`);
      assertEquals(
        await one.ask({ execute: "query-name", id: "one" }),
        '{"return": {}, "id": "one"}',
      );
      await two.send({ execute: "cont", id: "two" });
      assertEquals(undated(await two.line()), '{"timestamp": …, "event": "RESUME"}');
      assertEquals(await two.line(), '{"return": {}, "id": "two"}');
      assertEquals(undated(await one.line()), '{"timestamp": …, "event": "RESUME"}');

      assertEquals(
        files(root.path).filter((path) => !path.startsWith("/proc/")),
        [...root.libraries, "/qmpmux", "/vm/mux", "/vm/qemu"].sort(),
      );
      const proc = `/proc/${root.pid}`;
      assertEquals(Deno.readLinkSync(`${proc}/root`), root.path);
      assert(/^Uid:\s65534\s65534\s65534\s65534$/m.test(Deno.readTextFileSync(`${proc}/status`)));
      const links = Deno.readTextFileSync(`${proc}/net/dev`).matchAll(/^\s*(\S+):/gm);
      assertEquals(Array.from(links, ([, name]) => name), ["lo"]);
    },
  });

  Deno.test("a compiled qmpmux does not use a cache of compiled code, which others could replace", () => {
    const [program] = programCommand();
    // Watching it would take long: a program with a cache writes to /tmp when it is idle.
    const text = new TextDecoder("latin1").decode(Deno.readFileSync(program));
    assertEquals(text.match(/"code_cache_key":(?!null)[^,]*/)?.[0], undefined);
  });
}
