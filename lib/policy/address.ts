/**
 * The reader of socket addresses in the forms that QEMU uses.
 *
 * @module
 */

import { UsageError } from "./usage_error.ts";

/** An address to connect to or to listen on. */
export type Address =
  | { readonly transport: "unix"; readonly path: string }
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number };

/** An address to listen on, or the name of a socket that systemd opened and passed. */
export type ListenAddress = Address | { readonly transport: "fd"; readonly name: string };

/** Tells whether an address is a socket in the file system. */
export function isFile(address: ListenAddress): boolean {
  return address.transport === "unix" && !address.path.startsWith("\0");
}

/** The most bytes of a socket's path: the kernel's `sun_path` holds 108 with the final NUL. */
export const PATH_BYTES_LIMIT = 107;

/** `HOST:PORT`: an IPv6 address in brackets with an optional zone, an IPv4 address or a name. */
const TCP = /^(?:tcp:)?(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?\]|[\w.-]*):(\d+)$/;

const FORMS = "unix:/path, /path, unix-abstract:NAME, tcp:HOST:PORT or HOST:PORT";

/** A path: it has a slash before any colon. */
const PATH = /^[^:/]*\//;

/** An unambiguous name of a file in the working directory. */
const BARE_NAME = /^[\p{L}\p{N}_.@][\p{L}\p{N}_.@+-]*$/u;

/** The words that begin an address, and so are not names of files. */
const SCHEMES: readonly string[] = ["unix", "unix-abstract", "tcp", "fd"];

/**
 * Reads an address.
 *
 * @param text one of `unix:/path`, `/path`, `unix-abstract:NAME`, `tcp:HOST:PORT`, `HOST:PORT`, or the
 *   name of a file in the working directory
 * @throws UsageError when the text is malformed, or its path is too long
 */
export function parseAddress(text: string): Address {
  if (text.startsWith("unix-abstract:")) {
    const name = text.slice("unix-abstract:".length);
    if (name === "") throw new UsageError(`${text}: the name is empty; write unix-abstract:NAME`);
    return unix(`\0${name}`, text);
  }
  if (text.startsWith("unix:")) return unix(text.slice("unix:".length), text);
  if (PATH.test(text)) return unix(text, text);
  if (text.startsWith("fd:")) {
    throw new UsageError(`${text}: only --listen accepts passed sockets; write ${FORMS}`);
  }
  if (/^\d+$/.test(text)) {
    throw new UsageError(
      `invalid address "${text}": expected :${text} for a port or ./${text} for a file`,
    );
  }
  if (BARE_NAME.test(text) && !SCHEMES.includes(text)) return unix(text, text);
  const [, hostname, port] = TCP.exec(text) ?? [];
  if (hostname === undefined || port === undefined) {
    if (text.includes("{vm}")) {
      throw new UsageError(
        `invalid address ${JSON.stringify(text)}: {vm} is only for unix sockets; write unix:/path`,
      );
    }
    throw new UsageError(`invalid address ${JSON.stringify(text)}: expected ${FORMS}`);
  }
  if (Number(port) > 65535) {
    throw new UsageError(`${text}: port ${port} is out of range; ports are 0 to 65535`);
  }
  const bare = hostname.replace(/^\[|\]$/g, "");
  return { transport: "tcp", hostname: bare === "" ? "127.0.0.1" : bare, port: Number(port) };
}

/**
 * Reads an address to listen on.
 *
 * @param text an address, or `fd:NAME`
 * @throws UsageError when the text is malformed
 */
export function parseListenAddress(text: string): ListenAddress {
  if (!text.startsWith("fd:")) return parseAddress(text);
  const name = text.slice("fd:".length);
  // deno-lint-ignore no-control-regex
  if (/^[^:\x00-\x1f\x7f]{1,255}$/.test(name)) return { transport: "fd", name };
  throw new UsageError(
    `invalid address ${JSON.stringify(text)}: expected fd:NAME, ` +
      "with the FileDescriptorName= of the socket unit",
  );
}

function unix(path: string, text: string): Address {
  if (path === "") throw new UsageError(`${text}: the path is empty; write unix:/path`);
  // Only an abstract name begins with a NUL.
  if (path.includes("\0", text.startsWith("unix-abstract:") ? 1 : 0)) {
    throw new UsageError(`${shownPath(path)}: the path contains a NUL; remove it`);
  }
  const { length } = new TextEncoder().encode(path);
  if (length > PATH_BYTES_LIMIT) {
    throw new UsageError(
      `${
        shownPath(path)
      }: the path has ${length} bytes, but a socket's has at most ${PATH_BYTES_LIMIT}; ` +
        "use a shorter path",
    );
  }
  return { transport: "unix", path };
}

/** Returns a path for messages; an abstract one begins with `@`. */
function shownPath(path: string): string {
  return path.startsWith("\0") ? `@${path.slice(1)}` : path;
}

/** Returns an address in its command-line form. */
export function addressText(address: ListenAddress): string {
  if (address.transport === "fd") return `fd:${address.name}`;
  if (address.transport === "tcp") {
    const { hostname, port } = address;
    return `tcp:${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }
  const { path } = address;
  return path.startsWith("\0") ? `unix-abstract:${path.slice(1)}` : `unix:${path}`;
}

/** Returns an address without `.`, `..` and empty parts in its path, for comparison. */
export function plain(address: ListenAddress): ListenAddress {
  if (address.transport !== "unix" || !address.path.startsWith("/")) return address;
  const parts: string[] = [];
  for (const part of address.path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return { ...address, path: `/${parts.join("/")}` };
}

/** Tells whether only this machine can reach an address; true for a passed socket, which is checked later. */
export function isLocal(address: ListenAddress): boolean {
  if (address.transport !== "tcp") return true;
  return address.hostname === "localhost" || address.hostname === "::1" ||
    /^127(\.(\d\d?|1\d\d|2[0-4]\d|25[0-5])){3}$/.test(address.hostname);
}
