import type { Member } from "../options.ts";
import type { ConfiguredOptimizer, OptimizerType } from "./optimizer.ts";
import { optimizers } from "./registry.generated.ts";

/** The optimizer that a spec's member names, in its dialect, with its options; so are the optimizers that stand among the options. */
export function configure(member: Member): ConfiguredOptimizer {
  const type = declarationOf(member);
  const inner = Object.entries(type.options)
    .filter(([, { kind }]) => kind === "optimizer")
    .map(([name]): [string, ConfiguredOptimizer] => [name, configure(member[name] as Member)]);
  const options = { ...member, ...Object.fromEntries(inner) } as never;
  const rateOption = type.rate ?? "lr";
  const wrapped = inner.find(([name]) => name === rateOption)?.[1];
  return {
    type,
    rate: wrapped?.rate ?? (member[rateOption] as number),
    rateOption: wrapped ? `${rateOption}/${wrapped.rateOption}` : rateOption,
    state: (shape) => type.state(options, shape),
    scratch: (shape) => type.scratch?.(options, shape) ?? 0,
    check: () => [
      ...(type.check?.(options) ?? []),
      ...inner.flatMap(([name, optimizer]) => within(name, optimizer.check())),
    ],
    fits: (shapes) => type.fits?.(options, shapes) ?? [],
    create: (kernels) => type.create(kernels, options),
  };
}

const within = (name: string, faults: ReturnType<ConfiguredOptimizer["check"]>) =>
  faults.map(({ option, message }) => ({ option: `${name}/${option}`, message }));

/** The registry's keys are types, with the dialect before them where it is not PyTorch's: `adam`, `keras_adam`. */
function declarationOf({ type, dialect = "torch" }: Member): OptimizerType {
  const key = dialect === "torch" ? type : `${String(dialect)}_${type}`;
  return optimizers[key as keyof typeof optimizers] as unknown as OptimizerType;
}
