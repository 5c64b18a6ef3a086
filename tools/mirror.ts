/**
 * Provides the packages of deno.json when JSR cannot be reached.
 *
 * `tools/deno` starts this once: `mirror.ts DIR`. If Deno can load the packages, it creates the
 * file `DIR.not-needed`. Otherwise DIR becomes a mirror for `JSR_URL`: npm's copy of the standard
 * library, with the declarations of this folder, since npm's has none.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";

/** The same release of the standard library as the versions in deno.json. */
const LIBRARY = "deno-std";
const LIBRARY_VERSION = "1.4.0";

/** The timeout for loading from JSR, after which the mirror is made. */
const PATIENCE_MS = 20_000;

const ROOT = resolve(import.meta.dirname!, "..");
const CACHE = join(ROOT, ".cache");
const DECLARATIONS = join(ROOT, "tools", "declarations");

interface Package {
  name: string;
  version: string;
}

/** Returns the packages that deno.json imports from JSR. */
function wanted(): Package[] {
  const { imports } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
  return Object.values(imports as Record<string, string>).flatMap((specifier) => {
    const [, name, version] = /^jsr:@std\/([a-z-]+)@(\d+\.\d+\.\d+)$/.exec(specifier) ?? [];
    return name && version ? [{ name, version }] : [];
  });
}

/** Runs a program that shows only its errors; returns whether it succeeded. */
async function ran(
  program: string,
  args: string[],
  options: Deno.CommandOptions,
): Promise<boolean> {
  try {
    const command = new Deno.Command(program, { args, stdin: "null", stdout: "null", ...options });
    return (await command.output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Tells whether Deno itself can load the packages, from its cache or the network. */
function reachable(packages: Package[]): Promise<boolean> {
  const specifiers = packages.map(({ name, version }) => `jsr:@std/${name}@${version}`);
  return ran(Deno.execPath(), ["cache", "--quiet", "--no-config", "--no-lock", ...specifiers], {
    stderr: "null",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
}

/** Returns the folder of npm's library, which npm or else Deno downloads. */
async function library(): Promise<string> {
  const place = join(CACHE, `${LIBRARY}-${LIBRARY_VERSION}`);
  if (existsSync(place)) return place;
  await inNewFolder(async (folder) => {
    const spec = `${LIBRARY}@${LIBRARY_VERSION}`;
    const cache = join(folder, "npm");
    const flags = ["--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--fetch-retries=0"];
    const args = ["install", "--prefix", folder, "--cache", cache, ...flags, spec];
    if (!await ran("npm", args, { stderr: "null" })) {
      const config = { lock: false, nodeModulesDir: "auto", imports: { [LIBRARY]: `npm:${spec}` } };
      Deno.writeTextFileSync(join(folder, "deno.json"), JSON.stringify(config));
      if (!await ran(Deno.execPath(), ["install", "--quiet"], { cwd: folder, stderr: "inherit" })) {
        throw new Error(`Cannot get ${spec}: neither npm nor Deno could`);
      }
    }
    putInPlace(Deno.realPathSync(join(folder, "node_modules", LIBRARY)), place);
  });
  return place;
}

/** Returns every module that `module` needs, including itself. */
function closure(module: string, found: Set<string> = new Set()): Set<string> {
  if (found.has(module)) return found;
  found.add(module);
  for (const [, specifier] of code(module).matchAll(/(?:\bfrom|\bimport)\s*"(\.[^"]+)"/g)) {
    closure(resolve(dirname(module), specifier!), found);
  }
  return found;
}

/** Returns a module's text without its comments, whose examples have imports, too. */
function code(module: string): string {
  return Deno.readTextFileSync(module).replaceAll(/^\s*(\/\*[^]*?\*\/|\/\/.*$)/gm, "");
}

/**
 * Writes the modules of a package that have declarations as JSR serves them: others would be
 * imported as `any`.
 *
 * All packages are siblings below the version's folder, as in the library, so that their
 * imports of each other are found.
 */
function writePackage({ name, version }: Package, source: string, mirror: string): void {
  const home = join(mirror, "@std", name);
  const manifest: Record<string, { size: number; checksum: string }> = {};
  const exports: Record<string, string> = { ".": `./${name}/mod.js` };

  const put = (path: string, text: string) => {
    const bytes = new TextEncoder().encode(text);
    const checksum = createHash("sha256").update(bytes).digest("hex");
    manifest[`/${path}`] = { size: bytes.length, checksum: `sha256-${checksum}` };
    Deno.mkdirSync(dirname(join(home, version, path)), { recursive: true });
    Deno.writeFileSync(join(home, version, path), bytes);
  };

  const declarations = join(DECLARATIONS, "@std", name);
  const names = Array.from(Deno.readDirSync(declarations), (file) => basename(file.name, ".d.ts"))
    .sort();
  const modules = new Set<string>();
  for (const module of names) {
    put(`${name}/${module}.d.ts`, Deno.readTextFileSync(join(declarations, `${module}.d.ts`)));
    exports[`./${module.replaceAll("_", "-")}`] = `./${name}/${module}.js`;
    closure(join(source, name, `${module}.js`), modules);
  }
  for (const module of modules) {
    const path = relative(source, module);
    const declared = dirname(path) === name && names.includes(basename(path, ".js"));
    const types = declared ? `// @ts-self-types="./${basename(path, ".js")}.d.ts"\n` : "";
    put(path, types + Deno.readTextFileSync(module));
  }
  const all = (extension: string) =>
    names.map((module) => `export * from "./${module}${extension}";\n`).join("");
  put(`${name}/mod.js`, `// @ts-self-types="./mod.d.ts"\n${all(".js")}`);
  put(`${name}/mod.d.ts`, all(".d.ts"));

  const write = (file: string, value: unknown) =>
    Deno.writeTextFileSync(join(home, file), JSON.stringify(value));
  write("meta.json", { scope: "std", name, latest: version, versions: { [version]: {} } });
  write(`${version}_meta.json`, { manifest, exports });
}

/** Calls `fill` with a new folder in the cache, and removes it afterwards with those of killed starts. */
async function inNewFolder(fill: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = Deno.makeTempDirSync({ dir: CACHE, prefix: "new." });
  try {
    await fill(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Moves a finished file or folder to its path, unless another start was first. */
function putInPlace(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

/** Removes the folders of starts that were killed, unless these may still run. */
function sweep(): void {
  const hour = 3_600_000;
  for (const { name } of Deno.readDirSync(CACHE)) {
    if (!name.startsWith("new.")) continue;
    const path = join(CACHE, name);
    const changed = Deno.statSync(path).mtime?.getTime() ?? 0;
    if (changed < Date.now() - hour) Deno.removeSync(path, { recursive: true });
  }
}

/** Makes the mirror, or the file that says that it is not needed. */
async function main(mirror: string): Promise<void> {
  Deno.mkdirSync(dirname(mirror), { recursive: true });
  sweep();
  const packages = wanted();
  if (await reachable(packages)) {
    Deno.writeTextFileSync(`${mirror}.not-needed`, "");
    return;
  }
  console.error("tools/deno: JSR cannot be reached; taking the standard library from npm");
  const source = await library();
  await inNewFolder((folder) => {
    const made = join(folder, "jsr");
    for (const item of packages) writePackage(item, source, made);
    putInPlace(made, mirror);
  });
}

if (import.meta.main) {
  try {
    await main(Deno.args[0]!);
  } catch (error) {
    console.error(`tools/deno: ${error instanceof Error ? error.message : error}`);
    Deno.exit(69);
  }
}
