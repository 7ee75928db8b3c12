import { expect, test } from "vitest";
import { checkInline, type Inline } from "../../src/data/source.ts";

test("the check of inline rows stops after a hundred faults, in the middle of a row too", () => {
  const columns = Array.from({ length: 60 }, (_, i) => `x${i}`);
  const rows = [1, 2, 3].map(() => columns.map(() => true)) as unknown as Inline["rows"];
  const faults = checkInline({ columns, rows });
  expect(faults).toHaveLength(100);
  expect(faults.at(-1)!.pointer).toBe("/data/inline/rows/1/39");
});
