/** A test of learning rates, made of the spec of a job. */
import type { Client, SpecInput } from "../client/client.ts";
import type { Job, LrRangeTest } from "../contract/wire/job.ts";
import { chart } from "./chart.ts";
import type { Output } from "./output.ts";

const STEPS = 300;

/** Tests rates with the spec instead of training it, and says which rate suits it. */
export async function testRates(
  client: Client,
  spec: SpecInput,
  follow: (id: string) => Promise<Output>,
): Promise<Output> {
  const { training } = spec;
  const { total_steps } = await client.validateJob(spec);
  const tested = await client.createJob({
    ...spec,
    schedule: { type: "lr_range_test", total_steps: STEPS },
    training: { ...training, epochs: Math.ceil((STEPS * training.epochs) / total_steps), averaging: null },
  });
  const output = await follow(tested.id);
  const found = (output.value as Job).result?.lr_range_test;
  return found ? { ...output, text: textOf(found) } : output;
}

function textOf({ suggested_lr, message, curve }: LrRangeTest): string {
  const { stdout } = process;
  const values = curve.map(({ smoothed }) => smoothed);
  const drawing = chart(
    { "smoothed loss over the logarithm of the rate": { steps: curve.map(({ lr }) => Math.log10(lr)), values } },
    {
      columns: stdout.columns ?? 80,
      colored: stdout.isTTY && stdout.hasColors(),
      logarithmic: values.every((value) => value > 0),
    },
  );
  return [drawing.trim(), message, `suggested lr: ${suggested_lr ?? "none"}`].join("\n");
}
