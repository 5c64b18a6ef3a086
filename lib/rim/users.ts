/**
 * Users and groups by name, from the files that list them.
 *
 * @module
 */

import { Failure } from "./failure.ts";

const FILES = { user: "/etc/passwd", group: "/etc/group" } as const;

/** The kernel keeps 32 bits, and the last of their numbers means "as it was". */
const LARGEST_ID = 2 ** 32 - 2;

/**
 * The number of a user or group.
 *
 * @param name a name, or a number in digits
 * @param option what asks for it, for messages
 * @throws Failure where there is none of that name
 */
export function idOf(kind: "user" | "group", name: string, option: string = kind): number {
  if (/^\d+$/.test(name)) {
    if (Number(name) <= LARGEST_ID) return Number(name);
    throw new Failure(78, `${option}=${name} is out of range; numbers go up to ${LARGEST_ID}`);
  }
  for (const line of Deno.readTextFileSync(FILES[kind]).split("\n")) {
    const [found, , id] = line.split(":");
    if (found === name && id !== undefined) return Number(id);
  }
  throw new Failure(
    78,
    `${option}=${name}: ${FILES[kind]} has no such ${kind}; write one it has, or a number`,
  );
}
