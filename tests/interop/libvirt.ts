/**
 * libvirt for tests: a private daemon, isolated in namespaces.
 *
 * By default the domain's emulator is `libvirt/emulator.py`, which connects libvirt to the program
 * that listens at `mux`, in front of QEMU's monitor at `qemu`.
 *
 * @module
 */

import { join } from "node:path";
import { within } from "../support/deadline.ts";
import { Lines } from "../support/lines.ts";
import { appears, makePlace } from "../support/place.ts";
import { type Exit, run } from "./setup.ts";

const FILES = join(import.meta.dirname!, "libvirt");
const DISK_BYTES = 1 << 20;

/** Starting a domain takes hundreds of commands one after the other. */
const VIRSH_PATIENCE_MS = 120_000;

/** Settings for another domain than the default. */
export interface DomainOptions {
  /** The file in `libvirt/` that defines it. */
  readonly domain?: string;
  /** Returns the program that libvirt starts as QEMU, given a path in the test's directory. */
  emulator?(file: (name: string) => string): string;
}

/** A running libvirtd with one domain defined, `shared`. */
export interface TestLibvirt extends AsyncDisposable {
  /** The address of libvirtd, for another client. */
  readonly uri: string;
  /** The path of QEMU's monitor, for the multiplexer. */
  readonly qemu: string;
  /** The path on which the multiplexer must listen. */
  readonly mux: string;
  /** Returns a path in the test's directory. */
  file(name: string): string;
  /** Runs a command of libvirt's shell; @throws Error with its output if it fails */
  virsh(...args: string[]): Promise<string>;
  /** Stops the daemon, by force if necessary, and starts it again; the domain keeps running. */
  restart(how?: "restart" | "kill"): Promise<void>;
}

/** Starts libvirtd and defines the domain. */
export async function startLibvirt(
  { domain = "domain.xml", emulator = copyEmulator }: DomainOptions = {},
): Promise<TestLibvirt> {
  const place = makePlace();
  const file = (name: string): string => join(place.path, name);
  const program = emulator(file);
  for (const { name } of Deno.readDirSync(FILES)) {
    if (!name.endsWith(".xml")) continue;
    const text = Deno.readTextFileSync(join(FILES, name));
    const own = text.replaceAll("EMULATOR", program).replaceAll("PLACE", place.path);
    Deno.writeTextFileSync(file(name), own);
  }
  for (const name of ["disk.img", "second.img"]) {
    Deno.writeFileSync(file(name), new Uint8Array());
    Deno.truncateSync(file(name), DISK_BYTES);
  }

  const kinds = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"];
  const child = new Deno.Command("unshare", {
    args: [...kinds, "/bin/sh", join(FILES, "libvirtd.sh"), place.path],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const said = new Lines(child.stdout);
  const orders = child.stdin.getWriter();

  const uri = `qemu:///system?socket=${file("libvirt-sock")}`;
  const shell = (args: readonly string[]): Promise<Exit> => {
    const patience = VIRSH_PATIENCE_MS;
    return run("virsh", ["--quiet", "--connect", uri, ...args], { patience });
  };
  const virsh = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await shell(args);
    if (code !== 0) throw new Error(`virsh ${args.join(" ")}: ${stderr.trim()}`);
    return stdout.trim();
  };
  /**
   * Resolves when libvirtd answers: its socket file exists a moment before it accepts connections.
   */
  const serves = async (): Promise<void> => {
    let waiting = true;
    const answers = async (): Promise<void> => {
      await appears(file("libvirt-sock"));
      while (waiting && (await shell(["version"])).code !== 0);
    };
    try {
      await within("libvirtd to answer", Promise.race([answers(), child.status.then(refuse)]));
    } finally {
      waiting = false;
    }
  };
  const libvirt: TestLibvirt = {
    uri,
    qemu: file("qemu.sock"),
    mux: file("mux.sock"),
    file,
    virsh,
    async restart(how = "restart"): Promise<void> {
      await orders.write(new TextEncoder().encode(`${how}\n`));
      await said.until(/^restarted$/);
      await serves();
    },
    async [Symbol.asyncDispose](): Promise<void> {
      // It may have exited by itself.
      await orders.close().catch(() => {});
      await within("libvirtd's namespaces to end", child.status);
      await said.rest();
      place[Symbol.dispose]();
    },
  };
  try {
    await serves();
    await virsh("define", file(domain));
    return libvirt;
  } catch (error) {
    await libvirt[Symbol.asyncDispose]();
    throw error;
  }
}

function copyEmulator(file: (name: string) => string): string {
  Deno.copyFileSync(join(FILES, "emulator.py"), file("emulator.py"));
  Deno.chmodSync(file("emulator.py"), 0o755);
  return file("emulator.py");
}

function refuse({ code }: Deno.CommandStatus): never {
  throw new Error(`libvirtd's namespaces ended with ${code} instead of serving`);
}
