/** The model of a job that has succeeded. */
import { Problem } from "../contract/errors.ts";
import type { Job } from "../contract/wire/job.ts";
import type { Which } from "../contract/wire/prediction.ts";
import { Damaged } from "../store/errors.ts";
import type { Store } from "../store/store.ts";
import { notFound } from "./plugins/problems.ts";
import { noSuchJob } from "./routes/jobs.ts";

/** What is asked of a set that only a job with one model has. */
export function notOneModel(): Problem {
  return notFound("This job is a set of models: read /models of it. The plain job of one model has this.");
}

/** A job of one model. @throws Problem unless it has succeeded */
export async function succeeded(store: Store, owner: string, id: string): Promise<Job> {
  const found = await succeededAny(store, owner, id);
  if (found.models !== null) throw notOneModel();
  return found;
}

/** A job of one model, or a set. @throws Problem unless it has succeeded */
export async function succeededAny(store: Store, owner: string, id: string): Promise<Job> {
  const found = await store.jobs.get(owner, id);
  if (found === null) throw noSuchJob();
  assertSucceeded(found.status);
  return found;
}

/** @throws Problem */
export function assertSucceeded(status: Job["status"]): void {
  if (status === "succeeded") return;
  const detail = `There is a model once the job has succeeded; it is ${status}.`;
  throw new Problem("wrong_status", detail, { current_status: status });
}

export function noBest(): Problem {
  return notFound("This job kept no best weights; that takes checkpoint.keep_best in its spec.");
}

/** @throws Problem if there is no such model, Damaged if it is lost */
export async function servedModel(
  store: Store,
  owner: string,
  id: string,
  which: Which,
): Promise<{ job: Job; file: { bytes: Buffer; sha256: string } }> {
  const job = await succeeded(store, owner, id);
  if (which === "best" && (!job.spec.checkpoint.keep_best || job.result!.best === null)) {
    throw noBest();
  }
  const file = await store.jobs.model(owner, id, which);
  if (file !== null) return { job, file };
  // The job may have been deleted meanwhile.
  await succeeded(store, owner, id);
  throw new Damaged("model");
}
