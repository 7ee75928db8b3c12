import { VERDICT, WORD } from "../crew/control.ts";
import { CrewThread } from "../crew/crew-thread.ts";
import type { TrainingJob } from "../job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { Plan } from "../plan/model.ts";
import { freshProgress, isWeight, restoreWeights, stateEntries, type Progress } from "../state/state.ts";
import { LANES } from "./face.ts";
import type { StepParts } from "../step/step.ts";
import { Recorder, type PackWork, type Trained } from "./recorder.ts";

/*
 * One job of a pack.
 *
 * All that a job does between two steps (it logs, evaluates, stops early, keeps the best weights,
 * writes its last state) is done by the same code as if it were trained alone: by a thread of a
 * crew, here a crew of one. It works on the memory of one model, which lies below the pack's. The
 * jobs of a pack use that memory in turn: what belongs to a job is copied from its lane before the
 * thread reads it, and back after it was changed.
 */
export class Lane {
  readonly job: TrainingJob;
  readonly #kernels: Kernels;
  readonly #number: number;
  readonly #words: Int32Array;
  readonly #recorder: Recorder;
  readonly #thread: CrewThread;
  readonly #progress: Progress = freshProgress();
  readonly #stretches: readonly Stretch[];

  /** Draws the weights. `parts`: what the lane's thread shares with those of other lanes. */
  constructor(
    kernels: Kernels,
    plan: Plan,
    job: TrainingJob,
    number: number,
    { work, parts }: { readonly work: PackWork; readonly parts: StepParts },
  ) {
    this.job = job;
    this.#kernels = kernels;
    this.#number = number;
    this.#words = parts.words;
    this.#stretches = stretchesOf(plan);
    this.#recorder = new Recorder(job, work);
    const { state, stateBytes } = plan.addresses;
    kernels.u8.fill(0, state, state + stateBytes);
    this.#thread = crewOfOne(kernels, plan, job, this.#progress, this.#recorder, { work, parts });
    this.#thread.begin();
    this.#put();
  }

  /** Null as long as the job goes on. */
  get trained(): Trained | null {
    return this.#recorder.trained;
  }

  /** Whether nothing but the loss is wanted of the evaluation after step `step`. */
  wantsLoss(step: number): boolean {
    return this.trained === null && this.#thread.wantsLoss(step);
  }

  /** Does what follows a step. `shared`: the progress of the pack. `validLoss`: if it is wanted. */
  follow(loss: number, lr: number, shared: Progress, validLoss: number | null): void {
    const { step: own } = this.#thread;
    own.finish(this.#progress, loss, lr);
    const looks = this.#looks();
    if (looks) this.#take(shared);
    const outcome = this.#thread.boundary(validLoss);
    if (outcome !== null) {
      this.#thread.end(outcome);
      this.#words[WORD.verdict] = VERDICT.goOn;
    } else if (looks && this.job.keepBest) this.#put();
  }

  /** Whether somebody looks at the weights before the next step. */
  #looks(): boolean {
    const { stepsPerEpoch, totalSteps } = this.#thread.step;
    const { step } = this.#progress;
    const isEvaluated = step % stepsPerEpoch === 0 && this.job.data.validRows.length > 0;
    return isEvaluated || step === totalSteps || this.#words[WORD.verdict] !== VERDICT.goOn;
  }

  /** Copies what is this job's in the memory of one model to its lane. */
  #put(): void {
    for (const { address, count } of this.#stretches)
      this.#kernels.pack_insert(address * LANES + this.#number * 4, address, count);
  }

  #take({ scalars, groups }: Progress): void {
    for (const { address, count } of this.#stretches)
      this.#kernels.pack_extract(address, address * LANES + this.#number * 4, count);
    Object.assign(this.#progress.scalars, scalars);
    for (let i = 0; i < groups.length; i++) Object.assign(this.#progress.groups[i].scalars, groups[i].scalars);
  }
}

/** Numbers of 32 bits that are a job's own, in the memory of one model. */
interface Stretch {
  readonly address: number;
  readonly count: number;
}

/** The state, and the constants of the losses. */
function stretchesOf({ outputs, addresses }: Plan): Stretch[] {
  const { state, stateBytes, lossConstants, logLossConstants } = addresses;
  return [
    { address: state, count: stateBytes / 4 },
    { address: lossConstants, count: 2 * outputs },
    { address: logLossConstants, count: 2 * outputs },
  ];
}

/** A thread that trains a job from its beginning. The job's state is all zeros. */
export function crewOfOne(
  kernels: Kernels,
  plan: Plan,
  job: TrainingJob,
  progress: Progress,
  recorder: Recorder,
  { work: { onlyModels, start }, parts }: { readonly work: PackWork; readonly parts?: StepParts },
): CrewThread {
  const weights = stateEntries(plan).filter(({ name }) => isWeight(name));
  const drawn = start === null ? weights.map(({ name }) => name) : restoreWeights(start, kernels.u8, weights);
  const begins = { everySteps: null, atStart: false, progress, begins: true, drawn };
  return new CrewThread(kernels, plan, { ...begins, job, thread: 0, writesFiles: true, onlyModels }, recorder, parts);
}
