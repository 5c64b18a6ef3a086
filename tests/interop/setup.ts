/**
 * Installs third-party clients: each in the version that is pinned beside its program, into
 * `.cache/interop` of the checkout.
 *
 * Existing programs are not fetched again. If a client cannot be installed its tests fail with the
 * reason; outside CI, QMPMUX_TESTS_WITHOUT may name it.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { within } from "../support/deadline.ts";

const HERE = import.meta.dirname!;
const CACHE = join(HERE, "..", "..", ".cache", "interop");

// Daemons are in directories that the path of ordinary users lacks, and root's path under sudo may
// be theirs.
Deno.env.set("PATH", `${Deno.env.get("PATH")}:/usr/sbin:/sbin`);

/** A time for fetching and compiling on a slow network and a slow machine. */
const FETCH_PATIENCE_MS = 15 * 60_000;

/** The needs of each client that a machine may lack, by its name in QMPMUX_TESTS_WITHOUT. */
const NEEDS = {
  python: ["python", "python3", "qemu"],
  go: ["go", "qemu"],
  rust: ["rust", "qemu"],
  node: ["node", "qemu"],
  socat: ["socat", "qemu"],
  libvirt: ["libvirt", "python3", "qemu", "root"],
} as const;

/** Returns whether to skip the tests of a client; only the caller may choose that. */
export function without(client: keyof typeof NEEDS): boolean {
  if (Deno.env.get("CI")) return false;
  const declined = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",");
  return NEEDS[client].some((name) => declined.includes(name));
}

/** The output of a program, and its exit. */
export interface Exit {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options for running a program. */
export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly input?: string;
  readonly patience?: number;
}

/** Runs a program to its end; @throws Error if it does not end */
export async function run(
  command: string,
  args: readonly string[],
  { env = {}, cwd, input, patience }: RunOptions = {},
): Promise<Exit> {
  const child = new Deno.Command(command, {
    args: [...args],
    env,
    ...(cwd === undefined ? {} : { cwd }),
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  if (input !== undefined) {
    try {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(input));
      await writer.close();
    } catch (error) {
      // It has exited without reading everything; its output shows the reason.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  }
  try {
    const { code, stdout, stderr } = await within(`${command} to end`, output, patience);
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } catch (error) {
    child.kill("SIGKILL");
    await output;
    throw error;
  }
}

/** Runs a step of the installation; @throws Error with the missing program and the reason */
async function must(
  what: string,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<void> {
  let outcome: Exit;
  try {
    outcome = await run(command, args, { patience: FETCH_PATIENCE_MS, ...options });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`Cannot get ${what}: there is no ${command} here`);
  }
  if (outcome.code === 0) return;
  const said = (outcome.stderr || outcome.stdout).trim().split("\n").slice(-8).join("\n");
  throw new Error(`Cannot get ${what}: ${command} ended with ${outcome.code}:\n${said}`);
}

/** Returns whether a program exists and works. */
async function works(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await run(command, args)).code === 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Installs packages of the system, as root on Debian. */
async function apt(what: string, packages: readonly string[]): Promise<void> {
  if (Deno.uid() !== 0 || !await works("apt-get", "--version")) {
    throw new Error(`Cannot get ${what}: install ${packages.join(", ")} (names of Debian)`);
  }
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const lock = ["-o", "DPkg::Lock::Timeout=300"];
  await must(what, "apt-get", ["update", ...lock], { env });
  const options = ["--yes", "--no-install-recommends", ...lock];
  await must(what, "apt-get", ["install", ...options, ...packages], { env });
}

/** Returns a folder that `fill` creates once for this content of the files; it appears complete. */
async function once(
  name: string,
  files: readonly string[],
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const digest = createHash("sha256");
  for (const file of files) digest.update(Deno.readFileSync(join(HERE, file)));
  const place = join(CACHE, `${name}-${digest.digest("hex").slice(0, 12)}`);
  if (existsSync(place)) return place;
  Deno.mkdirSync(CACHE, { recursive: true });
  const folder = Deno.makeTempDirSync({ dir: CACHE, prefix: `new-${name}-` });
  try {
    await fill(folder);
    Deno.renameSync(folder, place);
  } finally {
    if (existsSync(folder)) Deno.removeSync(folder, { recursive: true });
  }
  return place;
}

/**
 * Creates something once for all callers. If that fails, prints once which tests are skipped, and
 * the reason.
 */
function shared<T>(client: keyof typeof NEEDS, make: () => Promise<T>): () => Promise<T> {
  const named = async (): Promise<T> => {
    try {
      return await make();
    } catch (error) {
      console.error(`NOT TESTED: what needs ${client}; ${(error as Error).message}`);
      throw error;
    }
  };
  let made: Promise<T> | undefined;
  return () => made ??= named();
}

/** The folder with Python's qemu.qmp and pytest, for PYTHONPATH; its programs are in `bin`. */
export const getPython = shared("python", async () => {
  const what = "qemu.qmp (python)";
  if (!await works("python3", "-m", "pip", "--version")) await apt(what, ["python3-pip"]);
  return await once("python", ["python/requirements.txt"], async (folder) => {
    const flags = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
    const pins = ["--require-hashes", "--requirement", join(HERE, "python/requirements.txt")];
    await must(what, "python3", ["-m", "pip", "install", ...flags, "--target", folder, ...pins]);
  });
});

/** Compiles a Go module, in the versions of its go.mod, by the sums of its go.sum. */
async function compileGo(
  name: string,
  directory: string,
  files: readonly string[],
  args: readonly string[],
): Promise<string> {
  const what = "go-qemu (go)";
  if (!await works("go", "version")) await apt(what, ["golang-go"]);
  const paths = ["go.mod", "go.sum", ...files].map((file) => join(directory, file));
  const folder = await once(name, paths, async (folder) => {
    const env = {
      CGO_ENABLED: "0",
      // Read-only modules could not be removed again.
      GOFLAGS: "-mod=readonly -modcacherw -buildvcs=false",
      GOPATH: join(folder, "modules"),
      GOCACHE: join(folder, "objects"),
      GOTOOLCHAIN: "local",
      GOWORK: "off",
    };
    const cwd = join(HERE, directory);
    await must(what, "go", [...args, "-o", join(folder, "client"), "."], { env, cwd });
    for (const path of [env.GOPATH, env.GOCACHE]) Deno.removeSync(path, { recursive: true });
  });
  return join(folder, "client");
}

/** The program that uses DigitalOcean's Go client. */
export const getGo = shared("go", () => compileGo("go", "go", ["main.go"], ["build"]));

/** The tests in examples/go as a program. */
export const getGoExample = shared("go", () => {
  const files = ["power_off.go", "power_off_test.go"];
  return compileGo("go-example", "../../examples/go", files, ["test", "-c"]);
});

/** The program that uses the qapi crate. */
export const getRust = shared("rust", async () => {
  const target = join(CACHE, "rust");
  const env = { CARGO_HOME: join(CACHE, "cargo"), CARGO_TARGET_DIR: target };
  const manifest = join(HERE, "rust/Cargo.toml");
  const args = ["build", "--quiet", "--locked", "--manifest-path", manifest];
  await must("qapi (rust)", "cargo", args, { env });
  return join(target, "debug/qapi-client");
});

/** Python's bindings of libvirt belong to the system's own Python. */
export const SYSTEM_PYTHON = "/usr/bin/python3";

/** Commands that show that libvirt's daemon, its shell, its Python and their needs work. */
const LIBVIRT_PROOFS: readonly (readonly [string, ...string[]])[] = [
  ["libvirtd", "--version"],
  ["virsh", "--version"],
  ["ip", "-Version"],
  [SYSTEM_PYTHON, "-c", "import libvirt"],
];

/** Checks that libvirt's daemon, its driver for QEMU, its shell and its Python are installed. */
export const getLibvirt = shared("libvirt", async () => {
  const what = "libvirt (libvirt)";
  if (Deno.uid() !== 0) throw new Error(`Cannot run ${what}: its daemon needs root`);
  const missing = async (): Promise<string[]> => {
    const found = await Promise.all(LIBVIRT_PROOFS.map(([name, ...args]) => works(name, ...args)));
    return LIBVIRT_PROOFS.filter((_, i) => !found[i]).map((words) => words.join(" "));
  };
  if ((await missing()).length === 0) return;
  const daemon = ["libvirt-daemon", "libvirt-daemon-driver-qemu", "iproute2"];
  await apt(what, [...daemon, "libvirt-clients", "python3-libvirt"]);
  const [failing] = await missing();
  if (failing !== undefined) throw new Error(`Cannot run ${what}: "${failing}" fails here`);
});

/** The runtimes of JavaScript, in the versions of node/package-lock.json. */
export interface Runtimes {
  /** Node 22, the oldest that the client library supports. */
  readonly node22: string;
  /** The newest Node. */
  readonly node: string;
  readonly bun: string;
}

/** The programs of Node and Bun. */
export const getRuntimes = shared("node", async (): Promise<Runtimes> => {
  const what = "Node and Bun (node)";
  if (!await works("npm", "--version")) await apt(what, ["npm"]);
  const files = ["node/package.json", "node/package-lock.json"];
  const folder = await once("node", files, async (folder) => {
    for (const file of files) Deno.copyFileSync(join(HERE, file), join(folder, basename(file)));
    const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--cache", join(folder, "npm")];
    await must(what, "npm", ["ci", ...flags], { cwd: folder });
    Deno.removeSync(join(folder, "npm"), { recursive: true });
  });
  const machine = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const at = (name: string, program: string): string =>
    join(folder, "node_modules", `${name}-${machine}`, "bin", program);
  return { node22: at("node-22", "node"), node: at("node-newest", "node"), bun: at("bun", "bun") };
});
