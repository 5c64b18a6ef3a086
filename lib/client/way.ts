/**
 * The way to a monitor: an address, to which a client can connect again, or a pair of streams.
 *
 * @module
 */

import { type ClientSocket, connectSocket } from "../platform/client_socket.ts";
import { addressText } from "../policy/address.ts";
import { type ByteStreams, streamSocket } from "./byte_streams.ts";
import { monitorAddress } from "./monitor_address.ts";

/** The way to a monitor. */
export interface Way {
  /** The address for messages. */
  readonly text: string;
  /** Whether it can be used again after a connection is lost. */
  readonly isLasting: boolean;
  /** Opens a connection. */
  open(signal: AbortSignal): Promise<ClientSocket>;
}

/**
 * Returns the way to a monitor.
 *
 * @throws ConnectError if it is neither an address nor a pair of streams
 */
export function wayTo(monitor: string | ByteStreams): Way {
  if (isStreams(monitor)) {
    const open = (): Promise<ClientSocket> => Promise.resolve(streamSocket(monitor));
    return { text: "the pair of streams", isLasting: false, open };
  }
  const address = monitorAddress(monitor);
  const open = (signal: AbortSignal): Promise<ClientSocket> => connectSocket(address, signal);
  return { text: addressText(address), isLasting: true, open };
}

function isStreams(monitor: string | ByteStreams): monitor is ByteStreams {
  const { readable, writable } = Object(monitor) as Partial<ByteStreams>;
  return readable !== undefined && writable !== undefined;
}
