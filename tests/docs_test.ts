/**
 * The commands in README.md and docs/ are run, and the output they show is compared.
 *
 * The commands of a document run in order, in a sandbox. The words after the fence of
 * a block are its kind:
 *
 *     console           commands, each behind `$ `, and all that they print; a line of JSON
 *                       with "execute" that socat shows is typed
 *     console stays     one command that runs on, with what it prints at once and, after a line
 *                       of `…`, what it must print later
 *     console fails     its last command ends with another status than 0
 *     console MARK      cannot run here: ELSEWHERE names where each of its commands runs
 *     session           the shell on a terminal: a command that starts it, then its prompts with what is
 *                       typed behind them, and what it shows
 *     toml              a configuration file, or a part of one; a first line `# /path` names it
 *     ini               a unit, a drop-in, or the content of /etc/default/qmpmux-NAME
 *     qmp [OPTIONS]     a conversation with a listener of these options: `-> ` or `C: ` sends,
 *                       `<- ` or `S: ` gets
 *     ts, python, go    a part of a program in examples/, or of tests/fixtures/typed_use.txt, whose
 *                       types are checked
 *     xml, dockerfile, tmpfiles, text
 *
 * @module
 */

import { assert, assertEquals, assertMatch, fail } from "@std/assert";
import { SUBCOMMANDS } from "../lib/cli/command_table.ts";
import { IMMUTABLE } from "../lib/sharing/query_cache.ts";
import { UNITS } from "../tools/release_deb.ts";
import { TestClient } from "./support/client.ts";
import {
  areLines,
  type Block,
  blocksOf,
  commandsOf,
  DOCUMENTS,
  isLine,
  placeOf,
  proseOf,
  settled,
  type Shown,
  textOf,
} from "./support/document.ts";
import { startQemu } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { type Running, Sandbox } from "./support/sandbox.ts";

const WITHOUT = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",");
const WITHOUT_PROGRAMS = ["qemu", "socat", "curl", "python3"].some((name) =>
  WITHOUT.includes(name)
);

const KINDS = [
  "console",
  "session",
  "toml",
  "ini",
  "qmp",
  "ts",
  "python",
  "go",
  "xml",
  "dockerfile",
  "tmpfiles",
  "text",
];
const BLOCKS = DOCUMENTS.flatMap((document) => blocksOf(document));

/** The reason why a block of commands may not run here. */
const MARKS = ["vm", "release", "long", "container", "interop"];

/**
 * The places where commands run that cannot run here, by their first line: a file of the project
 * that has such a command, in other words if they are given.
 */
const ELSEWHERE: Readonly<Record<string, readonly [file: string, words?: string]>> = {
  "tools/deno task test": [".ci/run"],
  "tools/deno task compile": [".ci/run"],
  "tools/deno task bench": ["bench/main.ts", "end_to_end"],
  "tools/deno task bench end_to_end": ["bench/main.ts", "end_to_end"],
  "tools/deno task bench hosts": ["bench/main.ts", "hosts"],
  "tools/deno task bench:picture": ["deno.json", "bench:picture"],
  "QMPMUX_BENCH_ROUNDS=9 tools/deno task bench hosts": ["bench/hosts.ts", "QMPMUX_BENCH_ROUNDS"],
  "install -m 755 dist/qmpmux /usr/bin/qmpmux": [
    "tools/vm/inside",
    "install -m 755 /mnt/qmpmux /usr/bin/qmpmux",
  ],
  "install -m 644 systemd/qmpmux* /etc/systemd/system/": [
    "tools/vm/inside",
    "install -m 644 /mnt/systemd/* /etc/systemd/system/",
  ],
  "install -D -m 644 packaging/qmpmux.sysusers /etc/sysusers.d/qmpmux.conf": [
    "tools/vm/host",
    "install -D -m 644 /mnt/packaging/qmpmux.sysusers /etc/sysusers.d/qmpmux.conf",
  ],
  "install -D -m 644 packaging/qmpmux.tmpfiles /etc/tmpfiles.d/qmpmux.conf": [
    "tools/vm/host",
    "install -D -m 644 /mnt/packaging/qmpmux.tmpfiles /etc/tmpfiles.d/qmpmux.conf",
  ],
  "install -D -m 644 packaging/qmpmux.toml /etc/qmpmux/qmpmux.toml": [
    "tools/vm/host",
    "install -D -m 644 /mnt/packaging/qmpmux.toml /etc/qmpmux/qmpmux.toml",
  ],
  "systemd-sysusers": ["tools/vm/host"],
  "systemd-tmpfiles --create qmpmux.conf": ["tools/vm/host"],
  "systemctl daemon-reload": ["tools/vm/inside"],
  "systemctl enable --now qmpmux@vm1": ["tools/vm/inside", 'systemctl start "$unit"'],
  "systemctl enable --now qmpmux": ["tools/vm/inside_package"],
  "systemctl enable --now qmpmux-metrics.socket": ["tools/vm/inside_package"],
  "qmpmux status --control /run/qmpmux/control.sock": ["tools/vm/inside_package"],
  "qmpmux status --control /run/qmpmux/vm1/control.sock": [
    "tools/vm/inside",
    'qmpmux status --control "$control"',
  ],
  "systemctl enable --now qmpmux@vm1.socket": [
    "tools/vm/inside",
    "systemctl start qmpmux@vm2.socket",
  ],
  "apt install ./qmpmux_0.1.0_amd64.deb": ["deno.json", '"release:check"'],
  "sha256sum --check --ignore-missing SHA256SUMS": [
    ".github/workflows/release.yml",
    "sha256sum --check SHA256SUMS",
  ],
  "deno add jsr:@qmpmux/qmpmux": ["tests/package_test.ts", '"publish", "--dry-run"'],
  "npx jsr add @qmpmux/qmpmux": ["tests/interop/client_runtimes_test.ts", "npmPackage("],
  "bunx jsr add @qmpmux/qmpmux": ["tests/interop/client_runtimes_test.ts", "npmPackage("],
  "pytest examples/python": ["tests/interop/kit_test.ts", "examples/python"],
  "go test -C examples/go": ["tests/interop/kit_test.ts", "examples/go"],
  "podman run --read-only --network none --cap-drop all --volume /run/vm1:/run/vm": [
    "docs/deployment.md",
    "No container engine was at hand",
  ],
};

function hasMark(block: Block): boolean {
  return block.marks.some((mark) => MARKS.includes(mark));
}

function firstLine({ command }: Shown): string {
  return command.split("\n")[0]!.replace(/^sudo /, "").replace(/ *(\\|#.*)$/, "");
}

const OF_CONSOLE = BLOCKS.filter(({ kind }) => kind === "console");

Deno.test("every block has a known kind", () => {
  const unknown = BLOCKS.filter(({ kind, marks }) =>
    !KINDS.includes(kind) ||
    (kind === "console" && !marks.every((mark) => [...MARKS, "stays", "fails"].includes(mark)))
  );
  assertEquals(unknown.map(placeOf), []);
});

Deno.test("a block of text has no commands", () => {
  const texts = BLOCKS.filter(({ kind }) => kind === "text");
  const commands = texts.filter(({ lines }) =>
    lines.some((line) =>
      /^ *(\$ |(sudo |tools\/deno |qmpmux |systemctl |deno |apt|socat ))/.test(line)
    )
  );
  assertEquals(commands.map(placeOf), []);
});

Deno.test("every command that does not run here is listed with the test that runs it", () => {
  const shown = OF_CONSOLE.filter(hasMark).flatMap(commandsOf).map(firstLine);
  assertEquals([...new Set(shown)].sort(), Object.keys(ELSEWHERE).sort());
});

for (const [command, [file, words = command]] of Object.entries(ELSEWHERE)) {
  Deno.test(`${file} runs ${command}`, () => assert(textOf(file).includes(words), words));
}

for (const document of new Set(OF_CONSOLE.filter((b) => !hasMark(b)).map((b) => b.document))) {
  Deno.test({
    name: `the commands of ${document} print what it shows`,
    ignore: WITHOUT_PROGRAMS,
    fn: () => play(document),
  });
}

/** A program that is still running, and the output that it must still print. */
interface Later {
  readonly running: Running;
  readonly block: Block;
  readonly shown: readonly string[];
}

async function play(document: string): Promise<void> {
  const blocks = blocksOf(document);
  await using made = new AsyncDisposableStack();
  const sandbox = made.use(new Sandbox());
  for (const path of qemusOf(blocks)) {
    const socket = sandbox.at(path);
    Deno.mkdirSync(socket.slice(0, socket.lastIndexOf("/")), { recursive: true });
    made.use(await startQemu(socket));
  }
  const later: Later[] = [];
  for (const block of blocks) {
    const [, path] = /^# (\/etc\/\S+)$/.exec(block.lines[0] ?? "") ?? [];
    if (path !== undefined) sandbox.write(path, `${block.lines.join("\n")}\n`);
    if (block.kind === "session") await useShell(sandbox, block);
    if (block.kind !== "console" || hasMark(block)) continue;
    const commands = commandsOf(block);
    if (block.marks.includes("stays")) {
      assertEquals(commands.length, 1, `${placeOf(block)}: one command stays`);
      later.push(await begin(sandbox, made, block, commands[0]!));
      continue;
    }
    for (const shown of commands) {
      if (/\bsocat\b/.test(shown.command)) await converse(sandbox, block, shown);
      else await compare(sandbox, block, shown, shown === commands.at(-1));
    }
  }
  for (const { running, block, shown } of later) {
    for (const line of shown) {
      for (;;) {
        const next = await running.lines.next(`${placeOf(block)}: ${line}`);
        if (next === undefined) fail(`${placeOf(block)}: output ended before ${line}`);
        if (isLine(sandbox.outside(next), line)) break;
      }
    }
  }
}

/** Returns the monitors that commands connect to and that the document does not start. */
function qemusOf(blocks: readonly Block[]): string[] {
  const text = blocks.filter((block) => block.kind !== "text" && !hasMark(block))
    .flatMap(({ lines }) => lines).join("\n");
  const paths = new Set(text.match(/(?<![\w.])\/run\/qemu\/[\w-]+\/qmp\.sock/g) ?? []);
  return [...paths].filter((path) => !text.includes(`-qmp unix:${path}`));
}

async function begin(
  sandbox: Sandbox,
  made: AsyncDisposableStack,
  block: Block,
  { command, output }: Shown,
): Promise<Later> {
  const running = made.use(sandbox.start(command));
  const [, monitor] = /-qmp unix:([^, ]+)/.exec(command) ?? [];
  if (monitor !== undefined) await sandbox.listens(monitor);
  const [, socket] = /^qmpmux events --socket (\S+)/.exec(command) ?? [];
  if (socket !== undefined) await chosen(sandbox.at(socket));
  const split = output.indexOf("…");
  const [now, then] = split < 0 ? [output, []] : [output.slice(0, split), output.slice(split + 1)];
  for (const line of now) await hear(sandbox, block, running, line);
  return { running, block, shown: then };
}

/** Resolves when a client of a listener for administrators has chosen its events. */
async function chosen(socket: string): Promise<void> {
  using admin = await TestClient.ready(socket);
  // Its last command may be a later one by now.
  const chosen = /"filter": \[/;
  while (!chosen.test(await admin.ask({ execute: "__org.qmpmux_query-clients" })));
}

async function hear(sandbox: Sandbox, block: Block, running: Running, line: string): Promise<void> {
  const next = await running.lines.next(`${placeOf(block)}: ${line}`);
  if (next === undefined) fail(`${placeOf(block)}: output ended instead of ${line}`);
  if (!isLine(sandbox.outside(next), line)) {
    assertEquals(settled(sandbox.outside(next)), settled(line), placeOf(block));
  }
}

/** Plays a conversation: the typed lines are the commands to QEMU. */
async function converse(sandbox: Sandbox, block: Block, { command, output }: Shown): Promise<void> {
  await using running = sandbox.start(command);
  for (const line of output) {
    if (/^\{ ?["'](execute|exec-oob)["']/.test(line)) await running.type(line);
    else await hear(sandbox, block, running, line);
  }
  assertEquals(await running.finish(), 0, placeOf(block));
  assertEquals(await running.lines.rest(), [], placeOf(block));
}

/** A prompt of the shell, and what is typed behind it. */
const PROMPT = /^(?:qmp|hmp|\d+)>(?: (.*))?$/;

/** Plays a session of the shell: types what stands behind the prompts, and compares the screen at the end. */
async function useShell(sandbox: Sandbox, block: Block): Promise<void> {
  const [first, ...shown] = block.lines;
  await using terminal = sandbox.onTerminal(first!.replace("$ ", ""));
  const promptsOf = (lines: readonly string[]): readonly string[] =>
    lines.filter((line) => PROMPT.test(line));
  for (const [index, prompt] of promptsOf(shown).entries()) {
    await terminal.until(
      `prompt ${index + 1}`,
      (lines) => promptsOf(lines).length > index && /^\w+>$/.test(lines.at(-1)!),
    );
    await terminal.type(`${PROMPT.exec(prompt)![1] ?? ""}\r`);
  }
  const count = promptsOf(shown).length;
  await terminal.until("the last prompt", (lines) => promptsOf(lines).length > count);
  await terminal.type("\x04");
  assertEquals(await terminal.ended(), 0, placeOf(block));
  // The last prompt stays, and the cursor is below it.
  const lines = terminal.lines.slice(0, -2).map((line) => sandbox.outside(line));
  if (!areLines(lines, shown)) assertEquals(lines.map(settled), shown.map(settled), placeOf(block));
}

async function compare(sandbox: Sandbox, block: Block, shown: Shown, last: boolean): Promise<void> {
  const { command, output } = shown;
  const [, file] = /^cat (\S+)$/.exec(command) ?? [];
  if (file !== undefined) await sandbox.filled(file);
  const { lines, code } = await sandbox.run(command);
  const fails = last && block.marks.includes("fails");
  if (!areLines(lines, output)) {
    assertEquals(lines.map(settled), output.map(settled), `${placeOf(block)}: ${command}`);
  }
  const ending = `${placeOf(block)}: ${command} ended with ${code}: ${lines.join("\n")}`;
  assertEquals(code !== 0, fails, ending);
}

for (const block of BLOCKS.filter(({ kind }) => kind === "toml")) {
  Deno.test(`qmpmux check accepts ${placeOf(block)}`, async () => {
    using sandbox = new Sandbox();
    sandbox.write("/etc/qmpmux/here.toml", block.lines.join("\n"));
    const ran = await sandbox.run("qmpmux check --config /etc/qmpmux/here.toml");
    assertEquals(ran, { lines: [], code: 0 });
  });
}

for (const block of BLOCKS.filter(({ kind }) => kind === "qmp")) {
  Deno.test({
    name: `a listener speaks as ${placeOf(block)} shows`,
    ignore: WITHOUT_PROGRAMS,
    fn: () => talk(block),
  });
}

async function talk(block: Block): Promise<void> {
  using sandbox = new Sandbox();
  const [vm, mux] = [sandbox.at("vm.sock"), sandbox.at("mux.sock")];
  await using _qemu = await startQemu(vm);
  const options = block.marks.map((mark) => `,${mark}`).join("");
  await using _qmpmux = await startQmpmux(["--qemu", vm, "--listen", `${mux}${options}`]);
  const greeted = block.lines.some((line) => line.includes('{"QMP"'));
  using client = greeted ? await TestClient.connect(mux) : await TestClient.ready(mux);
  for (const line of block.lines) {
    const [, direction, text] = /^(->|C:|<-|S:) (.*)$/.exec(line) ?? [];
    if (text === undefined) fail(`${placeOf(block)}: no client sends ${line}`);
    if (direction === "->" || direction === "C:") await client.send(`${text}\n`);
    else {
      const heard = await client.line();
      if (!isLine(heard, text)) assertEquals(settled(heard), settled(text), placeOf(block));
    }
  }
}

for (const block of BLOCKS.filter(({ kind }) => kind === "ini")) {
  Deno.test(`${placeOf(block)} suits the program that reads it`, async () => {
    const text = block.lines.join("\n");
    using sandbox = new Sandbox();
    if (text.startsWith("QMPMUX_ARGS=")) {
      const words = "qmpmux serve --print-config $QMPMUX_ARGS";
      const file = block.lines.some((line) => line.includes("--config"));
      if (file) {
        sandbox.write(
          /--config ([^"\s]+)/.exec(text)![1]!,
          'qemu = "/run/vm.sock"\n[[listen]]\naddress = "/run/mux.sock"\n',
        );
      }
      const { lines, code } = await sandbox.run(`${text}\n${words}`);
      assertEquals(code, 0, lines.join("\n"));
    } else assertEquals(await verified(sandbox, text), []);
  });
}

for (const block of BLOCKS.filter(({ kind }) => kind === "tmpfiles")) {
  Deno.test(`${placeOf(block)} makes directories, each with its mode and owners`, () => {
    for (const line of block.lines) assertMatch(line, /^d \/[\w/-]+ 0[0-7]{3} [\w-]+ [\w-]+$/);
  });
}

for (const block of BLOCKS.filter(({ kind }) => kind === "xml")) {
  Deno.test(`${placeOf(block)} closes what it opens`, () => {
    const open: string[] = [];
    for (
      const [, end, name, empty] of block.lines.join("\n").matchAll(/<(\/?)([\w:]+)[^>]*?(\/?)>/g)
    ) {
      if (end) assertEquals(open.pop(), name);
      else if (!empty) open.push(name!);
    }
    assertEquals(open, []);
  });
}

/**
 * Returns the problems of a unit, or of one of ours with a drop-in, in systemd's words if it is
 * installed. The unit is `qmpmux@.service`, unless a comment has `systemctl edit`.
 */
async function verified(sandbox: Sandbox, text: string): Promise<readonly string[]> {
  if ((await sandbox.run("systemd-analyze --version")).code !== 0) {
    const lines = text.replaceAll("\\\n", " ").split("\n");
    return lines.filter((line) => !/^(#.*|\[[A-Z]\w+\]|[A-Z]\w+=.*|)$/.test(line));
  }
  const [, name] = /^# \/etc\/systemd\/system\/(\S+)$/m.exec(text) ?? [];
  const program = sandbox.at("/run/qmpmux/program");
  Deno.writeTextFileSync(program, "", { mode: 0o755 });
  const here = (unit: string): string => unit.replaceAll(/\/usr\/bin\/[\w-]+/g, program);
  const [, edited = "qmpmux@"] = /^# systemctl edit ([^@\s]+@?)/m.exec(text) ?? [];
  const unit = name ?? (edited.includes(".") ? edited : `${edited}.service`);
  if (name === undefined) {
    sandbox.write(`units/${unit}.d/more.conf`, here(text));
    for (const each of UNITS) sandbox.write(`units/${each}`, here(textOf(`systemd/${each}`)));
  } else sandbox.write(`units/${unit}`, here(text));
  const instance = unit.replace("@.", "@vm1.");
  const { lines } = await sandbox.run(
    `SYSTEMD_LOG_LEVEL=warning SYSTEMD_UNIT_PATH=$PWD/units: systemd-analyze verify --man=no ${instance}`,
  );
  return lines;
}

/** The directories of examples, by kinds of blocks. */
const EXAMPLES: Readonly<Record<string, string>> = {
  ts: "examples/",
  python: "examples/python/",
  go: "examples/go/",
};

for (const block of BLOCKS.filter(({ kind }) => Object.hasOwn(EXAMPLES, kind))) {
  Deno.test(`${placeOf(block)} is a part of an example`, () => {
    const directory = EXAMPLES[block.kind]!;
    const examples = [...Deno.readDirSync(new URL(`../${directory}`, import.meta.url))]
      .flatMap(({ name, isFile }) => isFile ? textOf(directory + name) : []);
    examples.push(textOf("tests/fixtures/typed_use.txt"));
    const text = leftAligned(block.lines.join("\n"));
    assert(examples.some((example) => leftAligned(example).includes(text)), text);
  });
}

function leftAligned(text: string): string {
  return text.replace(/^[ \t]+/gm, "");
}

Deno.test("every task that a document names exists", () => {
  const tasks = Object.keys(JSON.parse(textOf("deno.json")).tasks);
  const missing = DOCUMENTS.flatMap((document) =>
    [...textOf(document).matchAll(/\bdeno task (?:--\S+ )*([\w:-]+)/g)]
      .map(([, task]) => task!)
      .filter((task) => !tasks.includes(task))
      .map((task) => `${document}: ${task}`)
  );
  assertEquals(missing, []);
});

Deno.test("every file of the project that a document names exists", () => {
  const missing = DOCUMENTS.flatMap((document) =>
    [
      ...proseOf(document).matchAll(
        /`(?:tools\/deno \S+ (?:-A )?)?((?:tests|tools|lib|bench|docs|systemd|examples|packaging)\/[\w./@*-]+)[^`]*`/g,
      ),
    ]
      .map(([, path]) => path!)
      .filter((path) => !(path.includes("*") ? anyExists(path) : exists(path)))
      .map((path) => `${document}: ${path}`)
  );
  assertEquals(missing, []);
});

Deno.test("every link of a document has a target", () => {
  const broken = DOCUMENTS.flatMap((document) =>
    [...proseOf(document).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !/^[a-z]+:/.test(link) && !leads(document, link))
      .map((link) => `${document}: ${link}`)
  );
  assertEquals(broken, []);
});

Deno.test("docs/usage.md lists every subcommand", () => {
  const [table] = /^\| subcommand .*(?:\n\|.*)+/m.exec(textOf("docs/usage.md")) ?? [];
  const listed = table!.split("\n").slice(2)
    .flatMap((row) => [...row.split("|")[1]!.matchAll(/`(\w+)`/g)].map(([, name]) => name!));
  const others = Object.keys(SUBCOMMANDS).filter((name) => name !== "help");
  assertEquals(listed.sort(), others.sort());
});

Deno.test("docs/usage.md lists the queries whose replies are cached", () => {
  const [paragraph] = /^qmpmux caches the replies .*(?:\n.+)*/m.exec(textOf("docs/usage.md")) ?? [];
  const listed = [...paragraph!.matchAll(/`(query-[\w-]+)`/g)].map(([, name]) => name!);
  assertEquals(listed, [...IMMUTABLE.keys()].sort());
});

/** Returns whether a file exists whose name matches a glob with `*`. */
function anyExists(path: string): boolean {
  const slash = path.lastIndexOf("/") + 1;
  const [before = "", after = ""] = path.slice(slash).split("*");
  return [...Deno.readDirSync(new URL(`../${path.slice(0, slash)}`, import.meta.url))].some((
    { name },
  ) => name.startsWith(before) && name.endsWith(after));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(`../${path}`, import.meta.url));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function leads(document: string, link: string): boolean {
  const [path, anchor] = link.split("#");
  const directory = document.slice(0, document.lastIndexOf("/") + 1);
  const url = new URL(path || document.slice(directory.length), `file:///${directory}`);
  const target = url.pathname.slice(1);
  if (!exists(target)) return false;
  return anchor === undefined || anchorsOf(textOf(target)).includes(anchor);
}

function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-")
  );
}
