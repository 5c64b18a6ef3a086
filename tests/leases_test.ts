/**
 * Leases in the hub: who may run which command, and when.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { effectsOf, LeaseScope } from "../lib/policy/lease_scope.ts";
import { SHARED_NAMES } from "../lib/sharing/query_cache.ts";
import { readRole } from "../lib/policy/roles.ts";
import type { Grant } from "../lib/policy/admission.ts";
import { readCommand } from "../lib/wire/command_reader.ts";
import { frameOf } from "../lib/wire/frame.ts";
import type { Command } from "../lib/wire/message.ts";
import { grant, options, Stage, type StageClient } from "./support/stage.ts";

/** A stage with a clock, and clients that lease. */
class Scene {
  now = 0;
  readonly stage: Stage;

  constructor(onLoss: "close" | "hold" = "close") {
    let keys = 0;
    this.stage = new Stage(60, {
      onLoss,
      running: () => this.now,
      makeKey: () => `key-${++keys}`,
    });
    this.stage.qemuReady();
  }

  /** Connects a client that has negotiated; its lines so far are dropped. */
  client(name: string, terms: Partial<Parameters<typeof grant>[0]> = {}): Client {
    const staged = this.stage.connect(name, grant({ name, ...terms }));
    staged.say('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}');
    staged.peer.take();
    return new Client(staged);
  }

  /** Moves the clock, and lets the hub do what is due. */
  at(now: number): void {
    this.stage.mux.tick(this.now = now);
  }

  /** Returns the names of the commands that have reached QEMU since the last call. */
  sent(): string[] {
    return this.stage.qemu.take().map((line) =>
      JSON.parse(line).execute ?? JSON.parse(line)["exec-oob"]
    );
  }

  /** Answers the oldest command at QEMU. */
  answers(): void {
    this.stage.qemuSays('{"return": {}}');
  }
}

/** A client, and its replies. */
class Client {
  readonly staged: StageClient;

  constructor(staged: StageClient) {
    this.staged = staged;
  }

  /** Sends a command. */
  sends(execute: string, args?: object): void {
    this.staged.say(JSON.stringify({ execute, ...(args && { arguments: args }) }));
  }

  /** Sends a command of qmpmux's own; returns the replies since the last call. */
  own(name: string, args?: object): Reply[] {
    this.sends(`__org.qmpmux_${name}`, args);
    return this.heard();
  }

  /** Acquires a lease, at once; returns its key. */
  acquires(args?: object): string {
    const [reply] = this.own("lease-acquire", args);
    assert(reply?.return?.key !== undefined, JSON.stringify(reply));
    return reply.return.key;
  }

  /** Returns the replies since the last call. */
  heard(): Reply[] {
    return this.staged.peer.take().map((line) => JSON.parse(line));
  }

  /** Returns the text of the only new reply, an error. */
  error(): string {
    const [{ error }, ...more] = this.heard() as [Reply];
    assertEquals(more, []);
    assertEquals(error?.class, "GenericError");
    return error!.desc;
  }
}

interface Reply {
  // deno-lint-ignore no-explicit-any -- The values of many commands.
  readonly return?: any;
  readonly error?: { readonly class: string; readonly desc: string };
}

function command(text: string): Command {
  return readCommand(frameOf(text), true) as Command;
}

Deno.test("a lease refuses the matching commands of others, and no others", () => {
  const scene = new Scene();
  const [a, b] = [scene.client("a"), scene.client("b")];
  const [reply] = a.own("lease-acquire", { commands: ["blockdev-*"], ttl: 30, reason: "a backup" });
  assertEquals(reply, { return: { token: 1, key: "key-1", expires: 30 } });
  b.sends("blockdev-del", { "node-name": "n" });
  assertEquals(scene.sent(), []);
  assertEquals(
    b.error(),
    "The command blockdev-del is leased to a/1 until 1970-01-01T00:00:32Z: a backup",
  );
  for (const passes of ["device_del", "query-status", "qom-get", "quit"]) b.sends(passes);
  a.sends("blockdev-del");
  for (let i = 0; i < 5; i++) scene.answers();
  assertEquals(scene.sent().sort(), [
    "blockdev-del",
    "device_del",
    "qom-get",
    "query-status",
    "quit",
  ]);
});

Deno.test("a lease of everything leaves reads, quit and out-of-band commands to others", () => {
  const scene = new Scene();
  const [a, b] = [scene.client("a"), scene.client("b")];
  a.acquires();
  b.sends("stop");
  assertMatch(b.error(), /^The command stop is leased to a\/1 until [^:]+:\d\d:\d\dZ$/);
  b.sends("x-unknown-to-all");
  assertMatch(b.error(), /is leased/);
  for (const passes of ["query-block", "quit"]) b.sends(passes);
  b.staged.say('{"exec-oob":"migrate-pause","id":1}');
  scene.answers();
  scene.answers();
  assertEquals(scene.sent().sort(), ["migrate-pause", "query-block", "quit"]);
});

Deno.test("a lease ends with its release, its time, its connection, its QEMU, a kick and a revocation", () => {
  for (
    const [ending, end] of [
      ["released", (_, a): void => void a.own("lease-release", { key: "key-1" })],
      ["expired", (scene): void => scene.at(60)],
      ["disconnected", (_, a): void => a.staged.leave()],
      ["kicked", (scene, a): void => scene.stage.mux.dismiss(a.staged.monitor, "x", "kicked")],
      ["revoked", (scene): void => {
        const admin = scene.client("admin", { role: ADMIN });
        assertEquals(admin.own("lease-revoke", { token: 1 }), [{ return: {} }]);
      }],
      ["QEMU disconnected", (scene): void => {
        scene.stage.qemuGoes();
        scene.stage.qemuReady();
      }],
    ] as [string, (scene: Scene, a: Client) => void][]
  ) {
    const scene = new Scene("hold");
    const [a, b] = [scene.client("a"), scene.client("b")];
    a.acquires({ linger: ending === "kicked" ? 100 : 0 });
    end(scene, a);
    b.heard();
    assertEquals(b.own("query-leases"), [{ return: [] }], ending);
    scene.sent();
    b.sends("stop");
    assertEquals(scene.sent(), ["stop"], ending);
    scene.answers();
    b.heard();
    if (a.staged.monitor.left || ending === "released") continue;
    a.heard();
    a.sends("stop");
    assertMatch(a.error(), new RegExp(`lease 1 of this client has ended \\(${ending}\\)`), ending);
    assertEquals(scene.sent(), [], ending);
  }
});

const ADMIN = readRole({ name: "boss", administers: true, rules: [{ allow: "*" }] }, "x");

Deno.test("a fenced connection runs commands again when it acquires a lease or releases the ended one", () => {
  const scene = new Scene();
  const a = scene.client("a");
  const key = a.acquires({ commands: ["st*"], ttl: 1 });
  // Nothing has told the hub of the time since.
  scene.now = 1;
  a.sends("stop");
  assertMatch(a.error(), /has ended \(expired\); acquire a lease again, or release that one$/);
  a.sends("cont");
  assertEquals(scene.sent(), ["cont"]);
  scene.answers();
  a.heard();
  assertEquals(a.own("lease-release", { key }), [{ return: {} }]);
  a.sends("stop");
  assertEquals(scene.sent(), ["stop"]);
  scene.answers();
  a.heard();
  a.acquires({ ttl: 1 });
  scene.at(5);
  a.sends("stop");
  assertMatch(a.error(), /lease 2 of this client/);
  assertNotEquals(a.acquires(), key);
  a.sends("stop");
  assertEquals(scene.sent(), ["stop"]);
});

Deno.test("a lease begins when no matching command of another client is under way", () => {
  const scene = new Scene();
  const [a, b, c] = [scene.client("a"), scene.client("b"), scene.client("c")];
  b.sends("blockdev-add");
  a.sends("blockdev-del");
  scene.sent();
  assertEquals(
    a.own("lease-acquire", { commands: ["blockdev-add"] }),
    [],
    "its own command comes first",
  );
  scene.answers();
  scene.answers();
  assertEquals(a.heard().length, 2);
  a.own("lease-release", { key: "key-1" });
  b.sends("blockdev-add");
  assertMatch(
    a.own("lease-acquire", { commands: ["blockdev-*"] })[0]!.error!.desc,
    /^A command blockdev-add of another client is under way$/,
  );
  assertEquals(a.own("lease-acquire", { commands: ["blockdev-*"], wait: 10 }), []);
  // A new matching command waits for the lease that is about to begin, but not another one.
  c.sends("blockdev-del");
  scene.sent();
  b.heard();
  scene.answers();
  assertEquals(a.heard().map(({ return: value }) => value?.token), [2]);
  assertMatch(c.error(), /leased to a\/1/);
});

Deno.test("acquisitions wait in line, and what they wait for", () => {
  const scene = new Scene();
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => scene.client(name)) as [
    Client,
    Client,
    Client,
    Client,
  ];
  a.acquires({ commands: ["blockdev-*"] });
  assertEquals(b.own("lease-acquire", { commands: ["block*"], wait: 5 }), []);
  assertEquals(c.own("lease-acquire", { commands: ["block-job-*"], wait: 50 }), []);
  d.acquires({ commands: ["device_*"] });
  assertEquals(
    scene.client("e").own("lease-acquire", { commands: ["job-cancel"] })[0]!.error!.desc,
    "Another client waits for such a lease already",
  );
  scene.at(5);
  assertEquals(b.error(), "Lease 1 of a/1 is in the way");
  assertEquals(c.heard()[0]!.return.token, 3);
  a.own("lease-release", { key: "key-1" });
  b.acquires({ commands: ["blockdev-*"] });
});

Deno.test("commands behind an acquisition wait for it, and run with its lease", () => {
  const scene = new Scene();
  const [a, b] = [scene.client("a"), scene.client("b")];
  a.acquires({ ttl: 10 });
  assertEquals(b.own("lease-acquire", { wait: 20 }), []);
  b.sends("stop");
  assertEquals(scene.sent(), []);
  scene.at(10);
  assertEquals(scene.sent(), ["stop"]);
  scene.answers();
  assertEquals(b.heard().length, 2);
});

Deno.test("commands before an acquisition do not wait for it", () => {
  const scene = new Scene();
  const [a, b] = [scene.client("a"), scene.client("b")];
  const others = ["c", "d", "e", "f"].map((name) => scene.client(name));
  for (const each of others) each.sends("stop");
  a.sends("cont");
  a.sends("__org.qmpmux_lease-acquire", { commands: ["x-*"], wait: 1 });
  a.sends("system_reset");
  a.sends("__org.qmpmux_lease-acquire", { commands: ["y-*"], wait: 1 });
  a.sends("system_wakeup");
  assertEquals(scene.sent(), ["stop", "stop", "stop", "stop"]);
  for (let i = 0; i < 7; i++) scene.answers();
  assertEquals(scene.sent(), ["cont", "system_reset", "system_wakeup"]);
  assertEquals(a.heard().map(({ return: value, error }) => value?.token ?? error?.desc ?? "done"), [
    "done",
    1,
    "done",
    "This client holds lease 1; release it first",
    "done",
  ]);
  b.acquires({ commands: ["device_*"] });
});

Deno.test("a reload that takes away the right ends the lease", () => {
  const scene = new Scene();
  const role = (lease: unknown): Grant["role"] =>
    readRole({ name: "r", lease, rules: [{ allow: "*" }] }, "x");
  const a = scene.client("a", { role: role(["device_*", "block*"]) });
  a.acquires({ commands: ["device_add"] });
  const reload = (lease: unknown): void => {
    a.staged.monitor.adopt(grant({ name: "a", role: role(lease) }));
    scene.stage.mux.adopt(options());
  };
  reload(["device_*"]);
  assertEquals(a.own("query-leases")[0]!.return.length, 1);
  reload(["block*"]);
  assertEquals(a.own("query-leases"), [{ return: [] }]);
  a.sends("device_add");
  assertMatch(a.error(), /lease 1 of this client has ended \(forbidden\)/);
});

Deno.test("with lease-wait a command waits in its client's order, then runs or is refused", () => {
  const scene = new Scene();
  const a = scene.client("a");
  const waits = { limits: { "lease-wait": 5 } };
  const [b, c] = [scene.client("b", waits), scene.client("c", waits)];
  const key = a.acquires();
  b.sends("stop");
  b.sends("query-status");
  c.sends("cont");
  c.sends("query-status");
  assertEquals([scene.sent(), b.heard(), c.heard()], [[], [], []]);
  scene.at(4.9);
  assertEquals(b.heard(), []);
  scene.at(5);
  assertMatch(b.heard()[0]!.error!.desc, /^The command stop is leased to a\/1 until/);
  scene.sent();
  a.own("lease-release", { key });
  c.sends("stop");
  assertEquals(scene.stage.mux.status().inFlight > 0, true);
});

Deno.test("several connections share a lease with its key", () => {
  const scene = new Scene();
  const [a, b, c] = [scene.client("a"), scene.client("b"), scene.client("c")];
  const key = a.acquires({ ttl: 10, linger: 3 });
  assertEquals(
    b.own("lease-join", { key: "key-2" })[0]!.error!.desc,
    "Lease not found: it has ended, or the key is of another VM or process",
  );
  assertEquals(b.own("lease-join", { key }), [{ return: { token: 1, expires: 10 } }]);
  b.sends("stop");
  assertEquals(scene.sent(), ["stop"]);
  scene.answers();
  a.staged.leave();
  scene.at(4);
  assertEquals(c.own("query-leases")[0]!.return, [{
    token: 1,
    client: "a/1",
    holders: ["b/2"],
    commands: ["*"],
    age: 4,
    expires: 6,
    linger: 3,
    reason: null,
  }]);
  assertEquals(c.own("lease-renew", { key, ttl: 20 }), [{ return: { token: 1, expires: 20 } }]);
  b.staged.leave();
  scene.at(6.9);
  assertEquals(c.own("query-leases")[0]!.return[0].holders, []);
  assertEquals(c.own("lease-join", { key })[0]!.return.token, 1);
  scene.at(8);
  assertEquals(c.own("query-leases")[0]!.return.length, 1);
});

Deno.test("a role may be forbidden leases, and limited in commands and time", () => {
  const scene = new Scene();
  const role = (lease: unknown): Grant["role"] =>
    readRole({ name: "r", lease, rules: [{ allow: "*" }] }, "x");
  const none = scene.client("none", { role: role(false) });
  assertMatch(
    none.own("lease-acquire")[0]!.error!.desc,
    /role r: it is for roles with lease = true$/,
  );
  const some = scene.client("some", { role: role(["blockdev-*"]), limits: { "max-ttl": 10 } });
  assertEquals(
    some.own("lease-acquire")[0]!.error!.desc,
    "Role r may not lease '*'; it may lease blockdev-*",
  );
  assertEquals(
    some.own("lease-acquire", { commands: ["blockdev-add"], ttl: 11 })[0]!.error!.desc,
    "Parameter 'ttl' expects a number from 1 to 10",
  );
  const [reply] = some.own("lease-acquire", { commands: ["blockdev-a*"] });
  assertEquals(reply!.return.expires, 10);
});

Deno.test("wrong arguments of the lease commands are refused, and change nothing", () => {
  const scene = new Scene();
  const a = scene.client("a");
  for (
    const [name, args, text] of [
      ["lease-acquire", { commands: [] }, /found 0 globs/],
      ["lease-acquire", { commands: Array(65).fill("x") }, /found 65 globs/],
      ["lease-acquire", { commands: ["x y"] }, /^Invalid command glob/],
      ["lease-acquire", { commands: ["x".repeat(65)] }, /too long: 65/],
      ["lease-acquire", { commands: ["query-block"] }, /query-block is never leased/],
      ["lease-acquire", { ttl: 0 }, /'ttl' expects a number from 1 to 3600/],
      ["lease-acquire", { ttl: "1" }, /Invalid parameter type for 'ttl', expected: number/],
      ["lease-acquire", { wait: -1 }, /'wait' expects/],
      ["lease-acquire", { reason: "x".repeat(257) }, /at most 256 characters, not 257/],
      ["lease-acquire", { x: 1 }, /'x' is unexpected/],
      ["lease-renew", {}, /'key' is missing/],
      ["lease-renew", { key: "x".repeat(1000) }, /^Lease not found/],
      ["lease-release", { key: "" }, /^Lease not found/],
      ["lease-join", { key: "" }, /^Lease not found/],
    ] as [string, object, RegExp][]
  ) {
    const [reply, ...more] = a.own(name, args);
    assertMatch(reply!.error!.desc, text);
    assertEquals(more, []);
  }
  assertEquals(a.own("query-leases"), [{ return: [] }]);
  const key = a.acquires();
  assertEquals(
    a.own("lease-acquire")[0]!.error!.desc,
    "This client holds lease 1; release it first",
  );
  const b = scene.client("b");
  assertEquals(b.own("lease-acquire")[0]!.error!.desc, "Lease 1 of a/1 is in the way");
  assertEquals(a.own("lease-join", { key })[0]!.return.token, 1);
});

Deno.test("transactions, jobs and text for people count for what they do", () => {
  const scope = (...globs: string[]): LeaseScope => new LeaseScope(globs);
  const covers = (globs: string[], text: string): boolean => {
    const effects = effectsOf(command(text));
    return effects !== undefined && scope(...globs).covers(effects);
  };
  const transaction = '{"execute":"transaction","arguments":{"actions":[{"type":"abort"},' +
    '{"type":"blockdev-back\\u0075p","data":{}}]}}';
  assert(covers(["blockdev-*"], transaction));
  assert(!covers(["device_*"], transaction));
  assert(covers(["job-*"], '{"execute":"block-job-cancel"}'));
  assert(covers(["block-job-*"], '{"execute":"job-dismiss"}'));
  assert(covers(["device_add"], '{"execute":"human-monitor-command"}'));
  assert(!covers(["*"], '{"execute":"query-jobs"}'));
  assert(scope("job-cancel").overlaps(scope("b*-cancel")));
  assert(scope("j*").overlaps(scope("b*")), "job-pause is block-job-pause");
  assert(scope("human-monitor-command").overlaps(scope("device_add")));
  assert(!scope("device_*").overlaps(scope("blockdev-*")));
});

Deno.test("queries that clients share or that are cached are never leased", () => {
  for (const name of SHARED_NAMES) {
    assertEquals(effectsOf({ name, argumentBytes: undefined }), undefined, name);
  }
});
