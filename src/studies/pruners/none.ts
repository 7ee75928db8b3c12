import { definePruner } from "./pruner.ts";

export const none = definePruner({
  type: "none",
  summary: "Every trial trains to its end.",
  formula: "no thresholds",
  source: "no paper",
  options: {},
  rungs: () => [],
});
