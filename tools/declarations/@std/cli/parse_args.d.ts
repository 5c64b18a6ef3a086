/**
 * The part of this module that qmpmux uses, as strict as the real declarations:
 * the type of an option follows from the lists it is named in. Simpler in two
 * points: dots in names and aliases have no types, and where no list is given
 * every option is `unknown`.
 */

/** Names of options: a union of literals, `string` for names known only at run time. */
type Names = string | undefined;

/** Names in one list. */
type List<N extends Names> = N | readonly Extract<N, string>[];

/** The type of a value of an option that is not collected. */
type Value<Name, Type, Negatable> = Name extends Negatable ? Type | false : Type;

/** Options by the lists that name them. */
type Listed<B, S, C, N> =
  & { [Name in Exclude<Extract<S, string>, C>]?: Value<Name, string, N> }
  & { [Name in Exclude<Extract<B, string>, C>]: boolean }
  & { [Name in Extract<Extract<S, string>, C>]: Value<Name, string[], N> }
  & { [Name in Extract<Extract<B, string>, C>]: boolean[] }
  & { [Name in Exclude<Extract<C, string>, S | B>]: Value<Name, unknown[], N> };

/** Options with their defaults; one with a default is never `undefined`. */
type Defaulted<Options, D> = [D] extends [undefined] ? Options
  :
    & Omit<Options, keyof D>
    & {
      [Name in keyof D]: Name extends keyof Options ? D[Name] | NonNullable<Options[Name]>
        : unknown;
    };

export interface ParseOptions<
  B extends boolean | Names = boolean | Names,
  S extends Names = Names,
  C extends Names = Names,
  N extends Names = Names,
  D extends Record<string, unknown> | undefined = Record<string, unknown> | undefined,
> {
  "--"?: boolean;
  alias?: Record<string, string | readonly string[]>;
  boolean?: B | readonly Extract<B, string>[];
  collect?: List<C>;
  default?: D;
  negatable?: List<N>;
  stopEarly?: boolean;
  string?: List<S>;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

export type Args<Options = unknown> = Record<string, unknown> & Options & {
  _: (string | number)[];
  "--"?: string[];
};

export function parseArgs<
  B extends boolean | Names = undefined,
  S extends Names = undefined,
  C extends Names = undefined,
  N extends Names = undefined,
  D extends Record<string, unknown> | undefined = undefined,
>(
  args: readonly string[],
  options?: ParseOptions<B, S, C, N, D>,
): Args<Defaulted<Listed<B, S, C, N>, D>>;
