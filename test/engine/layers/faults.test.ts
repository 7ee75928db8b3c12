import { expect, it } from "vitest";
import { float, integer, single } from "../../support/layer-checks.ts";
import { LayerRun } from "../../support/layer-run.ts";

/* What does not fit names the layer, what came in and what it wanted. */

it.each([
  ["layer_norm", { normalized_shape: [4] }, [float("x", 2, 3)], "normalized_shape", "is [4], but the input is [2, 3]"],
  ["layer_norm", { normalized_shape: [5, 2, 3] }, [float("x", 2, 3)], "normalized_shape", "is [5, 2, 3], but"],
  ["rms_norm", { normalized_shape: [2] }, [float("x", 2, 3)], "normalized_shape", "is [2], but"],
  ["group_norm", { num_groups: 4 }, [float("x", 6, 2)], "num_groups", "does not divide the 6 channels"],
  ["group_norm", { num_groups: 2, num_channels: 5 }, [float("x", 6, 2)], "num_channels", "is 5, but"],
  ["batch_norm1d", {}, [float("x", 2, 3, 4)], null, "takes [channels] or [channels, length]"],
  ["batch_norm2d", {}, [float("x", 2, 3)], null, "takes [channels, height, width]"],
  ["batch_norm2d", { num_features: 5 }, [float("x", 2, 3, 3)], "num_features", "is 5, but"],
  ["softmax", { dim: 2 }, [float("x", 2, 3)], "dim", "is 2, which is none of the dimensions of the input [2, 3]"],
  ["log_softmax", { dim: -3 }, [float("x", 2, 3)], "dim", "is -3, which is none"],
  ["embedding", { embedding_dim: 3 }, [integer("x", [5])], "num_embeddings", "is required"],
  ["embedding", { embedding_dim: 3, num_embeddings: 4 }, [integer("x", [5], 6)], "num_embeddings", "integers up to 5"],
  ["embedding", { embedding_dim: 3, padding_idx: 6 }, [integer("x", [5], 6)], "padding_idx", "there are 6"],
  ["embedding", { embedding_dim: 3 }, [float("x", 5)], null, "takes int32 values"],
  ["position_embedding", {}, [float("x", 5)], null, "takes sequences"],
  ["position_embedding", { num_embeddings: 3 }, [float("x", 5, 2)], "num_embeddings", "have 5 positions"],
  ["sinusoidal_position", {}, [float("x", 5)], null, "takes sequences"],
  ["rotary_embedding", {}, [float("x", 5, 3)], "dim", "must be even"],
  ["rotary_embedding", { dim: 4 }, [float("x", 5, 6)], "dim", "divide the 6 features"],
  ["rotary_embedding", {}, [float("x", 4)], null, "takes sequences"],
  ["multihead_attention", { num_heads: 3 }, [float("x", 5, 4)], "num_heads", "does not divide the 4"],
  ["multihead_attention", { num_heads: 1, embed_dim: 5 }, [float("x", 5, 4)], "embed_dim", "input [5, 4] is 4"],
  ["multihead_attention", { num_heads: 1 }, [float("x", 4)], null, "takes sequences"],
  ["multihead_attention", { num_heads: 1 }, [float("x", 5, 4), float("m", 5, 3)], null, "equally many features"],
  ["multihead_attention", { num_heads: 1 }, [float("x", 5, 4), integer("m", [4])], null, "takes a mask of shape [5]"],
  [
    "multihead_attention",
    { num_heads: 2, rotary_base: 10 },
    [float("x", 5, 4), float("m", 5, 4)],
    "rotary_base",
    "attends to itself",
  ],
  ["scaled_dot_product_attention", {}, [float("x", 5, 4)], "inputs", "but has 1"],
  [
    "scaled_dot_product_attention",
    {},
    [float("q", 5, 4), float("k", 5, 3), float("v", 5, 4)],
    null,
    "its inputs are [5, 4], [5, 3], [5, 4]",
  ],
  [
    "scaled_dot_product_attention",
    {},
    [float("q", 2, 4), float("k", 5, 4), float("v", 5, 4), integer("m", [5, 2])],
    null,
    "takes a mask of shape [5] or [2, 5], but its mask is [5, 2]",
  ],
  ["transformer_encoder_layer", { nhead: 3 }, [float("x", 5, 4)], "nhead", "does not divide"],
  ["transformer_encoder_layer", { nhead: 1, d_model: 3 }, [float("x", 5, 4)], "d_model", "input [5, 4] is 4"],
] as const)("%s %o", (type, options, inputs, option, message) => {
  const { layers: list } = single(type, options, inputs, () => []);
  const pointer = option === null ? "/model/layers/0" : `/model/layers/0/${option}`;
  const fault = { pointer, message: expect.stringContaining(message) as string };
  expect(() => new LayerRun(list, inputs, 2)).toThrow(expect.objectContaining({ faults: [fault] }));
});
