/**
 * A program that powers a VM off; `power_off_test.ts` and `power_off_node.ts` test it without a VM.
 *
 * @module
 */

import { connect, TimeoutError } from "@qmpmux/qmpmux/client";

/**
 * Powers a VM off, and ends QEMU if the guest does not obey in time.
 *
 * @param patience the time for the guest, in milliseconds
 */
export async function powerOff(address: string, patience: number): Promise<"obeyed" | "forced"> {
  const qmp = await connect(address);
  try {
    const down = qmp.waitFor("SHUTDOWN", { timeout: patience });
    await qmp.execute("system_powerdown");
    await down;
    return "obeyed";
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    await qmp.execute("quit");
    return "forced";
  } finally {
    await qmp.close();
  }
}
