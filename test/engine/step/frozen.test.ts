import { describe, expect, test } from "vitest";
import type { PlannedParameter } from "../../../src/engine/plan/parameters.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import { gradientTiles } from "../../../src/engine/plan/slices.ts";
import { forkState } from "../../../src/engine/state/state.ts";
import { member, smallJob, train, type JobChanges } from "../../support/training.ts";
import { gradientAt, group, Updating } from "../../support/updating.ts";

/** What parameter groups freeze stays as it was, and costs nothing. */

describe("a frozen parameter", () => {
  const frozen = [group({ parameters: ["0.*", "3.weight"], freeze: true })];
  const tensors = async (changes: JobChanges) => {
    const { state } = await train(smallJob({ keepBest: true, ...changes }), { threads: 2 });
    return readSafetensors(state!.bytes).tensors;
  };

  test.each(["adam", "lookahead", "muon", "lbfgs", "prodigy"])("does not change by one bit under %s", async (type) => {
    const full: JobChanges =
      type === "lbfgs"
        ? {
            training: { batch_size: "full" },
            layers: smallJob().model.layers.filter((layer) => layer.type !== "dropout"),
          }
        : {};
    const groups = [group({ parameters: ["0.*", "5.bias"], freeze: true })];
    const still = await tensors({ ...full, optimizer: member("optimizers", "sgd", { lr: 0 }) });
    const trained = await tensors({ ...full, optimizer: member("optimizers", type), groups });
    const namesOf = (suffix: string) => [...trained.keys()].filter((name) => name.endsWith(suffix)).sort();
    for (const suffix of [".0.weight", ".0.bias"]) expect(namesOf(suffix)).toEqual([`best${suffix}`]);
    const unchanged = full.layers ? "2" : "3";
    for (const name of ["0.weight", "0.bias"]) {
      expect(trained.get(name)).toEqual(still.get(name));
      expect(trained.get(`best.${name}`)!.bytes).toEqual(still.get(name)!.bytes);
    }
    expect(trained.get(`${unchanged}.weight`)!.bytes).not.toEqual(still.get(`${unchanged}.weight`)!.bytes);
  });

  test("acts as a constant for the parameters that learn", async () => {
    // Whatever the optimizer sums over: here the whole model's gradient, clipped.
    const observe = { every_steps: 1, per_layer: true };
    const { observed } = await train(
      smallJob({ groups: frozen, observe, training: { epochs: 1, clip_grad_norm: 0.1 } }),
    );
    for (const [, metrics] of observed) {
      expect(metrics).not.toHaveProperty(["grad_norm.0"]);
      expect(metrics["grad_norm"]).toBeCloseTo(Math.hypot(metrics["grad_norm.3"], metrics["grad_norm.5"]), 12);
      expect(metrics).toHaveProperty(["update_ratio.5"]);
    }
  });

  test("does not count in the gradient norm", () => {
    const run = new Updating({ groups: frozen, training: { clip_grad_norm: 1 } });
    run.step(0.01);
    const squares = run.plan.parameters
      .filter(({ group }) => group !== null)
      .flatMap(({ length }) => [...gradientAt(1, length)].map((value) => value * value));
    expect(run.gradient.norm).toBeCloseTo(Math.sqrt(squares.reduce((sum, value) => sum + value, 0)), 10);
    expect(run.gradient.clipped).toBe(true);
  });

  test("takes memory for its weights only, and layers below it need no gradients", () => {
    const { plan } = new Updating({ groups: frozen });
    const named = (name: string) => plan.parameters.find((parameter) => parameter.name === name)!;
    for (const name of ["0.weight", "0.bias", "3.weight"])
      expect(named(name)).toMatchObject({ gradient: 0, state: [], group: null });
    // Layer 3 still has a bias that learns: its output's gradient is needed, its input's is not.
    const { gradients } = plan.training;
    const needed = plan.nodes.map(({ inputs: [input] }) => gradients[input] !== -1);
    expect(needed).toEqual([false, false, false, false, true, true]);
    expect(gradients[plan.nodes[3].output]).not.toBe(-1);
    const whole = new Updating({}).plan;
    expect(plan.addresses.stateBytes).toBeLessThan(whole.addresses.stateBytes / 2);
  });

  test("does not count as a matrix for muon", () => {
    const optimizer = member("optimizers", "muon");
    const groups = [group({ parameters: "*.weight", freeze: true })];
    expect(() => new Updating({ optimizer, groups })).toThrow("none to train");
  });

  test("that is frozen after a checkpoint keeps the weights that were served, without their state", async () => {
    const optimizer = member("optimizers", "lookahead");
    const { checkpoints } = await train(smallJob({ optimizer, keepBest: true }), { everySteps: 20 });
    const [state] = checkpoints.values();
    const fork = forkState(state, {}, { keepBest: true, evaluatesOthers: true, optimizer, groups: frozen }).bytes;
    const [before, after] = [state, fork].map((file) => readSafetensors(file).tensors);
    expect([...after.keys()].filter((name) => name.endsWith("0.weight"))).toEqual(["0.weight", "best.0.weight"]);
    expect(before.get("evaluated.0.weight")!.bytes).not.toEqual(before.get("0.weight")!.bytes);
    expect(after.get("0.weight")!.bytes).toEqual(before.get("evaluated.0.weight")!.bytes);
    expect(after.get("optimizer.slow.3.bias")).toEqual(before.get("optimizer.slow.3.bias"));
    const job = () => smallJob({ optimizer, keepBest: true, groups: frozen });
    const [one, three] = [await train(job(), { state: fork }), await train(job(), { threads: 3, state: fork })];
    expect(readSafetensors(one.state!.bytes).tensors.get("0.weight")).toEqual(after.get("0.weight"));
    expect(three.state!.sha256).toBe(one.state!.sha256);
    // Learning again, it begins as it would have begun: slow weights with the weights, moments at
    // 0.
    const thawed = forkState(fork, {}, { keepBest: true, evaluatesOthers: true, optimizer, groups: [] }).bytes;
    const fresh = readSafetensors(thawed).tensors;
    expect([...fresh.keys()].toSorted()).toEqual([...before.keys()].toSorted());
    expect(fresh.get("optimizer.slow.0.weight")!.bytes).toEqual(after.get("0.weight")!.bytes);
    expect(fresh.get("optimizer.exp_avg.0.weight")!.bytes.every((byte) => byte === 0)).toBe(true);
    expect(fresh.get("optimizer.exp_avg.3.bias")).toEqual(after.get("optimizer.exp_avg.3.bias"));
  });

  test("leaves the others to be shared out evenly, with the first block numbers", () => {
    const layers = [member("layers", "linear", { out_features: 2000 }), member("layers", "linear")];
    const { plan } = new Updating({ layers, groups: [group({ parameters: "0.*", freeze: true })] });
    for (const thread of [0, 1, 2]) {
      const rows = gradientTiles({ ...plan, threads: 3 }, thread).map(({ begin, end }) => end - begin);
      expect(rows[0]).toBe(1);
    }
    const learning = (parameters: readonly PlannedParameter[]) => parameters.filter(({ group }) => group !== null);
    expect(learning(plan.parameters).map(({ firstBlock }) => firstBlock)).toEqual([0, 2]);
    expect([plan.blocks, plan.weightBlocks]).toEqual([3, 3 + 6 + 1]);
  });
});
