import { VERDICT } from "../crew/control.ts";
import { remedyFor, whyTooFast } from "../detectors/causes.ts";
import type { DetectorType, Finding, Reading } from "../detectors/detector.ts";
import { short } from "../detectors/short.ts";
import { RunFacts } from "../detectors/facts.ts";
import { detectors } from "../detectors/registry.generated.ts";
import type { TrainingJob } from "../job.ts";
import type { LayerObservation } from "./observer.ts";

/*
 * Watches a run: makes readings of its numbers and gives them to the detectors. Only the leader
 * does this. The other threads learn only the decision whether to go on. Everything that the
 * diagnosis remembers is part of the checkpoint.
 */

/** Part of the checkpoint. */
export interface DiagnosisState {
  /**
   * The loss of the first step, and the loss from which the run is said to have started. Null until
   * known.
   */
  firstLoss: number | null;
  start: number | null;
  /**
   * Whether the run began with weights that had already learned. Its first loss then does not show
   * how much there was to learn.
   */
  learned: boolean;
  /** The losses of the present window. */
  window: { steps: number; sum: number; squares: number };
  /** Losses since the last evaluation. */
  epoch: { steps: number; sum: number };
  /** Of each detector. */
  states: Record<string, unknown>;
  findings: Finding[];
}

/**
 * The steps of a window are a hundredth of the run, within these bounds. With fewer steps a mean is
 * too noisy; with more steps a fault is seen too late.
 */
const LEAST_WINDOW = 5;
const LONGEST_WINDOW = 50;

export function windowSteps(totalSteps: number): number {
  return Math.min(LONGEST_WINDOW, Math.max(LEAST_WINDOW, Math.ceil(totalSteps / 100)));
}

/**
 * The starting loss of a run is the mean of its first window. It is the loss of the first step if
 * that is lower (the run may go wrong at once) and if a batch has at least this many rows, so that
 * one step is reliable. If a batch has all rows, the first loss is exact, and the loss may fall far
 * before the window ends.
 */
const RELIABLE_ROWS = 8;

function startOf({ stepRows, trainRows }: RunFacts, first: number, mean: number): number {
  if (stepRows === trainRows) return first;
  return stepRows < RELIABLE_ROWS ? mean : Math.min(mean, first);
}

const NONE: readonly Finding[] = [];

interface Watching {
  readonly name: string;
  readonly type: DetectorType;
  readonly options: Readonly<Record<string, unknown>>;
}

export class Diagnosis {
  readonly #job: TrainingJob;
  readonly #totalSteps: number;
  #facts: RunFacts | null = null;
  readonly #windowSteps: number;
  readonly #watching: readonly Watching[];

  constructor(job: TrainingJob, totalSteps: number) {
    this.#job = job;
    this.#totalSteps = totalSteps;
    this.#windowSteps = windowSteps(totalSteps);
    this.#watching = Object.entries(job.detectors ?? {})
      .filter(([, { policy }]) => policy !== "ignore")
      .map(([name, options]) => {
        const type = detectors[name];
        return { name, type, options: options };
      });
  }

  /** Made at the first use: many a job has no detectors. */
  get #run(): RunFacts {
    this.#facts ??= new RunFacts(this.#job, this.#totalSteps);
    return this.#facts;
  }

  /** Takes the loss of a step; `observed` if it was looked at. Returns what was found. */
  step(
    state: DiagnosisState,
    step: number,
    loss: number,
    learningRate: number,
    observed: readonly LayerObservation[] | null,
  ): readonly Finding[] {
    if (this.#watching.length === 0) return NONE;
    const { window, epoch } = state;
    state.firstLoss ??= loss;
    window.steps++;
    window.sum += loss;
    window.squares += loss * loss;
    epoch.steps++;
    epoch.sum += loss;
    if (step % this.#windowSteps !== 0 && observed === null) return NONE;
    const readings: Reading[] = [];
    if (step % this.#windowSteps === 0) {
      const mean = window.sum / window.steps;
      const deviation = Math.sqrt(Math.max(0, window.squares / window.steps - mean * mean));
      state.start ??= startOf(this.#run, state.firstLoss, mean);
      state.window = { steps: 0, sum: 0, squares: 0 };
      readings.push({
        kind: "losses",
        step,
        learningRate,
        start: state.start,
        steps: this.#windowSteps,
        mean,
        deviation,
      });
    }
    if (observed !== null) {
      const start = state.start ?? state.firstLoss;
      readings.push({ kind: "observations", step, learningRate, start, loss, layers: observed });
    }
    return readings.flatMap((reading) => this.#read(state, reading));
  }

  /** Takes an evaluation. */
  evaluated(state: DiagnosisState, step: number, validLoss: number, learningRate: number): Finding[] {
    const { steps, sum } = state.epoch;
    if (steps === 0 || !Number.isFinite(validLoss)) return [];
    state.epoch = { steps: 0, sum: 0 };
    const start = state.start ?? state.firstLoss!;
    return this.#read(state, { kind: "evaluations", step, learningRate, start, validLoss, trainLoss: sum / steps });
  }

  #read(state: DiagnosisState, reading: Reading): Finding[] {
    return this.#watching.flatMap(({ name, type, options }) => {
      if (state.findings.some(({ detector }) => detector === name)) return [];
      if (state.learned && type.fromScratch) return [];
      const watched = type.watch(options, state.states[name] ?? null, reading, this.#run);
      state.states[name] = watched.state;
      if (watched.found === null) return [];
      const { seen, cause, data } = watched.found;
      const remedy = sentence(remedyFor(cause, this.#run, reading.learningRate));
      const finding = { detector: name, cause, step: reading.step, message: `${seen}.`, remedy, data };
      state.findings.push(finding);
      return [finding];
    });
  }
}

export function freshDiagnosis(): DiagnosisState {
  return {
    firstLoss: null,
    start: null,
    learned: false,
    window: { steps: 0, sum: 0, squares: 0 },
    epoch: { steps: 0, sum: 0 },
    states: {},
    findings: [],
  };
}

/** Whether and how a finding ends the job: one of VERDICT. */
export function verdictOf(job: TrainingJob, { detector }: Finding): number {
  const policy = job.detectors?.[detector].policy;
  if (policy === "rewind") return VERDICT.fail;
  if (policy !== "stop") return VERDICT.goOn;
  const type = detectors[detector];
  return type.ruinous ? VERDICT.fail : VERDICT.end;
}

interface Logged {
  readonly step: number;
  readonly train_loss: number;
  readonly learning_rate: number;
}

/**
 * The finding for a run whose loss or weights are no longer finite. `step` is the first step at
 * which that showed, `logged` the last log entries before it.
 */
export function explainDivergence(
  job: TrainingJob,
  totalSteps: number,
  logged: readonly Logged[],
  step: number,
): Finding {
  const run = new RunFacts(job, totalSteps);
  const finite = logged.filter((entry) => Number.isFinite(entry.train_loss));
  const cause = whyTooFast(run);
  const lr = logged.at(-1)?.learning_rate ?? run.baseRate;
  return {
    detector: "diverging",
    cause,
    step,
    message: `The loss or a weight was no longer a finite number at step ${step}${course(finite)}.`,
    remedy: sentence(remedyFor(cause, run, lr)),
    data: { step },
  };
}

/** How the loss changed before: from its lowest value to its last. */
function course(finite: readonly Logged[]): string {
  const last = finite.at(-1);
  if (last === undefined) return ", before any loss was logged";
  const lowest = finite.reduce((best, entry) => (entry.train_loss < best.train_loss ? entry : best));
  const rise =
    last.train_loss > lowest.train_loss
      ? `; the loss had risen from ${short(lowest.train_loss)} at step ${lowest.step} to`
      : "; the loss was";
  return `${rise} ${short(last.train_loss)} at step ${last.step}`;
}

const sentence = (clause: string): string => `${clause[0].toUpperCase()}${clause.slice(1)}.`;
