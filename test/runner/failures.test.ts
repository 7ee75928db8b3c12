import { expect, test } from "vitest";
import { ThreadFailed } from "../../src/engine/crew/hands.ts";
import { diverged, datasetUnavailable, JobFailure, unexpected, unreadable } from "../../src/runner/failures.ts";

test("a checkpoint that cannot be read is named by its step", () => {
  expect(unreadable(7, "its bytes are damaged")).toMatchObject({
    code: "checkpoint_unreadable",
    message: "The checkpoint of step 7 cannot be read: its bytes are damaged.",
    suggestion: "Post the job again; it starts from the beginning.",
    step: 7,
  });
});

test.each([
  [[], "", ""],
  [[40], " Training had gone back once before.", ""],
  [[40, 60], " Training had gone back 2 times before.", ""],
  [[40, 40, 60], " Training had gone back 3 times before.", ""],
  [
    [40, 40],
    " Training had gone back 2 times before.",
    " If it was too late at step 40, to which training went back each time, raise detectors.diverging.rewind.window.",
  ],
  [[0, 0], " Training had gone back 2 times before.", ""],
])("a divergence after rewinds to %j says so", (stepsBack, before, wider) => {
  const changes = stepsBack.map((step) => ({ step, detected_step: 90, lr_factor: 0.5 }));
  const finding = { message: "The loss rose.", remedy: "Lower lr.", step: 80 };
  expect(diverged({ type: "diverged", finding, step: 90, changes } as never)).toMatchObject({
    code: "diverged",
    message: `The loss rose.${before}`,
    suggestion: `Lower lr.${wider}`,
    step: 90,
  });
});

test("faults that are not the job's have codes of their own", () => {
  expect(datasetUnavailable("It is gone.")).toMatchObject({
    code: "dataset_unavailable",
    message: "It is gone.",
    suggestion: "Upload it again and post the job anew.",
    step: null,
  });
  expect(unexpected(new ThreadFailed("a thread died"))).toMatchObject({
    code: "thread_failed",
    message: "a thread died",
  });
  const internal = unexpected(new Error("a fault"));
  expect(internal).toBeInstanceOf(JobFailure);
  expect(internal).toMatchObject({
    code: "internal",
    message: "Something went wrong in the worker: a fault",
    suggestion: null,
  });
});
