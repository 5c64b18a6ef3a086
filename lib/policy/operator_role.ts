/**
 * The role `operator`, which runs the machine without access to files, programs, sockets and secrets.
 *
 * Its tables have one row for each command of QEMU 7.2 to 11.1. A row lists the harmless
 * arguments and, with the reason, those that are refused. Arguments and commands that are not
 * listed are refused.
 *
 * @module
 */

import { READABLE_PROPERTIES, UNSTABLE, words } from "./observer_role.ts";

/** A glob, or a list of globs one of which must match. */
export type Values = string | readonly string[];

/** An allowed form of a command. */
export interface Case {
  /** The arguments that select this form, with their values. */
  readonly where?: Readonly<Record<string, Values>>;
  /** The paths of all allowed arguments, each with the globs of its values. */
  readonly only: Readonly<Record<string, Values>>;
}

/** The permissions for a command. */
export interface Row {
  /** The allowed forms; none when it is refused with any arguments. */
  readonly cases: readonly Case[];
  /** The paths of refused arguments, with the reasons. */
  readonly refused: Readonly<Record<string, string>>;
  /**
   * The refused values of allowed arguments, as globs by path: some QEMU crashes or hangs on
   * them (`tests/roles_machine_test.ts`).
   */
  readonly fatal: Readonly<Record<string, readonly string[]>>;
  /** The reason for refusing all else; `undefined` when the row lists each argument of QEMU. */
  readonly otherwise: string | undefined;
}

const FILE = "it names a file";
/** The reason for refusing each value in {@linkcode Row.fatal}. */
export const FATAL = "QEMU crashes or hangs on such a value";
const CUTS_OFF = "it can cut off a user of a character device, such as a monitor";
const OF_BACKUP = "it belongs to a backup, which operators may not run";

function anyOf(paths: string): Record<string, string> {
  return Object.fromEntries(words(paths).map((path) => [path, "*"]));
}

/** Allows these arguments; `refused` lists others by reason. */
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

/** Allows these forms; the reason is for all others. */
function only(cases: readonly Case[], otherwise: string, fatal: Row["fatal"] = {}): Row {
  return { cases, refused: {}, fatal, otherwise };
}

/** Allows the forms that the value of one argument selects: their arguments, by value. */
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

/** Returns globs of all values of more than this many characters. */
function longerThan(chars: number): string[] {
  return [`${"?".repeat(chars + 1)}*`];
}

/** Returns the names of virtio drivers: of each kind itself, and of its PCI devices. */
function virtio(...kinds: string[]): string[] {
  return kinds.flatMap((kind) => [
    `virtio-${kind}`,
    ...["", "-transitional", "-non-transitional"].map((form) => `virtio-${kind}-pci${form}`),
  ]);
}

/**
 * The devices that connect the guest only to objects that QEMU already has.
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
 * The properties of these devices that may be set.
 *
 * `guest-stats-polling-interval` is not listed: it starts a timer, and QEMU 7.2 crashes when that
 * expires after the device could not be created. Nor are `io-reserve` and the like: when one is
 * too large, QEMU 7.2 keeps a part of the port that failed, and crashes at the next.
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

/** The human commands without arguments that print the same data as queries. */
const INFOS = words(`
  balloon block block-jobs blockstats capture chardev cpus cryptodev dirty_rate dump
  hotpluggable-cpus iothreads irq jit kvm memdev memory-devices memory_size_summary mice migrate
  migrate_capabilities migrate_parameters mtree name network numa pci pic qdm qom-tree qtree
  ramblock replay roms sgx snapshots spice status tpm usb usernet uuid vcpu_dirty_limit version
  virtio vm-generation-id vnc
`);

const JOB = "job-id auto-finalize auto-dismiss";
const BITMAP = "node name";
/** The arguments of a backup that other actions do not have. */
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
/** Fatal sizes: QEMU reads a negative one as nearly 2^64 bytes, and aborts when memory is short. */
const MEMORY_SIZES = ["-*", ...longerThan(12)];
/** Fatal sizes: QEMU aborts when it cannot allocate the buffer, and writes past one of 0 bytes. */
const BUFFER_SIZES = ["0", "-*", ...longerThan(8)];
/** Fatal ids: QEMU 10.0 takes a device with such an id for its parent, and aborts. */
const PATHS = ["", "*/*"];
/** Fatal CPUs: without KVM, QEMU 7.2 aborts on the second attempt to plug one of the host. */
const HOST_CPUS = ["host-*-cpu"];

/** The commands that are refused with any arguments, by reason. */
const REFUSED: Readonly<Record<string, string>> = {
  "it is about files that were handed over": "add-fd closefd getfd remove-fd",
  "it reaches a socket": "add_client display-update migrate-recover nbd-server-start",
  "it decides who is served a disk through a socket": `
    block-export-add block-export-del nbd-server-add nbd-server-remove nbd-server-stop
  `,
  // A backup or mirror that fails leaves its target in the iothread of the disk: the next backup is fatal.
  "QEMU crashes where an earlier backup or mirror has failed": "blockdev-backup",
  [FILE]: "blockdev-change-medium change-backing-file xen-load-devices-state",
  "it writes a file": `
    blockdev-create blockdev-snapshot-sync drive-backup drive-mirror dump-guest-memory
    dump-skeys dumpdtb memsave pmemsave screendump xen-save-devices-state
  `,
  "it opens files": "blockdev-reopen",
  "QEMU crashes where two measure at once": "calc-dirty-rate",
  "it carries a secret": "change-vnc-password display-reload set_password sev-inject-launch-secret",
  [CUTS_OFF]: "chardev-change",
  "it sends display clients to another host": "client_migrate_info",
  "it makes an object of any type to look at it": "device-list-properties qom-list-properties",
  "it decides who may connect": "expire_password",
  "it reaches a socket, a file or a program": "migrate migrate-incoming",
  "it reads every property, those of secrets too": "qom-list-get",
  "what is traced is written to a file": "trace-event-set-state",
  "it is for Xen's own tools":
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

/** The arguments with which commands are allowed, and the commands. */
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

/** Makes the rows of all other commands, when first needed: that takes milliseconds. */
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
      // `bottom` is not listed: QEMU searches forever for a node that is not below.
      "copy-on-read": "driver node-name file read-only",
      // `copy-before-write` is not allowed, for the same reason as `blockdev-backup`.
      "snapshot-access": "driver node-name file read-only",
    },
    "only filters over nodes that are there, and null, are made",
    // QEMU aborts on a null device of negative size.
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
    "nothing but null and ringbuf is made, without a log file",
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
      // A virtio input device aborts on a long one.
      serial: longerThan(20),
      // QEMU 7.2 allocates any number of them, and aborts when that fails.
      vectors: ["-*", ...longerThan(4)],
    },
    otherwise: "only listed devices are made, with listed properties, out of what QEMU has",
  },
  "human-monitor-command": only(
    [{ only: { "command-line": INFOS.map((name) => `info ${name}`), "cpu-index": "*" } }],
    "it can do anything but a listed info",
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
      "it decides which secret is used with whom": "tls-creds tls-hostname tls-authz",
      "it names a program": "cpr-exec-command",
      "it is an experiment of QEMU's":
        "x-checkpoint-delay x-rdma-chunk-size x-vcpu-dirty-limit-period",
    },
  ),
  // `netdev` is not listed: QEMU aborts when that has a peer.
  "netdev_add": byValue(
    "type",
    { hubport: "id type hubid" },
    "all but a hubport reaches a socket, a program or the host's network",
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
    "only iothread, throttle-group, memory-backend-ram and rng-builtin are made",
    { size: MEMORY_SIZES },
  ),
  "qmp_capabilities": allowed("enable[*]"),
  "qom-get": only(
    [{ only: { path: "*", property: READABLE_PROPERTIES } }],
    `it reads only the properties ${READABLE_PROPERTIES.join(", ")}`,
  ),
  "qom-list": allowed("path"),
  "qom-list-types": allowed("implements abstract"),
  "qom-set": only(
    [{
      only: { path: "*", property: ["guest-stats-polling-interval", "requested-size"], value: "*" },
    }],
    "it writes only the properties guest-stats-polling-interval, requested-size",
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
      // If the bitmap is missing, QEMU undoes an action that failed and reads a null pointer.
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
    otherwise: "only connections of block nodes and of migration are closed",
  },
});

/** Returns the row of each command of QEMU, sorted by name. */
export function operatorRows(): ReadonlyMap<string, Row> {
  return known ??= new Map([
    ...each(Object.entries(REFUSED), refused),
    ...each(ALLOWED, allowed),
    ...Object.entries(rows()),
  ].sort(([a], [b]) => a < b ? -1 : 1));
}

/** Makes the rows of groups of commands. */
function each(
  groups: readonly (readonly [text: string, commands: string])[],
  row: (text: string) => Row,
): [string, Row][] {
  return groups.flatMap(([text, commands]) =>
    words(commands).map((name): [string, Row] => [name, row(text)])
  );
}

let known: ReadonlyMap<string, Row> | undefined;

/** Returns the role in the form of a file: for each row its refusals, its cases, and the rest. */
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
