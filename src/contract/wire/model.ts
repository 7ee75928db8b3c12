/** What a client needs to know to use the weights of a trained model. */
import { z } from "zod";
import { dateParts } from "../../data/encode/encoding.ts";
import { Count, JobId, Metrics, Sha256 } from "./common.ts";
import { Reading } from "./dataset.ts";
import { Job } from "./job.ts";

const numbers = {
  scale: z
    .enum(["standardize", "min_max", "none"])
    .describe("One input: (x − mean) / std, or (x − min) / (max − min), or x. A range of 0 counts as 1."),
  mean: z.number(),
  std: z.number(),
  min: z.number(),
  max: z.number(),
  fill: z.number().nullable().describe("Replaces a missing cell; null if no cell may be missing."),
};

const Encoder = z
  .discriminatedUnion("type", [
    z.object({ column: z.string(), type: z.literal("numeric"), ...numbers }),
    z.object({
      column: z.string(),
      type: z.literal("date"),
      part: z
        .enum(dateParts)
        .describe(
          "The part of the date, in UTC, that is x. Months count from 1, days of the week from 0 for Monday. `elapsed_days` count from 1970-01-01, with their fraction.",
        ),
      ...numbers,
    }),
    z.object({
      column: z.string(),
      type: z.literal("categorical"),
      classes: z
        .array(z.string())
        .describe(
          "One input for each class: 1 for the class of the cell, 0 for the others. In a named input of type int32 one number: the place of the class, counted from 1; 0 if the cell has none of them.",
        ),
      fill: z
        .string()
        .nullable()
        .describe(
          "The class that a missing cell counts as; null if it counts as none. Models of earlier versions of the service lack this.",
        ),
    }),
    z.object({
      column: z.string(),
      type: z.literal("missing_indicator").describe("One input: 1 if the cell is missing, else 0."),
    }),
    z.object({
      column: z.string(),
      type: z.literal("tensor"),
      scale: z.enum(["standardize", "unit", "none"]).describe("The whole array x: (x − mean) / std, or x / max, or x."),
      mean: z
        .array(z.number())
        .readonly()
        .nullable()
        .describe("For each index of the first dimension of `input.shape`."),
      std: z.array(z.number()).readonly().nullable(),
      max: z.number().nullable(),
    }),
    z.object({
      column: z.string(),
      type: z.literal("text").describe("The tokens of a text."),
      padding: Count.optional().describe(
        "The token before shorter texts: the last of those that the input may hold. Models of language lack it.",
      ),
      vocabulary: z.discriminatedUnion("type", [
        z.object({ type: z.literal("bytes").describe("The token of a byte is its value.") }),
        z.object({
          type: z.literal("characters"),
          characters: z.string().describe("Each character's place is its token."),
        }),
        z.object({
          type: z.literal("bpe"),
          merges: z
            .array(z.array(Count).length(2).readonly())
            .readonly()
            .describe("Bytes are the tokens 0 to 255. Pair i becomes the token 256 + i."),
        }),
      ]),
    }),
  ])
  .meta({
    id: "Encoder",
    description: "How a column becomes inputs of the model. The statistics are those of the training rows.",
  });

const Categories = z
  .union([Count, z.array(Count).readonly()])
  .nullable()
  .optional()
  .describe("Of whole numbers: how many there may be, counted from 0, or how many in each place.");

export const ModelDescription = z
  .object({
    job_id: JobId,
    weights_sha256: Sha256,
    spec_sha256: Sha256,
    arithmetic_version: Count,
    arithmetic_changes: Job.shape.arithmetic_changes,
    layers: z.array(
      z.object({
        name: z.string(),
        type: z.string(),
        parameters: z.record(z.string(), z.array(Count)).meta({ examples: [{ weight: [64, 64], bias: [64] }] }),
      }),
    ),
    input: z
      .object({
        shape: z.array(Count).readonly(),
        type: z.enum(["float32", "int32"]),
        categories: Categories,
      })
      .optional()
      .describe("What the model takes for one row. Models of earlier versions of the service lack this."),
    inputs: z.array(Encoder).describe("The encoders of the features, in the order of the model's inputs."),
    named_inputs: z
      .array(
        z.object({
          name: z.string().describe("As `inputs` of layers name it."),
          shape: z.array(Count).readonly(),
          type: z.enum(["float32", "int32"]),
          categories: Categories,
          encoders: Count.describe("How many of `inputs` are its own. They stand in the order of the named inputs."),
        }),
      )
      .optional()
      .describe("What the model takes for one row; `input` is the first. Models of earlier versions lack this."),
    target: z.object({
      column: z.union([z.string(), z.array(z.string()).readonly()]),
      task: z.enum(["classification", "regression"]),
      classes: z.array(z.string()).nullable().describe("The classes in the order of the model's outputs."),
      words: z
        .array(z.string())
        .length(2)
        .readonly()
        .optional()
        .describe("The words for no and for yes, of a column of booleans whose probability is predicted."),
      mean: z
        .union([z.number(), z.array(z.number()).readonly()])
        .nullable()
        .describe("Prediction × std + mean is in the units of the data. Several columns have each its own."),
      std: z.union([z.number(), z.array(z.number()).readonly()]).nullable(),
    }),
    reading: Reading.optional().describe(
      "How the cells of the table were read, and how texts in new rows are. Models of earlier versions of the service lack this.",
    ),
    metrics: Metrics,
  })
  .meta({ id: "ModelDescription", description: "All that is needed to use the weights of a trained model." });
export type ModelDescription = z.infer<typeof ModelDescription>;
