/**
 * The version of Deno.
 *
 * qmpmux is built for Deno 2.9 and newer. Where only an older one can be compiled
 * with, its tests run on that; nothing else should.
 *
 * @module
 */

/** The version of Deno. */
export const DENO_VERSION: string = Deno.version.deno;

const [MAJOR = 0, MINOR = 0] = DENO_VERSION.split(".").map(Number);

/** Whether this Deno is older than those that qmpmux is built for. */
export const IS_OLDER_DENO: boolean = MAJOR < 2 || (MAJOR === 2 && MINOR < 9);
