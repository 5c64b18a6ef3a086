/**
 * The processes connected to a unix socket.
 *
 * A monitor serves one client at a time, and sends other clients no greeting. The kernel
 * reports which sockets are connected; `/proc` shows which process has a socket open, but
 * only for processes of the same user, unless the reader is root.
 *
 * @module
 */

import { loadLibc } from "./libc.ts";
import { type Calls, FfiError, LAYOUTS } from "./libc_symbols.ts";

/** A connected process. */
export interface MonitorHolder {
  /** Its id. */
  readonly pid: number;
  /** Its executable. */
  readonly program: string;
}

/** The accepted connections of a listener. */
export interface Connected {
  /** Whether any connection was accepted. */
  readonly accepted: boolean;
  /** Whether this process is at the other end of a connection. */
  readonly served: boolean;
  /** The other processes that are connected, as far as they are visible. */
  readonly holders: readonly MonitorHolder[];
  /** The executable of the process that has accepted them; `undefined` if it is not visible. */
  readonly server?: string | undefined;
}

/** Describes a holder, for people. */
export function holderText({ pid, program }: MonitorHolder): string {
  return `process ${pid} (${program})`;
}

// struct nlmsghdr: length 0, type 4, flags 6, sequence 8, port 12; then struct unix_diag_req.
const HEADER_BYTES = 16;
const REQUEST_BYTES = 24;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST_DUMP = 0x301;
const AF_UNIX = 1;
const AF_NETLINK = 16;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const O_CLOEXEC = SOCK_CLOEXEC;
const IO_BYTES = 65536;
const ESTABLISHED = 1;
const LISTENING = 10;
const SHOW_NAME_FILE_PEER = 0b111;
// struct unix_diag_msg: family 0, type 1, state 2, inode 4, cookie 8; then attributes.
const ANSWER_BYTES = 16;
const ATTRIBUTE_NAME = 0;
const ATTRIBUTE_FILE = 1;
const ATTRIBUTE_PEER = 2;

/**
 * Finds the processes whose connections a listener at a path has accepted.
 *
 * @returns `undefined` if they are unknown: without FFI, if the kernel refuses the query, or if the
 *   listener is in another network namespace
 */
export function connectedTo(path: string): Connected | undefined {
  try {
    return look(loadLibc(), path);
  } catch (error) {
    const isRefused = error instanceof Error && /\bos error \d+/.test(error.message);
    if (error instanceof FfiError || isRefused) return undefined;
    throw error;
  }
}

function look(libc: Calls, path: string): Connected | undefined {
  const peers = new Set<number>();
  const accepted = new Set<number>();
  const file = inodeOf(path);
  let isSeen = false;
  for (const socket of socketsOf(libc)) {
    if (socket.name !== path && (file === undefined || socket.file !== file)) continue;
    if (socket.isListening) isSeen = true;
    // A connection that has not been accepted yet has no inode.
    else if (socket.inode !== 0 && socket.peer !== undefined) {
      peers.add(socket.peer);
      accepted.add(socket.inode);
    }
  }
  if (!isSeen) return undefined;
  const processes = processesWith(libc, peers);
  return {
    accepted: peers.size > 0,
    served: processes.some(({ pid }) => pid === Deno.pid),
    holders: processes.filter(({ pid }) => pid !== Deno.pid),
    server: processesWith(libc, accepted)[0]?.program,
  };
}

function inodeOf(path: string): number | undefined {
  if (path.startsWith("\0")) return undefined;
  try {
    const { ino } = Deno.statSync(path);
    // The kernel reports only the lower 32 bits.
    return ino === null ? undefined : ino % 2 ** 32;
  } catch (error) {
    // The socket may have been removed since.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

interface Socket {
  readonly isListening: boolean;
  readonly inode: number;
  readonly name: string | undefined;
  readonly file: number | undefined;
  readonly peer: number | undefined;
}

/** Lists all unix sockets that are connected or listening. */
function* socketsOf(libc: Calls): Generator<Socket> {
  const question = new Uint8Array(HEADER_BYTES + REQUEST_BYTES);
  const view = new DataView(question.buffer);
  view.setUint32(0, question.length, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST_DUMP, true);
  view.setUint8(HEADER_BYTES, AF_UNIX);
  view.setUint32(HEADER_BYTES + 4, 1 << ESTABLISHED | 1 << LISTENING, true);
  view.setUint32(HEADER_BYTES + 12, SHOW_NAME_FILE_PEER, true);
  const isLast = (bytes: Uint8Array): boolean =>
    messagesIn(bytes).some(({ type }) => type !== SOCK_DIAG_BY_FAMILY);
  for (const datagram of diagnose(libc, question, isLast)) {
    for (const { type, body } of messagesIn(datagram)) {
      if (type === SOCK_DIAG_BY_FAMILY) yield socketIn(body);
    }
  }
}

/** Returns the messages of a datagram, including the one that ends the answer. */
function messagesIn(bytes: Uint8Array): { type: number; body: Uint8Array }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const messages: { type: number; body: Uint8Array }[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES) break;
    messages.push({
      type: view.getUint16(at + 4, true),
      body: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += aligned(length);
  }
  return messages;
}

function socketIn(body: Uint8Array): Socket {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  let name: string | undefined;
  let file: number | undefined;
  let peer: number | undefined;
  for (let at = ANSWER_BYTES; at + 4 <= body.length;) {
    const length = view.getUint16(at, true);
    if (length < 4) break;
    const kind = view.getUint16(at + 2, true);
    if (kind === ATTRIBUTE_NAME) {
      name = new TextDecoder().decode(body.subarray(at + 4, at + length)).replace(
        /(?<=.)\0+$/s,
        "",
      );
    }
    if (kind === ATTRIBUTE_FILE) file = view.getUint32(at + 4, true);
    if (kind === ATTRIBUTE_PEER) peer = view.getUint32(at + 4, true);
    at += aligned(length);
  }
  const isListening = view.getUint8(2) === LISTENING;
  return { isListening, inode: view.getUint32(4, true), name, file, peer };
}

function aligned(length: number): number {
  return Math.ceil(length / 4) * 4;
}

/** Returns the processes that have one of these sockets open, ordered by id. */
function processesWith(libc: Calls, inodes: ReadonlySet<number>): MonitorHolder[] {
  if (inodes.size === 0) return [];
  const links = new Set([...inodes].map((inode) => `socket:[${inode}]`));
  const holders: MonitorHolder[] = [];
  const processes = namesIn(libc, "/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  for (const pid of processes) {
    const open = namesIn(libc, `/proc/${pid}/fd`);
    if (!open.some((each) => links.has(linkAt(libc, `/proc/${pid}/fd/${each}`) ?? ""))) continue;
    holders.push({ pid, program: linkAt(libc, `/proc/${pid}/exe`) ?? "unknown" });
  }
  return holders.sort((a, b) => a.pid - b.pid);
}

/** Sends a `NETLINK_SOCK_DIAG` message; returns the datagrams up to the one that `isLast`. */
function diagnose(
  libc: Calls,
  question: Uint8Array<ArrayBuffer>,
  isLast: (datagram: Uint8Array) => boolean,
): Uint8Array[] {
  const kind = SOCK_DGRAM | SOCK_CLOEXEC;
  const descriptor = libc.checked(libc.c.socket(AF_NETLINK, kind, NETLINK_SOCK_DIAG), "socket");
  try {
    const sent = libc.c.send(descriptor, question, BigInt(question.length), 0);
    libc.checked(Number(sent), "send");
    const answer: Uint8Array[] = [];
    for (;;) {
      const buffer = new Uint8Array(IO_BYTES);
      // The kernel has an answer ready once `send` has returned.
      const length = Number(libc.c.recv(descriptor, buffer, BigInt(IO_BYTES), MSG_DONTWAIT));
      if (length <= 0) return answer;
      answer.push(buffer.subarray(0, length));
      if (isLast(answer.at(-1)!)) return answer;
    }
  } finally {
    libc.close(descriptor);
  }
}

/** Returns the names in a directory, even one that Deno refuses to list; none if it cannot be read. */
export function namesIn(libc: Calls, directory: string): string[] {
  const getdents = libc.c.getdents64 ?? libc.c.getdents;
  if (getdents === null) return [];
  const flags = LAYOUTS[Deno.build.arch].O_DIRECTORY | O_CLOEXEC;
  const descriptor = libc.c.open(textOf(directory), flags);
  if (descriptor < 0) return [];
  const names: string[] = [];
  const buffer = new Uint8Array(IO_BYTES);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const length = Number(getdents(descriptor, buffer, BigInt(IO_BYTES)));
    if (length <= 0) break;
    // struct linux_dirent64: inode 0, offset 8, length 16, type 18, name 19.
    for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
      const name = buffer.subarray(at + 19, buffer.indexOf(0, at + 19));
      names.push(new TextDecoder().decode(name));
    }
  }
  libc.close(descriptor);
  return names;
}

/** Returns the target of a symbolic link; `undefined` if it cannot be read. */
export function linkAt(libc: Calls, path: string): string | undefined {
  const buffer = new Uint8Array(4096);
  const length = Number(libc.c.readlink(textOf(path), buffer, BigInt(buffer.length)));
  return length < 0 ? undefined : new TextDecoder().decode(buffer.subarray(0, length));
}

/** Returns a text as a string of C, which ends with a zero byte. */
function textOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
