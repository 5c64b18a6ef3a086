/**
 * Globs: `*` stands for any run of characters, `?` for one; case counts.
 *
 * The whole text must match. The time is bounded by glob times text, so that a
 * client cannot choose a text on which matching never ends.
 *
 * @module
 */

/** Does a text match a glob? */
export function globMatches(glob: string, text: string): boolean {
  // A character beyond U+FFFF counts as one; only `?` can tell.
  return glob.includes("?") ? matches([...glob], [...text]) : matches(glob, text);
}

/**
 * Does a value match a glob that allows it?
 *
 * As {@linkcode globMatches}, but what `*` and `?` stand for does not climb out of
 * a directory: `/backup/*` is not `/backup/../etc`. A glob of stars alone is anything.
 */
export function globAllows(glob: string, text: string): boolean {
  if (!globMatches(glob, text)) return false;
  return /^\*+$/.test(glob) || climbs(text) <= climbs(glob);
}

/** How often a path goes up. */
function climbs(path: string): number {
  return path.split("/").filter((part) => part === "..").length;
}

function matches(glob: ArrayLike<string>, text: ArrayLike<string>): boolean {
  let at = 0;
  let from = 0;
  // Where to go on when the present try fails: behind the last `*`, one character later.
  let star = -1;
  let retry = 0;
  while (from < text.length) {
    if (glob[at] === "*") {
      star = at++;
      retry = from;
    } else if (at < glob.length && (glob[at] === "?" || glob[at] === text[from])) {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++retry;
    } else return false;
  }
  while (glob[at] === "*") at++;
  return at === glob.length;
}
