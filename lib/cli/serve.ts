/**
 * `qmpmux serve`: its flags, and its help.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { stderrLog } from "../rim/log.ts";
import { serve } from "../rim/daemon.ts";
import type { ExitStatus } from "../rim/failure.ts";
import { addressText, UsageError } from "../terms/address.ts";
import { parseListener, parseQemu, type ServeSettings } from "../terms/options.ts";

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

const STRINGS = ["qemu", "listen", "greeting-timeout", "handshake-timeout", "drain-timeout"];

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
  const valued = args.find((argument) => /^--(once|help)=/.test(argument));
  if (valued !== undefined) {
    throw new UsageError(
      `serve: ${valued} is not possible; write ${valued.replace(/=.*/s, "")} without a value`,
    );
  }
  const flags: Record<string, unknown> = parseArgs(args, {
    string: STRINGS,
    boolean: ["once", "help"],
    alias: { h: "help" },
    collect: STRINGS,
    unknown: (argument: string) => {
      throw new UsageError(
        `serve: there is no ${
          argument.startsWith("-") ? "flag" : "argument"
        } ${argument}; see qmpmux serve --help`,
      );
    },
  });
  const [argument] = flags["_"] as (string | number)[];
  if (argument !== undefined) {
    throw new UsageError(`serve: there is no argument ${argument}; see qmpmux serve --help`);
  }
  if (flags["help"]) return "help";
  const given = (flag: string) => (flags[flag] ?? []) as string[];
  const listeners = given("listen").map(parseListener);
  if (listeners.length === 0) {
    throw new UsageError(
      "serve: --listen is missing; say where clients connect, as --listen unix:/run/mux.sock",
    );
  }
  const qemu = parseQemu(single(given("qemu"), "qemu"));
  const taken = new Set([addressText(qemu)]);
  for (const { address } of listeners) {
    const text = addressText(address);
    if (taken.has(text) && !text.endsWith(":0")) {
      throw new UsageError(`serve: ${text} is given twice; every address has its own use`);
    }
    taken.add(text);
  }
  return {
    qemu,
    listeners,
    once: flags["once"] === true,
    greetingTime: seconds(given("greeting-timeout"), "greeting-timeout", 10),
    handshakeTime: seconds(given("handshake-timeout"), "handshake-timeout", 60),
    drainTime: seconds(given("drain-timeout"), "drain-timeout", 5),
  };
}

function single(values: string[], flag: string): string {
  const [value] = values;
  if (value === undefined || value === "") {
    throw new UsageError(
      `serve: --${flag} is missing; name QEMU's monitor, as --qemu unix:/run/vm.sock`,
    );
  }
  if (values.length > 1) throw new UsageError(`serve: --${flag} is given twice; give it once`);
  return value;
}

/** A time in seconds; at most what a timer can hold. */
function seconds(values: string[], flag: string, otherwise: number): number {
  const [text] = values;
  if (text === undefined) return otherwise;
  if (values.length > 1) throw new UsageError(`serve: --${flag} is given twice; give it once`);
  const time = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && time > 0 && time <= 86400) return time;
  throw new UsageError(
    `serve: --${flag} ${text} is no time; write seconds, above 0 and up to 86400`,
  );
}
