/**
 * Discovery: finds the VMs whose sockets match a pattern, and the sockets of VMs that have names,
 * as they appear and disappear.
 *
 * The directories are watched, and read again every few seconds, because a watch can miss a change.
 *
 * @module
 */

import type { SocketPattern } from "../policy/vm_template.ts";
import type { Log } from "../platform/log.ts";
import { DENIED, DirectoryWatch, entriesOf, fileKey } from "../platform/directory_watch.ts";
import { directoryOf } from "../platform/socket_file.ts";

/** The directories watched at most, besides the one that has all of them; the newest come first. */
const WATCHED_LIMIT = 100;
/** The sockets looked at in one scan; the next scan looks at others. */
const LOOKED_AT_LIMIT = 500;
/** The sockets of new VMs looked at in one scan. */
const NEW_LOOKED_AT_LIMIT = 2048;
/** The sockets of connected VMs looked at in one scan; the next scan looks at others. */
const COMPARED_LIMIT = 250;
/** The time between two scans while everything that is awaited is watched. */
const WATCHED_SCAN_MS = 5000;
/** The time between two scans otherwise. */
const SCAN_MS = 1000;
/** The time from a change to its scan: several changes come together. */
const SETTLE_MS = 20;

/** The parts of the set of machines that discovery uses. */
export interface DiscoveryDeps {
  /** Receives a line when directories cannot be read or watched. */
  readonly log: Log;
  /** Returns the VMs that are present whether they have a socket or not, each with its path. */
  named(): ReadonlyMap<string, string>;
  /** Takes the names of all VMs that match the pattern: another one that did is gone. */
  present(vms: ReadonlySet<string>): void;
  /** Returns whether a QEMU must still be found for a VM that is present. */
  awaited(vm: string): boolean;
  /** Takes a VM whose socket is there, or is another one than before. */
  appeared(vm: string): void;
  /** Takes a VM with the path of its socket, which may not be looked at; without the path it may be again. */
  denied(vm: string, path: string | undefined): void;
  /** Takes a VM that is connected: another socket may have taken the place of the one it connected to. */
  compare(vm: string): void;
}

/** Finds VMs until it is disposed of. */
export class Discovery implements Disposable {
  readonly #pattern: SocketPattern | undefined;
  readonly #deps: DiscoveryDeps;
  readonly #watch: DirectoryWatch;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #settling = false;
  /** Whether a directory that is awaited does not exist yet. */
  #misses = false;
  /** The VMs that match the pattern. */
  #matching: ReadonlySet<string> = new Set();
  /** The paths of the VMs that have names. */
  #named: ReadonlyMap<string, string> = new Map();
  /** The VMs that wait for a QEMU, the newest first, each with the key of its last socket. */
  #awaited = new Map<string, string | undefined>();
  /** The place in that order at which the next scan begins. */
  #next = 0;
  /** The connected VMs whose sockets are to be compared. */
  #compared: string[] = [];
  /** The last problem that was logged, so that it is logged once. */
  #logged: string | undefined;
  #closed = false;

  /** Looks at nothing until the first scan. */
  constructor(pattern: SocketPattern | undefined, deps: DiscoveryDeps) {
    this.#pattern = pattern;
    this.#deps = deps;
    this.#watch = new DirectoryWatch(() => this.#soon());
  }

  /** Scans now, and again and again from now on. */
  scan(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#settling = false;
    const problem = this.#pattern && this.#match(this.#pattern);
    this.#lookAround();
    const unwatched = this.#watchAwaited();
    if (this.#pattern !== undefined) this.#say(this.#pattern.directory, problem ?? unwatched);
    const isCompared = this.#compareSome();
    const rests = this.#awaited.size <= WATCHED_LIMIT && !this.#misses && problem === undefined &&
      unwatched === undefined;
    if (!isCompared) return this.#soon();
    this.#timer = setTimeout(() => this.scan(), rests ? WATCHED_SCAN_MS : SCAN_MS);
  }

  /** Scans soon, because a VM needs its QEMU again. */
  lost(): void {
    this.#soon();
  }

  /** Ends all scans. */
  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watch[Symbol.dispose]();
  }

  #soon(): void {
    if (this.#settling || this.#closed) return;
    this.#settling = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.scan(), SETTLE_MS);
  }

  /** Finds the VMs that match; returns why they cannot be found. */
  #match(pattern: SocketPattern): string | undefined {
    const found = entriesOf(pattern.directory);
    // The VMs of a directory that cannot be read may still be there.
    if ("problem" in found) return `cannot be read: ${found.problem}`;
    const entries = "missing" in found ? [] : found;
    this.#matching = new Set(entries.flatMap((entry) => pattern.vmOf(entry) ?? []));
    this.#deps.present(this.#matching);
    return "missing" in found ? "does not exist yet; waiting" : undefined;
  }

  /** Looks at the sockets of VMs that wait for a QEMU. */
  #lookAround(): void {
    this.#named = this.#deps.named();
    const before = this.#awaited;
    const present = new Set([...this.#named.keys(), ...this.#matching]);
    const grouped = Map.groupBy(present, (vm) => this.#deps.awaited(vm));
    const vms = grouped.get(true) ?? [];
    if (this.#compared.length === 0) this.#compared = grouped.get(false) ?? [];
    const fresh = vms.filter((vm) => !before.has(vm));
    const all = [...fresh, ...vms.filter((vm) => before.has(vm))];
    this.#awaited = new Map(all.map((vm) => [vm, before.get(vm)]));
    const looked = Math.min(NEW_LOOKED_AT_LIMIT, Math.max(LOOKED_AT_LIMIT, fresh.length));
    const count = Math.min(all.length, looked);
    // A scan with new ones begins with these.
    const from = fresh.length > 0 || this.#next >= all.length ? 0 : this.#next;
    for (let i = 0; i < count; i++) this.#lookAt(all[(from + i) % all.length]!);
    this.#next = from + count;
  }

  /** Compares the sockets of some connected VMs; returns whether those of all have been. */
  #compareSome(): boolean {
    for (const vm of this.#compared.splice(0, COMPARED_LIMIT)) this.#deps.compare(vm);
    return this.#compared.length === 0;
  }

  #pathOf(vm: string): string {
    return this.#named.get(vm) ?? this.#pattern!.pathOf(vm);
  }

  #lookAt(vm: string): void {
    const path = this.#pathOf(vm);
    const key = fileKey(path);
    const before = this.#awaited.get(vm);
    if (key === before) return;
    this.#awaited.set(vm, key);
    if (key === DENIED) return this.#deps.denied(vm, path);
    if (before === DENIED) this.#deps.denied(vm, undefined);
    if (key !== undefined) this.#deps.appeared(vm);
  }

  /** Watches the directory of all VMs and those of the awaited ones; returns what is wrong. */
  #watchAwaited(): string | undefined {
    // One directory that may not be entered would keep the others from being watched.
    const awaited = [...this.#awaited.keys()].filter((vm) => this.#awaited.get(vm) !== DENIED)
      .slice(0, WATCHED_LIMIT);
    const paths = new Set(awaited.map((vm) => directoryOf(this.#pathOf(vm))));
    if (this.#pattern !== undefined) paths.add(this.#pattern.directory);
    // A directory that does not exist yet cannot be watched.
    const isThere = (path: string): boolean => ![undefined, DENIED].includes(fileKey(path));
    const there = [...paths].filter(isThere);
    this.#misses = there.length < paths.size;
    // A directory can be removed before it is watched.
    const problem = this.#watch.watch(there) &&
      this.#watch.watch(there.filter(isThere));
    if (problem === undefined) return undefined;
    return `cannot be watched, and is read every second instead: ${problem}`;
  }

  #say(directory: string, problem = ""): void {
    if (problem === this.#logged) return;
    this.#logged = problem;
    const { log } = this.#deps;
    if (problem === "") log.info(`${directory} is watched for VMs`);
    else if (problem.startsWith("does not exist")) log.info(`${directory} ${problem}`);
    else log.warn(`${directory} ${problem}`);
  }
}
