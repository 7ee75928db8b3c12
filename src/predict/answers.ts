/** What the outputs of a model say in the terms of its data. */
import type { TargetEncoding } from "../data/encode/encoding.ts";
import { functionKernels, type Kernels } from "../engine/kernels/kernels.ts";
import { losses } from "../engine/losses/registry.generated.ts";
import { hasLogLoss } from "../engine/losses/targets.ts";
import { size, type Shape } from "../engine/member/shape.ts";
import type { Member } from "../engine/settings.ts";
import type { Predictions } from "../contract/wire/prediction.ts";

export type Prediction = Predictions["predictions"][number];

/** Reads the outputs of one row, which begin at `from`. */
export type ReadAnswer = (outputs: Float32Array, from: number) => Prediction;

/** `shape`: that of the prediction for one row. */
export function answersOf(loss: Member, target: TargetEncoding, shape: Shape): ReadAnswer {
  const kernels = functionKernels();
  if (target.classes !== null) return classesOf(target.classes, shape, hasLogLoss(losses[loss.type]), kernels);
  return valuesOf(loss, target, shape, kernels);
}

function classesOf(
  classes: readonly string[],
  shape: Shape,
  areProbable: boolean,
  { exp }: Pick<Kernels, "exp">,
): ReadAnswer {
  const positions = size(shape.slice(0, -1));
  const count = classes.length;
  const one = (outputs: Float32Array, from: number) => {
    const best = largest(outputs, from, count);
    return { class: classes[best], probabilities: areProbable ? probabilities(outputs, from, best) : null };
  };
  const probabilities = (outputs: Float32Array, from: number, best: number) => {
    const most = outputs[from + best];
    const shares = classes.map((_, i) => exp(outputs[from + i] - most));
    const sum = shares.reduce((total, share) => total + share, 0);
    return Object.fromEntries(classes.map((name, i) => [name, finite(shares[i] / sum)]));
  };
  if (shape.length === 1) return one;
  return (outputs, from) => {
    const all = Array.from({ length: positions }, (_, i) => one(outputs, from + i * count));
    return {
      class: all.map((position) => position.class),
      probabilities: areProbable ? all.map((position) => position.probabilities) : null,
    };
  };
}

function valuesOf(loss: Member, target: TargetEncoding, shape: Shape, kernels: Kernels): ReadAnswer {
  const { targets, answer = (output: number) => output } = losses[loss.type];
  const [means, stds] = [[target.mean ?? 0].flat(), [target.std ?? 1].flat()];
  const value = (output: number, at = 0) => {
    const said = answer(output, loss, kernels);
    return finite(said * stds[at % stds.length] + means[at % means.length]);
  };
  const { column, words = ["0", "1"] } = target;
  if (typeof column !== "string")
    return (outputs, from) => ({
      values: Object.fromEntries(column.map((name, i) => [name, value(outputs[from + i], i)])),
    });
  if (size(shape) > 1) return (outputs, from) => ({ value: nested(shape, from, (at) => value(outputs[at])) });
  if (targets !== "probability") return (outputs, from) => ({ value: value(outputs[from]) });
  const { boundary = 0 } = losses[loss.type];
  return (outputs, from) => {
    const yes = value(outputs[from]);
    const no = yes === null ? null : 1 - yes;
    const probabilities = Object.fromEntries(words.map((word, at) => [word, [no, yes][at]]));
    return { class: words[outputs[from] > boundary ? 1 : 0], probabilities };
  };
}

/** The index of the largest of `count` numbers; of equal ones the first. */
function largest(values: Float32Array, from: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (values[from + i] > values[from + best]) best = i;
  return best;
}

function nested([length, ...inner]: Shape, from: number, value: (at: number) => number | null): unknown {
  if (length === undefined) return value(from);
  const step = size(inner);
  return Array.from({ length }, (_, i) => nested(inner, from + i * step, value));
}

/** JSON has no other numbers. */
const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
