/**
 * The role `operator`, which controls the VM without access to files, programs, sockets and secrets.
 *
 * Its tables have a row for each command of QEMU 7.2 to 11.1. A row lists the harmless arguments,
 * and the refused ones with the reasons. Arguments and commands that are not listed are refused.
 *
 * @module
 */

import { READABLE_PROPERTIES, UNSTABLE, words } from "./observer_role.ts";

/** A glob, or a list of globs, of which one must match. */
export type Values = string | readonly string[];

/** An allowed form of a command. */
export interface Case {
  /** The arguments that select this form, with the globs of their values. */
  readonly where?: Readonly<Record<string, Values>>;
  /** The paths of all allowed arguments, with the globs of their values. */
  readonly only: Readonly<Record<string, Values>>;
}

/** The permissions for a command. */
export interface Row {
  /** The allowed forms of the command; none if all arguments are refused. */
  readonly cases: readonly Case[];
  /** The paths of refused arguments, with the reasons. */
  readonly refused: Readonly<Record<string, string>>;
  /**
   * The refused values of allowed arguments, as globs by path.
   *
   * A tested version of QEMU crashes or hangs on them (`tests/roles_machine_test.ts`).
   */
  readonly fatal: Readonly<Record<string, readonly string[]>>;
  /** The reason for refusing everything else; `undefined` if the row lists all arguments of the command. */
  readonly otherwise: string | undefined;
}

const FILE = "it names a file";
/** The reason for refusing the values in {@linkcode Row.fatal}. */
export const FATAL = "QEMU crashes or hangs on such a value";
const CUTS_OFF = "it can disconnect a user of a character device, such as a monitor";
const OF_BACKUP = "it belongs to a backup, which operators may not run";

function anyOf(paths: string): Record<string, string> {
  return Object.fromEntries(words(paths).map((path) => [path, "*"]));
}

/** Makes a row that allows these arguments; `refused` lists other arguments by reason. */
function allowed(
  paths = "",
  refused: Readonly<Record<string, string>> = {},
  fatal: Row["fatal"] = {},
): Row {
  const pairs = Object.entries(refused).flatMap(([because, list]) =>
    words(list).map((path) => [path, because])
  );
  return {
    cases: [{ only: anyOf(paths) }],
    refused: Object.fromEntries(pairs),
    fatal,
    otherwise: undefined,
  };
}

function refused(because: string): Row {
  return { cases: [], refused: {}, fatal: {}, otherwise: because };
}

/** Makes a row that allows only these forms; `otherwise` is the reason for refusing others. */
function only(cases: readonly Case[], otherwise: string, fatal: Row["fatal"] = {}): Row {
  return { cases, refused: {}, fatal, otherwise };
}

/** Makes a row in which the value of one argument selects the other allowed arguments. */
function byValue(
  argument: string,
  forms: Readonly<Record<string, string>>,
  otherwise: string,
  fatal?: Row["fatal"],
): Row {
  const cases = Object.entries(forms).map(([values, paths]) => {
    const list = words(values);
    const [value = ""] = list;
    return { where: { [argument]: list.length > 1 ? list : value }, only: anyOf(paths) };
  });
  return only(cases, otherwise, fatal);
}

/** Returns globs that match all values of more than this many characters. */
function longerThan(chars: number): string[] {
  return [`${"?".repeat(chars + 1)}*`];
}

/** Returns the names of virtio drivers: for each kind the driver itself and its PCI devices. */
function virtio(...kinds: string[]): string[] {
  return kinds.flatMap((kind) => [
    `virtio-${kind}`,
    ...["", "-transitional", "-non-transitional"].map((form) => `virtio-${kind}-pci${form}`),
  ]);
}

/**
 * The drivers of devices that connect the guest only to existing objects of QEMU.
 *
 * `virtio-mem-pci` is not listed: QEMU 7.2 aborts when a device on the same PCIe port is unplugged.
 */
const DRIVERS = virtio("balloon", "blk", "net", "rng", "scsi", "serial").concat(words(`
  virtio-keyboard-pci virtio-mouse-pci virtio-tablet-pci
  virtconsole virtserialport e1000 e1000e igb rtl8139 vmxnet3
  ide-cd ide-hd nvme nvme-ns scsi-cd scsi-hd usb-storage
  nec-usb-xhci qemu-xhci usb-hub usb-kbd usb-mouse usb-tablet
  ioh3420 pci-bridge pcie-pci-bridge pcie-root-port
  pc-dimm i6300esb *-i386-cpu *-x86_64-cpu
`));

/**
 * The properties of these devices that operators may set.
 *
 * `guest-stats-polling-interval` is not listed, because it starts a timer. If the device could
 * not be created, QEMU 7.2 crashes when the timer expires.
 *
 * `io-reserve` and similar properties are not listed. If the value is too large, the port cannot
 * be created, but QEMU 7.2 keeps a part of it and crashes when the next port is created.
 */
const DEVICE_PROPERTIES =
  "id bus addr acpi-index multifunction bootindex rombar hotplug slot port chassis " +
  "chassis_nr " +
  "drive iothread num-queues queue-size serial write-cache share-rw werror rerror discard " +
  "detect-zeroes physical_block_size logical_block_size min_io_size opt_io_size removable " +
  "rotation_rate device_id product vendor wwn ver scsi-id channel lun nsid " +
  "netdev mac mq vectors host_mtu chardev name nr max_ports rng max-bytes period " +
  "memdev node deflate-on-oom free-page-reporting free-page-hint " +
  "disable-legacy disable-modern packed event_idx indirect_desc " +
  "socket-id die-id cluster-id module-id core-id thread-id node-id p2 p3";

/** The `info` commands of the human monitor that have no arguments and print the data of queries. */
const INFOS = words(`
  balloon block block-jobs blockstats capture chardev cpus cryptodev dirty_rate dump
  hotpluggable-cpus iothreads irq jit kvm memdev memory-devices memory_size_summary mice migrate
  migrate_capabilities migrate_parameters mtree name network numa pci pic qdm qom-tree qtree
  ramblock replay roms sgx snapshots spice status tpm usb usernet uuid vcpu_dirty_limit version
  virtio vm-generation-id vnc
`);

const JOB = "job-id auto-finalize auto-dismiss";
const BITMAP = "node name";
/** The arguments of a backup that no other action has. */
const BACKUP = `${JOB} sync speed bitmap bitmap-mode compress on-source-error on-target-error ` +
  "on-cbw-error filter-node-name discard-source x-perf";
const JOIN_BITMAPS = "node target bitmaps[*] bitmaps[*].node bitmaps[*].name";

const LIMIT_NAMES = "total read write".split(" ").flatMap((kind) =>
  ["bps", "iops"].flatMap((unit) =>
    ["", "-max", "-max-length"].map((end) => `${unit}-${kind}${end}`)
  )
).concat("iops-size");

/** Fatal delays: with a negative `max`, QEMU 11.1 sends announcements forever and stops replying. */
const DELAYS = ["-*", ...longerThan(6)];
/** Fatal sizes: QEMU reads a negative size as nearly 2^64 bytes, and aborts if it cannot allocate it. */
const MEMORY_SIZES = ["-*", ...longerThan(12)];
/** Fatal sizes: QEMU aborts if it cannot allocate the buffer, and writes past a buffer of 0 bytes. */
const BUFFER_SIZES = ["0", "-*", ...longerThan(8)];
/** Fatal ids: QEMU 10.0 mistakes a device with such an id for its own parent, and aborts. */
const PATHS = ["", "*/*"];
/** Fatal CPUs: without KVM, QEMU 7.2 aborts on the second attempt to plug a `host` CPU. */
const HOST_CPUS = ["host-*-cpu"];

/** The commands that are always refused, by reason. */
const REFUSED: Readonly<Record<string, string>> = {
  "it passes or closes file descriptors": "add-fd closefd getfd remove-fd",
  "it uses a socket": "add_client display-update migrate-recover nbd-server-start",
  "it controls access to a disk through a socket": `
    block-export-add block-export-del nbd-server-add nbd-server-remove nbd-server-stop
  `,
  // A failed backup or mirror leaves its target in the iothread of the disk. QEMU crashes at the next backup.
  "QEMU crashes if an earlier backup or mirror has failed": "blockdev-backup",
  [FILE]: "blockdev-change-medium change-backing-file xen-load-devices-state",
  "it writes a file": `
    blockdev-create blockdev-snapshot-sync drive-backup drive-mirror dump-guest-memory
    dump-skeys dumpdtb memsave pmemsave screendump xen-save-devices-state
  `,
  "it opens files": "blockdev-reopen",
  "QEMU crashes if two measurements run at once": "calc-dirty-rate",
  "it contains a secret":
    "change-vnc-password display-reload set_password sev-inject-launch-secret",
  [CUTS_OFF]: "chardev-change",
  "it sends display clients to another host": "client_migrate_info",
  "it creates an object of any type to inspect it": "device-list-properties qom-list-properties",
  "it controls who may connect": "expire_password",
  "it uses a socket, a file or a program": "migrate migrate-incoming",
  "it reads all properties, including those of secrets": "qom-list-get",
  "traced events are written to a file": "trace-event-set-state",
  "it is for Xen's tools":
    "xen-colo-do-checkpoint xen-event-inject xen-set-global-dirty-log xen-set-replication",
  [UNSTABLE]: `
    x-accel-stats x-blockdev-amend x-blockdev-change x-blockdev-set-iothread
    x-colo-lost-heartbeat x-debug-block-dirty-bitmap-sha256 x-debug-query-block-graph
    x-exit-preconfig x-query-interrupt-controllers x-query-irq x-query-jit x-query-numa
    x-query-opcount x-query-profile x-query-ramblock x-query-rdma x-query-roms x-query-usb
    x-query-virtio x-query-virtio-queue-element x-query-virtio-queue-status
    x-query-virtio-status x-query-virtio-vhost-queue-status
  `,
};

/** The allowed arguments, and the commands that are allowed with them. */
const ALLOWED: readonly (readonly [paths: string, commands: string])[] = [
  [
    "",
    `
    cont inject-nmi migrate-pause migrate-start-postcopy migrate_cancel query-accelerators
    query-acpi-ospm-status query-audiodevs query-balloon query-block-exports query-block-jobs
    query-chardev query-chardev-backends query-colo-status query-commands query-cpu-definitions
    query-cpus-fast query-cryptodev query-current-machine query-display-options query-dump
    query-dump-guest-memory-capability query-fdsets query-gic-capabilities
    query-hotpluggable-cpus query-hv-balloon-status-report query-iothreads query-jobs query-kvm
    query-memdev query-memory-devices query-memory-size-summary query-mice query-migrate
    query-migrate-capabilities query-migrate-parameters query-migrationthreads query-name
    query-pci query-pr-managers query-qmp-schema query-replay query-s390x-cpu-polarization
    query-sev query-sev-capabilities query-sev-launch-measure query-sgx query-sgx-capabilities
    query-spice query-status query-target query-tpm query-tpm-models query-tpm-types query-uuid
    query-vcpu-dirty-limit query-version query-vm-generation-id query-vnc query-vnc-servers
    query-xen-replication-status query-yank quit replay-delete-break rtc-reset-reinjection stop
    system_powerdown system_reset system_wakeup xen-event-list
  `,
  ],
  [
    "id",
    `
    block-job-dismiss block-job-finalize blockdev-remove-medium chardev-remove
    chardev-send-break device-sync-config device_del job-cancel job-complete job-dismiss
    job-finalize job-pause job-resume netdev_del object-del request-ebpf
  `,
  ],
  [
    BITMAP,
    `
    block-dirty-bitmap-clear block-dirty-bitmap-disable block-dirty-bitmap-enable
    block-dirty-bitmap-remove
  `,
  ],
  ["device", "block-job-complete block-job-pause block-job-resume"],
  ["name", "query-rocker query-rocker-ports query-rx-filter"],
  ["device id force", "blockdev-open-tray eject"],
  ["flat", "query-block query-named-block-nodes"],
  [
    "modela.name modela.props.** modelb.name modelb.props.**",
    `
    query-cpu-model-baseline query-cpu-model-comparison
  `,
  ],
  ["icount", "replay-break replay-seek"],
  ["job-id tag vmstate devices[*]", "snapshot-load snapshot-save"],
];

/** Makes the rows of all other commands, on first use, because this takes milliseconds. */
const rows = (): Readonly<Record<string, Row>> => ({
  "announce-self": allowed("initial max rounds step interfaces[*] id", {}, {
    initial: DELAYS,
    max: DELAYS,
    rounds: DELAYS,
    step: DELAYS,
  }),
  "balloon": allowed("value"),
  "block-commit": allowed(
    `${JOB} device base-node top-node speed on-error filter-node-name`,
    {
      [FILE]: "base top backing-file",
      "it changes the image's own header": "backing-mask-protocol",
    },
  ),
  "block-dirty-bitmap-add": allowed(`${BITMAP} granularity persistent disabled`),
  "block-dirty-bitmap-merge": allowed(JOIN_BITMAPS),
  "block-job-cancel": allowed("device force"),
  "block-job-change": allowed("id type copy-mode"),
  "block-job-set-speed": allowed("device speed"),
  "block-latency-histogram-set": allowed(
    "id boundaries[*] boundaries-read[*] boundaries-write[*] boundaries-zap[*] boundaries-flush[*]",
  ),
  "block-set-write-threshold": allowed("node-name write-threshold"),
  "block-stream": allowed(
    `${JOB} device base-node bottom speed on-error filter-node-name`,
    { [FILE]: "base backing-file", "it changes the image's own header": "backing-mask-protocol" },
  ),
  "block_resize": allowed("device node-name size"),
  "block_set_io_throttle": allowed(
    "device id group iops_size " +
      ["bps", "iops"].flatMap((unit) =>
        ["", "_rd", "_wr"].flatMap((kind) =>
          ["", "_max", "_max_length"].map((end) => unit + kind + end)
        )
      ).join(" "),
  ),
  "blockdev-add": byValue(
    "driver",
    {
      "null-aio null-co": "driver node-name size latency-ns read-zeroes read-only",
      "raw": "driver node-name file offset size read-only",
      "throttle": "driver node-name file throttle-group read-only",
      // `bottom` is not listed: if the node is not below this one, QEMU searches forever.
      "copy-on-read": "driver node-name file read-only",
      // `copy-before-write` is not listed, for the same reason as `blockdev-backup`.
      "snapshot-access": "driver node-name file read-only",
    },
    "only null devices and filters over existing nodes may be created",
    // QEMU aborts on a null device with a negative size.
    { size: ["-*"] },
  ),
  "blockdev-close-tray": allowed("device id"),
  "blockdev-del": allowed("node-name"),
  "blockdev-insert-medium": allowed("id node-name"),
  "blockdev-mirror": allowed(
    `${JOB} device target replaces sync speed granularity buf-size on-source-error ` +
      "on-target-error filter-node-name copy-mode target-is-zero",
  ),
  "blockdev-set-active": allowed("node-name active"),
  "blockdev-snapshot": allowed("node overlay"),
  "blockdev-snapshot-delete-internal-sync": allowed("device id name"),
  "blockdev-snapshot-internal-sync": allowed("device name"),
  "cancel-vcpu-dirty-limit": allowed("cpu-index"),
  "chardev-add": byValue(
    "backend.type",
    { null: "id backend.type backend.data", ringbuf: "id backend.type backend.data.size" },
    "only null and ringbuf may be created, without a log file",
    { id: PATHS, "backend.data.size": BUFFER_SIZES },
  ),
  "cxl-add-dynamic-capacity": allowed(
    "path host-id selection-policy region tag extents[*].offset extents[*].len",
  ),
  "cxl-inject-correctable-error": allowed("path type"),
  "cxl-inject-dram-event": allowed(
    "path log flags maint-op-class maint-op-subclass ld-id head-id dpa descriptor type " +
      "transaction-type channel rank nibble-mask bank-group bank row column correction-mask[*] " +
      "component-id is-comp-id-pldm sub-channel sub-type cvme-count cme-ev-flags",
  ),
  "cxl-inject-general-media-event": allowed(
    "path log flags maint-op-class maint-op-subclass ld-id head-id dpa descriptor type " +
      "transaction-type channel rank device component-id is-comp-id-pldm sub-type cme-ev-flags " +
      "cme-count",
  ),
  "cxl-inject-memory-module-event": allowed(
    "path log flags maint-op-class maint-op-subclass ld-id head-id type health-status " +
      "media-status additional-status life-used temperature dirty-shutdown-count " +
      "corrected-volatile-error-count corrected-persistent-error-count component-id " +
      "is-comp-id-pldm sub-type",
  ),
  "cxl-inject-poison": allowed("path start length"),
  "cxl-inject-uncorrectable-errors": allowed("path errors[*].type errors[*].header[*]"),
  "cxl-release-dynamic-capacity": allowed(
    "path host-id removal-policy forced-removal sanitize-on-release region tag " +
      "extents[*].offset extents[*].len",
  ),
  "device_add": {
    cases: [{ where: { driver: DRIVERS }, only: anyOf(`driver ${DEVICE_PROPERTIES}`) }],
    refused: { romfile: FILE },
    fatal: {
      driver: HOST_CPUS,
      id: PATHS,
      // QEMU aborts on a virtio input device with a long serial.
      serial: longerThan(20),
      // QEMU 7.2 does not limit the number, and aborts if it cannot allocate the vectors.
      vectors: ["-*", ...longerThan(4)],
    },
    otherwise: "only listed devices and properties are allowed, connected to existing objects",
  },
  "human-monitor-command": only(
    [{ only: { "command-line": INFOS.map((name) => `info ${name}`), "cpu-index": "*" } }],
    "only the listed info commands are allowed",
  ),
  "inject-ghes-v2-error": allowed("cper"),
  "input-send-event": allowed(
    "device head events[*].type events[*].data.axis events[*].data.button events[*].data.down " +
      "events[*].data.key.type events[*].data.key.data events[*].data.slot " +
      "events[*].data.tracking-id events[*].data.type events[*].data.value",
  ),
  "migrate-continue": allowed("state"),
  "migrate-set-capabilities": allowed("capabilities[*].capability capabilities[*].state"),
  "migrate-set-parameters": allowed(
    "announce-initial announce-max announce-rounds announce-step avail-switchover-bandwidth " +
      "block-bitmap-mapping[*].node-name block-bitmap-mapping[*].alias " +
      "block-bitmap-mapping[*].bitmaps[*].name block-bitmap-mapping[*].bitmaps[*].alias " +
      "block-bitmap-mapping[*].bitmaps[*].transform.persistent block-incremental " +
      "compress-level compress-threads compress-wait-thread cpu-throttle-increment " +
      "cpu-throttle-initial cpu-throttle-tailslow decompress-threads direct-io downtime-limit " +
      "max-bandwidth max-cpu-throttle max-postcopy-bandwidth mode multifd-channels " +
      "multifd-compression multifd-qatzip-level multifd-zlib-level multifd-zstd-level " +
      "throttle-trigger-threshold vcpu-dirty-limit xbzrle-cache-size zero-page-detection",
    {
      "it controls the use of TLS credentials": "tls-creds tls-hostname tls-authz",
      "it names a program": "cpr-exec-command",
      "QEMU calls it experimental":
        "x-checkpoint-delay x-rdma-chunk-size x-vcpu-dirty-limit-period",
    },
  ),
  // `netdev` is not listed: QEMU aborts if that device already has a peer.
  "netdev_add": byValue(
    "type",
    { hubport: "id type hubid" },
    "all types but hubport use a socket, a program or the host's network",
  ),
  "object-add": byValue(
    "qom-type",
    {
      "iothread": "id qom-type poll-max-ns poll-grow poll-shrink poll-weight aio-max-batch " +
        "thread-pool-min thread-pool-max",
      "throttle-group": "id qom-type " +
        LIMIT_NAMES.flatMap((name) => [`limits.${name}`, `x-${name}`]).join(" "),
      "memory-backend-ram": "id qom-type size dump merge prealloc prealloc-threads reserve share " +
        "host-nodes[*] policy",
      "rng-builtin": "id qom-type",
    },
    "only iothread, throttle-group, memory-backend-ram and rng-builtin may be created",
    { size: MEMORY_SIZES },
  ),
  "qmp_capabilities": allowed("enable[*]"),
  "qom-get": only(
    [{ only: { path: "*", property: READABLE_PROPERTIES } }],
    `only these properties may be read: ${READABLE_PROPERTIES.join(", ")}`,
  ),
  "qom-list": allowed("path"),
  "qom-list-types": allowed("implements abstract"),
  "qom-set": only(
    [{
      only: { path: "*", property: ["guest-stats-polling-interval", "requested-size"], value: "*" },
    }],
    "only these properties may be written: guest-stats-polling-interval, requested-size",
  ),
  "query-blockstats": allowed("query-nodes"),
  "query-command-line-options": allowed("option"),
  "query-cpu-model-expansion": allowed("type model.name model.props.**"),
  "query-dirty-rate": allowed("calc-time-unit"),
  "query-firmware-log": allowed("max-size"),
  "query-machines": allowed("compat-props"),
  "query-rocker-of-dpa-flows": allowed("name tbl-id"),
  "query-rocker-of-dpa-groups": allowed("name type"),
  "query-sev-attestation-report": allowed("mnonce"),
  "query-stats": allowed("target vcpus[*] providers[*].provider providers[*].names[*]"),
  "query-stats-schemas": allowed("provider"),
  "ringbuf-read": allowed("device size format"),
  "ringbuf-write": allowed("device data format"),
  "send-key": allowed("keys[*].type keys[*].data hold-time"),
  "set-action": allowed("reboot shutdown panic watchdog"),
  "set-cpu-topology": allowed("core-id socket-id book-id drawer-id entitlement dedicated"),
  "set-numa-node": allowed(
    "type nodeid cpus[*] mem memdev initiator src dst val node-id drawer-id book-id socket-id " +
      "die-id cluster-id module-id core-id thread-id target hierarchy data-type latency bandwidth " +
      "size level associativity policy line",
  ),
  "set-vcpu-dirty-limit": allowed("cpu-index dirty-rate"),
  "set_link": allowed("name up"),
  "snapshot-delete": allowed("job-id tag devices[*]"),
  "trace-event-get-state": allowed("name vcpu"),
  "transaction": {
    cases: [{
      where: {
        "actions[*].type": [
          "abort",
          "block-dirty-bitmap-add",
          "block-dirty-bitmap-clear",
          "block-dirty-bitmap-disable",
          "block-dirty-bitmap-merge",
          "block-dirty-bitmap-remove",
          "blockdev-snapshot",
          "blockdev-snapshot-internal-sync",
        ],
      },
      only: anyOf(
        "properties.completion-mode actions[*].type " +
          `${BITMAP} granularity persistent disabled ${JOIN_BITMAPS} device overlay`.split(" ")
            .map((path) => `actions[*].data.${path}`).join(" "),
      ),
    }],
    refused: {
      "actions[*].data.format": FILE,
      "actions[*].data.mode": FILE,
      "actions[*].data.node-name": FILE,
      "actions[*].data.snapshot-file": FILE,
      "actions[*].data.snapshot-node-name": FILE,
      ...Object.fromEntries(
        BACKUP.split(" ").map((path) => [`actions[*].data.${path}`, OF_BACKUP]),
      ),
    },
    fatal: {
      // If the bitmap does not exist, QEMU dereferences a null pointer when it undoes the failed action.
      "actions[*].type": ["block-dirty-bitmap-enable"],
    },
    otherwise: "each action must be one that the operator may run by itself",
  },
  "watchdog-set-action": allowed("action"),
  "yank": {
    cases: [{
      where: { "instances[*].type": ["block-node", "migration"] },
      only: anyOf("instances[*].type instances[*].node-name"),
    }],
    refused: { "instances[*].id": CUTS_OFF },
    fatal: {},
    otherwise: "only connections of block nodes and of migration may be closed",
  },
});

/** Returns the rows of all commands, sorted by the command's name. */
export function operatorRows(): ReadonlyMap<string, Row> {
  return known ??= new Map([
    ...each(Object.entries(REFUSED), refused),
    ...each(ALLOWED, allowed),
    ...Object.entries(rows()),
  ].sort(([a], [b]) => a < b ? -1 : 1));
}

/** Makes a row for each command of each group. */
function each(
  groups: readonly (readonly [text: string, commands: string])[],
  row: (text: string) => Row,
): [string, Row][] {
  return groups.flatMap(([text, commands]) =>
    words(commands).map((name): [string, Row] => [name, row(text)])
  );
}

let known: ReadonlyMap<string, Row> | undefined;

/** Returns the role in the form in which a file contains it; for each row the refusals come first, then the cases. */
export function operator(): { name: string; rules: unknown[] } {
  const rules = [...operatorRows()].flatMap(([command, { cases, refused, fatal, otherwise }]) => [
    ...Object.entries(refused).map(([path, because]) => ({
      refuse: command,
      present: [path],
      because,
    })),
    ...Object.entries(fatal).map(([path, values]) => ({
      refuse: command,
      where: { [path]: values },
      because: FATAL,
    })),
    ...cases.map((way) => ({ allow: command, ...way })),
    ...(otherwise === undefined ? [] : [{ refuse: command, because: otherwise }]),
  ]);
  return { name: "operator", rules };
}
