/** What a diagnosis says of the findings of detectors. */
import { detectors } from "../engine/detectors/registry.generated.ts";
import type { Diagnosis, Finding } from "./schema/diagnosis.ts";
import type { Change, Job } from "./wire/job.ts";

/**
 * The diagnosis of a job that has been watched for `job.progress.step` steps. The first of the
 * findings led to the `changes`.
 */
export function diagnosisOf({ id, status, spec, progress }: Job, findings: Finding[], changes: Change[]): Diagnosis {
  const states = Object.values(detectors).map(
    (detector) => [detector.type, detectorStatus(detector, spec, findings)] as const,
  );
  return {
    job_id: id,
    status,
    step: progress.step,
    summary: summaryOf(
      findings,
      changes,
      progress.step,
      states.some(([, sight]) => sight === "blind"),
    ),
    findings,
    changes,
    detectors: Object.fromEntries(states),
  };
}

type DetectorStatus = Diagnosis["detectors"][string];

function detectorStatus(
  { type, needs }: { type: string; needs: string },
  spec: Job["spec"],
  findings: Finding[],
): DetectorStatus {
  if (findings.some(({ detector }) => detector === type)) return "found";
  // A job may be older than a detector.
  if ((spec.detectors?.[type]?.policy ?? "ignore") === "ignore") return "ignored";
  const blind =
    needs === "observations" ? spec.observe === null : needs === "evaluations" && spec.data.validation === null;
  return blind ? "blind" : "quiet";
}

function summaryOf(findings: Finding[], changes: Change[], step: number, blind: boolean): string {
  if (findings.length === 0) {
    const more = blind ? ' Some detectors need "observe" or validation.' : "";
    return `Nothing wrong was found in ${step} steps.${more}`;
  }
  // A finding without a change comes first.
  const { message, remedy } = findings[changes.length] ?? findings[findings.length - 1];
  const done = changes.length < findings.length ? remedy : changeSentence(changes[changes.length - 1]);
  const others = findings.length === 1 ? "" : ` (and ${findings.length - 1} more)`;
  return `${message} ${done}${others}`;
}

export function changeSentence({ step, lr_factor: factor }: Change): string {
  return `Training went back to step ${step}, and on from there with ${factor} × the learning rate.`;
}
