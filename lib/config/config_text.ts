/**
 * Settings written as the configuration file that gives them.
 *
 * @module
 */

import { addressText, isFile } from "../policy/address.ts";
import { principalText } from "../policy/admission.ts";
import { LIMIT_NAMES, type LimitName } from "../policy/limits.ts";
import type { ListenerSettings } from "./listener_settings.ts";
import type { Role } from "../policy/policy.ts";
import { modeText } from "./recording.ts";
import { roleLines } from "./role_text.ts";
import { ROLES } from "../policy/roles.ts";
import { list, quoted } from "./value_kinds.ts";
import { printed, type ServeSettings, type Setting, SETTING_NAMES, SETTINGS } from "./settings.ts";

/** Prints settings as a configuration file that gives them, with the roles of its listeners. */
export function configText(settings: ServeSettings): string {
  const lines = SETTING_NAMES.flatMap((name) => {
    const { needs }: Setting<unknown> = SETTINGS[name];
    if (needs !== undefined && settings[needs] === undefined) return [];
    const value = printed(settings, name);
    return value === undefined ? [] : [`${name} = ${value}`];
  });
  for (const role of ownRoles(settings)) lines.push("", ...roleLines(role));
  for (const listener of settings.listeners) {
    const { address, remote, grant, mode, user, group } = listener;
    lines.push("", "[[listen]]", `address = ${quoted(addressText(address))}`);
    lines.push(`name = "${grant.name}"`);
    const { allow, others } = listener.admission;
    if (others || allow) lines.push(`role = "${grant.role.name}"`);
    lines.push(`dialect = "${grant.dialect}"`, `absent = "${listener.absent}"`);
    if (grant.events) lines.push(`events = ${list(grant.events.globs)}`);
    if (isFile(address)) lines.push(`mode = "${modeText(mode)}"`);
    if (user !== undefined) lines.push(`user = ${quoted(user)}`);
    if (group !== undefined) lines.push(`group = ${quoted(group)}`);
    lines.push(...admissionLines(listener));
    if (remote) lines.push("allow-remote = true");
    lines.push(`cache = ${grant.caches}`, `join = ${grant.joins}`);
    for (const name of LIMIT_NAMES) {
      if (!isOfRoles(listener, name)) lines.push(`${name} = ${grant.limits[name]}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The roles of its listeners that are not built in. */
function ownRoles({ listeners }: ServeSettings): ReadonlySet<Role> {
  const roles = listeners.flatMap(({ grant, admission }) =>
    [grant, ...admission.special.map((each) => each.grant)].map(({ role }) => role)
  );
  return new Set(roles.filter((role) => ROLES.get(role.name) !== role));
}

/** Returns whether a limit is left to each role's default. */
function isOfRoles({ grant, admission }: ListenerSettings, limit: LimitName): boolean {
  const all = [grant, ...admission.special.map((each) => each.grant)];
  return all.some(({ limits }) => limits[limit] !== grant.limits[limit]);
}

/** Returns the lines that say which clients are admitted; without `role`, only those. */
function admissionLines({ admission, identity, descriptors }: ListenerSettings): string[] {
  const { allow, special } = admission;
  const lines = [`identity = ${identity}`, `fds = ${descriptors}`];
  if (allow) lines.push(`allow = ${list(allow.map(principalText))}`);
  if (special.length > 0) {
    const rules = special.map(({ who, grant }) => `${principalText(who)}:${grant.role.name}`);
    lines.push(`role-for = ${list(rules)}`);
  }
  return lines;
}
