/** Augmentation in a spec. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService, type Service } from "./service.ts";

let service: Service;
let dataset: string;
beforeAll(async () => {
  service = await startService();
  const rows = Array.from({ length: 20 }, (_, i) => `${i % 4},${i % 5},${i % 3},${i % 7},${"ab"[i % 2]}`);
  dataset = (await service.upload(["p,q,r,s,label", ...rows].join("\n"))).id;
});
afterAll(() => service.stop());

const post = (data: object, layers: object[] = [{ type: "flatten" }, { type: "linear" }]) =>
  service.call("POST", "/v1/jobs?validate_only=true", {
    body: {
      data: { dataset, target: "label", ...data },
      model: { layers },
      loss: { type: "cross_entropy" },
      optimizer: { type: "sgd" },
      training: { epochs: 1, batch_size: 4 },
    },
  });

test("is filled in, and changes the identity of a spec", async () => {
  const augment = { random_horizontal_flip: {}, gaussian_noise: { sigma: 0.2 } };
  const { status, body } = await post({ shape: [1, 2, 2], augment });
  expect([status, body.spec?.data.augment]).toEqual([
    200,
    { random_horizontal_flip: { p: 0.5 }, random_crop: null, gaussian_noise: { sigma: 0.2 } },
  ]);
  expect((await post({ shape: [1, 2, 2] })).body.spec.data.augment).toBeNull();
});

test.each<[object, object[] | undefined, string]>([
  [{ augment: { random_horizontal_flip: {} } }, [{ type: "linear" }], "/data/augment/random_horizontal_flip"],
  [{ augment: { random_crop: { padding: 1 } } }, [{ type: "linear" }], "/data/augment/random_crop"],
  [{ shape: [1, 2, 2], augment: { random_crop: { padding: 0 } } }, undefined, "/data/augment/random_crop/padding"],
  [
    { shape: [1, 2, 2], augment: { random_horizontal_flip: { p: 2 } } },
    undefined,
    "/data/augment/random_horizontal_flip/p",
  ],
  [{ augment: { mirror: {} } }, undefined, "/data/augment/mirror"],
  [
    { augment: { gaussian_noise: {} } },
    [{ type: "embedding", num_embeddings: 9, embedding_dim: 2 }, { type: "flatten" }, { type: "linear" }],
    "/data/augment",
  ],
])("%j is told", async (data, layers, pointer) => {
  const { status, body } = await post(data, layers);
  expect([status, body.errors[0].pointer]).toEqual([422, pointer]);
});
