/**
 * A connection in memory: a socket for the fake QEMU, and two streams for its client.
 *
 * @module
 */

import { type ByteStreams, streamSocket } from "../client/byte_streams.ts";
import type { ClientSocket } from "../platform/client_socket.ts";

/** The writes that one end takes before the other reads, as a socket has a buffer. */
const ROOM = 256;

/** Returns the two ends of a new connection. */
export function memoryPair(): { readonly socket: ClientSocket; readonly streams: ByteStreams } {
  const room = new CountQueuingStrategy({ highWaterMark: ROOM });
  const toServer = new TransformStream<Uint8Array, Uint8Array>({}, undefined, room);
  const toClient = new TransformStream<Uint8Array, Uint8Array>({}, undefined, room);
  const socket = streamSocket({ readable: toServer.readable, writable: toClient.writable });
  return { socket, streams: { readable: toClient.readable, writable: toServer.writable } };
}
