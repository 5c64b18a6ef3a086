/**
 * The configuration file, from where it lies.
 *
 * @module
 */

import { type Config, readConfig } from "../terms/config.ts";
import { Failure } from "./failure.ts";

/**
 * Reads and checks a configuration file.
 *
 * @throws Failure where there is none that can be read; ConfigError where something in it is wrong
 */
export function readConfigFile(path: string): Config {
  return readConfig(textOf(path), path);
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new Failure(78, `${path}: there is no such file; correct --config`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${path}: no permission to read it; run as a user who has it`);
    }
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Failure(78, `${path}: it cannot be read: ${(error as Error).message}`);
  }
}
