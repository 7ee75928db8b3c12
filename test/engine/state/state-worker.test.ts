import { describe, expect, test } from "vitest";
import { Crew } from "../../../src/engine/crew/crew.ts";
import { readHeader } from "../../../src/engine/state/safetensors.ts";
import { assembleFile, extractModels, forkState } from "../../../src/engine/state/state-worker.ts";
import { member, smallJob, train } from "../../support/training.ts";

const successor = { optimizer: member("optimizers", "adam"), keepBest: true, evaluatesOthers: false, groups: [] };
const handlers = { log() {}, evaluated() {}, snapshot() {} };
const finalState = async () => (await train(smallJob({ keepBest: true }))).state!.bytes;

/**
 * Copying a state on an event loop would stop it for seconds. A buffer that was handed over is gone
 * afterwards, and one that was copied is not.
 */
describe("a file is handed over, not copied,", () => {
  test.each<[string, (file: Uint8Array) => Promise<unknown>]>([
    ["to be forked", (file) => forkState(file, { finished: null }, successor)],
    ["to be assembled anew", (file) => assembleFile(file, new Map())],
    ["for its models", (file) => extractModels(file, ["final", "best"])],
    [
      "to be restored",
      (state) => Crew.start(smallJob({ keepBest: true }), { threads: 1, everySteps: null, state }, handlers),
    ],
  ])("%s", async (_name, use) => {
    const file = await finalState();
    const { buffer } = file;
    await use(file);
    expect(buffer.detached).toBe(true);
  });

  test("when a crew begins with its weights", async () => {
    const { models } = await extractModels(await finalState(), ["best"]);
    const weights = models[0].bytes;
    const { buffer } = weights;
    const options = { threads: 1, everySteps: null, state: null, weights };
    await Crew.start(smallJob({ keepBest: true }), options, handlers);
    expect(buffer.detached).toBe(true);
  });
});

test("a state comes back as it was, with its models", async () => {
  const state = await finalState();
  const copy = state.slice();
  const extracted = await extractModels(state, ["final", "best"]);
  expect(Buffer.compare(extracted.state, copy)).toBe(0);
  expect(extracted.models).toHaveLength(2);
  for (const { bytes } of extracted.models) expect(Object.keys(readHeader(bytes).tensors)).toHaveLength(6);
});

test("a tensor that shares its buffer is copied, and the other tensors stay", async () => {
  const file = await finalState();
  const buffer = new Uint8Array(file.byteLength + 20).fill(7);
  buffer.set(file, 10);
  const { state } = await extractModels(buffer.subarray(10, 10 + file.byteLength), []);
  expect(Buffer.compare(state, file)).toBe(0);
  expect(buffer.byteLength).toBe(file.byteLength + 20);
  expect(Buffer.compare(buffer.subarray(10, 10 + file.byteLength), file)).toBe(0);
});
