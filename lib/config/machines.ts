/**
 * The settings of each VM.
 *
 * A VM is the only one of a process, or the file names it, or it is found where a QEMU
 * has its socket.
 *
 * @module
 */

import { type Address, isFile } from "../policy/address.ts";
import type { Role } from "../policy/policy.ts";
import { filled, isTemplate, SocketPattern } from "../policy/vm_template.ts";
import { DIRECTORY_MODE, listenerFor, type ListenerSettings } from "./options.ts";
import { isForMany, type ServeSettings, type SettingValues, type VmTable } from "./settings.ts";

/** The name of the only VM if the settings give none. */
export const DEFAULT_VM = "default";

/** The settings of one VM. */
export interface MachineSettings extends SettingValues {
  /** Its name. */
  readonly vm: string;
  /** Whether metrics, records and log lines have its name: it is one of many, or `vm` is given. */
  readonly isNamed: boolean;
  /** QEMU's monitor. */
  readonly qemu: Address;
  /** The listeners; at least one. */
  readonly listeners: readonly ListenerSettings[];
  /** The roles by name. */
  readonly roles: ReadonlyMap<string, Role>;
}

/** The VMs of a process. */
export interface Machines {
  /** Whether there can be any number of VMs. */
  readonly many: boolean;
  /** The VMs that the settings name, by name. */
  readonly named: ReadonlyMap<string, MachineSettings>;
  /** The sockets of other VMs; a VM found there that is also named has its named settings. */
  readonly pattern: SocketPattern | undefined;
  /**
   * Returns the settings of a VM.
   *
   * @throws UsageError if a path is longer than that of a socket can be
   */
  settingsOf(vm: string): MachineSettings;
}

/**
 * Returns the VMs of settings in which {@linkcode conflicts} finds nothing.
 *
 * @throws UsageError if a path of a named VM is longer than that of a socket can be
 */
export function machinesOf(settings: ServeSettings): Machines {
  const { qemu, vms } = settings;
  const many = isForMany(settings);
  const pattern = qemu?.transport === "unix" && isTemplate(qemu)
    ? new SocketPattern(qemu.path)
    : undefined;
  const vm = settings.vm ?? DEFAULT_VM;
  const named = new Map(
    many
      ? vms.map((table) => [table.name, machineOf(settings, table)])
      : [[vm, { ...settings, vm, isNamed: settings.vm !== undefined, qemu: qemu! }]],
  );
  return {
    many,
    named,
    pattern,
    settingsOf: (name) =>
      named.get(name) ??
        machineOf(settings, { name, qemu: undefined, listeners: [], values: {} }),
  };
}

/** Returns the settings of one of many VMs. */
function machineOf(settings: ServeSettings, vm: VmTable): MachineSettings {
  const { vms: _, ...common } = settings;
  const listeners = vm.listeners.length > 0 ? vm.listeners : settings.listeners;
  const address = filled((vm.qemu ?? settings.qemu)!, vm.name);
  return {
    ...common,
    ...vm.values,
    vm: vm.name,
    isNamed: true,
    qemu: address,
    listeners: listeners.map((listener) =>
      besides(withDirectory(listenerFor(vm.name, listener)), address)
    ),
  };
}

/** Returns a listener that makes its directory, unless its settings say otherwise: each VM has its own. */
function withDirectory(listener: ListenerSettings): ListenerSettings {
  const isMade = isFile(listener.address) && listener.directoryMode === undefined;
  return isMade ? { ...listener, directoryMode: DIRECTORY_MODE } : listener;
}

/** Returns a listener that makes none of the directories of QEMU's socket. */
function besides(listener: ListenerSettings, qemu: Address): ListenerSettings {
  const { address } = listener;
  if (address.transport !== "unix" || qemu.transport !== "unix") return listener;
  const directory = qemu.path.slice(0, qemu.path.lastIndexOf("/") + 1);
  const isInside = directory !== "" && address.path.startsWith(directory);
  return isInside ? { ...listener, directoryMode: undefined } : listener;
}
