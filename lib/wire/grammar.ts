/**
 * The two grammars of QEMU's monitor input, as tables.
 *
 * QEMU 11.1 got a new JSON parser: it names line and column, answers a syntax
 * error at once instead of when the brackets balance, and recovers in another
 * way. Which one a client must hear follows from the version in the greeting.
 *
 * @module
 */

/** What of QEMU's JSON parser differs between its versions. */
export interface Grammar {
  /** The first QEMU version that speaks it, `[major, minor]`. */
  readonly since: readonly [number, number];
  /** Are errors told with `LINE:COLUMN: ` of the offending token, counted from 1? */
  readonly positions: boolean;
  /** Is a syntax error told at once, or when brackets and braces balance? */
  readonly atOnce: boolean;
  /** Must a key be a string before anything else of it is read? */
  readonly keysAreStrings: boolean;
  /** Are stray bytes shown as far as the text of a syntax error may go, or whole? */
  readonly cutsStray: boolean;
  /** The texts of syntax errors, by what was awaited. */
  readonly texts: {
    readonly value: string;
    readonly key: string;
    readonly colon: string;
    readonly objectSeparator: string;
    readonly arraySeparator: string;
    readonly keyNotString: string;
    readonly duplicateKey: string;
  };
}

/** QEMU before 11.1; measured on 7.2.22 and 10.0.13. */
export const CLASSIC: Grammar = {
  since: [0, 0],
  positions: false,
  atOnce: false,
  keysAreStrings: false,
  cutsStray: false,
  texts: {
    value: "expecting value",
    key: "expecting value",
    colon: "missing : in object pair",
    objectSeparator: "expected separator in dict",
    arraySeparator: "expected separator in list",
    keyNotString: "key is not a string in object",
    duplicateKey: "duplicate key",
  },
};

/** QEMU from 11.1; measured on 11.1.3. */
export const POSITIONED: Grammar = {
  since: [11, 1],
  positions: true,
  atOnce: true,
  keysAreStrings: true,
  cutsStray: true,
  texts: {
    value: "expecting value",
    key: "expecting key",
    colon: "expecting ':'",
    objectSeparator: "expected ',' or '}'",
    arraySeparator: "expected ',' or ']'",
    keyNotString: "expecting key",
    duplicateKey: "duplicate key",
  },
};

/**
 * The grammar of a QEMU version: the newest that is not newer than it.
 *
 * @param major the greeting's `version.qemu.major`
 * @param minor the greeting's `version.qemu.minor`
 */
export function grammarOf(major: number, minor: number): Grammar {
  const [sinceMajor, sinceMinor] = POSITIONED.since;
  const newer = major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
  return newer ? POSITIONED : CLASSIC;
}

/** The newest QEMU whose grammar has been measured, `[major, minor]`. */
export const NEWEST_MEASURED = [11, 1] as const;

/** Is a version newer than all that have been measured, so that its grammar is a guess? */
export function isUnmeasured(major: number, minor: number): boolean {
  const [newestMajor, newestMinor] = NEWEST_MEASURED;
  return major > newestMajor || (major === newestMajor && minor > newestMinor);
}
