/**
 * The sizes in bytes of the files and documents of a job, for which the store keeps room
 * (src/store/room.ts). They are upper bounds: numbers count at their full length. Only findings,
 * which few jobs have, may make a state a few kilobytes larger.
 */
import { MAX_CLASS_LENGTH, type ColumnSummary } from "../../data/dataset.ts";
import { dateParts, type DataSizes } from "../../data/encode/encoding.ts";
import { losses } from "../../engine/losses/registry.generated.ts";
import { MAX_MATRIX_CLASSES, QUANTILES } from "../../engine/metrics/report.ts";
import { metricsUnder } from "../../engine/metrics/metrics.ts";
import { size } from "../../engine/member/shape.ts";
import type { Plan } from "../../engine/plan/model.ts";
import { isWeight, stateEntries } from "../../engine/state/state.ts";
import type { Reading } from "../../data/reading.ts";
import { observedNames } from "../series.ts";
import type { ResolvedSpec } from "../schema/spec.ts";

export interface Sizes {
  /** Bytes of a checkpoint, and of a model. */
  readonly state: number;
  readonly model: number;
  /** Bytes of the description of the model. */
  readonly notes: number;
  /** Bytes of the metrics of one evaluation as JSON; 0 if there are none. */
  readonly evaluation: number;
  readonly logRow: RowSize;
  readonly evaluationRow: RowSize;
  readonly observedRow: RowSize;
}

/** A row of metrics of one kind. All 0 if there are none of that kind. */
export interface RowSize {
  /** How many numbers it has, the step included. */
  readonly numbers: number;
  /** Bytes of its names as JSON. */
  readonly names: number;
}

/** Most bytes of a double and of what separates it from the next. */
const NUMBER_BYTES = 25;
/** Bytes of a tensor in the header of a file, without its name. */
const TENSOR_BYTES = 100;
/** Bytes of the progress in the header of a state, without metrics. */
const HEADER_BYTES = 1500;
/** Bytes of an encoder, without the name and the classes of its column. */
const ENCODER_BYTES = 120 + 5 * NUMBER_BYTES;
/** Bytes of a layer or a parameter in the description of the model, without its name. */
const DESCRIBED_BYTES = 60;

/** Bytes of a report on an evaluation, without its numbers; of a count of rows. */
const REPORT_BYTES = 200;
const COUNT_BYTES = 11;

/** What these sizes need to know of the data. */
interface Table {
  readonly columns: readonly ColumnSummary[];
  readonly features: readonly string[];
  readonly reading: Reading;
  /** The classes of the target; null if it is a value. */
  readonly classes: readonly string[] | null;
  readonly sizes: DataSizes;
}

export function sizesOf({ data, loss, training, observe }: ResolvedSpec, plan: Plan, table: Table): Sizes {
  const observed = Object.keys(observedNames);
  const ofLayers = plan.nodes.flatMap(({ path }) => observed.map((metric) => `${metric}.${path}`));
  const evaluated = data.validation === null ? [] : metricsUnder(losses[loss.type], table.classes?.length ?? 0);
  const evaluation = sum(evaluated, (name) => name.length + 3 + NUMBER_BYTES);
  const { state, model: modelBytes } = fileSizes(plan);
  return {
    state: state + evaluation,
    model: modelBytes,
    notes: notesBytes(plan, table, data) + reportBytes(data, table),
    evaluation,
    logRow: rowSize(["train_loss", "learning_rate", ...(training.clip_grad_norm === null ? [] : ["grad_norm"])]),
    evaluationRow: rowSize(evaluated),
    observedRow: rowSize(
      observe === null ? [] : ["clipped_fraction", ...observed, ...(observe.per_layer ? ofLayers : [])],
    ),
  };
}

function fileSizes(plan: Plan): Pick<Sizes, "state" | "model"> {
  const entries = stateEntries(plan);
  const weights = entries.filter(({ name }) => isWeight(name));
  const tied = weights.flatMap(({ tied: names = [], bytes }) => names.map((name) => ({ name, bytes })));
  const tensors = (of: readonly { name: string; bytes: number }[]) =>
    sum(of, ({ name, bytes }) => bytes + name.length + TENSOR_BYTES);
  return {
    state: tensors(entries) + sum(weights, ({ name }) => name.length + 5) + HEADER_BYTES,
    model: tensors(weights) + tensors(tied) + TENSOR_BYTES,
  };
}

function notesBytes(
  { nodes, parameters }: Plan,
  { columns, features, reading, classes, sizes: { inputs, targetShape } }: Table,
  { target, text: textRule }: ResolvedSpec["data"],
): number {
  const isText = textRule !== null;
  const byName = new Map(columns.map((column) => [column.name, column]));
  const tokens = isText ? Number(inputs[0].categories) : 0;
  const encoders = sum(features, (name) => {
    const column = byName.get(name)!;
    // A character takes at most 6 bytes in JSON, and a merge has two numbers.
    if (tokens > 0) return text(name) + ENCODER_BYTES + 20 * tokens;
    // A mean and a deviation for each index of the first dimension.
    if (column.type === "tensor") return text(name) + ENCODER_BYTES + 2 * inputs[0].shape[0] * NUMBER_BYTES;
    // One more for an indicator, and one for the class that replaces a missing one.
    const count = (column.type === "date" ? dateParts.length : 1) + (column.missing > 0 ? 1 : 0);
    const isNumber = column.type === "numeric" || column.type === "date";
    return count * (text(name) + ENCODER_BYTES) + (isNumber ? 0 : text(column.classes) + MAX_CLASS_LENGTH);
  });
  // The first one is described twice.
  const named = 2 * sum(inputs, ({ shape, categories }) => ENCODER_BYTES + text(shape) + text(categories ?? null));
  const described = sum(
    [...nodes.map(({ path }) => path), ...parameters.map(({ name }) => name)],
    (name) => name.length + DESCRIBED_BYTES,
  );
  // Several targets have each a mean and a deviation.
  const targets = text(classes) + ENCODER_BYTES + text(target) + 2 * size(targetShape) * NUMBER_BYTES;
  return encoders + named + described + text(reading) + targets;
}

/** Of the rows that are held back: counts of each class and a matrix, or errors by column. */
function reportBytes({ validation, test, target }: ResolvedSpec["data"], { classes }: Table): number {
  const reports = Number(validation !== null) + Number(test !== null);
  // A target of yes and no has two classes.
  const count = classes?.length ?? 2;
  const matrix = count > MAX_MATRIX_CLASSES ? 0 : count * count;
  const errors = [target].flat().length * (QUANTILES.length + 3);
  return reports * (REPORT_BYTES + (matrix + 3 * count) * COUNT_BYTES + errors * NUMBER_BYTES);
}

function rowSize(names: readonly string[]): RowSize {
  return { numbers: names.length === 0 ? 0 : 1 + names.length, names: text(names) };
}

function text(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
