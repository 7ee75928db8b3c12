/** The CSV of predictions: a line for each row, after one that names the columns. */
import { line } from "../data/source.ts";
import type { TargetEncoding } from "../data/encode/encoding.ts";
import { losses } from "../engine/losses/registry.generated.ts";
import { hasLogLoss } from "../engine/losses/targets.ts";
import { size, type Shape } from "../engine/member/shape.ts";
import type { Member } from "../engine/settings.ts";
import { planForward } from "../engine/plan/forward.ts";
import type { Prediction } from "./answers.ts";
import { outputsOf, type ModelSource } from "./model.ts";

/** A double has at most so many characters. */
export const NUMBER_BYTES = 24;

export type Cells = readonly (string | number | null)[];

export interface Lines {
  /** A name that two columns have; null: each has its own. */
  readonly twice: string | null;
  readonly header: string;
  /** The most that a line takes. */
  readonly maxBytes: number;
  /** With its line feed. `places`: the cells before those of the prediction. */
  readonly of: (prediction: Prediction, places?: Cells) => string;
}

/** @param shape that of the prediction for one row */
function linesOf(loss: Member, target: TargetEncoding, shape: Shape, places: readonly string[]): Lines {
  const { column, words = ["0", "1"] } = target;
  const isYesOrNo = typeof column === "string" && size(shape) === 1 && losses[loss.type].targets === "probability";
  const classes = target.classes ?? (isYesOrNo ? words : null);
  if (classes !== null) return ofClasses(places, classes, shape, isYesOrNo || hasLogLoss(losses[loss.type]));
  const values = typeof column === "string" ? numbered("value", size(shape)) : column;
  const cells = (prediction: Prediction): Cells => {
    if ("values" in prediction) return values.map((name) => prediction.values[name]);
    return flat((prediction as { value: unknown }).value) as Cells;
  };
  return lines([...places, ...values], values.length * (NUMBER_BYTES + 1), cells);
}

/** @param places the names of the columns before those of the prediction */
export function linesFor({ layers, loss, inputs, target }: ModelSource, places: readonly string[] = []): Lines {
  const { prediction } = planForward({ model: { layers }, inputs, outputs: outputsOf(target) });
  return linesOf(loss, target, prediction, places);
}

function ofClasses(places: readonly string[], classes: readonly string[], shape: Shape, areProbable: boolean): Lines {
  const positions = shape.length === 1 ? 1 : size(shape.slice(0, -1));
  const names = numbered("class", positions).flatMap((name) => {
    const place = name.replace("class", "probability");
    return [name, ...(areProbable ? classes.map((each) => `${place}_${each}`) : [])];
  });
  const longest = classes.reduce((most, name) => Math.max(most, Buffer.byteLength(line([name]))), 0);
  const maxBytes = positions * (longest + (areProbable ? classes.length * (NUMBER_BYTES + 1) : 0));
  const cells = (prediction: Prediction): Cells => {
    const { class: best, probabilities } = prediction as Extract<Prediction, { class: unknown }>;
    const shares = [probabilities].flat();
    return [best].flat().flatMap((name, i) => {
      const share = shares[i] ?? null;
      return share === null ? [name] : [name, ...classes.map((each) => share[each])];
    });
  };
  return lines([...places, ...names], maxBytes, cells);
}

function lines(names: readonly string[], maxBytes: number, cells: (prediction: Prediction) => Cells): Lines {
  // The quotes of a first cell that is empty, and the line feed.
  return {
    twice: names.find((name, i) => names.indexOf(name) < i) ?? null,
    header: line(names),
    maxBytes: maxBytes + 3,
    of: (prediction, before = []) => line([...before, ...cells(prediction)]),
  };
}

/** One name, or one for each element in order, counted from 0. */
function numbered(name: string, count: number): string[] {
  return count === 1 ? [name] : Array.from({ length: count }, (_, i) => `${name}_${i}`);
}

function flat(value: unknown): unknown[] {
  return Array.isArray(value) ? value.flatMap(flat) : [value];
}
