// Parameter groups through the API, and in forks that a real worker trains.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { readSafetensors } from "../../src/engine/state/safetensors.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let dataset: string;

beforeAll(async () => {
  service = await startService();
  dataset = (await service.upload(csv)).id;
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

const validate = (changes: Record<string, unknown>) =>
  service.call("POST", "/v1/jobs?validate_only=true", { body: specFor(dataset, changes) });

async function faultsOf(parameter_groups: unknown, changes: Record<string, unknown> = {}): Promise<unknown[][]> {
  const { status, body } = await validate({ parameter_groups, ...changes });
  expect([status, body.code]).toEqual([422, "invalid_spec"]);
  return body.errors.map(({ pointer, message }: { pointer: string; message: string }) => [pointer, message]);
}

async function finished(id: string): Promise<Job> {
  const get = async () => (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
  await expect.poll(async () => ended(await get()), { timeout: 30_000, interval: 20 }).toBe(true);
  return await get();
}

const state = async (id: string, step: number) => {
  const { body } = await service.call("GET", `/v1/jobs/${id}/checkpoints/${step}`);
  return readSafetensors(body as Uint8Array).tensors;
};

test("the resolved spec has the groups with their defaults", async () => {
  const none = await validate({});
  expect(none.body.spec.parameter_groups).toEqual([]);
  const parameter_groups = [
    { parameters: "*.bias", weight_decay: 0 },
    { parameters: ["0.*", "?.weight"], lr: 0.1 },
  ];
  const { status, body } = await validate({ parameter_groups });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body.spec.parameter_groups).toEqual([
    { parameters: "*.bias", lr: null, lr_scale: 1, weight_decay: 0, freeze: false, statistics: "train" },
    { parameters: ["0.*", "?.weight"], lr: 0.1, lr_scale: 1, weight_decay: null, freeze: false, statistics: "train" },
  ]);
});

test("frozen parameters take no room in the state", async () => {
  const [none, frozen] = [[], [{ parameters: "0.*", freeze: true }]].map((parameter_groups) =>
    validate({ parameter_groups }),
  );
  const [{ body: a }, { body: b }] = [await none, await frozen];
  expect(b.parameters).toBe(a.parameters);
  expect(b.state_bytes).toBeLessThan(a.state_bytes);
});

describe("is refused", () => {
  test.each<[string, unknown, Record<string, unknown>, [string, string | RegExp][]]>([
    [
      "a pattern that matches nothing",
      [
        { parameters: "0.*", lr: 1 },
        { parameters: ["*.bias", "2.wieght"], lr: 1 },
      ],
      {},
      [
        [
          "/parameter_groups/1/parameters/1",
          'matches no parameter of the model, which has "0.weight", "0.bias", "2.weight", "2.bias"; did you mean "2.weight"?',
        ],
      ],
    ],
    ["one that stands alone", [{ parameters: "fc.*", lr: 1 }], {}, [["/parameter_groups/0/parameters", /^matches no/]]],
    [
      "a group whose parameters earlier groups have",
      [
        { parameters: "0.*", lr: 1 },
        { parameters: "*.bias", lr: 1 },
        { parameters: "0.bias", lr: 1 },
      ],
      {},
      [
        [
          "/parameter_groups/2/parameters",
          "matches only parameters of earlier groups, such as 0.bias (group 0): the first group that matches counts, so put this group before that",
        ],
      ],
    ],
    [
      "statistics that no layer of the group has",
      [{ parameters: "0.*", statistics: "eval" }],
      {},
      [["/parameter_groups/0/statistics", /^must be "train": no layer of the group has running statistics/]],
    ],
    [
      "a pattern of statistics in a group that does not set theirs",
      [{ parameters: "1.running_*", freeze: true }],
      { model: { layers: [{ type: "linear", out_features: 8 }, { type: "batch_norm1d" }, { type: "linear" }] } },
      [["/parameter_groups/0/parameters", /^matches no parameter/]],
    ],
    ["a group that changes nothing", [{ parameters: "*" }], {}, [["/parameter_groups/0", /^changes nothing/]]],
    [
      "a model that is frozen as a whole",
      [
        { parameters: "*.bias", freeze: true },
        { parameters: "*", freeze: true },
      ],
      {},
      [["/parameter_groups", /^freeze the whole model/]],
    ],
    [
      "settings of what is frozen",
      [{ parameters: "0.*", freeze: true, lr: 1, lr_scale: 2, weight_decay: 0 }],
      {},
      [
        ["/parameter_groups/0/lr", "must be null: frozen parameters do not learn"],
        ["/parameter_groups/0/lr_scale", "must be 1: frozen parameters do not learn"],
        ["/parameter_groups/0/weight_decay", "must be null: frozen parameters do not learn"],
      ],
    ],
    [
      "a weight decay that the optimizer lacks",
      [{ parameters: "*.bias", weight_decay: 0 }],
      { optimizer: { type: "adam", dialect: "keras" } },
      [["/parameter_groups/0/weight_decay", "must be null: adam in dialect keras has no weight_decay"]],
    ],
    [
      "groups of an optimizer that sums over the model",
      [
        { parameters: "*.bias", weight_decay: 0, lr_scale: 2 },
        { parameters: "0.*", freeze: true },
      ],
      { optimizer: { type: "lookahead", optimizer: { type: "prodigy" } } },
      [
        ["/parameter_groups/0/lr_scale", /^must be 1: a step of lookahead depends on sums over the whole model/],
        ["/parameter_groups/0/weight_decay", /^must be null: .* a group can only be frozen/],
      ],
    ],
    [
      "a base rate that the schedule does not heed",
      [
        { parameters: "*.bias", lr: 0.1 },
        { parameters: "*.weight", lr_scale: 2, weight_decay: 0.1 },
      ],
      { schedule: { type: "one_cycle", max_lr: 0.1, total_steps: 12 } },
      [["/parameter_groups/0/lr", /^must be null: the schedule one_cycle has its own rates/]],
    ],
    [
      "muon without a matrix that learns",
      [{ parameters: "*.weight", freeze: true }],
      { optimizer: { type: "muon" } },
      [["/optimizer/type", /none to train/]],
    ],
    [
      "too many patterns",
      [
        { parameters: Array.from({ length: 100 }, () => "*"), lr: 1 },
        { parameters: Array.from({ length: 29 }, () => "*"), lr: 1 },
      ],
      {},
      [["/parameter_groups", "must have at most 128 patterns in all"]],
    ],
    [
      "what has no such shape",
      [{ parameters: 3 }, { parameters: [] }, { parameter: "*" }, { parameters: "*", lr: -1, lr_scale: "2" }],
      {},
      [
        ["/parameter_groups/0/parameters", "must be a pattern, or a list of them"],
        ["/parameter_groups/1/parameters", "must have at least 1 item"],
        ["/parameter_groups/2/parameters", "must be a pattern, or a list of them"],
        ["/parameter_groups/2/parameter", /did you mean "parameters"/],
        ["/parameter_groups/3/lr", "must be at least 0"],
        ["/parameter_groups/3/lr_scale", 'must be a number, not "2"'],
      ],
    ],
  ])("%s", async (_what, groups, changes, expected) => {
    const faults = await faultsOf(groups, changes);
    expect(faults).toEqual(
      expected.map(([pointer, message]) => [
        pointer,
        typeof message === "string" ? message : expect.stringMatching(message),
      ]),
    );
  });
});

test("all faults of groups are reported at once, together with other faults", async () => {
  const groups = [
    { parameters: "0.*", freeze: true, lr: 1 },
    { parameters: "nothing", weight_decay: 1 },
  ];
  const faults = await faultsOf(groups, { training: { epochs: 0, batch_size: 4 } });
  expect(faults.map(([pointer]) => pointer)).toEqual([
    "/training/epochs",
    "/parameter_groups/0/lr",
    "/parameter_groups/1/parameters",
  ]);
});

describe("a fork", () => {
  const spec = (changes: Record<string, unknown> = {}) =>
    specFor(dataset, {
      optimizer: { type: "nadam", lr: 0.01 },
      parameter_groups: [{ parameters: "*.bias", lr: 0.02 }],
      training: { epochs: 10, batch_size: 4, seed: 3 },
      checkpoint: { every_steps: 20, every_seconds: null, keep_last: 100 },
      ...changes,
    });
  const fork = (id: string, body: unknown) => service.call("POST", `/v1/jobs/${id}/fork`, { body: body as object });

  test("continues with the groups, to the same bytes as if it had the epochs from the beginning", async () => {
    // Of ASGD each group has a rate of the next step among its doubles.
    const optimizer = { type: "asgd", lr: 0.05, lambd: 0.1 };
    const parent = await finished((await service.create(spec({ optimizer }))).id);
    expect(parent.status).toBe("succeeded");
    const training = { epochs: 14, batch_size: 4, seed: 3 };
    const straight = await service.create(spec({ optimizer, training }));
    const { body: longer } = await fork(parent.id, { step: "final", overrides: { training: { epochs: 14 } } });
    const [a, b] = [await finished(straight.id), await finished(longer.id)];
    expect(b.result!.weights_sha256).toBe(a.result!.weights_sha256);
  });

  test("may freeze parameters, which lose their state", async () => {
    const parent = await finished((await service.create(spec())).id);
    const parameter_groups = [
      { parameters: "0.*", freeze: true },
      { parameters: "*.bias", lr: 0.02 },
    ];
    const overrides = { parameter_groups, training: { epochs: 14 } };
    const { status, body } = await fork(parent.id, { step: "final", overrides });
    expect(status, JSON.stringify(body)).toBe(201);
    const child = await finished(body.id);
    expect(child).toMatchObject({ status: "succeeded", parent: { step: 40 }, result: { steps: 56 } });
    const [before, after] = [await state(parent.id, 40), await state(child.id, 56)];
    expect(before.has("optimizer.exp_avg.0.weight")).toBe(true);
    expect([...after.keys()].filter((name) => name.endsWith("0.weight"))).toEqual(["0.weight"]);
    for (const name of ["0.weight", "0.bias"]) expect(after.get(name)!.bytes).toEqual(before.get(name)!.bytes);
    expect(after.get("2.weight")!.bytes).not.toEqual(before.get("2.weight")!.bytes);

    // And back: what was frozen begins with a fresh state.
    const thaw = { step: "final", overrides: { parameter_groups: [], training: { epochs: 20 } } };
    const thawed = await finished((await fork(child.id, thaw)).body.id);
    expect(thawed).toMatchObject({ status: "succeeded", parent: { step: 56 }, result: { steps: 80 } });
    const last = await state(thawed.id, 80);
    expect(last.get("0.weight")!.bytes).not.toEqual(after.get("0.weight")!.bytes);
    expect([...last.keys()].toSorted()).toEqual([...before.keys()].toSorted());
  });

  test("with another optimizer cannot continue the state, whatever was frozen", async () => {
    const parent = await finished(
      (await service.create(spec({ parameter_groups: [{ parameters: "0.*", freeze: true }] }))).id,
    );
    const overrides = {
      parameter_groups: [],
      optimizer: { type: "sgd", momentum: 0.9, lr: 0.1 },
      training: { epochs: 14 },
    };
    const { status, body } = await fork(parent.id, { step: "final", overrides });
    expect([status, body.errors]).toEqual([
      422,
      [
        {
          pointer: "/optimizer",
          message: expect.stringMatching(/^must be false: the state of sgd is not the one in the checkpoint/),
        },
      ],
    ]);
  });

  test("with other groups takes their scalars from the former groups of their parameters", async () => {
    // As far as NAdam's product of momenta goes a group that only now becomes one has missed
    // nothing.
    const parent = await finished((await service.create(spec({ parameter_groups: [] }))).id);
    const overrides = { training: { epochs: 14 } };
    const same = await fork(parent.id, { step: "final", overrides });
    const parameter_groups = [{ parameters: "*.bias", lr: 0.01 }];
    const apart = await fork(parent.id, { step: "final", overrides: { ...overrides, parameter_groups } });
    const [a, b] = [await finished(same.body.id), await finished(apart.body.id)];
    expect(b.result!.weights_sha256).toBe(a.result!.weights_sha256);
  });

  test("keeps the state of a group's schedule unless the rate differs", async () => {
    const schedule = { type: "reduce_on_plateau", metric: "train_loss", every_steps: 5 };
    const parent = await finished((await service.create(spec({ schedule }))).id);
    // The forks must not begin: a job that ends leaves nothing of its origin.
    worker.kill("SIGSTOP");
    onTestFinished(() => worker.kill("SIGCONT"));
    const record = (id: string) => `{rappel}:owner:default:job:${id}`;
    const followed = async (lr: number) => {
      const overrides = { parameter_groups: [{ parameters: "*.bias", lr }], training: { epochs: 14 } };
      const { body } = await fork(parent.id, { step: "final", overrides });
      return JSON.parse((await service.redis.client().hget(record(body.id), "origin"))!).changes.groups[0].schedule;
    };
    expect(await followed(0.02)).not.toBeNull();
    expect(await followed(0.03)).toBeNull();
  });

  test("reports faults of groups with pointers", async () => {
    const parent = await finished((await service.create(spec())).id);
    const overrides = { parameter_groups: [{ parameters: ["1.*"], lr: 1 }] };
    const { body } = await fork(parent.id, { step: "final", overrides });
    expect(body.errors).toMatchObject([{ pointer: "/overrides/parameter_groups/0/parameters/0" }]);
  });
});
