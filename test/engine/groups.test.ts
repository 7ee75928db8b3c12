import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Barrier } from "../../src/engine/barrier.ts";
import { Gradient } from "../../src/engine/gradient.ts";
import { matches, type ParameterGroup } from "../../src/engine/groups.ts";
import { compileKernels, createMemory, instantiateKernels } from "../../src/engine/kernels/kernels.ts";
import { planModel, type PlannedParameter } from "../../src/engine/model.ts";
import { configure, withOption } from "../../src/engine/optimizers/configure.ts";
import type { OptimizerType } from "../../src/engine/optimizers/optimizer.ts";
import { optimizers } from "../../src/engine/optimizers/registry.generated.ts";
import type { Member } from "../../src/engine/options.ts";
import { readSafetensors } from "../../src/engine/safetensors.ts";
import { Follower } from "../../src/engine/schedules/follower.ts";
import type { Schedule } from "../../src/engine/schedules/learning-rate.ts";
import { forkState } from "../../src/engine/state.ts";
import { Update } from "../../src/engine/update.ts";
import { gradientTiles } from "../../src/engine/slices.ts";
import { expectClose } from "../support/golden.ts";
import { numbers, referenceOf, referenceTensor } from "../support/references.ts";
import { member, smallJob, train, type JobChanges } from "../support/training.ts";

/*
 * Parameter groups: a group is an optimizer with options of its own, held to the references with those options; a group of everything is the
 * optimizer with its options; and what is frozen stays as it was and costs nothing.
 */

const group = (changes: Partial<ParameterGroup>): ParameterGroup => ({
  parameters: "*",
  lr: null,
  lr_scale: 1,
  weight_decay: null,
  freeze: false,
  ...changes,
});

const keys = Object.entries(optimizers)
  .filter(([, type]) => !configure(underTest((type as unknown as OptimizerType).type, type)).wholeModel)
  .map(([key]) => key);

function underTest(key: string, type = optimizers[key as keyof typeof optimizers]): Member {
  const { rate = "lr", options, dialect } = type as unknown as OptimizerType;
  const name = dialect === undefined ? (type as unknown as OptimizerType).type : `${dialect}_${type.type}`;
  return member("optimizers", name, {
    ...(options[rate].kind === "number" ? { [rate]: 0.01 } : {}),
    ...("fast_optimizer" in options
      ? { fast_optimizer: member("optimizers", "keras_adamw"), sync_period: 4, slow_step_size: 0.5 }
      : {}),
    ...("ns_precision" in options ? { ns_precision: "float32" } : {}),
  });
}

describe("a pattern", () => {
  test.each([
    ["*", "", true],
    ["*.bias", "0.bias", true],
    ["*.bias", "0.weight", false],
    ["0.*", "0.weight", true],
    ["0.*", "10.weight", false],
    ["?.weight", "0.weight", true],
    ["?.weight", "10.weight", false],
    ["fc", "fc.weight", false],
    ["f*c*t", "fc.weight", true],
    ["a.b", "aXb", false],
    ["[0-9].weight", "0.weight", false],
    ["**", "0.weight", true],
    ["?*", "", false],
  ])("%s and the name %s: %s", (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected);
  });

  const letters = fc.array(fc.constantFrom("a", "b", "."), { maxLength: 10 }).map((list) => list.join(""));
  test("means what the regular expression of its parts means", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "b", ".", "*", "?"), { maxLength: 8 }), letters, (parts, name) => {
        const written = parts.map((part) => (part === "*" ? ".*" : part === "?" ? "." : part === "." ? "\\." : part));
        expect(matches(parts.join(""), name)).toBe(new RegExp(`^${written.join("")}$`).test(name));
      }),
      { numRuns: 2000 },
    );
  });

  test("that matches almost everywhere takes no time", () => {
    const start = performance.now();
    expect(matches(`${"*a".repeat(60)}b`, "a".repeat(200))).toBe(false);
    expect(performance.now() - start).toBeLessThan(100);
  });
});

const module = compileKernels();

/** A job's update by one thread, under gradients that are given. */
class Updating {
  readonly plan;
  readonly gradient;
  readonly kernels;
  readonly #update;
  #t = 0;

  constructor(changes: JobChanges) {
    const job = smallJob(changes);
    this.plan = planModel({
      ...job,
      inputShape: [11],
      target: { classes: 3, width: 1 },
      batchRows: 8,
      trainRows: 8,
      validRows: 0,
      threads: 1,
    });
    this.kernels = instantiateKernels(module, createMemory(this.plan.memoryBytes));
    const { control } = this.plan.addresses;
    const barrier = new Barrier(this.kernels, new Int32Array(this.kernels.memory.buffer, control), control, 1);
    this.gradient = new Gradient(this.kernels, this.plan, job.training, barrier, 0);
    this.#update = new Update(this.kernels, this.plan, this.gradient, barrier, 0);
    for (const { weight, length, state } of this.plan.parameters) {
      this.kernels.f32.set(initial(length), weight >> 2);
      for (const { initial: start, shape, address } of state) {
        const own = shape.reduce((product, count) => product * count, 1);
        this.kernels.f32.set(start === "parameter" ? initial(length) : new Float32Array(own).fill(start), address >> 2);
      }
    }
  }

  step(lr: number): void {
    this.#t++;
    for (const { gradient, length } of this.plan.parameters)
      if (gradient !== 0) this.kernels.f32.set(gradientAt(this.#t, length), gradient >> 2);
    const rates = this.plan.groups.map(({ rateScale }) => ({ lr: lr * rateScale, momentum: null }));
    this.#update.begin(this.#t, rates, false);
    for (const tile of gradientTiles(this.plan, 0)) {
      this.gradient.tileReady(tile);
      this.#update.tileReady(tile);
    }
    if (!this.#update.tilewise) this.#update.run(0, () => Number.NaN);
  }

  read(address: number, count: number): Float32Array {
    return this.kernels.f32.slice(address >> 2, (address >> 2) + count);
  }
}

const initial = (length: number) => numbers(length, 1, 0.3);
const gradientAt = (t: number, length: number) => numbers(length, 10 + t, 2);

/** One group for each of the things that a group can change, and one that is frozen. */
function mixed(key: string): ParameterGroup[] {
  const { decays } = configure(underTest(key));
  return [
    group({ parameters: "3.bias", freeze: true }),
    group({ parameters: ["*.bias", "nothing"], weight_decay: decays ? 0.3 : null, lr_scale: 3 }),
    group({ parameters: "3.*", lr_scale: 0.5 }),
  ];
}

/** What each parameter of smallJob has then: a rate's factor, and a weight decay if it has another. */
const MIXED: Readonly<Record<string, { scale: number; decay: number | null } | null>> = {
  "0.weight": { scale: 1, decay: null },
  "0.bias": { scale: 3, decay: 0.3 },
  "3.weight": { scale: 0.5, decay: null },
  "3.bias": null,
  "5.weight": { scale: 1, decay: null },
  "5.bias": { scale: 3, decay: 0.3 },
};

describe.each(keys)("%s", (key) => {
  const optimizer = underTest(key);
  const decays = configure(optimizer).decays;

  test("moves each group as the reference does with the group's options", () => {
    const run = new Updating({ optimizer, groups: mixed(key) });
    const references = run.plan.parameters.flatMap(({ name, shape, length }) => {
      const options = MIXED[name];
      if (options === null) return [];
      const own = options.decay !== null && decays ? withOption(optimizer, "weight_decay", options.decay) : optimizer;
      const tensor = referenceTensor(own, { shape, values: initial(length) });
      return [{ name, tensor, scale: options.scale, move: referenceOf(own) }];
    });
    for (let t = 1; t <= 6; t++) {
      const lr = 0.02 / t;
      run.step(lr);
      for (const { tensor, scale, move } of references) {
        tensor.gradient.set(gradientAt(t, tensor.weight.length));
        move([tensor], t, lr * scale);
      }
    }
    for (const { name, tensor } of references) {
      const { weight, length, state } = run.plan.parameters.find((parameter) => parameter.name === name)!;
      expectClose(run.read(weight, length), tensor.weight, 1e-5, name);
      for (const { name: own, shape, address } of state) {
        const count = shape.reduce((product, size) => product * size, 1);
        expectClose(run.read(address, count), tensor.state[own], 1e-5, `${name}, ${own}`);
      }
    }
  });

  test("with a group of everything is the optimizer with the group's options, bit for bit", async () => {
    const changed = withOption(withOption(optimizer, "lr", 0.02), "weight_decay", 0.2);
    const all = group({ lr: 0.02, weight_decay: decays ? 0.2 : null });
    const [plain, grouped] = [{ optimizer: changed }, { optimizer, groups: [all] }].map((changes) =>
      train(smallJob({ ...changes, training: { epochs: 2 } })),
    );
    expect((await grouped).weights).toBe((await plain).weights);
  });

  test.each([null, 0.5])("gives the same bytes whoever trains, gradient norm limited to %s", async (clip) => {
    const job = () =>
      smallJob({
        optimizer,
        groups: mixed(key),
        training: { clip_grad_norm: clip, epochs: 4 },
        keepBest: true,
      });
    const alone = await train(job(), { everySteps: 7 });
    expect(alone.checkpoints.size).toBeGreaterThan(1);
    for (const threads of [2, 3, 5]) {
      const crew = await train(job(), { threads });
      expect(crew.state?.sha256).toBe(alone.state?.sha256);
      expect(crew.losses).toEqual(alone.losses);
    }
    for (const state of alone.checkpoints.values())
      expect((await train(job(), { threads: 3, state })).state?.sha256).toBe(alone.state?.sha256);
  });
});

test("an option is set wherever it is: in the words of the dialect, and in what is wrapped", () => {
  const set = (key: string, options: Record<string, unknown> = {}) =>
    withOption(withOption(member("optimizers", key, options), "lr", 0.5), "weight_decay", 0.25);
  const both = { lr: 0.5, weight_decay: 0.25 };
  expect(set("muon")).toMatchObject({ ...both, momentum: 0.95, fallback: { type: "adamw", ...both } });
  expect(set("lookahead")).toMatchObject({ optimizer: { type: "adam", ...both } });
  expect(set("keras_adamw")).toMatchObject({ learning_rate: 0.5, weight_decay: 0.25 });
  const around = set("optax_lookahead", { fast_optimizer: member("optimizers", "muon") });
  expect(around).toMatchObject({ fast_optimizer: { ...both, fallback: both } });
  expect(set("keras_adam")).not.toHaveProperty("weight_decay");
  expect(configure(set("keras_adam")).decays).toBe(false);
});

describe("what is frozen", () => {
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

  test("is as if it were no parameter: the others learn as if it were a constant", async () => {
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

  test("does not count in the gradient's norm", () => {
    const run = new Updating({ groups: frozen, training: { clip_grad_norm: 1 } });
    run.step(0.01);
    const squares = run.plan.parameters
      .filter(({ group }) => group !== null)
      .flatMap(({ length }) => [...gradientAt(1, length)].map((value) => value * value));
    expect(run.gradient.norm).toBeCloseTo(Math.sqrt(squares.reduce((sum, value) => sum + value, 0)), 10);
    expect(run.gradient.clipped).toBe(true);
  });

  test("takes no memory but for its weights, nor do gradients below the first layer that learns", () => {
    const { plan } = new Updating({ groups: frozen });
    const named = (name: string) => plan.parameters.find((parameter) => parameter.name === name)!;
    for (const name of ["0.weight", "0.bias", "3.weight"])
      expect(named(name)).toMatchObject({ gradient: 0, state: [], group: null });
    // Layer 3 still has a bias that learns: its output's gradient is needed, its input's is not.
    expect(plan.layers.map(({ inputGradient }) => inputGradient !== 0)).toEqual([
      false,
      false,
      false,
      false,
      true,
      true,
    ]);
    expect(plan.layers[3].outputGradient).toBe(plan.layers[4].inputGradient);
    const whole = new Updating({}).plan;
    expect(plan.addresses.stateBytes).toBeLessThan(whole.addresses.stateBytes / 2);
  });

  test("is no matrix that muon could learn with", () => {
    const optimizer = member("optimizers", "muon");
    const groups = [group({ parameters: "*.weight", freeze: true })];
    expect(() => new Updating({ optimizer, groups })).toThrow("none learns");
  });

  test("from a checkpoint on stays what was served of it, without its state", async () => {
    const optimizer = member("optimizers", "lookahead");
    const { checkpoints } = await train(smallJob({ optimizer, keepBest: true }), { everySteps: 20 });
    const [state] = checkpoints.values();
    const fork = forkState(state, {}, { keepBest: true, evaluatesOthers: true, groups: frozen }).bytes;
    const [before, after] = [state, fork].map((file) => readSafetensors(file).tensors);
    expect([...after.keys()].filter((name) => name.endsWith("0.weight"))).toEqual(["0.weight", "best.0.weight"]);
    expect(before.get("evaluated.0.weight")!.bytes).not.toEqual(before.get("0.weight")!.bytes);
    expect(after.get("0.weight")!.bytes).toEqual(before.get("evaluated.0.weight")!.bytes);
    expect(after.get("optimizer.slow.3.bias")).toEqual(before.get("optimizer.slow.3.bias"));
    const job = () => smallJob({ optimizer, keepBest: true, groups: frozen });
    const [one, three] = [await train(job(), { state: fork }), await train(job(), { threads: 3, state: fork })];
    expect(readSafetensors(one.state!.bytes).tensors.get("0.weight")).toEqual(after.get("0.weight"));
    expect(three.state!.sha256).toBe(one.state!.sha256);
  });

  test("leaves what learns to be shared out evenly, and numbers its blocks first", () => {
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

describe("a schedule that follows a metric", () => {
  const schedule = {
    ...member("schedules", "reduce_on_plateau", {
      metric: "train_loss",
      patience: 0,
      threshold: 0.5,
      factor: 0.1,
      min_lr: 0.004,
    }),
    interval: "step",
    warmup_steps: 0,
  } as unknown as Schedule;

  test("keeps a state for each base rate", () => {
    const follower = new Follower(schedule, [0.1, 0.01], 1);
    const progress = { step: 1, schedule: follower.fresh(), groups: [{ schedule: null, scalars: {} }] };
    for (const value of [1, 2, 3]) {
      follower.follow(progress, false, value);
      progress.step++;
    }
    expect(progress.schedule.state).toMatchObject({ lr: 0.004 });
    expect(progress.groups[0].schedule).toMatchObject({ lr: 0.004 });
    const first = new Follower(schedule, [0.1, 0.01], 1);
    const once = { step: 1, schedule: first.fresh(), groups: [{ schedule: null, scalars: {} }] };
    for (const value of [1, 2]) {
      first.follow(once, false, value);
      once.step++;
    }
    expect(once.schedule.state!.lr).toBeCloseTo(0.01, 12);
    expect(once.groups[0].schedule).toMatchObject({ lr: 0.004 });
  });

  test("sets each group's rate by it", async () => {
    const job = (changes: JobChanges) => train(smallJob({ schedule, training: { epochs: 4 }, ...changes }));
    const sgd = (lr: number) => member("optimizers", "sgd", { lr });
    const grouped = await job({ optimizer: sgd(0.5), groups: [group({ lr: 0.05 })] });
    const rates: number[] = [];
    const plain = await train(smallJob({ schedule, training: { epochs: 4 }, optimizer: sgd(0.05) }), { rates });
    expect(rates.at(-1)).toBeLessThan(0.05);
    expect(grouped.weights).toBe(plain.weights);
  });

  test("goes on from it after a resume", async () => {
    const job = () =>
      smallJob({ schedule, groups: [group({ parameters: "*.bias", lr: 0.1 })], training: { epochs: 6 } });
    const alone = await train(job(), { everySteps: 7 });
    for (const state of alone.checkpoints.values())
      expect((await train(job(), { threads: 2, state })).state?.sha256).toBe(alone.state?.sha256);
  });
});

test("lr_scale multiplies what the schedule gives, lr is what the schedule starts from", async () => {
  const schedule = {
    ...member("schedules", "cosine_annealing", { t_max: 60, eta_min: 0.01 }),
    interval: "step",
    warmup_steps: 0,
  };
  const weights = async (changes: JobChanges) =>
    (await train(smallJob({ schedule, training: { epochs: 3 }, ...changes }))).weights;
  const sgd = (lr: number) => member("optimizers", "sgd", { lr });
  const halved = { ...schedule, eta_min: 0.005 };
  const scaled = await weights({ optimizer: sgd(0.1), groups: [group({ lr_scale: 0.5 })] });
  expect(scaled).toBe(await weights({ optimizer: sgd(0.05), schedule: halved }));
  const based = await weights({ optimizer: sgd(0.1), groups: [group({ lr: 0.05 })] });
  expect(based).toBe(await weights({ optimizer: sgd(0.05) }));
  expect(based).not.toBe(scaled);
});
