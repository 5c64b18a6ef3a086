/**
 * `qmpmux shell` on a terminal: what a user types, and what the screen shows.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { emptyReturn, eventLine, FakeQemu, type FakeQemuConnection } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { programCommand } from "./support/qmpmux.ts";
import { type TerminalOptions, TestTerminal, WITHOUT_TERMINAL } from "./support/terminal.ts";

/** Starts the shell on a terminal. */
function shell(path: string, options: TerminalOptions = {}): TestTerminal {
  const [command, first] = programCommand();
  return new TestTerminal([command, ...first, "shell", "--socket", path], {
    ...options,
    env: { ...Deno.env.toObject(), NO_COLOR: "1", ...options.env ?? { QMPMUX_HISTORY: "" } },
  });
}

Deno.test({
  name: "qmpmux shell shows events above the line that is typed",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    const served = Promise.withResolvers<FakeQemuConnection>();
    await using qemu = new FakeQemu(`${place.path}/vm`, {
      answer({ name, id }, connection): string | undefined {
        served.resolve(connection);
        return name === "stop" ? emptyReturn({ id }) : undefined;
      },
    });
    await using terminal = shell(qemu.path);
    await terminal.ends("qmp>");
    await terminal.type("sto");
    await terminal.ends("qmp> sto");
    const connection = await served.promise;
    connection.say(eventLine("EVIL\x1b[31m", { text: "\x1b[2J" }));
    await terminal.shows("EVIL");
    await terminal.ends("qmp> sto");
    assertEquals(terminal.lines.at(-2)!.slice(9), 'EVIL\\u001b[31m {"text": "\\u001B[2J"}');
    assertEquals([terminal.lines.at(-1), terminal.column], ["qmp> sto", 8]);
    await terminal.type("p\r");
    await terminal.ends("qmp>");
    assertEquals(terminal.lines.slice(-3), ["qmp> stop", "{}", "qmp>"]);
    await terminal.type("\x04");
    assertEquals(await terminal.ended(), 0);
  },
});

/** A monitor that has a schema with one command, and answers `wait` when a test says so. */
function monitor(path: string, { size = 0 }: { readonly size?: number } = {}): FakeQemu & {
  readonly asked: Promise<void>;
} {
  const asked = Promise.withResolvers<void>();
  const qemu = new FakeQemu(path, {
    answer({ name, id }): string | undefined {
      const tail = id === undefined ? "" : `, "id": ${id}`;
      const reply = (value: string): string => `{"return": ${value}${tail}}\r\n`;
      if (name === "wait") {
        asked.resolve();
        return "";
      }
      if (name === "large") return reply(`[${'{"a": "\\u001b"}, '.repeat(size)}1]`);
      if (name === "text") return reply('"a\\u001b[31m\\r\\nb"');
      if (name === "query-commands") return reply('[{"name": "add"}, {"name": "wait"}]');
      return name === "query-qmp-schema" ? reply(JSON.stringify(SCHEMA)) : undefined;
    },
  });
  return Object.assign(qemu, { asked: asked.promise });
}

const SCHEMA = [
  { "name": "add", "meta-type": "command", "arg-type": "1", "ret-type": "0" },
  { "name": "wait", "meta-type": "command", "arg-type": "0", "ret-type": "0" },
  { "name": "0", "meta-type": "object", "members": [] },
  {
    "name": "1",
    "meta-type": "object",
    "members": [{ name: "inner", type: "2" }, { name: "name", type: "str" }],
  },
  { "name": "2", "meta-type": "object", "members": [{ name: "mode", type: "3" }] },
  { "name": "3", "meta-type": "enum", "values": ["one", "two"] },
  { "name": "str", "meta-type": "builtin", "json-type": "string" },
];

Deno.test({
  name: "qmpmux shell completes a nested argument, hints at what is missing, and lists candidates",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    await using qemu = monitor(`${place.path}/vm`);
    await using terminal = shell(qemu.path);
    await terminal.ends("qmp>");
    // The hint tells that the schema is there.
    await terminal.type("add ");
    await terminal.ends("qmp> add inner={...} name=text");
    await terminal.type("\x15ad");
    await terminal.ends("qmp> ad");
    await terminal.type("\t");
    await terminal.ends("qmp> add inner={...} name=text");
    assertEquals(terminal.column, 9);
    await terminal.type("in");
    await terminal.ends("qmp> add in");
    await terminal.type("\t");
    await terminal.ends("qmp> add inner.");
    await terminal.type("\t");
    await terminal.ends("qmp> add inner.mode= name=text");
    await terminal.type("\t");
    await terminal.until("the list", (lines) => lines.at(-2) === "one  two");
    await terminal.type("o\t");
    await terminal.ends("qmp> add inner.mode=one name=text");
    await terminal.type("\r");
    await terminal.shows("add: CommandNotFound");
    assertEquals(terminal.lines.at(-3), "qmp> add inner.mode=one");
    await terminal.type("add inner.mode=onee\r");
    await terminal.shows('inner.mode: expected one|two, and found "onee"; did you mean one?');
    assertEquals(terminal.lines.findLast((line) => line.includes("^"))!.indexOf("^"), 20);
  },
});

Deno.test({
  name: "qmpmux shell gives up waiting on Ctrl-C, or forgets the line",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    await using qemu = monitor(`${place.path}/vm`);
    await using terminal = shell(qemu.path);
    await terminal.ends("qmp>");
    await terminal.type("wait\r");
    await qemu.asked;
    await terminal.type("\x03");
    await terminal.shows("wait: given up; it may still run");
    await terminal.ends("qmp>");
    await terminal.type("half a line");
    await terminal.ends("qmp> half a line");
    await terminal.type("\x03");
    await terminal.ends("qmp>");
    await terminal.type("\x04");
    assertEquals(await terminal.ended(), 0);
  },
});

Deno.test({
  name: "qmpmux shell cuts a long value, escapes control characters, and saves the value whole",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    const size = 1 << 18;
    await using qemu = monitor(`${place.path}/vm`, { size });
    await using terminal = shell(qemu.path);
    await terminal.ends("qmp>");
    await terminal.type("large\r");
    await terminal.shows("\\save FILE writes all of it");
    await terminal.ends("qmp>");
    assertEquals(terminal.lines.at(-3), '  {"a": "\\u001b"},');
    assertEquals(
      terminal.lines.at(-2)!.replace(/[\d.]+/, "N"),
      "… N MiB more; \\save FILE writes all of it",
    );
    await terminal.type(`\\save ${place.path}/saved\r`);
    await terminal.shows("MiB in ");
    const saved: unknown[] = JSON.parse(Deno.readTextFileSync(`${place.path}/saved`));
    assertEquals(saved.length, size + 1);
    await terminal.type("text\r");
    await terminal.shows('"a\\u001b[31m\\r\\nb"');
    assertEquals(terminal.raw.includes("\x1b[31m"), false);
  },
});

Deno.test({
  name: "qmpmux shell tells that the connection is lost, and connects again",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    const first = monitor(`${place.path}/vm`);
    await using terminal = shell(first.path);
    await terminal.ends("qmp>");
    await terminal.type("wait\r");
    await first.asked;
    await first[Symbol.asyncDispose]();
    await terminal.shows("-- the connection was lost and is made again");
    await terminal.ends("qmp>");
    await using _second = monitor(`${place.path}/vm`);
    await terminal.shows("-- connected again");
    await terminal.type("text\r");
    await terminal.shows('"a\\u001b[31m\\r\\nb"');
  },
});

Deno.test({
  name: "qmpmux shell works on a terminal without a size, and ends with the terminal",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    await using qemu = monitor(`${place.path}/vm`);
    await using terminal = shell(qemu.path, { columns: 0, rows: 0 });
    await terminal.ends("qmp>");
    await terminal.type("text\r");
    await terminal.shows('"a\\u001b[31m\\r\\nb"');
    await terminal.resize(40, 10);
    await terminal.type("add ");
    await terminal.shows("qmp> add inner={...} name=text");
    await terminal.hangUp();
    // Deno 2.6 fails to read from a terminal that is gone, and exits with 1.
    assert([0, 1].includes(await terminal.ended()));
  },
});

Deno.test({
  name: "qmpmux shell keeps a history that only its user can read, without secrets",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    await using qemu = monitor(`${place.path}/vm`);
    const env = { XDG_STATE_HOME: `${place.path}/state` };
    const file = `${place.path}/state/qmpmux/history`;
    for (const run of [1, 2]) {
      await using terminal = shell(qemu.path, { env });
      await terminal.ends("qmp>");
      // The second run begins with the last line of the first.
      await terminal.type(run === 1 ? "set_password password=geheim\r" : "\x1b[A");
      await terminal.shows(
        run === 1 ? "set_password: CommandNotFound" : 'qmp> set_password {"password":"(removed)"}',
      );
      await terminal.type("\x15\x04");
      assertEquals(await terminal.ended(), 0);
    }
    assertEquals(Deno.readTextFileSync(file), 'set_password {"password":"(removed)"}\n');
    assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
    await using terminal = shell(qemu.path, {
      columns: 200,
      env: { QMPMUX_HISTORY: `${file}/none` },
    });
    await terminal.shows("the history cannot be kept");
    await terminal.ends("qmp>");
  },
});

Deno.test({
  name: "qmpmux shell gives the terminal back as it was, also after SIGTERM",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    await using qemu = monitor(`${place.path}/vm`);
    const [command, first] = programCommand();
    const program = [command, ...first, "shell", "--socket", qemu.path];
    // A shell without job control leaves the mode of the terminal alone.
    const inner = `echo $$ >"$0.pid"; exec "$@"`;
    const script = `stty -g >"$0"; sh -c '${inner}' "$0" "$@"; stty -g | cmp - "$0" && echo same`;
    await using terminal = new TestTerminal(
      ["sh", "-c", script, `${place.path}/mode`, ...program],
      { env: { ...Deno.env.toObject(), NO_COLOR: "1", QMPMUX_HISTORY: "" } },
    );
    await terminal.ends("qmp>");
    Deno.kill(Number(Deno.readTextFileSync(`${place.path}/mode.pid`)), "SIGTERM");
    await terminal.shows("same");
  },
});

/** A monitor with a job that is ready, and then completed. */
function jobMonitor(path: string): FakeQemu {
  let status = "running";
  return new FakeQemu(path, {
    answer({ name, id }, connection): string | undefined {
      const tail = id === undefined ? "" : `, "id": ${id}`;
      if (name === "job-complete") {
        connection.say(eventLine("JOB_STATUS_CHANGE", { id: "j", status: "concluded" }));
        status = "concluded";
        return emptyReturn({ id });
      }
      if (name === "job-ready") {
        status = "ready";
        return emptyReturn({ id });
      }
      if (name !== "query-jobs") return undefined;
      const job = { id: "j", type: "mirror", status, "current-progress": 1, "total-progress": 2 };
      return `{"return": ${JSON.stringify([job])}${tail}}\r\n`;
    },
  });
}

Deno.test({
  name: "qmpmux shell follows a job, until it waits for the user, or ends",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    await using qemu = jobMonitor(`${place.path}/vm`);
    await using terminal = shell(qemu.path);
    await terminal.ends("qmp>");
    await terminal.type("\\job j\r");
    await terminal.until("a bar", (lines) => /job j {2}\[#+-+\] {2}50 %/.test(lines.at(-1)!));
    await terminal.type("\x03");
    await terminal.shows("\\job: given up");
    await terminal.ends("qmp>");
    await terminal.type("job-ready\r\\job j\r");
    await terminal.shows("job j: ready; complete it with job-complete");
    await terminal.type("job-complete id=j\r\\job j\r");
    await terminal.shows("job j: done");
    await terminal.type("\\job k\r");
    await terminal.shows("QEMU has no job k; it has j");
    await terminal.ends("qmp>");
  },
});

Deno.test({
  name: "qmpmux shell completes the human monitor from its help, and lists clients",
  ignore: WITHOUT_TERMINAL,
  fn: async () => {
    using place = makePlace();
    const help = "device_add driver[,prop=value][,...] -- add device\r\n" +
      "c|cont -- resume emulation\r\ninfo version -- show the version\r\n";
    await using qemu = new FakeQemu(`${place.path}/vm`, {
      answer({ name, id }): string | undefined {
        const tail = id === undefined ? "" : `, "id": ${id}`;
        if (name === "human-monitor-command") {
          return `{"return": ${JSON.stringify(help)}${tail}}\r\n`;
        }
        if (name !== "__org.qmpmux_query-clients") return undefined;
        const client = { name: "mux/1", role: "admin", commands: 3 };
        return `{"return": ${JSON.stringify([client])}${tail}}\r\n`;
      },
    });
    await using terminal = shell(qemu.path);
    await terminal.ends("qmp>");
    await terminal.type("\\clients\r");
    await terminal.shows("mux/1");
    await terminal.ends("qmp>");
    await terminal.type("hmp\r");
    await terminal.ends("hmp>");
    await terminal.type("dev");
    await terminal.type("\t");
    await terminal.ends("hmp> device_add");
    assertEquals(terminal.column, 16);
    await terminal.type("\x15info ver");
    await terminal.type("\t");
    await terminal.ends("hmp> info version");
    await terminal.type("\r");
    await terminal.shows("c|cont -- resume emulation");
    await terminal.ends("hmp>");
    await terminal.type("qmp\r");
    await terminal.ends("qmp>");
  },
});
