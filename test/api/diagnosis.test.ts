import { afterAll, beforeAll, expect, test } from "vitest";
import type { Finding } from "../../src/contract/schema/diagnosis.ts";
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
  message: "In 6 steps the loss has not fallen from the 1.1 that it began with.",
  remedy: "Raise lr (now 0.001) to about 0.01.",
  data: { start: 1.1, drop: null },
};

test("a diagnosis shows the status of all detectors before the job runs", async () => {
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
    summary: 'Nothing wrong was found in 0 steps. Some detectors need "observe" or validation.',
    findings: [],
    changes: [],
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

test("a diagnosis has the findings and a summary", async () => {
  const job = await service.create(specFor(dataset, { observe: { every_steps: 2 } }));
  const lease = await acquire(service.store, job.id);
  await lease.report(1, { ...progressAt(7), findings: [finding] }, [], []);
  const one = (await diagnosisOf(job.id)).body;
  expect(one).toMatchObject({ status: "running", step: 7, findings: [finding] });
  expect(one.summary).toBe(`${finding.message} ${finding.remedy}`);
  expect(one.detectors).toMatchObject({ plateau: "found", dead_relu: "quiet", overfitting: "quiet" });
  // The first comes first.
  const other = { ...finding, detector: "noisy_loss", message: "The losses jump.", remedy: "Raise the batch size." };
  await lease.report(2, { ...progressAt(8), findings: [finding, other] }, [], []);
  expect((await diagnosisOf(job.id)).body.summary).toBe(`${finding.message} ${finding.remedy} (and 1 more)`);
});

test("a diagnosis shows what was done about a divergence, and a resolved spec how to rewind", async () => {
  const job = await service.create(
    specFor(dataset, {
      detectors: { diverging: { policy: "rewind", rewind: { max: 2 } } },
      training: { epochs: 100, batch_size: 4 },
    }),
  );
  // 400 steps, in windows of 5 of which two must be too high.
  expect(job.spec.detectors.diverging.rewind).toEqual({ every_steps: 4, window: 20, lr_factor: 0.5, max: 2 });
  const lease = await acquire(service.store, job.id);
  const diverged = { ...finding, detector: "diverging", step: 90 };
  const change = { step: 60, detected_step: 90, lr_factor: 0.5 };
  const event = { type: "rewound", message: "Back.", step: 60, data: null } as const;
  await lease.rewind(60, [{ ...change, finding: diverged }], event);
  await lease.report(1, { ...progressAt(61), findings: [diverged] }, [], []);
  const one = (await diagnosisOf(job.id)).body;
  expect(one).toMatchObject({ changes: [change], findings: [diverged] });
  expect(one.summary).toBe(
    `${finding.message} Training went back to step 60, and on from there with 0.5 × the learning rate.`,
  );
  await lease.report(2, { ...progressAt(70), findings: [diverged, finding] }, [], []);
  expect((await diagnosisOf(job.id)).body.summary).toBe(`${finding.message} ${finding.remedy} (and 1 more)`);
});

test("a job that does not exist has no diagnosis", async () => {
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
    [
      '/detectors/plateau/policy must be one of "ignore", "warn", "stop"; only diverging can have "rewind"',
      "/detectors/plateau/after must be at most 1",
    ],
  ],
  [{ detectors: { plateau: { rewind: {} } } }, ["/detectors/plateau/rewind is only for diverging"]],
  [
    { detectors: { diverging: { policy: "stop", rewind: { max: 1 } } } },
    ['/detectors/diverging/rewind needs the policy "rewind": set that, or leave this out'],
  ],
  [
    { detectors: { diverging: { policy: "rewind", rewind: { lr_factor: 1, windo: 3, every_steps: 0 } } } },
    [
      "/detectors/diverging/rewind/every_steps must be at least 1",
      "/detectors/diverging/rewind/lr_factor must be less than 1",
      '/detectors/diverging/rewind/windo is not known here; did you mean "window"?',
    ],
  ],
])("%j is refused", async (changes, faults) => {
  const { status, body } = await service.call("POST", "/v1/jobs", { body: specFor(dataset, changes) as object });
  expect(status).toBe(422);
  expect(body.errors.map((fault: { pointer: string; message: string }) => `${fault.pointer} ${fault.message}`)).toEqual(
    faults,
  );
});
