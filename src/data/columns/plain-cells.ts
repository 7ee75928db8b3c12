/**
 * Cells that kernels read, many at once. What they do not take is read cell by cell as everywhere
 * else, so the kernels only need to know the most frequent forms (data/kernels).
 */
import { missingKinds, type ReaderKernels } from "../kernels/reader.ts";
import { WordTable } from "../kernels/word-table.ts";
import type { RowBatch } from "../table/row-batch.ts";
import type { MissingCells } from "./cell-word.ts";
import type { Totals } from "./totals.ts";

/** In the order of texts.kernel.as.ts. */
const takenTexts = ["any", "texts", "digits"] as const;

/** What a column's cells are read as, and which of them are taken. */
export type PlainCells =
  | {
      readonly as: "numbers";
      readonly mark: "." | ",";
      /** Those with the decimal mark, and those whose mark could also group thousands. */
      readonly takesMark: boolean;
      readonly takesGroups: boolean;
    }
  | {
      readonly as: "dates";
      readonly order: "dayFirst" | "monthFirst";
      /** Those where the order matters, and those that exist in one order alone. */
      readonly takesOrders: boolean;
      readonly takesOneOrder: boolean;
    }
  | {
      readonly as: "texts";
      /** All, those that are surely nothing else, or those of digits alone. */
      readonly takes: (typeof takenTexts)[number];
    };

/**
 * Reads cells of a column from a row on, and gives the first row whose cell is not taken. Their
 * values are then in the batch, and the numbers of missing cells in the kernels.
 * @param areWordsNumbers whether a word for a missing cell may look like a number or a date
 * @param keepsTexts whether the batch gets the texts too
 * @param totals get the numbers
 */
export function readPlain(
  plain: PlainCells,
  batch: RowBatch,
  column: number,
  from: number,
  areWordsNumbers: boolean,
  keepsTexts: boolean,
  totals: Totals,
): number {
  const { run } = batch.kernels;
  const cells = batch.cells(column);
  const { stride, rows, values, ends } = batch;
  const words = Number(areWordsNumbers);
  switch (plain.as) {
    case "numbers": {
      const [mark, takesMark, takesGroups] = [plain.mark.charCodeAt(0), plain.takesMark, plain.takesGroups];
      const takes = [Number(takesMark), Number(takesGroups)] as const;
      const to = run.numbers_of(cells, stride, from, rows, mark, ...takes, words, values, totals.sum);
      totals.addRead(run, to - from);
      return to;
    }
    case "dates": {
      const order = plain.takesOrders ? Number(plain.order === "monthFirst") : -1;
      return run.dates_of(cells, stride, from, rows, order, Number(plain.takesOneOrder), words, values);
    }
    case "texts": {
      const texts = keepsTexts ? batch.texts : 0;
      return run.texts_of(cells, stride, from, rows, takenTexts.indexOf(plain.takes), values, texts, ends);
    }
  }
}

/** Tells the kernels the words for missing cells. */
export function setMissingWords(kernels: ReaderKernels, missing: MissingCells): void {
  const table = new WordTable(kernels);
  let longest = 0;
  for (const [word, kind] of missing.words()) {
    const bytes = Buffer.from(word);
    const at = kernels.allocate(bytes.length);
    kernels.bytes.set(bytes, at);
    table.add(at, at + bytes.length, missingKinds[kind]);
    longest = Math.max(longest, bytes.length);
  }
  const { address, slots } = table.place!;
  kernels.run.missing_words(address, slots, longest);
}
