import type { MissingCells } from "./cell-word.ts";
import { categoricalColumn, dateColumn, enough, grown, numericColumn, type Column } from "./column.ts";
import type { Dictionary } from "./dictionary.ts";
import { areAllDifferent, fingerprint } from "./distinct.ts";
import { NUMBER, type Evidence, type ValueKind } from "./evidence.ts";
import type { KeptTexts } from "./kept-texts.ts";
import { readPlain, type PlainCells } from "./plain-cells.ts";
import type { DeclaredType } from "../reading.ts";
import type { RowBatch } from "../table/row-batch.ts";
import { Totals } from "./totals.ts";
import { verdictOn, type Decision } from "./verdict.ts";

/** A value for each row of a column with too many distinct cells for a dictionary. */
export class Series {
  readonly evidence: Evidence;
  readonly #missing: MissingCells;
  readonly #isDeclaredNumeric: boolean;
  /** What the values are read as; null: they are texts from the start. */
  #as: ValueKind | null;
  #values: Float64Array<ArrayBuffer>;
  #empty: number;
  #words: number;
  #again = 0;
  /** Of the values, if all of them are numbers. */
  #totals: Totals;

  constructor(
    evidence: Evidence,
    missing: MissingCells,
    declared: DeclaredType | null,
    dictionary: Dictionary,
    rows: number,
  ) {
    this.evidence = evidence;
    this.#missing = missing;
    this.#isDeclaredNumeric = declared === "numeric";
    this.#as = probableKind(evidence, declared);
    this.#empty = dictionary.count(rows, (cell) => missing.is(cell) === "always");
    this.#words = dictionary.count(rows, (cell) => missing.is(cell) === "besideValues");
    this.#values = dictionary.map(rows, (cell) => (missing.is(cell) === "no" ? this.#valueOf(cell, 0) : Number.NaN));
    this.#totals = Totals.of(this.#values);
    this.#values = grown(this.#values, new Float64Array(2 * rows));
  }

  /** Whether the cells are taken as texts from the start. */
  get areTexts(): boolean {
    return this.#as === null;
  }

  add(row: number, cell: string, line: number): void {
    if (row === this.#values.length) this.#values = grown(this.#values, new Float64Array(2 * row));
    const missing = this.#missing.is(cell);
    if (missing === "no") {
      this.#values[row] = this.#valueOf(cell, line);
      this.#totals.add(this.#values[row]);
      return;
    }
    this.#values[row] = Number.NaN;
    if (missing === "always") this.#empty++;
    else this.#words++;
  }

  /**
   * Takes plain cells, from a row of a batch on. Gives the first row whose cell is not plain, or
   * tells something new about the column. `row`: how many cells the column has. `texts` gets the
   * cells too.
   */
  addPlain(row: number, batch: RowBatch, column: number, from: number, texts: KeptTexts | null): number {
    const plain = this.evidence.plain(this.#as);
    if (plain === null) return from;
    const kept = texts?.areKept ? texts : null;
    const to = readPlain(plain, batch, column, from, !this.#missing.isDefault, kept !== null, this.#totals);
    this.#setValues(batch.doubles(from, to), row, batch.expected);
    kept?.addAll(batch.textsUntil(), batch.endsOf(from, to));
    const { run } = batch.kernels;
    this.#empty += run.missing_always();
    this.#words += run.missing_beside_values();
    return to;
  }

  #setValues(values: Float64Array, row: number, expected: number): void {
    const rows = row + values.length;
    if (rows > this.#values.length)
      this.#values = grown(this.#values, new Float64Array(enough(rows, expected, this.#values.length)));
    this.#values.set(values, row);
  }

  #valueOf(cell: string, line: number): number {
    const { evidence } = this;
    const as = this.#as;
    if (as === null) {
      // Once the cell for the reason is known, no further cell can change anything.
      if (evidence.firstOther === null) evidence.note(cell, line);
      return fingerprint(cell);
    }
    const kind = evidence.note(cell, line);
    const value = evidence.value(kind, as);
    const hasValue = !Number.isNaN(value) && (kind !== NUMBER || this.#isDeclaredNumeric || !evidence.number.isCode);
    return hasValue ? value : fingerprint(cell);
  }

  /**
   * Whether the values must be read again, as this kind. They need not if they were read as this
   * kind: then no cell was anything else, or the column would not have this type.
   */
  begin(as: ValueKind): boolean {
    const isSame = this.#as === as || (isMark(this.#as) && isMark(as) && this.evidence.marksDiffer === null);
    this.#as = as;
    if (!isSame) this.#totals = new Totals();
    return !isSame;
  }

  addAgain(cell: string): void {
    const { evidence } = this;
    const value =
      this.#missing.is(cell) === "no" ? evidence.value(evidence.note(cell, 0), this.#as as ValueKind) : Number.NaN;
    this.#values[this.#again++] = value;
    this.#totals.add(value);
  }

  /** The same for cells that come again, of a column that is no text. */
  addPlainAgain(batch: RowBatch, column: number, from: number): number {
    const to = readPlain(allPlain(this.#as!), batch, column, from, !this.#missing.isDefault, false, this.#totals);
    this.#values.set(batch.doubles(from, to), this.#again);
    this.#again += to - from;
    return to;
  }

  finish(name: string, rows: number, verdict: Decision): Column {
    const values = this.#values.subarray(0, rows);
    if ("as" in verdict) {
      const missing = this.#empty + this.#words;
      return verdict.type === "date"
        ? dateColumn(name, missing, values)
        : numericColumn(name, missing, values, null, this.#totals);
    }
    const missing = this.#empty + (this.evidence.isOneKind ? this.#words : 0);
    const { summary } = categoricalColumn(name, missing, null, []);
    const all_different = areAllDifferent(values, rows - this.#empty - this.#words);
    return { summary: { ...summary, all_different }, values: null };
  }
}

/** After more than a thousand cells, the other cells are probably of the same kind. */
function probableKind(evidence: Evidence, declared: DeclaredType | null): ValueKind | null {
  const mark = evidence.proof(",") === null ? "." : ",";
  const verdict = verdictOn(evidence, declared, "", { mark, proof: "declared" }, false);
  return "as" in verdict ? verdict.as : null;
}

/** All cells tell nothing new, because they were read before. */
function allPlain(as: ValueKind): PlainCells {
  if (as === "." || as === ",") return { as: "numbers", mark: as, takesMark: true, takesGroups: true };
  return { as: "dates", order: as, takesOrders: true, takesOneOrder: true };
}

function isMark(as: ValueKind | null): boolean {
  return as === "." || as === ",";
}
