/**
 * The signals that a daemon handles.
 *
 * @module
 */

/** The handlers of signals. */
export interface SignalHandlers {
  /** Handles SIGTERM and SIGINT. */
  readonly stop: () => void;
  /** Handles SIGHUP. */
  readonly reload: () => void;
  /** Handles SIGUSR1 and SIGUSR2; `deno run` of 2.9.2 and later opens its debugger at SIGUSR1 too. */
  readonly status: () => void;
}

/** Handles signals until it is disposed of. */
export function onSignals({ stop, reload, status }: SignalHandlers): Disposable {
  const handlers = {
    SIGTERM: stop,
    SIGINT: stop,
    SIGHUP: reload,
    SIGUSR1: status,
    SIGUSR2: status,
  };
  const all = Object.entries(handlers) as [Deno.Signal, () => void][];
  for (const [signal, handler] of all) Deno.addSignalListener(signal, handler);
  return {
    [Symbol.dispose](): void {
      for (const [signal, handler] of all) Deno.removeSignalListener(signal, handler);
    },
  };
}
