/**
 * The settings of each VM, made from those of the process.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { serveSettings } from "../lib/cli/serve_settings.ts";
import { DEFAULT_VM, type Machines, machinesOf } from "../lib/config/machines.ts";
import { UsageError } from "../lib/policy/usage_error.ts";

function machines(...args: string[]): Machines {
  return machinesOf(serveSettings(args));
}

const TEMPLATES = ["--qemu", "/run/qemu/{vm}/qmp.sock", "--listen", "/run/mux/{vm}/mux.sock"];

Deno.test("machinesOf() gives one VM the name that --vm says", () => {
  const place = ["--qemu", "/run/vm.sock", "--listen", "/run/mux.sock"];
  const { many, named, pattern } = machines(...place, "--vm", "a");
  assertEquals([many, [...named.keys()], pattern], [false, ["a"], undefined]);
  assertEquals(named.get("a")!.qemu, { transport: "unix", path: "/run/vm.sock" });
  assertEquals([named.get("a")!.vm, named.get("a")!.isNamed], ["a", true]);
  assertEquals([...machines(...place).named.keys()], [DEFAULT_VM]);
  const { vm, isNamed } = machines(...place).settingsOf(DEFAULT_VM);
  assertEquals([vm, isNamed], [DEFAULT_VM, false]);
});

Deno.test("machinesOf() gives VMs that are found the addresses of the templates", () => {
  const { many, named, pattern, settingsOf } = machines(...TEMPLATES, "--on-loss", "hold");
  assertEquals([many, named.size, pattern!.directory], [true, 0, "/run/qemu"]);
  const { vm, isNamed, qemu, listeners, "on-loss": onLoss } = settingsOf("a");
  assertEquals([vm, isNamed, onLoss], ["a", true, "hold"]);
  assertEquals(qemu, { transport: "unix", path: "/run/qemu/a/qmp.sock" });
  assertEquals(listeners.map(({ address }) => address), [
    { transport: "unix", path: "/run/mux/a/mux.sock" },
  ]);
});

Deno.test("machinesOf() names listeners of a VM after their addresses", () => {
  const listen = ["/run/mux/{vm}.sock", "/run/{vm}/a.sock", "/run/b-{vm},name=b.{vm}.{vm}"]
    .flatMap((text) => ["--listen", `${text},role-for=root:operator`]);
  const { settingsOf } = machines("--qemu", "/run/qemu/{vm}", ...listen);
  const names = (vm: string): string[] =>
    settingsOf(vm).listeners.flatMap(({ grant, admission }) => {
      assertEquals(admission.special.map((each) => each.grant.name), [grant.name]);
      return grant.name;
    });
  assertEquals(names("x"), ["x", "a", "b.x.x"]);
  assertEquals(names("x".repeat(70)).map(({ length }) => length), [64, 1, 64]);
});

Deno.test("settingsOf() refuses a name that makes a path too long", () => {
  const { settingsOf } = machines(...TEMPLATES);
  assertThrows(() => settingsOf("x".repeat(90)), UsageError, "use a shorter path or name");
});
