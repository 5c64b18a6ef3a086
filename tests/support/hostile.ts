/**
 * A monitor that sends anything.
 *
 * @module
 */

import { type Bytes, emptyReturn, FakeQemu } from "./fake_qemu.ts";

/**
 * Returns a monitor that answers one command with some bytes and closes the connection. All other
 * commands return an empty object.
 *
 * @param asks the command; `greeting` sends the bytes in place of the greeting, `event` after the
 * reply to the query of the schema, which is the last command of a subcommand that reads events
 */
export function hostileMonitor(path: string, asks: string, said: Bytes): FakeQemu {
  if (asks === "greeting") return new FakeQemu(path, { greeting: said, leaves: true });
  return new FakeQemu(path, {
    greeting: '{"QMP": {"version": {}, "capabilities": []}}\r\n',
    answer({ name, id }, connection): string {
      // Before that, an error without an id would be the reply to the query.
      const isLast = asks === "event" && name === "query-qmp-schema";
      if (name !== asks) connection.say(emptyReturn({ id }));
      if (name === asks || isLast) {
        connection.say(said);
        connection.finish();
      }
      return "";
    },
  });
}
