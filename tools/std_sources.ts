/**
 * Runs Deno with the standard library from its sources, when JSR cannot be reached.
 *
 * `std_sources.ts DIR [ARG…]` serves a checkout of the standard library, at the release whose
 * versions deno.json names, as JSR does, and runs Deno with the arguments; without any, it runs
 * `deno task ok:types`. The mirror of tools/mirror.ts has our own declarations; this shows that
 * they agree with the real ones.
 *
 * It serves over HTTP, because Deno checks packages from `file://` as strictly as local code.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join, relative, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname!, "..");

/** A package of the checkout, as its deno.json describes it. */
interface Package {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string>>;
}

/** Returns the packages of a checkout, by name (`@std/cli`). */
function packagesIn(checkout: string): Map<string, Package> {
  const found = new Map<string, Package>();
  for (const entry of Deno.readDirSync(checkout)) {
    const folder = join(checkout, entry.name);
    const text = entry.isDirectory ? textOf(join(folder, "deno.json")) : undefined;
    if (text === undefined) continue;
    const { name, version, exports } = JSON.parse(text);
    if (name !== undefined) found.set(name, { folder, name, version, exports });
  }
  return found;
}

/** Returns the text of a file; `undefined` when it does not exist. */
function textOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}

/** Returns the versions in deno.json that a checkout does not have, one line each. */
function differences(packages: ReadonlyMap<string, Package>): string[] {
  const { imports } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
  return Object.values(imports as Record<string, string>).flatMap((specifier) => {
    const [, name = "", version = ""] = /^jsr:(@std\/[a-z-]+)@(.+)$/.exec(specifier) ?? [];
    const found = packages.get(name)?.version;
    if (name === "" || found === version) return [];
    return [`deno.json imports ${name} ${version}, the checkout has ${found ?? "none"}`];
  });
}

/** Returns a module as JSR publishes it: imports of other packages name JSR and a version. */
function published(source: string, packages: ReadonlyMap<string, Package>): string {
  return source.replaceAll(
    /^(import|export|\})(.*?)"(@std\/[a-z-]+)((?:\/[^"]+)?)"/gm,
    (whole, first, between, name, rest) => {
      const version = packages.get(name)?.version;
      return version === undefined ? whole : `${first}${between}"jsr:${name}@^${version}${rest}"`;
    },
  );
}

/** Returns the modules of a package, by their path in it (`/parse_args.ts`). */
function modulesOf(
  { folder }: Package,
  packages: ReadonlyMap<string, Package>,
  below = folder,
): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const entry of Deno.readDirSync(below)) {
    const path = join(below, entry.name);
    if (entry.isDirectory) {
      const inner = { folder } as Package;
      for (const [name, bytes] of modulesOf(inner, packages, path)) found.set(name, bytes);
    } else if (entry.name.endsWith(".ts") && !entry.name.endsWith("_test.ts")) {
      const text = published(Deno.readTextFileSync(path), packages);
      found.set(`/${relative(folder, path)}`, new TextEncoder().encode(text));
    }
  }
  return found;
}

/** Returns everything that JSR would serve, by path. */
function contents(packages: ReadonlyMap<string, Package>): Map<string, Uint8Array> {
  const all = new Map<string, Uint8Array>();
  const put = (path: string, value: unknown) =>
    all.set(path, new TextEncoder().encode(JSON.stringify(value)));
  for (const each of packages.values()) {
    const { name, version, exports } = each;
    const [scope, own] = name.slice(1).split("/");
    const manifest: Record<string, { size: number; checksum: string }> = {};
    for (const [path, bytes] of modulesOf(each, packages)) {
      const checksum = createHash("sha256").update(bytes).digest("hex");
      manifest[path] = { size: bytes.length, checksum: `sha256-${checksum}` };
      all.set(`/${name}/${version}${path}`, bytes);
    }
    put(`/${name}/meta.json`, { scope, name: own, latest: version, versions: { [version]: {} } });
    put(`/${name}/${version}_meta.json`, { manifest, exports });
  }
  return all;
}

/** Returns the content type of a path. */
function mediaType(path: string): string {
  return path.endsWith(".ts") ? "application/typescript" : "application/json";
}

/** Runs Deno with `JSR_URL` at the checkout and separate caches; returns its exit status. */
async function runWith(checkout: string, args: readonly string[]): Promise<number> {
  const packages = packagesIn(checkout);
  const wrong = differences(packages);
  if (wrong.length > 0) {
    for (const line of wrong) console.error(line);
    return 69;
  }
  const all = contents(packages);
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      const path = new URL(request.url).pathname;
      const bytes = all.get(path);
      if (bytes === undefined) return new Response("not found", { status: 404 });
      const headers = { "content-type": mediaType(path) };
      return new Response(bytes as Uint8Array<ArrayBuffer>, { headers });
    },
  );
  const cache = Deno.makeTempDirSync({ prefix: "qmpmux-std-" });
  try {
    const env = { JSR_URL: `http://127.0.0.1:${server.addr.port}/`, DENO_DIR: cache };
    const command = new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, env });
    return (await command.spawn().status).code;
  } finally {
    Deno.removeSync(cache, { recursive: true });
  }
}

if (import.meta.main) {
  const [checkout, ...args] = Deno.args;
  if (checkout === undefined) {
    console.error(
      "Usage: std_sources.ts DIR [ARG…], where DIR is a checkout of the standard library",
    );
    Deno.exit(64);
  }
  Deno.exit(await runWith(resolve(checkout), args.length > 0 ? args : ["task", "ok:types"]));
}
