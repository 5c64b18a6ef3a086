/**
 * Descriptors that libvirt passes to QEMU, with QEMU alone and through qmpmux.
 *
 * libvirt passes taps, files and sockets over the monitor. The same conversation is held twice, the
 * second time with `libvirt/qmpmux-emulator` as the domain's emulator: libvirt's output, and QEMU's
 * open descriptors after each step, must be the same.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { TestClient } from "../support/client.ts";
import { programCommand } from "../support/qmpmux.ts";
import { startLibvirt, type TestLibvirt } from "./libvirt.ts";
import { type Held, held, processes, programOf, until } from "./processes.ts";
import { getLibvirt, run, SYSTEM_PYTHON, without } from "./setup.ts";

const HERE = import.meta.dirname!;
const WRAPPER = new URL("../../libvirt/qmpmux-emulator", import.meta.url).pathname;

/** The result of a step, to be compared. */
interface StepResult {
  /** The text that libvirt printed, or the result of the step. */
  readonly said: string;
  /** The descriptors that QEMU has open after it; `undefined` if QEMU has exited. */
  readonly held: Held | undefined;
}

type Step = (host: TestLibvirt) => Promise<string>;

function state({ virsh }: TestLibvirt): Promise<string> {
  return virsh("domstate", "shared", "--reason");
}

/** Plugs in a device that is described in a file. */
function attach(device: string): Step {
  return ({ virsh, file }) => virsh("attach-device", "shared", file(device), "--live");
}

/** Unplugs it. */
function detach(device: string): Step {
  return ({ virsh, file }) => virsh("detach-device", "shared", file(device), "--live");
}

/** Unplugs a network card: without a guest that releases it, a reset has to do that. */
function detachCard(alias: string): Step {
  return async (host) => {
    const said = await host.virsh("detach-device-alias", "shared", alias, "--live");
    await host.virsh("reset", "shared");
    const list = (): Promise<string> => host.virsh("domiflist", "shared");
    await until(`${alias} to be unplugged`, list, (cards) => cards === "");
    return said;
  };
}

/** Restarts libvirtd, and waits until it talks to QEMU again. */
function restart(how: "restart" | "kill"): Step {
  return async (host) => {
    await host.restart(how);
    await host.virsh("qemu-monitor-command", "shared", '{"execute":"query-name"}');
    return await state(host);
  };
}

/** Returns the first bytes of a file, as text. */
function beginning(path: string, length: number): string {
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(length);
  return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
}

const STEPS: Readonly<Record<string, Step>> = {
  "start": async (host) => {
    await host.virsh("start", "shared");
    return await state(host);
  },
  "a tap": attach("tap.xml"),
  "packets through the tap": async ({ virsh }) => {
    const times = { initial: 20, max: 20, step: 0, rounds: 2 };
    const announce = JSON.stringify({ execute: "announce-self", arguments: times });
    await virsh("qemu-monitor-command", "shared", announce);
    const sent = async (): Promise<number> => {
      const stats = await virsh("domifstat", "shared", "tap0");
      return Number(/tx_packets (\d+)/.exec(stats)?.[1]);
    };
    return String(await until("QEMU's packets", sent, (packets) => packets >= 2) >= 2);
  },
  "libvirtd restarted": restart("restart"),
  "the tap unplugged": detachCard("ua-tap"),
  "a tap of three queues": attach("queues.xml"),
  "libvirtd killed": restart("kill"),
  "the tap of three queues unplugged": detachCard("ua-queues"),
  "a file": attach("file.xml"),
  "libvirtd restarted, with a file": restart("restart"),
  "the file unplugged": detach("file.xml"),
  "a listening socket": attach("listening.xml"),
  "a connection to the socket": async ({ virsh, file }) => {
    const command = '{"execute":"query-chardev"}';
    const free = async (): Promise<boolean> =>
      (await virsh("qemu-monitor-command", "shared", command)).includes('"disconnected:unix:');
    {
      using _conn = await Deno.connect({ transport: "unix", path: file("channel.sock") });
      await until("QEMU to accept", free, (isFree) => !isFree);
    }
    return String(await until("QEMU to see the end of it", free, (isFree) => isFree));
  },
  "the socket unplugged": detach("listening.xml"),
  "the screen": async (host) => {
    const { sockets } = heldByQemu(host)!;
    const viewer = `${HERE}/libvirt/graphics.py`;
    const { code, stdout, stderr } = await run(SYSTEM_PYTHON, [viewer, host.uri]);
    assertEquals(code, 0, stderr);
    const left = (now: Held | undefined): boolean => now?.sockets === sockets;
    await until("QEMU to see the viewer go", () => heldByQemu(host), left);
    return stdout;
  },
  "a dump of memory": async ({ virsh, file }) => {
    await virsh("dump", "shared", file("core"), "--memory-only");
    return `${beginning(file("core"), 4)} ${Deno.statSync(file("core")).size}`;
  },
  "a dump of the machine": async (host) => {
    await host.virsh("dump", "shared", host.file("dump"), "--live");
    return `${beginning(host.file("dump"), 4)} ${await state(host)}`;
  },
  "a snapshot with memory": async ({ virsh, file }) => {
    const memory = `file=${file("snapshot")},snapshot=external`;
    const disk = `sda,file=${file("overlay.qcow2")}`;
    const places = ["--memspec", memory, "--diskspec", disk];
    await virsh("snapshot-create-as", "shared", "first", "--no-metadata", ...places);
    return beginning(file("snapshot"), 16);
  },
  "save": async (host) => {
    await host.virsh("save", "shared", host.file("saved"));
    return `${beginning(host.file("saved"), 16)} ${await state(host)}`;
  },
  "restore": async (host) => {
    await host.virsh("restore", host.file("saved"));
    return await state(host);
  },
  "a tap after the restoring": attach("tap.xml"),
  "save with the tap, by libvirt itself": async (host) => {
    await host.virsh("managedsave", "shared");
    return await state(host);
  },
  "start from what was saved": async (host) => {
    await host.virsh("start", "shared");
    return await state(host);
  },
  "destroy": async (host) => {
    await host.virsh("destroy", "shared");
    return await state(host);
  },
  "QEMU killed": async (host) => {
    await host.virsh("start", "shared");
    Deno.kill(qemuOf(host)!, "SIGKILL");
    return await until("libvirt to notice", () => state(host), (now) => /^shut off/.test(now));
  },
  "QEMU failing at its arguments": async ({ virsh, file }) => {
    const failure = await virsh("create", file("failing.xml")).catch((error: Error) => error);
    assert(failure instanceof Error, "It was started");
    return /-nonsense: invalid option/.exec(failure.message)?.[0] ?? failure.message;
  },
};

function directory({ file }: TestLibvirt): string {
  return file("").replace(/\/$/, "");
}

function qemuOf(host: TestLibvirt): number | undefined {
  return processes("qemu-system", "\0guest=shared,", "\0-S\0", directory(host))
    .find((pid) => /\/qemu-system[^/]*$/.test(programOf(pid)));
}

function heldByQemu(host: TestLibvirt): Held | undefined {
  const qemu = qemuOf(host);
  return qemu === undefined ? undefined : held(qemu, directory(host));
}

/** Performs a step; returns its result. */
async function take(host: TestLibvirt, name: string): Promise<StepResult> {
  const said = await STEPS[name]!(host);
  return { said, held: heldByQemu(host) };
}

/** The conversation with QEMU alone, held once. */
let alone: Promise<ReadonlyMap<string, StepResult>> | undefined;

async function playAlone(): Promise<ReadonlyMap<string, StepResult>> {
  await getLibvirt();
  await using host = await startLibvirt({
    domain: "descriptors.xml",
    emulator: () => "/usr/bin/qemu-system-x86_64",
  });
  const outcomes = new Map<string, StepResult>();
  for (const name of Object.keys(STEPS)) outcomes.set(name, await take(host, name));
  return outcomes;
}

const libvirt = { ignore: without("libvirt") };

Deno.test("libvirt passes QEMU its descriptors without qmpmux", libvirt, async () => {
  const outcomes = await (alone ??= playAlone());
  const open = (name: string): Held => outcomes.get(name)!.held!;
  const said = (name: string): string => outcomes.get(name)!.said;

  assertEquals(open("start").taps, 0);
  assertEquals(open("a tap").taps, 1);
  assertEquals(said("packets through the tap"), "true");
  assertEquals(open("libvirtd restarted").taps, 1);
  assertEquals(open("the tap unplugged"), open("start"));
  assertEquals(open("a tap of three queues").taps, 3);
  assertEquals(open("the tap of three queues unplugged"), open("start"));
  assert(open("a file").files.includes("channel.log"));
  assertEquals(open("the file unplugged"), open("start"));
  assertEquals(open("a listening socket").sockets, open("start").sockets + 1);
  assertEquals(open("the socket unplugged"), open("start"));
  assertEquals(said("a connection to the socket"), "true");
  assertMatch(said("the screen"), /^RFB 003\.\d+ QEMU \(shared\)\n$/);
  assertMatch(said("a dump of memory"), /^\x7fELF \d+$/);
  assertEquals(said("a dump of the machine"), "QEVM running (unpaused)");
  assertEquals(said("a snapshot with memory"), "LibvirtQemudSave");
  assertEquals(said("save"), "LibvirtQemudSave shut off (saved)");
  assertEquals(said("restore"), "running (restored)");
  assertEquals(open("start from what was saved").taps, 1);
  assertEquals(said("destroy"), "shut off (destroyed)");
  assertEquals(said("QEMU failing at its arguments"), "-nonsense: invalid option");
});

/**
 * Starts libvirtd with a domain whose monitor it has through qmpmux; others connect at
 * `shared.sock`.
 */
function startThrough(): Promise<TestLibvirt> {
  return startLibvirt({
    domain: "descriptors.xml",
    emulator(file): string {
      const program = file("qmpmux-emulator");
      Deno.copyFileSync(WRAPPER, program);
      Deno.writeTextFileSync(`${program}.conf`, settings(file));
      return program;
    },
  });
}

/** Returns the settings of the wrapper, which libvirt starts without the environment of the test. */
function settings(file: (name: string) => string): string {
  const quoted = (words: readonly string[]): string =>
    words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const [command, args] = programCommand();
  const listener = `"unix:${file("$name.sock")},role=observer"`;
  const kept = ["HOME", "XDG_CACHE_HOME", "DENO_DIR", "JSR_URL"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [`${name}=${value}`];
  });
  return [
    `qmpmux=(env ${quoted([...kept, command, ...args])})`,
    `clients=(--listen ${listener})`,
    "",
  ].join("\n");
}

/** Performs a step while another client keeps sending; that client must get its own replies. */
async function beside(host: TestLibvirt, name: string, asks: boolean): Promise<StepResult> {
  if (!asks) return await take(host, name);
  using asker = await TestClient.ready(host.file("shared.sock"));
  let done = false;
  const asking = (async () => {
    for (let id = 0; !done; id++) {
      if (!await asker.trySend({ execute: "query-status", id })) return;
      let reply = await asker.lines.next();
      while (reply?.startsWith('{"timestamp"')) reply = await asker.lines.next();
      // End of file, if QEMU exits.
      if (reply === undefined) return;
      assertMatch(reply, new RegExp(`"running": (true|false)\\}, "id": ${id}\\}$`));
    }
  })();
  const taking = take(host, name).finally(() => done = true);
  const [outcome] = await Promise.all([taking, asking]);
  return outcome;
}

Deno.test("libvirt passes QEMU the same descriptors through qmpmux", libvirt, async (t) => {
  const expected = await (alone ??= playAlone());
  await using host = await startThrough();

  /** The descriptors that qmpmux had when libvirt had just started the domain. */
  let idle: Held | undefined;
  const heldByQmpmux = (): Held => held(qmpmuxOf(host)!, directory(host));
  for (const name of Object.keys(STEPS)) {
    const passed = await t.step(name, async () => {
      const outcome = await beside(host, name, qmpmuxOf(host) !== undefined);
      assertEquals(outcome, expected.get(name));
      if (outcome.held === undefined) {
        idle = undefined;
        await ended(host);
      } else {
        idle ??= heldByQmpmux();
        const same = (now: Held): boolean => JSON.stringify(now) === JSON.stringify(idle);
        await until(`qmpmux to hold ${JSON.stringify(idle)}`, heldByQmpmux, same);
      }
    });
    // The next steps need this one's result.
    if (!passed) break;
  }
});

Deno.test("qmpmux-emulator reports errors in its settings to libvirt", libvirt, async () => {
  await getLibvirt();
  await using host = await startThrough();
  const conf = host.file("qmpmux-emulator.conf");
  Deno.writeTextFileSync(conf, "clients+=(--listen unix:/nowhere/mux.sock)\n", { append: true });
  const wrong = "unix:/nowhere/mux.sock: the directory /nowhere does not exist";
  const { message } = await assertRejects(() => host.virsh("start", "shared"), Error);
  // It shows the domain's log if it sees the end of QEMU before that of the monitor.
  assert(message.includes(wrong) || message.includes("Missing monitor reply"), message);
  assert(domainLogs().some((text) => text.includes(wrong)), domainLogs().join("\n"));
  assertEquals(await state(host), "shut off (failed)");
  await ended(host);
});

Deno.test("qmpmux-emulator stops the domain when qmpmux exits", libvirt, async () => {
  await getLibvirt();
  await using host = await startThrough();
  await host.virsh("start", "shared");
  using watcher = await TestClient.ready(host.file("shared.sock"));
  Deno.kill(qmpmuxOf(host)!, "SIGKILL");
  const noticed = await until("libvirt to notice", () => state(host), (now) => /off/.test(now));
  assertEquals(noticed, "shut off (crashed)");
  await watcher.lines.rest();
  await ended(host);
});

/** Returns the logs of the domain, in the namespaces of all libvirtds. */
function domainLogs(): string[] {
  return processes("libvirtd").flatMap((pid) => {
    try {
      return [Deno.readTextFileSync(`/proc/${pid}/root/var/log/libvirt/qemu/shared.log`)];
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
}

function qmpmuxOf({ file }: TestLibvirt): number | undefined {
  return processes(file("shared.sock"), "\0serve\0")[0];
}

/** Resolves when nothing is left that the domain's emulator has started. */
async function ended(host: TestLibvirt): Promise<void> {
  const left = (): number[] => [
    ...processes(host.file("shared.sock")),
    ...processes(host.file("qmpmux-emulator"), "guest="),
  ];
  await until("qmpmux to end with QEMU", left, (pids) => pids.length === 0);
}
