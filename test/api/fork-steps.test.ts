// Which checkpoints a fork may start from, as a refusal says it.
import { afterAll, beforeAll, expect, test } from "vitest";
import { acquire, checkpoint } from "../store/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

test("a step without a checkpoint is refused with the newest ten that there are", async () => {
  const kept = { checkpoint: { every_steps: 1, keep_last: 100 }, training: { epochs: 20, batch_size: 4 } };
  const { id } = await service.create(specFor((await service.upload(csv)).id, kept));
  const lease = await acquire(service.store, id);
  const refusal = async (step: number | "final" | "best") => {
    const { status, body } = await service.call("POST", `/v1/jobs/${id}/fork`, { body: { step } });
    return [status, body.code, body.errors?.[0] ?? body.detail];
  };
  const none = { pointer: "/step", message: "has no checkpoint (any more); there is none yet" };
  expect(await refusal(3)).toEqual([422, "invalid_spec", none]);
  expect(await refusal("best")).toEqual([422, "invalid_spec", none]);
  for (let step = 1; step <= 12; step++) await checkpoint(lease, step, { keepLast: 100 });
  const some = { ...none, message: "has no checkpoint (any more); there are: 12, 11, 10, 9, 8, 7, 6, 5, 4, 3" };
  expect(await refusal(13)).toEqual([422, "invalid_spec", some]);
  const early = "There is a final state once the job has succeeded; it is running.";
  expect(await refusal("final")).toEqual([409, "wrong_status", early]);
});
