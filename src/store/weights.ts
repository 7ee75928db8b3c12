/** Records of uploaded weights. */
import type { Weights } from "../contract/wire/weights.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import { toTime } from "./record.ts";
import { Uploaded } from "./uploaded.ts";

export class UploadedWeights extends Uploaded<Weights> {
  constructor(database: Database) {
    super(
      database,
      { list: keys.weightsList, record: keys.weights, jobs: keys.weightsJobs },
      (text) => {
        const { counted_bytes: _, created_at, ...weights } = JSON.parse(text);
        return { ...weights, created_at: toTime(created_at) };
      },
      ({ sha256 }) => ({ known: sha256, names: [`${sha256}.weights`] }),
    );
  }
}
