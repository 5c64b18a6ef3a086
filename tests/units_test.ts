/**
 * The units for systemd and the packaged configuration agree with each other and with the program.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { type Machines, machinesOf } from "../lib/config/machines.ts";
import { addressText, PATH_BYTES_LIMIT } from "../lib/policy/address.ts";
import { CONFIGURATIONS, UNITS } from "../tools/release_deb.ts";

const ROOT = new URL("../", import.meta.url).pathname;

function textOf(path: string): string {
  return Deno.readTextFileSync(`${ROOT}${path}`);
}

/** Returns the values of the lines of a unit with this key. */
function valuesOf(unit: string, key: string): string[] {
  const lines = textOf(`systemd/${unit}`).split("\n").filter((line) => line.startsWith(`${key}=`));
  return lines.map((line) => line.slice(key.length + 1));
}

/** Returns the value of the only line of a unit with this key. */
function valueOf(unit: string, key: string): string {
  const values = valuesOf(unit, key);
  assertEquals(values.length, 1, `${unit}: ${key}`);
  return values[0]!;
}

/** Returns the VMs of the packaged configuration; this host need not have its group. */
function packaged(): Machines {
  const file = `${ROOT}packaging/qmpmux.toml`;
  return machinesOf(serveSettings(["--print-config", "--config", file]));
}

Deno.test("the unit of the host is supervised and hardened as an instance is", () => {
  const [host, instance] = ["qmpmux.service", "qmpmux@.service"].map((unit) => {
    const text = textOf(`systemd/${unit}`);
    return text.slice(text.indexOf("# A restart does not"));
  });
  assert(host!.includes("PrivateNetwork=yes"));
  assertEquals(host, instance);
});

Deno.test("the unit of the host reads the packaged configuration, and reloads it by its control socket", () => {
  const control = "--control unix:/run/qmpmux/control.sock";
  assertEquals(
    valueOf("qmpmux.service", "ExecStart"),
    `/usr/bin/qmpmux serve --config /etc/qmpmux/qmpmux.toml ${control} --fd-store`,
  );
  assertEquals(valueOf("qmpmux.service", "ExecReload"), `/usr/bin/qmpmux reload ${control}`);
});

Deno.test("the packaged configuration serves every VM where an instance would", () => {
  const { many, named, settingsOf } = packaged();
  const { qemu, listeners } = settingsOf("vm1");
  const [, words] = /^Environment="QMPMUX_ARGS=(.*)"$/m.exec(textOf("systemd/qmpmux@.service"))!;
  const instance = serveSettings(words!.replaceAll("%i", "vm1").split(" "));
  assertEquals([many, named.size], [true, 0]);
  assertEquals(qemu, instance.qemu);
  assertEquals(listeners[0]!.address, instance.listeners[0]!.address);
  assertEquals(listeners.map(({ mode, group }) => [mode, group]), [[0o660, "kvm"], [0o660, "kvm"]]);
});

Deno.test("an instance does not start where the packaged configuration listens, while the host's unit is active", () => {
  const { listeners: [listener] } = packaged().settingsOf("vm1");
  const [socket, host] = valuesOf("qmpmux@.service", "AssertPathExists");
  const path = addressText(listener!.address).slice("unix:".length);
  assertEquals(socket!.replace("%i", "vm1"), `|!${path}`);
  assertEquals(host, `|!/run/${valueOf("qmpmux.service", "RuntimeDirectory")}`);
});

Deno.test("the unit of the host has room in systemd's store for as many sockets as one variable can name", () => {
  // A path, a space, the inode of a file in memory, which is counted from 1, and a colon.
  const longest = PATH_BYTES_LIMIT + " 4294967295:".length;
  const sockets = Number(valueOf("qmpmux.service", "FileDescriptorStoreMax"));
  // The limit of a variable is that of an argument of a program, MAX_ARG_STRLEN.
  assert(sockets * longest <= 128 << 10);
});

Deno.test("the port of the metrics leads to the socket of the packaged configuration", () => {
  const { metrics } = packaged().settingsOf("vm1");
  const to = valueOf("qmpmux-metrics.service", "ExecStart").split(" ").at(-1)!;
  assertEquals(metrics!.address, { transport: "unix", path: to });
  assertEquals(metrics!.mode, 0o666);
  assertEquals(valueOf("qmpmux-metrics.service", "Requires"), "qmpmux-metrics.socket");
});

Deno.test("every text that names the port of the metrics names the one of its unit", () => {
  const port = valueOf("qmpmux-metrics.socket", "ListenStream");
  for (
    const path of ["docs/deployment.md", "docs/observability.md", "packaging/qmpmux.toml"]
  ) assert(textOf(path).includes(port), path);
});

Deno.test("the documented scrape_config is the one that was tried", () => {
  const tried = textOf("tools/vm/host");
  const [, block] = /```text\n(scrape_configs:\n.*?)```/s.exec(textOf("docs/deployment.md"))!;
  for (const line of block!.trimEnd().split("\n")) assert(tried.includes(`${line}\n`), line);
});

Deno.test("the package has every unit and configuration, and stops every unit when it is removed", () => {
  const units = [...Deno.readDirSync(`${ROOT}systemd`)].map(({ name }) => name);
  assertEquals(units.filter((name) => /\.(service|socket)$/.test(name)).sort(), [...UNITS].sort());
  const files = [...Deno.readDirSync(`${ROOT}packaging`)].map(({ name }) => name);
  assertEquals(
    files.filter((name) => name.endsWith(".toml")).sort(),
    [...CONFIGURATIONS].sort(),
  );
  const conffiles = textOf("packaging/debian/conffiles").trim().split("\n");
  assertEquals(conffiles, CONFIGURATIONS.map((file) => `/etc/qmpmux/${file}`));
  const [, stopped] = /deb-systemd-invoke stop ((?:.|\\\n)*?) \|\|/.exec(
    textOf("packaging/debian/prerm"),
  )!;
  const named = stopped!.split(/[\s\\']+/).filter((word) => word !== "");
  assertEquals(named.map((name) => name.replace("@*", "@")).sort(), [...UNITS].sort());
});
