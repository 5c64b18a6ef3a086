/**
 * Tests the Debian package under a real systemd: installs, upgrades, removes and purges it.
 *
 * `package.ts [--deb FILE] [--limit MINUTES] [--console]` boots a Debian VM and runs
 * `inside_package` in it, with FILE or the package of dist/release. The upgrade is made from
 * that package, with another version and a line added to the unit.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { files, revise } from "../release_deb.ts";
import { run, Unmade } from "../release_parts.ts";
import { copy, ROOT, tryInside } from "./boot.ts";

const RELEASE = `${ROOT}dist/release`;
/** Debian's name of the VM's architecture. */
const ARCHITECTURE = "amd64";
const UNIT = "usr/lib/systemd/system/qmpmux@.service";

/** Returns the package to test. */
function packageFor(named: string | undefined): string {
  if (named !== undefined) {
    if (existsSync(named)) return resolve(named);
    throw new Unmade(
      `No package at ${resolve(named)}: make one with the task "release", or leave out --deb`,
    );
  }
  const made = existsSync(RELEASE) ? files(RELEASE) : [];
  const deb = made.find((path) => path.endsWith(`_${ARCHITECTURE}.deb`));
  if (deb !== undefined) return deb;
  throw new Unmade(
    `No package for ${ARCHITECTURE} in dist/release: make one with the task "release", or name one by --deb`,
  );
}

/** Writes the package, and one of a higher version. */
async function fill(content: string, { deb }: { deb?: string }): Promise<void> {
  const first = packageFor(deb);
  await copy(first, `${content}/first.deb`);
  const version = (await run("dpkg-deb", ["--field", first, "Version"])).trim();
  const work = `${content}/work`;
  await revise(first, { version: `${version}+higher`, path: `${content}/higher.deb`, work }, {
    [UNIT]: [/^Description=.*$/m, "Description=Higher"],
  });
  Deno.removeSync(work, { recursive: true });
}

if (import.meta.main) {
  await tryInside("vm:package", { flags: ["--deb FILE"], script: "inside_package", fill });
}
