import { expect, test } from "vitest";
import { unreadable } from "../../src/runner/failures.ts";

test("a checkpoint that cannot be read is named by its step", () => {
  expect(unreadable(7, "its bytes are damaged")).toMatchObject({
    code: "checkpoint_unreadable",
    message: "The checkpoint of step 7 cannot be read: its bytes are damaged.",
    suggestion: "Post the job again; it starts from the beginning.",
    step: 7,
  });
});
