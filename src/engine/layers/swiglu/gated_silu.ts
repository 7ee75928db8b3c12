import { defineLayer } from "../layer.ts";

/** silu(a) × b of two inputs of one shape, element by element. */
export const gated_silu = defineLayer({
  type: "gated_silu",
  summary: "One value, let through by silu of another; the middle of swiglu.",
  formula: "y = silu(a) · b",
  source: "Shazeer, arXiv:2002.05202",
  internal: true,
  options: {},
  needs: { backward: ["input"], gradient: [] },
  shape: (_options, [{ shape }]) => ({ output: shape, parameters: [] }),
  create(kernels, _options, { inputs: [a, b], output }) {
    const bytes = output.size * 4;
    const wanted = (gradient: number, begin: number) => (gradient === 0 ? 0 : gradient + begin * bytes);
    return {
      forward(_weights, begin, end) {
        const at = begin * bytes;
        kernels.gated_silu_forward(a.address + at, b.address + at, output.address + at, (end - begin) * output.size);
      },
      backward(_weights, begin, end) {
        const at = begin * bytes;
        const [da, db] = [wanted(a.gradient, begin), wanted(b.gradient, begin)];
        const count = (end - begin) * output.size;
        kernels.gated_silu_backward(a.address + at, b.address + at, output.gradient + at, da, db, count);
      },
    };
  },
});
