/** What a trained model is asked, and what it answers. */
import { z } from "zod";
import { Sha256 } from "./common.ts";

/** Rows of one request. */
export const MAX_ROWS = 10_000;
export const MAX_BODY_BYTES = 16 * 2 ** 20;

/** Tokens that are added to a prompt. */
const MAX_TOKENS = 4096;
const SOURCES = ["rows", "inputs", "prompt"] as const;

export const Which = z
  .enum(["final", "best"])
  .default("final")
  .describe("The last weights, or those of the best evaluation, which needs `checkpoint.keep_best`.");
export type Which = z.infer<typeof Which>;

export const Fold = z
  .int()
  .min(0)
  .default(0)
  .describe("Of a set: the number of the fold, counted from 0, whose models predict.");

export const SeedNumber = z
  .int()
  .min(0)
  .default(0)
  .describe("Of a set: the number of the seed, counted from 0, whose models predict.");

export const PredictionRequest = z
  .strictObject({
    rows: z
      .array(z.record(z.string(), z.unknown()))
      .min(1)
      .max(MAX_ROWS)
      .optional()
      .describe(
        "Rows of a table. Each has a cell for every column that the model predicts from; other columns do not count. A number, a text, true or false, or an array; null is a missing cell. A text is read as a cell of the dataset was.",
      )
      .meta({ examples: [[{ age: 41, colour: "red" }]] }),
    inputs: z
      .array(z.unknown())
      .min(1)
      .max(MAX_ROWS)
      .optional()
      .describe(
        "Samples as nested arrays of the numbers that the data have, in the shape of the model's input. Dimensions of 1 may be left out, and so may all nesting within a sample.",
      )
      .meta({ type: "array", items: {} }),
    prompt: z
      .string()
      .min(1)
      .optional()
      .describe(
        "The beginning of a text, for a model of language (`data.text`). The last tokens count, as many as its context has.",
      ),
    max_tokens: z.int().min(1).max(MAX_TOKENS).default(100).describe("How many tokens are added to a prompt."),
    temperature: z
      .number()
      .min(0)
      .max(100)
      .default(1)
      .describe("The outputs are divided by it before a token is drawn; 0 takes the likeliest token."),
    top_k: z
      .int()
      .min(1)
      .nullable()
      .default(null)
      .describe("Draws from so many of the likeliest tokens; null: from all."),
    seed: z
      .int()
      .min(0)
      .default(0)
      .describe(
        "With a prompt: the same seed gives the same text. Of a set: the number of the seed, counted from 0, whose models predict.",
      ),
    fold: Fold,
    which: Which,
  })
  .refine((asked) => SOURCES.filter((source) => asked[source] !== undefined).length === 1, {
    error: `must have exactly one of ${SOURCES.join(", ")}`,
  })
  .meta({ id: "PredictionRequest", description: "What to predict from." });

export type PredictionRequest = z.infer<typeof PredictionRequest>;

const Probability = z.number().describe("A number that is not finite is null.").nullable();
const Probabilities = z
  .record(z.string(), Probability)
  .nullable()
  .describe("By class. Null under a loss whose outputs tell no probabilities.");

const nested = z
  .unknown()
  .meta({ oneOf: [{ type: "number" }, { type: "null" }, { type: "array", items: {} }] })
  .describe("In the units of the data. An array if each row of the target is one.");

export const Prediction = z
  .union([
    z.strictObject({ class: z.string(), probabilities: Probabilities }),
    z.strictObject({ class: z.array(z.string()), probabilities: z.array(Probabilities).nullable() }),
    z.strictObject({ value: nested }),
    z.strictObject({ values: z.record(z.string(), z.number().nullable()) }),
  ])
  .meta({
    id: "Prediction",
    description:
      "A class with its probabilities, or a list of classes where each position has one; a value; or a value for each column of the target. A target of yes and no has its words as classes, or 0 and 1; several of them have the probability of 1 as their values.",
  });

export const Predictions = z
  .object({
    weights_sha256: Sha256.describe("Of the weights that predicted; of a set, that of its result."),
    predictions: z.array(Prediction).describe("In the order of the rows."),
  })
  .meta({ id: "Predictions", description: "What a model predicts." });
export type Predictions = z.infer<typeof Predictions>;

export const GeneratedText = z
  .object({
    weights_sha256: Sha256.describe("Of the weights that predicted."),
    text: z.string().describe("What follows the prompt. Bytes that are no characters are U+FFFD."),
    tokens: z.array(z.int()).describe("The tokens of this text."),
  })
  .meta({ id: "GeneratedText", description: "What a model of language adds to a prompt." });
export type GeneratedText = z.infer<typeof GeneratedText>;
