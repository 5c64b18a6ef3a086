/**
 * `qmpmux serve`: its flags, and its help.
 *
 * @module
 */

import { serve } from "../rim/daemon.ts";
import type { ExitStatus } from "../rim/failure.ts";
import { stderrLog } from "../rim/log.ts";
import { type Address, addressText, UsageError } from "../terms/address.ts";
import { parseListener, parseQemu, type ServeSettings } from "../terms/options.ts";
import { type Given, readFlags, secondsOf } from "./flags.ts";

/** What `qmpmux serve --help` prints. */
export const SERVE_HELP =
  `Usage: qmpmux serve --qemu ADDR --listen ADDR[,option=value...] [--listen ...]

Owns one QMP connection to QEMU and gives every client that connects a virtual
monitor of its own.

  --qemu ADDR            QEMU's monitor: the socket it was given with -qmp
  --listen ADDR[,...]    where clients connect; may be given many times
  --once                 end with QEMU, with status 0, instead of waiting for the next
  --greeting-timeout S   seconds QEMU may take for its greeting (10)
  --handshake-timeout S  seconds a client may wait for QEMU's greeting (60)
  --drain-timeout S      seconds commands under way may take to finish at the end (5)
  -h, --help             this text

ADDR is unix:/path, /path, unix-abstract:NAME, tcp:HOST:PORT or HOST:PORT.

Options of a listener:
  name=NAME              what it is called in the log (from its address)
  dialect=qmp|rfc2010    today's QMP, or the negotiation proposed in 2010 (qmp)
  events=GLOB+GLOB...    the events its clients can see (all)
  mode=0600              of the socket file
  user=NAME group=NAME   owner of the socket file
  allow-remote=on        listen on an address other machines can reach
  cache=off              ask QEMU even for answers that cannot change
  join=off               never share the answer to a question others ask too
`;

const VALUES = ["qemu", "listen", "greeting-timeout", "handshake-timeout", "drain-timeout"];

/**
 * Runs `qmpmux serve`.
 *
 * @param args what follows `serve` on the command line
 * @throws UsageError, Failure
 */
export async function runServe(args: string[]): Promise<ExitStatus> {
  const settings = serveSettings(args);
  if (settings === "help") {
    console.log(SERVE_HELP.trimEnd());
    return 0;
  }
  return await serve(settings, stderrLog);
}

/**
 * Reads the flags of `qmpmux serve`.
 *
 * @throws UsageError
 */
export function serveSettings(args: string[]): ServeSettings | "help" {
  const given = readFlags("serve", args, { values: VALUES, switches: ["once"] });
  if (given.help) return "help";
  const listeners = given.all("listen").map(parseListener);
  if (listeners.length === 0) {
    throw new UsageError(
      "serve: --listen is missing; say where clients connect, as --listen unix:/run/mux.sock",
    );
  }
  const qemu = given.one("qemu");
  if (!qemu) {
    throw new UsageError(
      "serve: --qemu is missing; name QEMU's monitor, as --qemu unix:/run/vm.sock",
    );
  }
  const address = parseQemu(qemu);
  checkDistinct([address, ...listeners.map(({ address }) => address)]);
  return {
    qemu: address,
    listeners,
    once: given.has("once"),
    greetingTime: seconds(given, "greeting-timeout", 10),
    handshakeTime: seconds(given, "handshake-timeout", 60),
    drainTime: seconds(given, "drain-timeout", 5),
  };
}

/** @throws UsageError where an address has two uses; port 0 is another port each time */
function checkDistinct(addresses: readonly Address[]): void {
  const taken = new Set<string>();
  for (const text of addresses.map(addressText)) {
    if (taken.has(text) && !text.endsWith(":0")) {
      throw new UsageError(`serve: ${text} is given twice; every address has its own use`);
    }
    taken.add(text);
  }
}

function seconds(given: Given, flag: string, otherwise: number): number {
  const text = given.one(flag);
  return text === undefined ? otherwise : secondsOf("serve", flag, text);
}
