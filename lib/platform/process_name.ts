/**
 * The names of programs by their process ids, and the user of this one.
 *
 * Deno does not let a program without all permissions read `/proc`; FFI does.
 *
 * @module
 */

import type { Calls } from "./libc_symbols.ts";

const O_CLOEXEC = 0o2000000;
/** The longest name that the kernel keeps has 15 bytes. */
const NAME_BYTES = 64;

/** Returns the name of the program of a process; `undefined` if it cannot be read. */
export function programOf(libc: Calls, pid: number): string | undefined {
  const path = new TextEncoder().encode(`/proc/${pid}/comm\0`);
  const descriptor = libc.c.open(path, O_CLOEXEC);
  if (descriptor < 0) return undefined;
  try {
    const buffer = new Uint8Array(NAME_BYTES);
    const length = Number(libc.c.read(descriptor, buffer, BigInt(NAME_BYTES)));
    if (length <= 0) return undefined;
    return new TextDecoder().decode(buffer.subarray(0, length)).trimEnd();
  } finally {
    libc.close(descriptor);
  }
}

/** Returns the user id that this process acts with. */
export function ownUser(libc: Calls): number {
  return libc.c.geteuid();
}
