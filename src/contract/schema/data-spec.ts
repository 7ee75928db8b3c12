/** The `data` of a spec: a table, the columns to learn from, and the rows to hold back. */
import { z } from "zod";
import { MAX_BESIDE } from "../../data/beside.ts";
import { MAX_DIMENSIONS } from "../../engine/member/shape.ts";
import { MAX_CELL_LENGTH } from "../../data/dataset.ts";
import { declaredTypes } from "../../data/reading.ts";
import { MAX_INLINE_BYTES, type Cell } from "../../data/source.ts";
import { SYNTHETIC_TYPES } from "../../data/synthetic.ts";
import { listOf } from "./list.ts";

export const seed = z.int().min(0).default(0);
const columnName = z.string().min(1).max(1024);
/** How many columns may choose rows. */
const MAX_WHERE = 20;
const share = z.number().gt(0).lt(1, { error: "must be a share of the rows, less than 1, such as 0.2" });

/** More would be hardly any rows each. */
const MAX_FOLDS = 100;
/** How many columns may tell the models of a set apart. */
const MAX_PARTITION = 8;

const inFolds = {
  folds: z.int().min(2).max(MAX_FOLDS).describe("The rows are cut into so many equal shares, at random."),
  fold: z
    .int()
    .min(0)
    .max(MAX_FOLDS)
    .optional()
    .describe("The number of the share that validates, from 0. Without it the job is a set that has a model for each."),
  seed,
};
const isFold = {
  error: "must be less than /data/validation/folds: the first is 0",
  path: ["fold"],
};

/** The rules that only validation has. */
const foldRules = [
  z
    .strictObject({
      ...inFolds,
      stratify: z.boolean().default(false).describe("Each fold gets its share of each class of the target."),
    })
    .refine(({ folds, fold = 0 }) => fold < folds, isFold),
  z
    .strictObject({ ...inFolds, group: columnName.describe("Rows with the same value in this column stay together.") })
    .refine(({ folds, fold = 0 }) => fold < folds, isFold),
] as const;

/** The rules that validation and test have. @param verb what the chosen rows are for */
function splitRules(verb: string) {
  return [
    z.strictObject({
      fraction: share.describe(`Share of rows that ${verb}, drawn at random.`),
      seed,
      stratify: z
        .boolean()
        .default(false)
        .describe(
          "Draws from each class of the target in proportion: size × fraction rows, rounded down, and one more from the classes with the largest remainders.",
        ),
    }),
    z.strictObject({ every: z.int().min(2).describe(`Rows whose number from 0 is a multiple of this ${verb}.`) }),
    z.strictObject({
      column: columnName.describe(`Rows with 1, or with true, in this column ${verb}; all others do not.`),
    }),
    z.strictObject({ tail: share.describe(`Share of rows, at the end of the table, that ${verb}.`) }),
    z.strictObject({
      group: columnName.describe("Rows with the same value in this column stay together."),
      fraction: share.describe(
        `Groups are drawn at random as long as each brings the rows that ${verb} nearer to this share.`,
      ),
      seed,
    }),
  ] as const;
}

const RULES =
  'must be null or one of {"fraction": 0.2}, {"every": 5}, {"column": "…"}, {"tail": 0.2} and {"group": "…", "fraction": 0.2}; "seed" may stand beside "fraction", and "stratify" too where there is no "group"';

const Validation = z
  .union([...splitRules("validate"), ...foldRules], {
    error: `${RULES}; or {"folds": 5} or {"folds": 5, "fold": 0}, beside which "seed" and one of "stratify" and "group" may stand`,
  })
  .nullable()
  .default(null);
const Test = z.union(splitRules("test"), { error: RULES }).nullable().default(null);

const Where = z
  .record(
    columnName,
    z.union([z.string().max(MAX_CELL_LENGTH), z.number(), z.boolean()], {
      error: "must be a number, a string, true or false",
    }),
  )
  .refine((where) => Object.keys(where).length <= MAX_WHERE, { error: `may name ${MAX_WHERE} columns` })
  .nullable()
  .default(null)
  .describe(
    `The job sees only the rows with these values, in up to ${MAX_WHERE} columns; other rules count these rows alone. The types and the classes of columns are those of the whole table. These columns are no default features.`,
  )
  .meta({ examples: [{ store: 12 }] });

const PartitionBy = z
  .union([columnName, listOf(columnName).min(1).max(MAX_PARTITION)], {
    error: `must be the name of a column, or a list of 1 to ${MAX_PARTITION} names`,
  })
  .nullable()
  .default(null)
  .describe(
    "The job is a set of models: one for each value of this column, or of these columns together, trained on the rows that have it. Each model is what the job with `where` in place of this would make. These columns are no default features.",
  )
  .meta({ examples: ["store"] });

const Preprocess = z
  .strictObject({
    numeric: z.enum(["standardize", "min_max", "none"]).default("standardize"),
    categorical: z
      .enum(["one_hot"])
      .default("one_hot")
      .describe("One input for each class. A `column_embedding` takes the classes as whole numbers instead."),
    missing: z
      .enum(["error", "mean", "median", "most_frequent", "drop_row"])
      .default("error")
      .describe(
        "What replaces a missing feature, computed from the training rows. `median`: for an even number of values the mean of the middle two. `most_frequent`: of equally frequent values the smallest, or the first class. `mean` and `median` do not replace a missing class: the inputs of its classes are all 0. `drop_row` leaves out the row, and also rows without a target.",
      ),
    missing_target: z
      .enum(["error", "drop_row"])
      .default("error")
      .describe("`drop_row` leaves out rows without a target, whatever `missing` does about features."),
    missing_indicator: z
      .boolean()
      .default(false)
      .describe(
        "Adds an input that is 1 where the value is missing and 0 elsewhere. It comes after the inputs of each feature that has missing values among the training rows.",
      ),
    tensor: z
      .enum(["auto", "standardize", "unit", "none"])
      .default("auto")
      .describe(
        "What is done with arrays. `standardize`: a mean and a deviation for each index of the first dimension. `unit`: divided by the largest number of the training rows. `auto`: `unit` for bytes, `standardize` for other numbers; whole numbers that the first layer takes, such as those of an embedding, stay as they are.",
      ),
    target: z
      .enum(["auto", "standardize", "none"])
      .default("auto")
      .describe("`auto` standardises the target of a regression under mse, l1, huber and smooth_l1."),
  })
  .prefault({})
  .describe("Statistics come from the training rows only, in double precision.");

const Inline = z
  .strictObject({
    columns: listOf(columnName).min(1).max(10_000),
    // data/source.ts checks each row. zod would take a hundred times as long for a megabyte of
    // cells.
    rows: z
      .custom<Cell[][]>(Array.isArray, {
        error: ({ input }) => (input === undefined ? "is required" : "must be an array of rows"),
      })
      .meta({ type: "array", items: { type: "array", items: { type: ["number", "string", "null"] } } }),
  })
  .describe(
    `The table itself, at most ${MAX_INLINE_BYTES} bytes; null is an empty cell. The table becomes a dataset, and the spec of the job names that.`,
  );

const SyntheticSource = z
  .strictObject({
    type: z
      .enum(SYNTHETIC_TYPES)
      .describe(
        "`two_moons` and `spirals` have the features x0 and x1 and two classes, `sine` has x0 and a number, `linear` x0, x1, x2 and a number; the column to predict is `target`.",
      ),
    rows: z.int().min(2).max(1_000_000),
    noise: z
      .number()
      .min(0)
      .max(1000)
      .default(0)
      .describe("Standard deviation of the noise that is added to the features, or to the target if it is a number."),
    seed,
  })
  .describe("A table computed by a formula.");

const Encoders = z
  .union(
    [
      z.enum(["inherit", "refit", "own", "shared"]),
      z.strictObject({ job: z.string().regex(/^job_[0-9a-z]{26}$/, "must be the id of a job") }),
    ],
    { error: 'must be "inherit", "refit" or {"job": "job_…"}; of a set of models also "own" or "shared"' },
  )
  .overwrite((encoders) => (encoders === "own" ? "refit" : encoders))
  .nullable()
  .default(null)
  .describe(
    "Where the encoders come from that turn columns into numbers. `refit`: they are fitted to the training rows. `inherit`: they are those of the job that this one is forked from, or that `init` names. `{job}`: those of another job. Null: `inherit` for these two, else `refit`. Of a set of models, `refit`, also written `own`, fits encoders to the rows of each model; `shared` fits one for all models, to the rows that train in any of them, and another job may name the set in `{job}`. Inherited and shared encoders determine `features`, `shape` and `preprocess`. The encoding of the target is inherited too if it is the same column.",
  );

const Augment = z
  .strictObject({
    random_horizontal_flip: z
      .strictObject({ p: z.number().gt(0).max(1).default(0.5) })
      .nullable()
      .default(null)
      .describe("Mirrors an image with the probability `p`."),
    random_crop: z
      .strictObject({ padding: z.int().min(1).max(1024) })
      .nullable()
      .default(null)
      .describe("Shifts an image by up to `padding` rows and columns, with zeros where it was not."),
    gaussian_noise: z
      .strictObject({ sigma: z.number().gt(0).max(1000).default(0.1) })
      .nullable()
      .default(null)
      .describe("Adds normal numbers of the deviation `sigma`."),
  })
  .nullable()
  .default(null)
  .describe(
    "Changes samples at random whenever they train, and never when they are evaluated. Zeros and `sigma` are in the numbers that the model gets. What happens follows from the seed, the epoch and the row.",
  );

const Window = z
  .strictObject({
    order: columnName.describe("The column of numbers or dates by which the rows are put in order."),
    series: columnName.nullable().default(null).describe("The column that tells series apart; null: there is one."),
    length: z.int().min(1).max(65_536).describe("Rows of a sample."),
    horizon: z.int().min(1).max(65_536).default(1).describe("How many rows after the last one the target is."),
    stride: z.int().min(1).max(65_536).default(1).describe("Rows from the beginning of a sample to that of the next."),
  })
  .nullable()
  .default(null)
  .describe(
    "How the rows of a table make samples for a forecast: the input is `length` rows of the features, of the shape [length, features], and the target that of the row `horizon` rows after the last of them. The target may be among the features. Samples do not go beyond a series or their split. A `tail` is that of each series.",
  );

const Text = z
  .strictObject({
    context: z.int().min(1).max(65_536).describe("Tokens of a sample."),
    stride: z
      .int()
      .min(1)
      .max(65_536)
      .nullable()
      .default(null)
      .describe("Tokens from the beginning of a sample to that of the next. Null: `context`, so that none overlap."),
    vocabulary: z
      .union([z.enum(["bytes", "characters"]), z.strictObject({ bpe: z.int().min(257).max(16_384) })], {
        error: 'must be "bytes", "characters" or {"bpe": <257 to 16384 tokens>}',
      })
      .describe(
        "What the tokens are: the 256 bytes, the characters of the training text, or `bpe`: so many pieces, which byte-pair encoding finds in the training text.",
      ),
  })
  .nullable()
  .default(null)
  .describe(
    'How texts become tokens: those of a text, or of the column of a table that `features` names. Under the target `"next_token"` they are cut into samples: the input is `context` tokens, and the target the ones that follow each. Samples do not go beyond the end of their split, or of a row. Under another target each row is a sample: the first `context` tokens of its text, and before a shorter one padding, the last of the tokens.',
  );

const datasetId = z.string().regex(/^ds_[0-9a-z]{26}$/, "must be the id of a dataset, as POST /v1/datasets returns it");

/** A dataset, or several side by side. */
export const DatasetOrList = z
  .union([datasetId, listOf(datasetId).min(1).max(MAX_BESIDE)], {
    error: `must be the id of a dataset, as POST /v1/datasets returns it, or a list of 1 to ${MAX_BESIDE} ids`,
  })
  .overwrite((ids) => (ids.length === 1 ? ids[0] : ids));

const sources = ["dataset", "inline", "synthetic"] as const;

export const Data = z
  .strictObject({
    dataset: DatasetOrList.optional()
      .describe(
        "The dataset, or several whose columns stand side by side, row by row. A name that several have is written `<dataset name>.<column>`.",
      )
      .meta({ examples: ["ds_01k3w9d0c8v6m2q4r7t5x1y9za"] }),
    inline: Inline.optional(),
    synthetic: SyntheticSource.optional(),
    target: z
      .union([columnName, listOf(columnName).min(1).max(1000)], {
        error: ({ input }) =>
          input === undefined ? "is required" : "must be the name of a column, or a list of 1 to 1000 names",
      })
      .describe(
        "The column to predict, or a list of columns of numbers. An array of numbers is predicted as a whole. A list of whole numbers in each row gives a class for each position.",
      ),
    features: listOf(columnName)
      .min(1)
      .max(10_000)
      .nullable()
      .default(null)
      .describe(
        "The columns to predict from, or one column of arrays, or with `text` one column of texts. Null: the arrays if there are any, or all except the target, the columns of `exclude`, `validation` and `test`, columns declared `ignore` or `text`, and columns of texts or integers that are nearly all different.",
      ),
    exclude: listOf(columnName).max(10_000).default([]).describe("Columns that are not features."),
    columns: z
      .record(columnName, z.enum(declaredTypes))
      .default({})
      .describe(
        "Types of columns in this job, instead of the types they were read as. Columns of type `text` and `ignore` are not default features.",
      )
      .meta({ examples: [{ zip: "categorical" }] }),
    where: Where,
    partition_by: PartitionBy,
    min_rows: z
      .int()
      .min(1)
      .default(2)
      .describe("Of a set: how many rows a value of `partition_by` must have, or it gets no model."),
    shape: z
      .array(z.int().min(1))
      .min(1)
      .max(MAX_DIMENSIONS)
      .nullable()
      .default(null)
      .describe(
        "The shape that the features of one row have for the model, as [1, 8, 8] for 64 pixels. Null: as they are.",
      )
      .meta({ examples: [[1, 8, 8]] }),
    augment: Augment,
    weight: columnName
      .nullable()
      .default(null)
      .describe(
        "A column that says how much each row counts in the loss and in all metrics, at least 0: the sum of the weighted terms is divided by the sum of the weights. A row of weight 2 counts like two rows.",
      ),
    class_weight: z
      .enum(["balanced"], { error: 'must be "balanced"; weights of your own are /loss/weight' })
      .nullable()
      .default(null)
      .describe(
        "`balanced`: each class of the target has the weight rows / (classes × its rows), of the training rows. It weighs the loss, and no other metric. Under bce and bce_with_logits the classes are 0 and 1.",
      ),
    window: Window,
    text: Text,
    validation: Validation.describe("Which of the rows that `test` leaves validate instead of training."),
    test: Test.describe(
      "Which rows are kept for a test of the final weights at the end. They neither train nor validate.",
    ),
    preprocess: Preprocess,
    encoders: Encoders,
    encoders_sha256: z
      .string()
      .nullable()
      .default(null)
      .describe(
        "Computed: SHA-256 of the inherited encoders; null if they are those that these data give anyway. A spec that has it is refused where the encoders are others.",
      ),
    unseen: z
      .enum(["error", "zeros"])
      .default("error")
      .describe(
        "What is done about a class of a feature that inherited encoders do not know: the spec is refused, or all inputs of the column's classes are 0.",
      ),
  })
  .refine((data) => sources.filter((source) => data[source] !== undefined).length === 1, {
    error: `must have exactly one of ${sources.join(", ")}`,
  })
  .meta({
    id: "DataSpec",
    description:
      "What to learn from: an uploaded `dataset`, or rows within the spec, which become a dataset like any other.",
    oneOf: sources.map((source) => ({ required: [source] })),
  });
