import type { Options } from "../../src/engine/options.ts";
import { isTensor, type GoldenTensor } from "./golden.ts";
import { Unsupported } from "./verdict.ts";

/*
 * From the libraries' names to ours. Our members have PyTorch's and optax' names but for case, underscores and the suffixes LR and Loss, so
 * that `CosineAnnealingLR` with `T_max` finds `cosine_annealing` with `t_max`, and a new member is found without a line here. This
 * table holds what does not follow that rule.
 */

type Values = Readonly<Record<string, unknown>>;

const RENAMED: Readonly<Record<string, (options: Values) => { type?: string; options: Values }>> = {
  // AdamW is Adam with its weight decay decoupled; we have two members for it.
  "torch.Adam": ({ decoupled_weight_decay, ...options }) => ({
    type: decoupled_weight_decay ? "adamw" : "adam",
    options,
  }),
  "torch.AdamW": ({ decoupled_weight_decay: _always, ...options }) => ({ options }),
  "optax.schedule_free_adamw": ({ warmup_steps, ...options }) => ({
    options: { ...options, warmup_steps: warmup_steps ?? 0 },
  }),
  // Our classes have names; the cases' are numbered. A negative ignore_index marks targets that are no class, which never count.
  "torch.CrossEntropyLoss": ({ ignore_index: index, ...options }) => ({
    options: typeof index === "number" && index >= 0 ? { ...options, ignore_class: String(index) } : options,
  }),
};

/** Keras' optimizers of PyTorch's names compute something else: eps inside the root or uncorrected, the rate inside the momentum. */
const OTHER_FORMULAS = /^keras\./;

/** State tensors that the libraries name differently. */
export const STATE_NAMES: Readonly<Record<string, string>> = { mu: "exp_avg", nu: "exp_avg_sq" };

/** State that the engine counts itself. */
export const COUNTERS = new Set(["step", "count", "iterations", "step_count"]);

/** optax' optimizers name their options in their own way, all in the same. */
function torchStyle({ learning_rate, b1, b2, ...options }: Values): Values {
  return { lr: learning_rate, betas: [b1, b2], ...options };
}

interface Declared {
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
): { type: string; [option: string]: unknown } {
  const full = `${library}.${name}`;
  const options = library === "optax" ? torchStyle(given) : given;
  const renamed = RENAMED[full]?.(options) ?? { options };
  const plain = (text: string) =>
    text
      .replace(/(LR|Loss)$/, "")
      .replaceAll("_", "")
      .toLowerCase();
  const type = Object.keys(registry).find(
    (member) => member === renamed.type || plain(member) === plain(renamed.type ?? name),
  );
  if (type === undefined || OTHER_FORMULAS.test(full)) throw new Unsupported(full);
  const declared = registry[type].options;
  const values: Record<string, unknown> = {};
  for (const [option, { default: value }] of Object.entries(declared)) values[option] = value;
  for (const [option, value] of Object.entries(renamed.options)) {
    const ours = option.toLowerCase();
    if (!(ours in declared)) throw new Unsupported(`${full}.${option}`);
    values[ours] = isTensor(value) ? fromTensor(declared[ours].kind, value, `${full}.${option}`) : value;
    if (declared[ours].kind === "choice" && !declared[ours].choices.includes(String(value))) {
      throw new Unsupported(`${full}.${option}=${String(value)}`);
    }
  }
  return { ...values, type };
}

/** Numbers for classes named by their index, or for outputs. */
function fromTensor(kind: string, { shape, data }: GoldenTensor, option: string): unknown {
  if (shape.length <= 1 && kind === "numbers") return data;
  if (shape.length === 1 && kind === "class_numbers")
    return Object.fromEntries(data.map((value, i) => [String(i), value]));
  throw new Unsupported(option);
}
