/**
 * Settings that are valid one by one but contradict each other.
 *
 * @module
 */

import { addressText, type ListenAddress, plain } from "../policy/address.ts";
import type { ListenerSettings } from "./options.ts";
import {
  type Setting,
  SETTING_NAMES,
  type SettingName,
  SETTINGS,
  type SettingValues,
} from "./settings.ts";

/** The setting, or the option of a listener, that a conflict is reported at. */
export type SettingPlace =
  | { readonly setting: SettingName }
  | { readonly listener: number; readonly option: string };

/** A contradiction: the place where it is reported, and an error text with the remedy. */
export interface Conflict {
  /** The later of the two settings that contradict each other. */
  readonly place: SettingPlace;
  /** The text of an error. */
  readonly text: string;
}

/**
 * Finds contradictions.
 *
 * @param values the settings that are given
 * @param listeners all listeners
 */
export function* conflicts(
  values: Partial<SettingValues>,
  listeners: readonly ListenerSettings[],
): Generator<Conflict> {
  yield* sharedAddresses(values, listeners);
  for (const [listener, { descriptors }] of listeners.entries()) {
    if (!descriptors || values.qemu?.transport !== "tcp") continue;
    yield {
      place: { listener, option: "fds" },
      text: "fds=on: only unix sockets carry descriptors; let QEMU listen on one",
    };
  }
  for (const setting of SETTING_NAMES) {
    const { needs, initial }: Setting<unknown> = SETTINGS[setting];
    const given = values[setting] !== undefined && values[setting] !== initial;
    if (needs === undefined || !given || values[needs] !== undefined) continue;
    yield {
      place: { setting },
      text: `${setting} needs ${needs}, which is not set; set ${needs}, or leave ${setting} out`,
    };
  }
}

/** Finds addresses that are used twice. Port 0 is a different port each time. */
function* sharedAddresses(
  { qemu, metrics, control, audit }: Partial<SettingValues>,
  listeners: readonly ListenerSettings[],
): Generator<Conflict> {
  // The audit is opened first: its file would be created at the path of a listener's socket.
  const file: ListenAddress | undefined = audit === undefined || audit === "journal"
    ? undefined
    : { transport: "unix", path: audit };
  const uses: [SettingPlace, ListenAddress | undefined][] = [
    [{ setting: "audit" }, file],
    [{ setting: "qemu" }, qemu],
    [{ setting: "metrics" }, metrics?.address],
    [{ setting: "control" }, control?.address],
    ...listeners.map(({ address }, listener): [SettingPlace, ListenAddress] => [
      { listener, option: "address" },
      address,
    ]),
  ];
  const taken = new Set<string>();
  for (const [place, address] of uses) {
    if (address === undefined) continue;
    const text = addressText(address);
    const key = addressText(plain(address));
    if (taken.has(key) && !text.endsWith(":0")) {
      yield { place, text: `${text} is given twice; use each address only once` };
    }
    taken.add(key);
  }
}
