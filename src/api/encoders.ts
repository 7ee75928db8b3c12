/** The encoders of a job, for another that takes them over. */
import type { EncoderSource } from "../contract/resolve/encoders.ts";
import type { Services } from "./services.ts";

export async function encoderSource(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  job: string,
): Promise<EncoderSource | null> {
  const trained = await store.jobs.trainedOn(owner, job);
  if (trained === null) return null;
  const { dataset: id, ...source } = trained;
  return {
    ...source,
    read: async (read) => {
      const dataset = id && (await store.datasets.get(owner, id));
      return dataset ? await files.use(dataset, read) : null;
    },
  };
}
