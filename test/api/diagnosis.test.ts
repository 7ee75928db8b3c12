import { afterAll, beforeAll, expect, test } from "vitest";
import type { Finding } from "../../src/spec/diagnosis.ts";
import { acquire, progressAt } from "../store/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let dataset: string;
beforeAll(async () => {
  service = await startService();
  dataset = (await service.upload(csv)).id;
});
afterAll(() => service.stop());

const diagnosisOf = (id: string) => service.call("GET", `/v1/jobs/${id}/diagnosis`);

const finding: Finding = {
  detector: "plateau",
  cause: "learning_rate_too_low",
  step: 6,
  message: "In 6 steps the loss has fallen by 0 % from its 1.1 at the start.",
  remedy: "Raise lr (now 0.001) to about 0.01.",
  data: { start: 1.1, drop: null },
};

test("a diagnosis says which detectors see what, before there is anything to see", async () => {
  const job = await service.create(
    specFor(dataset, { data: { dataset, target: "label" }, detectors: { plateau: { policy: "ignore" } } }),
  );
  const { status, body, headers } = await diagnosisOf(job.id);
  expect(status).toBe(200);
  expect(headers.etag).toMatch(/^"[\w-]{22}"$/);
  expect(body).toEqual({
    job_id: job.id,
    status: "queued",
    step: 0,
    summary: 'Nothing wrong was found in 0 steps. Some detectors see nothing without "observe" or validation.',
    findings: [],
    detectors: {
      dead_relu: "blind",
      diverging: "quiet",
      exploding_gradient: "blind",
      noisy_loss: "quiet",
      overfitting: "blind",
      plateau: "ignored",
      update_ratio_out_of_range: "blind",
      vanishing_gradient: "blind",
    },
  });
});

test("a diagnosis tells what was found, and sums it up", async () => {
  const job = await service.create(specFor(dataset, { observe: { every_steps: 2 } }));
  const lease = await acquire(service.store, job.id);
  await lease.report(1, { ...progressAt(7), findings: [finding] }, [], []);
  const one = (await diagnosisOf(job.id)).body;
  expect(one).toMatchObject({ status: "running", step: 7, findings: [finding] });
  expect(one.summary).toBe(`${finding.message} ${finding.remedy}`);
  expect(one.detectors).toMatchObject({ plateau: "found", dead_relu: "quiet", overfitting: "quiet" });
  await lease.report(2, { ...progressAt(8), findings: [finding, { ...finding, detector: "noisy_loss" }] }, [], []);
  expect((await diagnosisOf(job.id)).body.summary).toMatch(/ \(and 1 more\)$/);
});

test("there is none of a job that there is not", async () => {
  expect((await diagnosisOf("job_01k3w9d0c8v6m2q4r7t5x1y9za")).status).toBe(404);
});

test("observed metrics are curves like others, those of layers by their name", async () => {
  const job = await service.create(specFor(dataset, { observe: { every_steps: 1, per_layer: true } }));
  const lease = await acquire(service.store, job.id);
  const rows = [1, 2].map((step) => ({ step, grad_norm: step, "grad_norm.0": step / 2, dead_fraction: 0 }));
  await lease.report(1, progressAt(2), [], rows);
  const series = async (query: string) =>
    (await service.call("GET", `/v1/jobs/${job.id}/metrics${query}`)).body.series as Record<string, unknown>;
  expect(Object.keys(await series("")).sort()).toEqual(["dead_fraction", "grad_norm", "grad_norm.0"]);
  expect(await series("?names=grad_norm.0,update_ratio")).toEqual({
    "grad_norm.0": { steps: [1, 2], values: [0.5, 1] },
  });
  const refused = await service.call("GET", `/v1/jobs/${job.id}/metrics?names=valid_loss.0`);
  expect(refused.body.errors).toEqual([
    { pointer: "?names", message: expect.stringMatching(/^must be one of train_loss, .*or with "observe"/) },
  ]);
});

test.each([
  [{ observe: {} }, ["/observe/every_steps is required"]],
  [{ observe: { every_steps: 0 } }, ["/observe/every_steps must be at least 1"]],
  [
    { observe: { every_steps: 1 }, training: { epochs: 100_000, batch_size: 4 } },
    ["/observe/every_steps must be at least 4 for 400000 steps"],
  ],
  [
    { observe: { every_steps: 15, per_layer: true }, training: { epochs: 100_000, batch_size: 4 } },
    ["/observe/every_steps must be at least 16 for 400000 steps of 3 layers"],
  ],
  [{ detectors: { plateu: {} } }, ['/detectors/plateu is not known here; did you mean "plateau"?']],
  [
    { detectors: { plateau: { policy: "rewind", after: 2 } } },
    ['/detectors/plateau/policy must be one of "ignore", "warn", "stop"', "/detectors/plateau/after must be at most 1"],
  ],
])("%j is refused", async (changes, faults) => {
  const { status, body } = await service.call("POST", "/v1/jobs", { body: specFor(dataset, changes) as object });
  expect(status).toBe(422);
  expect(body.errors.map((fault: { pointer: string; message: string }) => `${fault.pointer} ${fault.message}`)).toEqual(
    faults,
  );
});
