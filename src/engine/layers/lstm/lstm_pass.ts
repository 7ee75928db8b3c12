import { definePass } from "../recurrent.ts";

/** One direction of one layer of an LSTM. */
export const lstm_pass = definePass("lstm_pass", {
  gates: 4,
  slots: 6,
  lastGateSlot: 3,
  beside: "cells",
  bind: (kernels) => ({
    forward: (s) =>
      kernels.lstm_forward(s.row, s.rowStride, s.gates, s.h, s.c, s.y, s.cells, s.yStride, s.samples, s.hidden),
    backward: (s) =>
      kernels.lstm_backward(s.row, s.rowStride, s.y, s.cells, s.yStride, s.h, s.c, s.gates, s.samples, s.hidden),
  }),
});
