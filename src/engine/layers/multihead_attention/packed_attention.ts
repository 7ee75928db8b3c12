import { ATTENTION_SCRATCH_BYTES, attention, maskPlace } from "../scaled_dot_product_attention/heads.ts";
import { defineLayer } from "../layer.ts";
import { partOf, stretchesOf } from "./stretches.ts";

/**
 * The attention of multihead_attention: from queries, keys and values as in_projection leaves them
 * (stretches.ts), and perhaps a mask, to [queries, embed_dim]. Heads stand side by side.
 */
export const packed_attention = defineLayer({
  type: "packed_attention",
  summary: "The attention of multihead_attention, between its linear layers.",
  formula: "y = softmax(q kᵀ / √d) v",
  source: "torch.nn.MultiheadAttention",
  internal: true,
  options: {
    num_heads: { kind: "integer", doc: "Heads, which share out the features." },
    dropout: { kind: "number", doc: "Probability of zeroing the share of a value." },
    causal: { kind: "boolean", default: false, doc: "Whether position t sees the positions 0..t only." },
    sequences: { kind: "integers", length: null, doc: "The positions of each input of in_projection." },
    features: { kind: "integer", doc: "Features of a position." },
  },
  takes: ["float32", "int32"],
  random: ({ dropout }) => dropout > 0,
  shape({ num_heads, sequences, features }) {
    return {
      output: [sequences[0], features],
      parameters: [],
      saved: num_heads * sequences[0],
      scratch: ATTENTION_SCRATCH_BYTES,
    };
  },
  create(
    kernels,
    { num_heads: heads, dropout: p, causal, sequences, features },
    { inputs, output, saved, scratch, stream },
  ) {
    const [{ address, gradient, size: sample }, mask] = inputs;
    const stretches = stretchesOf(sequences.map((positions) => ({ shape: [positions, features] })));
    const width = features / heads;
    const [q, k, v] = [0, 1, 2].map((part) => {
      const { offset, row } = partOf(stretches, part, features);
      const at = { address: address + offset * 4, gradient: gradient === 0 ? 0 : gradient + offset * 4 };
      return { ...at, sample: sample * 4, head: width * 4, row: row * 4 };
    });
    const y = { ...output, sample: output.size * 4, head: width * 4, row: features * 4 };
    const sizes = {
      heads,
      queries: sequences[0],
      keys: sequences[sequences.length - 1],
      size: width,
      valueSize: width,
    };
    const how = {
      dropout: { p, stream },
      scale: 1 / Math.sqrt(width),
      causal,
      mask: mask === undefined ? null : maskPlace(mask),
    };
    return attention(kernels, { q, k, v, y, ...sizes, ...how }, saved, scratch);
  },
});
