/**
 * Sockets through the C library: the calls for descriptors that Deno does not offer.
 *
 * Callers use the numbers of descriptors and get the errors that Deno's own sockets throw.
 *
 * @module
 */

import type { Identity } from "../wire/peer.ts";
import { Descriptors } from "./descriptors.ts";
import { isListeningAddress, noteAddress } from "./listening_addresses.ts";
import { Calls, openSymbols, type Symbols } from "./libc_symbols.ts";

/** The limit of descriptors per message (QEMU's `TCP_MAX_FDS`); the kernel closes any others. */
export const DESCRIPTORS_LIMIT = 16;

/** The process at the other end of a socket, as it was when it connected. */
export interface PeerCredentials extends Identity {
  /** Its supplementary groups. */
  readonly groups: readonly number[];
}

/** The result of a read. */
export interface Received {
  /** The number of bytes; 0 at the end. */
  readonly length: number;
  /** The descriptors received with the bytes, if any. */
  readonly fds: Descriptors | undefined;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_PASSCRED = 16;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;
const SO_PASSSEC = 34;
const SO_DOMAIN = 39;
const SO_PEERGROUPS = 59;
const SO_PASSPIDFD = 76;
const SCM_RIGHTS = 1;
const MSG_PEEK = 0x2;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SHUT_WR = 1;
const SIOCOUTQ = 0x5411n;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = SOCK_NONBLOCK;
const ERANGE = 34;
const CLOSE_BRACE = 0x7d;

// struct msghdr: name 0, namelen 8, iov 16, iovlen 24, control 32, controllen 40, flags 48.
// struct cmsghdr: len 0, level 8, type 12, then the data.
const CMSG_DATA = 16;
const CONTROL_BYTES = CMSG_DATA + 4 * DESCRIPTORS_LIMIT;
const SUN_PATH = 2;
const SOCKADDR_BYTES = 110;
const IO_BYTES = 65536;
/** The number of descriptors that are searched at most. */
const SEARCH_LIMIT = 65536;
/** The size of small buffers: V8 may move buffers of less than 65 bytes. */
const FIXED_BYTES = 128;

/** The descriptors that are compared to find a new one. */
const NEAR_LIMIT = 256;
const EFD_CLOEXEC = SOCK_CLOEXEC;

let loaded: Libc | undefined;

/**
 * Loads the C library, once.
 *
 * @throws FfiError if it cannot be found, or Deno does not allow it
 */
export function loadLibc(): Libc {
  return loaded ??= new Libc(openSymbols());
}

/** The calls as methods. Descriptors are plain numbers, and no call blocks. */
export class Libc extends Calls {
  readonly #controlAddress: bigint;
  readonly #io = new Uint8Array(IO_BYTES);
  readonly #control = new Uint8Array(FIXED_BYTES);
  readonly #controlView = new DataView(this.#control.buffer);
  readonly #message = new Uint8Array(FIXED_BYTES);
  readonly #messageView = new DataView(this.#message.buffer);
  readonly #vector = new Uint8Array(FIXED_BYTES);
  readonly #vectorView = new DataView(this.#vector.buffer);
  readonly #small = new Uint8Array(FIXED_BYTES);
  readonly #smallView = new DataView(this.#small.buffer);
  readonly #length = new Uint8Array(FIXED_BYTES);
  readonly #lengthView = new DataView(this.#length.buffer);

  /** Prepares the memory that the calls share. */
  constructor(symbols: Symbols) {
    super(symbols);
    // Everything that needs the permission for FFI is done here, so that the permission can be dropped.
    this.#controlAddress = addressOf(this.#control);
    this.#vectorView.setBigUint64(0, addressOf(this.#io), true);
    this.#messageView.setBigUint64(16, addressOf(this.#vector), true);
    this.#messageView.setBigUint64(24, 1n, true);
  }

  /**
   * Opens a listening unix socket.
   *
   * @param path up to 107 bytes; `\0` and the name for an abstract socket
   * @throws Error as `Deno.listen` does
   */
  listen(path: string): number {
    const name = new TextEncoder().encode(path);
    if (name.length > SOCKADDR_BYTES - SUN_PATH - 1) throw new TypeError(`${path} is too long`);
    const address = new Uint8Array(FIXED_BYTES);
    new DataView(address.buffer).setUint16(0, AF_UNIX, true);
    address.set(name, SUN_PATH);
    // An abstract name extends to the end of the address; a path ends with a zero byte.
    const length = SUN_PATH + name.length + (path.startsWith("\0") ? 0 : 1);
    const kind = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const descriptor = this.checked(this.c.socket(AF_UNIX, kind, 0), "socket");
    try {
      this.checked(this.c.bind(descriptor, address, length), "bind");
      this.checked(this.c.listen(descriptor, 4096), "listen");
      return descriptor;
    } catch (error) {
      this.close(descriptor);
      throw error;
    }
  }

  /** Returns whether a descriptor is a listening unix stream socket. */
  isListening(descriptor: number): boolean {
    return this.#isUnixStream(descriptor) && this.#option(descriptor, SO_ACCEPTCONN) === 1;
  }

  /** Makes a descriptor non-blocking; a passed descriptor may be blocking. */
  unblock(descriptor: number): void {
    const flags = this.checked(this.c.fcntl(descriptor, F_GETFL, 0), "fcntl");
    this.checked(this.c.fcntl(descriptor, F_SETFL, flags | O_NONBLOCK), "fcntl");
  }

  /**
   * Accepts the next connection; returns `undefined` if there is none.
   *
   * @throws Error as `Deno.Listener.accept` does
   */
  accept(descriptor: number): number | undefined {
    const flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    const accepted = this.attempt("accept4", () => this.c.accept4(descriptor, null, null, flags));
    if (accepted === undefined) return undefined;
    // A passed socket may have options that add control data to each message, for example a
    // descriptor of the sender, which would never be closed here.
    this.#smallView.setInt32(0, 0, true);
    for (const option of [SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD]) {
      this.c.setsockopt(accepted, SOL_SOCKET, option, this.#small, 4);
    }
    return accepted;
  }

  /** Returns the process at the other end of a unix socket, if the kernel knows it. */
  identityOf(descriptor: number): PeerCredentials | undefined {
    const identity = this.#longOption(descriptor, SO_PEERCRED);
    if (identity === undefined || identity.byteLength < 12) return undefined;
    const pid = identity.getInt32(0, true);
    const uid = identity.getUint32(4, true);
    const gid = identity.getUint32(8, true);
    // The kernel does not reveal the process, for example because it is in another namespace.
    if (uid === 0xffffffff) return undefined;
    const list = this.#longOption(descriptor, SO_PEERGROUPS);
    const groups = [];
    for (let at = 0; at + 4 <= (list?.byteLength ?? 0); at += 4) {
      groups.push(list!.getUint32(at, true));
    }
    return { pid, uid, gid, groups };
  }

  /**
   * Reads the bytes that have arrived.
   *
   * Linux returns descriptors together with bytes that were sent before them. QEMU reads byte by
   * byte, so that it receives descriptors with the first byte that they were sent with. Here they
   * are returned with the bytes up to the next closing brace: no command ends before it, so that
   * no command can take descriptors that were sent after it.
   *
   * @returns `undefined` if nothing has arrived
   * @throws Error as `Deno.Conn.read` does
   */
  receive(descriptor: number, buffer: Uint8Array): Received | undefined {
    const size = Math.min(buffer.length, IO_BYTES);
    const length = this.#receive(descriptor, size, 0, MSG_PEEK | MSG_DONTWAIT);
    if (length === undefined) return undefined;
    // The flag says that descriptors did not fit: some belong to these bytes or to later ones.
    if ((this.#messageView.getInt32(48, true) & MSG_CTRUNC) === 0) {
      return this.#plain(descriptor, buffer, length);
    }
    const brace = this.#io.subarray(0, length).indexOf(CLOSE_BRACE);
    return this.#hasFds(descriptor, buffer, brace < 0 ? length : brace + 1);
  }

  /**
   * Writes the bytes that fit.
   *
   * @returns the number of bytes; `undefined` if none fits
   * @throws Error as `Deno.Conn.write` does
   */
  send(descriptor: number, bytes: Uint8Array): number | undefined {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const size = BigInt(bytes.length);
    return this.attempt("send", () => this.c.send(descriptor, bytes, size, flags));
  }

  /**
   * Writes the bytes that fit, and passes descriptors with the first.
   *
   * @returns the number of bytes; `undefined` if nothing was sent
   * @throws Error as `Deno.Conn.write` does
   */
  sendWith(descriptor: number, bytes: Uint8Array, { numbers }: Descriptors): number | undefined {
    const size = Math.min(bytes.length, IO_BYTES);
    if (size === 0 || numbers.length === 0 || numbers.length > DESCRIPTORS_LIMIT) {
      throw new RangeError(`${numbers.length} descriptors cannot be sent with ${size} bytes`);
    }
    this.#io.set(bytes.subarray(0, size));
    const length = CMSG_DATA + 4 * numbers.length;
    this.#controlView.setBigUint64(0, BigInt(length), true);
    this.#controlView.setInt32(8, SOL_SOCKET, true);
    this.#controlView.setInt32(12, SCM_RIGHTS, true);
    numbers.forEach((number, index) => {
      this.#controlView.setInt32(CMSG_DATA + 4 * index, number, true);
    });
    this.#prepare(size, length);
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    return this.attempt("sendmsg", () => this.c.sendmsg(descriptor, this.#message, flags));
  }

  /** Returns the bytes sent that the peer has not read; the kernel adds some overhead. */
  unread(descriptor: number): number {
    const failed = this.c.ioctl(descriptor, SIOCOUTQ, this.#small);
    return failed === 0 ? this.#smallView.getInt32(0, true) : 0;
  }

  /** Shuts down the writing side. */
  endWriting(descriptor: number): void {
    this.checked(this.c.shutdown(descriptor, SHUT_WR), "shutdown");
  }

  /**
   * Connects to a unix socket, and finds the descriptor of the connection.
   *
   * @param connect makes the connection before it returns
   * @returns what `connect` returns, and the descriptor; `undefined` if it cannot be told from others
   */
  connected<T>(connect: () => T): [T, number | undefined] {
    return this.#opened(connect, (descriptor) => this.#isOutgoing(descriptor));
  }

  /** Listens on a unix socket, and finds its descriptor, as {@linkcode connected} does. */
  listened<T>(listen: () => T): [T, number | undefined] {
    return this.#opened(listen, (descriptor) => this.isListening(descriptor));
  }

  /**
   * Opens a socket, and finds its descriptor. The kernel gives each new descriptor the lowest free
   * number, so only a few have to be compared.
   */
  #opened<T>(open: () => T, isKind: (descriptor: number) => boolean): [T, number | undefined] {
    const lowest = this.checked(this.c.eventfd(0, EFD_CLOEXEC), "eventfd");
    this.close(lowest);
    const near = Array.from({ length: NEAR_LIMIT }, (_, index) => lowest + index);
    const before = new Set(near.filter(isKind));
    const socket = open();
    const [descriptor, ...others] = near.filter((each) => isKind(each) && !before.has(each));
    return [socket, others.length > 0 ? undefined : descriptor];
  }

  /** Notes the addresses of all our listening sockets, for {@linkcode isOwnEnd}. */
  noteListening(): void {
    for (const descriptor of this.#all()) {
      if (this.#option(descriptor, SO_ACCEPTCONN) !== 1) continue;
      const address = this.#nameOf(descriptor, this.c.getsockname);
      if (address !== undefined) noteAddress(address);
    }
  }

  /**
   * Returns whether a descriptor is a client's end of a connection to qmpmux: its peer has the
   * address of a listening socket of ours. Our socket files are bound at random paths, then linked
   * to their own, so that the addresses are unique.
   */
  isOwnEnd(descriptor: number): boolean {
    if (this.#option(descriptor, SO_TYPE) !== SOCK_STREAM) return false;
    const address = this.#nameOf(descriptor, this.c.getpeername);
    return address !== undefined && isListeningAddress(address);
  }

  /** Yields the numbers of all possible descriptors. */
  *#all(): Generator<number> {
    const end = Math.min(this.c.getdtablesize(), SEARCH_LIMIT);
    for (let descriptor = 0; descriptor < end; descriptor++) yield descriptor;
  }

  /** Returns an address of a socket, its bytes as text; `undefined` if it is not connected. */
  #nameOf(descriptor: number, call: Symbols["getpeername"]): string | undefined {
    this.#lengthView.setUint32(0, FIXED_BYTES, true);
    if (call(descriptor, this.#small, this.#length) !== 0) return undefined;
    const length = this.#lengthView.getUint32(0, true);
    return String.fromCharCode(...this.#small.subarray(0, length));
  }

  /** Returns whether a descriptor is a connection to a unix socket; an accepted one has the address of its listener. */
  #isOutgoing(descriptor: number): boolean {
    return this.#isUnixStream(descriptor) &&
      this.#nameOf(descriptor, this.c.getpeername) !== undefined &&
      this.#nameOf(descriptor, this.c.getsockname)?.length === SUN_PATH;
  }

  #isUnixStream(descriptor: number): boolean {
    return this.#option(descriptor, SO_DOMAIN) === AF_UNIX &&
      this.#option(descriptor, SO_TYPE) === SOCK_STREAM;
  }

  #plain(descriptor: number, buffer: Uint8Array, size: number): Received | undefined {
    const bytes = buffer as Uint8Array<ArrayBuffer>;
    const receive = () => this.c.recv(descriptor, bytes, BigInt(size), MSG_DONTWAIT);
    const length = this.attempt("recv", receive);
    return length === undefined ? undefined : { length, fds: undefined };
  }

  #hasFds(descriptor: number, buffer: Uint8Array, size: number): Received | undefined {
    const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    const length = this.#receive(descriptor, size, CONTROL_BYTES, flags);
    if (length === undefined) return undefined;
    const numbers = this.#arrived();
    buffer.set(this.#io.subarray(0, length));
    return { length, fds: numbers.length > 0 ? new Descriptors(this, numbers) : undefined };
  }

  /** Returns the descriptors in the control data; if it was truncated, the kernel has closed the others. */
  #arrived(): number[] {
    const numbers: number[] = [];
    const end = Math.min(Number(this.#messageView.getBigUint64(40, true)), CONTROL_BYTES);
    for (let at = 0; at + CMSG_DATA <= end;) {
      const length = Number(this.#controlView.getBigUint64(at, true));
      if (length < CMSG_DATA) break;
      const rights = this.#controlView.getInt32(at + 8, true) === SOL_SOCKET &&
        this.#controlView.getInt32(at + 12, true) === SCM_RIGHTS;
      const last = Math.min(at + length, end);
      for (let data = at + CMSG_DATA; rights && data + 4 <= last; data += 4) {
        numbers.push(this.#controlView.getInt32(data, true));
      }
      // Each part begins at a multiple of eight.
      at += Math.ceil(length / 8) * 8;
    }
    return numbers;
  }

  #receive(descriptor: number, size: number, control: number, flags: number): number | undefined {
    this.#prepare(size, control);
    return this.attempt("recvmsg", () => this.c.recvmsg(descriptor, this.#message, flags));
  }

  #prepare(size: number, controlBytes: number): void {
    this.#vectorView.setBigUint64(8, BigInt(size), true);
    const control = controlBytes === 0 ? 0n : this.#controlAddress;
    this.#messageView.setBigUint64(32, control, true);
    this.#messageView.setBigUint64(40, BigInt(controlBytes), true);
    this.#messageView.setInt32(48, 0, true);
  }

  /** Returns an option that is a number; `undefined` if the descriptor is not a socket. */
  #option(descriptor: number, option: number): number | undefined {
    this.#lengthView.setUint32(0, 4, true);
    const failed = this.c.getsockopt(descriptor, SOL_SOCKET, option, this.#small, this.#length);
    return failed === 0 ? this.#smallView.getInt32(0, true) : undefined;
  }

  /** Returns an option of any length; `undefined` if it cannot be read. */
  #longOption(descriptor: number, option: number): DataView | undefined {
    for (let size = FIXED_BYTES;;) {
      const value = new Uint8Array(size);
      this.#lengthView.setUint32(0, size, true);
      const failed = this.c.getsockopt(descriptor, SOL_SOCKET, option, value, this.#length);
      const length = this.#lengthView.getUint32(0, true);
      if (failed === 0) return new DataView(value.buffer, 0, length);
      // If the buffer is too small, Linux returns the necessary size.
      if (this.errno !== ERANGE || length <= size) return undefined;
      size = length;
    }
  }
}

function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}
