/**
 * A simulated QEMU's descriptors: one table of names, and its sets.
 *
 * Descriptors that are received with a message wait until a command takes them, or until more are
 * received. The table reports each replacement, close, use and addition, which allows the model to
 * check the owner.
 *
 * @module
 */

/** The actions on a descriptor in the table. */
export type Touch = "taken" | "given" | "replaced" | "closed" | "used" | "removed" | "joined";

/** A set of descriptors, which exists as long as it contains any. */
export interface FdSet<Fds> {
  readonly id: number;
  readonly fds: Map<number, Fds>;
  /** The number of commands that used it, without those whose use is known to have ended. */
  uses: number;
  /** Whether there may be a user of it that qmpmux does not know, or the other way round. */
  vague: boolean;
}

/** A value, or the text of an error. */
export type Result = { readonly value: string } | { readonly desc: string };

/** The commands that use descriptors. */
export const TABLE_COMMANDS: ReadonlySet<string> = new Set([
  "getfd",
  "add-fd",
  "closefd",
  "remove-fd",
  "migrate",
  "add_client",
  "netdev_add",
  "chardev-add",
  "blockdev-add",
  "blockdev-del",
  "migrate-recover",
]);

type Arguments = Readonly<Record<string, unknown>>;

/**
 * The commands that certainly remove a name when they succeed. For others a client of QEMU cannot
 * know: `netdev_add` of a stream keeps the name.
 */
export const TAKING_AWAY: ReadonlySet<string> = new Set([
  "closefd",
  "migrate",
  "add_client",
  "netdev_add",
]);

/**
 * A function that is called with the descriptor under a name when QEMU looks it up; `nth` is its
 * position among a command's names.
 */
export type Looked<Fds> = (nth: number, fds: Fds | undefined) => void;

/** Returns the names that a command looks up, in that order. A lookup removes the name. */
export function namesUsed(name: string, args: Arguments): string[] {
  const { uri, fds, fdname, backend } = args;
  switch (name) {
    case "migrate":
    case "migrate-recover":
      return typeof uri === "string" && uri.startsWith("fd:") ? [uri.slice(3)] : [];
    case "netdev_add":
      return typeof fds === "string" ? fds.split(":") : [];
    case "closefd":
    case "add_client":
    case "qom-list":
      return typeof fdname === "string" ? [fdname] : [];
    case "chardev-add":
      return [/"str":"([^"]*)"/.exec(JSON.stringify(backend))![1]!];
  }
  return [];
}

/** Returns the name that a command creates without a lookup. */
export function nameUnused(name: string, { addr }: Arguments): string | undefined {
  return name === "netdev_add" ? (addr as { str: string } | undefined)?.str : undefined;
}

/** Returns the set that a command opens. */
export function setUsed({ filename }: Arguments): number | undefined {
  const [, id] = /^\/dev\/fdset\/(\d+)$/.exec(String(filename)) ?? [];
  return id === undefined ? undefined : Number(id);
}

/** Returns whether QEMU's handler of `getfd` or `add-fd` would run with these arguments. */
export function takerRuns(name: string, args: Arguments): boolean {
  const entries = Object.entries(args);
  if (name === "getfd") return entries.length === 1 && typeof args["fdname"] === "string";
  return entries.every(([key, value]) =>
    key === "opaque" ? typeof value === "string" : key === "fdset-id" && typeof value === "number"
  );
}

/** The descriptors of one QEMU process. */
export class DescriptorTable<Fds> {
  waiting: Fds | undefined;
  readonly names = new Map<string, Fds>();
  readonly sets = new Map<number, FdSet<Fds>>();
  /** The sets from which something was created, by its name. */
  readonly nodes = new Map<string, FdSet<Fds>>();
  /**
   * The sets from which something was created that has been removed, which has not been reported
   * yet.
   */
  readonly ended = new Map<string, FdSet<Fds>>();
  /** The numbers of sets that were used once. */
  readonly #used = new Set<number>();

  /**
   * Executes a command.
   *
   * @param fails whether it fails for another reason, before its handler or in it
   */
  run(
    name: string,
    args: Arguments,
    fails: "no" | "before" | "in",
    touch: (how: Touch, fds: Fds) => void,
    looked: Looked<Fds>,
  ): Result {
    switch (name) {
      case "getfd":
      case "add-fd": {
        if (!takerRuns(name, args)) return { desc: "Parameter is wrong" };
        if (fails === "before") return { desc: "The command has been disabled" };
        const fds = this.waiting;
        if (fds === undefined) return { desc: "No file descriptor supplied via SCM_RIGHTS" };
        this.waiting = undefined;
        touch("taken", fds);
        if (fails === "in") return { desc: "It failed" };
        return name === "getfd"
          ? this.#give(String(args["fdname"]), fds, touch)
          : this.#add(args["fdset-id"] as number | undefined, fds, touch);
      }
      case "closefd":
        return this.#take(namesUsed(name, args), "closed", touch, looked);
      case "remove-fd":
        return this.#remove(args, touch);
    }
    if (fails === "before") return { desc: "It failed before" };
    const set = setUsed(args);
    if (set !== undefined) {
      const known = this.sets.get(set);
      if (known === undefined || fails === "in") return { desc: "Could not open" };
      known.uses++;
      this.#used.add(set);
      this.nodes.set(String(args["node-name"]), known);
      return { value: "{}" };
    }
    if (name === "blockdev-del") {
      const node = String(args["node-name"]);
      const known = this.nodes.get(node);
      if (known === undefined || fails === "in") return { desc: `Failed to delete node '${node}'` };
      this.ended.set(node, known);
      this.nodes.delete(node);
      return { value: "{}" };
    }
    const result = this.#take(namesUsed(name, args), "used", touch, looked);
    return fails === "in" ? { desc: "It failed" } : result;
  }

  /** Records that something created from a set has been removed. */
  toldOf(node: string): void {
    const set = this.ended.get(node);
    if (set) set.uses--;
    this.ended.delete(node);
  }

  #give(name: string, fds: Fds, touch: (how: Touch, fds: Fds) => void): Result {
    if (/^\d/.test(name)) return { desc: "expects a name not starting with a digit" };
    const before = this.names.get(name);
    if (before !== undefined) touch("replaced", before);
    this.names.set(name, fds);
    touch("given", fds);
    return { value: "{}" };
  }

  #add(wanted: number | undefined, fds: Fds, touch: (how: Touch, c: Fds) => void): Result {
    let id = wanted ?? 0;
    if (wanted === undefined) { while (this.sets.has(id)) id++; }
    // A client that names a number may mean an earlier set with it.
    const vague = wanted !== undefined && this.#used.has(id);
    const set = this.sets.get(id) ?? { id, fds: new Map<number, Fds>(), uses: 0, vague };
    for (const other of set.fds.values()) touch("joined", other);
    // The lowest number is used, as the kernel does.
    const used = new Set([...this.sets.values()].flatMap(({ fds }) => [...fds.keys()]));
    let fd = 10;
    while (used.has(fd)) fd++;
    set.fds.set(fd, fds);
    this.sets.set(id, set);
    return { value: `{"fd": ${fd}, "fdset-id": ${id}}` };
  }

  #take(
    names: string[],
    how: Touch,
    touch: (how: Touch, fds: Fds) => void,
    looked: Looked<Fds>,
  ): Result {
    for (const [nth, name] of names.entries()) {
      const fds = this.names.get(name);
      looked(nth, fds);
      if (fds === undefined) return { desc: `File descriptor named '${name}' not found` };
      touch(how, fds);
      this.names.delete(name);
    }
    return { value: "{}" };
  }

  #remove(args: Arguments, touch: (how: Touch, fds: Fds) => void): Result {
    const id = args["fdset-id"] as number;
    const fd = args["fd"] as number | undefined;
    const set = this.sets.get(id);
    if (set === undefined || (fd !== undefined && !set.fds.has(fd))) {
      return { desc: `File descriptor named 'fdset-id:${id}' not found` };
    }
    for (const each of fd === undefined ? [...set.fds.keys()] : [fd]) {
      touch("removed", set.fds.get(each)!);
      set.fds.delete(each);
    }
    // A block device opened from it keeps it; with an odd number it is closed again at once.
    const cached = set.uses > 0 && id % 2 === 0;
    if (set.fds.size === 0 && !cached) this.sets.delete(id);
    return { value: "{}" };
  }
}
