import type { Kernels } from "../kernels/kernels.ts";
import type { Option, OptionFault, Options, ValuesOf } from "../member/options.ts";
import type { Configured, Dialect, Optimizer, OptimizerType, StateTensor } from "./optimizer.ts";

/**
 * How a library differs from the default dialect in an optimizer that both have. Options have their
 * names in the default dialect.
 */
interface Differences<O extends Options, E extends Options> {
  /** The library's class or function. */
  readonly source: string;
  readonly formula?: string;
  /** The library's names of options. A list of numbers may become one option for each number. */
  readonly names: { readonly [K in keyof O]?: string | readonly string[] };
  readonly defaults?: Partial<Configured<O>>;
  /** Options without a default. */
  readonly required?: readonly (keyof O)[];
  /** Values for options that the library does not have. */
  readonly fixed?: Partial<Configured<O>>;
  /** Options that only the library has. */
  readonly extra?: E;
  state?(options: Configured<O> & Configured<E>): readonly StateTensor[];
  check?(options: Configured<O> & Configured<E>): readonly OptionFault[];
  /** For a library that computes something else from the same options. */
  create?(kernels: Kernels, options: Configured<O> & Configured<E>): Optimizer;
}

/**
 * Declares another library's form of an optimizer of the default dialect: with other names and
 * defaults for its options, and another arithmetic if it has one. `state` and `create` get the
 * options under their names in the default dialect.
 */
export function defineDialect<O extends Options, const E extends Options = O>(
  dialect: Dialect,
  base: OptimizerType<O>,
  own: Differences<O, E>,
): OptimizerType {
  type Values = Configured<O> & Configured<E>;
  const kept = Object.entries(base.options).filter(([name]) => !(name in (own.fixed ?? {})));
  const namesOf = (name: string) => own.names[name] ?? name;
  const renamed = kept.flatMap(([name, option]) => {
    const required = own.required?.includes(name) ?? false;
    const value = own.defaults && name in own.defaults ? own.defaults[name] : option.default;
    return split(namesOf(name), { ...option, default: required ? undefined : value } as Option);
  });
  const translate = (given: ValuesOf<Options>): Values => {
    const values = kept.map(([name]): [string, unknown] => [name, joined(namesOf(name), given)]);
    return { ...given, ...Object.fromEntries(values), ...own.fixed } as Values;
  };
  const { state, check, create } = own;
  return {
    type: base.type,
    summary: base.summary,
    formula: own.formula ?? base.formula,
    source: own.source,
    dialect,
    names: own.names as OptimizerType["names"],
    translate,
    rate: namesOf(base.rate ?? "lr") as string,
    cycledOption: base.cycledOption && !(base.cycledOption in (own.fixed ?? {})) ? base.cycledOption : undefined,
    evaluatesOthers: base.evaluatesOthers ?? false,
    wholeModel: base.wholeModel ?? false,
    options: { ...Object.fromEntries(renamed), ...own.extra },
    sparse: base.sparse && ((options) => base.sparse!(translate(options))),
    state: (options, shape) => state?.(translate(options)) ?? base.state(translate(options), shape),
    scratch: (options, shape) => base.scratch?.(translate(options), shape) ?? 0,
    check: (options) => check?.(translate(options)) ?? [],
    fits: base.fits && ((options, shapes) => base.fits!(translate(options), shapes)),
    create: (kernels, options) => (create ?? base.create)(kernels, translate(options)),
  };
}

function split(names: string | readonly string[], option: Option): [string, Option][] {
  if (typeof names === "string") return [[names, option]];
  const { default: values, tries, ...rest } = option as Extract<Option, { kind: "numbers" }>;
  return names.map((name, i) => [
    name,
    {
      ...rest,
      kind: "number",
      default: values?.[i],
      tries: tries?.map((each) => (each as readonly number[])[i]),
      doc: `${rest.doc} Number ${i + 1} of ${names.length}.`,
    },
  ]);
}

function joined(names: string | readonly string[], given: ValuesOf<Options>): unknown {
  return typeof names === "string" ? given[names] : names.map((name) => given[name]);
}
