/**
 * Settings that are valid one by one but contradict each other.
 *
 * @module
 */

import { addressText, type ListenAddress, plain } from "../policy/address.ts";
import { filled, isTemplate, vmFinder } from "../policy/vm_template.ts";
import { UsageError } from "../policy/usage_error.ts";
import type { ListenerSettings } from "./options.ts";
import {
  isForMany,
  type ServeSettings,
  type Setting,
  SETTING_NAMES,
  type SettingName,
  SETTINGS,
  type SettingValues,
} from "./settings.ts";

/** The setting, the option of a listener, or the key of a VM, that a conflict is reported at. */
export type SettingPlace =
  | { readonly setting: SettingName }
  | { readonly listener: number; readonly option: string; readonly vm?: number }
  | { readonly vm: number; readonly option: string };

/** A contradiction: the place where it is reported, and an error text with the remedy. */
export interface Conflict {
  /** The later of the two settings that contradict each other. */
  readonly place: SettingPlace;
  /** The text of an error. */
  readonly text: string;
  /** The key that a VM lacks, and the top level too. */
  readonly missing?: "qemu" | "listen";
}

/** The listeners at most that all VMs have: each address of each VM is compared with them. */
const TEMPLATES_LIMIT = 32;
/** The addresses of a file at most. */
const ADDRESSES_LIMIT = 1 << 17;

/** The settings that are given, with all listeners and all VMs of the file. */
export type GivenSettings =
  & Partial<SettingValues>
  & Pick<ServeSettings, "listeners" | "vms">;

/** Finds contradictions; of those at one place, the first. */
export function* conflicts(given: GivenSettings): Generator<Conflict> {
  const places = new Set<string>();
  for (const conflict of allConflicts(given)) {
    const place = JSON.stringify(conflict.place);
    if (!places.has(place)) yield conflict;
    places.add(place);
  }
}

function* allConflicts(given: GivenSettings): Generator<Conflict> {
  if (isForMany(given)) yield* conflictsOfMany(given);
  else yield* templatesOfOne(given);
  const uses = [...usesIn(given).take(ADDRESSES_LIMIT + 1)];
  if (uses.length > ADDRESSES_LIMIT) {
    const { place } = uses.pop()!;
    yield { place, text: `there are more than ${ADDRESSES_LIMIT} addresses; use several qmpmux` };
  }
  for (const use of uses) if ("text" in use) yield use;
  yield* sharedAddresses(uses);
  yield* foundAddresses(given, uses);
  yield* descriptorsByTcp(given);
  for (const setting of SETTING_NAMES) {
    const { needs, initial }: Setting<unknown> = SETTINGS[setting];
    const isGiven = given[setting] !== undefined && given[setting] !== initial;
    if (needs === undefined || !isGiven || given[needs] !== undefined) continue;
    yield {
      place: { setting },
      text: `${setting} needs ${needs}, which is not set; set ${needs}, or leave ${setting} out`,
    };
  }
}

/** Finds listeners with `{vm}` where there is one VM. */
function* templatesOfOne({ qemu, listeners }: GivenSettings): Generator<Conflict> {
  if (qemu === undefined) return;
  for (const [listener, { address }] of listeners.entries()) {
    if (!isTemplate(address)) continue;
    yield {
      place: { listener, option: "address" },
      text: `${addressText(address)} has {vm} and qemu has not; put {vm} in both or in neither`,
    };
  }
}

/** Finds settings that do not suit many VMs. */
function* conflictsOfMany(given: GivenSettings): Generator<Conflict> {
  const { qemu, listeners, vms } = given;
  if (qemu !== undefined && !isTemplate(qemu)) {
    yield {
      place: { setting: "qemu" },
      text: `${addressText(qemu)} is the monitor of one VM, beside [[vm]]; ` +
        "make it a [[vm]] of its own, or put {vm} in its path",
    };
  }
  for (const [listener, { address }] of listeners.entries()) {
    if (isTemplate(address)) continue;
    yield {
      place: { listener, option: "address" },
      text: `${addressText(address)} has no {vm}, but every VM needs its own address; ` +
        "put {vm} in its path",
    };
  }
  if (given.once) {
    yield {
      place: { setting: "once" },
      text: "once is for one VM: with many, the first QEMU that disconnects would end qmpmux; " +
        "leave once out",
    };
  }
  if (given.watchdog === "qemu") {
    yield {
      place: { setting: "watchdog" },
      text: "watchdog=qemu is for one VM: with many, each stalled QEMU would restart qmpmux; " +
        "use loop",
    };
  }
  if (given.vm !== undefined) {
    yield {
      place: { setting: "vm" },
      text: "vm is the name of one VM, and {vm} or [[vm]] names many; leave vm out",
    };
  }
  if (listeners.length > TEMPLATES_LIMIT) {
    yield {
      place: { listener: TEMPLATES_LIMIT, option: "address" },
      text: `a VM has at most ${TEMPLATES_LIMIT} listeners in common with the others; ` +
        "write more of them into [[vm]] tables",
    };
  }
  yield* wrongVms(given, vms);
}

/** Finds VMs of the file that are too many, repeated or incomplete. */
function* wrongVms(given: GivenSettings, vms: GivenSettings["vms"]): Generator<Conflict> {
  const most = given["max-vms"] ?? SETTINGS["max-vms"].initial;
  const names = new Set<string>();
  for (const [vm, { name, qemu, listeners }] of vms.entries()) {
    const place = { vm, option: "name" };
    if (names.has(name)) yield { place, text: `VM ${name} is given twice; choose another name` };
    names.add(name);
    if (vm === most) {
      const text = `VM ${name} is one more than max-vms, which is ${most}; raise max-vms`;
      yield { place, text };
    }
    if (qemu === undefined && given.qemu === undefined) {
      const text = `VM ${name}: qemu is missing; write qemu = "unix:/path"`;
      yield { place: { vm, option: "qemu" }, text, missing: "qemu" };
    }
    if (listeners.length === 0 && given.listeners.length === 0) {
      const text = `VM ${name}: listen is missing; write [[vm.listen]], with an address`;
      yield { place: { vm, option: "listen" }, text, missing: "listen" };
    }
  }
}

/** The use of an address: its place, and the VM whose it is. */
interface Use {
  readonly place: SettingPlace;
  readonly address: ListenAddress;
  readonly vm?: string;
}

/** Returns the uses of all addresses; a conflict for one that is too long for its VM. */
function* usesIn(given: GivenSettings): Generator<Use | Conflict> {
  const { qemu, metrics, control, audit, record, listeners, vms } = given;
  // The audit is opened first: its file would be created at the path of a listener's socket.
  if (audit !== undefined && audit !== "journal") {
    yield { place: { setting: "audit" }, address: { transport: "unix", path: audit } };
  }
  if (record !== undefined) {
    yield { place: { setting: "record" }, address: { transport: "unix", path: record } };
  }
  if (qemu !== undefined) yield { place: { setting: "qemu" }, address: qemu };
  if (metrics !== undefined) yield { place: { setting: "metrics" }, address: metrics.address };
  if (control !== undefined) yield { place: { setting: "control" }, address: control.address };
  for (const [listener, { address }] of listeners.entries()) {
    yield { place: { listener, option: "address" }, address };
  }
  for (const [index, { name, ...vm }] of vms.entries()) {
    const use = (option: string, address: ListenAddress, listener?: number): Use | Conflict => {
      const place = { vm: index, option, ...(listener !== undefined && { listener }) };
      try {
        return { place, address: filled(address, name), vm: name };
      } catch (error) {
        if (error instanceof UsageError) return { place, text: error.message };
        throw error;
      }
    };
    if (vm.qemu !== undefined) yield use("qemu", vm.qemu);
    else if (qemu !== undefined && isTemplate(qemu)) yield use("name", qemu);
    for (const [listener, { address }] of vm.listeners.entries()) {
      yield use("address", address, listener);
    }
    const common = vm.listeners.length === 0 ? listeners.slice(0, TEMPLATES_LIMIT) : [];
    for (const { address } of common) if (isTemplate(address)) yield use("name", address);
  }
}

/** Finds addresses that are used twice. Port 0 is a different port each time. */
function* sharedAddresses(uses: readonly (Use | Conflict)[]): Generator<Conflict> {
  /** The VMs of the addresses; those without one are of the process. */
  const taken = new Map<string, string | undefined>();
  for (const use of uses) {
    if ("text" in use) continue;
    const { place, address, vm } = use;
    const text = addressText(address);
    const key = addressText(plain(address));
    const other = taken.get(key);
    if (taken.has(key) && !text.endsWith(":0")) {
      const how = other === undefined || other === vm
        ? "is given twice"
        : `is also an address of VM ${other}`;
      yield { place, text: `${text} ${how}; use each address only once` };
    } else taken.set(key, vm);
  }
}

/** A name of a VM, to try templates with. */
const ANY_VM = "vm";

/** Finds addresses that VMs can have too that are found. */
function* foundAddresses(
  { qemu, listeners }: GivenSettings,
  uses: readonly (Use | Conflict)[],
): Generator<Conflict> {
  if (qemu === undefined || !isTemplate(qemu)) return;
  const templates = [qemu, ...listeners.slice(0, TEMPLATES_LIMIT).map(({ address }) => address)]
    .map((template) => ({ template, vmAt: vmFinder(template) }));
  const [{ vmAt: vmOf }] = templates as [typeof templates[number]];
  for (const use of uses) {
    if ("text" in use) continue;
    const { place, address, vm } = use;
    // A QEMU would be sought at a listener's socket.
    if (isTemplate(address)) {
      const found = vmOf(plain(filled(address, ANY_VM)));
      if (found === undefined || found === ANY_VM) continue;
      yield {
        place,
        text: `${addressText(address)} is also a place where qmpmux looks for QEMU ` +
          `(${addressText(qemu)}); use another directory`,
      };
      continue;
    }
    const present = plain(address);
    for (const { template, vmAt } of templates) {
      const found = vmAt(present);
      if (found === undefined || found === vm) continue;
      yield {
        place,
        text: `${addressText(address)} is the address of VM ${found} ` +
          `by ${addressText(template)}; use another path`,
      };
    }
  }
}

/** Finds listeners that accept descriptors for a QEMU that cannot take them. */
function* descriptorsByTcp({ qemu, listeners, vms }: GivenSettings): Generator<Conflict> {
  const text = "fds=on: only unix sockets carry descriptors; let QEMU listen on one";
  const passing = (all: readonly ListenerSettings[]): number[] =>
    [...all.keys()].filter((index) => all[index]!.descriptors);
  if (qemu?.transport === "tcp") {
    for (const listener of passing(listeners)) yield { place: { listener, option: "fds" }, text };
  }
  for (const [vm, each] of vms.entries()) {
    if (each.qemu?.transport !== "tcp") continue;
    for (const listener of passing(each.listeners)) {
      yield { place: { vm, listener, option: "fds" }, text };
    }
    if (each.listeners.length === 0 && passing(listeners).length > 0) {
      yield { place: { vm, option: "qemu" }, text };
    }
  }
}
