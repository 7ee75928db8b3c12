/**
 * The tables that specs are checked against: datasets that are stored, and rows that a spec brings.
 * A table that a spec brings is made as late as possible.
 */
import { DatasetLost, InvalidDataset } from "../../data/dataset.ts";
import type { Measured } from "../../data/encode/encode.ts";
import { measure } from "../../data/encode/encoding-cache.ts";
import type { DataSpec } from "../../data/encode/encoding.ts";
import type { TableSummary } from "../../data/encode/features.ts";
import type { DatasetFiles, Draft } from "../../data/files/dataset-files.ts";
import { outlineOf } from "../../data/encode/outline.ts";
import type { Asker } from "../../data/pool.ts";
import { checkInline, type Source } from "../../data/source.ts";
import type { TargetKind } from "../../engine/training.ts";
import { faulty } from "../errors.ts";
import type { Fault } from "./faults.ts";
import type { Spec } from "../schema/spec.ts";
import type { Dataset } from "../wire/dataset.ts";

export interface TableContext {
  /** Looks a dataset of the owner up. */
  dataset(id: string): Promise<Dataset | null>;
  readonly files: DatasetFiles;
  /** For whom the tables are looked at. */
  readonly asker?: Asker;
}

/** Validation alone makes no table: a million rows take seconds. */
export interface BroughtTable {
  make(): Promise<Draft>;
  discard(): Promise<void>;
}

/** What there is to learn from, before anything is checked against it. */
export interface Input {
  readonly content: TableSummary;
  measure(data: DataSpec, targets: TargetKind): Promise<Measured>;
  readonly table: BroughtTable | null;
}

/**
 * Looks the dataset up, or at what the spec brings; null if something is wrong with it.
 * @param targets what the loss makes of the target; null if the loss is not known
 */
export async function openInput(
  data: Spec["data"],
  targets: TargetKind | null,
  context: TableContext,
  faults: Fault[],
): Promise<Input | null> {
  if (data.synthetic !== undefined) {
    // Without a loss nobody can tell what the numbers are to be.
    if (targets === null) return null;
    const outline = outlineOf(data.synthetic, data, targets);
    if (outline === null) return await draftInput({ synthetic: data.synthetic }, context, faults);
    const table = lazily({ synthetic: data.synthetic }, context);
    return { content: outline.content, measure: async (filled) => ({ sizes: outline.sizes(filled) }), table };
  }
  if (data.inline !== undefined) return await draftInput({ inline: data.inline }, context, faults);
  const dataset = await context.dataset(data.dataset!);
  if (dataset === null) {
    faults.push({ pointer: "/data/dataset", message: "names a dataset that does not exist" });
    return null;
  }
  const measured = async (filled: DataSpec, targets: TargetKind) => {
    try {
      return await context.files.use(dataset, (path) => measure(path, filled, targets, context.asker));
    } catch (error) {
      const deleted = error instanceof DatasetLost && (await context.dataset(dataset.id)) === null;
      throw deleted ? faulty("invalid_spec", [DELETED]) : error;
    }
  };
  return { content: dataset, measure: measured, table: null };
}

const DELETED: Fault = { pointer: "/data/dataset", message: "names a dataset that was deleted just now" };

async function draftInput(source: Source, context: TableContext, faults: Fault[]): Promise<Input | null> {
  const found = "inline" in source ? checkInline(source.inline) : [];
  faults.push(...found);
  if (found.length > 0) return null;
  try {
    const table = lazily(source, context);
    const { content, columnsPath } = await table.make();
    return { content, measure: (filled, targets) => measure(columnsPath, filled, targets, context.asker), table };
  } catch (error) {
    if (!(error instanceof InvalidDataset)) throw error;
    faults.push({ pointer: "/data/inline", message: `is no table: ${error.message.replace(/\.$/, "")}` });
    return null;
  }
}

/** Makes the table when it is first asked for. */
function lazily(source: Source, { files, asker }: TableContext): BroughtTable {
  let draft: Promise<Draft> | null = null;
  return {
    make: () => (draft ??= files.draft(source, asker)),
    // A draft that failed has left nothing behind.
    discard: async () => await draft?.then(({ discard }) => discard()).catch(() => undefined),
  };
}
