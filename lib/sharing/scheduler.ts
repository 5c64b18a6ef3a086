/**
 * Fair turns upstream.
 *
 * QEMU runs in-band commands one by one. What waits, waits here, where it can
 * still be dropped: each monitor in its own queue, the monitors in a ring. How
 * many commands a monitor may have waiting is bounded where they are read.
 *
 * @module
 */

/**
 * Jobs of one party on their way at a time, while no other party sends any.
 *
 * QEMU reads one command while it runs another, so that two keep it busy; others
 * wait behind no more than these, however many a party has.
 */
export const OWNER_LIMIT = 2;
/** The same while other parties send jobs, too: each waits behind one of every other. */
export const SHARED_LIMIT = 1;
/** A party that has sent so many jobs in a row, or the first of all, sends alone. */
export const LONE_ROW = 16;
/**
 * The same for a party that has overtaken since it last was idle.
 *
 * What overtakes is never held back. But QEMU reads it before what comes later,
 * so that it is one of the two.
 */
export const OVERTAKER_LIMIT = 1;

/** May a job go now? `hold`: nor may any other before it. */
export type Leave = boolean | "hold";

/** So many idle parties are kept in mind: to forget each at once costs more than its turn. */
const IDLE_LIMIT = 1024;

const always = (): boolean => true;

/** Jobs of many parties, handed out a turn each. */
export class Scheduler<Owner, Job> {
  /** The parties that wait, in the order of their turns; a Map keeps it. */
  readonly #waiting = new Map<Owner, Job[]>();
  /** The jobs that are on their way, and whose they are. */
  readonly #inFlight = new Map<Job, Owner>();
  /** How many of each party's are, and whether it has overtaken; nothing of most that are idle. */
  readonly #busy = new Map<Owner, { inFlight: number; overtook: boolean }>();
  /** The party that sent last, and how many jobs in a row. */
  #row: { owner: Owner; jobs: number } | undefined;

  /** Does nothing wait? */
  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  /** How many parties it has in mind. */
  get owners(): number {
    return new Set([...this.#waiting.keys(), ...this.#busy.keys()]).size;
  }

  /** How many jobs wait. */
  get size(): number {
    let size = 0;
    for (const jobs of this.#waiting.values()) size += jobs.length;
    return size;
  }

  /** Adds a job behind the party's others; a party new to the ring joins at its end. */
  enqueue(owner: Owner, job: Job): void {
    const jobs = this.#waiting.get(owner);
    if (jobs) jobs.push(job);
    else this.#waiting.set(owner, [job]);
  }

  /** Adds a job before the party's others; a party new to the ring joins at its end. */
  enqueueFirst(owner: Owner, job: Job): void {
    const jobs = this.#waiting.get(owner);
    if (jobs) jobs.unshift(job);
    else this.#waiting.set(owner, [job]);
  }

  /** Takes a job out, wherever it waits; the party's others keep their turn. */
  remove(job: Job): void {
    for (const [owner, jobs] of this.#waiting) {
      const at = jobs.indexOf(job);
      if (at < 0) continue;
      jobs.splice(at, 1);
      if (jobs.length === 0) this.#waiting.delete(owner);
      this.#rest(owner);
      return;
    }
  }

  /**
   * The next job: the first of the party whose turn it is, which then goes to
   * the end of the ring. A party whose first job may not go yet, or that has as
   * many on their way as it may, keeps its turn.
   */
  next(mayGo: (job: Job) => Leave = always): Job | undefined {
    for (const [owner, jobs] of this.#waiting) {
      const leave = this.#hasRoom(owner) && mayGo(jobs[0]!);
      if (leave === "hold") return undefined;
      if (!leave) continue;
      const job = jobs.shift()!;
      this.#waiting.delete(owner);
      if (jobs.length > 0) this.#waiting.set(owner, jobs);
      this.#started(owner, job);
      return job;
    }
    return undefined;
  }

  /** A job of a party goes without waiting. */
  overtakes(owner: Owner, job: Job): void {
    this.#started(owner, job);
    this.#busy.get(owner)!.overtook = true;
  }

  /** A job is no longer on its way. */
  finished(job: Job): void {
    const owner = this.#inFlight.get(job);
    if (owner === undefined) return;
    this.#inFlight.delete(job);
    this.#busy.get(owner)!.inFlight--;
    this.#rest(owner);
  }

  #hasRoom(owner: Owner): boolean {
    const busy = this.#busy.get(owner);
    if (busy === undefined) return true;
    if (busy.overtook) return busy.inFlight < OVERTAKER_LIMIT;
    const isAlone = this.#row?.owner === owner && this.#row.jobs >= LONE_ROW;
    return busy.inFlight < (isAlone ? OWNER_LIMIT : SHARED_LIMIT);
  }

  #started(owner: Owner, job: Job): void {
    this.#inFlight.set(job, owner);
    if (this.#row?.owner === owner) this.#row.jobs++;
    else this.#row = { owner, jobs: this.#row === undefined ? LONE_ROW : 1 };
    const busy = this.#busy.get(owner);
    if (busy) busy.inFlight++;
    else this.#busy.set(owner, { inFlight: 1, overtook: false });
  }

  /** A party that is idle begins afresh. */
  #rest(owner: Owner): void {
    const busy = this.#busy.get(owner);
    if (busy === undefined || !this.#isIdle(owner, busy)) return;
    busy.overtook = false;
    // Kept for its next command; those who never come again are not kept for ever.
    if (this.#busy.size > IDLE_LIMIT + 2 * (this.#inFlight.size + this.#waiting.size)) {
      this.#sweep();
    }
  }

  #isIdle(owner: Owner, { inFlight }: { inFlight: number }): boolean {
    return inFlight === 0 && !this.#waiting.has(owner);
  }

  #sweep(): void {
    for (const [owner, busy] of this.#busy) {
      if (this.#isIdle(owner, busy)) this.#busy.delete(owner);
    }
  }

  /** Forgets what a party has waiting, and gives it back. */
  drop(owner: Owner): Job[] {
    const jobs = this.#waiting.get(owner) ?? [];
    this.#waiting.delete(owner);
    const busy = this.#busy.get(owner);
    if (busy && this.#isIdle(owner, busy)) this.#busy.delete(owner);
    return jobs;
  }

  /** Forgets everything, also what has gone, and gives back what waits. */
  clear(): Job[] {
    const jobs = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    this.#inFlight.clear();
    this.#busy.clear();
    this.#row = undefined;
    return jobs;
  }
}
