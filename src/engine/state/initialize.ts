import type { Kernels } from "../kernels/kernels.ts";
import type { Plan } from "../plan/model.ts";
import { size } from "../member/shape.ts";
import type { Block } from "../plan/slices.ts";

/** Draws the initial weights of those blocks whose parameters have these names. */
export function drawWeights(
  kernels: Kernels,
  plan: Plan,
  blocks: readonly Block[],
  [seedLow, seedHigh]: readonly [number, number],
  names: ReadonlySet<string>,
): void {
  for (const { parameter, begin, end } of blocks) {
    const { name, initializer, weight, stream, length, shape } = plan.parameters[parameter];
    if (!names.has(name)) continue;
    if (initializer.distribution === "constant") fill(kernels, weight + begin * 4, end - begin, initializer.value);
    else if (initializer.distribution === "uniform")
      kernels.fill_uniform(weight, begin, end, seedLow, seedHigh, stream, initializer.bound);
    else kernels.fill_normal(weight, begin, end, seedLow, seedHigh, stream, initializer.deviation);
    if (initializer.zeroRow === undefined) continue;
    const row = length / shape[0];
    const from = Math.max(begin, initializer.zeroRow * row);
    const to = Math.min(end, (initializer.zeroRow + 1) * row);
    if (from < to) fill(kernels, weight + from * 4, to - from, 0);
  }
}

/** Fills the buffers of these names as they are before the first step. */
export function startBuffers(kernels: Kernels, { buffers }: Plan, names: ReadonlySet<string>): void {
  for (const { name, address, shape, type, initial } of buffers) {
    if (!names.has(name)) continue;
    if (type === "float32") fill(kernels, address, size(shape), initial);
    else new BigInt64Array(kernels.memory.buffer, address, size(shape)).fill(BigInt(initial));
  }
}

/**
 * Initialises the optimizer's tensors for some blocks. Their weights must be drawn already, and the
 * memory of the tensors must be all zeros.
 */
export function startOptimizer(kernels: Kernels, plan: Plan, blocks: readonly Block[]): void {
  for (const { parameter, begin, end } of blocks) {
    const { weight, state, length } = plan.parameters[parameter];
    for (const { initial, address, shape } of state) {
      if (initial === "parameter") kernels.u8.copyWithin(address + begin * 4, weight + begin * 4, weight + end * 4);
      else if (initial !== 0 && size(shape) === length) fill(kernels, address + begin * 4, end - begin, initial);
      // The thread that has the parameter's first block fills a tensor of another shape.
      else if (initial !== 0 && begin === 0) fill(kernels, address, size(shape), initial);
    }
  }
}

function fill({ f32 }: Kernels, address: number, count: number, value: number): void {
  f32.fill(value, address >>> 2, (address >>> 2) + count);
}
