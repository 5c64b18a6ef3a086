/**
 * Fair turns upstream.
 *
 * QEMU runs in-band commands one by one. What waits, waits here, where it can
 * still be dropped: each owner has its own queue, and the owners form a ring.
 * The number of jobs an owner may have waiting is bounded where they are read.
 *
 * @module
 */

/**
 * Jobs of one owner in flight at a time, while no other owner sends any.
 *
 * QEMU reads one command while it runs another, so two keep it busy. Other owners
 * wait behind no more than these, however many jobs this one has.
 */
export const OWNER_LIMIT = 2;
/** Jobs of one owner in flight at a time while other owners send jobs, too: each waits behind one of every other. */
export const SHARED_LIMIT = 1;
/** Jobs in a row after which their owner counts as the only one that sends. The first owner of all counts at once. */
export const ALONE_AFTER_JOBS = 16;
/**
 * Jobs in flight at a time of an owner that has overtaken since it was last idle.
 *
 * A job that overtakes is never held back. But QEMU reads it before later jobs, so
 * it counts as one of the two.
 */
export const OVERTAKER_LIMIT = 1;

/** Whether a job may go now. `hold` also keeps back every other job. */
export type Leave = boolean | "hold";

/** Idle owners that are remembered: forgetting each at once costs more than its turn. */
const IDLE_LIMIT = 1024;

const always = (): boolean => true;

/** Jobs of many owners, handed out one turn each. */
export class Scheduler<Owner, Job> {
  /** The waiting jobs of each owner, in the order of the turns, which a Map keeps. */
  readonly #waiting = new Map<Owner, Job[]>();
  /** The owner of every job that waits or is in flight. */
  readonly #owners = new Map<Job, Owner>();
  /** Each owner's jobs in flight, and whether it has overtaken. Most idle owners have no entry. */
  readonly #busy = new Map<Owner, { inFlight: number; overtook: boolean }>();
  /** The owner that sent last, and its number of jobs in a row. */
  #row: { owner: Owner; jobs: number } | undefined;

  /** Whether no job waits. */
  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  /** The number of owners that are remembered. */
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

  /** Adds a job behind the owner's others. A new owner joins the ring at its end. */
  enqueue(owner: Owner, job: Job): void {
    this.#queueOf(owner, job).push(job);
  }

  /** Adds a job before the owner's others. A new owner joins the ring at its end. */
  enqueueFirst(owner: Owner, job: Job): void {
    this.#queueOf(owner, job).unshift(job);
  }

  #queueOf(owner: Owner, job: Job): Job[] {
    this.#owners.set(job, owner);
    let jobs = this.#waiting.get(owner);
    if (jobs === undefined) this.#waiting.set(owner, jobs = []);
    return jobs;
  }

  /** Removes a job, whether it waits or is in flight. The owner's others keep their turn. */
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
   * Starts the next job: the first of the owner whose turn it is, which then moves to
   * the end of the ring. An owner whose first job may not go yet, or that has as
   * many in flight as it may, keeps its turn.
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

  /** Counts a job as in flight that does not wait for a turn. */
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

  /** Resets an owner that has become idle. */
  #rest(owner: Owner): void {
    const busy = this.#busy.get(owner);
    if (busy === undefined || !this.#isIdle(owner, busy)) return;
    busy.overtook = false;
    // Kept for the owner's next job, but not for ever.
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

  /** Forgets every owner. All jobs must have been removed. */
  clear(): void {
    if (this.#owners.size > 0) throw new Error(`Cannot clear: ${this.#owners.size} jobs are left`);
    this.#busy.clear();
    this.#row = undefined;
  }
}
