import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matches } from "../../../src/engine/plan/groups.ts";
import { configure, withOption } from "../../../src/engine/optimizers/configure.ts";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import type { ParameterGroup, Member, Schedule } from "../../../src/engine/settings.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import { Follower } from "../../../src/engine/schedules/follower.ts";
import { size } from "../../../src/engine/member/shape.ts";
import { expectClose } from "../../support/golden.ts";
import { Bench } from "../../support/kernels.ts";
import { referenceOf, referenceTensor } from "../../support/references.ts";
import { member, smallJob, train, type JobChanges } from "../../support/training.ts";
import { gradientAt, group, initial, Updating } from "../../support/updating.ts";

/*
 * Parameter groups: a group is an optimizer with options of its own, held to the references with
 * those options; a group of everything is the optimizer with its options.
 */

function underTest(key: string): Member {
  const { rate = "lr", options } = optimizers[key];
  return member("optimizers", key, {
    ...(options[rate].kind === "number" ? { [rate]: 0.01 } : {}),
    ...("fast_optimizer" in options
      ? { fast_optimizer: member("optimizers", "keras_adamw"), sync_period: 4, slow_step_size: 0.5 }
      : {}),
    ...("ns_precision" in options ? { ns_precision: "float32" } : {}),
  });
}

const keys = Object.keys(optimizers).filter((key) => !configure(underTest(key)).wholeModel);

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

  test("that matches almost everywhere is matched without trying every combination", () => {
    // Which would take longer than anybody waits.
    expect(matches(`${"*a".repeat(60)}b`, "a".repeat(200))).toBe(false);
  });
});

/** One group for each of the things that a group can change, and one that is frozen. */
function mixed(key: string): ParameterGroup[] {
  const { decays } = configure(underTest(key));
  return [
    group({ parameters: "3.bias", freeze: true }),
    group({ parameters: ["*.bias", "nothing"], weight_decay: decays ? 0.3 : null, lr_scale: 3 }),
    group({ parameters: "3.*", lr_scale: 0.5 }),
  ];
}

/**
 * What each parameter of smallJob has then: a rate's factor, and a weight decay if it has another.
 */
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

  test("has the same tensors and passes whatever a group changes, so that groups can step together", () => {
    const changed = withOption(withOption(optimizer, "lr", 0), "weight_decay", 0);
    const [a, b] = [optimizer, changed].map((member) => configure(member));
    for (const shape of [[3], [2, 3]]) expect(b.state(shape)).toEqual(a.state(shape));
    const { kernels } = new Bench();
    const passes = [a, b].map((each) =>
      each.create(kernels).passes.map(({ over, sums, reduce }) => ({ over, sums, reduce })),
    );
    expect(passes[1]).toEqual(passes[0]);
  });

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
        const count = size(shape);
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

  test.each([null, 0.5])("gives the same bytes from any threads, gradient norm limited to %s", async (clip) => {
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

test("an option is set under its name in the dialect, and in wrapped optimizers", () => {
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

test("groups work with everything else that is done to gradients and weights: the same bytes from any number of threads", async () => {
  const job = (optimizer: string) =>
    smallJob({
      optimizer: member("optimizers", optimizer),
      groups: [group({ parameters: "0.*", freeze: true }), group({ parameters: "*.bias", lr: 0.03, weight_decay: 0 })],
      training: {
        gradient_accumulation_steps: 2,
        clip_grad_adaptive: { clipping: 0.1, eps: 1e-3 },
        clip_grad_norm: 1,
        gradient_noise: { eta: 0.01, gamma: 0.55 },
        averaging: { type: "ema", decay: 0.9, start_step: 4, every_steps: 1 },
      },
      keepBest: true,
      observe: { every_steps: 5, per_layer: true },
    });
  for (const optimizer of ["adamw", "lamb", "muon"]) {
    const alone = await train(job(optimizer), { everySteps: 7 });
    const { tensors } = readSafetensors(alone.state!.bytes);
    expect([...tensors.keys()].filter((name) => name.endsWith("0.weight"))).toEqual(["0.weight", "best.0.weight"]);
    expect(tensors.get("best.0.weight")!.bytes).toEqual(tensors.get("0.weight")!.bytes);
    const crew = await train(job(optimizer), { threads: 3 });
    expect(crew.state?.sha256).toBe(alone.state?.sha256);
    expect(crew.observed).toEqual(alone.observed);
    for (const state of alone.checkpoints.values())
      expect((await train(job(optimizer), { threads: 2, state })).state?.sha256).toBe(alone.state?.sha256);
  }
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
  } as Schedule;

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

  test("continues with that state after a resume", async () => {
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
