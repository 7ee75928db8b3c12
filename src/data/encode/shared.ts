/*
 * Encoders that all models of a set share. They are fitted once, to the rows that train in any of
 * the models: in those of each key, the rows that its plain job trains on. A rule of validation or
 * test counts the rows of one key, so the encoders know no row that is held back from a model.
 */
import type { FeatureForm } from "../../engine/plan/taken.ts";
import type { TargetKind } from "../../engine/training.ts";
import type { TablePath } from "../beside.ts";
import { checkData, type DataFault } from "./check.ts";
import type { DataSpec, Encoding, SplitRule } from "./encoding.ts";
import { featuresOf, ruleColumns, targetColumns, windowColumns } from "./features.ts";
import { fitInputs, measureInputs } from "./fit.ts";
import { KeyTables, partitionFile } from "./partitioned-table.ts";
import { rowsOn } from "./split.ts";
import { fitTarget, readTarget } from "./target.ts";
import { ViewedFile } from "./viewed-file.ts";
import { rowSpec, samplesOf, windowed } from "./windows.ts";

export interface ShareInput {
  readonly table: TablePath;
  readonly data: DataSpec;
  readonly targets: TargetKind;
  readonly takes: FeatureForm;
}

/** The encoders, or the faults that only the rows can show. */
export type Shared = Pick<Encoding, "inputs" | "target"> | { readonly faults: readonly DataFault[] };

export function fitShared({ table, data, targets, takes }: ShareInput): Promise<Shared> {
  return ViewedFile.with(table, data, async (file) => {
    const wrong = checkData(file.content, data, targets);
    if (wrong.length > 0) return { faults: wrong };
    const train = await trainingRows(file, data);
    if (train.length === 0) return { faults: [noRows] };
    const rowwise = rowSpec(data);
    const { faults } = await measureInputs(file, rowwise, takes, train);
    if (faults.length > 0) return { faults };
    const inputs = await fitInputs(file, rowwise, takes, train);
    const target = fitTarget(await readTarget(file, data, targets), data, targets, train);
    return { inputs: inputs.map((input) => windowed(input, data)), target };
  });
}

const noRows: DataFault = { pointer: "/data/encoders", message: "find no rows: no model has a row to train on" };

/** The rows that train in any of the models, ascending. */
async function trainingRows(file: ViewedFile, data: DataSpec): Promise<Int32Array> {
  const { table, order } = await partitionFile(file, data, splitColumns(file, data));
  const tables = new KeyTables(table);
  const trains = new Uint8Array(file.rows);
  for (let key = 0; key < table.keys; key++) {
    const { rows, order: own } = await samplesOf(tables.of(key), data);
    const begin = table.offsets[key];
    for (const row of rows.train) trains[order[begin + (own === null ? row : own[row])]] = 1;
  }
  return rowsOn(trains, 1);
}

/** The columns that tell which rows train. */
export function splitColumns(file: ViewedFile, data: DataSpec): string[] {
  const { validation, test, preprocess } = data;
  const isStratified = (rule: SplitRule | null) => rule !== null && "stratify" in rule && rule.stratify === true;
  const drops = preprocess.missing === "drop_row";
  const readsTarget =
    drops || preprocess.missing_target === "drop_row" || isStratified(validation) || isStratified(test);
  return [
    ...ruleColumns(validation),
    ...ruleColumns(test),
    ...windowColumns(data),
    ...(readsTarget ? targetColumns(data) : []),
    ...(drops ? featuresOf(file.content, data) : []),
  ];
}
