/**
 * The role `operator`: it runs the machine, and reaches no file, program, socket or secret.
 *
 * One row for each command of QEMU 7.2 to 11.1. A row names the arguments that
 * are harmless and, with the reason, those that are not; an argument it does not
 * name is refused, and so is a command without a row.
 *
 * @module
 */

import { READABLE_PROPERTIES, UNSTABLE } from "./observer_role.ts";

/** A glob, or several of which one must match. */
export type Values = string | readonly string[];

/** A way to run a command: these arguments, of these values. */
export interface Case {
  /** An argument and its value, where the ways of a command differ. */
  readonly where?: Readonly<Record<string, Values>>;
  /** The paths of the arguments; with each the globs of its values. */
  readonly only: Readonly<Record<string, Values>>;
}

/** What the operator may do with a command. */
export interface Row {
  /** The ways it may be run; none where it is refused whatever its arguments. */
  readonly cases: readonly Case[];
  /** The paths of arguments that are refused, with the reason. */
  readonly refused: Readonly<Record<string, string>>;
  /**
   * Values of allowed arguments that are refused, as globs by path, because some QEMU does not
   * live through them (`tests/roles_machine_test.ts`).
   */
  readonly fatal: Readonly<Record<string, readonly string[]>>;
  /** Why all else is refused; where it is missing, each argument of QEMU's is named. */
  readonly otherwise: string | undefined;
}

const FILE = "it names a file";
const WRITES = "it writes a file";
const OPENS = "it opens files";
const SOCKET = "it reaches a socket";
const SECRET = "it carries a secret";
const DESCRIPTOR = "it is about files that were handed over";
const EXPORTS = "it decides who is served a disk through a socket";
const ADMITS = "it decides who may connect";
const EXPERIMENT = "it is an experiment of QEMU's";
/** The reason for refusing each value in {@linkcode Row.fatal}. */
export const FATAL = "QEMU crashes or hangs on such a value";
const CUTS_OFF = "it can cut off a user of a character device, such as a monitor";
const MAKES = "it makes an object of any type to look at it";
const XEN = "it is for Xen's own tools";
/** A backup or mirror that fails leaves its target in the iothread of the disk: the next backup is fatal. */
const AFTER_FAILURE = "QEMU crashes where an earlier backup or mirror has failed";
const OF_BACKUP = "it belongs to a backup, which operators may not run";

function anyOf(paths: string): Record<string, string> {
  return Object.fromEntries(paths.split(" ").filter(Boolean).map((path) => [path, "*"]));
}

/** Allows these arguments; `refused` lists others by the reason. */
function allowed(
  paths = "",
  refused: Readonly<Record<string, string>> = {},
  fatal: Row["fatal"] = {},
): Row {
  const pairs = Object.entries(refused).flatMap(([because, list]) =>
    list.split(" ").map((path) => [path, because])
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

/** Allows these ways to run it; the reason is for all others. */
function only(cases: readonly Case[], otherwise: string, fatal: Row["fatal"] = {}): Row {
  return { cases, refused: {}, fatal, otherwise };
}

/** Globs of all values that are written with more characters than that. */
function longerThan(chars: number): string[] {
  return [`${"?".repeat(chars + 1)}*`];
}

/** Rows of the commands that QEMU calls unstable. */
const UNSTABLE_ROWS = Object.fromEntries(
  ("x-accel-stats x-blockdev-amend x-blockdev-change x-blockdev-set-iothread " +
    "x-colo-lost-heartbeat x-debug-block-dirty-bitmap-sha256 x-debug-query-block-graph " +
    "x-exit-preconfig x-query-interrupt-controllers x-query-irq x-query-jit x-query-numa " +
    "x-query-opcount x-query-profile x-query-ramblock x-query-rdma x-query-roms x-query-usb " +
    "x-query-virtio x-query-virtio-queue-element x-query-virtio-queue-status " +
    "x-query-virtio-status x-query-virtio-vhost-queue-status").split(" ").map(
      (name) => [name, refused(UNSTABLE)],
    ),
);

/** A driver by its own name, and as the bus's older and newer kind. */
function virtio(...kinds: string[]): string[] {
  return kinds.flatMap((kind) => [
    `virtio-${kind}`,
    ...["", "-transitional", "-non-transitional"].map((form) => `virtio-${kind}-pci${form}`),
  ]);
}

/**
 * Devices that connect the guest to what QEMU already has, and to nothing else of the host.
 *
 * Not `virtio-mem-pci`: QEMU 7.2 aborts when a device behind the same PCIe port is unplugged.
 */
const DRIVERS = [
  ...virtio("balloon", "blk", "net", "rng", "scsi", "serial"),
  ..."virtio-keyboard-pci virtio-mouse-pci virtio-tablet-pci".split(" "),
  ..."virtconsole virtserialport e1000 e1000e igb rtl8139 vmxnet3".split(" "),
  ..."ide-cd ide-hd nvme nvme-ns scsi-cd scsi-hd usb-storage".split(" "),
  ..."nec-usb-xhci qemu-xhci usb-hub usb-kbd usb-mouse usb-tablet".split(" "),
  ..."ioh3420 pci-bridge pcie-pci-bridge pcie-root-port".split(" "),
  ..."pc-dimm i6300esb *-i386-cpu *-x86_64-cpu".split(" "),
];

/**
 * The properties of these devices that may be set.
 *
 * Not `guest-stats-polling-interval`: it starts a timer, and QEMU 7.2 crashes when that runs out
 * after the device could not be made. And not `io-reserve` and its like: where one is too large, QEMU 7.2
 * keeps a part of the port that could not be made, and crashes at the next.
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

/** Human commands without an argument, which print what queries tell as well. */
const INFOS =
  ("balloon block block-jobs blockstats capture chardev cpus cryptodev dirty_rate dump " +
    "hotpluggable-cpus iothreads irq jit kvm memdev memory-devices memory_size_summary mice " +
    "migrate migrate_capabilities migrate_parameters mtree name network numa pci pic qdm qom-tree " +
    "qtree ramblock replay roms sgx snapshots spice status tpm usb usernet uuid vcpu_dirty_limit " +
    "version virtio vm-generation-id vnc").split(" ");

const JOB = "job-id auto-finalize auto-dismiss";
const BITMAP = "node name";
/** Arguments of a backup, beside those of other actions. */
const BACKUP = `${JOB} sync speed bitmap bitmap-mode compress on-source-error on-target-error ` +
  "on-cbw-error filter-node-name discard-source x-perf";
const JOIN_BITMAPS = "node target bitmaps[*] bitmaps[*].node bitmaps[*].name";

const LIMIT_NAMES = "total read write".split(" ").flatMap((kind) =>
  ["bps", "iops"].flatMap((unit) =>
    ["", "-max", "-max-length"].map((end) => `${unit}-${kind}${end}`)
  )
).concat("iops-size");

const CHARDEVS = "nothing but null and ringbuf is made, without a log file";

/** QEMU 11.1 makes announcements without end, and answers no more, where `max` is negative. */
const DELAYS = ["-*", ...longerThan(6)];
/** QEMU takes a negative size for one of nearly 2^64 bytes, and aborts on what it has no room for. */
const MEMORY_SIZES = ["-*", ...longerThan(12)];
/** QEMU aborts where it cannot allocate the buffer, and writes behind one of 0 bytes. */
const BUFFER_SIZES = ["0", "-*", ...longerThan(8)];
/** QEMU 10.0 takes a device with such an id for its parent, and aborts. */
const PATHS = ["", "*/*"];
/** QEMU 7.2 aborts on the second attempt to plug a CPU of the host where there is no KVM. */
const HOST_CPUS = ["host-*-cpu"];

/** Made when they are asked for: they take milliseconds, and most programs never do. */
const rows = (): Readonly<Record<string, Row>> => ({
  "add-fd": refused(DESCRIPTOR),
  "add_client": refused(SOCKET),
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
  "block-dirty-bitmap-clear": allowed(BITMAP),
  "block-dirty-bitmap-disable": allowed(BITMAP),
  "block-dirty-bitmap-enable": allowed(BITMAP),
  "block-dirty-bitmap-merge": allowed(JOIN_BITMAPS),
  "block-dirty-bitmap-remove": allowed(BITMAP),
  "block-export-add": refused(EXPORTS),
  "block-export-del": refused(EXPORTS),
  "block-job-cancel": allowed("device force"),
  "block-job-change": allowed("id type copy-mode"),
  "block-job-complete": allowed("device"),
  "block-job-dismiss": allowed("id"),
  "block-job-finalize": allowed("id"),
  "block-job-pause": allowed("device"),
  "block-job-resume": allowed("device"),
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
  "blockdev-add": only(
    [
      {
        where: { driver: ["null-aio", "null-co"] },
        only: anyOf("driver node-name size latency-ns read-zeroes read-only"),
      },
      {
        where: { driver: "raw" },
        only: anyOf("driver node-name file offset size read-only"),
      },
      {
        where: { driver: "throttle" },
        only: anyOf("driver node-name file throttle-group read-only"),
      },
      // Not `copy-before-write`, for the same reason as `blockdev-backup`.
      {
        // `bottom` is left out: QEMU looks for a node that is not below for ever.
        where: { driver: "copy-on-read" },
        only: anyOf("driver node-name file read-only"),
      },
      { where: { driver: "snapshot-access" }, only: anyOf("driver node-name file read-only") },
    ],
    "only filters over nodes that are there, and null, are made",
    // QEMU aborts on a null device of negative size.
    { size: ["-*"] },
  ),
  "blockdev-backup": refused(AFTER_FAILURE),
  "blockdev-change-medium": refused(FILE),
  "blockdev-close-tray": allowed("device id"),
  "blockdev-create": refused(WRITES),
  "blockdev-del": allowed("node-name"),
  "blockdev-insert-medium": allowed("id node-name"),
  "blockdev-mirror": allowed(
    `${JOB} device target replaces sync speed granularity buf-size on-source-error ` +
      "on-target-error filter-node-name copy-mode target-is-zero",
  ),
  "blockdev-open-tray": allowed("device id force"),
  "blockdev-remove-medium": allowed("id"),
  "blockdev-reopen": refused(OPENS),
  "blockdev-set-active": allowed("node-name active"),
  "blockdev-snapshot": allowed("node overlay"),
  "blockdev-snapshot-delete-internal-sync": allowed("device id name"),
  "blockdev-snapshot-internal-sync": allowed("device name"),
  "blockdev-snapshot-sync": refused(WRITES),
  "calc-dirty-rate": refused("QEMU crashes where two measure at once"),
  "cancel-vcpu-dirty-limit": allowed("cpu-index"),
  "change-backing-file": refused(FILE),
  "change-vnc-password": refused(SECRET),
  "chardev-add": only(
    [
      { where: { "backend.type": "null" }, only: anyOf("id backend.type backend.data") },
      { where: { "backend.type": "ringbuf" }, only: anyOf("id backend.type backend.data.size") },
    ],
    CHARDEVS,
    { id: PATHS, "backend.data.size": BUFFER_SIZES },
  ),
  "chardev-change": refused(CUTS_OFF),
  "chardev-remove": allowed("id"),
  "chardev-send-break": allowed("id"),
  "client_migrate_info": refused("it sends display clients to another host"),
  "closefd": refused(DESCRIPTOR),
  "cont": allowed(),
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
  "device-list-properties": refused(MAKES),
  "device-sync-config": allowed("id"),
  "device_add": {
    cases: [{ where: { driver: DRIVERS }, only: anyOf(`driver ${DEVICE_PROPERTIES}`) }],
    refused: { romfile: FILE },
    fatal: {
      driver: HOST_CPUS,
      id: PATHS,
      // A virtio input device aborts on a long one.
      serial: longerThan(20),
      // QEMU 7.2 allocates as much as it is asked for, and aborts where that fails.
      vectors: ["-*", ...longerThan(4)],
    },
    otherwise: "only listed devices are made, with listed properties, out of what QEMU has",
  },
  "device_del": allowed("id"),
  "display-reload": refused(SECRET),
  "display-update": refused(SOCKET),
  "drive-backup": refused(WRITES),
  "drive-mirror": refused(WRITES),
  "dump-guest-memory": refused(WRITES),
  "dump-skeys": refused(WRITES),
  "dumpdtb": refused(WRITES),
  "eject": allowed("device id force"),
  "expire_password": refused(ADMITS),
  "getfd": refused(DESCRIPTOR),
  "human-monitor-command": only(
    [{ only: { "command-line": INFOS.map((name) => `info ${name}`), "cpu-index": "*" } }],
    "it can do anything but a listed info",
  ),
  "inject-ghes-v2-error": allowed("cper"),
  "inject-nmi": allowed(),
  "input-send-event": allowed(
    "device head events[*].type events[*].data.axis events[*].data.button events[*].data.down " +
      "events[*].data.key.type events[*].data.key.data events[*].data.slot " +
      "events[*].data.tracking-id events[*].data.type events[*].data.value",
  ),
  "job-cancel": allowed("id"),
  "job-complete": allowed("id"),
  "job-dismiss": allowed("id"),
  "job-finalize": allowed("id"),
  "job-pause": allowed("id"),
  "job-resume": allowed("id"),
  "memsave": refused(WRITES),
  "migrate": refused("it reaches a socket, a file or a program"),
  "migrate-continue": allowed("state"),
  "migrate-incoming": refused("it reaches a socket, a file or a program"),
  "migrate-pause": allowed(),
  "migrate-recover": refused(SOCKET),
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
      [EXPERIMENT]: "x-checkpoint-delay x-rdma-chunk-size x-vcpu-dirty-limit-period",
    },
  ),
  "migrate-start-postcopy": allowed(),
  "migrate_cancel": allowed(),
  "nbd-server-add": refused(EXPORTS),
  "nbd-server-remove": refused(EXPORTS),
  "nbd-server-start": refused(SOCKET),
  "nbd-server-stop": refused(EXPORTS),
  "netdev_add": only(
    // `netdev` is left out: QEMU aborts where that has a peer.
    [{ where: { type: "hubport" }, only: anyOf("id type hubid") }],
    "all but a hubport reaches a socket, a program or the host's network",
  ),
  "netdev_del": allowed("id"),
  "object-add": only(
    [
      {
        where: { "qom-type": "iothread" },
        only: anyOf(
          "id qom-type poll-max-ns poll-grow poll-shrink poll-weight aio-max-batch " +
            "thread-pool-min thread-pool-max",
        ),
      },
      {
        where: { "qom-type": "throttle-group" },
        only: anyOf(
          "id qom-type " +
            LIMIT_NAMES.flatMap((name) => [`limits.${name}`, `x-${name}`]).join(" "),
        ),
      },
      {
        where: { "qom-type": "memory-backend-ram" },
        only: anyOf(
          "id qom-type size dump merge prealloc prealloc-threads reserve share host-nodes[*] policy",
        ),
      },
      { where: { "qom-type": "rng-builtin" }, only: anyOf("id qom-type") },
    ],
    "only iothread, throttle-group, memory-backend-ram and rng-builtin are made",
    { size: MEMORY_SIZES },
  ),
  "object-del": allowed("id"),
  "pmemsave": refused(WRITES),
  "qmp_capabilities": allowed("enable[*]"),
  "qom-get": only(
    [{ only: { path: "*", property: READABLE_PROPERTIES } }],
    `it reads only the properties ${READABLE_PROPERTIES.join(", ")}`,
  ),
  "qom-list": allowed("path"),
  "qom-list-get": refused("it reads every property, those of secrets too"),
  "qom-list-properties": refused(MAKES),
  "qom-list-types": allowed("implements abstract"),
  "qom-set": only(
    [{
      only: { path: "*", property: ["guest-stats-polling-interval", "requested-size"], value: "*" },
    }],
    "it writes only the properties guest-stats-polling-interval, requested-size",
  ),
  "query-accelerators": allowed(),
  "query-acpi-ospm-status": allowed(),
  "query-audiodevs": allowed(),
  "query-balloon": allowed(),
  "query-block": allowed("flat"),
  "query-block-exports": allowed(),
  "query-block-jobs": allowed(),
  "query-blockstats": allowed("query-nodes"),
  "query-chardev": allowed(),
  "query-chardev-backends": allowed(),
  "query-colo-status": allowed(),
  "query-command-line-options": allowed("option"),
  "query-commands": allowed(),
  "query-cpu-definitions": allowed(),
  "query-cpu-model-baseline": allowed("modela.name modela.props.** modelb.name modelb.props.**"),
  "query-cpu-model-comparison": allowed("modela.name modela.props.** modelb.name modelb.props.**"),
  "query-cpu-model-expansion": allowed("type model.name model.props.**"),
  "query-cpus-fast": allowed(),
  "query-cryptodev": allowed(),
  "query-current-machine": allowed(),
  "query-dirty-rate": allowed("calc-time-unit"),
  "query-display-options": allowed(),
  "query-dump": allowed(),
  "query-dump-guest-memory-capability": allowed(),
  "query-fdsets": allowed(),
  "query-firmware-log": allowed("max-size"),
  "query-gic-capabilities": allowed(),
  "query-hotpluggable-cpus": allowed(),
  "query-hv-balloon-status-report": allowed(),
  "query-iothreads": allowed(),
  "query-jobs": allowed(),
  "query-kvm": allowed(),
  "query-machines": allowed("compat-props"),
  "query-memdev": allowed(),
  "query-memory-devices": allowed(),
  "query-memory-size-summary": allowed(),
  "query-mice": allowed(),
  "query-migrate": allowed(),
  "query-migrate-capabilities": allowed(),
  "query-migrate-parameters": allowed(),
  "query-migrationthreads": allowed(),
  "query-name": allowed(),
  "query-named-block-nodes": allowed("flat"),
  "query-pci": allowed(),
  "query-pr-managers": allowed(),
  "query-qmp-schema": allowed(),
  "query-replay": allowed(),
  "query-rocker": allowed("name"),
  "query-rocker-of-dpa-flows": allowed("name tbl-id"),
  "query-rocker-of-dpa-groups": allowed("name type"),
  "query-rocker-ports": allowed("name"),
  "query-rx-filter": allowed("name"),
  "query-s390x-cpu-polarization": allowed(),
  "query-sev": allowed(),
  "query-sev-attestation-report": allowed("mnonce"),
  "query-sev-capabilities": allowed(),
  "query-sev-launch-measure": allowed(),
  "query-sgx": allowed(),
  "query-sgx-capabilities": allowed(),
  "query-spice": allowed(),
  "query-stats": allowed("target vcpus[*] providers[*].provider providers[*].names[*]"),
  "query-stats-schemas": allowed("provider"),
  "query-status": allowed(),
  "query-target": allowed(),
  "query-tpm": allowed(),
  "query-tpm-models": allowed(),
  "query-tpm-types": allowed(),
  "query-uuid": allowed(),
  "query-vcpu-dirty-limit": allowed(),
  "query-version": allowed(),
  "query-vm-generation-id": allowed(),
  "query-vnc": allowed(),
  "query-vnc-servers": allowed(),
  "query-xen-replication-status": allowed(),
  "query-yank": allowed(),
  "quit": allowed(),
  "remove-fd": refused(DESCRIPTOR),
  "replay-break": allowed("icount"),
  "replay-delete-break": allowed(),
  "replay-seek": allowed("icount"),
  "request-ebpf": allowed("id"),
  "ringbuf-read": allowed("device size format"),
  "ringbuf-write": allowed("device data format"),
  "rtc-reset-reinjection": allowed(),
  "screendump": refused(WRITES),
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
  "set_password": refused(SECRET),
  "sev-inject-launch-secret": refused(SECRET),
  "snapshot-delete": allowed("job-id tag devices[*]"),
  "snapshot-load": allowed("job-id tag vmstate devices[*]"),
  "snapshot-save": allowed("job-id tag vmstate devices[*]"),
  "stop": allowed(),
  "system_powerdown": allowed(),
  "system_reset": allowed(),
  "system_wakeup": allowed(),
  "trace-event-get-state": allowed("name vcpu"),
  "trace-event-set-state": refused("what is traced is written to a file"),
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
      // Where the bitmap is missing, QEMU undoes what it has not done, and reads a null pointer.
      "actions[*].type": ["block-dirty-bitmap-enable"],
    },
    otherwise: "each action must be one that the operator may run by itself",
  },
  "watchdog-set-action": allowed("action"),
  ...UNSTABLE_ROWS,
  "xen-colo-do-checkpoint": refused(XEN),
  "xen-event-inject": refused(XEN),
  "xen-event-list": allowed(),
  "xen-load-devices-state": refused(FILE),
  "xen-save-devices-state": refused(WRITES),
  "xen-set-global-dirty-log": refused(XEN),
  "xen-set-replication": refused(XEN),
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

/** What the operator may do with each command of QEMU, by its name. */
export function operatorRows(): ReadonlyMap<string, Row> {
  return known ??= new Map(Object.entries(rows()));
}

let known: ReadonlyMap<string, Row> | undefined;

/** The role in the form that files have: for each row its refusals, its cases, and the rest. */
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
