/** What is wrong with a study is told when it is posted. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let dataset: string;
beforeAll(async () => {
  service = await startService();
  dataset = (await service.upload(csv)).id;
});
afterAll(() => service.stop());

const space = {
  "/optimizer": { choice: [{ type: "sgd", lr: 0.1 }, { type: "adam" }] },
  "/optimizer/lr": { log_uniform: [1e-4, 2] },
  "/optimizer/momentum": { uniform: [0, 0.99], when: { "/optimizer/type": ["sgd"] } },
};
const asked = (changes: object = {}) => ({ spec: specFor(dataset), space, trials: 12, parallel: 4, ...changes });

const lr = { "/optimizer/lr": { log_uniform: [1e-4, 1] } };
test.each<[string, object, string[]]>([
  ["no space", { space: {} }, ["/space must have 1 to 64 parameters, not 0"]],
  [
    "a space that points nowhere",
    { space: { "/optimiser/lr": { uniform: [0, 1] } } },
    ['/space/~1optimiser~1lr points nowhere: a spec has no "optimiser"; did you mean "optimizer"?'],
  ],
  [
    "an option that is not there",
    { space: { "/optimizer/rate": { uniform: [0, 1] } } },
    [expect.stringMatching(/^\/space\/~1optimizer~1rate is not known/) as unknown as string],
  ],
  [
    "a part of a part that is not there",
    { space: { "/schedule/gamma": { uniform: [0, 1] } } },
    ["/space/~1schedule~1gamma points nowhere: what it lies in is not in the spec, or is a list without this place"],
  ],
  [
    "other data",
    { space: { "/data/validation/every": { int: [2, 5] } } },
    ["/space/~1data~1validation~1every changes the data: all trials of a study must have the same"],
  ],
  [
    "the seed",
    { space: { "/training/seed": { int: [2, 5] } } },
    ["/space/~1training~1seed is the study's: set /seeds for several seeds of each trial"],
  ],
  ["what trains nothing", { space: { "/name": { choice: ["a"] } } }, ["/space/~1name is no part of the training"]],
  [
    "values that a spec may not have",
    { space: { "/optimizer/lr": { uniform: [-1, 1] } } },
    [expect.stringMatching(/^\/space\/~1optimizer~1lr must be .*\(here it is -1\)$/) as unknown as string],
  ],
  [
    "a choice with a fault",
    { space: { "/optimizer": { choice: [{ type: "adam" }, { type: "adam", lr: -1 }] } } },
    [expect.stringMatching(/^\/space\/~1optimizer\/choice\/1\/lr must be/) as unknown as string],
  ],
  [
    "the last of many values",
    { space: { "/optimizer/lr": { choice: [...Array.from({ length: 99 }, (_, i) => (i + 1) / 100), -1] } } },
    [expect.stringMatching(/^\/space\/~1optimizer~1lr\/choice\/99 must be/) as unknown as string],
  ],
  [
    "the length of a list",
    { space: { "/model/layers/length": { int: [1, 2] } } },
    [
      "/space/~1model~1layers~1length points nowhere: what it lies in is not in the spec, or is a list without this place",
    ],
  ],
  [
    "a seed that is too large for the last job of a trial",
    {
      seeds: 3,
      spec: specFor("ds_x", { training: { epochs: 3, batch_size: 4, seed: Number.MAX_SAFE_INTEGER - 1 } }),
    },
    ["/spec/training/seed plus /seeds − 1 must be at most 9007199254740991, not 9007199254740992"],
  ],
  [
    "an empty range",
    { space: { "/optimizer/lr": { uniform: [1, 1] } } },
    ["/space/~1optimizer~1lr/uniform must have a highest value above the lowest"],
  ],
  [
    "a part that is none",
    { spec: { ...specFor("ds_x"), training: "x" }, space: lr },
    [
      expect.stringMatching(/^\/spec\/data\/dataset /) as unknown as string,
      expect.stringMatching(/^\/spec\/training must be an object .*, not "x"$/) as unknown as string,
    ],
  ],
  [
    "a webhook within the network",
    { webhook: { url: "http://localhost/" } },
    [
      expect.stringMatching(/^\/webhook needs a secret/) as unknown as string,
      expect.stringMatching(/^\/webhook\/url must begin with https/) as unknown as string,
    ],
  ],
  [
    "a population that may not go on",
    { sampler: { type: "population_based" }, space: { ...lr, "/training/batch_size": { choice: [2, 4] } } },
    [
      "/sampler/type lets trials go on from others, and the space makes other steps of an epoch: leave that out of the space",
      "/sampler/type lets trials go on from others, which may not change /training/batch_size: leave it out of the space",
    ],
  ],
  [
    "a population with other tensors",
    { sampler: { type: "population_based" }, space: { "/model/layers/0/out_features": { choice: [4, 8] } } },
    [
      "/sampler/type lets trials go on from others, and the space makes states that differ (0.weight): leave out what changes their tensors",
    ],
  ],
  [
    "a population with other moments",
    { sampler: { type: "population_based" } },
    [expect.stringMatching(/^\/sampler\/type .* states that differ \(optimizer\./) as unknown as string],
  ],
  [
    "a range that is too wide",
    { space: { "/optimizer/lr": { uniform: [-1e308, 1e308] } } },
    ["/space/~1optimizer~1lr/uniform must be narrower: its width is no finite number"],
  ],
  [
    "a value twice",
    { space: { "/model/layers/0/out_features": { choice: [4, 8, 4] } } },
    ["/space/~1model~1layers~10~1out_features/choice/2 is there already"],
  ],
  [
    "a condition on no choice",
    { space: { ...lr, "/optimizer/eps": { uniform: [0, 1], when: { "/optimizer/lr": [1] } } } },
    ["/space/~1optimizer~1eps/when/~1optimizer~1lr must point at another choice of the space, or into its values"],
  ],
  [
    "a condition that never holds",
    {
      space: {
        "/optimizer": { choice: [{ type: "adam" }] },
        "/optimizer/lr": { uniform: [0, 1], when: { "/optimizer/type": ["sgd"] } },
      },
    },
    ["/space/~1optimizer~1lr/when never holds"],
  ],
  [
    "a sampler that cannot search this",
    { sampler: { type: "cma_es" } },
    ["/sampler/type searches only numbers, but /optimizer is a choice: use tpe"],
  ],
  [
    "more trials than a grid has",
    { sampler: { type: "grid" }, space: lr, trials: 6 },
    ["/trials must be at most 5, the points of the grid"],
  ],
  ["no number of trials", { trials: null }, ["/trials is required, except with the sampler grid"]],
  ["too many jobs", { trials: 10_000, seeds: 2 }, ["/trials times /seeds must be at most 10000, not 20000"]],
  [
    "a pruner and other epochs",
    { pruner: { type: "asha" }, space: { "/training/epochs": { int: [1, 9] } } },
    ["/pruner/type compares trials at the same epoch, so the space may not have /training/epochs: use none"],
  ],
  [
    "the other direction",
    { direction: "maximize" },
    ['/direction must be "minimize", or left out: that is the direction of valid_loss'],
  ],
  [
    "an objective of another task",
    { objective: "valid_r2" },
    [expect.stringMatching(/^\/objective must be one of .*valid_loss, .* under cross_entropy$/) as unknown as string],
  ],
  [
    "a fault outside of the space",
    { spec: { ...specFor("ds_x"), loss: { type: "mse", delta: 1 } }, space: lr },
    [
      expect.stringMatching(/^\/spec\/data\/dataset /) as unknown as string,
      expect.stringMatching(/^\/spec\/loss\/delta /) as unknown as string,
    ],
  ],
])("%s is told at once", async (_name, changes, wanted) => {
  const before = (await service.call("GET", "/v1/studies?limit=1")).body.data;
  const { status, body } = await service.call("POST", "/v1/studies", { body: asked(changes) });
  const told = (body.errors as { pointer: string; message: string }[]).map(
    ({ pointer, message }) => `${pointer} ${message}`,
  );
  expect([status, body.code]).toEqual([422, "invalid_spec"]);
  expect(told.toSorted()).toEqual(wanted);
  expect((await service.call("GET", "/v1/studies?limit=1")).body.data).toEqual(before);
});

test("a population trains no longer than a job may", async () => {
  const spec = specFor(dataset, { training: { epochs: 60_000, batch_size: 4 } });
  const changes = { sampler: { type: "population_based", population: 4 }, space: lr, spec, trials: 5 };
  const { body } = await service.call("POST", "/v1/studies", { body: asked(changes) });
  expect(body.errors).toEqual([
    {
      pointer: "/trials",
      message: "must be at most 4: the rounds together have at most 100000 epochs",
    },
  ]);
});

test("a fault of a whole part names what the space has set in it", async () => {
  const space = { ...lr, "/model/layers/0/out_features": { int: [4, 1_000_000] } };
  const { body } = await service.call("POST", "/v1/studies", { body: asked({ space }) });
  const where = /^makes .* \(here \/model\/layers\/0\/out_features is 1000000\)$/;
  expect(body.errors).toMatchObject([
    { pointer: "/spec/model", message: expect.stringMatching(where) },
    { pointer: "/spec/model", message: expect.stringMatching(where) },
  ]);
});

test("a trial is one job, and no set of models", async () => {
  const spec = specFor(dataset, { training: { epochs: 3, batch_size: 4, seeds: 2 } });
  const { body } = await service.call("POST", "/v1/studies", { body: asked({ spec }) });
  expect(body.errors).toMatchObject([{ pointer: "/spec", message: expect.stringContaining("set of models") }]);
});

test("an objective needs validation", async () => {
  const spec = specFor(dataset, { data: { dataset, target: "label" } });
  const { body } = await service.call("POST", "/v1/studies", { body: asked({ spec }) });
  expect(body.errors).toEqual([{ pointer: "/objective", message: "needs validation; set /data/validation" }]);
});
