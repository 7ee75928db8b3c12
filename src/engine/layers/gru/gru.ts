import { defineRecurrent } from "../recurrent-stack.ts";

/**
 * Gated recurrent units: one gate decides how much of the state is kept, another how much of it
 * goes into what is new. Semantics, names and initial values of `torch.nn.GRU`.
 *
 * Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
 * translation", EMNLP 2014 (arXiv:1406.1078).
 */
export const gru = defineRecurrent({
  type: "gru",
  summary: "A recurrent net for sequences [time, features], a little smaller than an LSTM.",
  formula:
    "r, z = σ(W x + b + U h + b′), n = tanh(W x + b + r · (U h + b′)), h ← (1 − z) · n + z · h, each gate with weights of its own",
  source: "torch.nn.GRU",
  pass: "gru_pass",
  cells: false,
  example: { input: [6, 5], options: { hidden_size: 7, bidirectional: true } },
  options: {},
});
