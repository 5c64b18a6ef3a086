/**
 * The contents of a released program, as CycloneDX JSON.
 *
 * It lists the packages that `main.ts` really loads, the Deno runtime and V8, but not the
 * components of the runtime.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { digest } from "./release_deb.ts";
import { run } from "./release_parts.ts";

/** The input of the list. */
export interface Released {
  readonly version: string;
  readonly commit: string;
  readonly epoch: number;
  readonly source: string;
  /** The environment with which Deno finds the packages. */
  readonly env: Record<string, string>;
  /** The files that the list describes, by name. */
  readonly programs: ReadonlyMap<string, string>;
}

/** A package that a program loads. */
export interface LoadedPackage {
  readonly name: string;
  readonly version: string;
  readonly registry: "jsr" | "npm";
  /** The SPDX identifier of its licence. */
  readonly license: string;
}

/** The licences of the packages from npm; those from JSR are all of the standard library. */
const NPM_LICENSES: Readonly<Record<string, string>> = {
  "eslint-visitor-keys": "Apache-2.0",
  "toml-eslint-parser": "MIT",
};

/** The packages that a program of this tree loads, sorted by name. */
export async function loadedPackages(
  source: string,
  env: Record<string, string>,
): Promise<LoadedPackage[]> {
  const text = await run(Deno.execPath(), ["info", "--json", "main.ts"], { cwd: source, env });
  const { modules, npmPackages } = JSON.parse(text) as {
    modules: { specifier: string }[];
    npmPackages: Record<string, { name: string; version: string }>;
  };
  const found = new Map<string, LoadedPackage>();
  for (const { specifier } of modules) {
    const [, name, version] = /\/(@std\/[a-z-]+)\/(\d+\.\d+\.\d+)\//.exec(specifier) ?? [];
    if (name && version) found.set(name, { name, version, registry: "jsr", license: "MIT" });
  }
  for (const { name, version } of Object.values(npmPackages)) {
    const license = NPM_LICENSES[name];
    if (license === undefined) throw new Error(`The licence of npm:${name} is not known`);
    found.set(name, { name, version, registry: "npm", license });
  }
  return [...found.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Returns the list as a text that depends on nothing but the input. */
export async function bom(released: Released): Promise<string> {
  const { version, commit, epoch, source, env, programs } = released;
  const mit = [{ license: { id: "MIT" } }];
  const libraries = (await loadedPackages(source, env)).map((each) => ({
    type: "library",
    "bom-ref": `${each.name}@${each.version}`,
    name: each.name,
    version: each.version,
    // The `@` of a scope would begin the version.
    purl: `pkg:${each.registry}/${each.name.replace("@", "%40")}@${each.version}`,
    licenses: [{ license: { id: each.license } }],
  }));
  const runtime = [
    {
      type: "framework",
      "bom-ref": `deno@${Deno.version.deno}`,
      name: "deno",
      version: Deno.version.deno,
      purl: `pkg:github/denoland/deno@v${Deno.version.deno}`,
      licenses: mit,
    },
    {
      type: "library",
      "bom-ref": `v8@${Deno.version.v8}`,
      name: "v8",
      version: Deno.version.v8,
      purl: `pkg:generic/v8@${Deno.version.v8}`,
      licenses: [{ license: { id: "BSD-3-Clause" } }],
    },
  ];
  const files = Array.from(programs, ([target, path]) => ({
    type: "file",
    "bom-ref": `qmpmux-${target}`,
    name: `qmpmux for ${target}`,
    hashes: [{ alg: "SHA-256", content: digest("sha256", path) }],
  }));
  const self = `qmpmux@${version}`;
  const components = [...libraries, ...runtime, ...files];
  const list = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    serialNumber: `urn:uuid:${uuid(JSON.stringify([self, commit, components]))}`,
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": self,
        name: "qmpmux",
        version,
        licenses: mit,
        properties: [{ name: "commit", value: commit }],
      },
    },
    components,
    dependencies: [
      {
        ref: self,
        dependsOn: [...libraries, runtime[0]!].map((component) => component["bom-ref"]),
      },
      { ref: runtime[0]!["bom-ref"], dependsOn: [runtime[1]!["bom-ref"]] },
    ],
  };
  return `${JSON.stringify(list, null, 2)}\n`;
}

/** Returns a UUID that depends on the text alone (version 8 of RFC 9562). */
function uuid(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = bytes[6]! & 0x0f | 0x80;
  bytes[8] = bytes[8]! & 0x3f | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
