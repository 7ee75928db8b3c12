import type { Kernels } from "./kernels/kernels.ts";
import type { Plan } from "./model.ts";
import type { Block } from "./slices.ts";

/** Draws the initial weights of some blocks, and starts the optimizer's tensors there; the memory is all zeros before. */
export function initialize(
  kernels: Kernels,
  plan: Plan,
  blocks: readonly Block[],
  [seedLow, seedHigh]: readonly [number, number],
): void {
  const fill = (address: number, count: number, value: number) =>
    kernels.f32.fill(value, address >>> 2, (address >>> 2) + count);
  for (const { parameter, begin, end } of blocks) {
    const { initializer, weight, state, length } = plan.parameters[parameter];
    const at = weight + begin * 4;
    if (initializer.distribution === "constant") fill(at, end - begin, initializer.value);
    else if (initializer.distribution === "uniform")
      kernels.fill_uniform(weight, begin, end, seedLow, seedHigh, parameter, initializer.bound);
    else kernels.fill_normal(weight, begin, end, seedLow, seedHigh, parameter, initializer.deviation);
    for (const { initial, address, shape } of state) {
      const size = shape.reduce((product, count) => product * count, 1);
      if (initial === "parameter") kernels.u8.copyWithin(address + begin * 4, at, weight + end * 4);
      else if (initial !== 0 && size === length) fill(address + begin * 4, end - begin, initial);
      // A tensor of another shape belongs to whoever has the parameter's first block.
      else if (initial !== 0 && begin === 0) fill(address, size, initial);
    }
  }
}
