/**
 * Completion in the shell: from the schema of a QEMU, and from names that a monitor tells.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { candidatesFor, completionOf } from "../lib/cli/shell/completer.ts";
import { plain } from "../lib/cli/shell/paint.ts";
import { Session } from "../lib/cli/shell/session.ts";
import { connect } from "../lib/client/qmp.ts";
import { argumentsOf, type Command } from "../lib/wire/message.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { recordedSchema } from "./support/schemas.ts";

const LIVE: Readonly<Record<string, unknown>> = {
  "query-commands": [{ name: "blockdev-add" }, { name: "blockdev-del" }, { name: "stop" }, {
    name: "bad name",
  }],
  "__org.qmpmux_query-self": { commands: ["__org.qmpmux_query-self"] },
  "query-named-block-nodes": [{ "node-name": "disk0" }, { "node-name": "#block123" }, {
    "node-name": "evil\x1b",
  }],
  "query-block": [{ device: "virtio0", qdev: "/machine/peripheral/d" }, { device: "", qdev: "q" }],
  "query-jobs": [{ id: "job 1" }, { id: "job2" }],
  "query-block-jobs": [{ device: "mirror0" }],
  "query-chardev": [{ label: "serial0" }],
  "query-iothreads": [{ id: "io1" }],
  "qom-list-types": [{ name: "virtio-blk-pci" }, { name: "virtio-net-pci" }],
  "device-list-properties": [{ name: "serial", type: "str" }, { name: "x-inner", type: "bool" }, {
    name: "iothread",
    type: "link<iothread>",
  }],
};

/** Returns the children and the properties of an object. */
function qomList(command: Command): unknown {
  const path = argumentsOf(command);
  path.member("path");
  return path.scalar === "/machine"
    ? [{ name: "peripheral", type: "child<container>" }, { name: "type", type: "string" }]
    : [{ name: "nic0", type: "child<e1000>" }];
}

/** Starts a session with a monitor that has QEMU's schema and names; it refuses what a role forbids. */
async function sessionAt(
  path: string,
  made: AsyncDisposableStack,
  refused: readonly string[] = [],
): Promise<Session> {
  const schema = await recordedSchema("7.2");
  made.use(
    new FakeQemu(path, {
      answer(command): string | undefined {
        const { name, id } = command;
        if (refused.includes(name)) return undefined;
        const value = name === "query-qmp-schema"
          ? schema
          : name === "qom-list"
          ? qomList(command)
          : LIVE[name];
        const tail = id === undefined ? "" : `, "id": ${id}`;
        return value === undefined ? undefined : `{"return": ${JSON.stringify(value)}${tail}}\r\n`;
      },
    }),
  );
  const qmp = made.use(await connect(path));
  const view = {
    print: (): void => {},
    complain: (): void => {},
    progress: (): void => {},
    columns: 80,
    lineColumn: 0,
    isTerminal: true,
    paint: plain,
  };
  // A busy machine takes its time.
  return new Session(qmp, view, 30_000);
}

/** Returns the line after a tab at its end; with `?` and the candidates if they are listed. */
async function tab(session: Session, line: string): Promise<string> {
  const found = await candidatesFor(session, line);
  const completion = completionOf(found);
  if (completion === undefined) return `${line}? ${found.words.map(([word]) => word).join(" ")}`;
  if (completion.text === undefined) return line;
  return line.slice(0, line.length - completion.begun.length) + completion.text;
}

Deno.test("candidatesFor() completes commands, nested arguments, values and live names", async () => {
  using place = makePlace();
  await using made = new AsyncDisposableStack();
  const session = await sessionAt(`${place.path}/vm`, made);
  const cases: readonly (readonly [line: string, after: string])[] = [
    ["st", "stop "],
    ["blockdev", "blockdev-"],
    ["blockdev-", "blockdev-? blockdev-add blockdev-del"],
    ["blockdev-add dri", "blockdev-add driver="],
    ["blockdev-add driver=nul", "blockdev-add driver=null-"],
    [
      "blockdev-add driver=qcow2 file.driver=file file.filen",
      "blockdev-add driver=qcow2 file.driver=file file.filename=",
    ],
    ["blockdev-add driver=raw read-only=t", "blockdev-add driver=raw read-only=true "],
    ["blockdev-add driver=qcow2 file=", "blockdev-add driver=qcow2 file=? file=disk0 file=virtio0"],
    ["blockdev-add node-name=d", "blockdev-add node-name=d"],
    ["blockdev-del node-name=d", "blockdev-del node-name=disk0 "],
    // A name with a blank is escaped.
    ["job-cancel id=job", "job-cancel id=job? id=job 1 id=job2"],
    ["job-cancel id='job ", "job-cancel id=job\\ 1 "],
    ["block-job-cancel device=", "block-job-cancel device=mirror0 "],
    ["eject id=q", "eject id=q "],
    ["chardev-remove id=", "chardev-remove id=serial0 "],
    ["device_add driver=virtio-b", "device_add driver=virtio-blk-pci "],
    ["device_add driver=virtio-blk-pci s", "device_add driver=virtio-blk-pci serial="],
    ["device_add driver=virtio-blk-pci x", "device_add driver=virtio-blk-pci x-inner="],
    ["device_del id=", "device_del id=nic0 "],
    ["qom-get path=/machine/per", "qom-get path=/machine/peripheral/"],
    ["qom-get path=/machine/peripheral/", "qom-get path=/machine/peripheral/nic0 "],
    ["qom-get path=/machine property=t", "qom-get path=/machine property=type "],
    ["__", "__org.qmpmux_query-self "],
    ["\\wat", "\\watch "],
    ["\\watch 2 st", "\\watch 2 stop "],
    ["\\events BLOCK_JOB_CAN", "\\events BLOCK_JOB_CANCELLED "],
    ["\\events off BLOCK_JOB_CAN", "\\events off BLOCK_JOB_CANCELLED "],
    ["\\json o", "\\json o? on off"],
    ["\\help blockdev-d", "\\help blockdev-del "],
    ["\\save /nowhere/x", "\\save /nowhere/x"],
    ["hm", "hmp "],
    ["blockdev-add {", "blockdev-add {"],
    ["nothing x", "nothing x"],
  ];
  for (const [line, after] of cases) {
    assertEquals([line, await tab(session, line)], [line, after]);
  }
});

Deno.test("candidatesFor() offers actions in a transaction", async () => {
  using place = makePlace();
  await using made = new AsyncDisposableStack();
  const session = await sessionAt(`${place.path}/vm`, made);
  session.actions = [];
  const cases = [
    ["blockdev-snap", "blockdev-snapshot"],
    ["ab", "abort "],
    ["blockdev-snapshot ov", "blockdev-snapshot overlay="],
    ["blockdev-snapshot overlay=d", "blockdev-snapshot overlay=disk0 "],
  ] as const;
  for (const [line, after] of cases) assertEquals(await tab(session, line), after);
});

Deno.test("candidatesFor() offers what is left if a role refuses the queries", async () => {
  using place = makePlace();
  await using made = new AsyncDisposableStack();
  const session = await sessionAt(
    `${place.path}/vm`,
    made,
    Object.keys(LIVE).concat("query-qmp-schema"),
  );
  assertEquals(await tab(session, "st"), "st");
  assertEquals(await tab(session, "blockdev-del node-name="), "blockdev-del node-name=");
  assertEquals(await tab(session, "\\events STO"), "\\events STOP ");
});
