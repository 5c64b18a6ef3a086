/**
 * Templates of addresses: `{vm}` stands for the name of a VM.
 *
 * @module
 */

import { addressText, type ListenAddress, PATH_BYTES_LIMIT, plain } from "./address.ts";
import { UsageError } from "./usage_error.ts";

/** The text in a template that stands for the name of a VM. */
export const VM_PLACEHOLDER = "{vm}";

/** A description of VMs' names, for messages. */
export const VM_NAME_EXPECTED = "1 to 255 letters, digits, _, . or -, and not . or ..";

const NAME = "[A-Za-z0-9_.-]{1,255}";
const VM_NAME = new RegExp(String.raw`^(?!\.{1,2}$)${NAME}$`);

/** Tells whether a text is the name of a VM, which is safe as a component of a path and as a label. */
export function isVmName(text: string): boolean {
  return VM_NAME.test(text);
}

/** Tells whether an address contains `{vm}`. */
export function isTemplate(address: ListenAddress): boolean {
  return placeOf(address).includes(VM_PLACEHOLDER);
}

/** Returns a text with the name of a VM for each `{vm}`. */
export function filledText(text: string, vm: string): string {
  return text.replaceAll(VM_PLACEHOLDER, () => vm);
}

/**
 * Returns the address of one VM.
 *
 * @throws UsageError if its path is longer than that of a socket can be
 */
export function filled<A extends ListenAddress>(address: A, vm: string): A {
  if (!isTemplate(address)) return address;
  if (address.transport === "fd") return { ...address, name: filledText(address.name, vm) };
  if (address.transport !== "unix") return address;
  const path = filledText(address.path, vm);
  const { length } = new TextEncoder().encode(path);
  if (length <= PATH_BYTES_LIMIT) return { ...address, path };
  throw new UsageError(
    `VM ${vm}: ${addressText({ transport: "unix", path })}: the path has ${length} bytes, ` +
      `a socket's has at most ${PATH_BYTES_LIMIT}; use a shorter path or name`,
  );
}

/** Returns the VM whose address, made from a template, is this one; `undefined` if there is none. */
export function vmAt(template: ListenAddress, address: ListenAddress): string | undefined {
  return vmFinder(template)(plain(address));
}

/** Returns a function that does as {@linkcode vmAt} for one template and {@linkcode plain} addresses. */
export function vmFinder(template: ListenAddress): (address: ListenAddress) => string | undefined {
  if (!isTemplate(template)) return () => undefined;
  const text = placeOf(plain(template));
  const [first = "", ...rest] = text.split(VM_PLACEHOLDER);
  const others = text.length - rest.length * VM_PLACEHOLDER.length;
  return (address) => {
    if (address.transport !== template.transport) return undefined;
    const place = placeOf(address);
    // The name has the same length at each {vm}.
    const length = (place.length - others) / rest.length;
    if (length < 1 || !Number.isInteger(length) || !place.startsWith(first)) return undefined;
    const vm = place.slice(first.length, first.length + length);
    return isVmName(vm) && filledText(text, vm) === place ? vm : undefined;
  };
}

/**
 * Checks where an address has `{vm}`.
 *
 * @throws UsageError if it has `{vm}` in a component that `..` removes
 */
export function checkTemplate(address: ListenAddress): void {
  if (address.transport !== "unix") return;
  const behind = address.path.slice(Math.max(address.path.indexOf(VM_PLACEHOLDER), 0));
  if (!isTemplate(address) || !behind.split("/").includes("..")) return;
  throw new UsageError(
    `${addressText(address)}: .. behind {vm} leads away from the directory of the VM; ` +
      "leave .. out",
  );
}

/** The sockets of QEMUs: a path in which one component differs from VM to VM. */
export class SocketPattern {
  /** The directory whose entries differ. */
  readonly directory: string;
  /** Whether an entry is the socket itself; otherwise it is a directory. */
  readonly entryIsSocket: boolean;
  readonly #path: string;
  readonly #prefix: string;
  readonly #suffix: string;

  /**
   * Reads a pattern.
   *
   * @param path an absolute path that contains `{vm}`
   * @throws UsageError if the path is relative or `{vm}` is not in it exactly once
   */
  constructor(path: string) {
    const [before = "", behind, ...more] = path.split(VM_PLACEHOLDER);
    const text = addressText({ transport: "unix", path });
    if (!path.startsWith("/") || behind === undefined) {
      throw new UsageError(
        `${text}: a path with {vm} must be absolute; write unix:/path/{vm}/qmp.sock`,
      );
    }
    if (more.length > 0) {
      throw new UsageError(`${text}: {vm} is given twice; give it once`);
    }
    this.#path = path;
    const slash = before.lastIndexOf("/");
    this.directory = path.slice(0, slash) || "/";
    this.#prefix = before.slice(slash + 1);
    [this.#suffix] = behind.split("/", 1) as [string];
    this.entryIsSocket = this.#suffix === behind;
  }

  /** Returns the VM of an entry of the directory; `undefined` if it is not the entry of a VM. */
  vmOf(entry: string): string | undefined {
    if (!entry.startsWith(this.#prefix) || !entry.endsWith(this.#suffix)) return undefined;
    const vm = entry.slice(this.#prefix.length, entry.length - this.#suffix.length);
    return isVmName(vm) ? vm : undefined;
  }

  /** Returns the path of a VM's socket. */
  pathOf(vm: string): string {
    return filledText(this.#path, vm);
  }
}

/** Returns the part of an address that `{vm}` may be in. */
function placeOf(address: ListenAddress): string {
  if (address.transport === "fd") return address.name;
  return address.transport === "unix" ? address.path : "";
}
