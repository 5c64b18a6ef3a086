/**
 * Permissions of Deno's that are dropped when they are no longer needed.
 *
 * Only whole kinds are dropped: Deno ignores the revocation of a part of what was
 * granted whole. The service manager decides which paths may be used.
 *
 * @module
 */

import type { ServeSettings } from "../config/settings.ts";

/**
 * Drops the kinds of permission that serving with these settings never needs again.
 *
 * @param notifies whether datagrams are sent to the service manager's unix socket
 * @param rereads whether the settings may change, and with them the need
 */
export async function dropPermissions(
  { qemu, listeners, metrics, audit }: ServeSettings,
  notifies = false,
  rereads = false,
): Promise<void> {
  const unix = notifies || rereads || qemu.transport === "unix" ||
    listeners.some(({ address }) => address.transport === "unix") ||
    metrics?.address.transport === "unix" || audit !== undefined;
  if (!unix) {
    await Deno.permissions.revoke({ name: "read" });
    await Deno.permissions.revoke({ name: "write" });
  }
  // Unix sockets need this kind as well, to connect and to send.
  const net = qemu.transport === "tcp" || notifies || rereads || qemu.transport === "unix" ||
    audit === "journal";
  if (!net) await Deno.permissions.revoke({ name: "net" });
  await Deno.permissions.revoke({ name: "env" });
  await dropFfi();
}

/** Drops the permission for FFI; a library that is loaded stays usable. */
export async function dropFfi(): Promise<void> {
  await Deno.permissions.revoke({ name: "ffi" });
}
