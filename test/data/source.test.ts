import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkInline, writeSource, type Inline } from "../../src/data/source.ts";

test("the check of inline rows stops after a hundred faults, in the middle of a row too", () => {
  const columns = Array.from({ length: 60 }, (_, i) => `x${i}`);
  const rows = [1, 2, 3].map(() => columns.map(() => true)) as unknown as Inline["rows"];
  const faults = checkInline({ columns, rows });
  expect(faults).toHaveLength(100);
  expect(faults.at(-1)!.pointer).toBe("/data/inline/rows/1/39");
});

test("a text of an inline row is quoted if reading the table would change it", async () => {
  const directory = await mkdtemp(join(tmpdir(), "rappel-source-"));
  const csv = join(directory, "inline.csv");
  const texts = ["a b", " a", "b\t", "c,d", 'e"f', "g\nh", ""];
  const inline: Inline = { columns: ["text", "number"], rows: texts.map((text) => [text, 1]) };
  await writeSource({ source: JSON.stringify({ inline }), csv });
  const written = await readFile(csv, "utf8");
  expect(written).toBe('text,number\na b,1\n" a",1\n"b\t",1\n"c,d",1\n"e""f",1\n"g\nh",1\n,1\n');
  await rm(directory, { recursive: true });
});
