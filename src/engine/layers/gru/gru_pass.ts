import { definePass } from "../recurrent.ts";

/** One direction of one layer of a GRU. */
export const gru_pass = definePass("gru_pass", {
  gates: 3,
  slots: 5,
  lastGateSlot: 3,
  beside: "gradient",
  bind: (kernels) => ({
    forward: (s) => kernels.gru_forward(s.row, s.rowStride, s.gates, s.h, s.y, s.yStride, s.samples, s.hidden),
    backward: (s) => kernels.gru_backward(s.row, s.rowStride, s.y, s.yStride, s.h, s.c, s.gates, s.samples, s.hidden),
  }),
});
