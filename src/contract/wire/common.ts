/**
 * What the resources of the wire share: ids, times, counts, pages of lists.
 *
 * This folder describes what goes over the wire as zod schemas, one file per resource. The types of
 * the store and of the API, and the components of openapi.yaml, come from them. A schema and its
 * type share one name.
 *
 * Responses are described here but not checked when they are sent, because a record that an earlier
 * version wrote must stay readable. The tests check every response that they see.
 */
import { z } from "zod";

/** Crockford's base32 in lower case; the first character of a ULID is at most 7. */
const ulid = "[0-7][0-9a-hjkmnp-tv-z]{25}";
const example = "01k3w9d0c8v6m2q4r7t5x1y9za";

export const JobId = z
  .string()
  .regex(new RegExp(`^job_${ulid}$`), "must be a job's id")
  .describe("A job's id.")
  .meta({ examples: [`job_${example}`] });
export const DatasetId = z
  .string()
  .regex(new RegExp(`^ds_${ulid}$`), "must be a dataset's id")
  .describe("A dataset's id.")
  .meta({ examples: [`ds_${example}`] });

export const WeightsId = z
  .string()
  .regex(new RegExp(`^w_${ulid}$`), "must be the id of weights, as POST /v1/weights returns it")
  .describe("The id of uploaded weights.")
  .meta({ examples: [`w_${example}`] });

export const PredictionId = z
  .string()
  .regex(new RegExp(`^pred_${ulid}$`), "must be a prediction's id")
  .describe("The id of a prediction over a dataset.")
  .meta({ examples: [`pred_${example}`] });

/** The id of a shard of a model set, among the service's own processes. */
export const ShardId = z.string().regex(new RegExp(`^job_${ulid}\\.(?:0|[1-9][0-9]{0,6})$`), "must be a shard's id");

/** The id of a file of a model set: of a shard, or of the list of its models. */
export const SetFileId = z
  .string()
  .regex(new RegExp(`^job_${ulid}\\.(?:index|0|[1-9][0-9]{0,6})$`), "must be the id of a set's file");

export const StudyId = z
  .string()
  .regex(new RegExp(`^study_${ulid}$`), "must be a study's id")
  .describe("A study's id.")
  .meta({ examples: [`study_${example}`] });

export const Time = z.iso
  .datetime({ precision: 3 })
  .describe("RFC 3339, UTC, with milliseconds.")
  .meta({ examples: ["2026-11-22T09:30:00.000Z"] });
export const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe("SHA-256 in hexadecimal.")
  .meta({ examples: ["2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"] });
export const Count = z.int().min(0);
export const Run = Count.describe("Number of the job's attempt on a worker, from 1; 0 before the first.");
export const Metrics = z
  .record(z.string(), z.number().nullable())
  .describe("Metric values by name; null where the value is not finite.")
  .meta({ examples: [{ valid_loss: 0.0812, valid_accuracy: 0.975 }] });

/** A page of a list. */
export interface Page<T> {
  data: T[];
  has_more: boolean;
  next: string | null;
}

/** The envelope of a list of `item`, as the component `<name>List`. */
export function list<T extends z.ZodType>(name: string, item: T) {
  return z
    .object({
      data: z.array(item),
      has_more: z.boolean(),
      next: z.string().nullable().describe("The value of `after` for the next page."),
    })
    .meta({ id: `${name}List`, description: `A page of a list.` });
}
