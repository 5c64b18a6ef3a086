/**
 * The verdicts of each role on each command of QEMU, as a text whose changes show in a diff.
 *
 * Each line has the verdict on the command without arguments, and which arguments, given alone, are
 * refused although the command is not.
 *
 * @module
 */

import { judge, refusesEntirely, refusesNothing, type Role } from "../../lib/policy/policy.ts";
import { ROLES } from "../../lib/policy/roles.ts";
import { FrameSplitter } from "../../lib/wire/frame.ts";
import { readCommand } from "../../lib/wire/command_reader.ts";
import type { Command } from "../../lib/wire/message.ts";
import { RECORDED, recordedCommands } from "./commands.ts";

/** Returns a command as the hub reads it from a client's text. */
export function commandOf(text: string, takesOob = false): Command {
  const splitter = new FrameSplitter();
  splitter.load(new TextEncoder().encode(text));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame) throw new Error(`${text} is not a value`);
  const command = readCommand(frame, takesOob);
  if ("because" in command) throw new Error(`${text}: ${command.because}`);
  return command;
}

/**
 * Returns the reason why a role refuses a command, without the rule's name, or `undefined` if it
 * does not.
 */
export function refusalOf(role: Role, name: string, args: unknown = {}): string | undefined {
  const verdict = judge(role, commandOf(JSON.stringify({ execute: name, arguments: args })));
  if (verdict.allow) return undefined;
  return verdict.because.replace(/^role \S+, /, "").replace(/^rule '[^']*': /, "");
}

/** Returns every recorded command, with the arguments of all versions. */
export function allCommands(): ReadonlyMap<string, readonly string[]> {
  const all = new Map<string, Set<string>>();
  for (const version of RECORDED) {
    for (const [name, paths] of Object.entries(recordedCommands(version))) {
      all.set(name, new Set([...all.get(name) ?? [], ...paths]));
    }
  }
  return new Map(
    [...all].map(([name, paths]): [string, string[]] => [name, [...paths].sort()])
      .sort(([a], [b]) => a < b ? -1 : 1),
  );
}

/** Returns the paths of scalars. */
export function leaves(paths: readonly string[]): string[] {
  return paths.filter((path) =>
    !paths.some((other) => other.startsWith(`${path}.`) || other.startsWith(`${path}[`))
  );
}

/** Returns arguments with one scalar, at this path. */
export function argumentsWith(path: string): unknown {
  return path.split(/\.|(?=\[\*\])/).reduceRight<unknown>(
    (value, step) => step === "[*]" ? [value] : { [step]: value },
    "x",
  );
}

/** Returns the table of the {@linkcode ROLES} that refuse something. */
export function verdictTable(): string {
  const lines: string[] = [];
  for (const role of ROLES.values()) {
    if (refusesNothing(role)) continue;
    for (const [name, paths] of allCommands()) {
      const bare = refusalOf(role, name);
      const refused = bare === undefined
        ? leaves(paths).filter((path) => refusalOf(role, name, argumentsWith(path)))
        : [];
      const sometimes = bare !== undefined && !refusesEntirely(role, name);
      const verdict = bare === undefined
        ? "allowed"
        : `${sometimes ? "mostly " : ""}refused: ${bare}`;
      const but = refused.length > 0 ? `, but not ${refused.join(" ")}` : "";
      lines.push(`${role.name} ${name}: ${verdict}${but}\n`);
    }
  }
  return lines.join("");
}
