/**
 * A minimal service manager: it passes sockets, and receives notifications.
 *
 * A few lines of Python open the sockets and then exec the program, which thus has the process id
 * that they were passed to.
 *
 * @module
 */

import { within } from "./deadline.ts";

/** Whether this machine has no Python; set by `tools/setup.ts`. */
export const WITHOUT_PYTHON = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").includes(
  "python3",
);

/**
 * The script that passes sockets. Its arguments are NAME=PATH… -- COMMAND…; a path of digits is a
 * port of 127.0.0.1, `-` a file in place of a socket.
 */
const LAUNCHER = `
import os, socket, sys
cut = sys.argv.index("--")
names, keep, number = [], [], 3
for pair in sys.argv[1:cut]:
    name, path = pair.split("=", 1)
    if path == "-":
        keep.append(open("/dev/null"))
    elif path.rpartition(":")[2].isdigit():
        keep.append(socket.create_server(("0.0.0.0" if ":" in path else "127.0.0.1", 0)))
    else:
        keep.append(socket.socket(socket.AF_UNIX))
        keep[-1].bind(path)
        keep[-1].listen(8)
    names.append(name)
# Out of the way first, as one may sit where another belongs.
moved = [os.dup2(k.fileno(), 100 + i, False) for i, k in enumerate(keep)]
for i, fd in enumerate(moved):
    os.dup2(fd, 3 + i, True)
os.environ["LISTEN_FDS"] = str(len(names))
os.environ["LISTEN_FDNAMES"] = ":".join(names)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execvp(sys.argv[cut + 1], sys.argv[cut + 1:])
`;

/** Returns the command that passes sockets, by name and path, to a command. */
export function passing(
  sockets: readonly string[],
  [command, args]: readonly [string, readonly string[]],
): [string, string[]] {
  return ["python3", ["-c", LAUNCHER, ...sockets, "--", command, ...args]];
}

/** Receives notifications at a path. */
export class Notified implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #early: string[] = [];
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    const address = path.replace(/^@/, "\0");
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: address });
  }

  /** Returns the lines of the next datagram. */
  async next(): Promise<string[]> {
    const [bytes] = await within("a notification", this.#socket.receive());
    return new TextDecoder().decode(bytes).split("\n");
  }

  /** Reads until a line arrives; returns the lines up to it. */
  async until(line: string | RegExp): Promise<string[]> {
    const told = (): number =>
      this.#early.findIndex((each) => typeof line === "string" ? each === line : line.test(each));
    while (told() < 0) this.#early.push(...await this.next());
    return this.#early.splice(0, told() + 1);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
