/**
 * The signals that a daemon handles.
 *
 * @module
 */

const SIGNALS = {
  stop: ["SIGTERM", "SIGINT"],
  reload: ["SIGHUP"],
  // `deno run` of 2.9.2 and later also opens its debugger at SIGUSR1; SIGUSR2 has no such effect.
  status: ["SIGUSR1", "SIGUSR2"],
} as const;

/** Calls these handlers at their signals, until it is disposed of. */
export function onSignals(
  handlers: Readonly<Record<keyof typeof SIGNALS, () => void>>,
): Disposable {
  const listeners = (["stop", "reload", "status"] as const).flatMap((name) =>
    SIGNALS[name].map((signal) => [signal, handlers[name]] as const)
  );
  for (const [signal, handler] of listeners) Deno.addSignalListener(signal, handler);
  return {
    [Symbol.dispose](): void {
      for (const [signal, handler] of listeners) Deno.removeSignalListener(signal, handler);
    },
  };
}
