/**
 * The known events of QEMU.
 *
 * A client that waits for a misspelt event waits forever. QEMU lists its events only in a
 * schema of 0.2 MB, so the names are copied here. A newer QEMU has others: only a name that
 * is nearly one of these counts as misspelt.
 *
 * @module
 */

import { nearest } from "./suggestion.ts";

/** The events of QEMU 7.2, 10.0 and 11.1 (`query-qmp-schema`, x86_64), and qmpmux's own; sorted. */
// deno-fmt-ignore
export const EVENT_NAMES: readonly string[] = [
  "ACPI_DEVICE_OST", "BALLOON_CHANGE", "BLOCK_EXPORT_DELETED", "BLOCK_IMAGE_CORRUPTED",
  "BLOCK_IO_ERROR", "BLOCK_JOB_CANCELLED", "BLOCK_JOB_COMPLETED", "BLOCK_JOB_ERROR",
  "BLOCK_JOB_PENDING", "BLOCK_JOB_READY", "BLOCK_WRITE_THRESHOLD", "COLO_EXIT",
  "CPU_POLARIZATION_CHANGE", "DEVICE_DELETED", "DEVICE_TRAY_MOVED", "DEVICE_UNPLUG_GUEST_ERROR",
  "DUMP_COMPLETED", "FAILOVER_NEGOTIATED", "GUEST_CRASHLOADED", "GUEST_PANICKED",
  "GUEST_PVSHUTDOWN", "HV_BALLOON_STATUS_REPORT", "JOB_STATUS_CHANGE",
  "MEMORY_DEVICE_SIZE_CHANGE", "MEMORY_FAILURE", "MEM_UNPLUG_ERROR", "MIGRATION",
  "MIGRATION_PASS", "NETDEV_STREAM_CONNECTED", "NETDEV_STREAM_DISCONNECTED",
  "NETDEV_VHOST_USER_CONNECTED", "NETDEV_VHOST_USER_DISCONNECTED", "NIC_RX_FILTER_CHANGED",
  "POWERDOWN", "PR_MANAGER_STATUS_CHANGED", "QUORUM_FAILURE", "QUORUM_REPORT_BAD",
  "RDMA_GID_STATUS_CHANGED", "RESET", "RESUME", "RTC_CHANGE", "SCLP_CPI_INFO_AVAILABLE",
  "SHUTDOWN", "SPICE_CONNECTED", "SPICE_DISCONNECTED", "SPICE_INITIALIZED",
  "SPICE_MIGRATE_COMPLETED", "STOP", "SUSPEND", "SUSPEND_DISK", "UNPLUG_PRIMARY",
  "VFIO_MIGRATION", "VFU_CLIENT_HANGUP", "VNC_CONNECTED", "VNC_DISCONNECTED", "VNC_INITIALIZED",
  "VSERPORT_CHANGE", "WAKEUP", "WATCHDOG", "__org.qmpmux_QEMU_BACK", "__org.qmpmux_QEMU_LOST",
];

/**
 * Returns an error for a misspelt event, with a suggestion and a way to insist on the name.
 *
 * @param glob a name, or a glob, which is never misspelt
 * @returns `undefined` when it is a known event, or similar to none
 */
export function misspelt(glob: string): string | undefined {
  if (/[*?]/.test(glob) || EVENT_NAMES.includes(glob)) return undefined;
  const meant = nearest(glob, EVENT_NAMES);
  if (meant === undefined) return undefined;
  return `unknown event "${glob}"; did you mean "${meant}"? Write "${glob}*" to mean it all the same`;
}
