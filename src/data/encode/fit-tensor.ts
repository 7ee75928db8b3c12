/*
 * Fits the encoder of a column of arrays to the training rows.
 *
 * Its statistics are taken in double and in the order of the file. To standardise takes a mean and
 * a deviation for each index of the first dimension, which counts the channels of an image.
 */
import { size, type Shape } from "../../engine/member/shape.ts";
import type { NamedValue } from "../../engine/plan/graph.ts";
import type { FeatureForm } from "../../engine/plan/taken.ts";
import type { TensorColumn } from "../dataset.ts";
import { isInteger, type TensorValues } from "../tensors/elements.ts";
import type { DataFault } from "./check.ts";
import type { DataSpec, InputEncoding, TensorEncoder, TensorScale } from "./encoding.ts";
import { statisticsOf } from "./statistics.ts";

/** The name of the input that the features make. */
export const FEATURES = "features";

/** What the plan needs to know of it. */
export function tensorInput(
  { dtype, shape: own, max }: TensorColumn,
  shape: Shape | null,
  takes: FeatureForm,
): NamedValue {
  const value = { name: FEATURES, shape: shape ?? own };
  if (takes !== "int32" || !isInteger(dtype)) return { ...value, type: "float32" };
  return { ...value, type: "int32", categories: Number(max) + 1 };
}

/** Why it cannot be one. */
export function tensorFaults(column: TensorColumn, { shape, preprocess }: DataSpec, takes: FeatureForm): DataFault[] {
  const faults = shapeFaults(shape, size(column.shape));
  const name = JSON.stringify(column.name);
  if (takes === "columns") {
    const message = `must name columns with one number or class a row, not the array ${name}: the model takes classes and numbers apart; an embedding layer takes an array of integers`;
    faults.push({ pointer: "/data/features", message });
  }
  if (tensorInput(column, shape, takes).type === "float32") return faults;
  if (Number(column.min) < 0) {
    const message = `begin with ${name}, which holds ${column.min}; the first layer takes whole numbers from 0`;
    faults.push({ pointer: "/data/features", message });
  }
  if (preprocess.tensor === "unit" || preprocess.tensor === "standardize") {
    const message = `must be "auto" or "none": the first layer takes the whole numbers of ${name} as they are`;
    faults.push({ pointer: "/data/preprocess/tensor", message });
  }
  return faults;
}

/** The fault of a shape that does not hold the numbers of a row. */
export function shapeFaults(shape: Shape | null, width: number): DataFault[] {
  if (shape === null || size(shape) === width || width === 0) return [];
  const message = `holds ${size(shape)} numbers (${shape.join(" × ")}), but the features give ${width} for a row`;
  return [{ pointer: "/data/shape", message }];
}

export function fitTensor(
  column: TensorColumn,
  elements: TensorValues,
  { shape, preprocess }: DataSpec,
  takes: FeatureForm,
  train: Int32Array,
): InputEncoding {
  const value = tensorInput(column, shape, takes);
  const scale = value.type === "int32" ? "none" : scaleOf(column, preprocess.tensor);
  const encoder: TensorEncoder = {
    column: column.name,
    type: "tensor",
    scale,
    ...fit(elements, scale, value.shape, train),
  };
  return { ...value, encoders: [encoder] };
}

/** Bytes are pixels; other numbers may be anything. */
function scaleOf({ dtype }: TensorColumn, asked: DataSpec["preprocess"]["tensor"]): TensorScale {
  if (asked !== "auto") return asked;
  return dtype === "uint8" || dtype === "bool" ? "unit" : "standardize";
}

function fit(
  elements: TensorValues,
  scale: TensorScale,
  shape: Shape,
  train: Int32Array,
): Pick<TensorEncoder, "mean" | "std" | "max"> {
  const width = size(shape);
  if (scale === "none") return { mean: null, std: null, max: null };
  if (scale === "unit") {
    const { max } = statisticsOf(elements, train, { width, begin: 0, end: width });
    return { mean: null, std: null, max: max > 0 ? max : 1 };
  }
  const inner = width / shape[0];
  const channels = Array.from({ length: shape[0] }, (_, channel) =>
    statisticsOf(elements, train, { width, begin: channel * inner, end: (channel + 1) * inner }),
  );
  return { mean: channels.map(({ mean }) => mean), std: channels.map(({ std }) => std), max: null };
}
