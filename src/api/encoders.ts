/** The encoders of a job, for another that takes them over. */
import type { EncoderSource } from "../contract/resolve/encoders.ts";
import { readTable } from "./datasets.ts";
import type { Services } from "./services.ts";

export async function encoderSource(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  job: string,
): Promise<EncoderSource | null> {
  const trained = await store.jobs.trainedOn(owner, job);
  if (trained === null) return null;
  const { datasets, ...source } = trained;
  return {
    ...source,
    read: (read) => readTable({ store, files }, owner, datasets, read),
  };
}
