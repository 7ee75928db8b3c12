import { clipCoefficient } from "../../src/engine/step/gradient.ts";
import { SUM_BLOCK } from "../../src/engine/optimizers/optimizer.ts";
import { Bench } from "../support/kernels.ts";
import { tolerance, type GoldenCase, type GoldenTensor, type Spread } from "./golden.ts";
import type { Verdict } from "./verdict.ts";

interface ClipCase extends GoldenCase {
  readonly function: "clip_grad_norm_" | "clip_grad_value_";
  readonly options: { readonly max_norm: number; readonly norm_type: number | "inf"; readonly clip_value: number };
  readonly grads: readonly GoldenTensor[];
  readonly expected: {
    readonly float64: { readonly total_norm?: GoldenTensor; readonly grads_after: readonly GoldenTensor[] };
  };
  readonly float32_vs_float64: Spread;
}

const FLOOR = 2e-6;

/** The gradients after clipping, and the norm before. */
export function clip({ options, grads, expected, float32_vs_float64, ...golden }: ClipCase, verdict: Verdict): void {
  const bench = new Bench();
  const { kernels } = bench;
  const tensors = grads.map(({ data }) => ({ address: bench.floats(data), length: data.length }));
  const limit = tolerance(FLOOR, float32_vs_float64);
  if (golden.function === "clip_grad_value_") {
    for (const { address, length } of tensors) kernels.clamp(address, length, options.clip_value);
  } else {
    const norm = totalNorm(bench, tensors, options.norm_type === "inf" ? Infinity : options.norm_type);
    verdict.close("total_norm", [norm], expected.float64.total_norm!.data, limit);
    const coefficient = clipCoefficient(norm, options.max_norm);
    for (const { address, length } of tensors) kernels.scale(address, length, coefficient);
  }
  tensors.forEach(({ address, length }, i) => {
    verdict.close(`gradient ${i}`, bench.read(address, length), expected.float64.grads_after[i].data, limit);
  });
}

/** Block by block, as the threads of a crew take it. */
function totalNorm({ kernels }: Bench, tensors: readonly { address: number; length: number }[], p: number): number {
  const parts = tensors.flatMap(({ address, length }) =>
    Array.from({ length: Math.ceil(length / SUM_BLOCK) }, (_, block) => {
      const begin = block * SUM_BLOCK;
      return kernels.norm_part(address + begin * 4, Math.min(length - begin, SUM_BLOCK), p);
    }),
  );
  return kernels.norm_of(p === Infinity ? Math.max(...parts) : parts.reduce((sum, part) => sum + part, 0), p);
}
