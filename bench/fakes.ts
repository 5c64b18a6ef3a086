/**
 * Many fake QEMUs in one process, for hosts with more VMs than this machine can run.
 *
 *     fakes.ts DIRECTORY FROM TO
 *
 * VM N of FROM to TO, both included, has its monitor at `DIRECTORY/vmN/qmp.sock`. qmpmux sends a
 * QEMU nothing but `qmp_capabilities` until a client asks for more. So these fakes are QEMUs to an
 * idle qmpmux. It prints `ready` when all of them listen.
 *
 * @module
 */

import { FakeQemu } from "../tests/support/fake_qemu.ts";

const [directory, from, to] = Deno.args;
if (directory === undefined || from === undefined || to === undefined) {
  throw new Error("Usage: fakes.ts DIRECTORY FROM TO");
}
for (let vm = Number(from); vm <= Number(to); vm++) {
  Deno.mkdirSync(`${directory}/vm${vm}`);
  new FakeQemu(`${directory}/vm${vm}/qmp.sock`);
}
console.log("ready");
