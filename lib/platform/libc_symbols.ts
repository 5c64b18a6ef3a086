/**
 * The C library: the functions that are used, how it is loaded, and the errors of its calls.
 *
 * It is loaded when it is first used.
 *
 * @module
 */

/** The error if FFI is not available, with the remedy. */
export class FfiError extends Error {
  /** Its kind. */
  override name = "FfiError";
}

/** The file names of the C library. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"] as const;

/** The functions that are used; an `optional` function that is missing is `null`. */
export const SYMBOLS = {
  __errno_location: { parameters: [], result: "pointer" },
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: {
    parameters: ["i32", "buffer", "i32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
  getdtablesize: { parameters: [], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // Since 1.2.4 musl has only the second name.
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize", optional: true },
  getdents: { parameters: ["i32", "buffer", "usize"], result: "isize", optional: true },
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  memcpy: { parameters: ["buffer", "pointer", "usize"], result: "void" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
} as const;

/** Those functions, as {@linkcode Deno.dlopen} returns them. */
export type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** The part of the binary interface of Linux that depends on the processor. */
export interface Layout {
  /** The flag of `open` for directories only. */
  readonly O_DIRECTORY: number;
  /** The size of `struct epoll_event`, which is packed on x86-64 only. */
  readonly EPOLL_EVENT_BYTES: number;
}

/**
 * The layout for each processor that Deno runs on, with 64-bit Linux.
 *
 * All other numbers are those of `asm-generic`, which both processors use.
 */
export const LAYOUTS: Readonly<Record<typeof Deno.build.arch, Layout>> = {
  x86_64: { O_DIRECTORY: 0o200000, EPOLL_EVENT_BYTES: 12 },
  aarch64: { O_DIRECTORY: 0o40000, EPOLL_EVENT_BYTES: 16 },
};

/**
 * Loads the library.
 *
 * @throws FfiError if it cannot be found, or Deno does not allow it
 */
export function openSymbols(): Symbols {
  if (Deno.build.os !== "linux") {
    throw new FfiError(`FFI is used on Linux only, and this is ${Deno.build.os}`);
  }
  let why = "";
  for (const library of LIBRARIES) {
    try {
      return Deno.dlopen(library, SYMBOLS).symbols;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) {
        throw new FfiError("FFI is not allowed; run Deno with --allow-ffi");
      }
      why ||= (error as Error).message;
    }
  }
  throw new FfiError(`no C library could be loaded (${why})`);
}

const EINTR = 4;
const EAGAIN = 11;
const ENFILE = 23;
const EMFILE = 24;

/** Errors as Deno's own sockets throw them, by number. */
const ERRORS: ReadonlyMap<number, new (message: string) => Error> = new Map([
  [1, Deno.errors.PermissionDenied],
  [2, Deno.errors.NotFound],
  [9, Deno.errors.BadResource],
  [13, Deno.errors.PermissionDenied],
  [32, Deno.errors.BrokenPipe],
  [98, Deno.errors.AddrInUse],
  [99, Deno.errors.AddrNotAvailable],
  [103, Deno.errors.ConnectionAborted],
  [104, Deno.errors.ConnectionReset],
  [107, Deno.errors.NotConnected],
  [110, Deno.errors.TimedOut],
]);

/** The functions of the library, with the errors that Deno's own sockets throw. */
export class Calls {
  /** The functions. */
  readonly c: Symbols;
  readonly #errnoPlace: Deno.PointerValue;
  readonly #error = new DataView(new ArrayBuffer(4));

  /** Finds the address of the error number; this needs the permission for FFI. */
  constructor(symbols: Symbols) {
    this.c = symbols;
    this.#errnoPlace = symbols.__errno_location();
  }

  /** The error number of the last call. */
  get errno(): number {
    this.c.memcpy(this.#error, this.#errnoPlace, 4n);
    return this.#error.getInt32(0, true);
  }

  /**
   * Makes a call, and repeats it if a signal interrupts it.
   *
   * @returns `undefined` if it would have blocked
   */
  attempt(name: string, call: () => number | bigint): number | undefined {
    for (;;) {
      const result = Number(call());
      if (result >= 0) return result;
      const code = this.errno;
      if (code === EAGAIN) return undefined;
      if (code !== EINTR) throw errorOf(code, name);
    }
  }

  /** Returns the result of the last call, or throws its error. */
  checked(result: number, name: string): number {
    if (result < 0) throw errorOf(this.errno, name);
    return result;
  }

  /** Closes a descriptor. */
  close(descriptor: number): void {
    // Linux closes the descriptor even if it reports an interruption.
    this.c.close(descriptor);
  }
}

function errorOf(code: number, name: string): Error {
  // Exhaustion is recognized by this text, which is that of Deno's own error.
  if (code === EMFILE || code === ENFILE) {
    return new Error(`Too many open files (os error ${code})`);
  }
  const kind = ERRORS.get(code) ?? Error;
  return new kind(`${name}: os error ${code}`);
}
