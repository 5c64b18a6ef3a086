/**
 * Needs of tests that this machine does not meet.
 *
 * `tools/setup.ts` names them in `QMPMUX_TESTS_WITHOUT` and prints which tests are skipped. Without
 * that variable every test runs, and a test whose need is not met fails.
 *
 * @module
 */

const NAMES = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",");

/** Whether to skip tests that need root, to act as other users. */
export const WITHOUT_ROOT: boolean = NAMES.includes("root");
