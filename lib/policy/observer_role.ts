/**
 * The role `observer`, which only reads.
 *
 * It lists each allowed command, because a name does not show the effect: `query-rx-filter`
 * re-arms an event, and `screendump` writes a file. All other commands are refused. New commands
 * of a newer QEMU therefore need a review first.
 *
 * Commands that begin with `x-` are refused. QEMU calls them unstable, and 11.1 aborted on
 * `x-query-virtio-status` for each of twelve virtio devices.
 *
 * @module
 */

/** Splits a text at white space. */
export function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

/**
 * The properties that every role may read with `qom-get`.
 *
 * Reading any other property can run any code in QEMU, and reading a property of a `secret` object
 * returns its data (measured on QEMU 7.2).
 */
export const READABLE_PROPERTIES: readonly string[] = words(`
  date guest-stats guest-stats-polling-interval hotpluggable hotplugged realized requested-size
  rtc-time size type
`);

/** The commands that an observer may run; qmpmux answers the first one itself. */
export const OBSERVER_COMMANDS: readonly string[] = words(`
  qmp_capabilities qom-list qom-list-types query-accelerators query-acpi-ospm-status
  query-audiodevs query-balloon query-block query-block-exports query-block-jobs
  query-blockstats query-chardev query-chardev-backends query-colo-status
  query-command-line-options query-commands query-cpu-definitions query-cpus-fast
  query-cryptodev query-current-machine query-dirty-rate query-display-options query-dump
  query-dump-guest-memory-capability query-fdsets query-gic-capabilities query-hotpluggable-cpus
  query-hv-balloon-status-report query-iothreads query-jobs query-kvm query-machines
  query-memdev query-memory-devices query-memory-size-summary query-mice query-migrate
  query-migrate-capabilities query-migrate-parameters query-migrationthreads query-name
  query-named-block-nodes query-pci query-pr-managers query-qmp-schema query-replay query-rocker
  query-rocker-of-dpa-flows query-rocker-of-dpa-groups query-rocker-ports
  query-s390x-cpu-polarization query-sev query-sgx query-sgx-capabilities query-spice
  query-stats query-stats-schemas query-status query-target query-tpm query-tpm-models
  query-tpm-types query-uuid query-vcpu-dirty-limit query-version query-vm-generation-id
  query-vnc query-vnc-servers query-xen-replication-status query-yank trace-event-get-state
  xen-event-list
`);

/** The refused commands that seem to be read-only, and the reasons for refusing them. */
export const OBSERVER_REFUSALS: Readonly<Record<string, string>> = {
  "device-list-properties": "it creates an object of any type to inspect it",
  "human-monitor-command": "it can do anything",
  "qom-get": `only these properties may be read: ${READABLE_PROPERTIES.join(", ")}`,
  "qom-list-get": "it reads all properties, including those of secrets",
  "qom-list-properties": "it creates an object of any type to inspect it",
  "query-cpu-model-baseline": "it creates CPU objects to inspect them",
  "query-cpu-model-comparison": "it creates CPU objects to inspect them",
  "query-cpu-model-expansion": "it creates a CPU object to inspect it",
  "query-firmware-log": "it returns guest memory",
  "query-rx-filter": "it re-arms an event for all clients",
  "query-sev-attestation-report": "it sends a command to the SEV firmware",
  "query-sev-capabilities": "it sends a command to the SEV firmware",
  "query-sev-launch-measure": "its result is for the guest's owner",
  "ringbuf-read": "reading removes the data for all clients",
  "screendump": "it writes a file",
};

/** The reason for refusing all commands that QEMU calls unstable. */
export const UNSTABLE = "its name begins with x-, so QEMU may change or break it";

/** The role, in the form in which a file contains it. */
export const OBSERVER = {
  name: "observer",
  rules: [
    { refuse: "x-*", because: UNSTABLE },
    { allow: OBSERVER_COMMANDS },
    { allow: "qom-get", only: { path: "*", property: READABLE_PROPERTIES } },
    ...Object.entries(OBSERVER_REFUSALS).map(([refuse, because]) => ({ refuse, because })),
  ],
};
