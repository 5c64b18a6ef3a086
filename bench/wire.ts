/**
 * Bytes and messages: the cost of splitting, reading and labelling.
 *
 * There are three sizes: 99 bytes, like most messages; 2 kB, like a large query; 207 kB, like
 * QEMU's schema, the largest known.
 *
 * @module
 */

import { MessageSplitter } from "../lib/wire/message_splitter.ts";
import { canonical } from "../lib/wire/qemu_json.ts";
import { type Frame, FrameSplitter } from "../lib/wire/frame.ts";
import { readCommand } from "../lib/wire/command_reader.ts";
import { readMessage } from "../lib/wire/message.ts";
import { withId } from "../lib/wire/reply.ts";
import { type Report, timed } from "./measure.ts";

const SIZES = { "99 B": 99, "2 kB": 2048, "207 kB": 207_000 } as const;
const ENCODER = new TextEncoder();

/** Makes a command of this length, most of it in its arguments. */
function command(length: number): Uint8Array {
  const frame = (items: string) =>
    `{"execute":"qom-set","arguments":{"value":[${items}],"path":"/a/b"},"id":"libvirt-42"}`;
  return ENCODER.encode(frame(filling(length - frame("").length)));
}

/** Makes a reply of this length, as QEMU writes it. */
function reply(length: number): Uint8Array {
  const frame = (items: string) => `{"return": [${items}], "id": 42}\r\n`;
  return ENCODER.encode(frame(filling(length - frame("").length)));
}

function filling(length: number): string {
  const item = `{"name": "member-12", "type": "str", "default": null}`;
  const items: string[] = [];
  let left = length;
  for (; left >= item.length + 4; left -= item.length + 2) items.push(item);
  items.push(`"${"x".repeat(Math.max(0, left - 2))}"`);
  return items.join(", ");
}

/** Returns the only frame in these bytes. */
function frameOf(bytes: Uint8Array): Frame {
  const splitter = new FrameSplitter();
  splitter.load(bytes);
  const frame = splitter.next();
  if (frame === undefined || !("bytes" in frame)) throw new Error("The bench's frame is damaged");
  return frame;
}

/** Adds the rows of this bench. */
export function measureWire({ rows }: Report): void {
  const add = (work: string, call: () => void): void => {
    rows.push({
      bench: "wire",
      work,
      unit: "us",
      values: { qmpmux: timed(call) / 1000 },
      ratios: [],
    });
  };
  for (const [size, length] of Object.entries(SIZES)) {
    const asked = command(length);
    const frames = new FrameSplitter();
    add(`FrameSplitter, ${size}`, () => {
      frames.load(asked);
      frames.next();
      frames.next();
    });
    const frame = frameOf(asked);
    add(`readCommand, ${size}`, () => void readCommand(frame, false));
    const [start, end] = frame.offsets.slice(4, 6) as [number, number];
    add(`canonical, ${size}`, () => void canonical(frame.bytes, start, end));

    const answered = reply(length);
    const messages = new MessageSplitter();
    add(`MessageSplitter, ${size}`, () => {
      messages.load(answered);
      messages.next();
      messages.next();
    });
    const message = readMessage(answered);
    if (message?.kind !== "return") throw new Error("The bench's reply is none");
    add(`readMessage, ${size}`, () => void readMessage(answered));
    add(`withId, ${size}`, () => void withId(message, '"libvirt-42"'));
  }
}
