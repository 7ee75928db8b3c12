// Jobs over datasets side by side: what one table gives, several with its columns give.
import { rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { columnsFile } from "../../src/data/dataset.ts";
import type { Dataset } from "../../src/contract/wire/dataset.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { longs, npy, zip } from "../data/tensors/files.ts";
import { csvOf, linear, ROWS, startTraining } from "./trained.ts";

let training: Awaited<ReturnType<typeof startTraining>>;
let whole: Dataset;
/** Its columns in two tables and a file of arrays. */
let parts: Dataset[];

async function upload(name: string | null, body: string | Buffer, type = "text/csv"): Promise<Dataset> {
  const url = `/v1/datasets${name === null ? "" : `?name=${name}`}`;
  const answer = await training.service.call("POST", url, { body, headers: { "content-type": type } });
  expect(answer.status, answer.text).toBe(201);
  return answer.body;
}

const among = (...names: string[]) =>
  csvOf(ROWS.map((row) => Object.fromEntries(names.map((name) => [name, row[name as keyof typeof row]]))));
const month = (_: unknown, i: number) => (i * 7) % ROWS.length;
const stamped = ROWS.map((row, i) => ({ ...row, weight: i % 4, month: month(row, i) }));

beforeAll(async () => {
  training = await startTraining();
  whole = await upload("whole", csvOf(stamped));
  parts = [
    await upload("cells", among("x", "when", "colour", "old", "label", "flag", "price")),
    await upload(null, csvOf(stamped.map(({ weight }) => ({ weight })))),
    await upload(
      null,
      zip({ "month.npy": npy({ descr: "<i8", shape: [ROWS.length], data: longs(...ROWS.map(month)) }) }),
    ),
  ];
});
afterAll(() => training.stop());

const ids = () => parts.map(({ id }) => id);
const validate = (data: object, rest: object = {}) =>
  training.service.call("POST", "/v1/jobs?validate_only=true", { body: spec(data, rest) });
const spec = (data: object, rest: object = {}) => ({
  data: { target: "label", validation: { every: 5 }, ...data },
  model: { layers: [linear(8), { type: "relu" }, linear()] },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam" },
  training: { epochs: 2, batch_size: 16 },
  ...rest,
});
const faults = async (dataset: unknown, data: object = {}) => {
  const { status, body } = await validate({ dataset, ...data });
  expect(status).toBe(422);
  return body.errors.map(({ pointer, message }: Record<string, string>) => `${pointer} ${message}`);
};
const remove = (id: string) => training.service.call("DELETE", `/v1/datasets/${id}`);
const weightsOf = (job: Job) => job.result!.weights_sha256;

const window = { order: "month", length: 3 };
const windowed = [{ type: "flatten" }, linear()];
test.each([
  ["classes with weights", { weight: "weight", class_weight: "balanced" }, {}],
  [
    "a forecast",
    { target: "price", features: ["x", "month"], window, validation: { tail: 0.3 } },
    { model: { layers: windowed }, loss: { type: "mse" } },
  ],
])("%s: the bytes are those of the same columns in one table", async (_, data, rest) => {
  const alone = await training.trained(spec({ dataset: whole.id, ...data }, rest));
  // The files of columns are made again on the way.
  truncateSync(join(training.service.directory, columnsFile(parts[1])), 50);
  rmSync(join(training.service.directory, columnsFile(parts[2])));
  const [estimate, expected] = [
    await validate({ dataset: ids(), ...data }, rest),
    await validate({ dataset: whole.id, ...data }, rest),
  ];
  expect({ ...estimate.body, spec: null, warnings: null }).toEqual({ ...expected.body, spec: null, warnings: null });
  // Cut off within a column, which only shows when that is read.
  const cells = join(training.service.directory, columnsFile(parts[0]));
  truncateSync(cells, statSync(cells).size - 8);
  const job = await training.trained(spec({ dataset: ids(), ...data }, rest));
  expect(job.spec.data.dataset).toEqual(ids());
  expect([weightsOf(job), job.result!.metrics]).toEqual([weightsOf(alone), alone.result!.metrics]);
  const batches = async ({ id }: Job) => ({
    ...(await training.service.call("GET", `/v1/jobs/${id}/batches?epoch=1`)).body,
    job_id: null,
  });
  expect(await batches(job)).toEqual(await batches(alone));
  const fork = await training.service.call("POST", `/v1/jobs/${job.id}/fork`, {
    body: { step: "final", optimizer: false },
  });
  expect([fork.status, fork.body.spec.data.encoders, fork.body.spec_sha256]).toEqual([201, "inherit", job.spec_sha256]);
  if ("window" in data) return;
  expect(await training.predict(job.id, { rows: stamped })).toEqual(
    await training.predict(alone.id, { rows: stamped }),
  );
});

test("each is in use until the job has ended, and a name that two have says whose it is", async () => {
  const [left, right] = [await upload("left", "x,y\n1,2\n2,3\n3,5\n"), await upload("right", "x,z\n5,1\n4,2\n9,4\n")];
  const body = spec({ dataset: [left.id, right.id], target: "y", validation: null }, { loss: { type: "mse" } });
  const job = await training.trained({ ...body, training: { epochs: 1, batch_size: "full" } });
  expect(job.spec.data.features).toEqual(["left.x", "right.x", "z"]);
  const prediction = { rows: [{ "left.x": 1, "right.x": 5, z: 1 }] };
  expect((await training.predict(job.id, prediction)).predictions).toHaveLength(1);
  expect((await training.ask(job.id, { rows: [{ x: 1, z: 1 }] })).status).toBe(422);
  // Encoders are inherited by the same names.
  const other = await upload("left", "x,y\n1,2\n2,3\n8,5\n");
  const fork = (dataset: string[]) =>
    training.service.call("POST", `/v1/jobs/${job.id}/fork`, {
      body: { step: "final", optimizer: false, overrides: { data: { dataset } } },
    });
  expect((await fork([other.id, right.id])).body.spec.data.features).toEqual(["left.x", "right.x", "z"]);
  expect((await fork([whole.id])).status).toBe(422);
  const slow = { epochs: 100_000, batch_size: 1 };
  const { id } = await training.service.create({ ...body, training: slow });
  for (const { id: dataset } of [left, right]) expect((await remove(dataset)).body.code).toBe("dataset_in_use");
  await training.service.call("POST", `/v1/jobs/${id}/cancel`);
  for (let status = ""; status !== "cancelled";)
    status = (await training.service.call("GET", `/v1/jobs/${id}`)).body.status;
  expect((await remove(left.id)).status).toBe(204);
  const page = await training.service.call("GET", `/v1/jobs/${id}/batches`);
  expect([page.status, page.body.detail]).toEqual([404, "The job's dataset was deleted."]);
  expect(await faults([left.id, right.id])).toEqual(["/data/dataset/0 names a dataset that does not exist"]);
});

test("a list of one id is that id", async () => {
  const [one, list] = [await validate({ dataset: whole.id }), await validate({ dataset: [whole.id] })];
  expect(list.body).toEqual(one.body);
});

test("what does not fit side by side is told by name", async () => {
  const [cells] = parts;
  const short = await upload("short", "a\n1\n2\n");
  expect(await faults([cells.id, short.id])).toEqual([
    "/data/dataset/1 names a dataset of 2 rows, and the first one has 60: datasets side by side have as many rows each",
  ]);
  expect(await faults([short.id, short.id])).toEqual([`/data/dataset/1 names ${short.id} a second time`]);
  const text = await upload("text", "a\nb\n", "text/plain");
  expect(await faults([cells.id, text.id])).toEqual([
    "/data/dataset/1 names a text, which cannot stand beside other datasets: name it alone",
  ]);
  const twin = await upload("short", "a\n3\n4\n");
  const remedy = "delete one of them and upload it again under another name (?name=)";
  expect(await faults([short.id, twin.id])).toEqual([
    `/data/dataset/1 has the column "short.a", and so has dataset 0 of the list: ${remedy}`,
  ]);
  const unnamed = [await upload(null, "a\n5\n6\n"), await upload(null, "a\n7\n8\n")];
  expect(await faults(unnamed.map(({ id }) => id))).toEqual([
    `/data/dataset/1 has the column "a", and so has dataset 0 of the list: ${remedy}`,
  ]);
  const marks = [await upload(null, "b;c\n1,5;2\n2,5;3\n"), await upload(null, "d\n1.5\n2.5\n")];
  // Nothing tells whether the points of this table group thousands, and its numbers are read so.
  const doubtful = await upload(null, "e\n1.234\n2.345\n");
  for (const other of [marks[1], doubtful])
    expect(await faults([marks[0].id, other.id])).toEqual([
      "/data/dataset names tables with different decimal marks: write them with the same one",
    ]);
  const many = Array.from({ length: 9 }, () => cells.id);
  for (const [wrong, fault] of [
    [[], " must have at least 1 item"],
    [many, " must have at most 8 items"],
    [["x"], "/0 must be the id of a dataset, as POST /v1/datasets returns it"],
    [7, " must be the id of a dataset, as POST /v1/datasets returns it, or a list of 1 to 8 ids"],
  ] as const)
    expect(await faults(wrong)).toEqual([`/data/dataset${fault}`]);
});
