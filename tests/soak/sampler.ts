/**
 * Measurements while the load runs: of processes from outside, of waiting from inside.
 *
 * @module
 */

/** A process as the kernel sees it: bytes, descriptors, seconds of processor time. */
export interface Weight {
  readonly resident: number;
  readonly anonymous: number;
  readonly descriptors: number;
  readonly processor: number;
}

/** Measures a running process. */
export function weigh(pid: number): Weight {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const of = (name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1] ?? NaN) * 1024;
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    resident: of("VmRSS"),
    anonymous: of("RssAnon"),
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    // Ticks of a hundredth of a second: USER_HZ, the same on every machine.
    processor: (Number(fields[11]) + Number(fields[12])) / 100,
  };
}

/** The number of buckets for each doubling: two neighbours are a tenth apart. */
const FINENESS = 8;

/** Durations: counts by size, which need the same memory however many there are. */
export class Durations {
  readonly #counts = new Uint32Array(32 * FINENESS);
  #most = 0;
  count = 0;

  /** Adds a duration, in milliseconds. */
  add(ms: number): void {
    const microseconds = Math.max(1, ms * 1000);
    const bucket = Math.min(
      this.#counts.length - 1,
      Math.floor(Math.log2(microseconds) * FINENESS),
    );
    this.#counts[bucket]!++;
    this.#most = Math.max(this.#most, ms);
    this.count++;
  }

  /**
   * Returns the time, in milliseconds, within which a part of all, from 0 to 1, was done; `null` if
   * there were none.
   */
  part(whole: number): number | null {
    if (this.count === 0) return null;
    let left = this.count * whole;
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(this.#most, 2 ** ((bucket + 1) / FINENESS) / 1000);
    }
    return this.#most;
  }

  /** Removes everything. */
  clear(): void {
    this.#counts.fill(0);
    this.#most = 0;
    this.count = 0;
  }
}

/** Metrics in Prometheus's text form: the sum over all labels, by name. */
export type Metrics = ReadonlyMap<string, number>;

/** Adds up the values in a metrics text. */
export function sumsOf(text: string): Metrics {
  const sums = new Map<string, number>();
  for (const line of text.split("\n")) {
    const found = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line);
    if (found) sums.set(found[1]!, (sums.get(found[1]!) ?? 0) + Number(found[2]));
  }
  return sums;
}

/** Fetches the metrics from a unix socket. */
export async function fetchMetrics(path: string): Promise<Metrics> {
  using socket = await Deno.connect({ transport: "unix", path });
  const request = new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  for (let rest = request; rest.length > 0;) rest = rest.subarray(await socket.write(rest));
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let text = "";
  for (;;) {
    const length = await socket.read(buffer);
    if (length === null) break;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(`No metrics: ${text.split("\r\n")[0]}`);
  return sumsOf(text.slice(text.indexOf("\r\n\r\n") + 4));
}
