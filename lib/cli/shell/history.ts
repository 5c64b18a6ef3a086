/**
 * The lines of the shell as they are kept: without secrets, as in the audit.
 *
 * @module
 */

import { type Shown, withoutSecrets } from "../../observe/secrets.ts";
import { operatorRows } from "../../policy/operator_role.ts";
import { readCommand } from "../../wire/command_reader.ts";
import { FrameSplitter } from "../../wire/frame.ts";
import { statementOn } from "./statement.ts";
import { LineError } from "./words.ts";

const ENCODER = new TextEncoder();

/**
 * Returns a line for the history file: itself if it has no secret.
 *
 * @param isHuman whether it is a line of the human monitor
 * @returns `undefined` if it is not kept: it begins with a blank, or nobody can tell what is in it
 */
export function keptLine(line: string, isHuman: boolean): string | undefined {
  if (line.trim() === "" || /^\s/.test(line)) return undefined;
  if (isHuman && !line.startsWith("\\")) return keptHuman(line);
  try {
    const statement = statementOn(line);
    switch (statement.kind) {
      case "hmp":
        return keptHuman(statement.rest, "hmp ");
      case "own":
        return statement.name === "watch" ? keptWatch(line) : line;
      case "command":
        return keptCommand(line, statement.name, statement.args);
      case "close":
        return keptCommand(line, "transaction", statement.args);
      default:
        return line;
    }
  } catch (error) {
    if (error instanceof LineError) return undefined;
    throw error;
  }
}

/** Returns a command with its arguments, or with those that are left without secrets. */
function keptCommand(line: string, name: string, args: string | undefined): string | undefined {
  if (args === undefined || args === "{}") return line;
  const text = JSON.stringify(JSON.parse(args));
  const isKnown = operatorRows().has(name) || name.startsWith("__org.qmpmux_");
  const shown = shownOf(name, args, isKnown);
  if (shown === undefined) return undefined;
  if ("names" in shown) return name;
  return JSON.stringify(JSON.parse(shown.arguments)) === text ? line : `${name} ${shown.arguments}`;
}

/** Returns the parts of arguments without the secret ones; `undefined` if they cannot be read. */
function shownOf(name: string, args: string, isKnown: boolean): Shown | undefined {
  const splitter = new FrameSplitter();
  splitter.load(ENCODER.encode(`{"execute":${JSON.stringify(name)},"arguments":${args}}\n`));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame) return undefined;
  const command = readCommand(frame, false);
  return "because" in command ? undefined : withoutSecrets(command, isKnown);
}

/** Returns a line of the human monitor; of one that may have a secret, the first word. */
function keptHuman(line: string, before = ""): string | undefined {
  const args = JSON.stringify({ "command-line": line });
  const shown = shownOf("human-monitor-command", args, true);
  if (shown === undefined || "names" in shown) return undefined;
  return `${before}${JSON.parse(shown.arguments)["command-line"]}`;
}

/** Returns a line of `\watch`, with the command in it as that would be kept. */
function keptWatch(line: string): string | undefined {
  const [, head, command] = /^(\\watch\s+\S+\s+)(\S.*)$/s.exec(line) ?? [];
  if (head === undefined || command === undefined) return line;
  const kept = keptLine(command, false);
  return kept === undefined ? undefined : `${head}${kept}`;
}
