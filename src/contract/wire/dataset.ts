/** Datasets, their columns, and how their bytes were read. */
import { z } from "zod";
import { formats } from "../../data/dataset.ts";
import { dateOrders, decimalMarks, declaredTypes, encodings, separators } from "../../data/reading.ts";
import { MAX_PREVIEW_COLUMNS } from "../../data/preview-limits.ts";
import { dtypes } from "../../data/tensors/dtype.ts";
import { Count, DatasetId, Sha256, Time, list } from "./common.ts";

const facts = {
  missing: Count.describe("Cells without a value."),
  min: z.number().nullable(),
  max: z.number().nullable(),
  mean: z.number().nullable(),
  classes: z
    .array(z.string())
    .nullable()
    .describe("The distinct values in ascending order; null if there are more than 1,000."),
  all_different: z
    .boolean()
    .describe(
      "True if there are more than 20 values, all texts or integers, and more than 95 % of them differ. Such a column is not a default feature.",
    ),
  reason: z
    .object({ line: Count, cell: z.string(), message: z.string() })
    .nullable()
    .describe(
      "The cell that made the column categorical although others are numbers or dates, or that makes a column of numbers doubtful.",
    ),
};

const TableColumn = z
  .object({
    name: z.string(),
    type: z
      .enum(["numeric", "categorical", "date", "boolean"])
      .describe("Numeric if every cell that is not missing is a decimal number."),
    text_bytes: Count.nullable()
      .optional()
      .describe(
        "Bytes of the column's texts in UTF-8, which are kept where no classes are listed; else null. A model can learn from them (`data.text`).",
      ),
    ...facts,
    date_order: z
      .enum(dateOrders)
      .optional()
      .describe("Of dates with the year last: whether the day or the month comes first. Others lack it."),
  })
  .meta({
    id: "TableColumn",
    description:
      "A column of a table; `min`, `max` and `mean` are null if it is categorical or boolean. Those of dates are milliseconds since 1970-01-01T00:00:00Z.",
  });

const TensorColumn = z
  .object({
    name: z.string(),
    type: z.literal("tensor"),
    dtype: z.enum(dtypes).describe("The type of the numbers in the file."),
    shape: z.array(Count).readonly().describe("Of one row: without the first dimension, which counts the rows."),
    ...facts,
  })
  .meta({
    id: "TensorColumn",
    description:
      "A column with an array in each row. `min` and `max` are those of all its numbers. `mean` is null unless the shape is []. `classes` are listed for the shape [], and for whole numbers.",
  });

const TextColumn = z
  .object({
    name: z.string(),
    type: z.literal("text"),
    bytes: Count.describe("Of the text in UTF-8."),
    ...facts,
  })
  .meta({
    id: "TextColumn",
    description: "The only column of a text. `classes` are its characters, in the order of their code points.",
  });

export const Column = z
  .discriminatedUnion("type", [TableColumn, TensorColumn, TextColumn])
  .meta({ id: "Column", description: "A column of a dataset." });
export type Column = z.infer<typeof Column>;

export const Reading = z
  .object({
    version: Count.describe("Version of the reader; 1: before readings were recorded."),
    separator: z.enum(separators),
    decimal: z.enum(decimalMarks),
    decimal_proved: z
      .boolean()
      .describe("Whether it was declared, or a cell proves it. Only then does the other mark group digits by threes."),
    encoding: z.enum(encodings),
    header: z.boolean().describe("Whether the first line names the columns."),
    comment: z.string().nullable().describe("The text at the beginning of lines that are left out."),
    missing_values: z
      .array(z.string())
      .nullable()
      .describe("Cells that count as missing besides empty ones; null: the default."),
    columns: z.record(z.string(), z.enum(declaredTypes)).describe("The types that were declared."),
    date_orders: z
      .record(z.string(), z.enum(dateOrders))
      .optional()
      .describe("Of a model: whether the day or the month comes first in the dates of these columns."),
  })
  .meta({ id: "Reading", description: "How the bytes were read: as declared, or as detected." });

export const Dataset = z
  .object({
    id: DatasetId,
    name: z.string().nullable(),
    format: z.enum(formats).describe("What the bytes are, packed with gzip or not."),
    sha256: Sha256,
    bytes: Count,
    reading: Reading.nullable().describe("Null unless it is a CSV table."),
    columns_sha256: Sha256.nullable().describe(
      "SHA-256 of the columns that this reading made of the bytes; null if an earlier version recorded the dataset.",
    ),
    rows: Count.describe("Of a text: its characters."),
    created_at: Time,
    columns: z.array(Column),
  })
  .meta({ id: "Dataset", description: "An uploaded table, text or file of arrays, known by its content." });
export type Dataset = z.infer<typeof Dataset>;

export const DatasetPreview = z
  .object({
    dataset_id: DatasetId,
    columns: z.array(z.string()).readonly().describe(`The first ${MAX_PREVIEW_COLUMNS} columns.`),
    rows: z
      .array(z.array(z.unknown()).readonly())
      .readonly()
      .describe(
        "A cell for each of the columns: a number, a text, true or false, a time in UTC, or nested arrays; null where it is missing, and where it is not kept: of texts beyond what a dataset keeps, and of arrays of more than 20,000 numbers. Texts that are no classes are cut after 100 characters. Of a text: one row with the beginning of it.",
      ),
  })
  .meta({ id: "DatasetPreview", description: "The first rows of a dataset, as it keeps them." });
export type DatasetPreview = z.infer<typeof DatasetPreview>;

export const DatasetList = list("Dataset", Dataset);
