/** The pooled model of a set, with what is needed to predict by it. */
import type { ModelDescription } from "../contract/wire/model.ts";
import { Damaged } from "./errors.ts";
import type { File } from "./job-results.ts";
import type { Store } from "./store.ts";

/**
 * Null if the set has none, is gone, or has one that kept no such weights.
 * @throws Damaged if it is lost
 */
export async function pooledModel(
  { jobs, sets }: Pick<Store, "jobs" | "sets">,
  owner: string,
  id: string,
  which: "final" | "best",
): Promise<{ description: ModelDescription; file: File } | null> {
  const description = await sets.pooled(owner, id);
  const file = description && (await jobs.model(owner, id, which));
  if (description !== null && file !== null) return { description, file };
  // The set may have been deleted meanwhile.
  if (which === "best" || (await sets.pooled(owner, id)) === null) return null;
  throw new Damaged("model");
}
