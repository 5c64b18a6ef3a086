/**
 * The two grammars of QEMU's monitor input, as tables.
 *
 * QEMU 11.1 has a new JSON parser. Its errors name line and column, it reports a syntax error
 * at once instead of when the brackets balance, and it recovers differently. The version in
 * the greeting selects the grammar.
 *
 * @module
 */

/** The differences between QEMU's JSON parsers. */
export interface Grammar {
  /**
   * Whether errors begin with `LINE:COLUMN: ` and are reported at once, not when the brackets
   * balance. A key that is not a string is then reported before its value is read, and stray
   * bytes are shortened in the error.
   */
  readonly isPositioned: boolean;
  /** The texts of syntax errors, by the token that was expected. */
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
  isPositioned: false,
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
  isPositioned: true,
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

/** Returns the grammar of a QEMU version, `version.qemu.major` and `minor` of its greeting. */
export function grammarOf(major: number, minor: number): Grammar {
  return major > 11 || (major === 11 && minor >= 1) ? POSITIONED : CLASSIC;
}

/** The newest QEMU version whose grammar was measured, `[major, minor]`. */
export const NEWEST_MEASURED = [11, 1] as const;

/** Tells whether a version is newer than the newest one measured; its grammar is then a guess. */
export function isUnmeasured(major: number, minor: number): boolean {
  const [newest, newestMinor] = NEWEST_MEASURED;
  return major > newest || (major === newest && minor > newestMinor);
}
