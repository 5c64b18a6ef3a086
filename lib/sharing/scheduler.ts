/**
 * The scheduler, which gives clients fair turns at QEMU.
 *
 * QEMU runs in-band commands one by one. Waiting jobs are queued here, where they can still be
 * dropped. Each owner has its own queue, and the owners form a ring. The reader of commands
 * limits the number of an owner's waiting jobs.
 *
 * @module
 */

/**
 * The most jobs of one owner in flight, while no other owner sends jobs.
 *
 * QEMU reads one command while it runs another, so two keep it busy. Another owner's first job
 * never waits for more than these, however many jobs this owner has.
 */
export const OWNER_LIMIT = 2;
/**
 * The most jobs of one owner in flight while other owners send jobs too.
 *
 * Each owner then waits for at most one job of every other owner.
 */
export const SHARED_LIMIT = 1;
/** The number of jobs in a row after which their owner counts as alone. The very first owner counts as alone at once. */
export const ALONE_AFTER_JOBS = 16;
/**
 * The most jobs in flight of an owner that has overtaken since it was last idle.
 *
 * A job that overtakes never waits. But QEMU reads it before later jobs, so it counts as one of
 * the two jobs.
 */
export const OVERTAKER_LIMIT = 1;

/** The permission to send a job now; `hold` refuses it and all other jobs. */
export type Leave = boolean | "hold";

/** The limit of remembered idle owners. Removing each one at once would be slower. */
const IDLE_LIMIT = 1024;

const always = (): boolean => true;

/** A queue of jobs, from which each owner in turn gets one. */
export class Scheduler<Owner, Job> {
  /** The waiting jobs of each owner; the order of the Map is the order of turns. */
  readonly #waiting = new Map<Owner, Job[]>();
  /** The owner of every job that waits or is in flight. */
  readonly #owners = new Map<Job, Owner>();
  /** Each owner's jobs in flight, and whether it has overtaken. Most idle owners have no entry. */
  readonly #busy = new Map<Owner, { inFlight: number; overtook: boolean }>();
  /** The owner that sent the last job, and the number of its jobs in a row. */
  #row: { owner: Owner; jobs: number } | undefined;

  /** Whether no job waits. */
  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  /** The number of owners that have an entry. */
  get owners(): number {
    return new Set([...this.#waiting.keys(), ...this.#busy.keys()]).size;
  }

  /** The number of waiting jobs. */
  get size(): number {
    let size = 0;
    for (const jobs of this.#waiting.values()) size += jobs.length;
    return size;
  }

  /** Yields the waiting jobs. */
  *waiting(): Generator<Job> {
    for (const jobs of this.#waiting.values()) yield* jobs;
  }

  /** Adds a job after the owner's others. A new owner joins the end of the ring. */
  enqueue(owner: Owner, job: Job): void {
    this.#queueOf(owner, job).push(job);
  }

  /** Adds a job before the owner's others. A new owner joins the end of the ring. */
  enqueueFirst(owner: Owner, job: Job): void {
    this.#queueOf(owner, job).unshift(job);
  }

  #queueOf(owner: Owner, job: Job): Job[] {
    this.#owners.set(job, owner);
    let jobs = this.#waiting.get(owner);
    if (jobs === undefined) this.#waiting.set(owner, jobs = []);
    return jobs;
  }

  /** Removes a job that waits or is in flight. The owner keeps its turn for its other jobs. */
  remove(job: Job): void {
    const owner = this.#owners.get(job);
    if (owner === undefined) return;
    this.#owners.delete(job);
    const jobs = this.#waiting.get(owner);
    const at = jobs?.indexOf(job) ?? -1;
    if (jobs === undefined || at < 0) this.#busy.get(owner)!.inFlight--;
    else if (jobs.length > 1) jobs.splice(at, 1);
    else this.#waiting.delete(owner);
    this.#rest(owner);
  }

  /**
   * Starts and returns the first job of the owner whose turn it is, and moves the owner to the
   * end of the ring.
   *
   * It skips owners whose first job must wait, or that have reached their limit of jobs in
   * flight. Such an owner keeps its place in the ring.
   */
  next(mayGo: (job: Job) => Leave = always): Job | undefined {
    for (const [owner, jobs] of this.#waiting) {
      const leave = this.#hasRoom(owner) && mayGo(jobs[0]!);
      if (leave === "hold") return undefined;
      if (!leave) continue;
      const job = jobs.shift()!;
      this.#waiting.delete(owner);
      if (jobs.length > 0) this.#waiting.set(owner, jobs);
      this.#started(owner);
      return job;
    }
    return undefined;
  }

  /** Counts a job that is sent without waiting for a turn as in flight. */
  overtakes(owner: Owner, job: Job): void {
    this.#owners.set(job, owner);
    this.#started(owner).overtook = true;
  }

  #hasRoom(owner: Owner): boolean {
    const busy = this.#busy.get(owner);
    if (busy === undefined) return true;
    if (busy.overtook) return busy.inFlight < OVERTAKER_LIMIT;
    const isAlone = this.#row?.owner === owner && this.#row.jobs >= ALONE_AFTER_JOBS;
    return busy.inFlight < (isAlone ? OWNER_LIMIT : SHARED_LIMIT);
  }

  #started(owner: Owner): { overtook: boolean } {
    if (this.#row?.owner === owner) this.#row.jobs++;
    else this.#row = { owner, jobs: this.#row === undefined ? ALONE_AFTER_JOBS : 1 };
    let busy = this.#busy.get(owner);
    if (busy === undefined) this.#busy.set(owner, busy = { inFlight: 0, overtook: false });
    busy.inFlight++;
    return busy;
  }

  /** Resets the state of an owner if it has become idle. */
  #rest(owner: Owner): void {
    const busy = this.#busy.get(owner);
    if (busy === undefined || !this.#isIdle(owner, busy)) return;
    busy.overtook = false;
    // Keep the entry for the owner's next job, unless there are too many idle entries.
    if (this.#busy.size > IDLE_LIMIT + 2 * this.#owners.size) this.#sweep();
  }

  #isIdle(owner: Owner, { inFlight }: { inFlight: number }): boolean {
    return inFlight === 0 && !this.#waiting.has(owner);
  }

  #sweep(): void {
    for (const [owner, busy] of this.#busy) {
      if (this.#isIdle(owner, busy)) this.#busy.delete(owner);
    }
  }

  /** Removes an owner's waiting jobs and returns them. */
  drop(owner: Owner): Job[] {
    const jobs = this.#waiting.get(owner) ?? [];
    for (const job of jobs) this.#owners.delete(job);
    this.#waiting.delete(owner);
    const busy = this.#busy.get(owner);
    if (busy && this.#isIdle(owner, busy)) this.#busy.delete(owner);
    return jobs;
  }

  /** Forgets all owners. All jobs must have been removed. */
  clear(): void {
    if (this.#owners.size > 0) throw new Error(`Cannot clear: ${this.#owners.size} jobs are left`);
    this.#busy.clear();
    this.#row = undefined;
  }
}
