import { expect, it } from "vitest";
import { checkInputSize } from "../../../src/engine/layers/input-size.ts";
import { LayerFault } from "../../../src/engine/layers/layer.ts";

it.each([
  [64, [16, 2, 2], -1, "put a flatten before the layer, or leave it out"],
  [16, [16, 2, 2], -1, 'put {"type": "permute", "dims": [1, 2, 0]} before the layer, or leave it out'],
  [3, [8, 8, 3], 0, 'put {"type": "permute", "dims": [2, 0, 1]} before the layer, or leave it out'],
  [4, [12, 4], 0, 'put {"type": "permute", "dims": [1, 0]} before the layer, or leave it out'],
  [5, [12, 4], 0, "leave it out"],
] as const)("a size of %i is told what to do with the input %j", (given, shape, dim, remedy) => {
  const [which, found] = dim === 0 ? ["first", shape[0]] : ["last", shape[shape.length - 1]];
  expect(() => checkInputSize("size", given, shape, dim)).toThrow(
    new LayerFault(
      "size",
      `is ${given}, but the ${which} dimension of the input [${shape.join(", ")}] is ${found}; ${remedy}`,
    ),
  );
});

it("a size that fits, or is left out, is accepted", () => {
  expect(() => checkInputSize("size", 4, [12, 4], -1)).not.toThrow();
  expect(() => checkInputSize("size", null, [12, 4], -1)).not.toThrow();
});
