/**
 * Secrets that programs of others send through qmpmux: no record has one of them.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { Browser, WITHOUT_CHROMIUM } from "../support/browser.ts";
import { makePlace } from "../support/place.ts";
import { startQemu } from "../support/qemu.ts";
import { startLibvirt } from "./libvirt.ts";
import {
  GUEST_MEMORY,
  MALFORMED,
  type Planted,
  planted,
  plantedEquipment,
  typed,
} from "./planted.ts";
import { type Exit, getGo, getLibvirt, getPython, getRust, run, without } from "./setup.ts";
import { checkRecording, found, startWitnessed, type Testimony } from "./witnesses.ts";

const HERE = import.meta.dirname!;

/** Checks the records of what a client has sent: the secrets did pass, and no record has one. */
function checkTestimony({ secrets: passed, records }: Testimony, secrets: readonly string[]): void {
  const seen = found(secrets, { passed }).map(({ secret }) => secret);
  assertEquals(secrets.filter((each) => !seen.includes(each)), [], "These did not pass");
  checkRecording(records["serve --record"]!);
  checkRecording(records["tap --json"]!);
  assertEquals(found([...secrets, MALFORMED.secret], records), []);
}

/** Lets a client send secrets to a QEMU of its own, and checks the records. */
async function checkClient(
  { secrets }: Pick<Planted, "secrets">,
  play: (path: string) => Promise<Exit>,
): Promise<void> {
  using place = makePlace();
  const at = (name: string): string => join(place.path, name);
  Deno.writeTextFileSync(at("guest-memory"), GUEST_MEMORY);
  await using qemu = await startQemu(at("qemu"), plantedEquipment(place.path));
  await using qmpmux = await startWitnessed(place.path, qemu.path, at("mux"));
  const { code, stdout, stderr } = await play(at("mux"));
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /refused|"return"/);
  checkTestimony(await qmpmux.testimony(), secrets);
}

/** Returns commands as lines. */
function linesOf({ commands }: Planted): string {
  return commands.map((each) => `${JSON.stringify(each)}\n`).join("");
}

Deno.test("no record has a secret that socat sent", { ignore: without("socat") }, async () => {
  const plant = planted("socat");
  const secrets = [...plant.secrets, GUEST_MEMORY];
  const input = `{"execute": "qmp_capabilities"}\n${linesOf(plant)}${MALFORMED.lines.join("\n")}`;
  const play = (path: string): Promise<Exit> =>
    run("socat", ["-t", "20", "-", `UNIX:${path}`], { input });
  await checkClient({ secrets }, play);
});

Deno.test("no record has a secret that qemu.qmp sent", { ignore: without("python") }, async () => {
  const plant = planted("python");
  const env = { PYTHONPATH: await getPython(), PYTHONDONTWRITEBYTECODE: "1" };
  const options = { env, input: linesOf(plant) };
  await checkClient(
    plant,
    (path) => run("python3", [join(HERE, "python/client.py"), "given", path], options),
  );
});

Deno.test("no record has a secret that go-qemu sent", { ignore: without("go") }, async () => {
  const plant = planted("go");
  const client = await getGo();
  await checkClient(plant, (path) => run(client, [path, "given"], { input: linesOf(plant) }));
});

Deno.test("no record has a secret that qapi sent", { ignore: without("rust") }, async () => {
  const client = await getRust();
  await checkClient(typed("rust"), (path) => run(client, ["secrets", path, "rust"]));
});

/** The passwords in `libvirt/secrets.xml` and `screen.xml`; libvirt takes at most eight characters. */
const PASSWORDS = ["vnc-1-7e", "vnc-2-7e"];

/** The passphrase of a disk, and the UUID by which `libvirt/luks.xml` names it. */
const PASSPHRASE = "passphrase-7e5a";
const PASSPHRASE_ID = "5ec2e7e5-0000-4000-8000-000000000001";

/** Runs commands of libvirt's shell, most of which fail; returns what it printed. */
async function shell(uri: string, commands: readonly string[]): Promise<string> {
  const input = commands.map((each) => `${each}\n`).join("");
  const { stdout, stderr } = await run("virsh", ["--quiet", "--connect", uri], { input });
  return stdout + stderr;
}

/** Opens the page of a recording in Chromium: it shows QEMU, libvirt's commands and events, and loads nothing. */
async function checkPage(page: string): Promise<void> {
  using place = makePlace();
  const path = join(place.path, "page.html");
  Deno.writeTextFileSync(path, page);
  await using browser = await Browser.start();
  await browser.open(path);
  assertEquals([browser.problems, browser.requests], [[], [`file://${path}`]]);
  const text = (id: string): Promise<unknown> =>
    browser.evaluate(`document.getElementById("${id}").textContent`);
  assertMatch(String(await text("about")), /^QEMU \d+\.\d+\.\d+ · .* UTC/);
  assertMatch(String(await text("rows")), /query-migrate-capabilities/);
  const size = await browser.evaluate("[innerWidth, document.documentElement.scrollWidth].join()");
  assertEquals(size, "1280,1280");
}

Deno.test("no record has a secret that libvirt sent", { ignore: without("libvirt") }, async () => {
  await getLibvirt();
  await using host = await startLibvirt({ domain: "secrets.xml" });
  const { virsh, file } = host;
  Deno.writeTextFileSync(file("guest-memory"), GUEST_MEMORY);
  await using qmpmux = await startWitnessed(file("").replace(/\/$/, ""), host.qemu, host.mux);

  await virsh("start", "shared");
  await virsh("update-device", "shared", file("screen.xml"), "--live");
  const luks = ["--object", `secret,id=s,data=${PASSPHRASE}`, "-o", "key-secret=s,iter-time=10"];
  const made = await run("qemu-img", ["create", "-f", "luks", ...luks, file("luks.img"), "1M"]);
  assertEquals(made.code, 0, made.stderr);
  await virsh("secret-define", file("passphrase.xml"));
  await virsh("secret-set-value", PASSPHRASE_ID, btoa(PASSPHRASE));
  await virsh("attach-device", "shared", file("luks.xml"), "--live");
  assertMatch(await virsh("domblklist", "shared"), /luks\.img/);

  const { commands, secrets } = planted("libvirt", { isSandboxed: true });
  const passed = commands.map((each) => `qemu-monitor-command shared '${JSON.stringify(each)}'`);
  assertMatch(await shell(host.uri, passed), /"return"/);
  await virsh("destroy", "shared");

  const testimony = await qmpmux.testimony();
  checkTestimony(testimony, [...secrets, ...PASSWORDS, GUEST_MEMORY]);
  if (!WITHOUT_CHROMIUM) await checkPage(testimony.records["show --html"]!);
  // libvirt encrypts it.
  assertEquals(found([PASSPHRASE], { ...testimony.records, passed: testimony.secrets }), []);
});
