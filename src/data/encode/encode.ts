/*
 * Turns typed columns into what the engine trains on. It runs in a helper thread, with one column
 * in memory at a time.
 *
 * These numbers influence the training, so each is computed in one fixed order. Sums run over the
 * training rows in file order, in double: first the mean, then the squared deviations from it. A
 * scaled value is (x − offset) / divisor in double, rounded once to float32. The only function of
 * `Math` used is `sqrt`, which IEEE 754 defines to the last bit.
 */
import type { FeatureForm } from "../../engine/plan/taken.ts";
import { size } from "../../engine/member/shape.ts";
import type { TargetFacts } from "../../engine/metrics/metric.ts";
import type { TargetKind } from "../../engine/training.ts";
import type { TablePath } from "../beside.ts";
import { checkData, checkSizes, type DataFault } from "./check.ts";
import { missingTest } from "../columns/column.ts";
import type { DataSizes, DataSpec, Encoded, Encoding, Inherited } from "./encoding.ts";
import { featuresOf, hasText, isLanguage, type TableSummary } from "./features.ts";
import { fitInputs, measureInputs, type MeasuredInputs } from "./fit.ts";
import { measureInherited } from "./inherit.ts";
import type { Reading } from "../reading.ts";
import type { Split } from "./split.ts";
import { encodeText, fitText, measureText } from "./text.ts";
import { fitRowText, measureRowText } from "./text-rows.ts";
import { applyTarget, fitTarget, readTarget, targetFacts } from "./target.ts";
import { ViewedFile } from "./viewed-file.ts";
import { weightsOf } from "./weights.ts";
import {
  applyWindowed,
  inheritedWindowFaults,
  rowSpec,
  samplesOf,
  shiftTargets,
  targetRows,
  windowed,
  windowShapeFaults,
} from "./windows.ts";

export interface EncodeInput {
  readonly table: TablePath;
  readonly data: DataSpec;
  readonly targets: TargetKind;
  /** What the model takes of the features. */
  readonly takes: FeatureForm;
  /** Encoders of another job; null: encoders are fitted to the training rows. */
  readonly inherited: Inherited | null;
}

/** The sizes, or the faults that only the rows can show. */
export type Measured = { readonly sizes: DataSizes } | { readonly faults: DataFault[] };

export function measureFile({ table, data, targets, takes, inherited }: EncodeInput): Promise<Measured> {
  return ViewedFile.with(table, data, async (file) => {
    const wrong = file.rows === 0 ? [noRows] : checkData(file.content, data, targets);
    if (wrong.length > 0) return { faults: wrong };
    if (hasText(data) && isLanguage(data)) return await measureText(file, data, inherited);
    const { file: ordered, rows, samples, ahead, faults: uncut } = await samplesOf(file, data);
    if (uncut.length > 0) return { faults: [...uncut] };
    const { train, valid, test } = samples;
    const measured = await measureAny(ordered, { data, takes, inherited }, rows);
    const { width, inputs, faults: unfit, unknown = [] } = measured;
    const target = await readTarget(ordered, data, targets, inherited?.target?.classes);
    const sizes = {
      train: train.length,
      valid: valid.length,
      test: test.length,
      width,
      inputs,
      targetShape: target.shape,
      encodedBytes: data.window === null ? null : 4 * file.rows * (width + size(target.shape)),
      tokens: null,
      unknown,
      ...targetFacts(target, targets, targetRows(train, ahead), targetRows(valid, ahead)),
      empty: await emptyFeatures(ordered, data, rows.train),
    };
    const faults = [...checkSizes(sizes, data), ...unfit];
    return faults.length > 0 ? { faults } : { sizes };
  });
}

const noRows: DataFault = { pointer: "/data/where", message: "chooses no rows: none has all these values" };

async function measureAny(
  file: ViewedFile,
  { data, takes, inherited }: Pick<EncodeInput, "data" | "takes" | "inherited">,
  rows: Split,
): Promise<MeasuredInputs & { readonly unknown?: readonly string[] }> {
  if (hasText(data)) return await measureRowText(file, data, rows, inherited);
  if (inherited) {
    const measured = await measureInherited(file, inherited, takes);
    return { ...measured, faults: [...measured.faults, ...inheritedWindowFaults(inherited.inputs, data)] };
  }
  const { width, inputs, faults } = await measureInputs(file, rowSpec(data), takes, rows.train);
  if (data.window !== null && takes === "columns") {
    const message = "is for models that take all features of a row as numbers, without column_embedding";
    return { width, inputs, faults: [{ pointer: "/data/window", message }] };
  }
  return {
    width,
    inputs: inputs.map((input) => windowed(input, data)),
    faults: [...faults, ...windowShapeFaults(data, width)],
  };
}

/** Only a column that misses as many cells as there are training rows needs to be read. */
async function emptyFeatures(file: ViewedFile, data: DataSpec, train: Int32Array): Promise<string[]> {
  const empty: string[] = [];
  for (const name of featuresOf(file.content, data)) {
    const index = file.index(name);
    const { type, missing } = file.content.columns[index];
    if (missing < train.length || type === "tensor") continue;
    const values = await file.values(index);
    const isMissing = missingTest(values);
    if (train.every((row) => isMissing(values[row]))) empty.push(name);
  }
  return empty;
}

/** The rows do not fit the spec: what `measureFile` answers. */
export class Unfit extends Error {
  readonly faults: readonly DataFault[];

  constructor(faults: readonly DataFault[]) {
    super(`The dataset does not fit the spec: ${faults[0].pointer} ${faults[0].message}.`);
    this.faults = faults;
  }
}

/** @throws Unfit, which earlier checks should have prevented */
export function encodeFile(input: EncodeInput): Promise<Encoded> {
  return ViewedFile.with(input.table, input.data, async (file) => {
    const { data, encoding } = await encodeRows(file, input);
    return { data, encoding };
  });
}

/** `validated`: facts on the targets of the rows that validate; null of a language. */
export type EncodedRows = Encoded & { readonly validated: TargetFacts | null };

/** The same for a table that is open. @throws Unfit */
export async function encodeRows(file: ViewedFile, input: Omit<EncodeInput, "table">): Promise<EncodedRows> {
  const { data, targets, inherited } = input;
  if (hasText(data) && isLanguage(data)) {
    assertFits(checkData(file.content, data, targets));
    return { ...(await encodeText(file, data, inherited)), validated: null };
  }
  const { encoding, target, samples } = await encodingOf(file, input);
  const inputs = [];
  for (const input of encoding.inputs) inputs.push(await applyWindowed(input, samples.file, data.window));
  const shifted = shiftTargets(applyTarget(target, encoding.target, file.rows), samples.ahead);
  const { train: trainRows, valid: validRows, test: testRows } = samples.samples;
  const weights = await weightsOf(samples.file, target, { data, train: trainRows, ahead: samples.ahead });
  const { validated } = targetFacts(target, targets, NO_ROWS, targetRows(validRows, samples.ahead));
  return { data: { inputs, ...shifted, ...weights, trainRows, validRows, testRows }, encoding, validated };
}

const NO_ROWS = new Int32Array(0);

/** The encoding of a job whose model has not been stored. @throws as encodeFile */
export function fitFile(input: EncodeInput): Promise<Encoding> {
  const { table, data, inherited } = input;
  return ViewedFile.with(table, data, async (file) =>
    hasText(data) && isLanguage(data) ? await fitText(file, data, inherited) : (await encodingOf(file, input)).encoding,
  );
}

async function encodingOf(file: ViewedFile, { data, targets, takes, inherited }: Omit<EncodeInput, "table">) {
  assertFits(checkData(file.content, data, targets));
  const samples = await samplesOf(file, data);
  assertFits(samples.faults);
  const { file: ordered, rows } = samples;
  const { train, valid, test } = samples.samples;
  const measured = await measureAny(ordered, { data, takes, inherited }, rows);
  const sizes = { train: train.length, valid: valid.length, test: test.length, width: measured.width };
  assertFits([...checkSizes(sizes, data), ...measured.faults]);
  const target = await readTarget(ordered, data, targets, inherited?.target?.classes);
  const fitted = async () => {
    if (hasText(data)) return [await fitRowText(ordered, data, rows.train, inherited)];
    if (inherited) return inherited.inputs;
    const inputs = await fitInputs(ordered, rowSpec(data), takes, rows.train);
    return inputs.map((input) => windowed(input, data));
  };
  const encoding = {
    inputs: await fitted(),
    target: inherited?.target ?? fitTarget(target, data, targets, rows.train),
    reading: readingOf(file.content, data),
  };
  return { encoding, target, samples };
}

/** How the table was read, with what only whole columns tell. */
function readingOf(table: TableSummary, data: DataSpec): Reading {
  const { columns, reading } = table;
  const used = new Set([...featuresOf(table, data), ...(data.window === null ? [] : [data.window.order])]);
  const orders = columns.flatMap((column) =>
    used.has(column.name) && "date_order" in column ? [[column.name, column.date_order]] : [],
  );
  return orders.length === 0 ? reading : { ...reading, date_orders: Object.fromEntries(orders) };
}

function assertFits(faults: readonly DataFault[]): void {
  if (faults.length > 0) throw new Unfit(faults);
}
