import { defineRecurrent } from "../recurrent-stack.ts";

/**
 * A plain recurrent net: the state is a function of the features and of the state before.
 * Semantics, names and initial values of `torch.nn.RNN`.
 *
 * Elman, "Finding structure in time", Cognitive Science 14 (1990).
 */
export const rnn = defineRecurrent({
  type: "rnn",
  summary: "A plain recurrent net for short sequences [time, features].",
  formula: "h ← tanh(W x + b + U h + b′), or relu",
  source: "torch.nn.RNN",
  pass: "rnn_pass",
  cells: false,
  example: { input: [6, 5], options: { hidden_size: 7, num_layers: 2, dropout: 0.2 } },
  options: {
    nonlinearity: { kind: "choice", choices: ["tanh", "relu"], default: "tanh", doc: "The function of the sums." },
  },
});
