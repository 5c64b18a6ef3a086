/**
 * The client in `await using`, for runtimes that have it.
 *
 * @module
 */

import { connect, type Qmp } from "../../../lib/client/mod.ts";

/** Returns a client that has been disposed of. */
export async function disposed(path: string): Promise<Qmp> {
  await using qmp = await connect(path);
  await qmp.execute("query-status");
  return qmp;
}
