/**
 * Makes all files of a release: archives, packages, a list of their contents, and checksums.
 *
 * `release.ts [--out DIR]` releases the commit that is checked out, without uncommitted files,
 * from a copy of its tree in which every file has the time of the commit. Two runs make the
 * same bytes, on any machine and at any time.
 *
 * A release needs Deno 2.9. With an older one it is a rehearsal, and has that in its name.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { resolve } from "node:path";
import { compileAll, type Target } from "./compile.ts";
import { isOlder } from "./deno_version.ts";
import { ARCHITECTURES, digest, files, makeDeb } from "./release_deb.ts";
import { gzip, type Parts, put, run, type Shell, SHELLS, Unmade } from "./release_parts.ts";
import { bom } from "./release_sbom.ts";

const ROOT = resolve(import.meta.dirname!, "..");

const MANUAL = ["qmpmux.1", "qmpmux.toml.5", "qmpmux-protocol.7"];

/** The names of completions in an archive. */
const COMPLETIONS: Readonly<Record<Shell, string>> = {
  bash: "qmpmux.bash",
  zsh: "_qmpmux",
  fish: "qmpmux.fish",
};

/** The properties of a release. */
export interface Release {
  /** The version, with a suffix for a rehearsal. */
  readonly version: string;
  readonly commit: string;
  /** The time of the commit, in seconds since 1970. */
  readonly epoch: number;
}

/** Copies the tree of the commit, and packages that are files; returns how to run Deno there. */
async function stage(place: string): Promise<{ release: Release; env: Record<string, string> }> {
  const git = (...args: string[]): Promise<string> => run("git", ["-C", ROOT, ...args]);
  if ((await git("status", "--porcelain")).trim() !== "") {
    console.error("There are changes that are in no commit; they are not released");
  }
  const commit = (await git("rev-parse", "--short=12", "HEAD")).trim();
  const epoch = Number(await git("log", "-1", "--format=%ct"));
  await git("archive", "--format=tar", `--output=${place}.tar`, "HEAD");
  Deno.mkdirSync(place);
  await run("tar", ["--extract", `--file=${place}.tar`, `--directory=${place}`]);
  Deno.removeSync(`${place}.tar`);

  const env: Record<string, string> = {
    QMPMUX_COMMIT: commit,
    SOURCE_DATE_EPOCH: String(epoch),
    NO_COLOR: "1",
  };
  const mirror = Deno.env.get("JSR_URL");
  if (mirror?.startsWith("file://")) {
    // A compiled program contains the paths and times of its modules.
    await run("cp", ["-r", "--", new URL(mirror).pathname, `${place}/packages`]);
    env.JSR_URL = new URL(`file://${place}/packages/`).href;
  }
  for (const file of files(place)) Deno.utimeSync(file, epoch, epoch);
  const { version } = JSON.parse(Deno.readTextFileSync(`${place}/deno.json`));
  const rehearsal = isOlder(Deno.version.deno) ? "+rehearsal" : "";
  return { release: { version: version + rehearsal, commit, epoch }, env };
}

/** Makes the manual pages and completions, from the tables of the source. */
async function texts(
  source: string,
  place: string,
  env: Record<string, string>,
): Promise<Omit<Parts, "program">> {
  const deno = (...args: string[]): Promise<string> =>
    run(Deno.execPath(), args, { cwd: source, env });
  await deno("task", "--quiet", "manual", "--out", `${place}/man`);
  const pages = MANUAL.map((page) => `${place}/man/${page}`);
  const completions = {} as Record<Shell, string>;
  for (const shell of SHELLS) {
    completions[shell] = `${place}/${COMPLETIONS[shell]}`;
    const text = await deno("task", "--quiet", "qmpmux", "completion", shell);
    Deno.writeTextFileSync(completions[shell], text);
  }
  const documents = files(`${source}/docs`).map((path) => path.slice(`${source}/docs/`.length));
  return { source, pages, documents, completions };
}

/** Makes the archive for one target. */
async function makeArchive(
  path: string,
  parts: Parts,
  { name, target, epoch, work }: { name: string; target: Target; epoch: number; work: string },
): Promise<void> {
  const top = `${work}/${name}`;
  put(parts.program, `${top}/qmpmux`, 0o755);
  for (const file of ["README.md", "SECURITY.md", "LICENSE", "CHANGELOG.md"]) {
    put(`${parts.source}/${file}`, `${top}/${file}`);
  }
  put(`${parts.source}/packaging/example.toml`, `${top}/example.toml`);
  for (const page of parts.documents) put(`${parts.source}/docs/${page}`, `${top}/docs/${page}`);
  for (const page of parts.pages) {
    put(page, `${top}/man/man${page.slice(-1)}/${page.slice(page.lastIndexOf("/") + 1)}`);
  }
  for (const shell of SHELLS) {
    put(parts.completions[shell], `${top}/completions/${COMPLETIONS[shell]}`);
  }
  if (target.includes("linux")) {
    for (const unit of files(`${parts.source}/systemd`)) {
      put(unit, `${top}/systemd/${unit.slice(unit.lastIndexOf("/") + 1)}`);
    }
    for (const file of ["qmpmux.sysusers", "qmpmux.tmpfiles", "qmpmux.toml"]) {
      put(`${parts.source}/packaging/${file}`, `${top}/systemd/${file}`);
    }
    const emulator = "libvirt/qmpmux-emulator";
    put(`${parts.source}/${emulator}`, `${top}/${emulator}`, 0o755);
  }
  const tar = `${work}/${name}.tar`;
  await run("tar", [
    ...["--create", "--format=ustar", "--sort=name", `--mtime=@${epoch}`, "--mode=go=rX,u=rwX"],
    ...["--owner=0", "--group=0", "--numeric-owner", `--file=${tar}`, `--directory=${work}`, name],
  ]);
  await gzip(tar, path);
  Deno.removeSync(tar);
}

/** Makes all files in an empty directory; returns the targets without a denort, with the reason. */
async function make(out: string, work: string): Promise<Map<Target, string>> {
  const source = `${work}/source`;
  const { release, env } = await stage(source);
  const { version, commit, epoch } = release;
  const { made, missing } = await compileAll(source, (target) => `${work}/programs/${target}`, env);
  if (made.size === 0) throw new Unmade([...missing.values()].join("\n"));
  const common = await texts(source, `${work}/texts`, env);
  for (const [target, program] of made) {
    const parts = { ...common, program };
    const name = `qmpmux-${version}-${target}`;
    const options = { epoch, work: `${work}/${target}` };
    await makeArchive(`${out}/${name}.tar.gz`, parts, { name, target, ...options });
    const architecture = ARCHITECTURES[target];
    if (architecture === undefined) continue;
    const deb = `${out}/qmpmux_${version}_${architecture}.deb`;
    await makeDeb(deb, parts, { version, architecture, epoch, work: `${work}/${architecture}` });
  }
  const list = await bom({ version, commit, epoch, source, env, programs: made });
  Deno.writeTextFileSync(`${out}/qmpmux-${version}.cdx.json`, list);
  const sums = files(out).map((path) =>
    `${digest("sha256", path)}  ${path.slice(out.length + 1)}\n`
  );
  Deno.writeTextFileSync(`${out}/SHA256SUMS`, sums.join(""));
  for (const path of files(out)) Deno.chmodSync(path, 0o644);
  return missing;
}

/** Makes a release at `out`; when it fails, `out` is unchanged. */
export async function makeRelease(out: string): Promise<Map<Target, string>> {
  const work = Deno.makeTempDirSync({ prefix: "qmpmux-release-" });
  try {
    const fresh = `${work}/out`;
    Deno.mkdirSync(fresh);
    const missing = await make(fresh, work);
    await Deno.remove(out, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    Deno.mkdirSync(resolve(out, ".."), { recursive: true });
    await run("mv", ["--no-target-directory", "--", fresh, out]);
    Deno.chmodSync(out, 0o755);
    return missing;
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
}

async function main(): Promise<number> {
  const wrong: string[] = [];
  const told = parseArgs(Deno.args, {
    string: ["out"],
    unknown: (arg) => wrong.push(arg) === 0,
  });
  if (wrong.length > 0) {
    console.error("Usage: release [--out DIR]");
    return 64;
  }
  const out = resolve(told.out ?? `${ROOT}/dist/release`);
  try {
    const missing = await makeRelease(out);
    for (const path of files(out)) console.log(path);
    for (const [target, why] of missing) console.error(`Not released: ${target}: ${why}`);
    // A rehearsal may lack targets; a release must not.
    return missing.size === 0 || isOlder(Deno.version.deno) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Unmade)) throw error;
    console.error(`Not released: ${error.message}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
