import { expect, test } from "vitest";
import { z } from "zod";
import { faulty, notJson } from "../../../src/contract/errors.ts";
import { listOf } from "../../../src/contract/schema/list.ts";
import { check, didYouMean, pointer } from "../../../src/contract/resolve/faults.ts";

const faultsOf = (schema: z.ZodType, value: unknown) =>
  check(schema, value).faults?.map((fault) => `${fault.pointer} ${fault.message}`) ?? null;

test("a pointer escapes as RFC 6901 wants it", () => {
  expect(pointer([])).toBe("");
  expect(pointer(["a/b", "m~n", 0, ""])).toBe("/a~1b/m~0n/0/");
});

test.each([
  [z.number(), "5", ' must be a number, not "5"'],
  [z.number(), null, " must be a number, not null"],
  [z.number(), [], " must be a number, not an array"],
  [z.number(), Infinity, " must be a number, not infinite"],
  [z.int(), 1.5, " must be an integer, not 1.5"],
  [z.int().min(1), 0, " must be at least 1"],
  [z.number().gt(0), 0, " must be more than 0"],
  [z.number().lt(1), 1, " must be less than 1"],
  [z.string().max(3), "four", " must have at most 3 characters"],
  [z.array(z.int()).length(2), [1], " must have exactly 2 items"],
  [z.array(z.int()).min(1), [], " must have at least 1 item"],
  [z.array(z.int()).length(2), "1, 2", ' must be an array, not "1, 2"'],
  [z.boolean(), "true", ' must be a boolean, not "true"'],
  [z.literal("adam"), "adma", ' must be "adam"; did you mean "adam"?'],
  [z.enum(["step", "epoch"]), "day", ' must be one of "step", "epoch"'],
  [z.strictObject({ a: z.int() }), {}, "/a is required"],
  [z.strictObject({ a: z.int() }), "x".repeat(50), ' must be an object with "a", not a string'],
  [z.strictObject({ a: z.int().default(1) }), [], ' must be an object, which may have "a", not an array'],
])("%#: one fault, said plainly", (schema, value, fault) => {
  expect(faultsOf(schema, value)).toEqual([fault]);
});

test("each unknown name is a fault of its own, with a suggestion", () => {
  const schema = z.strictObject({ batch_size: z.int().optional(), epochs: z.int().optional() });
  expect(faultsOf(schema, { batchsize: 1, "a/b": 2, epoch: 3 })).toEqual([
    '/batchsize is not known here; did you mean "batch_size"?',
    "/a~1b is not known here; known: batch_size, epochs",
    '/epoch is not known here; did you mean "epochs"?',
  ]);
});

test("a name that stands in the wrong object is told where it belongs", () => {
  const training = z.strictObject({ epochs: z.int(), note: z.string().optional() }).nullable();
  const data = z.strictObject({ weight: z.string().optional(), note: z.string().optional() });
  const schema = z.strictObject({ training, data, loss: z.record(z.string(), data).optional() });
  expect(faultsOf(schema, { epochs: 1, training: null, data: { loss: 1, epochs: 2, note: "" } })).toEqual([
    "/data/loss is not known here; it stands at the top",
    '/data/epochs is not known here; it is a member of "training"',
    '/epochs is not known here; it is a member of "training"',
  ]);
  expect(faultsOf(schema, { training: null, data: {}, loss: {}, note: "" })).toEqual([
    "/note is not known here; known: training, data, loss",
  ]);
});

test("a union reports the faults of the branch that was meant, or lists the choices", () => {
  const branches = [
    z.strictObject({ every: z.int().min(2) }),
    z.strictObject({ column: z.string() }),
    z.number(),
  ] as const;
  const schema = z.strictObject({ v: z.union(branches, { error: "must be one of these" }) });
  expect(faultsOf(schema, { v: { every: 1 } })).toEqual(["/v/every must be at least 2"]);
  expect(faultsOf(schema, { v: { column: 5, x: 1 } })).toEqual([
    "/v/column must be a string, not 5",
    "/v/x is not known here; known: column",
  ]);
  for (const v of [{}, "x", { every: 2, column: "c" }])
    expect(faultsOf(schema, { v })).toEqual(["/v must be one of these"]);
});

const crowd = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i]));

test("an answer has a hundred faults, and the number of further ones", () => {
  const record = z.record(z.string().max(1), z.int());
  for (const [schema, value] of [
    [record, crowd(1000)],
    [z.strictObject({}), crowd(1000)],
    [z.array(z.string()), Array.from({ length: 1000 }, () => 5)],
    [z.strictObject({ a: z.strictObject({}), b: z.array(z.int()) }), { a: crowd(998), b: ["x", "y"] }],
  ] as const) {
    const { faults } = check(schema, value);
    expect(faults).toHaveLength(1000);
    const { message, members } = faulty("invalid_spec", faults!);
    expect(message).toMatch(/ \(and at least 999 more\)\.$/);
    expect(members.errors).toHaveLength(100);
    expect(new Set(members.errors!.map(({ pointer }) => pointer)).size).toBe(100);
  }
});

test("a list with many faulty items is not checked to its end", () => {
  let looks = 0;
  const item = z.string({ error: () => `is number ${looks++}` });
  const { faults } = check(z.strictObject({ v: listOf(item).max(1000) }), { v: Array.from({ length: 1000 }, () => 5) });
  expect(looks).toBe(100);
  expect(faults!.map(({ pointer }) => pointer)).toEqual(Array.from({ length: 100 }, (_, i) => `/v/${i}`));
  const exactly = check(
    listOf(z.string()).length(500),
    Array.from({ length: 500 }, () => 5),
  );
  expect(exactly.faults).toHaveLength(100);
  const few = Array.from({ length: 1000 }, (_, i) => (i % 500 === 0 ? i : "x"));
  expect(faultsOf(z.strictObject({ v: listOf(z.string()) }), { v: few })).toEqual([
    "/v/0 must be a string, not 0",
    "/v/500 must be a string, not 500",
  ]);
  expect(faultsOf(listOf(z.string()).max(3), ["a", "b", "c", "d"])).toEqual([" must have at most 3 items"]);
  expect(faultsOf(listOf(z.string()), "a")).toEqual([' must be an array, not "a"']);
  expect(check(listOf(z.string()), ["a", "b"]).value).toEqual(["a", "b"]);
});

test("values that are too large or too deep are refused before a schema checks them", () => {
  let looks = 0;
  const schema = z.record(
    z.string(),
    z.any().refine(() => ++looks > 0),
  );
  const arrays = (count: number, length: number) =>
    Array.from({ length: count }, () => Array.from({ length }, () => 0));
  expect(faultsOf(schema, { a: Array.from({ length: 10_001 }, () => 0) })).toEqual([
    "/a must have at most 10000 members, not 10001",
  ]);
  expect(faultsOf(schema, { a: Array.from({ length: 1001 }, () => ({})) })).toEqual([
    "/a must have at most 1000 members, not 1001",
  ]);
  expect(faultsOf(schema, crowd(1001))).toEqual([" must have at most 1000 members, not 1001"]);
  expect(faultsOf(schema, { a: arrays(11, 10_000) })).toEqual([" must have at most 100000 members in all"]);
  expect(looks).toBe(0);
  expect(faultsOf(schema, { a: arrays(9, 10_000) })).toBeNull();
  expect(looks).toBe(1);
});

test("the detail is a sentence with the first fault", () => {
  const fault = { pointer: "/a", message: 'is unknown; did you mean "b"?' };
  expect(faulty("invalid_spec", [{ pointer: "", message: "must be an object" }]).message).toBe(
    "The body must be an object.",
  );
  expect(faulty("invalid_spec", [fault]).message).toBe('/a is unknown; did you mean "b"?');
  expect(faulty("invalid_spec", [fault, fault]).message).toBe('/a is unknown; did you mean "b"? (and 1 more).');
});

test.each([
  ["Adam", "adam"],
  ["AdamW", "adamw"],
  ["NAdam", "nadam"],
  ["crossentropy", "cross_entropy"],
  ["CrossEntropy", "cross_entropy"],
  ["cosine", "cosine_annealing"],
  ["adma", "adam"],
  ["sdg", "sgd"],
  ["x", null],
  ["quadratic", null],
  [5, null],
])("%s is taken for %s", (given, meant) => {
  const known = ["adam", "adamax", "adamw", "nadam", "sgd", "cross_entropy", "cosine_annealing"];
  expect(didYouMean(given, known)).toBe(meant === null ? "" : `; did you mean "${meant}"?`);
});

test("a body with NaN or Infinity is told to have null", () => {
  const detailOf = (text: string) => {
    try {
      return JSON.parse(text) as string;
    } catch (error) {
      return notJson(error as SyntaxError).message;
    }
  };
  for (const text of ['{"x": NaN}', "[Infinity]", "[-Infinity]"])
    expect(detailOf(text)).toMatch(/^The body is not JSON: .*\. Write null, not NaN or Infinity\.$/s);
  expect(detailOf("[1,]")).not.toContain("null");
});
