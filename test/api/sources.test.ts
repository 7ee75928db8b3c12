import { afterAll, beforeAll, expect, test } from "vitest";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

const [header, ...lines] = csv.split("\n").map((line) => line.split(","));
const inline = {
  columns: header,
  rows: lines.map((cells) => cells.map((cell) => (/\d/.test(cell) ? Number(cell) : cell))),
};
const withData = (data: object) => specFor("", { data: { target: "label", validation: { every: 5 }, ...data } });
const validate = (data: object) => service.call("POST", "/v1/jobs?validate_only=true", { body: withData(data) });
const faults = async (data: object) =>
  (await validate(data)).body.errors.map(
    ({ pointer, message }: { pointer: string; message: string }) => `${pointer} ${message}`,
  );

test("inline rows become a dataset, as if they had been uploaded", async () => {
  const job = await service.create(withData({ inline }));
  const uploaded = await service.upload(`${csv}\n`);
  expect(uploaded).toMatchObject({ name: "inline", rows: 20 });
  expect(job.spec.data).toMatchObject({ dataset: uploaded.id, features: ["x", "y", "colour", "price"] });
  expect(job.spec.data).not.toHaveProperty("inline");
  expect(await service.create(job.spec)).toMatchObject({ spec_sha256: job.spec_sha256 });
  expect((await service.call("DELETE", `/v1/datasets/${uploaded.id}`)).body.code).toBe("dataset_in_use");
  for (const { id } of (await service.call("GET", "/v1/jobs")).body.data)
    await service.call("POST", `/v1/jobs/${id}/cancel`);
  expect((await service.call("DELETE", `/v1/datasets/${uploaded.id}`)).status).toBe(204);
});

test("a synthetic table is a dataset that can be read, the same for equal options", async () => {
  const synthetic = { type: "two_moons", rows: 100, noise: 0.1 };
  const [first, second] = [
    await service.create(withData({ synthetic, target: "target" })),
    await service.create(withData({ synthetic, target: "target" })),
  ];
  expect(first.spec.data.synthetic).toEqual({ ...synthetic, seed: 0 });
  expect(second.spec_sha256).toBe(first.spec_sha256);
  const { data } = (await service.call("GET", "/v1/datasets")).body;
  expect(data).toMatchObject([
    {
      name: "two_moons",
      rows: 100,
      columns: [{ name: "x0" }, { name: "x1" }, { name: "target", classes: ["0", "1"] }],
    },
  ]);
  const { text } = await service.call("GET", `/v1/datasets/${data[0].id}/content`);
  expect(text.split("\n")).toHaveLength(102);
  // What a job says of itself can be posted again.
  expect((await service.create(first.spec)).spec_sha256).toBe(first.spec_sha256);
});

test("neither validation nor a refusal stores anything", async () => {
  const before = service.onDisk();
  const listed = (await service.call("GET", "/v1/datasets")).body;
  const synthetic = { type: "sine", rows: 77 };
  const { body } = await validate({ synthetic, target: "target", validation: null });
  expect(body.errors).toMatchObject([{ pointer: "/data/target" }]);
  const sound = withData({ synthetic, target: "target" });
  const valid = await service.call("POST", "/v1/jobs?validate_only=true", {
    body: { ...sound, loss: { type: "mse" } },
  });
  expect(valid.body).toMatchObject({
    valid: true,
    spec: { data: { synthetic: { noise: 0, seed: 0 } } },
    total_steps: 3 * 16,
  });
  expect(service.onDisk()).toEqual(before);
  expect((await service.call("GET", "/v1/datasets")).body).toEqual(listed);
});

test("every fault of inline rows points at its cell", async () => {
  expect(
    await faults({ inline: { columns: ["x", "label"], rows: [[1, "a"], [1], "no", [true, {}], [2, null]] } }),
  ).toEqual([
    "/data/inline/rows/1 has 1 cell, but there are 2 columns",
    "/data/inline/rows/2 must be an array of cells",
    "/data/inline/rows/3/0 must be a finite number, a string, or null for an empty cell",
    "/data/inline/rows/3/1 must be a finite number, a string, or null for an empty cell",
  ]);
  expect(await faults({ inline: { columns: ["x", "x"], rows: [[1, 2]] } })).toEqual([
    '/data/inline is not a table: Two columns are named "x". Rename one of them',
  ]);
  expect(await faults({ inline: { columns: ["x", "label"], rows: [] } })).toEqual([
    "/data/inline/rows must have at least 1 row",
  ]);
  expect(
    await faults({
      inline: {
        columns: ["x", "label"],
        rows: [
          [1, "a"],
          [null, "b"],
          [2, "b"],
        ],
      },
    }),
  ).toEqual([expect.stringMatching(/^\/data\/features names "x", whose value is missing in 1 of 3 rows;/)]);
});

test("many inline rows are allowed, but at most one mebibyte", async () => {
  const rows = Array.from({ length: 40_000 }, (_, i) => [i / 2, i % 2 === 0 ? "a" : "b"]);
  expect((await validate({ inline: { columns: ["x", "label"], rows } })).status).toBe(200);
  const large = rows.map(([x, label]) => [x, label, "some more text for every row"]);
  expect(await faults({ inline: { columns: ["x", "label", "more"], rows: large } })).toEqual([
    "/data/inline may take 1048576 bytes; upload a larger table as a dataset",
  ]);
});

test.each(["[", '{"a":'])("rows nested without end with %s are refused before they are parsed", async (open) => {
  const close = open === "[" ? "]" : "}";
  const deep = `${open.repeat(200_000)}1${close.repeat(200_000)}`;
  const spec = JSON.stringify(specFor("", { data: { inline: { columns: ["x"], rows: ["deep"] }, target: "x" } }));
  const headers = { "content-type": "application/json" };
  const { status, body } = await service.call("POST", "/v1/jobs", { body: spec.replace('"deep"', deep), headers });
  expect([status, body.errors]).toEqual([422, [{ pointer: "", message: "is nested too deeply" }]]);
});

test("more arrays than the largest table has rows are refused before they are parsed", async () => {
  const withArrays = (count: number) =>
    validate({ inline: { columns: ["x"], rows: Array.from({ length: count }, () => []) }, target: "x" });
  const { status, body } = await withArrays(300_000);
  const message = expect.stringMatching(/^must have at most 300000 objects and arrays, not 3000\d\d$/);
  expect([status, body.errors]).toEqual([422, [{ pointer: "", message }]]);
  expect((await withArrays(299_000)).body.errors).not.toContainEqual(expect.objectContaining({ pointer: "" }));
});

test("more members of objects than any spec has are refused before they are parsed", async () => {
  const withMembers = (count: number) =>
    validate({ synthetic: Object.fromEntries(Array.from({ length: count }, (_, i) => [`k:${i}`, i])) });
  const { status, body } = await withMembers(30_000);
  const message = expect.stringMatching(/^must have at most 30000 members of objects, not 300\d\d$/);
  expect([status, body.errors]).toEqual([422, [{ pointer: "", message }]]);
  expect((await withMembers(29_000)).body.errors).not.toContainEqual(expect.objectContaining({ pointer: "" }));
});

test("a name that JavaScript would drop is refused", async () => {
  const spec = JSON.stringify(specFor("", { metadata: { x: "1" } })).replace('"x"', '"__proto__"');
  const headers = { "content-type": "application/json" };
  const { status, body } = await service.call("POST", "/v1/jobs", { body: spec, headers });
  expect(status).toBe(422);
  expect(body.errors).toContainEqual({ pointer: "/metadata/__proto__", message: "is a name that cannot be used" });
});

test("an existing dataset stays, whatever happens to a job with the same inline rows", async () => {
  const { id } = await service.upload(`${csv}\n`);
  for (let round = 0; round < 8; round++) {
    // One of them gets the key, and the other is refused, mostly when its rows are kept already.
    const headers = { "idempotency-key": `round ${round}` };
    const other = withData({ synthetic: { type: "two_moons", rows: 50 + round }, target: "target" });
    const answers = await Promise.all(
      [withData({ inline }), other].map((body) => service.call("POST", "/v1/jobs", { body, headers })),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 422]);
    const { body } = answers.find(({ status }) => status === 201)!;
    await service.call("POST", `/v1/jobs/${body.id}/cancel`);
    expect((await service.call("GET", `/v1/datasets/${id}`)).status).toBe(200);
  }
});

test("warnings are in the validated spec and in the job, and not in lists", async () => {
  // Every other row is a cat, and validates.
  const data = { inline, validation: { every: 2 } };
  const message = 'leaves the class "cat" of "label" without a row to train on';
  const warnings = [{ pointer: "/data/validation", code: "untrained_class", message }];
  expect((await validate(data)).body.warnings).toEqual(warnings);
  const job = await service.create(withData(data));
  expect(job.warnings).toEqual(warnings);
  expect((await service.call("GET", `/v1/jobs/${job.id}`)).body.warnings).toEqual(warnings);
  const { body } = await service.call("GET", "/v1/jobs?limit=1");
  expect(body.data[0]).toMatchObject({ id: job.id });
  expect(body.data[0]).not.toHaveProperty("warnings");
  expect(await service.create(withData({ inline }))).toMatchObject({ warnings: [] });
});

test("validation leaves no file, whether the spec is sound or not", async () => {
  const before = service.onDisk();
  const synthetic = { synthetic: { type: "two_moons", rows: 50 }, target: "target" };
  const outcomes = [{ inline }, synthetic, { inline, target: "none" }, { ...synthetic, target: "none" }].map(validate);
  expect((await Promise.all(outcomes)).map(({ status }) => status)).toEqual([200, 200, 422, 422]);
  expect(service.onDisk()).toEqual(before);
});
