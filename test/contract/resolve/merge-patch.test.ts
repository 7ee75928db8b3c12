import { expect, test } from "vitest";
import { mergePatch } from "../../../src/contract/resolve/merge-patch.ts";

test.each([
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', "{}"],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '["c","d"]', '["c","d"]'],
  ['{"a":"b"}', '["c"]', '["c"]'],
  ['{"a":"foo"}', "null", "null"],
  ['{"a":"foo"}', '"bar"', '"bar"'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ["[1,2]", '{"a":"b","c":null}', '{"a":"b"}'],
  ["{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
])("%s patched with %s is %s, as in RFC 7396", (target, patch, result) => {
  expect(mergePatch(JSON.parse(target), JSON.parse(patch))).toEqual(JSON.parse(result));
});

test("a member that gets another type keeps none of its options", () => {
  const spec = { optimizer: { type: "adam", lr: 0.1, betas: [0.9, 0.999] }, name: "a" };
  expect(mergePatch(spec, { optimizer: { type: "sgd", lr: 1 } })).toEqual({
    optimizer: { type: "sgd", lr: 1 },
    name: "a",
  });
  expect(mergePatch(spec, { optimizer: { type: "adam", lr: 1 } })).toEqual({
    optimizer: { type: "adam", lr: 1, betas: [0.9, 0.999] },
    name: "a",
  });
});

test("nor does a member that gets another dialect", () => {
  const torch = { type: "adam", dialect: "torch", eps: 1e-8 };
  expect(mergePatch(torch, { type: "adam", dialect: "keras", lr: 1 })).toEqual({
    type: "adam",
    dialect: "keras",
    lr: 1,
  });
  expect(mergePatch(torch, { type: "adam", dialect: "torch", lr: 1 })).toEqual({ ...torch, lr: 1 });
  // It is of its type still.
  expect(mergePatch(torch, { dialect: "keras" })).toEqual({ type: "adam", dialect: "keras" });
  expect(mergePatch(torch, { type: "lion" })).toEqual({ type: "lion" });
});

test("a patch can neither change a prototype nor overflow the stack", () => {
  const patched = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}')) as object;
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  expect(Object.getPrototypeOf(patched)).toBe(Object.prototype);
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = { a: deep };
  expect(() => mergePatch({}, deep)).not.toThrow();
});
