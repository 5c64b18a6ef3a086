/**
 * The errors of `lib/testing/schema_check.ts` against those of a real QEMU.
 *
 * Arguments are drawn at random from QEMU's own schema. QEMU refuses those that are wrong before it
 * runs the command. Arguments that may be right get one more, which QEMU refuses last.
 *
 * With `-- --long` 5,000 sets are drawn, and the figures are printed. `QMPMUX_FUZZ_SEED` draws others.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Introspection, readIntrospection } from "../lib/client/introspection.ts";
import { type QemuError, SchemaCheck } from "../lib/testing/schema_check.ts";
import { frameOf } from "../lib/wire/frame.ts";
import { argumentPlaces } from "./support/argument_places.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { Random } from "./support/random.ts";
import { type Drawn, WrongArguments } from "./support/wrong_arguments.ts";

const LONG = Deno.args.includes("--long");
const SEED = Number(Deno.env.get("QMPMUX_FUZZ_SEED") ?? 1);
const SETS = LONG ? 5000 : 800;

/**
 * Commands that are never drawn. A fault in our check could run one with arguments that are right after
 * all: they end QEMU, or write to the host.
 */
const DANGEROUS =
  /^(quit|system_.*|human-monitor-command|blockdev-create|.*dump.*|.*save.*|screendump|migrate|x-exit.*)$/;

/** A QEMU after the negotiation, and the check of its schema. */
interface Subject extends AsyncDisposable {
  readonly version: string;
  readonly schema: Introspection;
  readonly check: SchemaCheck;
  /** Returns the error of QEMU; `undefined` if there is none. */
  ask(drawn: Drawn): Promise<QemuError | undefined>;
}

async function startSubject(): Promise<Subject> {
  const place = makePlace();
  const qemu = await startQemu(`${place.path}/vm`);
  const client = await TestClient.connect(qemu.path);
  const { major, minor, micro } = JSON.parse(await client.line()).QMP.version.qemu;
  await client.ask({ execute: "qmp_capabilities" });
  const { return: list } = JSON.parse(await client.ask({ execute: "query-qmp-schema" }));
  const schema = readIntrospection(list);
  return {
    version: `${major}.${minor}.${micro}`,
    schema,
    check: new SchemaCheck(schema, [major, minor]),
    async ask({ name, text }): Promise<QemuError | undefined> {
      const line = await client.ask(`{"execute":"${name}","arguments":${text}}`);
      const { error } = JSON.parse(line);
      return error && { errorClass: error.class, desc: error.desc };
    },
    async [Symbol.asyncDispose](): Promise<void> {
      client[Symbol.dispose]();
      await qemu[Symbol.asyncDispose]();
      place[Symbol.dispose]();
    },
  };
}

function ours({ check }: Subject, { name, text }: Drawn): QemuError | undefined {
  return check.error({ name: JSON.parse(`"${name}"`), argumentBytes: frameOf(text).bytes });
}

/** Returns the commands whose error differs from QEMU's, with both. */
async function differing(subject: Subject, drawn: Iterable<Drawn>): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const each of drawn) {
    const [mine, theirs] = [ours(subject, each), await subject.ask(each)];
    if (mine?.errorClass === theirs?.errorClass && mine?.desc === theirs?.desc) continue;
    found.push({ ...each, ours: mine?.desc, qemu: theirs?.desc });
  }
  return found;
}

/** Yields sets that are wrong to our check; whether it is right about that is compared, too. */
function* wrongSets(subject: Subject): Generator<Drawn> {
  const random = new Random(SEED);
  const drawer = new WrongArguments(subject.schema, random, (name) => !DANGEROUS.test(name));
  for (let count = 0; count < SETS;) {
    const drawn = drawer.draw(random.oneIn(2));
    if (ours(subject, drawn) === undefined) continue;
    yield drawn;
    count++;
  }
}

Deno.test({
  name: "SchemaCheck gives QEMU's error for random wrong arguments",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    await using subject = await startSubject();
    const sets = [...wrongSets(subject)];
    const found = await differing(subject, sets);
    if (LONG) {
      console.log(`QEMU ${subject.version}: ${found.length} of ${sets.length} sets differ`);
      const texts = new Map<string, number>();
      for (const each of sets) {
        const text = ours(subject, each)!.desc.replace(/'.*'/s, "'…'").replace(
          / \S+ has/,
          " … has",
        );
        texts.set(text, (texts.get(text) ?? 0) + 1);
      }
      for (const [text, count] of [...texts].sort(([, a], [, b]) => b - a)) {
        console.log(`${String(count).padStart(6)} ${text}`);
      }
    }
    assertEquals(found, []);
  },
});

/** The values that tell the width of an integer, and whether it has a sign. */
const LIMITS = [
  ...['"x"', "-1", "128", "256", "32768", "65536", "2147483648", "4294967296"],
  ..."9223372036854775807 9223372036854775808 -9223372036854775808".split(" "),
];

Deno.test({
  name: "SchemaCheck knows the width of every integer and the name of every alternate of QEMU",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    await using subject = await startSubject();
    const places = [...argumentPlaces(subject.schema)];
    assert(places.filter(({ kind }) => kind === "int").length > 200, `${places.length}`);
    assert(places.filter(({ kind }) => kind === "alternate").length >= 5, `${places.length}`);
    const sets = places.flatMap((place) => {
      const values = place.kind === "int" ? LIMITS : ["1"];
      return values.map((value) => {
        const text = place.with(value).replace(/\}$/, ',"no-such-argument":1}');
        return { name: place.command, path: place.path, text };
      });
    });
    assertEquals(await differing(subject, sets), []);
  },
});
