import { layers } from "../../src/engine/layers/registry.generated.ts";
import type { Member } from "../../src/engine/settings.ts";
import { translate } from "./names.ts";

/*
 * Cases of several layers: in a spec they are containers, whose layers have the names of the case.
 */

type Values = Readonly<Record<string, unknown>>;

const part = (name: string, type: string, options: Values = {}): Member => ({
  ...translate(layers, "torch", type, options),
  name,
});

const COMPOSED: Readonly<Record<string, (options: Values) => Member>> = {
  Residual: ({ d, hidden, activation }) => ({
    type: "residual",
    layers: [
      part("fc1", "Linear", { out_features: hidden }),
      part("act", String(activation)),
      part("fc2", "Linear", { out_features: d }),
    ],
  }),
  TiedEmbedding: ({ num_embeddings, embedding_dim }) => ({
    type: "sequential",
    layers: [
      part("emb", "Embedding", { num_embeddings, embedding_dim }),
      { type: "residual", name: "sum", layers: [part("tanh", "Tanh")] },
      part("scores", "Linear", { out_features: num_embeddings, bias: false, tied_to: "0.emb.weight" }),
    ],
  }),
};

/** The case's layer in our words. @throws Unsupported */
export function layerOf(type: string, options: Values): Member {
  return COMPOSED[type]?.(options) ?? translate(layers, "torch", type, options);
}
