import { expect, test } from "vitest";
import { Crew } from "../../../src/engine/crew/crew.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import { member, smallJob, type JobChanges } from "../../support/training.ts";

/** The tensors of the state before the first step, as two threads make it. */
async function firstState(changes: JobChanges): Promise<Map<string, Float32Array>> {
  const files: Promise<{ bytes: Uint8Array }>[] = [];
  const crew = await Crew.start(
    smallJob({ ...changes, training: { epochs: 1 } }),
    { threads: 2, everySteps: null, state: null, atStart: true },
    { log() {}, evaluated() {}, snapshot: (snapshot) => void files.push(snapshot.serialize()) },
  );
  await crew.run();
  const { tensors } = readSafetensors((await files[0]).bytes);
  return new Map([...tensors].map(([name, { bytes }]) => [name, new Float32Array(Uint8Array.from(bytes).buffer)]));
}

test("a tensor of the optimizer begins with its initial value in every element", async () => {
  const adagrad = member("optimizers", "adagrad", { initial_accumulator_value: 0.25 });
  const state = await firstState({ optimizer: adagrad });
  const sums = [...state].filter(([name]) => name.startsWith("optimizer.sum."));
  expect(sums).toHaveLength(6);
  for (const [name, values] of sums) expect([name, ...new Set(values)]).toEqual([name, 0.25]);
});

test("a tensor that begins as its parameter does so in every element", async () => {
  const state = await firstState({ optimizer: member("optimizers", "prodigy") });
  const copies = [...state].filter(([name]) => name.startsWith("optimizer.p0."));
  expect(copies).toHaveLength(6);
  for (const [name, values] of copies)
    expect([name, values]).toEqual([name, state.get(name.replace("optimizer.p0.", ""))]);
});
