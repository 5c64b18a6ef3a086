/**
 * Properties of QEMU's queries: the ones that clients may share, and the ones with a fixed reply.
 *
 * By name, one by one: the prefix `query-` promises nothing (`query-rx-filter`
 * re-arms an event, `query-sev-attestation-report` talks to firmware). A command
 * that is not listed runs every time a client sends it.
 *
 * @module
 */

import { OBSERVER_COMMANDS } from "../policy/observer_role.ts";

/**
 * Queries whose reply is fixed for the life of a QEMU process, each with the reason.
 *
 * This holds without arguments only. Replies of a QEMU 7.2 were compared byte for
 * byte before and after devices, objects, chardevs and block nodes were added and
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

/** Commands of an observer that always run on their own. */
const NOT_SHARED: ReadonlySet<string> = new Set([
  "qmp_capabilities",
  "query-accelerators",
  "query-migrationthreads",
  "query-rocker-of-dpa-flows",
  "query-rocker-of-dpa-groups",
  "query-rocker-ports",
  "query-s390x-cpu-polarization",
  "query-sev",
  "query-sgx-capabilities",
  "trace-event-get-state",
  "xen-event-list",
]);

/** Queries that clients may share: a client that asks the same while one waits gets its reply. */
export const SHARED: ReadonlySet<string> = new Set(
  OBSERVER_COMMANDS.filter((name) => !NOT_SHARED.has(name)),
);
