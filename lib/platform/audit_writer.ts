/**
 * The interface of audit targets.
 *
 * @module
 */

import type { AuditRecord } from "../observe/audit.ts";

/** An audit target: a file or the journal. */
export interface AuditWriter {
  /** The name in settings and in the log. */
  readonly name: string;
  /** Returns a record in the format of the target. */
  format(record: AuditRecord): string;
  /** Writes a formatted record, or throws. */
  write(text: string): Promise<void>;
  /** Opens it again, or throws. */
  reopen(): void;
  /** Closes it; a pending write may fail. */
  close(): void;
}
