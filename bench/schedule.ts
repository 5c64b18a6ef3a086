/**
 * The core alone: the cost of a command to QEMU and back without sockets.
 *
 * @module
 */

import { Scheduler } from "../lib/sharing/scheduler.ts";
import { type Report, timed } from "./measure.ts";
import { BenchHub } from "./hub.ts";

const COMMANDS: Readonly<Record<string, string>> = {
  "query-status": '{"execute":"query-status"}\n',
  "query-status with an id": '{"execute": "query-status", "id": "__qmp#00001"}\r\n',
  "qom-get with an id":
    '{"execute":"qom-get","arguments":{"path":"/machine/unattached/device[0]",' +
    '"property":"realized"},"id":"libvirt-417"}\r\n',
  "a kept answer": '{"execute":"query-version"}\n',
};
const REPLY = '{"return": {"status": "paused", "singlestep": false, "running": false}}\r\n';

/** Adds the rows of this bench. */
export function measureSchedule({ rows }: Report): void {
  const add = (work: string, ns: number): void => {
    rows.push({ bench: "schedule", work, unit: "us", values: { qmpmux: ns / 1000 }, ratios: [] });
  };
  const encoder = new TextEncoder();
  const reply = encoder.encode(REPLY);

  const hub = new BenchHub();
  const client = hub.client();
  client.say(COMMANDS["a kept answer"]!);
  hub.qemuSays(reply);
  for (const [work, text] of Object.entries(COMMANDS)) {
    const bytes = encoder.encode(text);
    add(
      `a round trip through Mux: ${work}`,
      timed(() => {
        client.sayBytes(bytes);
        if (hub.asked) hub.qemuSays(reply);
      }),
    );
  }

  const crowd = Array.from({ length: 200 }, () => hub.client());
  const question = encoder.encode(COMMANDS["query-status"]!);
  const twins = timed(() => {
    for (const one of crowd) one.sayBytes(question);
    while (hub.asked) hub.qemuSays(reply);
  });
  add("the same query of 200 clients, each", twins / crowd.length);

  const scheduler = new Scheduler<number, number>();
  const turns = timed(() => {
    for (let party = 0; party < 200; party++) scheduler.enqueue(party, party);
    while (scheduler.next() !== undefined);
  });
  add("a turn of Scheduler among 200", turns / 200);
}
