/**
 * Socket files: created with their mode and owner, and removed at exit.
 *
 * A file has its mode before any client can open it. An existing file is replaced only
 * if it is a stale socket.
 *
 * @module
 */

import { type Address, addressText, PATH_BYTES_LIMIT } from "../policy/address.ts";
import type { ListenerSettings } from "../config/options.ts";
import { asFailure, Failure } from "./failure.ts";
import type { Acceptor } from "./stream.ts";
import { idOf } from "./users.ts";

/** The path of a socket file, or an abstract name. */
export type UnixAddress = Address & { transport: "unix" };

/** A listening socket, and its descriptor if that is known. */
export interface Listening {
  /** The socket. */
  readonly socket: Acceptor;
  /** Its descriptor. */
  readonly descriptor?: number | undefined;
}

/** A function that listens on a unix socket. */
export type Listen = (path: string) => Listening;

/** A prepared change; call one of the two functions, once. */
export interface Change {
  /** Makes the change; cannot fail. */
  readonly commit: () => void;
  /** Undoes the preparation; @throws Failure if it cannot */
  readonly undo: () => void;
}

/** A change that does nothing. */
export const NO_CHANGE: Change = { commit: () => {}, undo: () => {} };

/**
 * Binds a socket file that no client can open before it has its mode and owner. It is
 * created in a private directory, then linked to its path; the link fails if a file
 * has appeared there.
 *
 * @param replaced the inode of a file that is replaced, if it is still there
 * @returns the socket, and the file's inode
 */
export function bindFile(
  settings: ListenerSettings,
  address: UnixAddress,
  listen: Listen,
  replaced?: number,
): Listening & { readonly inode: number | undefined } {
  const stagingDir = makeStagingDir(address);
  const path = `${stagingDir}/s`;
  let listening: Listening | undefined;
  try {
    listening = bindAnyLength(path, listen);
    Deno.chmodSync(path, settings.mode);
    own(settings, path);
    const isReplaced = replaced !== undefined && inodeAt(address.path) === replaced;
    if (isReplaced) Deno.renameSync(path, address.path);
    else Deno.linkSync(path, address.path);
    return { ...listening, inode: inodeAt(address.path) };
  } catch (error) {
    listening?.socket.close();
    if (error instanceof Deno.errors.AlreadyExists) throw inUse(address);
    throw notListening(address, error);
  } finally {
    // Somebody may have removed the whole directory meanwhile.
    removeIfThere(path);
    removeIfThere(stagingDir);
  }
}

/**
 * Makes the missing directories of a socket, if its settings say so.
 *
 * @returns those that it made, the deepest last
 * @throws Failure if it cannot
 */
export function makeDirectories({ directoryMode, address }: ListenerSettings): string[] {
  const made: string[] = [];
  if (directoryMode === undefined || address.transport !== "unix") return made;
  const missing: string[] = [];
  let directory = directoryOf(address.path);
  while (inodeAt(directory) === undefined && directory !== directoryOf(directory)) {
    missing.unshift(directory);
    directory = directoryOf(directory);
  }
  try {
    for (const each of missing) {
      Deno.mkdirSync(each);
      made.push(each);
      // The process's umask does not count.
      Deno.chmodSync(each, directoryMode);
    }
    return made;
  } catch (error) {
    // Another listener of this VM may need the same directory, and have made it first.
    if (error instanceof Deno.errors.AlreadyExists) return made;
    removeDirectories(made);
    const reason = (error as Error).message;
    throw new Failure(78, `${addressText(address)}: cannot make the directory: ${reason}`);
  }
}

/** Returns the directory that an earlier process may have made for a socket that it has left. */
export function madeEarlier({ directoryMode, address }: ListenerSettings): string[] {
  if (directoryMode === undefined || address.transport !== "unix") return [];
  return [directoryOf(address.path)];
}

/** Removes directories that were made for a socket, as far as they are empty. */
export function removeDirectories(made: readonly string[]): void {
  try {
    for (const directory of made.toReversed()) Deno.removeSync(directory);
  } catch {
    // Somebody else uses it, or has removed it.
  }
}

/** Makes a directory beside the socket that only this user can enter. */
function makeStagingDir(address: UnixAddress): string {
  for (let tries = 0;; tries++) {
    const path = `${directoryOf(address.path)}/.${crypto.randomUUID().slice(0, 7)}`;
    try {
      Deno.mkdirSync(path, { mode: 0o700 });
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists) || tries === 16) {
        throw notListening(address, error);
      }
    }
  }
}

/** Binds a socket at a path; uses a link to its directory if the path is too long for a socket's address. */
function bindAnyLength(path: string, listen: Listen): Listening {
  if (new TextEncoder().encode(path).length <= PATH_BYTES_LIMIT) return listen(path);
  const place = Deno.makeTempDirSync();
  const link = `${place}/d`;
  try {
    Deno.symlinkSync(Deno.realPathSync(directoryOf(path)), link);
    return listen(`${link}/${path.slice(path.lastIndexOf("/") + 1)}`);
  } finally {
    removeIfThere(link);
    Deno.removeSync(place);
  }
}

function inUse(address: Address): Failure {
  const text = addressText(address);
  return new Failure(1, `${text} is in use by another process; stop it, or listen elsewhere`);
}

/** Returns the reason why it cannot listen at an address, for people. */
export function notListening(address: Address, error: unknown): Error {
  const text = addressText(address);
  if (error instanceof Failure) return error;
  if (error instanceof Deno.errors.AddrInUse) return inUse(address);
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return new Failure(78, `${text} is not an address of this machine; listen on one that is`);
  }
  if (error instanceof Deno.errors.NotFound) {
    const directory = address.transport === "unix" ? directoryOf(address.path) : "";
    return new Failure(78, `${text}: the directory ${directory} does not exist; create it`);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new Failure(
      77,
      `${text}: no permission to listen there; run qmpmux as a user who has it`,
    );
  }
  if (error instanceof Deno.errors.NotCapable) return asFailure(error) as Failure;
  if (isNoFamily(error)) return noFamily(address);
  return new Failure(78, `${text}: cannot listen there: ${(error as Error).message}`);
}

/** Returns whether the kernel, or a system call filter, refuses all sockets of this kind. */
export function isNoFamily(error: unknown): boolean {
  return error instanceof Error && /address family not supported/i.test(error.message);
}

/** Returns the failure for an address of a kind that this process may not use. */
export function noFamily(address: Address): Failure {
  return new Failure(
    78,
    `${addressText(address)}: this process may not use such addresses (address family not ` +
      "supported); under systemd, allow TCP by a drop-in (systemctl edit) with PrivateNetwork=no, " +
      "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 and IPAddressAllow=localhost in [Service]",
  );
}

/** Returns the directory of a path. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash === -1 ? "." : path.slice(0, slash) || "/";
}

/** Removes a stale socket from a path; @throws Failure if the path is in use */
export async function removeStaleSocket(address: UnixAddress): Promise<void> {
  const { path } = address;
  const text = addressText(address);
  let file: Deno.FileInfo;
  try {
    file = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof Deno.errors.NotADirectory) {
      throw new Failure(78, `${text}: ${directoryOf(path)} is not a directory; correct the path`);
    }
    throw notListening(address, error);
  }
  if (!file.isSocket) {
    throw new Failure(
      78,
      `${text} already exists and is not a socket; remove it, or listen elsewhere`,
    );
  }
  try {
    (await Deno.connect(address)).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) {
      if (error instanceof Deno.errors.PermissionDenied) throw notListening(address, error);
      // Any other error, such as EAGAIN for a full backlog, means that a process listens.
      throw inUse(address);
    }
    try {
      removeIfThere(path, file.ino ?? undefined);
    } catch (error) {
      throw notListening(address, error);
    }
    return;
  }
  throw inUse(address);
}

/** Removes a file, if it exists and is still the same. */
export function removeIfThere(path: string, inode?: number): void {
  try {
    if (inode !== undefined && Deno.lstatSync(path).ino !== inode) return;
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Returns the inode of the file at a path, if it is visible. */
export function inodeAt(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).ino ?? undefined;
  } catch {
    return undefined;
  }
}

/** Changes the mode and owner of our socket file, until the change is undone. */
export function applyAccess(settings: ListenerSettings, address: UnixAddress): Change {
  const { path } = address;
  let undo = (): void => {};
  try {
    const before = Deno.lstatSync(path);
    undo = () => giveBack(address, before);
    Deno.chmodSync(path, settings.mode);
    own(settings, path);
  } catch (error) {
    undo();
    throw notListening(address, error);
  }
  return { commit: () => {}, undo };
}

/** Restores the mode and owner of our socket file. */
function giveBack(address: UnixAddress, { mode, uid, gid }: Deno.FileInfo): void {
  const { path } = address;
  try {
    const now = Deno.lstatSync(path);
    if (now.uid !== uid || now.gid !== gid) Deno.chownSync(path, uid, gid);
    Deno.chmodSync(path, mode! & 0o777);
  } catch (error) {
    const reason = (error as Error).message;
    throw new Failure(
      77,
      `${addressText(address)}: the old mode and owner of the socket cannot be restored: ${reason}`,
    );
  }
}

/** Sets the user and group of a socket file. */
function own({ user, group, mode, address }: ListenerSettings, path: string): void {
  const text = addressText(address);
  if (user === undefined && group === undefined) return;
  const uid = user === undefined ? null : idOf("user", user);
  const gid = group === undefined ? null : idOf("group", group);
  const now = Deno.lstatSync(path);
  // A sandbox may refuse the call even if it would change nothing, as that of the units does.
  if ((uid ?? now.uid) === now.uid && (gid ?? now.gid) === now.gid) return;
  try {
    Deno.chownSync(path, uid, gid);
    // A change of owner can clear mode bits.
    Deno.chmodSync(path, mode);
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new Failure(
      77,
      `${text}: no permission to change the socket's owner to ${user ?? ""}:${group ?? ""}`,
    );
  }
}
