/**
 * A real QEMU with a machine full of devices, for tests that try commands on all of them.
 *
 * The guest has no system on its disk: its firmware runs, finds nothing to boot and idles.
 *
 * @module
 */

import { TestClient } from "./client.ts";
import { within } from "./deadline.ts";
import { makePlace } from "./place.ts";
import { PROGRAM, startQemu, type TestQemu } from "./qemu.ts";

const MIB = 1 << 20;

/** Sets the seconds of the clock, which causes an event, and halts forever. */
const BOOT_SECTOR = [0xb0, 0x00, 0xe6, 0x70, 0xe6, 0x71, 0xfa, 0xf4, 0xeb, 0xfc];
/** The end of a sector that firmware boots from. */
const BOOTABLE = [0x55, 0xaa];

/** Empty disks of 16 MiB, one for each device and one more for each filter. */
const DISKS = Array.from({ length: 12 }, (_, index) => `disk${index}`);

/** Devices on the root bus. `DRIVER[,PROPERTY=VALUE…]`; the id is `dev-DRIVER`. */
const ON_PCIE = [
  "virtio-blk-pci,drive=raw0,iothread=io0,bootindex=0",
  "virtio-scsi-pci,iothread=io1",
  "virtio-net-pci,netdev=user0",
  "virtio-serial-pci",
  "virtio-balloon-pci",
  "virtio-rng-pci,rng=rng0",
  "virtio-9p-pci,fsdev=fs0,mount_tag=share",
  "virtio-crypto-pci,cryptodev=crypto0",
  "virtio-gpu-pci",
  "virtio-keyboard-pci",
  "virtio-mouse-pci",
  "virtio-tablet-pci",
  "virtio-multitouch-pci",
  "virtio-iommu-pci",
  "virtio-mem-pci,memdev=ram2,block-size=2M,requested-size=2M",
  "virtio-pmem-pci,memdev=ram3",
  "virtio-sound-pci,audiodev=audio0",
  "virtio-rtc-pci",
  "nvme,drive=disk1,serial=1",
  "ivshmem-plain,memdev=ram5",
  "qemu-xhci,p2=8,p3=8",
  "usb-ehci",
  "ich9-usb-uhci1",
  "pci-ohci",
];

/** Devices behind a PCI bridge, which has 31 slots. */
const ON_PCI = [
  "e1000,netdev=hub0",
  "rtl8139",
  "ne2k_pci",
  "pcnet",
  "i82550",
  "tulip",
  "rocker,name=sw1",
  "lsi53c895a",
  "megasas",
  "mptsas1068",
  "pvscsi",
  "am53c974",
  "sdhci-pci",
  "intel-hda",
  "AC97,audiodev=audio0",
  "ES1370,audiodev=audio0",
  "i6300esb",
  "pvpanic-pci",
  "edu",
  "kvaser_pci,canbus=can0",
  "pci-testdev",
  "pci-serial,chardev=serial0",
  "VGA",
  "secondary-vga",
  "bochs-display",
  "ufs",
];

/** Devices on buses of others, or on none, in this order. */
const ELSEWHERE = [
  "pc-dimm,memdev=ram1",
  "scsi-hd,bus=dev-virtio-scsi-pci.0,drive=disk2",
  "scsi-cd,bus=dev-virtio-scsi-pci.0",
  "virtconsole,chardev=console0",
  "virtserialport,chardev=port0,name=org.example",
  "ide-hd,bus=ide.0,drive=disk3",
  "ide-cd,bus=ide.1,drive=disk4",
  "usb-storage,bus=dev-qemu-xhci.0,drive=disk5",
  "usb-kbd,bus=dev-qemu-xhci.0",
  "usb-mouse,bus=dev-qemu-xhci.0",
  "usb-tablet,bus=dev-qemu-xhci.0",
  "usb-hub,bus=dev-qemu-xhci.0",
  "usb-ccid,bus=dev-qemu-xhci.0",
  "usb-audio,bus=dev-qemu-xhci.0,audiodev=audio0",
  "usb-net,bus=dev-qemu-xhci.0,netdev=hub1",
  "usb-serial,bus=dev-qemu-xhci.0,chardev=serial1",
  "sd-card,drive=disk6",
  "hda-duplex,audiodev=audio0",
  "vmgenid",
  "vmcoreinfo",
  "ipmi-bmc-sim",
  "isa-serial,chardev=ring0",
  "isa-debugcon,chardev=mux0",
  "ufs-lu,bus=dev-ufs,drive=disk7,lun=0",
  "e1000e,bus=port0",
  "igb,bus=port1",
  "vmxnet3,bus=port2",
];

/** Port devices that commands can fill with more devices, or remove devices from. */
const PORTS = Array.from({ length: 8 }, (_, index) => `port${index}`);

/** The names that the program's `-device help` lists, once it has run. */
let drivers: Promise<ReadonlySet<string>> | undefined;

async function knownDrivers(): Promise<ReadonlySet<string>> {
  const { stdout } = await new Deno.Command(PROGRAM, { args: ["-device", "help"] }).output();
  const names = new TextDecoder().decode(stdout).matchAll(/^name "([^"]+)"/gm);
  return new Set(names.map(([, name]) => name!));
}

function device(text: string, more = ""): string[] {
  const driver = text.split(",")[0]!;
  return ["-device", `${text},id=dev-${driver}${more}`];
}

/** Returns the command line of the machine. */
function machineArguments(directory: string, known: ReadonlySet<string>): string[] {
  const isKnown = (text: string): boolean => known.has(text.split(",")[0]!);
  const object = (text: string): string[] => ["-object", text];
  const node = (text: string): string[] => ["-blockdev", text];
  const empty = (name: string): string[] =>
    node(`null-co,node-name=${name},size=${16 * MIB},read-zeroes=on`);
  return [
    ..."-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off".split(" "),
    "-machine",
    "q35,cxl=on,cxl-fmw.0.targets.0=cxl0,cxl-fmw.0.size=4G",
    ..."-m 256M,slots=8,maxmem=8G -smp 2,maxcpus=4,sockets=2,cores=2 -cpu max".split(" "),
    ...object(`memory-backend-ram,id=ram0,size=${256 * MIB}`),
    ..."-numa node,nodeid=0,memdev=ram0 -numa node,nodeid=1".split(" "),
    ..."-numa cpu,node-id=0,socket-id=0 -numa cpu,node-id=1,socket-id=1".split(" "),
    ...[1, 2, 3].flatMap((n) => object(`memory-backend-ram,id=ram${n},size=${64 * MIB}`)),
    ...object(`memory-backend-ram,id=ram4,size=${MIB}`),
    ...object(`memory-backend-ram,id=ram5,size=${MIB},share=on`),
    ...["cxl-memory", "cxl-labels"].flatMap((id) =>
      object(`memory-backend-ram,id=${id},size=${256 * MIB}`)
    ),
    ...["iothread,id=io0", "iothread,id=io1", "iothread,id=io2"].flatMap(object),
    ...["throttle-group,id=group0", "rng-builtin,id=rng0"].flatMap(object),
    ...["cryptodev-backend-builtin,id=crypto0", "can-bus,id=can0"].flatMap(object),
    ...["secret,id=secret0,data=hush", "authz-list,id=authz0"].flatMap(object),
    ...["console0", "port0", "serial0", "serial1", "null0"].flatMap((id) => [
      "-chardev",
      `null,id=${id}`,
    ]),
    ...["-chardev", "ringbuf,id=ring0,size=4096", "-chardev", "null,id=mux0,mux=on"],
    ...["-chardev", `socket,id=socket0,path=${directory}/chardev,server=on,wait=off`],
    ...["-audiodev", "none,id=audio0", "-vnc", `unix:${directory}/vnc`],
    ...[0, 1, 2, 3].flatMap((n) => ["-netdev", `hubport,id=hub${n},hubid=0`]),
    ...["-netdev", "user,id=user0", "-fsdev", `local,id=fs0,path=${directory},security_model=none`],
    ...[...DISKS, "below0", "below1", "below2", "below3"].flatMap(empty),
    ...node(`null-aio,node-name=aio0,size=${16 * MIB},read-zeroes=on`),
    ...node(`file,node-name=file0,filename=${directory}/disk`),
    ...node("raw,node-name=raw0,file=file0"),
    ...node("throttle,node-name=throttle0,file=below0,throttle-group=group0"),
    ...node("copy-on-read,node-name=cor0,file=below1"),
    ...node("blkdebug,node-name=debug0,image=below2"),
    ...node("copy-before-write,node-name=cbw0,file=below3,target=disk11"),
    ...PORTS.flatMap((id, index) => [
      "-device",
      `pcie-root-port,id=${id},bus=pcie.0,chassis=${index + 1},slot=${index + 1}` +
      `,multifunction=on,addr=0x1e.${index}`,
    ]),
    ...["-device", "pcie-pci-bridge,id=bridge0,bus=port7"],
    ...["-device", "pci-bridge,id=bridge1,bus=bridge0,chassis_nr=9,addr=1"],
    ...ON_PCIE.filter(isKnown).flatMap((text) => device(text, ",bus=pcie.0")),
    ...ON_PCI.filter(isKnown).flatMap((text, index) =>
      device(text, `,bus=bridge1,addr=${(index + 1).toString(16)}`)
    ),
    ...["-device", "pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl0"],
    ...["-device", "cxl-rp,port=0,bus=cxl0,id=cxl-port,chassis=40,slot=2"],
    "-device",
    // Before 8.1 all the memory of such a device was persistent.
    `cxl-type3,id=dev-cxl-type3,bus=cxl-port,lsa=cxl-labels,${
      known.has("igb") ? "persistent-memdev" : "memdev"
    }=cxl-memory`,
    ...ELSEWHERE.filter(isKnown).flatMap((text) => device(text)),
  ];
}

/** Commands that create the rest: images, snapshots, bitmaps, jobs in every state, an export. */
function setUp(directory: string): Spoken[] {
  const image = (name: string, more: Record<string, unknown>, options: object): Spoken[] => [
    {
      execute: "blockdev-create",
      arguments: {
        "job-id": `make-file-${name}`,
        options: { driver: "file", filename: `${directory}/${name}`, size: 0 },
      },
    },
    add({ driver: "file", "node-name": `file-${name}`, filename: `${directory}/${name}` }),
    {
      execute: "blockdev-create",
      arguments: {
        "job-id": `make-${name}`,
        options: { driver: "qcow2", file: `file-${name}`, size: MIB, ...options },
      },
    },
    add({ driver: "qcow2", "node-name": name, file: `file-${name}`, ...more }),
  ];
  const bitmap = (node: string, name: string, more = {}): Spoken => ({
    execute: "block-dirty-bitmap-add",
    arguments: { node, name, ...more },
  });
  const target = (name: string, size = 16 * MIB): Spoken =>
    add({ driver: "null-co", "node-name": name, size });
  const job = (execute: string, device: string, target: string, more: object): Spoken => ({
    execute,
    arguments: { "job-id": `job-${target}`, device, target, sync: "full", ...more },
  });
  const pending = { sync: "none", "auto-finalize": false, "auto-dismiss": false };
  return [
    ...image("qcow0", {}, {}),
    ...image("qcow1", { backing: "qcow0" }, {
      "backing-file": `${directory}/qcow0`,
      "backing-fmt": "qcow2",
    }),
    ...image("qcow2", { backing: null }, {}),
    {
      execute: "device_add",
      arguments: { driver: "virtio-blk-pci", id: "dev-qcow1", bus: "port3", drive: "qcow1" },
    },
    {
      execute: "blockdev-snapshot-internal-sync",
      arguments: { device: "qcow1", name: "snapshot0" },
    },
    bitmap("qcow1", "bitmap0", { persistent: true }),
    bitmap("qcow1", "bitmap1"),
    bitmap("raw0", "bitmap0", { granularity: 4096 }),
    bitmap("raw0", "bitmap1", { disabled: true }),
    bitmap("disk8", "bitmap2"),
    ...["slow0", "slow1", "ready", "pending"].map((name) => target(name)),
    ...["small0", "concluded"].map((name) => target(name, 65536)),
    job("blockdev-mirror", "disk3", "slow0", { speed: 1 }),
    job("blockdev-backup", "disk4", "slow1", { speed: 1 }),
    job("blockdev-mirror", "aio0", "ready", { sync: "none" }),
    job("blockdev-backup", "disk9", "pending", pending),
    job("blockdev-backup", "small0", "concluded", { "auto-dismiss": false }),
    {
      execute: "nbd-server-start",
      arguments: { addr: { type: "unix", data: { path: `${directory}/nbd` } } },
    },
    {
      execute: "block-export-add",
      arguments: { type: "nbd", id: "export0", "node-name": "disk10" },
    },
  ];
}

function add(node: Record<string, unknown>): Spoken {
  return { execute: "blockdev-add", arguments: node };
}

/** A command for QEMU. */
interface Spoken {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/** A reply from QEMU, with the members that are used. */
// deno-lint-ignore no-explicit-any
type Answer = any;

/** A QEMU that takes longer has stopped answering; the slowest command took 1.5 s. */
const PATIENCE_MS = 60_000;

/** The exit of a QEMU that was asked to exit. */
export const ORDERLY = "status 0";

/** The machine, and a client of its monitor. */
export class Machine implements AsyncDisposable {
  readonly #qemu: TestQemu;
  readonly #client: TestClient;
  readonly #made = new AsyncDisposableStack();
  #said = "";
  /** Events that arrived before the reply to the last command. */
  #events: string[] = [];
  #silent = false;

  private constructor(qemu: TestQemu, client: TestClient) {
    this.#qemu = qemu;
    this.#client = client;
  }

  /** Starts it: paused, or running a guest whose firmware has tried every device, and idles. */
  static async start(runs: boolean): Promise<Machine> {
    await using made = new AsyncDisposableStack();
    const place = made.use(makePlace());
    const { path } = place;
    drivers ??= knownDrivers();
    const disk = new Uint8Array(MIB);
    disk.set(BOOT_SECTOR);
    disk.set(BOOTABLE, 510);
    Deno.writeFileSync(`${path}/disk`, disk);
    let said = (_text: string): void => {};
    const qemu = made.use(
      await startQemu(`${path}/vm`, machineArguments(path, await drivers), (text) => said(text)),
    );
    const machine = new Machine(qemu, made.use(await TestClient.ready(qemu.path)));
    said = (text) => void (machine.#said = (machine.#said + text).slice(-4096));
    for (const command of setUp(path)) await machine.#do(command);
    if (runs) {
      await machine.query("cont");
      await machine.#until(/"event": "RTC_CHANGE"/);
    }
    machine.#said = "";
    machine.#made.use(made.move());
    return machine;
  }

  /** Runs a command as JSON; returns `undefined` if QEMU has exited or does not answer. */
  async ask(command: string | object): Promise<Answer> {
    this.#events = [];
    if (!await this.#client.trySend(command)) return undefined;
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      let line: string | undefined;
      try {
        line = await this.#client.lines.next("an answer", deadline - performance.now());
      } catch {
        // Otherwise QEMU has reset the connection.
        this.#silent = performance.now() >= deadline;
      }
      if (line === undefined) return undefined;
      const message = JSON.parse(line);
      if (!("event" in message)) return message;
      this.#events.push(line);
    }
  }

  /** Runs a query that QEMU must support. */
  async query(execute: string, args: object = {}): Promise<Answer> {
    const answer = await this.ask({ execute, arguments: args });
    if (answer?.return === undefined) throw new Error(`${execute}: ${JSON.stringify(answer)}`);
    return answer.return;
  }

  /** Returns how QEMU has exited, or that it does not answer, with its last line on stderr. */
  async ending(): Promise<string> {
    if (this.#silent) return "no answer";
    const status = await within("QEMU's end", this.#qemu.ended, PATIENCE_MS).catch(() => undefined);
    if (status === undefined) return "the connection was closed";
    const { code } = status;
    return code === 0 ? ORDERLY : `status ${code}: ${this.#said.trimEnd().split("\n").at(-1)}`;
  }

  /** Returns the names of everything that commands can remove, and the state of jobs and trays. */
  async parts(): Promise<string[]> {
    const nodes = await this.query("query-named-block-nodes", { flat: true });
    const drives = await this.query("query-block");
    const jobs = await this.query("query-jobs");
    const names = [];
    for (const path of ["/machine/peripheral", "/objects", "/chardevs"]) {
      names.push(...await this.children(path));
    }
    const text: string = await this.query("human-monitor-command", {
      "command-line": "info network",
    });
    return [
      ...nodes.map((node: Answer) => JSON.stringify([node["node-name"], node["dirty-bitmaps"]])),
      ...drives.map((drive: Answer) => `${drive.qdev} ${drive.tray_open} ${!drive.inserted}`),
      ...jobs.map((job: Answer) => `${job.id} ${job.status}`),
      ...names,
      ...text.matchAll(/(\S+):.*type=/g).map(([, name]) => `net ${name}`),
    ];
  }

  /** Returns the names of the objects below one. */
  async children(path: string): Promise<string[]> {
    const entries: { name: string; type: string }[] = await this.query("qom-list", { path });
    return entries.filter(({ type }) => type.startsWith("child<")).map(({ name }) => name);
  }

  async #do(command: Spoken): Promise<void> {
    const { execute, arguments: args } = command;
    await this.query(execute, args);
    if (execute !== "blockdev-create") return;
    const id = args!["job-id"];
    await this.#until(new RegExp(`"status": "concluded", "id": "${id}"`));
    await this.query("job-dismiss", { id });
  }

  async #until(event: RegExp): Promise<void> {
    if (!this.#events.some((line) => event.test(line))) await this.#client.lines.until(event);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }
}
