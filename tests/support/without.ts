/**
 * Needs of tests that this machine does not meet.
 *
 * `tools/setup.ts` names them in `QMPMUX_TESTS_WITHOUT` and prints which tests are left out.
 * Without that variable every test runs, and one whose need is not met fails.
 *
 * @module
 */

const NAMES = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",");

/** Whether tests that need root, to act as other users, are left out here. */
export const WITHOUT_ROOT: boolean = NAMES.includes("root");
