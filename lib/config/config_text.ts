/**
 * Settings printed as a configuration file.
 *
 * @module
 */

import { addressText, isFile } from "../policy/address.ts";
import { principalText } from "../policy/admission.ts";
import { LIMIT_NAMES, type LimitName } from "../policy/limits.ts";
import type { ListenerSettings } from "./options.ts";
import { modeText } from "./recording.ts";
import { ROLES } from "../policy/roles.ts";
import {
  defaults,
  printed,
  type ServeSettings,
  type Setting,
  SETTING_NAMES,
  SETTINGS,
  type SettingValues,
  VM_SETTING_NAMES,
  type VmTable,
} from "./settings.ts";
import { ANYTHING, type ArgumentList } from "../policy/argument_list.ts";
import { pathText } from "../policy/argument_path.ts";
import type { Condition, Role, Rule } from "../policy/policy.ts";
import { list, quoted } from "./value_kinds.ts";

/** Prints settings as a configuration file, including the roles that its listeners use. */
export function configText(settings: ServeSettings): string {
  const lines = SETTING_NAMES.flatMap((name) => {
    const { needs }: Setting<unknown> = SETTINGS[name];
    if (needs !== undefined && settings[needs] === undefined) return [];
    const value = printed(settings, name);
    return value === undefined ? [] : [`${name} = ${value}`];
  });
  for (const role of ownRoles(settings)) lines.push("", ...roleLines(role));
  for (const listener of settings.listeners) lines.push("", ...listenerLines("listen", listener));
  for (const vm of settings.vms) lines.push("", ...vmLines(vm));
  return `${lines.join("\n")}\n`;
}

/** Returns a VM as lines of TOML. */
function vmLines({ name, qemu, listeners, values }: VmTable): string[] {
  const lines = ["[[vm]]", `name = ${quoted(name)}`];
  if (qemu !== undefined) lines.push(`qemu = ${quoted(addressText(qemu))}`);
  const all: SettingValues = { ...defaults(), ...values };
  for (const setting of VM_SETTING_NAMES) {
    // An empty table of deadlines is not printed, but replaces that of the top level.
    if (setting in values) lines.push(`${setting} = ${printed(all, setting) ?? "{}"}`);
  }
  for (const listener of listeners) lines.push("", ...listenerLines("vm.listen", listener));
  return lines;
}

/** Returns a listener as lines of TOML. */
function listenerLines(table: string, listener: ListenerSettings): string[] {
  const { address, remote, grant, mode, user, group, directoryMode } = listener;
  const lines = [`[[${table}]]`, `address = ${quoted(addressText(address))}`];
  lines.push(`name = "${grant.name}"`);
  const { allow, others } = listener.admission;
  // Without `role`, only the clients that `role-for` names are admitted.
  if (others || allow) lines.push(`role = "${grant.role.name}"`);
  lines.push(`dialect = "${grant.dialect}"`, `absent = "${listener.absent}"`);
  if (grant.events) lines.push(`events = ${list(grant.events.globs)}`);
  if (isFile(address)) lines.push(`mode = "${modeText(mode)}"`);
  if (user !== undefined) lines.push(`user = ${quoted(user)}`);
  if (group !== undefined) lines.push(`group = ${quoted(group)}`);
  if (directoryMode !== undefined) lines.push(`directory-mode = "${modeText(directoryMode)}"`);
  lines.push(...admissionLines(listener));
  if (listener.logsClients) lines.push("log-clients = true");
  if (remote) lines.push("allow-remote = true");
  lines.push(`cache = ${grant.caches}`, `join = ${grant.joins}`);
  for (const name of LIMIT_NAMES) {
    if (!isOfRoles(listener, name)) lines.push(`${name} = ${grant.limits[name]}`);
  }
  return lines;
}

/** Returns the roles of the listeners that are not built in. */
function ownRoles({ listeners, vms }: ServeSettings): ReadonlySet<Role> {
  const all = [...listeners, ...vms.flatMap((vm) => vm.listeners)];
  const roles = all.flatMap(({ grant, admission }) =>
    [grant, ...admission.special.map((each) => each.grant)].map(({ role }) => role)
  );
  return new Set(roles.filter((role) => ROLES.get(role.name) !== role));
}

/** Returns whether a limit is left to each role's default. */
function isOfRoles({ grant, admission }: ListenerSettings, limit: LimitName): boolean {
  const all = [grant, ...admission.special.map((each) => each.grant)];
  return all.some(({ limits }) => limits[limit] !== grant.limits[limit]);
}

/** Returns the lines that say which clients a listener admits. */
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

/** Returns a role as lines of TOML. Read back, they make a role that decides the same for every command. */
function roleLines({ name, rules, events, administers, leases }: Role): string[] {
  const lines = ["[[role]]", `name = ${quoted(name)}`];
  if (events !== undefined) lines.push(`events = ${list(events.globs)}`);
  if (administers) lines.push("administers = true");
  if (leases.length > 0) lines.push(`lease = ${list(leases)}`);
  return [...lines, "rules = [", ...rules.map((rule) => `  ${ruleText(rule)},`), "]"];
}

function ruleText({ effect, commands, conditions, only, because }: Rule): string {
  const parts = [`${effect} = ${list(commands)}`];
  const wanted = conditions.flatMap(({ path, is }) =>
    typeof is === "string" ? [] : [`${quoted(pathText(path))} = ${list(is)}`]
  );
  if (wanted.length > 0) parts.push(`where = { ${wanted.join(", ")} }`);
  for (const is of ["present", "absent"] as const) {
    const paths = conditions.filter((each: Condition) => each.is === is);
    if (paths.length > 0) parts.push(`${is} = ${list(paths.map(({ path }) => pathText(path)))}`);
  }
  if (only !== undefined) parts.push(`only = ${onlyText(only)}`);
  if (because !== undefined) parts.push(`because = ${quoted(because)}`);
  return `{ ${parts.join(", ")} }`;
}

function onlyText({ entries }: ArgumentList): string {
  if (entries.every(([, globs]) => globs === ANYTHING)) {
    return list(entries.map(([path]) => pathText(path)));
  }
  return `{ ${
    entries.map(([path, globs]) => `${quoted(pathText(path))} = ${list(globs)}`).join(", ")
  } }`;
}
