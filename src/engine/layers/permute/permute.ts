import { MAX_DIMENSIONS } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";
import { Permutation } from "./permutation.ts";

/** A sample's dimensions in another order. Semantics of `torch.permute` without the batch. */
export const permute = defineLayer({
  type: "permute",
  summary: "Puts a sample's dimensions into another order: [1, 0] turns [time, features] into [channels, length].",
  formula: "y[i_d0, i_d1, …] = x[i_0, i_1, …]",
  source: "torch.permute",
  example: { input: [2, 3, 4], options: { dims: [2, 0, 1] } },
  options: {
    dims: {
      kind: "integers",
      length: null,
      most: MAX_DIMENSIONS,
      tries: [[1, 0]],
      doc: "The dimensions of the input, counted from 0 without the batch, in their new order.",
    },
  },
  needs: { backward: [], gradient: [] },
  shape({ dims }, [{ shape }]) {
    const order = orderOf(dims, shape.length);
    return { output: order.map((dim) => shape[dim]), parameters: [] };
  },
  create(kernels, { dims }, { inputs: [input], output }) {
    const order = orderOf(dims, input.shape.length);
    const forward = new Permutation(kernels, input.shape, order);
    const backward = new Permutation(
      kernels,
      output.shape,
      order.map((_, dim) => order.indexOf(dim)),
    );
    return {
      forward: (_weights, begin, end) => forward.copy(output.address, input.address, begin, end),
      backward: (_weights, begin, end) => backward.copy(input.gradient, output.gradient, begin, end),
    };
  },
});

function orderOf(dims: readonly number[], rank: number): number[] {
  const order = dims.map((dim) => (dim < 0 ? dim + rank : dim));
  const all = Array.from({ length: rank }, (_, dim) => dim);
  if (order.length !== rank || all.some((dim) => !order.includes(dim))) {
    throw new LayerFault("dims", `is [${dims.join(", ")}], but must hold each of ${all.join(", ")} once`);
  }
  return order;
}
