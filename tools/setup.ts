/**
 * Installs the programs that the tests need, then runs a task.
 *
 * `setup.ts TASK` installs missing programs if it can: as root with apt-get. Otherwise it prints
 * them with the tests that need them, names them in QMPMUX_TESTS_WITHOUT (see TOOLS below), runs
 * the task, and exits with its status. A test whose program is missing fails unless that
 * variable names it.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { basename } from "node:path";

interface Tool {
  /** The name in QMPMUX_TESTS_WITHOUT. */
  name: string;
  /** The command that shows that it is installed and works. */
  proof: [program: string, ...args: string[]];
  /** The package of Debian and Ubuntu, if there is one. */
  debian?: string;
  title: string;
  /**
   * The only file that is extracted from a package, since installing that would start a service,
   * and the names of the packages that may contain it, newer releases first.
   */
  only?: { file: string; packages: readonly string[] };
}

/** The directory for such files. */
const PROGRAMS = new URL("../.cache/programs", import.meta.url).pathname;

const TOOLS: Tool[] = [
  {
    name: "qemu",
    proof: ["qemu-system-x86_64", "--version"],
    debian: "qemu-system-x86",
    title: "QEMU for x86_64",
  },
  {
    name: "qemu-storage-daemon",
    proof: ["qemu-storage-daemon", "--version"],
    debian: "qemu-system-common",
    title: "QEMU's storage daemon",
  },
  { name: "socat", proof: ["socat", "-V"], debian: "socat", title: "socat" },
  { name: "curl", proof: ["curl", "--version"], debian: "curl", title: "curl" },
  { name: "python3", proof: ["python3", "--version"], debian: "python3", title: "Python 3" },
  { name: "faketime", proof: ["faketime", "--version"], debian: "faketime", title: "libfaketime" },
  { name: "zsh", proof: ["zsh", "--version"], debian: "zsh", title: "zsh" },
  { name: "fish", proof: ["fish", "--version"], debian: "fish", title: "fish" },
  { name: "mandoc", proof: ["mandoc", "/dev/null"], debian: "mandoc", title: "mandoc" },
  { name: "groff", proof: ["groff", "--version"], debian: "groff-base", title: "groff" },
  { name: "chromium", proof: ["chromium", "--version"], debian: "chromium", title: "Chromium" },
  {
    name: "promtool",
    proof: ["promtool", "--version"],
    debian: "prometheus",
    title: "Prometheus' promtool",
    only: { file: "usr/bin/promtool", packages: ["promtool", "prometheus"] },
  },
  // Tests act as other users, and start programs that only root may start.
  { name: "root", proof: ["sh", "-c", 'test "$(id -u)" = 0'], title: "root" },
];

async function succeeds(program: string, args: string[], env = {}): Promise<boolean> {
  try {
    const quiet = { stdin: "null", stdout: "null", stderr: "piped" } as const;
    const { success, stderr } = await new Deno.Command(program, { args, env, ...quiet }).output();
    if (!success && program === "apt-get") console.error(new TextDecoder().decode(stderr).trim());
    return success;
  } catch {
    return false;
  }
}

/** Returns those of `tools` that are missing. */
async function missing(tools: Tool[]): Promise<Tool[]> {
  const found = await Promise.all(
    tools.map(({ proof: [program, ...args] }) => succeeds(program, args)),
  );
  return tools.filter((_, i) => !found[i]);
}

/** Installs packages with apt-get; returns whether it succeeded. */
async function installed(tools: Tool[]): Promise<boolean> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  if (!await succeeds("apt-get", ["--version"])) return false;
  const packages = tools.flatMap(({ debian, only }) => debian && !only ? [debian] : []);
  console.error(`Installing ${tools.map(({ name }) => name).join(", ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const options = ["--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
  await succeeds("apt-get", ["update"], env);
  for (const { only } of tools) if (only) await take(only);
  if (packages.length === 0) return true;
  return await succeeds("apt-get", ["install", ...options, ...packages], env);
}

/** Extracts a file from the first of these packages that contains it. */
async function take({ file, packages }: NonNullable<Tool["only"]>): Promise<void> {
  for (const name of packages) {
    const place = Deno.makeTempDirSync();
    try {
      const get = `cd ${place} && apt-get download ${name} && dpkg-deb --extract *.deb whole`;
      if (!await succeeds("sh", ["-c", get])) continue;
      const found = `${place}/whole/${file}`;
      if (!existsSync(found)) continue;
      Deno.mkdirSync(PROGRAMS, { recursive: true });
      Deno.copyFileSync(found, `${PROGRAMS}/${basename(file)}`);
      return;
    } finally {
      Deno.removeSync(place, { recursive: true });
    }
  }
}

/** Installs what it can; returns the names for QMPMUX_TESTS_WITHOUT. */
async function without(): Promise<string[]> {
  const declined = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").filter(Boolean);
  let absent = await missing(TOOLS.filter(({ name }) => !declined.includes(name)));
  const known = absent.filter(({ debian }) => debian !== undefined);
  if (known.length > 0 && await installed(known)) absent = await missing(absent);
  for (const { name, title, debian } of absent) {
    const remedy = debian
      ? `install ${title} (Debian, Ubuntu: apt-get install ${debian})`
      : `run this as ${title}`;
    console.error(`NOT TESTED: what needs ${name}; ${remedy}`);
  }
  for (const name of declined) {
    console.error(`NOT TESTED: what needs ${name}; QMPMUX_TESTS_WITHOUT says so`);
  }
  return [...declined, ...absent.map(({ name }) => name)];
}

/** Checks that the file exists that another task makes for this one. */
function checkBinary(): void {
  const binary = Deno.env.get("QMPMUX_BINARY");
  if (!binary) return;
  try {
    if (Deno.statSync(binary).isFile) return;
  } catch { /* Said below. */ }
  console.error(`No ${binary}: run the task "compile" first`);
  Deno.exit(1);
}

if (import.meta.main) {
  Deno.env.set("PATH", `${PROGRAMS}:${Deno.env.get("PATH")}`);
  checkBinary();
  const env = { QMPMUX_TESTS_WITHOUT: (await without()).join(",") };
  const task = new Deno.Command(Deno.execPath(), { args: ["task", ...Deno.args], env });
  const { code } = await task.spawn().status;
  Deno.exit(code);
}
