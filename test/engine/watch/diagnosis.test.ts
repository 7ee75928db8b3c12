import { expect, test } from "vitest";
import { Diagnosis, freshDiagnosis } from "../../../src/engine/watch/diagnosis.ts";
import { watched, watchful } from "../detectors/jobs.ts";

test("an observation is seen beside the start of the run, or the first loss as long as it has none", () => {
  const settings = { exploding_gradient: { norm: 10, patience: 1 } };
  const job = watched({ detectors: watchful(settings), training: { batch_size: 7 } });
  const diagnosis = new Diagnosis(job, 100);
  const layer = {
    name: "0",
    parameters: 4,
    gradientNorm: 20,
    weightNorm: 1,
    updateNorm: 0.001,
    firstMomentNorm: null,
    secondMomentNorm: null,
    units: 0,
    deadUnits: 0,
  };
  const causes = (losses: readonly number[], loss: number) => {
    const state = freshDiagnosis();
    losses.forEach((each, i) => diagnosis.step(state, i + 1, each, 0.003, null));
    return diagnosis.step(state, losses.length + 1, loss, 0.003, [layer]).map(({ cause }) => cause);
  };
  // After five steps the start is their mean, 2. Three times that is still near it.
  expect(causes([9, 0.5, 0.2, 0.2, 0.1], 7)).toEqual(["learning_rate_too_high"]);
  expect(causes([9, 0.5, 0.2, 0.2, 0.1], 5)).toEqual(["initial_weights_too_large"]);
  expect(causes([9, 0.5], 7)).toEqual(["initial_weights_too_large"]);
});
