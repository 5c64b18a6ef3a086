/**
 * Makes the Debian package: packaging/debian/ and the parts of a release, at Debian's paths.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { gzip, type Parts, put, run, Unmade } from "./release_parts.ts";

/** Debian's names of architectures. */
export const ARCHITECTURES: Readonly<Record<string, string>> = {
  "x86_64-unknown-linux-gnu": "amd64",
  "aarch64-unknown-linux-gnu": "arm64",
};

/** The files of systemd/ that are units. */
export const UNITS = [
  "qmpmux-metrics.service",
  "qmpmux-metrics.socket",
  "qmpmux.service",
  "qmpmux@.service",
  "qmpmux@.socket",
] as const;

/** The files of packaging/ that are configurations; conffiles lists them too. */
export const CONFIGURATIONS = ["example.toml", "qmpmux.toml"] as const;

const MAINTAINER_SCRIPTS = ["postinst", "prerm", "postrm"] as const;

/** The properties of a package, besides its parts. */
export interface PackageOptions {
  readonly version: string;
  readonly architecture: string;
  /** The time of all files, in seconds since 1970. */
  readonly epoch: number;
  /** An empty directory to work in. */
  readonly work: string;
}

/** Makes the package at `path`. */
export async function makeDeb(path: string, parts: Parts, options: PackageOptions): Promise<void> {
  const { version, architecture, epoch, work } = options;
  const doc = "usr/share/doc/qmpmux";
  const debian = `${parts.source}/packaging/debian`;
  put(parts.program, `${work}/usr/bin/qmpmux`, 0o755);
  for (const unit of UNITS) {
    put(`${parts.source}/systemd/${unit}`, `${work}/usr/lib/systemd/system/${unit}`);
  }
  put(`${parts.source}/packaging/qmpmux.sysusers`, `${work}/usr/lib/sysusers.d/qmpmux.conf`);
  put(`${parts.source}/packaging/qmpmux.tmpfiles`, `${work}/usr/lib/tmpfiles.d/qmpmux.conf`);
  for (const file of CONFIGURATIONS) {
    put(`${parts.source}/packaging/${file}`, `${work}/etc/qmpmux/${file}`);
  }
  put(
    `${parts.source}/systemd/apparmor.qmpmux`,
    `${work}/${doc}/examples/apparmor.qmpmux`,
  );
  put(
    `${parts.source}/libvirt/qmpmux-emulator`,
    `${work}/${doc}/examples/qmpmux-emulator`,
    0o755,
  );
  for (const page of parts.pages) {
    const name = page.slice(page.lastIndexOf("/") + 1);
    await gzip(page, `${work}/usr/share/man/man${name.slice(-1)}/${name}.gz`);
  }
  const completions = `${work}/usr/share`;
  put(parts.completions.bash, `${completions}/bash-completion/completions/qmpmux`);
  put(parts.completions.zsh, `${completions}/zsh/vendor-completions/_qmpmux`);
  put(parts.completions.fish, `${completions}/fish/vendor_completions.d/qmpmux.fish`);
  put(`${debian}/copyright`, `${work}/${doc}/copyright`);
  put(`${debian}/lintian-overrides`, `${work}/usr/share/lintian/overrides/qmpmux`);
  for (const file of ["README.md", "SECURITY.md"]) {
    put(`${parts.source}/${file}`, `${work}/${doc}/${file}`);
  }
  for (const page of parts.documents) {
    put(`${parts.source}/docs/${page}`, `${work}/${doc}/docs/${page}`);
  }
  const changes = Deno.readTextFileSync(`${parts.source}/CHANGELOG.md`);
  const control = Deno.readTextFileSync(`${debian}/control`);
  const [, maintainer] = /^Maintainer: (.*)$/m.exec(control)!;
  const changelog = `${work}/changelog`;
  Deno.writeTextFileSync(changelog, debianChangelog(changes, version, maintainer!, epoch));
  await gzip(changelog, `${work}/${doc}/changelog.gz`);
  Deno.removeSync(changelog);

  const installed = files(work);
  const size = installed.reduce((sum, file) => sum + Math.ceil(Deno.statSync(file).size / 1024), 0);
  const values: Readonly<Record<string, string>> = {
    VERSION: version,
    ARCHITECTURE: architecture,
    INSTALLED_SIZE: String(size),
    LIBC: libcOf(parts.program),
  };
  const sums = installed.map((file) => `${digest("md5", file)}  ${file.slice(work.length + 1)}\n`);
  Deno.mkdirSync(`${work}/DEBIAN`);
  write(`${work}/DEBIAN/control`, control.replaceAll(/@(\w+)@/g, (_, name) => values[name]!));
  write(`${work}/DEBIAN/md5sums`, sums.join(""));
  put(`${debian}/conffiles`, `${work}/DEBIAN/conffiles`);
  for (const script of MAINTAINER_SCRIPTS) {
    put(`${debian}/${script}`, `${work}/DEBIAN/${script}`, 0o755);
  }
  modes(work);
  await build(work, path, epoch);
}

/** Packs a directory that contains DEBIAN/, with the same bytes on any machine and at any time. */
export async function build(
  tree: string,
  path: string,
  epoch: number,
  compression: "xz" | "gzip" = "xz",
): Promise<void> {
  // More threads would split the data differently.
  const flags = ["--root-owner-group", "--threads-max=1", `-Z${compression}`];
  await run("dpkg-deb", [...flags, "--build", tree, path], {
    env: { SOURCE_DATE_EPOCH: String(epoch) },
  });
}

/** Makes another version of a package, with other texts, in an empty directory. */
export async function revise(
  deb: string,
  { version, path, work }: { version: string; path: string; work: string },
  texts: Readonly<Record<string, readonly [from: RegExp, to: string]>> = {},
): Promise<void> {
  await run("dpkg-deb", ["--raw-extract", deb, work]);
  const change = (file: string, from: RegExp, to: string): void => {
    const text = Deno.readTextFileSync(`${work}/${file}`);
    if (!from.test(text)) throw new Unmade(`${file} of ${deb} has nothing like ${from}`);
    Deno.writeTextFileSync(`${work}/${file}`, text.replace(from, to));
  };
  change("DEBIAN/control", /^Version: .*$/m, `Version: ${version}`);
  for (const [file, [from, to]] of Object.entries(texts)) {
    change(file, from, to);
    const sum = `${digest("md5", `${work}/${file}`)}  ${file}`;
    change("DEBIAN/md5sums", new RegExp(`^.*  ${file}$`, "m"), sum);
  }
  // It is removed soon: good compression would take too long.
  await build(work, path, 0, "gzip");
}

function write(path: string, text: string): void {
  Deno.writeTextFileSync(path, text);
  Deno.chmodSync(path, 0o644);
}

/** Sets the modes of directories to Debian's, for any umask. */
function modes(directory: string): void {
  Deno.chmodSync(directory, 0o755);
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    if (isDirectory) modes(`${directory}/${name}`);
  }
}

/** Returns all files below a directory, in order. */
export function files(directory: string): string[] {
  return Array.from(Deno.readDirSync(directory)).flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    return isDirectory ? files(path) : [path];
  }).sort();
}

/** Returns the digest of a file, in hexadecimal. */
export function digest(algorithm: "md5" | "sha256", path: string): string {
  return createHash(algorithm).update(Deno.readFileSync(path)).digest("hex");
}

/** Returns the newest version of the C library whose symbols a program uses. */
function libcOf(program: string): string {
  const text = new TextDecoder("latin1").decode(Deno.readFileSync(program));
  const minors = text.matchAll(/\0GLIBC_2\.(\d{1,2})(?=\0)/g);
  const newest = Math.max(...Array.from(minors, ([, minor]) => Number(minor)));
  if (!Number.isFinite(newest)) throw new Error(`${program} names no version of the C library`);
  return `2.${newest}`;
}

/** Returns CHANGELOG.md in the form that Debian's tools read. */
function debianChangelog(
  text: string,
  version: string,
  maintainer: string,
  epoch: number,
): string {
  const [, ...sections] = text.split(/^## /m);
  return sections.map((section, i) => {
    const [title = "", ...lines] = section.split("\n");
    const [named = "", day = ""] = title.split(", ");
    const dated = /^\d{4}-\d{2}-\d{2}$/.test(day) ? new Date(day) : new Date(epoch * 1000);
    const date = dated.toUTCString().replace("GMT", "+0000");
    const [, ...items] = `\n${lines.join("\n")}`.split(/\n- /);
    return `qmpmux (${i === 0 ? version : named}) unstable; urgency=medium\n\n` +
      items.map(filled).join("") + `\n -- ${maintainer}  ${date}\n`;
  }).join("\n");
}

/** Returns an item of a changelog, in lines of the length that Debian allows. */
function filled(item: string): string {
  const lines: string[] = [];
  let line = "  *";
  for (const word of item.trim().split(/\s+/)) {
    if (line.length + 1 + word.length > 79) {
      lines.push(line);
      line = "   ";
    }
    line += ` ${word}`;
  }
  return `${[...lines, line].join("\n")}\n`;
}
