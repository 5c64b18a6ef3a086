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
export const PARTY_LIMIT = 2;
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
export class Scheduler<Party, Job> {
  /** The parties that wait, in the order of their turns; a Map keeps it. */
  readonly #waiting = new Map<Party, Job[]>();
  /** The jobs that are on their way, and whose they are. */
  readonly #gone = new Map<Job, Party>();
  /** How many of each party's are, and whether it has overtaken; nothing of most that are idle. */
  readonly #busy = new Map<Party, { gone: number; overtook: boolean }>();
  /** The party that sent last, and how many jobs in a row. */
  #row: { party: Party; jobs: number } | undefined;

  /** Does nothing wait? */
  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  /** How many parties it has in mind. */
  get parties(): number {
    return new Set([...this.#waiting.keys(), ...this.#busy.keys()]).size;
  }

  /** How many jobs wait. */
  get size(): number {
    let size = 0;
    for (const jobs of this.#waiting.values()) size += jobs.length;
    return size;
  }

  /** Adds a job behind the party's others; a party new to the ring joins at its end. */
  enqueue(party: Party, job: Job): void {
    const jobs = this.#waiting.get(party);
    if (jobs) jobs.push(job);
    else this.#waiting.set(party, [job]);
  }

  /** Adds a job before the party's others; a party new to the ring joins at its end. */
  enqueueFirst(party: Party, job: Job): void {
    const jobs = this.#waiting.get(party);
    if (jobs) jobs.unshift(job);
    else this.#waiting.set(party, [job]);
  }

  /** Takes a job out, wherever it waits; the party's others keep their turn. */
  remove(job: Job): void {
    for (const [party, jobs] of this.#waiting) {
      const at = jobs.indexOf(job);
      if (at < 0) continue;
      jobs.splice(at, 1);
      if (jobs.length === 0) this.#waiting.delete(party);
      this.#rest(party);
      return;
    }
  }

  /**
   * The next job: the first of the party whose turn it is, which then goes to
   * the end of the ring. A party whose first job may not go yet, or that has as
   * many on their way as it may, keeps its turn.
   */
  next(mayGo: (job: Job) => Leave = always): Job | undefined {
    for (const [party, jobs] of this.#waiting) {
      const leave = this.#hasRoom(party) && mayGo(jobs[0]!);
      if (leave === "hold") return undefined;
      if (!leave) continue;
      const job = jobs.shift()!;
      this.#waiting.delete(party);
      if (jobs.length > 0) this.#waiting.set(party, jobs);
      this.#goes(party, job);
      return job;
    }
    return undefined;
  }

  /** A job of a party goes without waiting. */
  overtakes(party: Party, job: Job): void {
    this.#goes(party, job);
    this.#busy.get(party)!.overtook = true;
  }

  /** A job is no longer on its way. */
  landed(job: Job): void {
    const party = this.#gone.get(job);
    if (party === undefined) return;
    this.#gone.delete(job);
    this.#busy.get(party)!.gone--;
    this.#rest(party);
  }

  #hasRoom(party: Party): boolean {
    const busy = this.#busy.get(party);
    if (busy === undefined) return true;
    if (busy.overtook) return busy.gone < OVERTAKER_LIMIT;
    const isAlone = this.#row?.party === party && this.#row.jobs >= LONE_ROW;
    return busy.gone < (isAlone ? PARTY_LIMIT : SHARED_LIMIT);
  }

  #goes(party: Party, job: Job): void {
    this.#gone.set(job, party);
    if (this.#row?.party === party) this.#row.jobs++;
    else this.#row = { party, jobs: this.#row === undefined ? LONE_ROW : 1 };
    const busy = this.#busy.get(party);
    if (busy) busy.gone++;
    else this.#busy.set(party, { gone: 1, overtook: false });
  }

  /** A party that is idle begins afresh. */
  #rest(party: Party): void {
    const busy = this.#busy.get(party);
    if (busy === undefined || !this.#isIdle(party, busy)) return;
    busy.overtook = false;
    // Kept for its next command; those who never come again are not kept for ever.
    if (this.#busy.size > IDLE_LIMIT + 2 * (this.#gone.size + this.#waiting.size)) this.#sweep();
  }

  #isIdle(party: Party, { gone }: { gone: number }): boolean {
    return gone === 0 && !this.#waiting.has(party);
  }

  #sweep(): void {
    for (const [party, busy] of this.#busy) {
      if (this.#isIdle(party, busy)) this.#busy.delete(party);
    }
  }

  /** Forgets what a party has waiting, and gives it back. */
  drop(party: Party): Job[] {
    const jobs = this.#waiting.get(party) ?? [];
    this.#waiting.delete(party);
    const busy = this.#busy.get(party);
    if (busy && this.#isIdle(party, busy)) this.#busy.delete(party);
    return jobs;
  }

  /** Forgets everything, also what has gone, and gives back what waits. */
  clear(): Job[] {
    const jobs = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    this.#gone.clear();
    this.#busy.clear();
    this.#row = undefined;
    return jobs;
  }
}
