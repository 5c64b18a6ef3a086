/**
 * Tests the units under a real systemd, with a compiled qmpmux at an administrator's path.
 *
 * `units.ts [--limit MINUTES] [--console]` boots a Debian VM and runs `inside` in it, with
 * `dist/qmpmux` or the program that QMPMUX_BINARY names.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { denoOf, isOlder } from "../deno_version.ts";
import { run, Unmade } from "../release_parts.ts";
import { copy, ROOT, tryInside } from "./boot.ts";

/** Writes the program, its units, its source and a Deno to run that. */
async function fill(content: string): Promise<void> {
  const named = Deno.env.get("QMPMUX_BINARY") ?? "dist/qmpmux";
  const binary = named.startsWith("/") ? named : ROOT + named;
  if (!existsSync(binary)) throw new Unmade(`No ${named}: run the task "compile" first`);
  await copy(binary, `${content}/qmpmux`);
  for (const name of ["systemd", "packaging", "tools/vm/host"]) {
    await copy(`${ROOT}${name}`, content);
  }
  await copy(Deno.execPath(), `${content}/deno`);
  Deno.mkdirSync(`${content}/source`);
  for (const name of ["deno.json", "main.ts", "lib"]) {
    await copy(`${ROOT}${name}`, `${content}/source`);
  }
  // The VM has no network.
  await run(Deno.execPath(), ["cache", `${ROOT}main.ts`]);
  const { npmCache } = JSON.parse(await run(Deno.execPath(), ["info", "--json"]));
  Deno.mkdirSync(`${content}/deno-dir`);
  await copy(npmCache, `${content}/deno-dir/npm`);
  const mirror = Deno.env.get("JSR_URL");
  if (mirror?.startsWith("file://")) await copy(new URL(mirror).pathname, `${content}/jsr`);
  // An older Deno than qmpmux is built for cannot adopt sockets.
  if (isOlder(denoOf(binary))) Deno.writeTextFileSync(`${content}/compiled-by-older`, "");
}

if (import.meta.main) await tryInside("vm", { script: "inside", fill });
