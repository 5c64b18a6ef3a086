/**
 * `qmpmux exec --until`, `--job` and `--migration` at monitors that do not answer, or answer with what no
 * QEMU does.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux } from "./support/qmpmux.ts";

/** A monitor that answers nothing but the negotiation. */
function silentQemu(path: string): FakeQemu {
  return new FakeQemu(path, {
    answer: ({ name }) => name === "qmp_capabilities" ? undefined : "",
  });
}

for (const flags of [["--until", "STOP"], ["--job", "j"], ["--migration"]]) {
  Deno.test(`qmpmux exec ${flags[0]} tells that the command was not sent`, async () => {
    using place = makePlace();
    await using qemu = silentQemu(`${place.path}/vm`);
    const args = ["exec", "--socket", qemu.path, "go", ...flags, "--timeout", "0.3"];
    assertEquals(await runQmpmux(args), {
      code: 124,
      stdout: "",
      stderr:
        "qmpmux: exec: no reply within 0.3 s to a query before the command, which was not sent\n",
    });
    assertEquals(qemu.heard.filter((text) => text.includes('"go"')), []);
  });
}
