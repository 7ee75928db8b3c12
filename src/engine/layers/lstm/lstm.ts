import { defineRecurrent } from "../recurrent-stack.ts";

/**
 * Long short-term memory. Each unit has a cell, which passes from time to time nearly unchanged:
 * gates decide what it takes in, keeps and shows. Semantics, names and initial values of
 * `torch.nn.LSTM`.
 *
 * Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 9 (1997).
 */
export const lstm = defineRecurrent({
  type: "lstm",
  summary: "A recurrent net for sequences [time, features] that remembers over many steps.",
  formula:
    "i, f, o = σ(W x + b + U h + b′), g = tanh(W x + b + U h + b′), c ← f · c + i · g, h ← o · tanh(c), each gate with weights of its own",
  source: "torch.nn.LSTM",
  pass: "lstm_pass",
  cells: true,
  example: { input: [6, 5], options: { hidden_size: 7, num_layers: 2, bidirectional: true, output: "all" } },
  options: {},
});
