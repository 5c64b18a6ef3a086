/**
 * A passed socket whose clients pass descriptors, as libvirt's does.
 *
 * Another program opens and passes these sockets. Calls on a blocking socket would wait, which is
 * not allowed here.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { Lines } from "./support/lines.ts";
import { passing, WITHOUT_PYTHON } from "./support/passer.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { kill, programCommand } from "./support/qmpmux.ts";

/** Passes the file behind SOCKET with a `getfd`; prints the replies. */
const PASSING_CLIENT = `
import array, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
lines = peer.makefile("r", newline="\\n")
lines.readline()
peer.sendall(b'{"execute":"qmp_capabilities"}')
lines.readline()
with open(sys.argv[2]) as file:
    rights = array.array("i", [file.fileno()])
    command = b'{"execute":"getfd","arguments":{"fdname":"f"}}'
    peer.sendmsg([command], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    print(lines.readline().strip(), flush=True)
sys.stdin.read()
`;

const options = { ignore: WITHOUT_QEMU || WITHOUT_PYTHON };

Deno.test(
  "serve forwards descriptors from clients of a passed socket, and serves others",
  options,
  async () => {
    using place = makePlace();
    const at = (name: string): string => join(place.path, name);
    Deno.writeTextFileSync(at("file"), "");
    await using qemu = await startQemu(at("qemu"));
    const [program, first] = programCommand();
    const serve = [...first, "serve", "--qemu", at("qemu"), "--listen", "fd:mux,fds=on"];
    const [command, args] = passing([`mux=${at("mux")}`], [program, serve]);
    await using qmpmux = start(command, args, "stderr");
    await qmpmux.lines.until(/: listening on /);

    await using passer = start("python3", ["-c", PASSING_CLIENT, at("mux"), at("file")], "stdout");
    assertEquals(await passer.lines.next(), '{"return": {}}');
    const links = [...Deno.readDirSync(`/proc/${qemu.pid}/fd`)].map(({ name }) =>
      Deno.readLinkSync(`/proc/${qemu.pid}/fd/${name}`)
    );
    assertEquals(links.filter((link) => link === at("file")).length, 1);

    using other = await TestClient.ready(at("mux"));
    assertEquals(await other.ask({ execute: "query-name", id: 1 }), '{"return": {}, "id": 1}');
  },
);

/** A program with one captured stream. */
interface Started extends AsyncDisposable {
  readonly lines: Lines;
}

function start(command: string, args: string[], stream: "stdout" | "stderr"): Started {
  const child = new Deno.Command(command, {
    args,
    stdin: "piped",
    stdout: stream === "stdout" ? "piped" : "null",
    stderr: stream === "stderr" ? "piped" : "null",
  }).spawn();
  const lines = new Lines(child[stream]);
  return {
    lines,
    async [Symbol.asyncDispose](): Promise<void> {
      await child.stdin.close();
      kill(child);
      await within(`${command} to end`, child.status);
      await lines.rest();
    },
  };
}
