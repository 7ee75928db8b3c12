// Jobs of the engine on the tables in examples/.
import { readFile } from "node:fs/promises";
import { withDerived } from "../../src/contract/resolve/derived.ts";
import { trainingJob } from "../../src/contract/training-job.ts";
import { encode } from "../../src/data/encode/encoding-cache.ts";
import { stepsPerEpoch, type TrainingJob } from "../../src/engine/job.ts";
import { nativeSets, type KernelChoice } from "../../src/engine/kernels/native.ts";
import { targetsOf } from "../../src/engine/losses/targets.ts";
import { packJob, trainPack } from "../../src/engine/pack/train.ts";
import type { Trained } from "../../src/engine/pack/recorder.ts";
import { takenBy } from "../../src/engine/plan/taken.ts";
import { specOf, tableOf, type Changes } from "../sets/support.ts";

/** Makes jobs on a table whose rows are read once. Every fourth row validates. */
export async function exampleJobs(name: string, base: Changes = {}) {
  const path = await tableOf(await readFile(`examples/${name}.csv`));
  const common = { data: { target: "target", validation: { every: 4 } }, ...base };
  const first = specOf(common);
  const { data } = await encode(path, first.data, targetsOf(first.loss), takenBy(first.model.layers));
  return (changes: Changes = {}): TrainingJob => {
    const spec = specOf({ ...common, ...changes });
    const perEpoch = stepsPerEpoch(spec.training, data.trainRows.length);
    return trainingJob(withDerived(spec, { total: perEpoch * spec.training.epochs, perEpoch }), data);
  };
}

const choice: KernelChoice = nativeSets().length > 0 ? "native" : "wasm";

/** Trains jobs on this thread. No number depends on which are given together. */
export function trainAll(jobs: readonly TrainingJob[]): Trained[] {
  const training = trainPack(
    jobs.map((job) => packJob(job)),
    { choice, start: null, onlyModels: false, due: () => false },
  );
  for (;;) {
    const { done, value } = training.next();
    if (done) return value;
  }
}

/** The loss of the final weights on the rows that validate; infinite if the job diverged. */
export function validLoss({ outcome }: Trained): number {
  if (outcome.type === "diverged" || outcome.type === "stopped") return Infinity;
  const { valid_loss: loss } = outcome.metrics;
  return Number.isFinite(loss) ? loss : Infinity;
}
