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
 * reply to the event filter
 */
export function hostileMonitor(path: string, asks: string, said: Bytes): FakeQemu {
  if (asks === "greeting") return new FakeQemu(path, { greeting: said, leaves: true });
  return new FakeQemu(path, {
    greeting: '{"QMP": {"version": {}, "capabilities": []}}\r\n',
    answer({ name, id }, connection): string {
      const isFilter = asks === "event" && name === "__org.qmpmux_set-event-filter";
      if (name !== asks) connection.say(emptyReturn({ id }));
      if (name === asks || isFilter) {
        connection.say(said);
        connection.finish();
      }
      return "";
    },
  });
}
