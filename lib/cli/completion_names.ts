/**
 * The names that a monitor reports, for completion: commands, events, clients, VMs, the schema.
 *
 * A monitor may be slow, held by another client, or hostile. Whatever it does, the answer comes in
 * time, is short, and has only names that no shell interprets.
 *
 * @module
 */

import { type Address, addressText } from "../policy/address.ts";
import { isRow, type Row } from "./table.ts";

/** The names that are offered: none begins like a flag, and none is long. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,255}$/;

/** The names of clients: `LISTENER/NUMBER`, where a TCP port may be in the name of the listener. */
const CLIENT_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,255}$/;

/** The most bytes of a reply; a list of 4096 clients or 2048 VMs is shorter. */
const REPLY_BYTES_LIMIT = 4 << 20;

/** The most names that are offered. */
export const NAMES_LIMIT = 4096;

/**
 * Returns names that a monitor reports.
 *
 * @param ask a command that returns an object, or a list of them
 * @param patience the milliseconds for everything
 * @param nameOf returns the name in an object, if it is wanted
 * @throws Error if it does not answer in time
 */
export async function namesOf(
  ask: string,
  address: Address,
  patience: number,
  nameOf: (row: Row) => unknown = ({ name }) => name,
): Promise<readonly string[]> {
  const pattern = ask.endsWith("query-clients") ? CLIENT_NAME : NAME;
  const names = (await rowsOf(ask, address, patience)).map(nameOf);
  return names.filter((name) => typeof name === "string" && pattern.test(name))
    .slice(0, NAMES_LIMIT) as string[];
}

/**
 * Returns the objects that a command returns.
 *
 * A bare QEMU serves one client at a time: the connection is closed as soon as the reply is there.
 *
 * @throws Error if the monitor does not answer in time
 */
export async function rowsOf(
  ask: string,
  address: Address,
  patience: number,
): Promise<readonly Row[]> {
  const { connect } = await import("../client/qmp.ts");
  const end = performance.now() + patience;
  await using qmp = await connect(addressText(address), {
    timeout: patience,
    messageLimit: REPLY_BYTES_LIMIT,
  });
  const timeout = Math.max(1, end - performance.now());
  return [await qmp.execute(ask, undefined, { timeout })].flat().filter(isRow);
}
