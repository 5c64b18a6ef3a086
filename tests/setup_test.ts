/**
 * The output of tools/setup.ts on a machine that lacks something.
 *
 * @module
 */

import { assertMatch } from "@std/assert";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";

Deno.test("setup.ts lists what is not tested if the user is not root", async () => {
  using place = makePlace();
  // It asks `id` only for the user.
  Deno.writeTextFileSync(`${place.path}/id`, "#!/bin/sh\necho 1000\n", { mode: 0o755 });
  const others = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").filter((name) =>
    name !== "root"
  );
  const env = {
    PATH: `${place.path}:${Deno.env.get("PATH")}`,
    QMPMUX_BINARY: "",
    QMPMUX_TESTS_WITHOUT: others.join(","),
  };
  const args = ["run", "-A", new URL("../tools/setup.ts", import.meta.url).pathname];
  const command = new Deno.Command(Deno.execPath(), { args, env, stdin: "null" });
  const { stderr } = await within("setup.ts", command.output());
  assertMatch(new TextDecoder().decode(stderr), /^NOT TESTED: what needs root; run this as root$/m);
});
