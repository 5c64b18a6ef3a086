/**
 * Clients that disconnect, in every state.
 *
 * A client that closes takes its unsent commands with it, and nothing else. A client that only ends
 * its stream gets its replies, as with QEMU. Either way nothing of it is left, and neither QEMU nor
 * other clients notice.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { IN_FLIGHT_LIMIT } from "../lib/session/upstream.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import {
  isStopped,
  makeScene,
  note,
  NOTES,
  type Scene,
  type Standing,
  stands,
  until,
} from "./support/fault.ts";
import { Notified } from "./support/passer.ts";
import { makePlace } from "./support/place.ts";
import { WITHOUT_QEMU } from "./support/qemu.ts";
import { descriptorsOf } from "./support/process.ts";

/** A state in which a client disconnects. */
interface Situation {
  /** The state, for the test's name. */
  readonly name: string;
  /** The capabilities that it negotiates; `undefined` if it does not negotiate. */
  readonly enable?: readonly string[];
  /** The bytes that it sends then. */
  readonly says?: string;
  /** Whether QEMU is stopped until the client has disconnected. */
  readonly stopped?: boolean;
  /** The text of qmpmux's state which shows that the input has been read. */
  readonly stands?: Partial<Standing>;
  /** Whether its last command causes an event, which tells the other clients about it. */
  readonly resumes?: boolean;
  /** The number of other clients that have a command at QEMU before it sends its own. */
  readonly busy?: number;
  /** The commands of it that QEMU has run, if it closed. */
  readonly ran: string | ((at: Standing) => string);
  /** The commands of it that QEMU has run, if it only ended its stream. */
  readonly ranToTheEnd?: string;
  /** The lines that it then gets, each cut to its beginning. */
  readonly heard: readonly string[];
}

const SCHEMA = '{"execute":"query-qmp-schema"}';

const SITUATIONS: readonly Situation[] = [
  { name: "that has read the greeting", ran: "", heard: [] },
  { name: "inside its first command", says: '{"execute":"qmp_cap', ran: "", heard: [] },
  { name: "inside a command", enable: [], says: '{"execute":"ringb', ran: "", heard: [] },
  {
    name: "whose command is waiting",
    enable: [],
    says: note("x"),
    stopped: true,
    busy: IN_FLIGHT_LIMIT,
    stands: { inFlight: IN_FLIGHT_LIMIT, waiting: 1 },
    ran: "",
    ranToTheEnd: "x",
    heard: ['{"return": {}}'],
  },
  {
    name: "whose command is at QEMU",
    enable: [],
    says: note("x") + note("y"),
    stopped: true,
    stands: { inFlight: 1 },
    ran: "x",
    ranToTheEnd: "xy",
    heard: ['{"return": {}}', '{"return": {}}'],
  },
  {
    name: "whose commands are at QEMU, with oob",
    enable: ["oob"],
    says: [1, 2, 3, 4, 5].map((i) => note(`${i}`)).join(""),
    stopped: true,
    stands: { pending: 5 },
    ran: ({ inFlight }) => "12345".slice(0, inFlight),
    // QEMU does the same: with oob enabled, a client that ends its stream gets no more replies.
    heard: [],
  },
  {
    name: "whose exec-oob is at QEMU",
    enable: ["oob"],
    says: '{"exec-oob":"query-yank","id":1}',
    stopped: true,
    stands: { inFlight: 1 },
    ran: "",
    heard: [],
  },
  {
    name: "that has read half a reply",
    enable: [],
    says: `${SCHEMA.repeat(3)}${note("x")}{"execute":"cont"}`,
    resumes: true,
    ran: "x",
    heard: [...Array(3).fill('{"return": [{'), '{"return": {}', '{"timestamp": ', '{"return": {}'],
  },
];

/** A command that every other client gets a reply to, whatever the first one did. */
const READ = '{"execute":"query-rx-filter","id":"still"}';

/** Asserts that nothing is left of a client that has disconnected. */
async function assertGone(scene: Scene, others: number, descriptors: number): Promise<void> {
  await stands(scene.mux, { clients: others, inFlight: 0, waiting: 0, sessions: 1 });
  await until("its descriptors to be closed", () => descriptorsOf(scene.mux.pid) <= descriptors);
}

/** Plays a situation up to the disconnect. */
async function play(
  situation: Situation,
  leave: (client: TestClient, scene: Scene) => Promise<void>,
  ran: Situation["ran"],
): Promise<void> {
  const { enable, says, stopped, busy = 0, stands: seen, resumes } = situation;
  await using scene = await makeScene({ options: ",cache=off,join=off" });
  using witness = await TestClient.ready(scene.path, ["oob"]);
  assertEquals(await witness.ask(READ), '{"return": [], "id": "still"}');
  await using made = new AsyncDisposableStack();
  const others: TestClient[] = [];
  while (others.length < busy) others.push(made.use(await TestClient.ready(scene.path)));
  const descriptors = descriptorsOf(scene.mux.pid);

  using client = enable
    ? await TestClient.ready(scene.path, enable)
    : await TestClient.connect(scene.path);
  if (enable === undefined) await client.line();
  if (stopped) {
    scene.qemu.kill("SIGSTOP");
    await isStopped(scene.qemu.pid);
  }
  for (const each of others) await each.send(READ);
  if (busy) await stands(scene.mux, { inFlight: busy });
  if (says) await client.send(says);
  const at = await stands(scene.mux, seen ?? {});
  if (resumes) assert((await witness.line()).includes('"event": "RESUME"'));
  await leave(client, scene);

  for (const each of others) assertEquals(await each.line(), '{"return": [], "id": "still"}');
  await assertGone(scene, 1 + busy, descriptors);
  const expected = typeof ran === "string" ? ran : ran(at);
  assertEquals(JSON.parse(await witness.ask(NOTES)).return, expected);
}

for (const situation of SITUATIONS) {
  const { name, ran, ranToTheEnd = ran, heard } = situation;

  Deno.test({
    name: `a client ${name} closes: nothing of it is left`,
    ignore: WITHOUT_QEMU,
    fn: () =>
      play(situation, async (client, scene) => {
        client[Symbol.dispose]();
        await stands(scene.mux, { clients: 1 + (situation.busy ?? 0) });
        scene.qemu.kill("SIGCONT");
      }, ran),
  });

  Deno.test({
    name: `a client ${name} ends its stream: it gets the replies that QEMU would send it`,
    ignore: WITHOUT_QEMU,
    fn: () =>
      play(situation, async (client, scene) => {
        await client.finish();
        if (situation.enable?.includes("oob")) await stands(scene.mux, { clients: 1 });
        scene.qemu.kill("SIGCONT");
        const lines = await client.lines.rest();
        assertEquals(lines.map((line, i) => line.slice(0, heard[i]?.length)), heard);
      }, ranToTheEnd),
  });
}

for (const half of [false, true]) {
  Deno.test({
    name: half
      ? "a client that ends its stream before the greeting hears the greeting, then the end"
      : "a client that closes before the greeting leaves nothing",
    ignore: WITHOUT_QEMU,
    async fn(): Promise<void> {
      await using scene = await makeScene({ stopped: true, flags: ["--greeting-timeout", "60"] });
      using witness = await TestClient.connect(scene.path);
      await stands(scene.mux, { clients: 1 });
      const descriptors = descriptorsOf(scene.mux.pid);
      using client = await TestClient.connect(scene.path);
      await stands(scene.mux, { clients: 2 });
      if (half) await client.finish();
      else {
        client[Symbol.dispose]();
        await stands(scene.mux, { clients: 1 });
      }
      scene.qemu.kill("SIGCONT");
      if (half) {
        const lines = await client.lines.rest();
        assertEquals(lines.map((line) => line.slice(0, 7)), ['{"QMP":']);
      }
      assert((await witness.line()).startsWith('{"QMP": '));
      await assertGone(scene, 1, descriptors);
    },
  });

  Deno.test({
    name: half
      ? "a client that ends its stream while qmpmux drains is answered, then qmpmux ends"
      : "a client that closes while qmpmux drains does not hold it up",
    ignore: WITHOUT_QEMU,
    async fn(): Promise<void> {
      using desk = makePlace();
      using manager = new Notified(`${desk.path}/notify`);
      await using scene = await makeScene({
        flags: ["--drain-timeout", "60"],
        env: { NOTIFY_SOCKET: manager.path },
      });
      using witness = await TestClient.ready(scene.path);
      using client = await TestClient.ready(scene.path);
      scene.qemu.kill("SIGSTOP");
      await isStopped(scene.qemu.pid);
      await client.send(note("x"));
      await stands(scene.mux, { inFlight: 1 });
      scene.mux.kill("SIGTERM");
      await manager.until("STOPPING=1");
      assertEquals(
        await witness.ask(READ),
        '{"id": "still", "error": ' +
          '{"class": "GenericError", "desc": "qmpmux is shutting down"}}',
      );
      if (half) await client.finish();
      else client[Symbol.dispose]();
      scene.qemu.kill("SIGCONT");
      if (half) assertEquals(await client.lines.rest(), ['{"return": {}}']);
      assertEquals((await within("qmpmux to exit", scene.mux.ended)).code, 0);
      using direct = await TestClient.ready(scene.qemu.path);
      assertEquals(JSON.parse(await direct.ask(NOTES)).return, "x");
    },
  });
}
