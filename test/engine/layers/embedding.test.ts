import { describe, expect, it } from "vitest";
import { forward as embed } from "../../../src/engine/layers/embedding/reference.ts";
import { wave } from "../../../src/engine/layers/position_embedding/reference.ts";
import { forward as turn } from "../../../src/engine/layers/rotary_embedding/reference.ts";
import { size } from "../../../src/engine/member/shape.ts";
import {
  expectReference,
  expectSameBits,
  float,
  integer,
  numbers,
  rowsOf,
  single,
  type LayerCase,
} from "../../support/layer-checks.ts";
import { LayerRun } from "../../support/layer-run.ts";

const positions: LayerCase[] = [
  single("position_embedding", {}, [float("x", 3, 5)], ([x], p) => x.map((value, i) => value + p["it.weight"][i % 15])),
  single("position_embedding", { num_embeddings: 7 }, [float("x", 4, 3)], ([x], p) =>
    x.map((value, i) => value + p["it.weight"][i % 12]),
  ),
  single("sinusoidal_position", {}, [float("x", 6, 7)], ([x]) =>
    x.map((value, i) => value + wave(Math.floor((i % 42) / 7), i % 7, 7)),
  ),
  single("rotary_embedding", { base: 50 }, [float("x", 5, 6)], ([x]) =>
    rowsOf(x, 6).flatMap((row, i) => turn(row, i % 5, 50)),
  ),
  single("rotary_embedding", { dim: 10 }, [float("x", 3, 2, 20)], ([x]) =>
    rowsOf(x, 10).flatMap((row, i) => turn(row, Math.floor(i / 4) % 3, 10000)),
  ),
];
describe("positions", () => {
  it.each(positions)("$title", (layerCase) => {
    expectReference(layerCase);
    expectSameBits(layerCase);
  });
});

describe("embedding", () => {
  const ids = [4, 0, 4, 2, 4, 4, 0, 1, 2, 2, 5, 0, 4, 2, 0];
  const table = (options: object, shape: number[] = [5]): LayerCase =>
    single(
      "embedding",
      options,
      [integer("x", shape, 6)],
      ([x], p) => {
        const rows = rowsOf(p["it.weight"], 3);
        return embed(x, rows).flat();
      },
      { values: { x: ids }, samples: 15 / size(shape) },
    );

  it.each([{}, { num_embeddings: 9 }])("gives rows of its table: %o", (options) => {
    const layerCase = table({ embedding_dim: 3, ...options });
    expectReference(layerCase);
    expectSameBits(layerCase);
    expectReference(table({ embedding_dim: 3, ...options }, [1]));
    expectReference(table({ embedding_dim: 3, ...options }, [1, 3]));
  });

  it.each([
    [2, 2],
    [-2, 4],
  ])("does not learn the row of padding_idx %i", (padding_idx, row) => {
    const { layers: list, inputs } = table({ embedding_dim: 3, padding_idx });
    const run = new LayerRun(list, inputs, 3);
    run.setParameter("it.weight", numbers(18, 1));
    run.forward([ids], true);
    run.backward(
      Array.from({ length: 45 }, () => 1),
      true,
    );
    run.gradients(2);
    const uses = [4, 1, 4, 0, 5, 1].map((_, id) => ids.filter((other) => other === id).length);
    const expected = uses.flatMap((count, id) => Array.from({ length: 3 }, () => (id === row ? 0 : count)));
    expect([...run.parameterGradient("it.weight")]).toEqual(expected);
  });

  it.each([
    [32, 9],
    [33, 9],
    [40, 300],
    [50, 70_000],
  ])("finds every use among %i places and %i rows", (places, rows) => {
    const samples = 4;
    const values = Array.from({ length: samples * places }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 8) % rows);
    // The use at place i of all has the gradient 2^(i mod 20).
    const upstream = values.map((_, i) => 2 ** (i % 20));
    const expected = new Float32Array(rows);
    values.forEach((id, i) => (expected[id] += upstream[i]));
    const { layers: list, inputs } = single(
      "embedding",
      { embedding_dim: 1 },
      [integer("x", [places], rows)],
      () => [],
    );
    const run = new LayerRun(list, inputs, samples);
    run.forward([values], true);
    run.backward(upstream, true);
    run.gradients(Math.ceil(rows / 7));
    expect(run.parameterGradient("it.weight")).toEqual(expected);
  });

  it("gives NaN for what is no row", () => {
    const { layers: list, inputs } = table({ embedding_dim: 3 });
    const run = new LayerRun(list, inputs, 3);
    run.forward([ids.with(3, 6).with(4, -1)], true);
    expect(rowsOf([...run.output()], 3).map((row) => row.some(Number.isNaN))).toEqual(
      ids.map((_, i) => i === 3 || i === 4),
    );
  });
});
