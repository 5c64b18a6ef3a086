/**
 * The addresses of our listening sockets, to recognize connections to qmpmux itself.
 *
 * @module
 */

/** The addresses that our listening sockets have had, as the kernel gives them; the latest ones. */
const LISTENING = new Set<string>();
/** The limit of such addresses: VMs come and go for months. */
const LISTENING_LIMIT = 65536;

/** Notes the path of a unix socket that listens, which may be the peer of a descriptor that a client passes. */
export function noteListeningAt(path: string): void {
  const end = path.startsWith("\0") ? "" : "\0";
  noteAddress(`\x01\0${String.fromCharCode(...new TextEncoder().encode(path))}${end}`);
}

/** Notes an address as `getsockname` returns it, one character for each byte. */
export function noteAddress(address: string): void {
  LISTENING.add(address);
  if (LISTENING.size <= LISTENING_LIMIT) return;
  const [oldest] = LISTENING;
  LISTENING.delete(oldest!);
}

/** Returns whether a listening socket of ours has, or had, an address. */
export function isListeningAddress(address: string): boolean {
  return LISTENING.has(address);
}
