/**
 * More trials for a study that has ended. They follow from the trials before them, so the study
 * goes on as if it had been asked for so many from the start.
 */
import { faulty, Problem } from "../contract/errors.ts";
import { check } from "../contract/resolve/faults.ts";
import { parametersOf, studyOf, trialsOf } from "../contract/resolve/study.ts";
import { Extension, type Study } from "../contract/wire/study.ts";
import { trialTextOf } from "../studies/plan.ts";
import type { StudyRecord } from "../store/studies.ts";
import { notFound } from "./plugins/problems.ts";
import type { Services } from "./services.ts";

export const noSuchStudy = () => notFound("There is no such study.");

/** @throws Problem if it cannot have so many */
export async function extendStudy(
  { store: { studies } }: Pick<Services, "store">,
  owner: string,
  id: string,
  body: unknown,
): Promise<Study> {
  for (;;) {
    const record = await studies.record(owner, id);
    if (record === null) throw noSuchStudy();
    const { value: asked, faults } = check(Extension, body);
    if (faults !== null) throw faulty("invalid_spec", faults);
    const outcome =
      asked.total === record.settings.trials
        ? "extended"
        : await studies.extend(owner, id, record.settings, asked.total, trialTextIn(record, asked.total));
    if (outcome === "dataset_missing") throw refused("cannot be more: a dataset of the study was deleted");
    // What was read may have changed since.
    if (outcome === "stale") continue;
    const study = await studies.get(owner, id);
    if (study === null) throw noSuchStudy();
    return study;
  }
}

/** The most bytes of a trial's text (src/studies/plan.ts). */
function trialTextIn({ settings, status, prefix }: StudyRecord, total: number): number {
  if (status !== "succeeded" && status !== "failed") {
    const detail = `Only a study that has succeeded or failed can have more trials; this one is ${status}.`;
    throw new Problem("wrong_status", detail, { current_status: status });
  }
  if (total < settings.trials) throw refused(`must be at least ${settings.trials}, the trials that the study has`);
  if (prefix !== null)
    throw refused("cannot be more: the study's time was over, and the trials that ran then were cancelled");
  const parameters = parametersOf(settings.space, []);
  const study = studyOf(settings, parameters, settings.epochs, []);
  const faults: { pointer: string; message: string }[] = [];
  trialsOf({ ...settings, trials: total }, study, faults);
  if (faults.length > 0) throw refused(faults[0].message);
  return trialTextOf(study);
}

function refused(message: string): Problem {
  return faulty("invalid_spec", [{ pointer: "/total", message }]);
}
