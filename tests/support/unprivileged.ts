/**
 * Programs that file modes bind: root without its privileges, or any other user.
 *
 * @module
 */

/** The arguments that run a command as root without root's privileges. */
const UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] as const;

/**
 * Returns the arguments that run a command as a user bound by file modes; none if this user is one.
 *
 * @throws Error if root cannot read the checkout without its privileges: nothing would start
 */
export function unprivileged(): readonly string[] {
  if (Deno.uid() !== 0) return [];
  const file = new URL("../../main.ts", import.meta.url).pathname;
  const [command, ...args] = [...UNPRIVILEGED, "test", "-r", file];
  if (new Deno.Command(command, { args }).outputSync().success) return UNPRIVILEGED;
  throw new Error(
    `root cannot read ${file} without its privileges; run this in a checkout that everybody may read`,
  );
}
