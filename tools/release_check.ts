/**
 * Checks a release: that it is reproducible, and that its package can be installed and removed.
 *
 * `release_check.ts [--release DIR]` makes a release twice and compares, or takes the one in
 * DIR. Then its package is installed in a minimal Debian root of debootstrap (kept in
 * .cache/release), used with a QEMU that runs outside, upgraded, reconfigured, removed and purged.
 *
 * It needs root on Debian, because only root can make such a system.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { within } from "../tests/support/deadline.ts";
import { Lines } from "../tests/support/lines.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { makeRelease } from "./release.ts";
import { CONFIGURATIONS, files, revise, UNITS } from "./release_deb.ts";
import { run, Unmade } from "./release_parts.ts";

const ROOT = resolve(import.meta.dirname!, "..");
const CACHE = `${ROOT}/.cache/release`;
const SUITE = "bookworm";
/** A version lower than all releases. */
const LOWER = "0.0.1~lower";
const NOBODY = "65534:65534";

/** The paths of the package's files; all of them are required, and no others. */
const IN_PLACE = [
  ...CONFIGURATIONS.map((file) => `/etc/qmpmux/${file}`),
  "/usr/bin/qmpmux",
  ...UNITS.map((unit) => `/usr/lib/systemd/system/${unit}`),
  "/usr/lib/sysusers.d/qmpmux.conf",
  "/usr/lib/tmpfiles.d/qmpmux.conf",
  "/usr/share/bash-completion/completions/qmpmux",
  "/usr/share/doc/qmpmux/copyright",
  "/usr/share/doc/qmpmux/examples/apparmor.qmpmux",
  "/usr/share/doc/qmpmux/examples/qmpmux-emulator",
  "/usr/share/fish/vendor_completions.d/qmpmux.fish",
  "/usr/share/man/man1/qmpmux.1.gz",
  "/usr/share/man/man5/qmpmux.toml.5.gz",
  "/usr/share/man/man7/qmpmux-protocol.7.gz",
  "/usr/share/zsh/vendor-completions/_qmpmux",
];

/** The paths that any package changes. */
const BOOKS = /^\/(var\/(log|cache|lib\/(dpkg|apt))|proc|sys|dev|tmp|run\/vm)\//;

let passed = 0;
let failed = 0;

/** Checks one condition. */
async function check(name: string, hold: () => Promise<void> | void): Promise<void> {
  try {
    await hold();
    console.log(`ok - ${name}`);
    passed++;
  } catch (error) {
    console.log(`not ok - ${name}`);
    console.error(error);
    failed++;
  }
}

/** Returns a minimal Debian root, which is made if it does not exist. */
async function minimal(): Promise<string> {
  const place = `${CACHE}/${SUITE}`;
  if (existsSync(place)) return place;
  console.error(`Making a system from Debian's ${SUITE}; this takes some minutes`);
  Deno.mkdirSync(CACHE, { recursive: true });
  const work = Deno.makeTempDirSync({ dir: CACHE, prefix: "new." });
  try {
    const spaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
    const flags = ["--variant=minbase", "--no-check-gpg", SUITE, `${work}/root`];
    await run("unshare", [...spaces, "debootstrap", ...flags]);
    await run("rm", ["-rf", `${work}/root/var/cache/apt/archives`]);
    Deno.mkdirSync(`${work}/root/var/cache/apt/archives/partial`, { recursive: true });
    Deno.renameSync(`${work}/root`, place);
    return place;
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
}

/** A copy of that root, which may be changed. */
class System implements Disposable {
  readonly root: string;
  /** The directory that is /run/vm inside. */
  readonly vm: string;
  readonly #place = Deno.makeTempDirSync({ prefix: "qmpmux-check-" });

  private constructor() {
    this.root = `${this.#place}/root`;
    this.vm = `${this.#place}/vm`;
  }

  static async copy(): Promise<System> {
    const base = await minimal();
    const system = new System();
    await run("cp", ["-a", "--reflink=auto", base, system.root]);
    Deno.mkdirSync(system.vm);
    Deno.mkdirSync(`${system.root}/run/vm`);
    Deno.chmodSync(system.#place, 0o755);
    Deno.chmodSync(system.vm, 0o777);
    return system;
  }

  /** Returns the command line to run a command inside, with temporary mounts and without a network. */
  command(args: readonly string[], user = "0:0"): [string, string[]] {
    const script = 'mount -t proc proc "$1/proc" && mount --bind "$2" "$1/run/vm" && ' +
      'root=$1 user=$3 && shift 3 && exec chroot --userspec="$user" "$root" "$@"';
    const spaces = ["--mount", "--propagation", "private", "--net"];
    return ["unshare", [...spaces, "sh", "-c", script, "sh", this.root, this.vm, user, ...args]];
  }

  /** Runs a command inside; returns its output. */
  async run(args: readonly string[], user?: string): Promise<string> {
    const [program, words] = this.command(args, user);
    return await run(program, words, {
      env: {
        DEBIAN_FRONTEND: "noninteractive",
        LC_ALL: "C",
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      },
    });
  }

  /** Installs a package with apt, as a user does; the administrator's files are kept. */
  async install(deb: string): Promise<void> {
    Deno.copyFileSync(deb, `${this.root}/tmp/it.deb`);
    const keep = ["-o", "Dpkg::Options::=--force-confold", "-o", "APT::Sandbox::User=root"];
    await this.run(["apt-get", "install", "--yes", "--quiet", ...keep, "/tmp/it.deb"]);
    Deno.removeSync(`${this.root}/tmp/it.deb`);
  }

  async state(): Promise<string> {
    return await this.run(["dpkg-query", "--show", "--showformat=${Version} ${Status}", "qmpmux"]);
  }

  read(path: string): string {
    return Deno.readTextFileSync(this.root + path);
  }

  /** Returns all paths with their modes, without those that every package changes. */
  async paths(): Promise<string[]> {
    const text = await run("find", [this.root, "-printf", "/%P %M %U:%G\\n"]);
    return text.split("\n").filter((line) => !BOOKS.test(line)).sort();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#place, { recursive: true });
  }
}

/** Makes an earlier version of the same package, with another example. */
async function lowered(deb: string, work: string): Promise<string> {
  const path = `${work}/qmpmux_lower.deb`;
  await revise(deb, { version: LOWER, path, work: `${work}/lower` }, {
    "etc/qmpmux/example.toml": [/^/, "# As it was in an earlier version.\n"],
  });
  return path;
}

/** Lets two clients share a QEMU through the installed program, as in its README. */
async function mainJob(system: System): Promise<void> {
  await using qemu = await startQemu(`${system.vm}/qmp.sock`);
  Deno.chmodSync(qemu.path, 0o666);
  const start = (...args: string[]): Deno.ChildProcess => {
    const [program, words] = system.command(["qmpmux", ...args], NOBODY);
    return new Deno.Command(program, {
      args: words,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  };
  const mux = ["--socket", "unix:/run/vm/mux.sock"];
  const serve = start(
    "serve",
    ...["--qemu", "unix:/run/vm/qmp.sock", "--listen", "unix:/run/vm/mux.sock"],
  );
  const log = new Lines(serve.stderr);
  try {
    await log.until(/: connected to QEMU/);
    const events = start("events", ...mux, "--filter", "RESUME", "--count", "1");
    const heard = new Lines(events.stdout);
    const clients = async (): Promise<number> =>
      JSON.parse(await system.run(["qmpmux", "exec", ...mux, "query-status"], NOBODY)).running
        ? 1
        : 0;
    assertEquals(await clients(), 0);
    // The other client is ready when qmpmux counts it; until then the command is repeated.
    let event: string | undefined;
    const first = heard.next("RESUME", 60_000).then((line) => event = line);
    while (event === undefined) {
      await system.run(["qmpmux", "exec", ...mux, "stop"], NOBODY);
      await system.run(["qmpmux", "exec", ...mux, "cont"], NOBODY);
    }
    await first;
    assertMatch(event, /"event": ?"RESUME"/);
    assertEquals((await within("events to end", events.status)).code, 0);
    await heard.rest();
    await events.stderr.cancel();
    assertEquals(await clients(), 1);
    serve.kill("SIGTERM");
    assertEquals((await within("serve to end", serve.status)).code, 0);
  } finally {
    end(serve);
    await serve.status;
    await log.rest();
    await serve.stdout.cancel();
  }
}

/** Kills a process that may have exited already. */
function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/** Checks one package in one root. */
async function checkPackage(deb: string, version: string, work: string): Promise<void> {
  using system = await System.copy();
  const before = await system.paths();
  const own = "/etc/qmpmux/vm1.toml";

  await check("an earlier version is installed, with nothing else", async () => {
    const others = await system.run(["dpkg-query", "--show"]);
    await system.install(await lowered(deb, work));
    assertEquals(await system.state(), `${LOWER} install ok installed`);
    const now = await system.run(["dpkg-query", "--show"]);
    assertEquals(now.split("\n").length, others.split("\n").length + 1);
  });
  await check("it is upgraded; what the administrator wrote is kept", async () => {
    const edited = "# mine\n" + system.read("/etc/qmpmux/example.toml");
    Deno.writeTextFileSync(`${system.root}/etc/qmpmux/example.toml`, edited);
    Deno.writeTextFileSync(system.root + own, "# mine too\n");
    await system.install(deb);
    assertEquals(await system.state(), `${version} install ok installed`);
    assertEquals(system.read("/etc/qmpmux/example.toml"), edited);
    assert(!system.read("/etc/qmpmux/example.toml.dpkg-dist").includes("earlier version"));
    assertEquals(system.read(own), "# mine too\n");
  });
  await check("it is configured again, twice, and nothing changes", async () => {
    const paths = await system.paths();
    await system.run(["dpkg-reconfigure", "qmpmux"]);
    await system.run(["dpkg-reconfigure", "qmpmux"]);
    assertEquals(await system.paths(), paths);
    assert(system.read("/etc/qmpmux/example.toml").startsWith("# mine\n"));
  });
  await check("all that it brings is in place, unchanged and whole", async () => {
    const paths = (await system.paths()).map((line) => line.split(" ")[0]);
    assertEquals(IN_PLACE.filter((path) => !paths.includes(path)), []);
    assertEquals(await system.run(["dpkg", "--verify", "qmpmux"]).catch(String), CHANGED);
    for (const path of IN_PLACE.filter((path) => path.endsWith(".gz"))) {
      await system.run(["gzip", "--test", path]);
    }
    await system.run(["bash", "-n", "/usr/share/bash-completion/completions/qmpmux"]);
  });
  await check("the example and the configuration of the unit are valid", async () => {
    for (const file of ["example.toml.dpkg-dist", "qmpmux.toml"]) {
      await system.run(["qmpmux", ...printed(`/etc/qmpmux/${file}`)], NOBODY);
    }
  });
  await check("it tells its version", async () => {
    const version = await system.run(["qmpmux", "--version"], NOBODY);
    assertMatch(version, /^qmpmux \d+\.\d+\.\d+ \(commit /);
  });
  await check("two clients share a QEMU through it, as nobody, with no network", async () => {
    await mainJob(system);
  });
  await check("removed, it leaves its configuration alone", async () => {
    await system.run(["dpkg", "--remove", "qmpmux"]);
    assert(!existsSync(`${system.root}/usr/bin/qmpmux`));
    assert(existsSync(`${system.root}/etc/qmpmux/example.toml`));
  });
  await check("purged, it leaves nothing but what the administrator made", async () => {
    await system.run(["dpkg", "--purge", "qmpmux"]);
    const now = await system.paths();
    const left = now.filter((path) => !before.includes(path)).map((line) => line.split(" ")[0]);
    assertEquals(left, ["/etc/qmpmux", own]);
    assertEquals(before.filter((path) => !now.includes(path)), []);
  });
  await check("installed and purged untouched, it leaves nothing at all", async () => {
    await run("rm", ["-r", `${system.root}/etc/qmpmux`]);
    await system.install(deb);
    await system.run(["dpkg", "--purge", "qmpmux"]);
    assertEquals(await system.paths(), before);
  });
}

/** Returns how qmpmux reads a configuration for another host: here may be no group kvm. */
function printed(file: string): string[] {
  return ["serve", "--print-config", "--config", file];
}

/** The output of dpkg --verify for an edited configuration file. */
const CHANGED = "??5?????? c /etc/qmpmux/example.toml\n";

/** Checks everything but the package. */
async function checkFiles(release: string, work: string): Promise<void> {
  await check("the sums are right, and are of all files", async () => {
    await run("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: release });
    const summed = Deno.readTextFileSync(`${release}/SHA256SUMS`).trim().split("\n");
    const names = files(release).map((path) => path.slice(release.length + 1));
    assertEquals(
      summed.map((line) => line.split("  ")[1]),
      names.filter((name) => name !== "SHA256SUMS"),
    );
  });
  await check(
    "the archive for this machine has a program that runs, and a good example",
    async () => {
      const archive = files(release).find((path) => path.endsWith(`${Deno.build.target}.tar.gz`))!;
      await run("tar", ["--extract", "--gzip", `--file=${archive}`, `--directory=${work}`]);
      const [name = ""] = archive.slice(release.length + 1).split(".tar.gz");
      const top = `${work}/${name}`;
      assertMatch(await run(`${top}/qmpmux`, ["--version"]), /^qmpmux /);
      await run(`${top}/qmpmux`, printed(`${top}/example.toml`));
    },
  );
  await check("the list of what is in it names every package, Deno and V8", () => {
    const list = files(release).find((path) => path.endsWith(".cdx.json"))!;
    const { components } = JSON.parse(Deno.readTextFileSync(list));
    const listed = components as { name: string; purl?: string }[];
    const names = listed.map(({ name }) => name);
    const expected = ["@std/cli", "toml-eslint-parser", "eslint-visitor-keys", "deno", "v8"];
    for (const name of expected) assert(names.includes(name), name);
    for (const { purl } of listed) assertMatch(purl ?? "pkg:file@1", /^pkg:[^@]+@[^@]+$/);
  });
  for (const deb of files(release).filter((path) => path.endsWith(".deb"))) {
    await check(
      `lintian has no error and no warning for ${deb.slice(release.length + 1)}`,
      async () => {
        console.log((await run("lintian", ["--fail-on", "error,warning", deb])).trim());
      },
    );
  }
}

async function main(): Promise<number> {
  const wrong: string[] = [];
  const told = parseArgs(Deno.args, {
    string: ["release"],
    unknown: (arg) => wrong.push(arg) === 0,
  });
  if (wrong.length > 0) {
    console.error("Usage: release:check [--release DIR]");
    return 64;
  }
  const named = told.release;
  if (named !== undefined && !existsSync(`${resolve(named)}/SHA256SUMS`)) {
    console.error(
      `No release in ${resolve(named)}: make one with the task "release", or leave out --release`,
    );
    return 66;
  }
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) {
    console.error("Only root can make a system in a directory");
    return 69;
  }
  const work = Deno.makeTempDirSync({ prefix: "qmpmux-check-" });
  try {
    let release = named;
    if (release === undefined) {
      release = `${work}/one`;
      await makeRelease(release);
      await check("a second run makes the same bytes", async () => {
        await makeRelease(`${work}/two`);
        const [one, two] = ["one", "two"].map((name) =>
          Deno.readTextFileSync(`${work}/${name}/SHA256SUMS`)
        );
        assertEquals(two, one);
      });
    }
    release = resolve(release);
    await checkFiles(release, work);
    const deb = files(release).find((path) => path.endsWith("_amd64.deb"));
    if (deb === undefined) throw new Unmade("There is no package for amd64 in the release");
    const version = await run("dpkg-deb", ["--field", deb, "Version"]);
    await checkPackage(deb, version.trim(), work);
    console.log(`${passed} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Unmade)) throw error;
    console.error(error.message);
    return 69;
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
