/**
 * The runtime: the version of Deno, its permissions, and the signals of the process.
 *
 * qmpmux is built for Deno 2.9 and newer. Older versions are supported only for tests
 * on hosts where nothing newer is available.
 *
 * @module
 */

import type { ServeSettings } from "../config/settings.ts";

/** The version of Deno. */
export const DENO_VERSION: string = Deno.version.deno;

const [MAJOR = 0, MINOR = 0] = DENO_VERSION.split(".").map(Number);

/** Whether this Deno is older than the versions that qmpmux is built for. */
export const IS_OLDER_DENO: boolean = MAJOR < 2 || (MAJOR === 2 && MINOR < 9);

/**
 * Drops the kinds of permission that are not needed any more with these settings.
 *
 * Only whole kinds are dropped: Deno ignores the revocation of a part of a permission that was
 * granted as a whole.
 *
 * @param notifies whether datagrams are sent to systemd's unix socket
 * @param rereads whether a reload may change the settings, and with them the permissions needed
 */
export async function dropPermissions(
  { qemu, listeners, vms, metrics, audit, record }: ServeSettings,
  notifies = false,
  rereads = false,
): Promise<void> {
  const named = vms.flatMap((vm) => [vm.qemu, ...vm.listeners.map(({ address }) => address)]);
  const addresses = [qemu, ...listeners.map(({ address }) => address), ...named];
  const unix = notifies || rereads || metrics?.address.transport === "unix" ||
    audit !== undefined || record !== undefined ||
    addresses.some((each) => each?.transport === "unix");
  if (!unix) {
    await Deno.permissions.revoke({ name: "read" });
    await Deno.permissions.revoke({ name: "write" });
  }
  await Deno.permissions.revoke({ name: "env" });
  await dropFfi();
}

/** Drops the permission for FFI; a library that has been loaded stays usable. */
export async function dropFfi(): Promise<void> {
  await Deno.permissions.revoke({ name: "ffi" });
}

/**
 * Handles signals until it is disposed of.
 *
 * @param stop handles SIGTERM and SIGINT
 * @param reload handles SIGHUP
 * @param status handles SIGUSR1 and SIGUSR2; on SIGUSR1, `deno run` of 2.9.2 and later also opens its
 *   debugger
 */
export function onSignals(stop: () => void, reload: () => void, status: () => void): Disposable {
  const handlers: readonly [Deno.Signal, () => void][] = [
    ["SIGTERM", stop],
    ["SIGINT", stop],
    ["SIGHUP", reload],
    ["SIGUSR1", status],
    ["SIGUSR2", status],
  ];
  for (const [signal, handler] of handlers) Deno.addSignalListener(signal, handler);
  return {
    [Symbol.dispose](): void {
      for (const [signal, handler] of handlers) Deno.removeSignalListener(signal, handler);
    },
  };
}
