// Predictions of sets with a pooled model: it predicts where no model of the key does.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { SetEnds } from "../../src/set-ends.ts";
import { openSetEnds } from "./service.ts";
import { csvOf, linear, startTraining, type Row } from "./trained.ts";

let place: Awaited<ReturnType<typeof startTraining>>;
let setEnds: SetEnds;

beforeAll(async () => {
  place = await startTraining();
  setEnds = openSetEnds(place.service);
});
afterAll(async () => {
  await setEnds.close();
  await place.stop();
});

const upload = async (rows: readonly Row[]) => (await place.service.upload(csvOf(rows))).id;

const LINEAR = { model: { layers: [linear()] }, loss: { type: "mse" } };

/** A set with a pooled model, and the plain job that is its pooled model. */
async function trained(
  { partition_by, min_rows, features, ...data }: Record<string, unknown>,
  { training, ...spec }: Record<string, object>,
): Promise<{ set: Job; plain: Job }> {
  const set = await place.trained({
    ...spec,
    data: { ...data, partition_by, min_rows, features, encoders: "shared" },
    training: { ...training, pooled: true },
  });
  const taking = { ...data, encoders: { job: set.id } };
  const plain = await place.trained({ ...spec, data: taking, training: { ...training, seeds: 1 } });
  return { set, plain };
}

async function linesOf(id: string, dataset: string): Promise<string[]> {
  const posted = await place.service.call("POST", `/v1/jobs/${id}/predictions`, { body: { dataset } });
  expect(posted.status, posted.text).toBe(201);
  const { location } = posted.headers;
  const read = async () => (await place.service.call("GET", location)).body;
  await expect.poll(async () => (await read()).finished_at, { timeout: 20_000 }).not.toBeNull();
  expect((await read()).error).toBeNull();
  return (await place.service.call("GET", `${location}/result`)).text.trimEnd().split("\n");
}

async function faultsOf(id: string, rows: readonly Row[]): Promise<[string, string][]> {
  const { status, body } = await place.ask(id, { rows });
  expect(status).toBe(422);
  return (body.errors as { pointer: string; message: string }[]).map(({ pointer, message }) => [pointer, message]);
}

describe("a key that is unknown, whose model failed, or that has too few rows", () => {
  // The numbers of "wild" are so large for the shared encoders that its model diverges.
  const own = [
    ...Array.from({ length: 120 }, (_, i) => ({ store: ["a", "b", "c"][i % 3], x: Math.sin(i), y: Math.cos(i) })),
    ...Array.from({ length: 12 }, (_, i) => ({ store: "wild", x: 50 + i, y: i })),
    { store: "few", x: 0.5, y: 0.5 },
  ];
  /** Rows of the keys take turns. */
  const rows = Array.from({ length: 60 }, (_, i) => ({
    store: ["nobody", "a", "few", "wild", "Ü"][i % 5],
    x: Math.round(1e4 * Math.sin(i + 0.5)) / 1e4,
  }));
  const isPooled = (_: unknown, i: number) => rows[i].store !== "a";
  let set: Job;
  let plain: Job;

  beforeAll(async () => {
    const data = { dataset: await upload(own), target: "y", features: ["x"], partition_by: "store", min_rows: 2 };
    const spec = { ...LINEAR, optimizer: { type: "sgd", lr: 0.5 } };
    const training = { epochs: 60, batch_size: "full", seeds: 2 };
    ({ set, plain } = await trained(data, { ...spec, training }));
    expect(set.models).toMatchObject({ total: 10, succeeded: 6, failed: 2, skipped: 2 });
  });

  test("has the pooled model's predictions, as JSON and as CSV", async () => {
    const all = await place.ask(set.id, { rows });
    expect(all.status, all.text).toBe(200);
    const expected = await place.ask(plain.id, { rows });
    const [predictions, pooled] = [all, expected].map(({ body }) => body.predictions as unknown[]);
    expect(predictions).toHaveLength(60);
    for (const [i, prediction] of predictions.entries())
      if (isPooled(null, i)) expect(prediction).toEqual(pooled[i]);
      else expect(prediction).not.toEqual(pooled[i]);
    expect(all.body.weights_sha256).toBe(set.result!.weights_sha256);
    expect((await place.askCsv(set.id, csvOf(rows))).text).toBe(all.text);
    const alone = rows.filter(isPooled);
    for (const choice of [{}, { seed: 1 }])
      expect((await place.predict(set.id, { rows: alone, ...choice })).predictions).toEqual(pooled.filter(isPooled));
  });

  test("has the pooled model's lines of a dataset", async () => {
    const dataset = await upload(rows);
    const [header, ...lines] = await linesOf(set.id, dataset);
    const [, ...pooled] = await linesOf(plain.id, dataset);
    expect(header).toBe("value");
    expect(lines).toHaveLength(60);
    expect(lines.filter(isPooled)).toEqual(pooled.filter(isPooled));
    expect(lines[1]).not.toBe(pooled[1]);
  });

  test("is a fault still where its cell is missing, or no class", async () => {
    const faults = await faultsOf(set.id, [rows[0], { x: 1 }, { x: 1, store: null }, { x: 1, store: ["a"] }]);
    expect(faults).toEqual([
      ["/rows/1/store", expect.stringContaining("required")],
      ["/rows/2/store", expect.stringContaining("missing")],
      ["/rows/3/store", expect.stringContaining("must be a class")],
    ]);
  });
});

test("a cell that its column cannot hold is no unknown key", async () => {
  const rows = Array.from({ length: 80 }, (_, i) => ({
    level: i % 2 === 0 ? 1.5 : 20,
    open: (i >> 1) % 2 === 0,
    day: (i >> 2) % 2 === 0 ? "2024-01-31" : "2024-02-01",
    x: Math.sin(i),
    y: Math.cos(i),
  }));
  // Two values that are known need not make a key.
  const own = rows.filter(({ level, open }) => level === 20 || open);
  const data = { dataset: await upload(own), target: "y", features: ["x"], partition_by: ["level", "open", "day"] };
  const { set, plain } = await trained(data, { ...LINEAR, training: { epochs: 2, batch_size: 4 } });
  const [row] = rows;
  const others = [
    { level: 7 },
    { level: " 7.0" },
    { day: "2025-01-01" },
    { day: "2025-01-01T00:00:00Z" },
    { level: "1.5", open: "no" },
  ];
  const asked = others.map((cells, i) => ({ ...row, ...cells, x: i }));
  expect((await place.predict(set.id, { rows: asked })).predictions).toEqual(
    (await place.predict(plain.id, { rows: asked })).predictions,
  );
  const wrong: [Row, string, RegExp][] = [
    [{ level: "large" }, "level", /no number/],
    [{ level: "020" }, "level", /code/],
    [{ level: true }, "level", /must be a number/],
    [{ open: "maybe" }, "open", /must be true or false/],
    [{ day: "yesterday" }, "day", /no date/],
    [{ day: 3 }, "day", /must be a date/],
  ];
  const faults = await faultsOf(
    set.id,
    wrong.map(([cells]) => ({ ...row, ...cells })),
  );
  expect(faults).toEqual(
    wrong.map(([, name, message], i) => [`/rows/${i}/${name}`, expect.stringMatching(message) as string]),
  );
});

test("a set none of whose models succeeded predicts by the pooled one alone", async () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({ store: `s${i % 20}`, x: Math.sin(i), y: i % 3 }));
  const dataset = await upload(rows);
  const data = { dataset, target: "y", features: ["x"], partition_by: "store" };
  // The pooled model alone has rows enough.
  const wild = { optimizer: { type: "sgd", lr: 0.5 }, training: { epochs: 2, batch_size: "full" } };
  const { set, plain } = await trained({ ...data, min_rows: 3 }, { ...LINEAR, ...wild });
  expect(set.models).toMatchObject({ total: 20, succeeded: 0, skipped: 20 });
  expect((await place.predict(set.id, { rows })).predictions).toEqual(
    (await place.predict(plain.id, { rows })).predictions,
  );
  expect(await linesOf(set.id, dataset)).toEqual(await linesOf(plain.id, dataset));
});

test("rows of a window have one key, also if it is unknown", async () => {
  const rows = Array.from({ length: 60 }, (_, t) => ({ store: "ab"[t % 2], t, x: Math.sin(t), y: Math.cos(t) }));
  const window = { order: "t", length: 3, horizon: 1 };
  const data = { dataset: await upload(rows), target: "y", features: ["x"], window, partition_by: "store" };
  const layers = [{ type: "flatten" }, linear()];
  const { set, plain } = await trained(data, {
    ...LINEAR,
    model: { layers },
    training: { epochs: 2, batch_size: 8 },
  });
  const own = rows.map((row) => ({ ...row, store: "c" }));
  const { predictions } = await place.predict(set.id, { rows: own });
  expect(predictions).toEqual((await place.predict(plain.id, { rows: own })).predictions);
  expect(predictions).toHaveLength(58);
  for (const store of ["d", "a"]) {
    const mixed = own.map((row, i) => (i < 30 ? row : { ...row, store }));
    const [first] = await faultsOf(set.id, mixed);
    expect(first).toEqual(["/rows/30", expect.stringContaining("another key")]);
  }
});
