import { describe, expect, it } from "vitest";
import { z } from "zod";
import { check } from "../../../src/contract/resolve/faults.ts";
import { optionSchemas } from "../../../src/contract/schema/members.ts";
import type { Options } from "../../../src/engine/member/options.ts";

describe("an option of sizes", () => {
  const one = { kind: "sizes", length: 1, min: 1, doc: "" } as const;
  const two = { kind: "sizes", length: 2, min: 0, max: 9, choices: ["same", "valid"], doc: "" } as const;
  const faultsOf = (options: Options, value: unknown) => {
    const schema = z.strictObject(optionSchemas(options) as z.ZodRawShape);
    return check(schema, value).faults?.map(({ pointer, message }) => `${pointer} ${message}`) ?? [];
  };

  it.each([3, [3]])("over one dimension takes %j", (v) => expect(faultsOf({ v: one }, { v })).toEqual([]));
  it.each([3, [3, 0], "same"])("over two dimensions takes %j", (v) => expect(faultsOf({ v: two }, { v })).toEqual([]));

  it.each([
    [one, "3", "/v must be an integer or a list of one"],
    [one, [3, 3], "/v must have exactly 1 item"],
    [one, 0, "/v must be at least 1"],
    [two, "some", '/v must be an integer, a list of 2, "same" or "valid"'],
    [two, null, '/v must be an integer, a list of 2, "same" or "valid"'],
    [two, [1], "/v must have exactly 2 items"],
    [two, [1, 10], "/v/1 must be at most 9"],
    [two, 1.5, '/v must be an integer, a list of 2, "same" or "valid"'],
  ])("%j refuses %j: %s", (option, v, fault) => expect(faultsOf({ v: option }, { v })).toEqual([fault]));
});
