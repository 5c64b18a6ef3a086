/**
 * The interface of what records of commands are written to.
 *
 * @module
 */

import type { AuditRecord } from "../observe/audit.ts";

/** A file or the journal. */
export interface AuditWriter {
  /** As people call it. */
  readonly name: string;
  /** A record as it is written there. */
  format(record: AuditRecord): string;
  /** Writes one, or throws. */
  write(text: string): Promise<void>;
  /** Opens it anew, or throws. */
  reopen(): void;
  /** Closes it; what is being written may fail. */
  close(): void;
}
