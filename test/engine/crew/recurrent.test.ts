import { expect, test } from "vitest";
import { classes, member, smallJob, train } from "../../support/training.ts";

/*
 * A crew trains recurrent nets: two directions and two layers with dropout between them, a frozen
 * layer that hands the gradient on, and states of several layers at once.
 */

const [TIME, FEATURES] = [4, 3];

const table = classes(150, TIME * FEATURES);
const frozen = { parameters: "1.*", lr: null, lr_scale: 1, weight_decay: null, freeze: true };

const job = smallJob({
  data: { ...table, inputs: [{ ...table.inputs[0], shape: [TIME, FEATURES] }] },
  layers: [
    member("layers", "lstm", { hidden_size: 5, num_layers: 2, bidirectional: true, dropout: 0.3, output: "all" }),
    member("layers", "rnn", { hidden_size: 6, nonlinearity: "relu", output: "all" }),
    member("layers", "gru", { hidden_size: 7, num_layers: 2, bias: false, output: "last_state" }),
    member("layers", "linear"),
  ],
  groups: [frozen],
  training: { epochs: 3, batch_size: 40 },
});

test("recurrent nets have the same bytes from any number of threads, and from a checkpoint", async () => {
  const whole = await train(job, { everySteps: 4 });
  expect(whole.outcome.type).toBe("completed");
  for (const threads of [2, 5]) {
    const other = await train(job, { threads });
    expect(other.state?.sha256, `${threads} threads`).toBe(whole.state?.sha256);
  }
  const [[step, state]] = whole.checkpoints;
  expect(step).toBe(4);
  const resumed = await train(job, { threads: 3, state });
  expect(resumed.state?.sha256, `from step ${step}`).toBe(whole.state?.sha256);
});
