import { withDefaults, type Options } from "../../src/engine/member/options.ts";
import { isTensor, type GoldenTensor } from "./golden.ts";
import { Unsupported } from "./verdict.ts";
import type { Member } from "../../src/engine/settings.ts";

/*
 * From the libraries' names to ours. Our members have PyTorch's and optax' names but for case,
 * underscores and the suffixes LR and Loss, so that `CosineAnnealingLR` with `T_max` finds
 * `cosine_annealing` with `t_max`, and a new member is found without a line here. This table holds
 * what does not follow that rule.
 */

type Values = Readonly<Record<string, unknown>>;

const RENAMED: Readonly<Record<string, (options: Values) => { type?: string; options: Values }>> = {
  "torch.AdamW": ({ decoupled_weight_decay: _always, ...options }) => ({ options }),
  // The first of Adafactor's eps is null in PyTorch where it means the smallest float32 above 1,
  // less 1.
  "torch.Adafactor": ({ eps, ...options }) => ({
    options: { ...options, eps: (eps as (number | null)[]).map((value) => value ?? 2 ** -23) },
  }),
  "optax.lookahead_adam": ({ sync_period, slow_step_size, ...adam }) => ({
    type: "lookahead",
    options: { sync_period, slow_step_size, fast_optimizer: { type: "adam", dialect: "optax", ...adam } },
  }),
  "optax.schedule_free_adamw": ({ warmup_steps, ...options }) => ({
    options: { ...options, warmup_steps: warmup_steps ?? 0 },
  }),
  // Our sequences are always batch first; the cases say how many sequences there are by their
  // inputs.
  "torch.MultiheadAttention": ({ batch_first: _first, self_attention: _self, ...options }) => ({ options }),
  "torch.TransformerEncoderLayer": ({ batch_first: _first, ...options }) => ({ options }),
  // Our masks are an input.
  "torch.scaled_dot_product_attention": ({ attn_mask_true_means_attend: _mask, ...options }) => ({ options }),
  "torch.RotaryEmbedding": ({ pairs: _halves, ...options }) => ({ options }),
  "torch.SwiGLU": ({ dim: _inferred, hidden }) => ({ options: { hidden_features: hidden } }),
  "torch.ConstantLR": (options) => ({ type: "constant_factor", options }),
  // Ours takes the whole training where theirs takes five steps.
  "torch.LinearLR": (options) => ({ options: { total_iters: 5, ...options } }),
  "torch.PolynomialLR": (options) => ({ options: { total_iters: 5, ...options } }),
  // Without a function for it the scale's mode says nothing.
  "torch.CyclicLR": ({ scale_mode: _nothing, ...options }) => ({ options }),
  "torch.OneCycleLR": ({ total_steps, epochs, steps_per_epoch: each, ...options }) => ({
    options: { ...options, total_steps: total_steps ?? Number(epochs) * Number(each) },
  }),
  "torch.ReduceLROnPlateau": (options) => ({ type: "reduce_on_plateau", options }),
  "torch.ChainedScheduler": (options) => ({ type: "chained", options }),
  "torch.LambdaLR": lambda,
  "formula.WSD": (options) => ({ type: "warmup_stable_decay", options }),
  "torch.CrossEntropyLoss": ignoreIndex,
  "torch.NLLLoss": ignoreIndex,
};

/**
 * Our classes have names; the cases' are numbered. A negative ignore_index marks targets that are
 * no class, which never count.
 */
function ignoreIndex({ ignore_index: index, ...options }: Values): { options: Values } {
  return { options: typeof index === "number" && index >= 0 ? { ...options, ignore_class: String(index) } : options };
}

/** State tensors that the libraries name differently, by library or by optimizer. */
const STATE_NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  optax: { mu: "exp_avg", nu: "exp_avg_sq" },
  keras: {
    momentum: "exp_avg",
    velocity: "exp_avg_sq",
    velocity_hat: "max_exp_avg_sq",
    norm: "exp_inf",
    u_product: "mu_product",
    accumulated_grad: "square_avg",
    accumulated_delta_var: "acc_delta",
  },
  "keras.SGD": { momentum: "momentum_buffer" },
  "keras.RMSprop": { momentum: "momentum_buffer", velocity: "square_avg", average_gradient: "grad_avg" },
  "keras.Adagrad": { accumulator: "sum" },
};

/** State that the engine counts itself. */
const COUNTERS = new Set(["step", "count", "iterations", "step_count", "steps_since_sync"]);

/** What we call a part of a library's optimizer's state; null if the engine counts it itself. */
export function stateName(library: string, optimizer: string, name: string): string | null {
  if (COUNTERS.has(name)) return null;
  return STATE_NAMES[`${library}.${optimizer}`]?.[name] ?? STATE_NAMES[library]?.[name] ?? name;
}

/** PyTorch's LambdaLR takes a function; the cases name the formula. */
function lambda({ formula, warmup, total, ...options }: Values): { type?: string; options: Values } {
  const rise = ["Piecewise", { milestones: [0, warmup], factors: [0, 1], interpolation: "linear" }];
  const left = Number(total) - Number(warmup);
  if (formula === "linear_warmup_cosine")
    return {
      type: "sequential",
      options: { schedulers: [rise, ["CosineAnnealingLR", { T_max: left }]], milestones: [warmup] },
    };
  if (formula === "linear_warmup_linear")
    return {
      type: "sequential",
      options: { schedulers: [rise, ["PolynomialLR", { total_iters: left }]], milestones: [warmup] },
    };
  return { type: String(formula), options: { ...options, warmup } };
}

interface Declared {
  readonly type: string;
  readonly dialect?: string;
  readonly options: Options;
}

/**
 * A member of `registry` and its options, defaults filled in, from a library's class and options.
 * @throws Unsupported
 */
export function translate(
  registry: Readonly<Record<string, Declared>>,
  library: string,
  name: string,
  given: Values,
): Member {
  const full = `${library}.${name}`;
  const { type = name, options } = RENAMED[full]?.(given) ?? { options: given };
  // What no library has is given as a formula; ours is under the default dialect.
  const dialect = library === "formula" ? "torch" : library;
  const declared = Object.values(registry).find(
    (member) => (member.dialect ?? "torch") === dialect && plain(member.type) === plain(type),
  );
  if (declared === undefined) throw new Unsupported(full);
  const values: Record<string, unknown> = {};
  for (const [theirs, value] of Object.entries(options)) {
    const ours = theirs.toLowerCase();
    if (!(ours in declared.options)) throw new Unsupported(`${full}.${theirs}`);
    const option = declared.options[ours];
    values[ours] = isTensor(value) ? fromTensor(option.kind, value, `${full}.${theirs}`) : value;
    if (option.kind === "members")
      values[ours] = (value as [string, Values][]).map(([part, its]) => translate(registry, library, part, its));
    if (option.kind === "choice" && value !== null && !option.choices.includes(value as string))
      throw new Unsupported(`${full}.${theirs}=${JSON.stringify(value)}`);
  }
  return withDefaults(declared, values);
}

function plain(name: string): string {
  return name
    .replace(/(LR|Loss)$/, "")
    .replaceAll("_", "")
    .toLowerCase();
}

/** Numbers for classes named by their index, or for outputs. */
function fromTensor(kind: string, { shape, data }: GoldenTensor, option: string): unknown {
  if (shape.length <= 1 && kind === "numbers") return data;
  if (shape.length === 1 && kind === "class_numbers")
    return Object.fromEntries(data.map((value, i) => [String(i), value]));
  throw new Unsupported(option);
}
