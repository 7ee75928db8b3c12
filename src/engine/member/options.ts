import type { Member } from "../settings.ts";

/**
 * How a member (layer, loss, optimizer, schedule, initializer) declares its options.
 *
 * One declaration serves everything: the zod schema of the spec, the catalogue, OpenAPI,
 * docs/catalogue.md and, through `ValuesOf`, the type that the member's own code sees. An option
 * without `default` is required; a default of `null` makes it optional and nullable. Bounds:
 * `min`/`max` are inclusive, `above`/`below` exclusive.
 */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  readonly above?: number;
  readonly below?: number;
}

export interface Explained {
  readonly doc: string;
  /**
   * Values besides the default that show the effect of the option. The tests of every member try
   * them. If none are given, the tests choose values by the kind. An optimizer is written as in a
   * spec.
   */
  readonly tries?: readonly unknown[];
}

export type Option = Explained &
  /** With `nullable`, null is a value too, although it is not the default. */
  (
    | ({ readonly kind: "number"; readonly default?: number | null; readonly nullable?: true } & Bounds)
    /**
     * With `whole`, null stands for the whole time of a schedule and is replaced before the member
     * is used (schedules/span.ts).
     */
    | ({ readonly kind: "integer"; readonly default?: number | null; readonly whole?: true } & Bounds)
    | { readonly kind: "boolean"; readonly default: boolean }
    | { readonly kind: "choice"; readonly choices: readonly string[]; readonly default?: string | null }
    /**
     * A list of numbers with a fixed `length`. With a `length` of null the list may have any
     * length.
     */
    | ({
        readonly kind: "numbers";
        readonly length: number | null;
        readonly default?: readonly number[] | null;
      } & Bounds)
    /** A list of integers, with a fixed or any `length`, which is then at most `most`. */
    | ({
        readonly kind: "integers";
        readonly length: number | null;
        readonly most?: number;
        readonly default?: readonly number[] | null;
      } & Bounds)
    /**
     * A length for each of so many dimensions, or one for all of them. `choices` are words for
     * lengths that follow from other options.
     */
    | ({
        readonly kind: "sizes";
        readonly length: number;
        readonly choices?: readonly string[];
        readonly default?: number | readonly number[] | string | null;
      } & Bounds)
    /** A size for each column of the data: one for all, or by name. A column may be left out. */
    | ({ readonly kind: "column_sizes"; readonly default: null } & Bounds)
    /** One member: the optimizer that an optimizer wraps. `of` is the folder of its kind. */
    | { readonly kind: "member"; readonly of: string; readonly default?: Member }
    /** At least one member: the schedules that a schedule is made of. */
    | { readonly kind: "members"; readonly of: string; readonly default?: null }
    /**
     * Numbers by class, under the names of the classes in the data: `{"cat": 2, "dog": 1}`. Classes
     * that are left out have 1.
     */
    | { readonly kind: "class_numbers"; readonly default: null }
    /** The name of a class in the data. */
    | { readonly kind: "class"; readonly default: null }
    /** The name of a parameter of an earlier layer. */
    | { readonly kind: "parameter"; readonly default: null }
  );

export type Options = Readonly<Record<string, Option>>;

/** The value of one declared option; `M` is what stands for a member among the options. */
export type ValueOf<O extends Option, M = Member> = Nullable<O, Plain<O, M>>;

type Nullable<O, T> = O extends { readonly whole: true }
  ? T
  : O extends { readonly default: null } | { readonly nullable: true }
    ? T | null
    : T;
type Plain<O, M> = O extends { readonly kind: "number" | "integer" }
  ? number
  : O extends { readonly kind: "boolean" }
    ? boolean
    : O extends { readonly kind: "choice"; readonly choices: readonly (infer C)[] }
      ? C
      : O extends { readonly kind: "numbers" | "integers" }
        ? readonly number[]
        : O extends { readonly kind: "sizes" }
          ? number | readonly number[] | (O extends { readonly choices: readonly (infer C)[] } ? C : never)
          : O extends { readonly kind: "column_sizes" }
            ? number | Readonly<Record<string, number>>
            : O extends { readonly kind: "members" }
              ? readonly M[]
              : O extends { readonly kind: "class_numbers" }
                ? Readonly<Record<string, number>>
                : O extends { readonly kind: "class" | "parameter" }
                  ? string
                  : O extends { readonly kind: "member" }
                    ? M
                    : never;

/**
 * The values of declared options, with defaults filled in. Of options that are known only at run
 * time nothing is known: a `Member` of a resolved spec is what any member's code takes.
 */
export type ValuesOf<O extends Options, M = Member> = string extends keyof O
  ? Readonly<Record<string, unknown>>
  : { readonly [K in keyof O]: ValueOf<O[K], M> };

/** The value of an option of sizes as a list, one for each of `count` dimensions. */
export function lengths(value: number | readonly number[], count: number): readonly number[] {
  return typeof value === "number" ? Array.from({ length: count }, () => value) : value;
}

/** The members of a kind by name. A schema has checked the name before. */
export type Registry<T> = Readonly<Record<string, T>>;

/** A member with the defaults of its options; `given` are those that are set. */
export function withDefaults(
  declared: { readonly type: string; readonly dialect?: string; readonly options: Options },
  given: Readonly<Record<string, unknown>> = {},
): Member {
  const { type, dialect = "torch", options } = declared;
  const defaults = Object.entries(options)
    .filter(([, option]) => option.default !== undefined)
    .map(([name, option]): [string, unknown] => [name, option.default]);
  return { type, dialect, ...Object.fromEntries(defaults), ...given };
}

/**
 * A fault in a value; `option` names the option to change, or the path to it
 * (`schedulers/0/gamma`).
 */
export interface OptionFault {
  readonly option: string;
  readonly message: string;
}

/** The description of a member in the catalogue. */
export interface Description {
  /** The member's name in a spec. */
  readonly type: string;
  /** One sentence: what it is and when to use it. */
  readonly summary: string;
  /** The formula in plain text, in the notation of the source. */
  readonly formula: string;
  /** Paper, equation, or the PyTorch class whose semantics are kept. */
  readonly source: string;
  readonly options: Options;
}
