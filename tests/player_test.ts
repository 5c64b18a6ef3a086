/**
 * The player of a recorded session: order, repetition, events in their places, times.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { commandIn } from "../lib/testing/play.ts";
import { Player } from "../lib/testing/player.ts";
import { recordingPlay } from "../lib/testing/recording_play.ts";
import { type Exchange, MadeRecording } from "./support/made_recording.ts";

/** A session of one client that is being played. */
class Scene {
  readonly lines: string[] = [];
  readonly player: Player;
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();
  /** The number of times that the player has looked at the clock. */
  looks = 0;

  constructor(
    recording: MadeRecording,
    { isLenient = false, speed = 0 }: { isLenient?: boolean; speed?: number } = {},
  ) {
    const { sessions, mark } = recordingPlay(recording.text, { as: "clients", vm: undefined });
    const clock = {
      now: () => {
        this.looks++;
        return this.#now;
      },
      after: (seconds: number, run: () => void) => {
        const timer = { at: this.#now + seconds, run };
        this.#timers.add(timer);
        return () => void this.#timers.delete(timer);
      },
    };
    this.player = new Player(sessions[0]!, { isLenient, speed, mark, clock }, {
      event: ({ name }) => this.#note(name),
      close: () => this.#note("closed"),
      came: () => {},
    });
  }

  #note(text: string): void {
    this.lines.push(this.#now === 0 ? text : `${this.#now} ${text}`);
  }

  /** Sends a command; returns what has come since the last one. */
  send(name: string, args?: object, delay = 0): string[] {
    const execute = name.startsWith("oob:") ? "exec-oob" : "execute";
    const text = JSON.stringify({ [execute]: name.replace("oob:", ""), arguments: args });
    const command = commandIn(new TextEncoder().encode(text))!;
    const unexpected = this.player.take(command, (reply, { line }) => {
      const text = reply && new TextDecoder().decode(reply.bytes).trimEnd();
      this.#note(text ?? `no reply (line ${line})`);
    }, delay);
    if (unexpected) {
      const near = unexpected.nearest && ` [${unexpected.nearest.line}]`;
      this.#note(`${unexpected.reason}${near ?? ""}`);
    }
    return this.take();
  }

  /** Moves the clock; returns what has come. */
  passTo(seconds: number): string[] {
    for (;;) {
      const [timer] = [...this.#timers].filter(({ at }) => at <= seconds)
        .sort((one, other) => one.at - other.at);
      if (timer === undefined) break;
      this.#timers.delete(timer);
      this.#now = timer.at;
      timer.run();
    }
    this.#now = seconds;
    return this.take();
  }

  take(): string[] {
    return this.lines.splice(0);
  }
}

/** A recording of one client's commands, one a second; a name in capitals is an event. */
function recorded(...steps: readonly (string | Partial<Exchange>)[]): MadeRecording {
  const recording = new MadeRecording();
  recording.connect("mux/1", 0, { mode: "negotiation", listener: "mux" });
  recording.exchange({ client: "mux/1", t: 0, name: "qmp_capabilities" });
  for (const [index, step] of steps.entries()) {
    const t = index + 1;
    if (typeof step === "string" && /^[A-Z]/.test(step)) {
      recording.event(t, step, undefined, ["mux/1"]);
    } else {
      const more = typeof step === "string" ? { name: step } : step;
      recording.exchange({
        client: "mux/1",
        t,
        name: "x",
        run: 0.5,
        reply: `"return": ${index}`,
        ...more,
      });
    }
  }
  return recording;
}

Deno.test("Player gives replies and events in their places", () => {
  const scene = new Scene(recorded("query-status", "RESUME", "cont", "STOP", "POWERDOWN", "quit"));
  scene.player.begin();
  assertEquals(scene.take(), []);
  assertEquals(scene.send("query-status"), ['{"return": 0}', "RESUME"]);
  assertEquals(scene.send("cont"), ['{"return": 2}', "STOP", "POWERDOWN"]);
  assertEquals(scene.send("quit"), ['{"return": 5}']);
});

Deno.test("Player sends events that follow the negotiation", () => {
  const scene = new Scene(recorded("STOP", "RESUME", "quit"));
  scene.player.begin();
  assertEquals(scene.take(), ["STOP", "RESUME"]);
});

Deno.test("Player refuses a command that comes before one that changes something", () => {
  const scene = new Scene(recorded("query-status", "stop", "cont", "query-name"));
  assertEquals(scene.send("cont"), [
    "The command cont is not due: in the recording stop (line 9) comes before it [13]",
  ]);
  assertEquals(scene.send("query-name"), [
    "The command query-name is not due: in the recording stop (line 9) comes before it [17]",
  ]);
  assertEquals(scene.send("stop"), ['{"return": 1}']);
  assertEquals(scene.send("stop"), ["The command stop is not in the recording again [9]"]);
  assertEquals(scene.send("cont"), ['{"return": 2}']);
});

Deno.test("Player takes queries in any order, repeated or not at all, between changes", () => {
  const steps = ["query-status", "query-name", "stop", "query-status", "query-name"];
  const scene = new Scene(recorded(...steps));
  assertEquals(scene.send("query-name"), ['{"return": 1}']);
  assertEquals(scene.send("query-name"), ['{"return": 1}']);
  assertEquals(scene.send("stop"), ['{"return": 2}']);
  assertEquals(scene.send("query-name"), ['{"return": 4}']);
  assertEquals(scene.send("query-status"), ['{"return": 3}']);
  assertEquals(scene.send("query-status"), ['{"return": 3}']);
});

Deno.test("Player sends the events of queries that were left out", () => {
  const scene = new Scene(recorded("query-status", "STOP", "cont"));
  assertEquals(scene.send("cont"), ["STOP", '{"return": 2}']);
});

Deno.test("Player names the nearest recorded command", () => {
  const scene = new Scene(recorded(
    { name: "device_del", args: '{"id":"net1"}' },
    { name: "device_add", args: '{"id":"net1","driver":"e1000"}' },
    { name: "device_add", args: '{"id":"net2","driver":"virtio"}' },
  ));
  assertEquals(scene.send("device_add", { id: "net2", driver: "rtl" }), [
    "The command device_add is not in the recording with these arguments [13]",
  ]);
  assertEquals(scene.send("device-del"), [
    "The command device-del is not in the recording [5]",
  ]);
  assertEquals(scene.send("balloon"), ["The command balloon is not in the recording"]);
});

Deno.test("Player names the lane of a command that is recorded in the other one", () => {
  const scene = new Scene(recorded({ name: "query-yank", oob: true }, "query-status"));
  assertEquals(scene.send("query-yank"), [
    "The command query-yank is recorded only out of band [5]",
  ]);
  assertEquals(scene.send("oob:query-status"), [
    "The command query-status is recorded only in band [9]",
  ]);
});

Deno.test("a lenient Player answers by command and arguments, in sequence", () => {
  const recording = recorded("query-status", "stop", "STOP", "query-status", "cont", "RESUME");
  const scene = new Scene(recording, { isLenient: true });
  assertEquals(scene.send("cont"), ['{"return": 4}', "RESUME"]);
  assertEquals(scene.send("query-status"), ['{"return": 0}']);
  assertEquals(scene.send("query-status"), ['{"return": 3}']);
  assertEquals(scene.send("query-status"), ['{"return": 3}']);
  assertEquals(scene.send("stop"), ['{"return": 1}', "STOP"]);
  assertEquals(scene.send("stop"), ['{"return": 1}']);
  assertEquals(scene.send("quit"), ["The command quit is not in the recording"]);
});

Deno.test("a lenient Player sends all events that follow the negotiation in one go", () => {
  const steps = Array.from({ length: 500 }, () => ["query-status", "STOP"]).flat();
  const scene = new Scene(recorded(...steps), { isLenient: true });
  scene.player.begin();
  assertEquals(scene.take(), Array.from({ length: 500 }, () => "STOP"));
  assert(scene.looks < 5, `${scene.looks} looks at the clock`);
});

Deno.test("Player compares arguments whatever their order, with integers of 64 bits", () => {
  const args = '{"a":{"x":1,"y":[true,"s"]},"b":18446744073709551615}';
  const scene = new Scene(recorded({ name: "x-set", args }));
  const near = { b: 18446744073709551616, a: { x: 1, y: [true, "s"] } };
  assertEquals(scene.send("x-set", near), [
    "The command x-set is not in the recording with these arguments [5]",
  ]);
  const given =
    '{"execute":"x-set","arguments":{"b":18446744073709551615,"a":{"y":[true,"s"],"x":1}}}';
  const replies: string[] = [];
  scene.player.take(
    commandIn(new TextEncoder().encode(given))!,
    (reply) => replies.push(reply!.kind),
  );
  assertEquals(replies, ["return"]);
});

Deno.test("what was removed from a recording matches anything", () => {
  const recording = new MadeRecording({ removed: "(removed 0f1e)" });
  recording.exchange({
    client: "mux/1",
    t: 1,
    name: "set_password",
    args: '{"protocol":"vnc","password":"(removed 0f1e)"}',
  });
  const scene = new Scene(recording);
  assertEquals(scene.send("set_password", { protocol: "spice", password: "secret" }), [
    "The command set_password is not in the recording with these arguments [2]",
  ]);
  const args = { protocol: "vnc", password: "secret" };
  assertEquals(scene.send("set_password", args), ['{"return": {}}']);
});

Deno.test("Player keeps the recorded times, or is faster", () => {
  for (const speed of [1, 2]) {
    const scene = new Scene(recorded("query-status", "STOP"), { speed });
    const at = (seconds: number) => seconds / speed;
    scene.player.begin();
    scene.passTo(10);
    assertEquals(scene.send("query-status"), []);
    assertEquals(scene.passTo(10 + at(0.4)), []);
    // The event came a second after the command.
    assertEquals(scene.passTo(30), [`${10 + at(0.5)} {"return": 0}`, `${10 + at(1)} STOP`]);
  }
});

Deno.test("a client that is ahead of the recording gets events before their times", () => {
  const scene = new Scene(recorded("stop", "STOP", "cont"), { speed: 1 });
  scene.player.begin();
  scene.send("stop");
  assertEquals(scene.passTo(0.5), ['0.5 {"return": 0}']);
  assertEquals(scene.send("cont"), ["0.5 STOP"]);
  assertEquals(scene.passTo(1), ['1 {"return": 2}']);
});

Deno.test("Player closes the connection where QEMU did", () => {
  const recording = recorded("quit");
  recording.disconnect("mux/1", 1.6, "qemu");
  const scene = new Scene(recording);
  assertEquals(scene.send("quit"), ['{"return": 0}', "closed"]);
});

Deno.test("events and the close follow a delayed reply", () => {
  const recording = recorded("query-status", "STOP", "cont", "RESUME", "quit", "SHUTDOWN");
  recording.disconnect("mux/1", 9, "qemu");
  for (const isLenient of [false, true]) {
    const scene = new Scene(recording, { isLenient });
    const early = isLenient ? ["STOP"] : [];
    assertEquals(scene.send("query-status", {}, 1), early);
    assertEquals(scene.send("cont", {}, 4), []);
    assertEquals(scene.send("quit"), []);
    // Replies are in the order of their commands.
    assertEquals(scene.passTo(3), ['1 {"return": 0}', ...(isLenient ? [] : ["1 STOP"])]);
    assertEquals(scene.passTo(4), [
      ...['4 {"return": 2}', "4 RESUME", '4 {"return": 4}', "4 SHUTDOWN", "4 closed"],
    ]);
  }
});

Deno.test("a delayed reply holds up no command out of band, but the close", () => {
  const recording = recorded("query-status", { name: "query-yank", oob: true }, "quit");
  recording.disconnect("mux/1", 9, "qemu");
  const scene = new Scene(recording);
  assertEquals(scene.send("query-status", {}, 2), []);
  assertEquals(scene.send("oob:query-yank"), ['{"return": 1}']);
  assertEquals(scene.passTo(2), ['2 {"return": 0}']);
  // These replies are not the next step.
  assertEquals(scene.send("query-status", {}, 3), []);
  assertEquals(scene.send("oob:query-yank", {}, 6), []);
  assertEquals(scene.send("quit"), []);
  assertEquals(scene.passTo(5), ['5 {"return": 0}', '5 {"return": 2}']);
  assertEquals(scene.passTo(8), ['8 {"return": 1}', "8 closed"]);
});

Deno.test("a delayed reply comes later at any speed, in the order of the commands", () => {
  const scene = new Scene(recorded("query-status", "query-name", "STOP"), { speed: 1 });
  scene.player.begin();
  assertEquals(scene.send("query-name", {}, 3), []);
  assertEquals(scene.send("query-status"), []);
  assertEquals(scene.passTo(9), ['3.5 {"return": 1}', '3.5 {"return": 0}', "4 STOP"]);
});

Deno.test("Player tells where the recording has no reply, and goes on", () => {
  const recording = recorded("query-status");
  recording.command("mux/1", 9, '{"execute":"query-status"}');
  recording.event(10, "SHUTDOWN", undefined, ["mux/1"]);
  recording.disconnect("mux/1", 11, "qemu");
  const scene = new Scene(recording);
  assertEquals(scene.send("query-status"), ['{"return": 0}']);
  assertEquals(scene.send("query-status"), ["no reply (line 9)", "SHUTDOWN", "closed"]);
});
