/**
 * The tables that specs are checked against: stored datasets, and the rows within a spec. The table
 * of rows within a spec is made as late as possible.
 */
import { setImmediate } from "node:timers/promises";
import {
  besideFaults,
  sideBySide,
  withTable,
  type BesideFault,
  type DatasetSummary,
  type TablePath,
} from "../../data/beside.ts";
import { DatasetLost, InvalidDataset } from "../../data/dataset.ts";
import type { Measured } from "../../data/encode/encode.ts";
import { measure, measureStored } from "../../data/encode/encoding-cache.ts";
import type { DataSpec, Inherited } from "../../data/encode/encoding.ts";
import type { DatasetFiles, Draft } from "../../data/files/dataset-files.ts";
import type { KeySizes, KeySizesInput } from "../../data/encode/key-sizes.ts";
import type { Shared, ShareInput } from "../../data/encode/shared.ts";
import { outlineOf } from "../../data/encode/outline.ts";
import { runInHelper, thisProcess, type Caller } from "../../data/pool.ts";
import { checkInline, type Source } from "../../data/source.ts";
import type { FeatureForm } from "../../engine/plan/taken.ts";
import type { TargetKind } from "../../engine/training.ts";
import { datasetIds } from "../facts.ts";
import { faulty } from "../errors.ts";
import type { Fault } from "./faults.ts";
import { firstFold } from "./set-shape.ts";
import type { Spec } from "../schema/spec.ts";
import type { Dataset } from "../wire/dataset.ts";

export interface TableContext {
  /** Finds a dataset of the owner. */
  dataset(id: string): Promise<Dataset | null>;
  readonly files: DatasetFiles;
  /** The client that the work is done for. */
  readonly caller?: Caller;
}

/**
 * The table of the rows within a spec. Validation alone does not make it, because a million rows
 * take seconds.
 */
export interface BroughtTable {
  make(): Promise<Draft>;
  discard(): Promise<void>;
}

/** The table of a spec, before anything is checked against it. */
export interface Input {
  readonly content: DatasetSummary;
  measure(data: DataSpec, targets: TargetKind, takes: FeatureForm, inherited: Inherited | null): Promise<Measured>;
  /** The keys of `data.partition_by`, whose columns there are. */
  keys(data: KeySizesInput["data"]): Promise<KeySizes>;
  /** The encoders that the models of a set share. */
  share(data: DataSpec, targets: TargetKind, takes: FeatureForm): Promise<Shared>;
  readonly table: BroughtTable | null;
}

/**
 * Finds the dataset, or reads the rows within the spec; null if there are faults.
 * @param targets the kind of targets that the loss needs; null if the loss is not known
 */
export async function openInput(
  data: Spec["data"],
  targets: TargetKind | null,
  context: TableContext,
  faults: Fault[],
): Promise<Input | null> {
  if (data.synthetic !== undefined) {
    // Without a loss it is not known what kind of target to generate.
    if (targets === null) return null;
    const outline = outlineOf(data.synthetic, firstFold(data), targets);
    if (outline === null) return await draftInput({ synthetic: data.synthetic }, context, faults);
    const table = lazily({ synthetic: data.synthetic }, context);
    const measured: Input["measure"] = async (filled, _targets, takes, inherited) =>
      outline.measure(filled, takes, inherited);
    const unkeyed = () => Promise.reject(new Error("synthetic data have no columns to partition by"));
    return { content: outline.content, measure: measured, keys: unkeyed, share: unkeyed, table };
  }
  if (data.inline !== undefined) return await draftInput({ inline: data.inline }, context, faults);
  return await storedInput(data, context, faults);
}

/** The table of one dataset, or of several side by side. */
async function storedInput(data: Spec["data"], context: TableContext, faults: Fault[]): Promise<Input | null> {
  const ids = datasetIds(data);
  const found = await findTable(ids, "/data/dataset", context);
  faults.push(...found.faults);
  if (found.content === null) return null;
  const { datasets } = found;
  const using = async <T>(read: (table: TablePath) => Promise<T>): Promise<T> => {
    try {
      return await withTable(datasets, (dataset, use) => context.files.use(dataset, use), read);
    } catch (error) {
      const deleted = error instanceof DatasetLost && (await findAll(ids, context)).includes(null);
      throw deleted ? faulty("invalid_spec", [DELETED]) : error;
    }
  };
  return {
    content: found.content,
    measure: (filled, targets, takes, inherited) =>
      using((table) => measureStored(table, filled, targets, takes, context.caller, inherited)),
    keys: (data) => using((table) => keysOf(table, data, context)),
    share: (data, targets, takes) => using((table) => shareIn({ table, data, targets, takes }, context)),
    table: null,
  };
}

/** `content` is null if there are faults. */
interface FoundTable {
  readonly datasets: readonly Dataset[];
  readonly content: DatasetSummary | null;
  readonly faults: readonly Fault[];
}

/** The table that datasets make. @param pointer where the document names them */
export async function findTable(
  ids: readonly string[],
  pointer: string,
  context: Pick<TableContext, "dataset">,
): Promise<FoundTable> {
  const datasets: Dataset[] = [];
  const found: BesideFault[] = [];
  for (const [at, dataset] of (await findAll(ids, context)).entries()) {
    if (dataset === null) found.push({ at, message: "names a dataset that does not exist" });
    else if (ids.indexOf(ids[at]) < at) found.push({ at, message: `names ${ids[at]} a second time` });
    else datasets.push(dataset);
  }
  if (found.length === 0 && datasets.length > 1) found.push(...besideFaults(datasets));
  const faults = found.map(({ at, message }) => ({
    pointer: at === null || ids.length === 1 ? pointer : `${pointer}/${at}`,
    message,
  }));
  if (faults.length > 0) return { datasets, content: null, faults };
  return { datasets, content: datasets.length === 1 ? datasets[0] : sideBySide(datasets), faults };
}

const findAll = (ids: readonly string[], { dataset }: Pick<TableContext, "dataset">) =>
  Promise.all(ids.map((id) => dataset(id)));

const DELETED: Fault = { pointer: "/data/dataset", message: "names a dataset that has just been deleted" };

async function draftInput(source: Source, context: TableContext, faults: Fault[]): Promise<Input | null> {
  // Many rows take some 20 ms here. Reading them took as much, so others are served in between.
  await setImmediate();
  const found = "inline" in source ? checkInline(source.inline) : [];
  faults.push(...found);
  if (found.length > 0) return null;
  try {
    const table = lazily(source, context);
    const { content, columnsPath } = await table.make();
    return {
      content,
      measure: (filled, targets, takes, inherited) =>
        measure(columnsPath, filled, targets, takes, context.caller, inherited),
      keys: (data) => keysOf(columnsPath, data, context),
      share: (data, targets, takes) => shareIn({ table: columnsPath, data, targets, takes }, context),
      table,
    };
  } catch (error) {
    if (!(error instanceof InvalidDataset)) throw error;
    faults.push({ pointer: "/data/inline", message: `is not a table: ${error.message.replace(/\.$/, "")}` });
    return null;
  }
}

function keysOf(
  table: TablePath,
  { columns, where, partition_by }: KeySizesInput["data"],
  { caller = thisProcess }: TableContext,
): Promise<KeySizes> {
  return runInHelper("keySizes", { table, data: { columns, where, partition_by } }, caller);
}

function shareIn(input: ShareInput, { caller = thisProcess }: TableContext): Promise<Shared> {
  return runInHelper("fitShared", input, caller);
}

/** Makes the table when it is first needed. */
function lazily(source: Source, { files, caller }: TableContext): BroughtTable {
  let draft: Promise<Draft> | null = null;
  return {
    make: () => (draft ??= files.draft(source, caller)),
    // A draft that failed has left no files.
    discard: async () => await draft?.then(({ discard }) => discard()).catch(() => undefined),
  };
}
