/**
 * A fake QEMU with the schema of a real one, which is in a file:
 *
 *     qmpmux exec --socket /run/qemu/vm1/qmp.sock query-qmp-schema > schema.json
 *     deno run --allow-all examples/fake_qemu.ts schema.json
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { connect, QmpError } from "@qmpmux/qmpmux/client";
import { FakeQemu } from "@qmpmux/qmpmux/testing";

const [file = "schema.json"] = process.argv.slice(2);
const schema = JSON.parse(readFileSync(file, "utf8"));

const qemu = await FakeQemu.fromSchema(schema, {
  version: "7.2.22",
  replies: {
    "query-name": { name: "vm1" },
    "device_del": ({ id }) => {
      if (id === "disk1") return {};
      throw new QmpError("device_del", "DeviceNotFound", `Device '${id}' not found`);
    },
  },
  faults: ["query-block#2: error GenericError No medium", "stop: delay 20ms"],
});
const qmp = await connect(qemu.address);

console.log("name:", (await qmp.execute("query-name")).name);
console.log("emptiest:", JSON.stringify(await qmp.execute("query-block")));
await qmp.execute("stop");
for (
  const [name, args] of [
    ["query-block", {}],
    ["device_del", { id: "disk2" }],
    ["block_resize", { "node-name": "disk1", size: "1G" }],
    ["blockdev-add", { driver: "qcow2", file: 7 }],
  ] as const
) {
  await qmp.execute(name, args).catch((error) => console.log(name, "→", error.desc));
}

const deleted = qmp.waitFor("DEVICE_DELETED");
qemu.emit({ name: "DEVICE_DELETED", data: { device: "disk1", path: "/machine/peripheral/disk1" } });
console.log("event:", JSON.stringify((await deleted).data));
console.log("received:", qemu.received.map(({ name }) => name).join(" "));

await qmp.close();
await qemu.close();
