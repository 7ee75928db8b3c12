import { definePass } from "../recurrent.ts";

/** One direction of one layer of a plain recurrent net. */
export const rnn_pass = definePass("rnn_pass", {
  gates: 1,
  slots: 2,
  lastGateSlot: 0,
  beside: null,
  bind(kernels, nonlinearity) {
    const relu = Number(nonlinearity === "relu");
    return {
      forward: (s) => kernels.rnn_forward(s.row, s.rowStride, s.gates, s.h, s.y, s.yStride, s.samples, s.hidden, relu),
      backward: (s) =>
        kernels.rnn_backward(s.row, s.rowStride, s.y, s.yStride, s.h, s.gates, s.samples, s.hidden, relu),
    };
  },
});
