/**
 * The recording of a process as its settings say; what it needs is loaded when it is first used.
 *
 * @module
 */

import { DEFAULT_VM } from "../config/machines.ts";
import { isForMany, type ServeSettings } from "../config/settings.ts";
import { type Change, NO_CHANGE } from "../platform/socket_file.ts";
import type { Recorder, RecorderDeps } from "./recorder.ts";

/** The recorder that is in use, if there is one. */
export class ProcessRecording {
  readonly #deps: Omit<RecorderDeps, "vm">;
  #recorder: Recorder | undefined;
  /** The recorders that are being closed. */
  readonly #closing: Promise<void>[] = [];

  /** Creates it without a recorder. */
  constructor(deps: Omit<RecorderDeps, "vm">) {
    this.#deps = deps;
  }

  /**
   * Opens the file that new settings name; nothing is recorded before the commit.
   *
   * @throws Failure if it cannot
   */
  async prepare(settings: ServeSettings): Promise<Change> {
    const { record } = settings;
    const old = this.#recorder;
    if (record === undefined && old === undefined) return NO_CHANGE;
    const sizes = { size: settings["record-size"], older: settings["record-files"] };
    if (record !== undefined && record === old?.path) {
      return { ...NO_CHANGE, commit: () => old.adopt(sizes) };
    }
    const vm = isForMany(settings) ? undefined : settings.vm ?? DEFAULT_VM;
    const recorder = record === undefined
      ? undefined
      : (await import("./recorder.ts")).openRecorder(record, sizes, { ...this.#deps, vm });
    return {
      commit: () => {
        if (old) this.#closing.push(old.close());
        this.#recorder = recorder;
        recorder?.start();
      },
      undo: () => {
        if (recorder) this.#closing.push(recorder.close());
      },
    };
  }

  /** Begins another file if the present one was moved away; returns whether there is a recording. */
  reopen(): boolean {
    this.#recorder?.reopen();
    return this.#recorder !== undefined;
  }

  /** Writes the lines that wait, then closes. */
  async close(): Promise<void> {
    await Promise.all([...this.#closing, this.#recorder?.close()]);
  }
}
