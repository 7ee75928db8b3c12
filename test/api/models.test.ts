/** The networks of docs/models.md are accepted as they stand there. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { floats, longs, npy, zip } from "../data/tensors/files.ts";
import { startService, type Service } from "./service.ts";

const ROWS = 100;
const TIME = 12;

let service: Service;
let dataset: string;
beforeAll(async () => {
  service = await startService();
  const numbers = (...shape: number[]) => {
    const count = shape.reduce((product, length) => product * length, ROWS);
    const data = floats(...Array.from({ length: count }, (_, i) => Math.sin(i)));
    return npy({ descr: "<f4", shape: [ROWS, ...shape], data });
  };
  const classes = (...shape: number[]) => {
    const count = shape.reduce((product, length) => product * length, ROWS);
    return npy({
      descr: "<i8",
      shape: [ROWS, ...shape],
      data: longs(...Array.from({ length: count }, (_, i) => i % 10)),
    });
  };
  const file = zip({
    "x.npy": numbers(),
    "y.npy": numbers(),
    "images.npy": numbers(1, 28, 28),
    "readings.npy": numbers(TIME, 3),
    "tokens.npy": classes(TIME),
    "next.npy": classes(TIME),
    "labels.npy": classes(),
    "shop.npy": classes(),
    "weekday.npy": classes(),
    "price.npy": numbers(),
    "sold.npy": numbers(),
  });
  const { status, body } = await service.call("POST", "/v1/datasets", { body: file });
  expect(status).toBe(201);
  dataset = body.id;
});
afterAll(() => service.stop());

const blocks = [...readFileSync("docs/models.md", "utf8").matchAll(/^```json\n(.*?)^```$/gms)].map(
  ([, text]) => JSON.parse(text) as unknown,
);

test("every model in docs/models.md is accepted", async () => {
  expect(blocks.length).toBeGreaterThan(5);
  for (const block of blocks) {
    const around = {
      data: { dataset, features: ["x", "y"], target: "labels" },
      model: { layers: block },
      loss: { type: "cross_entropy" },
      optimizer: { type: "adam" },
      training: { epochs: 1, batch_size: 8 },
    };
    const whole = Array.isArray(block) ? around : (block as typeof around);
    const spec = { ...whole, data: { ...whole.data, dataset } };
    const { status, body } = await service.call("POST", "/v1/jobs?validate_only=true", { body: spec });
    expect({ block, status, errors: body.errors }).toEqual({ block, status: 200, errors: undefined });
  }
});

test("the limits are those of docs/models.md", async () => {
  // The service of the tests compares answers with openapi.yaml, which takes long for deep ones.
  const { port } = service.app.server.address() as { port: number };
  const errorOf = async (layers: unknown[]) => {
    const body = {
      data: { dataset, features: ["x", "y"], target: "labels" },
      model: { layers },
      loss: { type: "cross_entropy" },
      optimizer: { type: "adam" },
      training: { epochs: 1, batch_size: 8 },
    };
    const response = await fetch(`http://127.0.0.1:${port}/v1/jobs?validate_only=true`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const { errors } = (await response.json()) as { errors?: { message: string }[] };
    return errors?.[0].message;
  };
  const last = { type: "linear" };
  const relus = (count: number): unknown[] => Array.from({ length: count }, () => ({ type: "relu" }));
  const nested = (levels: number): unknown[] =>
    levels === 0 ? relus(1) : [{ type: "sequential", layers: nested(levels - 1) }];
  const repeated = (times: number, count: number) => ({ type: "repeat", times, layers: relus(count) });
  expect(await errorOf([...relus(255), last])).toBeUndefined();
  expect(await errorOf([...relus(256), last])).toMatch(/256/);
  expect(await errorOf([...nested(12), last])).toBeUndefined();
  expect(await errorOf([...nested(13), last])).toMatch(/12 levels/);
  expect(await errorOf([repeated(341, 3), last])).toBeUndefined();
  expect(await errorOf([repeated(1000, 1), repeated(24, 1), last])).toMatch(/1024 layers/);
  expect(await errorOf([repeated(1001, 1), last])).toMatch(/1000/);
});
