/**
 * What needs Deno 2.9: it works there, and an older one says plainly that it does not.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { denoOfBinary, isOld, type Lack, LACKS } from "./not_on_2_4.ts";
import { within } from "./support/deadline.ts";
import { Lines } from "./support/lines.ts";
import { Notified, passing, WITHOUT_PYTHON } from "./support/passer.ts";
import { makePlace } from "./support/place.ts";
import { programCommand } from "./support/qmpmux.ts";

/** How to ask for each thing on the list, in a directory that is empty. */
const ASKED: Readonly<Record<string, (at: string) => Asked>> = {
  "sockets that systemd passes": (at) => ({ listen: "fd:mux", sockets: [`mux=${at}/mux`] }),
  "a service manager at an abstract socket": (at) => ({
    listen: `${at}/mux`,
    sockets: [],
    env: { NOTIFY_SOCKET: `@${at}/manager` },
  }),
};

interface Asked {
  readonly listen: string;
  readonly sockets: readonly string[];
  readonly env?: Record<string, string>;
}

/** `qmpmux serve` asked for something, its log, its end. */
class Service implements AsyncDisposable {
  readonly log: Lines;
  readonly #child: Deno.ChildProcess;

  constructor(at: string, { listen, sockets, env = {} }: Asked) {
    const [program, first] = programCommand();
    const serve = [...first, "serve", "--qemu", `${at}/qemu`, "--listen", listen];
    const [name, args] = sockets.length > 0 ? passing(sockets, [program, serve]) : [program, serve];
    this.#child = new Deno.Command(name, {
      args,
      env,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.log = new Lines(this.#child.stderr);
  }

  /** Ends it, if it has not ended; gives its status. */
  async end(): Promise<number> {
    try {
      this.#child.kill("SIGTERM");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    return (await within("the end", this.#child.status)).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#child.status;
    await this.log.rest();
  }
}

Deno.test({
  name: "serve() listens on a passed socket",
  ignore: WITHOUT_PYTHON,
  fn: async () => {
    using place = makePlace();
    await using service = new Service(
      place.path,
      ASKED["sockets that systemd passes"]!(place.path),
    );
    await service.log.until(/: listening on fd:mux /);
    assertEquals(await service.end(), 0);
  },
});

Deno.test("serve() notifies a service manager at an abstract socket", async () => {
  using place = makePlace();
  using manager = new Notified(`@${place.path}/manager`);
  const asked = ASKED["a service manager at an abstract socket"]!(place.path);
  await using service = new Service(place.path, asked);
  await service.log.until(/: listening on /);
  assertEquals(await service.end(), 0);
  const rest = await service.log.rest();
  assertEquals(rest.filter((line) => line.includes("cannot be notified")), []);
  await manager.until("READY=1");
});

Deno.test("not_on_2_4.json lists nothing that is not asked for here, and no test twice", () => {
  assertEquals(LACKS.map(({ what }) => what), Object.keys(ASKED));
  const tests = LACKS.flatMap((lack) => lack.tests);
  assertEquals(tests.filter((name, i) => tests.indexOf(name) !== i), []);
});

const deno = denoOfBinary();

/** A program of an older Deno says so. */
async function saysSo({ what, says, status }: Lack, version: string): Promise<void> {
  using place = makePlace();
  await using service = new Service(place.path, ASKED[what]!(place.path));
  const expected = `qmpmux: ${says.replace("{deno}", version)}`;
  const line = await service.log.until(/Deno/);
  assert(line.endsWith(expected.slice("qmpmux: ".length)), line);
  if (status !== 0) assertEquals(await service.log.rest(), []);
  assertEquals(await service.end(), status);
}

if (deno !== undefined && isOld(deno)) {
  for (const lack of LACKS) {
    Deno.test({
      name: `serve() compiled with an older Deno says that it cannot use ${lack.what}`,
      ignore: WITHOUT_PYTHON,
      fn: () => saysSo(lack, deno),
    });
  }
}
