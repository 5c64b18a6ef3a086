/**
 * Templates of addresses: names of VMs, and paths in which one component differs.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { parseListenAddress } from "../lib/policy/address.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import {
  checkTemplate,
  filled,
  filledText,
  isTemplate,
  isVmName,
  SocketPattern,
  vmAt,
} from "../lib/policy/vm_template.ts";

Deno.test("isVmName() takes names that are safe in a path", () => {
  for (const name of ["a", "vm-1", "a.b_c-D9", "...", ".a", "a..", "-", "x".repeat(255)]) {
    assertEquals(isVmName(name), true, name);
  }
});

Deno.test("isVmName() refuses names that climb, or that are none", () => {
  const wrong = ["", ".", "..", "a/b", "/", "a b", "a\n", "\0", "ä", "{vm}", "x".repeat(256)];
  for (const name of wrong) assertEquals(isVmName(name), false, name);
});

Deno.test("isTemplate() finds {vm} in the address of a unix socket or a passed one", () => {
  const found = ["/run/{vm}.sock", "unix-abstract:{vm}", "fd:mux-{vm}", "unix:a-{vm}"];
  for (const text of found) assertEquals(isTemplate(parseListenAddress(text)), true, text);
  for (const text of ["/run/vm.sock", "/run/{vmx}", "fd:vm", "tcp:vm:1"]) {
    assertEquals(isTemplate(parseListenAddress(text)), false, text);
  }
});

Deno.test("filledText() fills each {vm} with the name as it is", () => {
  assertEquals(filledText("{vm}/{vm}.sock", "$&a$1"), "$&a$1/$&a$1.sock");
});

Deno.test("filled() gives each VM its address", () => {
  const of = (text: string): unknown => filled(parseListenAddress(text), "a.1");
  assertEquals(of("/run/{vm}/{vm}.sock"), { transport: "unix", path: "/run/a.1/a.1.sock" });
  assertEquals(of("unix-abstract:mux-{vm}"), { transport: "unix", path: "\0mux-a.1" });
  assertEquals(of("fd:mux-{vm}"), { transport: "fd", name: "mux-a.1" });
  assertEquals(of("tcp::1"), { transport: "tcp", hostname: "127.0.0.1", port: 1 });
});

Deno.test("filled() names the VM whose path is too long for a socket", () => {
  const address = parseListenAddress("/run/{vm}.sock");
  assertEquals(filled(address, "x".repeat(97)).transport, "unix");
  const name = "x".repeat(98);
  const error = assertThrows(() => filled(address, name), UsageError);
  assertEquals(
    error.message,
    `VM ${name}: unix:/run/${name}.sock: the path has 108 bytes, a socket's has at most 107; ` +
      "use a shorter path or name",
  );
});

for (
  const [template, address, vm] of [
    ["/run/{vm}/mux.sock", "/run/a/mux.sock", "a"],
    ["/run/{vm}/mux.sock", "/run/./a//b/../mux.sock", "a"],
    ["/run/{vm}/mux.sock", "/run/a/b/mux.sock", undefined],
    ["/run/{vm}/mux.sock", "/run/a/muxxsock", undefined],
    ["/run/{vm}.sock", "/run/..sock", undefined],
    ["/run/{vm}/{vm}.sock", "/run/a/a.sock", "a"],
    ["/run/{vm}/{vm}.sock", "/run/a/b.sock", undefined],
    ["/run/a+(b)-{vm}", "/run/a+(b)-c", "c"],
    ["/run/a.sock", "/run/a.sock", undefined],
    ["unix-abstract:{vm}", "unix-abstract:a", "a"],
    ["unix-abstract:{vm}", "/a", undefined],
    ["fd:{vm}", "fd:a", "a"],
    ["fd:{vm}", "./a", undefined],
  ] as const
) {
  Deno.test(`vmAt() finds ${vm ?? "no VM"} at ${address} by ${template}`, () => {
    assertEquals(vmAt(parseListenAddress(template), parseListenAddress(address)), vm);
  });
}

Deno.test("checkTemplate() refuses .. behind {vm}, which would lead all VMs to one path", () => {
  for (const text of ["/run/../{vm}/a", "/run/{vm}/..a", "/run/../a", "fd:{vm}..", "tcp::1"]) {
    checkTemplate(parseListenAddress(text));
  }
  assertThrows(
    () => checkTemplate(parseListenAddress("/run/{vm}/../mux.sock")),
    UsageError,
    "unix:/run/{vm}/../mux.sock: .. behind {vm} leads away from the directory of the VM; " +
      "leave .. out",
  );
});

Deno.test("SocketPattern finds VMs by the directories that hold their sockets", () => {
  const pattern = new SocketPattern("/run/qemu/vm-{vm}.d/a/qmp.sock");
  assertEquals([pattern.directory, pattern.entryIsSocket], ["/run/qemu", false]);
  assertEquals(pattern.vmOf("vm-a.d"), "a");
  for (const entry of ["a", "vm-a", "vm-.d", "vm-a b.d", "vm-..d", "vm-...d", "qmp.sock"]) {
    assertEquals(pattern.vmOf(entry), undefined, entry);
  }
  assertEquals(pattern.pathOf("a"), "/run/qemu/vm-a.d/a/qmp.sock");
});

Deno.test("SocketPattern finds VMs by their sockets", () => {
  const pattern = new SocketPattern("/{vm}.sock");
  assertEquals([pattern.directory, pattern.entryIsSocket], ["/", true]);
  assertEquals(pattern.vmOf("a.sock"), "a");
  assertEquals(pattern.vmOf(".sock"), undefined);
  assertEquals(pattern.pathOf("a"), "/a.sock");
  // One part of an entry is not both prefix and suffix.
  assertEquals(new SocketPattern("/aa{vm}aa").vmOf("aaa"), undefined);
});

for (
  const [path, text] of [
    [
      "run/{vm}",
      "unix:run/{vm}: a path with {vm} must be absolute; write unix:/path/{vm}/qmp.sock",
    ],
    [
      "\0{vm}",
      "unix-abstract:{vm}: a path with {vm} must be absolute; write unix:/path/{vm}/qmp.sock",
    ],
    ["/run/{vm}/{vm}", "unix:/run/{vm}/{vm}: {vm} is given twice; give it once"],
  ] as const
) {
  Deno.test(`SocketPattern refuses ${JSON.stringify(path)}`, () => {
    const error = assertThrows(() => new SocketPattern(path), UsageError);
    assertEquals(error.message, text);
  });
}
