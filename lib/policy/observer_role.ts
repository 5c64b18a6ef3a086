/**
 * The role `observer`: it reads, and only reads.
 *
 * A list of names, one by one, because names do not tell: `query-rx-filter`
 * re-arms an event, `screendump` writes a file. What is not listed is refused,
 * so that what a newer QEMU brings is refused until somebody has looked at it.
 * Commands whose name begins with `x-` are refused: QEMU calls them unstable, and
 * 11.1 aborted on `x-query-virtio-status` for each of twelve virtio devices.
 *
 * @module
 */

/**
 * Properties that anybody may read with `qom-get`.
 *
 * Not all: a getter is any code of QEMU's, and a `secret` object gives its data
 * to whoever reads the property (measured on QEMU 7.2).
 */
export const READABLE_PROPERTIES: readonly string[] = [
  "date",
  "guest-stats",
  "guest-stats-polling-interval",
  "hotpluggable",
  "hotplugged",
  "realized",
  "requested-size",
  "rtc-time",
  "size",
  "type",
];

/** What an observer may run. */
export const OBSERVER_COMMANDS: readonly string[] = [
  // Answered by qmpmux, and the same for everybody.
  "qmp_capabilities",
  "qom-list",
  "qom-list-types",
  "query-accelerators",
  "query-acpi-ospm-status",
  "query-audiodevs",
  "query-balloon",
  "query-block",
  "query-block-exports",
  "query-block-jobs",
  "query-blockstats",
  "query-chardev",
  "query-chardev-backends",
  "query-colo-status",
  "query-command-line-options",
  "query-commands",
  "query-cpu-definitions",
  "query-cpus-fast",
  "query-cryptodev",
  "query-current-machine",
  "query-dirty-rate",
  "query-display-options",
  "query-dump",
  "query-dump-guest-memory-capability",
  "query-fdsets",
  "query-gic-capabilities",
  "query-hotpluggable-cpus",
  "query-hv-balloon-status-report",
  "query-iothreads",
  "query-jobs",
  "query-kvm",
  "query-machines",
  "query-memdev",
  "query-memory-devices",
  "query-memory-size-summary",
  "query-mice",
  "query-migrate",
  "query-migrate-capabilities",
  "query-migrate-parameters",
  "query-migrationthreads",
  "query-name",
  "query-named-block-nodes",
  "query-pci",
  "query-pr-managers",
  "query-qmp-schema",
  "query-replay",
  "query-rocker",
  "query-rocker-of-dpa-flows",
  "query-rocker-of-dpa-groups",
  "query-rocker-ports",
  "query-s390x-cpu-polarization",
  "query-sev",
  "query-sgx",
  "query-sgx-capabilities",
  "query-spice",
  "query-stats",
  "query-stats-schemas",
  "query-status",
  "query-target",
  "query-tpm",
  "query-tpm-models",
  "query-tpm-types",
  "query-uuid",
  "query-vcpu-dirty-limit",
  "query-version",
  "query-vm-generation-id",
  "query-vnc",
  "query-vnc-servers",
  "query-xen-replication-status",
  "query-yank",
  "trace-event-get-state",
  "xen-event-list",
];

/** What seems to read only, and why it is refused all the same. */
export const OBSERVER_REFUSALS: Readonly<Record<string, string>> = {
  "device-list-properties": "it makes an object of any type to look at it",
  "human-monitor-command": "it can do anything",
  "qom-get": `it reads only the properties ${READABLE_PROPERTIES.join(", ")}`,
  "qom-list-get": "it reads every property, those of secrets too",
  "qom-list-properties": "it makes an object of any type to look at it",
  "query-cpu-model-baseline": "it makes CPU objects to look at them",
  "query-cpu-model-comparison": "it makes CPU objects to look at them",
  "query-cpu-model-expansion": "it makes a CPU object to look at it",
  "query-firmware-log": "it gives out memory of the guest",
  "query-rx-filter": "it re-arms an event for everybody",
  "query-sev-attestation-report": "it makes the firmware work",
  "query-sev-capabilities": "it makes the firmware work",
  "query-sev-launch-measure": "what it gives is for the guest's owner",
  "ringbuf-read": "who reads takes it from others",
  "screendump": "it writes a file",
};

/** The reason for refusing commands that QEMU calls unstable, whatever they do. */
export const UNSTABLE = "its name begins with x-, so QEMU may change or break it";

/** The role in the form that files have. */
export const OBSERVER = {
  name: "observer",
  rules: [
    { refuse: "x-*", because: UNSTABLE },
    { allow: OBSERVER_COMMANDS },
    { allow: "qom-get", only: { path: "*", property: READABLE_PROPERTIES } },
    ...Object.entries(OBSERVER_REFUSALS).map(([refuse, because]) => ({ refuse, because })),
  ],
};
