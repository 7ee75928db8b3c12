import { defineElementwiseLoss } from "../elementwise.ts";

/**
 * For outputs that are distances: those of pairs that belong together (1) become small, and the
 * others (−1) at least `margin`.
 */
export const hinge_embedding = defineElementwiseLoss({
  type: "hinge_embedding",
  summary: "Pulls distances of pairs that belong together (1) to 0 and pushes others (−1) beyond a margin.",
  formula: "x if y = 1; max(0, margin − x) if y = −1",
  source: "torch.nn.HingeEmbeddingLoss",
  targets: "sign",
  options: {
    margin: { kind: "number", default: 1, tries: [2.5], doc: "Distance beyond which a pair of −1 counts no more." },
  },
  bind:
    (kernels, { margin }, { outputs }) =>
    (x, y, terms, gradient, samples, scale) =>
      kernels.hinge_embedding(x, y, terms, gradient, samples * outputs, scale, margin),
});
