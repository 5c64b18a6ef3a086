/**
 * `qmpmux exec --until`, `--job` and `--migration` at monitors that do not answer, or answer with what no
 * QEMU does.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { qemuText } from "../lib/wire/qemu_json.ts";
import { returnReply, withId } from "../lib/wire/reply.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux } from "./support/qmpmux.ts";
import { BEFORE_SESSION, runToTimeout } from "./support/timeout.ts";

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
    const args = ["exec", "go", ...flags];
    assertEquals(await runToTimeout(qemu.path, args, BEFORE_SESSION), {
      code: 124,
      stdout: "",
      stderr:
        "qmpmux: exec: no reply within SECONDS s to a query before the command, which was not sent\n",
    });
    assertEquals(qemu.heard.filter((text) => text.includes('"go"')), []);
  });
}

Deno.test("qmpmux exec --migration --timeout tells no status before it knows one", async () => {
  using place = makePlace();
  await using qemu = silentQemu(`${place.path}/vm`);
  assertEquals(await runToTimeout(qemu.path, ["exec", "--migration"], BEFORE_SESSION), {
    code: 124,
    stdout: "",
    stderr: "qmpmux: exec: the migration did not end within SECONDS s\n",
  });
});

/** Follows work at a monitor whose query returns a value; returns what stderr gets. */
async function followAt(flags: readonly string[], query: string, value: unknown): Promise<string> {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer({ name, id }): string | undefined {
      if (name !== query) return undefined;
      return new TextDecoder().decode(withId(returnReply(qemuText(value)), id));
    },
  });
  const { code, stdout, stderr } = await runQmpmux(["exec", "-s", qemu.path, ...flags]);
  assertEquals([code, stdout], [1, ""]);
  return stderr;
}

for (const status of [5, null, { a: 1 }]) {
  Deno.test(`qmpmux exec --job and --migration refuse ${JSON.stringify(status)} as a status`, async () => {
    assertEquals(
      await followAt(["--job", "j"], "query-jobs", [{ id: "j", status }]),
      "qmpmux: exec: query-jobs returned no status of job j; name a monitor of QEMU\n",
    );
    assertEquals(
      await followAt(["--migration"], "query-migrate", { status }),
      "qmpmux: exec: query-migrate returned no status of the migration; name a monitor of QEMU\n",
    );
  });
}

const LONG = "x".repeat(100_000);

Deno.test("qmpmux exec --job shortens the names and statuses of jobs", async () => {
  const jobs = Array.from(
    { length: 20 },
    (_, index) => ({ id: `${index}${LONG}`, status: "null" }),
  );
  const stderr = await followAt(["--job", "j"], "query-jobs", jobs);
  assertMatch(stderr, /^qmpmux: exec: QEMU has no job j; it has 0x{58}…, 1x{58}…,/);
  assert(stderr.length < 2000, `${stderr.length} characters`);
});

Deno.test("qmpmux exec --job shortens a status, and the reason of a failure", async () => {
  using place = makePlace();
  let asked = 0;
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer({ name, id }): string | undefined {
      if (name !== "query-jobs") return undefined;
      const job = asked++ === 0
        ? { id: "j", status: LONG }
        : { id: "j", status: "concluded", error: LONG.repeat(20) };
      return new TextDecoder().decode(withId(returnReply(qemuText([job])), id));
    },
  });
  const { code, stderr } = await runQmpmux(["exec", "-s", qemu.path, "--job", "j"]);
  assertEquals(code, 1);
  assertMatch(stderr, /^qmpmux: job j: x{59}…\nqmpmux: exec: job j failed: x+…\n$/);
  assert(stderr.length < 5000, `${stderr.length} characters`);
});
