import { describe, expect, it } from "vitest";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import { configure } from "../../../src/engine/optimizers/configure.ts";
import { withDefaults } from "../../../src/engine/member/options.ts";

describe("options that do not fit together are refused", () => {
  const faults = (type: string, options: Record<string, unknown>) =>
    configure(withDefaults(optimizers[type], options))
      .check()
      .map(({ option }) => option);

  it.each<[string, Record<string, unknown>, string[]]>([
    ["sgd", { nesterov: true }, ["momentum"]],
    ["sgd", { nesterov: true, momentum: 0.9, dampening: 0.1 }, ["dampening"]],
    ["sgd", { nesterov: true, momentum: 0.9 }, []],
    ["sgd", { dampening: 0.1 }, []],
    ["keras_sgd", { nesterov: true }, []],
    ["schedule_free_adamw", { betas: [0, 0.999] }, ["betas"]],
    ["schedule_free_adamw", {}, []],
    ["optax_schedule_free_adamw", { b1: 0 }, ["b1"]],
    ["rprop", { etas: [1.2, 0.5] }, ["etas"]],
    ["rprop", { etas: [0.5, 1] }, ["etas"]],
    ["rprop", { etas: [1, 1.2] }, ["etas"]],
    ["rprop", { step_sizes: [1, 0.5] }, ["step_sizes"]],
    ["rprop", { step_sizes: [0.5, 0.5] }, []],
    ["lookahead", { optimizer: withDefaults(optimizers.lbfgs) }, ["optimizer"]],
    ["lookahead", { optimizer: withDefaults(optimizers.lookahead) }, ["optimizer"]],
    ["lookahead", { optimizer: withDefaults(optimizers.sgd, { nesterov: true }) }, ["optimizer/momentum"]],
    ["optax_lookahead", { fast_optimizer: withDefaults(optimizers.schedule_free_adamw) }, ["fast_optimizer"]],
    ["muon", { fallback: withDefaults(optimizers.muon) }, ["fallback"]],
    ["muon", { fallback: withDefaults(optimizers.keras_adam) }, []],
    ["muon", {}, []],
  ])("%s %j", (type, options, expected) => {
    expect(faults(type, options)).toEqual(expected);
  });

  it("muon refuses a model without a matrix", () => {
    const muon = configure(withDefaults(optimizers.muon));
    expect(muon.fits([[3], [2, 3, 4]])).toMatchObject([{ option: "type" }]);
    expect(muon.fits([[3], [2, 3]])).toEqual([]);
    const around = withDefaults(optimizers.lookahead, { optimizer: withDefaults(optimizers.muon) });
    expect(configure(around).fits([[3]])).toMatchObject([{ option: "optimizer/type" }]);
    expect(configure(around).fits([[3], [2, 3]])).toEqual([]);
  });
});
