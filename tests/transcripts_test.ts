/**
 * Plays the conversations in `tests/transcripts/` against the hub.
 *
 * One file shows one behaviour; it is test, fixture and documentation at once.
 * A message that is not in the file fails the test. The notation:
 *
 *     # a comment
 *     a> TEXT         client a sends TEXT and a line end
 *     a< TEXT         client a must get TEXT next
 *     a< EOF          client a must see the end of the connection
 *     a+ NAME         client a sends descriptors, before its next line
 *     q< +NAME TEXT   QEMU must get TEXT next, and get those descriptors with it
 *     ! closed NAME   those descriptors have been closed
 *     q> TEXT         QEMU sends TEXT
 *     q< TEXT         QEMU must get TEXT next
 *     ! connect a [OPTION=VALUE]…  a client connects to a listener with
 *                     role=, dialect=, events=, cache=, join=, max-command=,
 *                     and sends nothing yet
 *     ! ready a [oob] a client connects and negotiates
 *     ! leave a       a client disconnects
 *     ! paused a, ! reading a                      whether it is read from at the moment
 *     ! hold          (before all else) on-loss=hold; the time of day is 1.5 seconds
 *     ! deadline GLOB SECONDS                      (before all else)
 *     ! probes when idle                           (before all else) as with --watchdog qemu
 *     ! notice TEXT   the daemon has been notified, by stalled() and answers again
 *     ! no qemu       (first line) QEMU is not there at the start
 *     ! qemu [GREETING]                            QEMU connects, greets and negotiates
 *     ! qemu arrives  its connection is up, nothing has been sent; our number is 1001, 1002, …
 *     ! qemu goes, ! tick SECONDS, ! drain
 *
 * A client that is named for the first time is ready, without capabilities.
 *
 * @module
 */

import { assert, assertEquals, fail } from "@std/assert";
import { ROLES } from "../lib/policy/roles.ts";
import type { DialectName } from "../lib/policy/admission.ts";
import { FakeFds, type FakePeer } from "./support/fake_peer.ts";
import { grant, Stage } from "./support/stage.ts";

const DIRECTORY = new URL("./transcripts/", import.meta.url);

/** Directives that are read before the first line is played. */
const SETTINGS = /^! (no qemu$|hold$|probes when idle$|deadline )/;

class Player {
  #stage = new Stage();

  play(text: string): void {
    const lines = text.split("\n");
    const deadlines = lines.filter((line) => line.startsWith("! deadline ")).map((line) => {
      const [, , glob, seconds] = line.split(" ");
      return { glob: glob!, seconds: Number(seconds) };
    });
    const onLoss = lines.includes("! hold") ? "hold" : "close";
    const probesWhenIdle = lines.includes("! probes when idle");
    this.#stage = new Stage(60, { onLoss, deadlines, probesWhenIdle });
    FakeFds.closed = [];
    if (!lines.includes("! no qemu")) this.#stage.qemuReady();
    for (const [index, line] of lines.entries()) {
      try {
        this.#play(line);
      } catch (error) {
        throw new Error(`line ${index + 1}: ${line}`, { cause: error });
      }
    }
    this.#silence();
  }

  #play(line: string): void {
    if (line === "" || line.startsWith("#") || SETTINGS.test(line)) return;
    const [, who, direction, rest] = /^([a-z!])([<>+]?) (.*)$/.exec(line) ??
      fail(`unknown line: ${line}`);
    if (direction === "<") return this.#hears(this.#peer(who!), rest!);
    if (who === "!" && rest!.startsWith("closed ")) return this.#direct(rest!.split(" "));
    this.#silence();
    if (who === "!") this.#direct(rest!.split(" "));
    else if (who === "q") this.#stage.qemuSays(rest!);
    else if (direction === "+") {
      this.#stage.mux.fdsReceived(this.#client(who!).monitor, new FakeFds(rest!));
    } else this.#client(who!).say(`${rest}\n`);
  }

  #direct([verb, name = "", ...words]: string[]): void {
    const stage = this.#stage;
    switch (verb) {
      case "connect": {
        const options = Object.fromEntries(words.map((word) => word.split("=")));
        const dialect = (options.dialect ?? "qmp") as DialectName;
        const role = ROLES.get(options.role ?? "full") ?? fail(`unknown role: ${options.role}`);
        const events = options.events?.split("+");
        const [caches, joins] = [options.cache !== "off", options.join !== "off"];
        const command = options["max-command"];
        const limits = command === undefined ? {} : { "max-command": Number(command) };
        stage.connect(name, grant({ role, dialect, events, caches, joins, limits }));
        break;
      }
      case "ready":
        stage.ready(name, words);
        break;
      case "leave":
        this.#client(name).leave();
        break;
      case "paused":
        assert(this.#client(name).peer.paused, `${name} is read from`);
        break;
      case "reading":
        assert(!this.#client(name).peer.paused, `${name} is not read from`);
        break;
      case "qemu":
        if (name === "goes") stage.qemuGoes();
        else if (name === "arrives") stage.qemuArrives();
        else if (name === "") stage.qemuReady();
        else stage.qemuReady([name, ...words].join(" "));
        break;
      case "tick":
        stage.mux.tick(Number(name));
        break;
      case "drain":
        stage.mux.drain();
        break;
      case "closed":
        assertEquals(FakeFds.closed.shift(), name);
        break;
      case "notice":
        assertEquals(stage.notices.pop(), name);
        break;
      default:
        fail(`unknown directive: ${verb}`);
    }
    for (const client of stage.clients.values()) client.read();
  }

  #hears(peer: FakePeer, text: string): void {
    if (text !== "EOF") return assertEquals(peer.heard.shift(), text);
    assertEquals(peer.heard, []);
    assert(peer.closed !== undefined, "The connection is still open");
    peer.closed = undefined;
    peer.send = (): void => fail("bytes were sent after the close");
  }

  #client(name: string): ReturnType<Stage["connect"]> {
    return this.#stage.clients.get(name) ?? this.#stage.ready(name);
  }

  #peer(name: string): FakePeer {
    return name === "q" ? this.#stage.qemu : this.#client(name).peer;
  }

  /** Asserts that every message, event and close is in the transcript. */
  #silence(): void {
    for (
      const [name, { peer }] of [["q", { peer: this.#stage.qemu }] as const, ...this.#stage.clients]
    ) {
      assertEquals(peer.heard, [], `${name} heard what is not written`);
      assertEquals(peer.closed, undefined, `${name} saw an end that is not written`);
    }
    assertEquals(FakeFds.closed, [], "Something was closed that is not written");
  }
}

for (const { name } of Deno.readDirSync(DIRECTORY)) {
  if (!name.endsWith(".qmp")) continue;
  Deno.test(`transcript ${name}`, () => {
    new Player().play(Deno.readTextFileSync(new URL(name, DIRECTORY)));
  });
}

Deno.test("Player.play() fails on a message that is not in the transcript", () => {
  for (
    const text of [
      'a> {"execute":"query-status"}', // QEMU gets it
      "! connect a", // a gets the greeting
      'a> {"execute":"stop"}\nq< {"execute":"cont"}',
      'a> {"execute":"stop"}\nq< {"execute":"stop"}\n! qemu goes', // a sees the end
    ]
  ) {
    let failed = false;
    try {
      new Player().play(text);
    } catch {
      failed = true;
    }
    assert(failed, text);
  }
});
