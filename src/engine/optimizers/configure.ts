import type { Option, Options, ValuesOf } from "../member/options.ts";
import type { ConfiguredOptimizer, OptimizerType } from "./optimizer.ts";
import { optimizers } from "./registry.generated.ts";
import type { Member } from "../settings.ts";

/**
 * Configures the optimizer that a member of a spec names, in its dialect and with its options.
 * Optimizers among the options are configured too.
 */
export function configure(member: Member): ConfiguredOptimizer {
  const type = declarationOf(member);
  const inner = Object.entries(type.options)
    .filter(([, option]) => isOptimizer(option))
    .map(([name]): [string, ConfiguredOptimizer] => [name, configure(member[name] as Member)]);
  const options = { ...member, ...Object.fromEntries(inner) };
  const rateOption = type.rate ?? "lr";
  const wrapped = inner.find(([name]) => name === rateOption)?.[1];
  return {
    type,
    rate: wrapped?.rate ?? (member[rateOption] as number),
    rateOption: wrapped ? `${rateOption}/${wrapped.rateOption}` : rateOption,
    cycled: cycledOf(type, options, inner),
    decays: nameIn(type, "weight_decay") in type.options || inner.some(([, { decays }]) => decays),
    wholeModel: (type.wholeModel ?? false) || inner.some(([, { wholeModel }]) => wholeModel),
    sparse: type.sparse?.(options) ?? false,
    state: (shape) => type.state(options, shape),
    scratch: (shape) => type.scratch?.(options, shape) ?? 0,
    check: () => [
      ...(type.check?.(options) ?? []),
      ...inner.flatMap(([name, optimizer]) => within(name, optimizer.check())),
    ],
    fits: (shapes) => [
      ...(type.fits?.(options, shapes) ?? []),
      ...inner.flatMap(([name, optimizer]) => within(name, optimizer.fits(shapes))),
    ],
    create: (kernels) => type.create(kernels, options),
  };
}

function cycledOf(
  type: OptimizerType,
  options: ValuesOf<Options>,
  inner: readonly [string, ConfiguredOptimizer][],
): ConfiguredOptimizer["cycled"] {
  const { cycledOption: cycled } = type;
  if (cycled === undefined) return null;
  const [option] = [type.names?.[cycled] ?? cycled].flat();
  const wrapped = inner.find(([name]) => name === option)?.[1].cycled;
  if (wrapped !== undefined) return wrapped && { ...wrapped, option: `${option}/${wrapped.option}` };
  // Without momentum there is no buffer. An average is kept whatever its factor is.
  const values = type.translate?.(options) ?? options;
  return { option, kept: (values[cycled] as unknown) !== 0 };
}

/**
 * Sets an option of an optimizer, and of the optimizers among its options, wherever they have it.
 * `name` is its name in the default dialect.
 */
export function withOption(member: Member, name: "lr" | "weight_decay", value: number): Member {
  const type = declarationOf(member);
  const changes = Object.entries(type.options).flatMap(([option, declared]): [string, unknown][] => {
    if (isOptimizer(declared)) return [[option, withOption(member[option] as Member, name, value)]];
    return option === nameIn(type, name) ? [[option, value]] : [];
  });
  return { ...member, ...Object.fromEntries(changes) };
}

/** Whether an option is an optimizer itself. */
export const isOptimizer = (option: Option): boolean => option.kind === "member" && option.of === "optimizers";

/** A type's own name for an option, given its name in the default dialect. */
const nameIn = ({ names }: OptimizerType, option: string): string => (names?.[option] as string | undefined) ?? option;

const within = (name: string, faults: ReturnType<ConfiguredOptimizer["check"]>) =>
  faults.map(({ option, message }) => ({ option: `${name}/${option}`, message }));

/**
 * The keys of the registry are types, prefixed by the dialect if it is not PyTorch's: `adam`,
 * `keras_adam`.
 */
function declarationOf({ type, dialect = "torch" }: Member): OptimizerType {
  const key = dialect === "torch" ? type : `${String(dialect)}_${type}`;
  return optimizers[key];
}
