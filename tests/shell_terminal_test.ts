/**
 * `qmpmux shell` on a terminal: what a user types, and what the screen shows.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { emptyReturn, eventLine, FakeQemu, type FakeQemuConnection } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { programCommand } from "./support/qmpmux.ts";
import { type TerminalOptions, TestTerminal, WITHOUT_TERMINAL } from "./support/terminal.ts";

const ENV = { NO_COLOR: "1" };

/** Starts the shell on a terminal. */
function shell(path: string, options: TerminalOptions = {}): TestTerminal {
  const [command, first] = programCommand();
  return new TestTerminal([command, ...first, "shell", "--socket", path], {
    ...options,
    env: { ...Deno.env.toObject(), ...ENV, ...options.env },
  });
}

Deno.test({
  name: "qmpmux shell shows events above the line that is typed",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    const served = Promise.withResolvers<FakeQemuConnection>();
    await using qemu = new FakeQemu(`${place.path}/vm`, {
      answer({ name, id }, connection): string | undefined {
        served.resolve(connection);
        return name === "stop" ? emptyReturn({ id }) : undefined;
      },
    });
    await using terminal = shell(qemu.path);
    await terminal.ends("qmp>");
    await terminal.type("sto");
    await terminal.ends("qmp> sto");
    const connection = await served.promise;
    connection.say(eventLine("EVIL\x1b[31m", { text: "\x1b[2J" }));
    await terminal.shows("EVIL");
    assertEquals(terminal.lines.at(-2)!.slice(9), 'EVIL\\u001b[31m {"text": "\\u001B[2J"}');
    assertEquals([terminal.lines.at(-1), terminal.column], ["qmp> sto", 8]);
    await terminal.type("p\r");
    await terminal.ends("qmp>");
    assertEquals(terminal.lines.slice(-3), ["qmp> stop", "{}", "qmp>"]);
    await terminal.type("\x04");
    assertEquals(await terminal.ended(), 0);
  },
});
