/** Turns what a crew tells while it trains into events, metrics, checkpoints and progress. */
import type { CrewHandlers } from "../engine/crew/crew.ts";
import type { Evaluation } from "../engine/step/evaluation.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import { watchedMetrics, type WatchedMetric } from "../contract/schema/watched.ts";
import { serialized, type Checkpoints, type StateFile } from "./checkpoints.ts";
import type { RunProgress } from "./progress.ts";
import type { Reporter } from "./reporter.ts";
import type { RunTrace } from "./trace.ts";

/**
 * A job that is evaluated more often tells only every so many evaluations as an event and a span.
 * Its metrics have all of them.
 */
const MAX_EVALUATED_EVENTS = 1000;

interface Receivers {
  readonly reporter: Reporter;
  readonly progress: RunProgress;
  readonly trace: RunTrace;
  readonly checkpoints: Checkpoints;
  /** Gets the last state, which is committed together with the end of the job. */
  readonly final: (state: Promise<StateFile>) => void;
}

export function crewHandlers(
  spec: ResolvedSpec,
  { reporter, progress, trace, checkpoints, final }: Receivers,
): CrewHandlers {
  const { training } = spec;
  const watched = new Set(watchedMetrics(spec));
  const evaluations = training.epochs / training.eval_every_epochs;
  const epochsPerEvent = training.eval_every_epochs * Math.ceil(evaluations / MAX_EVALUATED_EVENTS);
  return {
    log: (entries) => {
      // Without clipping there is no norm to tell.
      reporter.metrics(entries.map(({ grad_norm, ...row }) => (grad_norm === null ? row : { ...row, grad_norm })));
      progress.logged(entries[entries.length - 1]);
    },
    evaluated: (evaluation, seconds) => {
      const { step, epoch, metrics, improved } = evaluation;
      reporter.metrics([{ step, ...metrics }]);
      if (epoch % epochsPerEvent === 0) {
        reporter.event("evaluated", `Evaluated after epoch ${epoch}.`, step, { epoch, metrics, improved });
        trace.did("evaluate", Date.now() - seconds * 1000, step);
      }
      progress.evaluated(evaluation);
      reportUndefined(evaluation, watched, reporter);
    },
    observed: (step, metrics) => reporter.metrics([{ step, ...metrics }]),
    diagnosed: (finding) => {
      const { step, message, remedy, ...data } = finding;
      reporter.event("diagnosed", `${message} ${remedy}`, step, { ...data, remedy });
      progress.diagnosed(finding);
    },
    snapshot: (snapshot) => {
      if (!snapshot.kinds.includes("final")) return checkpoints.submit(snapshot);
      const state = serialized(snapshot);
      // It is awaited at the end, which a dropped run does not reach.
      state.catch(() => undefined);
      final(state);
    },
  };
}

/** Tells once for each metric that decides something that it cannot decide. */
function reportUndefined({ step, epoch, metrics }: Evaluation, watched: Set<WatchedMetric>, reporter: Reporter): void {
  for (const each of watched) {
    if (Number.isFinite(metrics[each.metric])) continue;
    watched.delete(each);
    const is = each.by === "pruning" ? "worse than every threshold" : "no improvement";
    const message = `After epoch ${epoch} ${each.metric} is not a finite number. For ${each.by} that is ${is}, now and whenever it is so again.`;
    reporter.event("metric_undefined", message, step, { metric: each.metric, epoch });
  }
}
