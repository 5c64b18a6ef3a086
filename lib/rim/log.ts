/**
 * Lines for whoever runs qmpmux, on stderr.
 *
 * @module
 */

/** Where lines go; each is one sentence without an end of line. */
export interface Log {
  /** What an operator expects to see: few lines, at the start and at changes. */
  info(line: string): void;
  /** What an operator should look at. */
  warn(line: string): void;
}

const ENCODER = new TextEncoder();

/** Writes each line to stderr, behind the program's name. */
export const stderrLog: Log = { info: say, warn: say };

/** Writes one line to stderr; control characters are shown, not sent. */
export function say(line: string): void {
  // deno-lint-ignore no-control-regex
  const shown = line.replace(/[\x00-\x1f\x7f-\x9f]/g, escaped);
  const bytes = ENCODER.encode(`qmpmux: ${shown}\n`);
  try {
    for (let sent = 0; sent < bytes.length;) sent += Deno.stderr.writeSync(bytes.subarray(sent));
  } catch (error) {
    // A log that nobody reads any more is no reason to end the clients.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** A control character as JSON has it, also those that JSON would let through. */
function escaped(char: string): string {
  const text = JSON.stringify(char).slice(1, -1);
  return text === char ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}` : text;
}
