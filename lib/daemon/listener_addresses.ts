/**
 * The addresses of all VMs' listeners: no two VMs may have one.
 *
 * @module
 */

import { addressText } from "../policy/address.ts";
import type { MachineSettings } from "../config/machines.ts";
import { Failure } from "../platform/failure.ts";
import type { Entry } from "./vm_entry.ts";

/** The addresses, each with the VM that has it. */
export class ListenerAddresses {
  readonly #holders = new Map<string, Entry>();

  /** Gives a VM the addresses in its settings, except those that another VM has. */
  take(entry: Entry): void {
    for (const text of addressesOf(entry.settings)) {
      if (!this.#holders.has(text)) this.#holders.set(text, entry);
    }
  }

  /** Takes the addresses of a VM back. */
  free(entry: Entry): void {
    for (const text of addressesOf(entry.settings)) {
      if (this.#holders.get(text) === entry) this.#holders.delete(text);
    }
  }

  /**
   * Checks that no other VM has an address of a VM.
   *
   * @param later returns the settings that another VM will have, if a reload changes them
   * @throws Failure if one does
   */
  check(
    vm: string,
    settings: MachineSettings,
    later = (other: Entry): MachineSettings | undefined => other.settings,
  ): void {
    for (const text of addressesOf(settings)) {
      const other = this.#holders.get(text);
      if (other === undefined || other.vm === vm) continue;
      const after = later(other);
      const stays = after !== undefined && addressesOf(after).includes(text);
      throw new Failure(
        78,
        stays
          ? `${text} is a socket of the VM ${other.vm} too; give each VM sockets of its own`
          : `${text} is a socket of the VM ${other.vm} until this reload is done; free it in one ` +
            "reload, and use it in the next",
      );
    }
  }
}

/** Returns the addresses of a VM's listeners that another VM could have too. */
function addressesOf({ listeners }: MachineSettings): readonly string[] {
  const texts = listeners.map(({ address }) => addressText(address));
  return texts.filter((text) => !text.endsWith(":0"));
}
