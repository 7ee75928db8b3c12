/** Files of a hundred bytes that stand for much more are read in bounded memory, or refused. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { hostileFile, run, steps } from "./hostile.ts";

const LIMIT_BYTES = 2 ** 29;
const MANY = 2 ** 24 + 1;
const THOUSANDS = 60_000;
const text = { type: "BYTE_ARRAY", rows: MANY } as const;
const files = {
  // Each text is the one before and one more letter: 1.8 GB of texts.
  "texts that grow": hostileFile({
    ...text,
    encoding: "DELTA_BYTE_ARRAY",
    rows: THOUSANDS,
    data: [...steps(0, 1, THOUSANDS), ...steps(1, 0, THOUSANDS), ...Buffer.alloc(THOUSANDS, "a")],
  }),
  "empty texts": hostileFile({ ...text, encoding: "DELTA_LENGTH_BYTE_ARRAY", data: steps(0, 0, MANY) }),
  booleans: hostileFile({ type: "BOOLEAN", encoding: "RLE", rows: MANY, data: run(1, MANY) }),
  numbers: hostileFile({ type: "INT64", encoding: "DELTA_BINARY_PACKED", rows: MANY, data: steps(0, 0, MANY) }),
  nulls: hostileFile({ ...text, encoding: "PLAIN", isNullable: true, data: run(0, MANY) }),
  "a run that is longer than the page": hostileFile({
    ...text,
    encoding: "PLAIN",
    isNullable: true,
    rows: 3,
    data: run(0, 2 ** 31 - 1),
  }),
};
const tooMany = "A page of the Parquet file holds 16777217 values; it may hold 16777216. Write smaller row groups.";

test("little memory is enough for all of them", () => {
  const program = `
    const { readParquet } = await import(${JSON.stringify(new URL("../../../src/data/parquet/read.ts", import.meta.url))});
    const outcomes = {};
    for (const [name, file] of ${JSON.stringify(Object.entries(files).map(([name, file]) => [name, file.toString("base64")]))})
      outcomes[name] = await readParquet(Buffer.from(file, "base64"), ${LIMIT_BYTES}).then(({ rows }) => rows, ({ message }) => message);
    console.log(JSON.stringify({ outcomes, peakKiB: process.resourceUsage().maxRSS }));`;
  const flags = ["--max-old-space-size=256", "--input-type=module", "--eval", program];
  const { stdout, stderr, status } = spawnSync(process.execPath, flags, { encoding: "utf8" });
  expect([stderr, status]).toEqual(["", 0]);
  const { outcomes, peakKiB } = JSON.parse(stdout);
  expect(outcomes).toEqual({
    "texts that grow": `A dataset may have at most ${LIMIT_BYTES} bytes.`,
    "empty texts": tooMany,
    booleans: tooMany,
    numbers: tooMany,
    nulls: tooMany,
    "a run that is longer than the page": 3,
  });
  expect(peakKiB).toBeLessThan(400 * 1024);
});

test("a page of a few bytes may hold a million values", async () => {
  const { readParquet } = await import("../../../src/data/parquet/read.ts");
  const rows = 2 ** 20;
  const file = hostileFile({ type: "INT64", encoding: "DELTA_BINARY_PACKED", rows, data: steps(5, 3, rows) });
  const { columns } = await readParquet(file, LIMIT_BYTES);
  expect(columns[0].summary).toMatchObject({ min: 5, max: 5 + 3 * (rows - 1), missing: 0 });
});
