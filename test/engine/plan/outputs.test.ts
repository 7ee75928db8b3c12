import { expect, test } from "vitest";
import { buildGraph } from "../../../src/engine/plan/graph.ts";
import { outputNotes } from "../../../src/engine/plan/outputs.ts";
import { withDefaults } from "../../../src/engine/member/options.ts";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import { losses } from "../../../src/engine/losses/registry.generated.ts";
import type { Member } from "../../../src/engine/settings.ts";

const layer = (type: string, options: object = {}): Member => ({ ...withDefaults(layers[type]), ...options });
const linear = layer("linear");

function notesOf(loss: string, ...members: Member[]) {
  const graph = buildGraph(members, [{ name: "features", shape: [4], type: "float32" }], 3, [])!;
  return outputNotes(graph, withDefaults(losses[loss])).map(({ pointer, message }) => `${pointer} ${message}`);
}

test("probabilities before a loss that makes them itself are told of, with their layer", () => {
  const message =
    "gives probabilities, but cross_entropy takes scores and makes probabilities of them itself: leave the layer out";
  expect(notesOf("cross_entropy", linear, layer("softmax"))).toEqual([`/model/layers/1 ${message}`]);
  const inner = [layer("linear", { out_features: 3 }), layer("softmax"), layer("reshape", { shape: [1, 3] })];
  const sequence = { type: "sequential", layers: inner };
  expect(notesOf("cross_entropy", sequence, layer("flatten"))).toEqual([`/model/layers/0/layers/1 ${message}`]);
  expect(notesOf("bce_with_logits", linear, layer("sigmoid"))).toHaveLength(1);
  expect(notesOf("soft_margin", linear, layer("hardsigmoid"))).toHaveLength(1);
});

test("scores before a loss of probabilities are told of, with the layers that make these", () => {
  const nll = "/loss takes log-probabilities, but the model gives scores: end it with log_softmax or logsigmoid";
  expect(notesOf("nll", linear)).toEqual([nll]);
  expect(notesOf("nll", linear, layer("relu"))).toEqual([nll]);
  expect(notesOf("kl_div", linear, layer("softmax"))).toEqual([nll.replace("scores", "probabilities")]);
  expect(notesOf("bce", linear)).toEqual([
    "/loss takes probabilities, but the model gives scores: end it with hardsigmoid or sigmoid or softmax",
  ]);
});

test("what fits, and what cannot be told, is not told of", () => {
  for (const loss of ["cross_entropy", "bce_with_logits", "multi_margin", "mse", "poisson_nll"])
    expect(notesOf(loss, linear)).toEqual([]);
  expect(notesOf("nll", linear, layer("log_softmax"))).toEqual([]);
  expect(notesOf("cross_entropy", linear, layer("log_softmax"))).toEqual([]);
  expect(notesOf("bce", linear, layer("sigmoid"), layer("dropout"))).toEqual([]);
  expect(notesOf("mse", linear, layer("sigmoid"))).toEqual([]);
  expect(notesOf("cross_entropy", layer("linear", { out_features: 3 }), layer("sigmoid"), linear)).toEqual([]);
  const branches = [[linear, layer("softmax")], [linear]];
  expect(notesOf("cross_entropy", { type: "add", branches, inputs: null } as Member)).toEqual([]);
});
