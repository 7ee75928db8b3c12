/** Files of results whose record is gone. */
import type { Services } from "./services.ts";

/**
 * Removes the results of predictions and model sets that no record refers to, unless they are
 * young: a worker keeps a file before it records that. Records go without their files when they are
 * old (src/queue/reconciler.ts).
 */
export async function sweepResults({ store, files }: Pick<Services, "store" | "files">): Promise<void> {
  const unknown = await store.withoutResult(await files.results.list());
  await files.results.removeAbandoned(unknown);
  // This process may run for months, and workers that share the directory may die often.
  await files.results.removeAbandonedParts();
}
