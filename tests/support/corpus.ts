/**
 * Recorded conversations with QEMU, and a way to replay them.
 *
 * Each case is a connection: the bytes sent after the handshake, and every byte of the reply. A
 * marker command follows the case's bytes; its reply, and not silence, shows where the case's reply
 * ends.
 *
 * @module
 */

import { quoted } from "../../lib/wire/qemu_json.ts";
import { FrameSplitter } from "../../lib/wire/frame.ts";
import { CLASSIC, type Grammar, grammarOf } from "../../lib/wire/grammar.ts";
import { bytesOf, bytesOfHex, fed } from "./cuts.ts";
import { within } from "./deadline.ts";

/** One recorded conversation. */
export interface Case {
  readonly name: string;
  readonly phase: Phase;
  readonly bytes: Uint8Array;
  /** The bytes to be written. */
  readonly chunks: readonly Uint8Array[];
  /** The whole reply, timestamps normalised. */
  readonly heard: string;
}

/** The time at which the bytes are sent: right after the greeting, or after `qmp_capabilities`. */
export type Phase = "negotiation" | "operational" | "operational-oob";

/** The cases of one QEMU. */
export interface Corpus {
  /** `MAJOR.MINOR.MICRO`. */
  readonly version: string;
  readonly grammar: Grammar;
  readonly cases: readonly Case[];
}

/** The command that ends negotiation, by phase. */
export const HANDSHAKES: Readonly<Record<Phase, string>> = {
  "negotiation": "",
  "operational": '{"execute": "qmp_capabilities"}\n',
  "operational-oob": '{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}\n',
};

const DIRECTORY = new URL("../corpus/", import.meta.url);

/** Reads a file of `tests/corpus`. */
export function readCorpus(name: string): Corpus {
  const text = Deno.readTextFileSync(new URL(`${name}.jsonl`, DIRECTORY));
  const [head, ...lines] = text.trim().split("\n").map((line) => JSON.parse(line));
  const cases = lines.map(({ name, phase, send_hex, recv, chunks = [] }): Case => {
    const bytes = bytesOfHex(send_hex);
    let at = 0;
    const parts = (chunks as number[]).map((length) => bytes.subarray(at, at += length));
    return { name, phase, bytes, chunks: [...parts, bytes.subarray(at)], heard: recv };
  });
  const [major, minor] = (head.qemu as string).split(".").map(Number);
  return { version: head.qemu, grammar: grammarOf(major!, minor!), cases };
}

/** The corpora of whole QEMU versions, oldest first. */
export const CORPORA: readonly Corpus[] = ["qemu-7.2", "qemu-10.0", "qemu-11.1"].map(readCorpus);

/** Cases that tests of this project found. */
export const FOUND: Corpus = readCorpus("found");

/** Returns the corpus for a QEMU of a version: the newest that is not newer. */
export function corpusFor(major: number, minor: number): Corpus {
  const fits = CORPORA.filter(({ version }) => {
    const [m, n] = version.split(".").map(Number);
    return m! < major || (m === major && n! <= minor);
  });
  return fits.at(-1) ?? CORPORA[0]!;
}

const TIMESTAMP = /"timestamp": \{"seconds": -?\d+, "microseconds": -?\d+\}/g;

/** Returns a text with all timestamps replaced by the same one. */
export function normalised(text: string): string {
  return text.replace(TIMESTAMP, '"timestamp": {"seconds": S, "microseconds": U}');
}

/**
 * Returns QEMU's errors for malformed input and for values that are not objects: the texts of their
 * `desc`, quoted.
 */
export function damagesOf(input: ReturnType<FrameSplitter["next"]>[]): string[] {
  const texts: string[] = [];
  for (const thing of input) {
    if (thing === undefined) continue;
    if ("damage" in thing) texts.push(quoted(thing.damage));
    else if (!thing.isObject) texts.push('"QMP input must be a JSON object"');
  }
  return texts;
}

/** Returns the `desc` of each error line about malformed input. */
export function damagesIn(heard: string): string[] {
  return [...heard.matchAll(/"desc": ("(?:[^"\\]|\\.)*")/g)]
    .map(([, desc]) => desc!)
    .filter((desc) => /JSON (parse|nesting|token)|must be a JSON object/.test(desc));
}

/** Bytes that return any reader of QMP to the start of a value. */
export const RESYNC = Uint8Array.of(0xff, 0x0a);

const MARKER = bytesOf('{"execute": "query-name", "id": "the end"}\n');
const MARKED = '"id": "the end"';

/** One connection to a monitor, in bytes. */
export class Exchange implements Disposable {
  readonly #socket: Deno.UnixConn;
  readonly #buffer = new Uint8Array(65536);
  readonly #decoder = new TextDecoder();
  #heard = "";

  private constructor(socket: Deno.UnixConn) {
    this.#socket = socket;
  }

  /** Connects and reads the greeting. */
  static async open(path: string): Promise<{ exchange: Exchange; greeting: string }> {
    const exchange = new Exchange(await connected(path));
    return { exchange, greeting: await exchange.until(/^.*\r\n$/) };
  }

  /** Connects and performs the handshake of a phase. */
  static async ready(path: string, phase: Phase): Promise<Exchange> {
    const { exchange } = await Exchange.open(path);
    if (phase === "negotiation") return exchange;
    await exchange.write(bytesOf(HANDSHAKES[phase]));
    const answer = await exchange.until(/\r\n$/);
    if (answer !== '{"return": {}}\r\n') throw new Error(`qmp_capabilities: ${answer}`);
    return exchange;
  }

  /** Writes all the bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#socket.write(bytes.subarray(at));
  }

  /** Reads until the text since the last call matches; returns it. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#heard.slice(-200))) {
      const length = await within(`${pattern} after ${this.#heard.slice(-200)}`, this.#read());
      if (length === null) {
        this.#heard += "<EOF>";
        break;
      }
    }
    const heard = this.#heard;
    this.#heard = "";
    return heard;
  }

  async #read(): Promise<number | null> {
    const length = await this.#socket.read(this.#buffer);
    if (length !== null) {
      this.#heard += this.#decoder.decode(this.#buffer.subarray(0, length), { stream: true });
    }
    return length;
  }

  /** Writes the chunks, a resync and a marker command; returns everything before its reply. */
  async converse(chunks: readonly Uint8Array[]): Promise<string> {
    const write = async (): Promise<void> => {
      for (const chunk of chunks) await this.write(chunk);
      await this.write(RESYNC);
      await this.write(MARKER);
    };
    const [heard] = await Promise.all([this.until(LAST_IS_MARKED), write()]);
    if (!heard.endsWith("\r\n")) return heard;
    return normalised(heard.slice(0, heard.lastIndexOf("\n", heard.length - 2) + 1));
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

const LAST_IS_MARKED = new RegExp(`${MARKED}[^\\n]*\\r\\n$`);

/**
 * Connects. A QEMU serves one connection, queues another one, and refuses a third for the moment.
 */
async function connected(path: string): Promise<Deno.UnixConn> {
  for (;;) {
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
    }
  }
}

/** Replays a case; returns everything that was received, without the replies to the resync. */
export async function replay(
  path: string,
  { phase, chunks, bytes }: Case,
  grammar: Grammar = CLASSIC,
): Promise<string> {
  using exchange = await Exchange.ready(path, phase);
  const heard = await exchange.converse(chunks);
  const extra = resyncLines(phase, bytes, grammar);
  return heard.endsWith(extra) ? heard.slice(0, heard.length - extra.length) : heard;
}

/** Returns QEMU's replies to the resync after these bytes. */
function resyncLines(phase: Phase, bytes: Uint8Array, grammar: Grammar): string {
  const splitter = new FrameSplitter(grammar);
  fed(splitter, [bytesOf(HANDSHAKES[phase]), bytes]);
  return damagesOf(fed(splitter, [RESYNC]))
    .map((desc) => `{"error": {"class": "GenericError", "desc": ${desc}}}\r\n`)
    .join("");
}
