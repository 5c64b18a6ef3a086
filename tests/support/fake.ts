/**
 * A fake QEMU in a place of its own.
 *
 * @module
 */

import { FakeQemu, type FakeQemuManners } from "./fake_qemu.ts";
import { makePlace } from "./place.ts";

/** A fake QEMU, and the directory of its socket. */
export class Fake implements AsyncDisposable {
  readonly #place = makePlace();
  readonly qemu: FakeQemu;

  constructor(manners: FakeQemuManners = {}) {
    this.qemu = new FakeQemu(`${this.#place.path}/vm`, manners);
  }

  get path(): string {
    return this.qemu.path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.qemu[Symbol.asyncDispose]();
    this.#place[Symbol.dispose]();
  }
}
