/**
 * The role `operator`: it runs the machine, and reaches no file, program, socket or secret.
 *
 * One row for each command of QEMU 7.2 to 11.1. A row names the arguments that
 * are harmless and, with the reason, those that are not; an argument it does not
 * name is refused, and so is a command without a row.
 *
 * @module
 */

import { READABLE_PROPERTIES, UNSTABLE } from "./observer.ts";

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
const XEN = "it is for Xen's own tools";

function anyOf(paths: string): Record<string, string> {
  return Object.fromEntries(paths.split(" ").filter(Boolean).map((path) => [path, "*"]));
}

/** It may run with these arguments; `refused` lists others by the reason. */
function allowed(paths = "", refused: Readonly<Record<string, string>> = {}): Row {
  const pairs = Object.entries(refused).flatMap(([because, list]) =>
    list.split(" ").map((path) => [path, because])
  );
  return {
    cases: [{ only: anyOf(paths) }],
    refused: Object.fromEntries(pairs),
    otherwise: undefined,
  };
}

function refused(because: string): Row {
  return { cases: [], refused: {}, otherwise: because };
}

/** It may run in these ways; the reason is for all others. */
function only(cases: readonly Case[], otherwise: string): Row {
  return { cases, refused: {}, otherwise };
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

/** Devices that connect the guest to what QEMU already has, and to nothing else of the host. */
const DRIVERS = [
  ...virtio("balloon", "blk", "net", "rng", "scsi", "serial"),
  ..."virtio-keyboard-pci virtio-mem-pci virtio-mouse-pci virtio-tablet-pci".split(" "),
  ..."virtconsole virtserialport e1000 e1000e igb rtl8139 vmxnet3".split(" "),
  ..."ide-cd ide-hd nvme nvme-ns scsi-cd scsi-hd usb-storage".split(" "),
  ..."nec-usb-xhci qemu-xhci usb-hub usb-kbd usb-mouse usb-tablet".split(" "),
  ..."ioh3420 pci-bridge pcie-pci-bridge pcie-root-port".split(" "),
  ..."pc-dimm i6300esb *-i386-cpu *-x86_64-cpu".split(" "),
];

const DEVICE_PROPERTIES =
  "id bus addr acpi-index multifunction bootindex rombar hotplug slot port chassis " +
  "chassis_nr io-reserve mem-reserve bus-reserve pref32-reserve pref64-reserve " +
  "drive iothread num-queues queue-size serial write-cache share-rw werror rerror discard " +
  "detect-zeroes physical_block_size logical_block_size min_io_size opt_io_size removable " +
  "rotation_rate device_id product vendor wwn ver scsi-id channel lun nsid " +
  "netdev mac mq vectors host_mtu chardev name nr max_ports rng max-bytes period " +
  "memdev node block-size requested-size deflate-on-oom free-page-reporting free-page-hint " +
  "guest-stats-polling-interval disable-legacy disable-modern packed event_idx indirect_desc " +
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
const BACKUP = `${JOB} device target sync speed bitmap bitmap-mode compress on-source-error ` +
  "on-target-error on-cbw-error filter-node-name discard-source";
const UNTRIED = { [EXPERIMENT]: "x-perf" };
const JOIN_BITMAPS = "node target bitmaps[*] bitmaps[*].node bitmaps[*].name";

const LIMIT_NAMES = "total read write".split(" ").flatMap((kind) =>
  ["bps", "iops"].flatMap((unit) =>
    ["", "-max", "-max-length"].map((end) => `${unit}-${kind}${end}`)
  )
).concat("iops-size");

const CHARDEVS = "nothing but null and ringbuf is made, without a log file";

/** Made when they are asked for: they take milliseconds, and most programs never do. */
const rows = (): Readonly<Record<string, Row>> => ({
  "add-fd": refused(DESCRIPTOR),
  "add_client": refused(SOCKET),
  "announce-self": allowed("initial max rounds step interfaces[*] id"),
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
      {
        where: { driver: "copy-on-read" },
        only: anyOf("driver node-name file bottom read-only"),
      },
      {
        where: { driver: "copy-before-write" },
        only: anyOf("driver node-name file target on-cbw-error cbw-timeout"),
      },
      { where: { driver: "snapshot-access" }, only: anyOf("driver node-name file read-only") },
    ],
    "only filters over nodes that are there, and null, are made",
  ),
  "blockdev-backup": allowed(BACKUP, UNTRIED),
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
  "calc-dirty-rate": allowed("calc-time calc-time-unit sample-pages mode"),
  "cancel-vcpu-dirty-limit": allowed("cpu-index"),
  "change-backing-file": refused(FILE),
  "change-vnc-password": refused(SECRET),
  "chardev-add": only(
    [
      { where: { "backend.type": "null" }, only: anyOf("id backend.type backend.data") },
      { where: { "backend.type": "ringbuf" }, only: anyOf("id backend.type backend.data.size") },
    ],
    CHARDEVS,
  ),
  "chardev-change": refused("it can cut off who uses the character device"),
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
  "device-list-properties": allowed("typename"),
  "device-sync-config": allowed("id"),
  "device_add": {
    cases: [{ where: { driver: DRIVERS }, only: anyOf(`driver ${DEVICE_PROPERTIES}`) }],
    refused: { romfile: FILE },
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
    [{ where: { type: "hubport" }, only: anyOf("id type hubid netdev") }],
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
  "qom-list-properties": allowed("typename"),
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
          "block-dirty-bitmap-enable",
          "block-dirty-bitmap-merge",
          "block-dirty-bitmap-remove",
          "blockdev-backup",
          "blockdev-snapshot",
          "blockdev-snapshot-internal-sync",
        ],
      },
      only: anyOf(
        "properties.completion-mode actions[*].type " +
          `${BITMAP} granularity persistent disabled ${JOIN_BITMAPS} ${BACKUP} overlay`.split(" ")
            .map((path) => `actions[*].data.${path}`).join(" "),
      ),
    }],
    refused: {
      "actions[*].data.format": FILE,
      "actions[*].data.mode": FILE,
      "actions[*].data.node-name": FILE,
      "actions[*].data.snapshot-file": FILE,
      "actions[*].data.snapshot-node-name": FILE,
      "actions[*].data.x-perf": EXPERIMENT,
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
  "yank": allowed("instances[*].type instances[*].id instances[*].node-name"),
});

/** What the operator may do with each command of QEMU, by its name. */
export function operatorRows(): ReadonlyMap<string, Row> {
  return known ??= new Map(Object.entries(rows()));
}

let known: ReadonlyMap<string, Row> | undefined;

/** The role in the form that files have: for each row its refusals, its cases, and the rest. */
export function operator(): { name: string; rules: unknown[] } {
  const rules = [...operatorRows()].flatMap(([command, { cases, refused, otherwise }]) => [
    ...Object.entries(refused).map(([path, because]) => ({
      refuse: command,
      present: [path],
      because,
    })),
    ...cases.map((way) => ({ allow: command, ...way })),
    ...(otherwise === undefined ? [] : [{ refuse: command, because: otherwise }]),
  ]);
  return { name: "operator", rules };
}
