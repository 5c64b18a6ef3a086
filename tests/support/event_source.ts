/**
 * A fake QEMU that sends numbered events, behind a qmpmux that keeps them.
 *
 * @module
 */

import { emptyReturn, eventLine, FakeQemu, type FakeQemuConnection } from "./fake_qemu.ts";
import { makePlace } from "./place.ts";
import { startQmpmux, type TestQmpmux } from "./qmpmux.ts";

/** A fake QEMU that sends numbered events; it answers the command `mark`. */
export class EventSource implements AsyncDisposable {
  readonly #qemu: FakeQemu;
  #connection: FakeQemuConnection | undefined;
  /** The number of events that were sent. */
  sent = 0;

  constructor(path: string) {
    this.#qemu = new FakeQemu(path, {
      answer: ({ name, id }, connection): string | undefined => {
        this.#connection = connection;
        return name === "mark" ? emptyReturn({ id }) : undefined;
      },
    });
  }

  /** Sends events called `RESET`, or those of another name. */
  emit(count: number, name = "RESET"): void {
    for (let i = 0; i < count; i++) {
      this.#connection!.say(eventLine(name, { n: ++this.sent }));
    }
  }

  /** Closes the connection. */
  hangUp(): void {
    this.#connection!.hangUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#qemu[Symbol.asyncDispose]();
  }
}

/** A source of events behind a qmpmux. */
export interface EventStage extends AsyncDisposable {
  /** The directory of the sockets. */
  readonly place: string;
  /** The listener's socket. */
  readonly path: string;
  readonly source: EventSource;
  readonly mux: TestQmpmux;
}

/**
 * Starts a source of events and a qmpmux.
 *
 * @param args further arguments of qmpmux
 */
export async function startEvents(...args: string[]): Promise<EventStage> {
  const stack = new AsyncDisposableStack();
  const place = stack.adopt(makePlace(), (each) => each[Symbol.dispose]()).path;
  const source = stack.use(new EventSource(`${place}/vm`));
  const path = `${place}/mux`;
  const mux = stack.use(await startQmpmux(["--qemu", `${place}/vm`, "--listen", path, ...args]));
  await mux.log.until(/connected to QEMU/);
  return { place, path, source, mux, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
