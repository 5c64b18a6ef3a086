/**
 * The demo: two clients that share a QEMU through qmpmux.
 *
 * It shows what each client sends and receives, and checks it. With `--stay` everything keeps
 * running afterwards.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { versionText } from "../lib/cli/version.ts";
import { FakeQemu } from "../lib/testing/mod.ts";
import { TestClient } from "../tests/support/client.ts";
import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { recordedSchema } from "../tests/support/schemas.ts";

const WIDTH = 100;

/** A client whose conversation is shown. */
class Shown {
  readonly #name: string;
  readonly #client: TestClient;

  constructor(name: string, client: TestClient) {
    this.#name = name;
    this.#client = client;
  }

  async says(text: string): Promise<void> {
    this.#show(">", text);
    await this.#client.send(`${text}\n`);
  }

  /** Shows the next line; @throws Error when it is not the expected one */
  async hears(pattern: RegExp): Promise<void> {
    const line = await this.#client.line();
    this.#show("<", line);
    if (!pattern.test(line)) throw new Error(`${this.#name} should have heard ${pattern}`);
  }

  async hearsTheEnd(): Promise<void> {
    const rest = await this.#client.lines.rest();
    if (rest.length > 0) throw new Error(`${this.#name} heard ${rest.join()}`);
    this.#show("<", "(end of file)");
  }

  #show(direction: string, text: string): void {
    const line = `   ${this.#name.padEnd(9)} ${direction} ${text}`;
    console.log(line.length > WIDTH ? `${line.slice(0, WIDTH - 2)} …` : line);
  }
}

function step(text: string): void {
  console.log(`\n${text}`);
}

/** Starts a QEMU if it is installed, otherwise a fake one. */
async function startMachine(path: string): Promise<AsyncDisposable> {
  let version: string;
  try {
    const { stdout } = await new Deno.Command("qemu-system-x86_64", { args: ["--version"] })
      .output();
    version = new TextDecoder().decode(stdout).split("\n")[0]!;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("QEMU:    not installed; a fake one replaces it");
    return await startFake(path);
  }
  console.log(`QEMU:    ${version}, a machine without a guest`);
  return await startQemu(path);
}

/** Starts a fake QEMU, whose machine starts and stops. */
async function startFake(path: string): Promise<FakeQemu> {
  let running = false;
  const change = (to: boolean, event: string) => (): object => {
    if (running !== to) qemu.emit({ name: event });
    running = to;
    return {};
  };
  const qemu = await FakeQemu.fromSchema(await recordedSchema("11.1"), {
    listen: `unix:${path}`,
    replies: {
      "cont": change(true, "RESUME"),
      "stop": change(false, "STOP"),
      "query-status": () => ({ status: running ? "running" : "paused", running }),
    },
  });
  return qemu;
}

async function demo(stay: boolean): Promise<void> {
  console.log("One QEMU monitor, two clients at the same time\n");
  await using made = new AsyncDisposableStack();
  const { path } = made.use(makePlace());
  const [vm, socket] = [`${path}/vm.sock`, `${path}/mux.sock`];
  made.use(await startMachine(vm));
  const mux = made.use(await startQmpmux(["--qemu", vm, "--listen", socket]));
  await mux.log.until(/connected to QEMU/);
  console.log(`qmpmux:  ${versionText()}`);
  console.log(`         started as: qmpmux serve --qemu ${vm} --listen ${socket}`);
  console.log("\nQEMU's monitor serves one client at a time. qmpmux holds that one connection;");
  console.log("below, > marks what a client sends and < what it receives.");

  step("1. Two clients connect. Each gets QEMU's own greeting and a monitor of its own.");
  const operator = new Shown("operator", made.use(await TestClient.connect(socket)));
  await operator.hears(/^\{"QMP": /);
  const display = new Shown("display", made.use(await TestClient.connect(socket)));
  await display.hears(/^\{"QMP": /);

  step(
    "2. Each negotiates separately: the operator enables out-of-band commands, the display does not.",
  );
  await operator.says('{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}');
  await operator.hears(/^\{"return": \{\}\}$/);
  await display.says('{"execute": "qmp_capabilities"}');
  await display.hears(/^\{"return": \{\}\}$/);

  step("3. Only the operator can therefore send an out-of-band command.");
  await operator.says('{"exec-oob": "query-yank", "id": 1}');
  await operator.hears(/^\{"return": \[.*\], "id": 1\}$/);
  await display.says('{"exec-oob": "query-yank", "id": 1}');
  await display.hears(/'exec-oob' is unexpected/);

  step("4. The display wants only one event.");
  await display.says(
    '{"execute": "__org.qmpmux_set-event-filter", "arguments": {"enable": ["STOP"]}}',
  );
  await display.hears(/^\{"return": \{\}\}$/);

  step("5. The operator starts and stops the machine: it gets both events, the display one.");
  await operator.says('{"execute": "cont", "id": 2}');
  await operator.hears(/"event": "RESUME"/);
  await operator.hears(/^\{"return": \{\}, "id": 2\}$/);
  await operator.says('{"execute": "stop", "id": 3}');
  await operator.hears(/"event": "STOP"/);
  await operator.hears(/^\{"return": \{\}, "id": 3\}$/);
  await display.hears(/"event": "STOP"/);

  step("6. Both send the same id, which may be any JSON value. Each gets its own reply.");
  await operator.says('{"execute": "query-status", "id": 18446744073709551615}');
  await display.says('{"execute": "no-such-command", "id": 18446744073709551615}');
  await operator.hears(/^\{"return": \{.*\}, "id": 18446744073709551615\}$/);
  await display.hears(/^\{"id": 18446744073709551615, "error": /);

  if (stay) {
    step("Everything keeps running. From another terminal, connect with:");
    console.log(`\n   socat - UNIX-CONNECT:${socket}\n`);
    console.log('and say {"execute": "qmp_capabilities"} first. Ctrl-C here ends it.');
    await interrupted();
    return;
  }
  step(
    "7. The operator quits QEMU. Each client gets what QEMU would have sent it, then end of file.",
  );
  await operator.says('{"execute": "quit"}');
  await operator.hears(/"event": "SHUTDOWN"/);
  await operator.hears(/^\{"return": \{\}\}$/);
  await operator.hearsTheEnd();
  await display.hearsTheEnd();
  console.log("\nDone. qmpmux would now wait for the next QEMU at the same path.");
}

async function interrupted(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, resolve);
  await promise;
  for (const signal of signals) Deno.removeSignalListener(signal, resolve);
}

if (import.meta.main) {
  const flags: Record<string, unknown> = parseArgs(Deno.args, {
    boolean: ["stay"],
    unknown: (argument: string) => {
      console.error(`demo: there is no ${argument}; there is --stay`);
      Deno.exit(64);
    },
  });
  await demo(flags["stay"] === true);
}
