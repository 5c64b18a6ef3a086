/**
 * A Debian VM with a real systemd for trials, booted by QEMU.
 *
 * `tryInside` makes a system with debootstrap (once, kept in .cache/vm), boots it without KVM,
 * and runs the script `inside` of a trial in it. It prints the output of the script; the exit
 * status is 0 when every line is "ok".
 *
 * It needs root on Debian, because only root can make such a system.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { existsSync } from "node:fs";
import { Unmade } from "../release_parts.ts";

/** The checkout. */
export const ROOT = new URL("../../", import.meta.url).pathname;
const CACHE = `${ROOT}.cache/vm`;

const SUITE = "bookworm";
const PACKAGES = [
  ...["systemd", "systemd-sysv", "dbus", "linux-image-cloud-amd64"],
  ...["qemu-system-x86", "socat", "prometheus"],
];
/** Units that Debian starts by itself, and no trial needs. */
const UNWANTED = ["prometheus.service"];
/** The version of the recipe; a new number makes the system again. */
const RECIPE = 2;
const GIB = 2 ** 30;
const DISK_BYTES = 3 * GIB;
const PAYLOAD_BYTES = GIB;
const MEMORY_MB = 1536;
const DEFAULT_LIMIT_MINUTES = 20;

/** The unit that runs `inside` when the system is up, reports the result, and powers off. */
const UNIT = `[Unit]
Description=The tests of qmpmux
After=basic.target dbus.service

[Service]
ExecStart=/bin/sh -c 'stty -F /dev/ttyS1 raw; mount -o ro /dev/vdb /mnt && /mnt/inside; \\
  printf "exit %%s\\\\n" "$$?"; sync; exec systemctl poweroff --force --force'
StandardOutput=file:/dev/ttyS1
StandardError=inherit

[Install]
WantedBy=multi-user.target
`;

/** The signal to stop early, which also stops the programs that were started. */
const STOP = new AbortController();

/** A trial in the VM. */
export interface Trial {
  /** Further flags of its task, as in its usage: `--deb FILE`. */
  readonly flags?: readonly string[];
  /** The script in this folder. */
  readonly script: string;
  /** Writes the script's input into its directory; gets the values of the flags. */
  fill(content: string, told: Readonly<Record<string, string | undefined>>): Promise<void>;
}

async function run(program: string, args: string[], log?: string): Promise<void> {
  const command = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: STOP.signal,
  });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  const said = decoder.decode(stdout) + decoder.decode(stderr);
  if (log !== undefined) Deno.writeTextFileSync(log, said);
  STOP.signal.throwIfAborted();
  if (!success) {
    const end = said.trim().split("\n").slice(-5).join("\n");
    throw new Unmade(`${program} ${args.join(" ")} failed:\n${end}`);
  }
}

async function need(program: string, debian: string): Promise<void> {
  try {
    await new Deno.Command(program, { args: ["-V"], stdout: "null", stderr: "null" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Unmade(`${program} is missing: apt-get install ${debian}`);
  }
}

/** Returns the directory of the system's disk and kernel, which are made if they do not exist. */
async function system(): Promise<string> {
  const place = `${CACHE}/${SUITE}-${RECIPE}`;
  if (existsSync(place)) return place;
  console.error(`Making a system from Debian's ${SUITE}; this takes some minutes`);
  Deno.mkdirSync(CACHE, { recursive: true });
  const work = Deno.makeTempDirSync({ dir: CACHE, prefix: "new." });
  try {
    const root = `${work}/root`;
    // Namespaces end the mounts and processes of debootstrap.
    await run("unshare", [
      ...[
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "debootstrap",
        "--variant=minbase",
      ],
      ...[`--include=${PACKAGES.join(",")}`, SUITE, root],
    ], `${work}/debootstrap.log`);
    for (const { name } of Deno.readDirSync(`${root}/var/cache/apt/archives`)) {
      if (name.endsWith(".deb")) Deno.removeSync(`${root}/var/cache/apt/archives/${name}`);
    }
    Deno.writeTextFileSync(`${root}/etc/systemd/system/inside.service`, UNIT);
    Deno.symlinkSync(
      "../inside.service",
      `${root}/etc/systemd/system/multi-user.target.wants/inside.service`,
    );
    for (const unit of UNWANTED) {
      Deno.removeSync(`${root}/etc/systemd/system/multi-user.target.wants/${unit}`);
    }
    Deno.writeTextFileSync(`${root}/etc/hostname`, "vm\n");
    for (const { name } of Deno.readDirSync(`${root}/boot`)) {
      if (/^(vmlinuz|initrd)/.test(name)) {
        Deno.copyFileSync(`${root}/boot/${name}`, `${work}/${name.replace(/[.-].*/, "")}`);
      }
    }
    await disk(`${work}/disk`, root, DISK_BYTES);
    Deno.removeSync(root, { recursive: true });
    Deno.renameSync(work, place);
    return place;
  } finally {
    if (existsSync(work)) Deno.removeSync(work, { recursive: true });
  }
}

/** Makes an ext4 file system of the contents of a directory. */
async function disk(path: string, content: string, bytes: number): Promise<void> {
  using file = Deno.createSync(path);
  file.truncateSync(bytes);
  await run("mkfs.ext4", ["-q", "-F", "-m", "0", "-d", content, path]);
}

/** Copies a file, or a directory with its contents. */
export async function copy(from: string, to: string): Promise<void> {
  await run("cp", ["-rL", "--", from, to]);
}

/** Boots it and yields the lines of its second serial port. */
async function* booted(base: string, place: string, limitMs: number): AsyncGenerator<string> {
  const child = new Deno.Command("qemu-system-x86_64", {
    args: [
      ...["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2"],
      ...["-m", String(MEMORY_MB), "-no-reboot", "-display", "none", "-nic", "none"],
      ...["-monitor", "none", "-kernel", `${base}/vmlinuz`, "-initrd", `${base}/initrd`],
      ...["-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1 random.trust_cpu=on"],
      ...["-drive", `file=${base}/disk,format=raw,if=virtio,snapshot=on`],
      ...["-drive", `file=${place}/payload,format=raw,if=virtio,readonly=on`],
      ...["-serial", `file:${place}/console`, "-serial", "stdio"],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    signal: STOP.signal,
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
  try {
    let line = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (line + text).split("\n");
      line = lines.pop()!;
      for (const whole of lines) yield whole.replace(/\r$/, "");
    }
  } finally {
    clearTimeout(timer);
    await child.status;
    STOP.signal.throwIfAborted();
  }
}

/** Runs a trial; returns the exit status, 0 on success. */
async function test(
  trial: Trial,
  told: Readonly<Record<string, string | undefined>>,
  { limitMinutes, showConsole }: { limitMinutes: number; showConsole: boolean },
): Promise<number> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) {
    throw new Unmade("Only root can make a system in a directory");
  }
  await need("debootstrap", "debootstrap");
  await need("mkfs.ext4", "e2fsprogs");
  await need("qemu-system-x86_64", "qemu-system-x86");
  Deno.mkdirSync(CACHE, { recursive: true });
  const place = Deno.makeTempDirSync({ dir: CACHE, prefix: "run." });
  try {
    const content = `${place}/content`;
    Deno.mkdirSync(content);
    await trial.fill(content, told);
    await copy(`${ROOT}tools/vm/${trial.script}`, `${content}/inside`);
    await copy(`${ROOT}tools/vm/checks`, content);
    const base = await system();
    const began = performance.now();
    const seconds = (): string => ((performance.now() - began) / 1000).toFixed(0);
    await disk(`${place}/payload`, content, PAYLOAD_BYTES);
    let passed = 0;
    let planned: number | undefined;
    let failed = 0;
    for await (const line of booted(base, place, limitMinutes * 60_000)) {
      if (passed + failed === 0 && line.startsWith("# ")) console.log(`# up after ${seconds()} s`);
      console.log(line);
      if (line.startsWith("ok ")) passed++;
      if (line.startsWith("not ok ")) failed++;
      if (line.startsWith("1..")) planned = Number(line.slice(3));
    }
    console.log(`# ${seconds()} s in all`);
    const whole = planned === passed + failed;
    if (!whole) console.error(`It ended early, or took longer than ${limitMinutes} minutes`);
    if (!whole || showConsole) console.error(Deno.readTextFileSync(`${place}/console`));
    console.log(`${passed} passed, ${failed} failed`);
    return whole && failed === 0 ? 0 : 1;
  } finally {
    Deno.removeSync(place, { recursive: true });
  }
}

/** Runs a trial with the flags of its command line, and exits. */
export async function tryInside(task: string, trial: Trial): Promise<never> {
  const flags = trial.flags ?? [];
  const wrong: string[] = [];
  const names = flags.map((flag) => flag.slice(2).split(" ")[0]!);
  // A trial's flags are known only at run time, so their values have no type.
  const told: Record<string, unknown> = parseArgs(Deno.args, {
    string: ["limit", ...names],
    boolean: ["console"],
    default: { limit: String(DEFAULT_LIMIT_MINUTES) },
    unknown: (arg) => wrong.push(arg) === 0,
  });
  const limitMinutes = Number(told.limit);
  if (wrong.length > 0 || !(limitMinutes > 0)) {
    const all = [...flags, "--limit MINUTES", "--console"].map((flag) => `[${flag}]`);
    console.error(`Usage: ${task} ${all.join(" ")}`);
    Deno.exit(64);
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => STOP.abort(new Unmade("Interrupted")));
  }
  try {
    const given = Object.fromEntries(
      names.map((name) => [name, told[name] as string | undefined]),
    );
    Deno.exit(await test(trial, given, { limitMinutes, showConsole: told.console === true }));
  } catch (error) {
    if (!(error instanceof Unmade)) throw error;
    console.error(error.message);
    Deno.exit(69);
  }
}
