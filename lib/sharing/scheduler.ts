/**
 * Fair turns upstream.
 *
 * QEMU runs in-band commands one by one. What waits, waits here, where it can
 * still be dropped: each monitor in its own queue, the monitors in a ring. How
 * many commands a monitor may have waiting is bounded where they are read.
 *
 * @module
 */

const always = (): boolean => true;

/** Jobs of many parties, handed out a turn each. */
export class Scheduler<Party, Job> {
  /** The parties that wait, in the order of their turns; a Map keeps it. */
  readonly #waiting = new Map<Party, Job[]>();

  /** Does nothing wait? */
  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  /** How many jobs a party has waiting. */
  waitingOf(party: Party): number {
    return this.#waiting.get(party)?.length ?? 0;
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
      return;
    }
  }

  /**
   * The next job: the first of the party whose turn it is, which then goes to
   * the end of the ring. A party whose first job may not go yet keeps its turn.
   */
  next(mayGo: (job: Job) => boolean = always): Job | undefined {
    for (const [party, jobs] of this.#waiting) {
      if (!mayGo(jobs[0]!)) continue;
      const job = jobs.shift();
      this.#waiting.delete(party);
      if (jobs.length > 0) this.#waiting.set(party, jobs);
      return job;
    }
    return undefined;
  }

  /** Forgets what a party has waiting, and gives it back. */
  drop(party: Party): Job[] {
    const jobs = this.#waiting.get(party) ?? [];
    this.#waiting.delete(party);
    return jobs;
  }

  /** Forgets everything, and gives it back. */
  clear(): Job[] {
    const jobs = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    return jobs;
  }
}
