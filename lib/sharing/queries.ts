/**
 * What is known of QEMU's queries: which only read, and which answers last.
 *
 * By name, one by one: `query-` at the front of a name promises nothing
 * (`query-rx-filter` re-arms an event, `query-sev-attestation-report` talks to
 * firmware). What is not listed here runs every time it is asked.
 *
 * @module
 */

/**
 * Queries whose answer is fixed for the life of a QEMU process, each with its reason.
 *
 * Asked without arguments only. Answers of a QEMU 7.2 were compared byte for
 * byte before and after devices, objects, chardevs and block nodes came and
 * the machine ran.
 */
export const IMMUTABLE: ReadonlyMap<string, string> = new Map([
  ["query-version", "compiled in"],
  ["query-qmp-schema", "compiled in, filtered by -compat at the start"],
  ["query-commands", "the commands are registered at the start"],
  ["query-command-line-options", "compiled in"],
  ["query-target", "compiled in"],
  ["query-chardev-backends", "compiled in"],
  ["query-tpm-models", "compiled in"],
  ["query-tpm-types", "compiled in"],
  ["query-machines", "the machine types are registered at the start"],
  ["query-name", "set by -name, which nothing changes later"],
  ["query-uuid", "set by -uuid, which nothing changes later"],
  ["query-kvm", "the accelerator is chosen at the start"],
]);

/** Queries that read and change nothing: who asks the same while one waits may share its answer. */
export const READ_ONLY: ReadonlySet<string> = new Set([
  ...IMMUTABLE.keys(),
  "query-acpi-ospm-status",
  "query-audiodevs",
  "query-balloon",
  "query-block",
  "query-block-exports",
  "query-block-jobs",
  "query-blockstats",
  "query-chardev",
  "query-colo-status",
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
  "query-memdev",
  "query-memory-devices",
  "query-memory-size-summary",
  "query-mice",
  "query-migrate",
  "query-migrate-capabilities",
  "query-migrate-parameters",
  "query-named-block-nodes",
  "query-pci",
  "query-pr-managers",
  "query-replay",
  "query-rocker",
  "query-sgx",
  "query-spice",
  "query-stats",
  "query-stats-schemas",
  "query-status",
  "query-tpm",
  "query-vcpu-dirty-limit",
  "query-vm-generation-id",
  "query-vnc",
  "query-vnc-servers",
  "query-xen-replication-status",
  "query-yank",
  "qom-list",
  "qom-list-types",
]);
