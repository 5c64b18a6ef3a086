/**
 * Connections to a monitor, by unix socket or TCP.
 *
 * Each call tries once. The reason for a failure has a name, so that callers do not
 * have to examine Deno's errors or the system's texts.
 *
 * @module
 */

import { type Address, addressText } from "../policy/address.ts";
import { asFailure, Failure } from "./failure.ts";
import type { Libc } from "./libc.ts";
import { directoryOf, isNoFamily } from "./socket_file.ts";
import type { Stream } from "./stream.ts";
import { FdSocket } from "./unix_socket.ts";

/** The reason why a monitor cannot be reached. */
export type DialProblem =
  /** The directory of the socket does not exist. */
  | "no directory"
  /** The socket does not exist. */
  | "no socket"
  /** No process listens at the address. */
  | "refused"
  /** This user may not connect. */
  | "denied"
  /** The listener's backlog is full: QEMU accepts one client, and few can wait. */
  | "busy"
  /** This process may not use sockets of this kind. */
  | "no family"
  | "other";

/** A monitor that cannot be reached now. */
export class DialError extends Error {
  /** Its kind. */
  override name = "DialError";
  /** The reason. */
  readonly problem: DialProblem;

  /** Wraps an error of the system. */
  constructor(problem: DialProblem, cause: Error) {
    super(cause.message, { cause });
    this.problem = problem;
  }
}

/** The FFI for connections that pass descriptors. */
export interface FdPassing {
  /** Makes the calls. */
  readonly libc: Libc;
  /** Called with the reason when descriptors cannot be passed. */
  refused(reason: string): void;
}

/**
 * Connects once.
 *
 * @param passing makes a unix connection that can pass descriptors
 * @throws DialError if the monitor cannot be reached; Failure if a permission of Deno's is missing
 */
export async function dialOnce(address: Address, passing?: FdPassing): Promise<Stream> {
  try {
    if (address.transport === "unix") return await dialUnix(address, passing);
    const socket = await Deno.connect({ hostname: address.hostname, port: address.port });
    socket.setNoDelay(true);
    return socket;
  } catch (error) {
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) {
      throw asFailure(error);
    }
    throw new DialError(problemOf(address, error), error);
  }
}

/**
 * Connects to a unix socket, and finds the descriptor of the connection.
 *
 * Deno creates and connects the socket before `Deno.connect` returns its promise. The only new
 * descriptor at that time is therefore this connection's, even if others are made concurrently.
 */
async function dialUnix(
  address: Address & { transport: "unix" },
  passing: FdPassing | undefined,
): Promise<Stream> {
  if (passing === undefined) return await Deno.connect(address);
  const { libc, refused } = passing;
  const [connecting, descriptor] = libc.connected(() => Deno.connect(address));
  const socket = await connecting;
  if (descriptor === undefined) {
    refused("its descriptor cannot be told from others");
    return socket;
  }
  return new FdSocket(socket, libc, descriptor, refused);
}

function problemOf(address: Address, error: Error): DialProblem {
  if (error instanceof Deno.errors.NotFound) {
    if (address.transport !== "unix") return "no socket";
    return exists(directoryOf(address.path)) ? "no socket" : "no directory";
  }
  if (error instanceof Deno.errors.ConnectionRefused) return "refused";
  if (error instanceof Deno.errors.PermissionDenied) return "denied";
  if (isNoFamily(error)) return "no family";
  return /os error 11\b|temporarily unavailable/i.test(error.message) ? "busy" : "other";
}

/** A socket file: its device and inode, as text. */
export type SocketFile = string;

/** Returns the socket file at an address, so that it can be told from another one later; `undefined` if there is none. */
export function socketFileAt(address: Address): SocketFile | undefined {
  if (address.transport !== "unix" || address.path.startsWith("\0")) return undefined;
  try {
    const { dev, ino, isSocket } = Deno.statSync(address.path);
    return isSocket ? `${dev} ${ino}` : undefined;
  } catch {
    // It is not there, or cannot be looked at.
    return undefined;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Checks QEMU's address before the first connection.
 *
 * @throws Failure if the path is not a socket and cannot become one
 */
export function checkPlace(address: Address): void {
  if (address.transport !== "unix" || address.path.startsWith("\0")) return;
  const text = addressText(address);
  const directory = directoryOf(address.path);
  const notADirectory = `${text}: ${directory} is not a directory; correct --qemu`;
  try {
    if (!Deno.statSync(directory).isDirectory) throw new Failure(69, notADirectory);
    if (!Deno.statSync(address.path).isSocket) {
      throw new Failure(
        69,
        `${text} is not a socket; correct --qemu, or start QEMU with -qmp ${text},server=on,wait=off`,
      );
    }
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${text}: no permission to access it; run qmpmux as a user who has it`);
    }
    if (error instanceof Deno.errors.NotADirectory) throw new Failure(69, notADirectory);
    if (error instanceof Deno.errors.FilesystemLoop) {
      throw new Failure(69, `${text}: too many symbolic links; correct --qemu`);
    }
    // QEMU can still create its socket; the service that runs QEMU may create the directory.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
