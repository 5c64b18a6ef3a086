/**
 * Gives up what the configuration turns out not to need.
 *
 * Only whole kinds can be given up: Deno ignores a revocation of part of what
 * was granted whole. Which paths may be touched is the service manager's to say.
 *
 * @module
 */

import type { ServeSettings } from "../config/settings.ts";

/**
 * Gives up kinds of permission that serving with these settings never needs again.
 *
 * @param rereads may the settings change, and with them what is needed?
 * @param notifies are datagrams sent to the service manager's unix socket?
 */
export async function dropPermissions(
  { qemu, listeners, metrics, audit }: ServeSettings,
  notifies = false,
  rereads = false,
): Promise<void> {
  const unix = notifies || rereads || qemu.transport === "unix" ||
    listeners.some(({ address }) => address.transport === "unix") ||
    metrics?.address.transport === "unix" || audit !== undefined;
  const tcp = qemu.transport === "tcp";
  if (!unix) {
    await Deno.permissions.revoke({ name: "read" });
    await Deno.permissions.revoke({ name: "write" });
  }
  // Connecting and sending to a unix socket need this kind too.
  const netForUnix = notifies || qemu.transport === "unix" || audit === "journal";
  if (!tcp && !netForUnix && !rereads) await Deno.permissions.revoke({ name: "net" });
  await Deno.permissions.revoke({ name: "env" });
  // What was loaded by them stays; nothing else can be.
  await Deno.permissions.revoke({ name: "ffi" });
}
