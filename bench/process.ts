/**
 * A process's memory, wake-ups and processor time, as the kernel counts them.
 *
 * @module
 */

/**
 * Returns the memory of a process in MB, each page divided by the number of processes that share it
 * (PSS).
 */
export function pss(pid: number): number {
  const sums = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s*(\d+) kB/m.exec(sums)![1]) * 1024 / 1e6;
}

/** The activity of a process for a while, all threads together. */
export interface Activity {
  /** The number of times a second that a thread has slept, and was woken. */
  readonly wakeUps: number;
  /** The share of a processor in percent. `/proc/PID/stat` has it in ticks of 10 ms only. */
  readonly processor: number;
}

/** Measures the activity of a process for some seconds; of the threads that it has all the time. */
export async function activity(pid: number, seconds: number): Promise<Activity> {
  const [before, began] = [threadsOf(pid), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const [after, took] = [threadsOf(pid), (performance.now() - began) / 1000];
  let [wakeUps, nanoseconds] = [0, 0];
  for (const [thread, first] of before) {
    const last = after.get(thread) ?? first;
    wakeUps += last.wakeUps - first.wakeUps;
    nanoseconds += last.nanoseconds - first.nanoseconds;
  }
  return { wakeUps: wakeUps / took, processor: nanoseconds / 1e9 / took * 100 };
}

/** Returns the processor time of a process since its start in microseconds; of its present threads. */
export function processorTime(pid: number): number {
  return threadsOf(pid).values().reduce((sum, { nanoseconds }) => sum + nanoseconds, 0) / 1000;
}

/** Returns the wake-ups of each thread since its start, and its processor time. */
function threadsOf(pid: number): Map<string, { wakeUps: number; nanoseconds: number }> {
  const threads = new Map<string, { wakeUps: number; nanoseconds: number }>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const thread = `/proc/${pid}/task/${name}`;
    const status = Deno.readTextFileSync(`${thread}/status`);
    const wakeUps = Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)![1]);
    const nanoseconds = Number(Deno.readTextFileSync(`${thread}/schedstat`).split(" ")[0]);
    threads.set(name, { wakeUps, nanoseconds });
  }
  return threads;
}
