/*
 * A column whose type is detected from its cells, or was declared.
 *
 * A column starts out coded: a dictionary of the distinct cells, each with its first line, and a
 * 16-bit code for each row. That suits small integers, flags and categories, which most columns
 * hold. Whatever the type turns out to be, no cell is needed twice.
 *
 * This ends when there is one class more than can be listed. From then on each cell is noted as
 * evidence, and read as the same kind as the cells before it: a number under the decimal mark that
 * they show, or a date in their order. If all cells are of that kind, these are the values. The
 * first cell of another kind leaves the decision open. The column may still turn out to hold
 * numbers or dates, for example under a decimal comma that another column shows. Then it needs its
 * cells again.
 *
 * For a text a fingerprint is kept in place of a value, so that one can tell in the end whether
 * nearly all texts are different. The texts themselves are kept beside it if there is a room for
 * them. Where the first cells were numbers, the column needs its cells again to keep them.
 */
import type { MissingCells } from "./cell-word.ts";
import { categoricalColumn, dateColumn, numericColumn, tabulated, type Column } from "./column.ts";
import { MAX_CLASSES, type Reason } from "../dataset.ts";
import { Dictionary } from "./dictionary.ts";
import { areNearlyAll } from "./distinct.ts";
import { Evidence, type Located, type ValueKind } from "./evidence.ts";
import { KeptTexts, type TextRoom } from "./kept-texts.ts";
import type { DeclaredType } from "../reading.ts";
import { Series } from "./series.ts";
import type { RowBatch } from "../table/row-batch.ts";
import { verdictOn, type Decision, type Mark } from "./verdict.ts";

export class TypedColumn {
  readonly #name: string;
  readonly #declared: DeclaredType | null;
  readonly #missing: MissingCells;
  #rows = 0;
  #dictionary: Dictionary | null;
  /** Takes over when the dictionary ends. */
  #series: Series | null = null;
  #verdict: Decision | null = null;
  #needsAgain = false;
  #evidence: Evidence | null = null;
  readonly #room: TextRoom | null;
  #texts: KeptTexts | null = null;

  /** @param room for the texts of a column without classes; null: they are not kept */
  constructor(name: string, declared: DeclaredType | null, missing: MissingCells, room: TextRoom | null = null) {
    this.#name = name;
    this.#declared = declared;
    this.#missing = missing;
    this.#room = room;
    this.#dictionary = new Dictionary(missing);
  }

  add(cell: string, line: number): void {
    const row = this.#rows++;
    if (this.#series !== null) {
      this.#series.add(row, cell, line);
      this.#texts?.add(cell);
    } else if (this.#dictionary !== null) this.#addCode(this.#dictionary, row, cell, line);
  }

  /**
   * Takes the rows of a batch for as long as the column stays coded. Gives the first row that it
   * did not take.
   */
  addCoded(batch: RowBatch, column: number): number {
    const dictionary = this.#dictionary;
    if (dictionary === null) return 0;
    let row = 0;
    for (;;) {
      const known = dictionary.addKnown(this.#rows, batch, column, row);
      this.#rows += known - row;
      row = known;
      if (row === batch.rows) return row;
      const cell = batch.cell(column, row);
      if (dictionary.isFullFor(cell)) return row;
      this.add(cell, batch.line(row));
      dictionary.learn(cell, batch.place(column, row));
      row++;
    }
  }

  /** At least as many bytes as the room must have when the column is coded no longer. */
  get codedBytes(): number {
    return this.#dictionary?.mostBytes(this.#rows) ?? 0;
  }

  /** Takes the rows of a batch from one on. */
  addFrom(row: number, batch: RowBatch, column: number): void {
    while (row < batch.rows) {
      const plain = this.#series?.addPlain(this.#rows, batch, column, row, this.#texts) ?? row;
      this.#rows += plain - row;
      row = plain;
      if (row === batch.rows) return;
      this.add(batch.cell(column, row), batch.line(row));
      row++;
    }
  }

  #addCode(dictionary: Dictionary, row: number, cell: string, line: number): void {
    if (dictionary.add(row, cell, line)) return;
    this.#series = new Series(dictionary.evidence(this.#declared), this.#missing, this.#declared, dictionary, row + 1);
    if (this.#series.areTexts) this.#keepTexts(dictionary);
    this.#dictionary = null;
  }

  #keepTexts(dictionary: Dictionary): void {
    if (this.#room === null) return;
    this.#texts = new KeptTexts(this.#room, this.#missing);
    dictionary.each(this.#rows, (cell) => this.#texts!.add(cell));
  }

  /** What the cells could be. To be asked after the last one. */
  get evidence(): Evidence {
    this.#evidence ??= this.#series?.evidence ?? (this.#dictionary as Dictionary).evidence(this.#declared);
    return this.#evidence;
  }

  /** Whether its cells may prove the decimal mark of the file. */
  get mayProve(): boolean {
    return this.#declared === null || this.#declared === "numeric" || this.#declared === "ignore";
  }

  /** Of a column of numbers: which of them could be thousands. */
  #doubt: Reason | null = null;

  /** Decides the type. Returns the reason if a cell does not have the declared type. */
  settle(mark: Mark): Reason | null {
    const verdict = verdictOn(this.evidence, this.#declared, this.#name, mark, !this.#missing.isDefault);
    if (verdict.type === "fault") return verdict.reason;
    this.#verdict = verdict;
    if (verdict.type === "numeric" && mark.proof === null && mark.pointMayGroup)
      this.#doubt = doubtOf(this.evidence.marksDiffer);
    if (this.#series === null) return null;
    if ("as" in verdict) {
      this.#needsAgain = this.#series.begin(verdict.as);
      if (this.#texts !== null) this.#room?.leave(this.#texts);
      this.#texts = null;
    } else if (this.#texts === null && this.#room !== null) {
      this.#texts = new KeptTexts(this.#room, this.#missing);
      this.#needsAgain = true;
    }
    return null;
  }

  /** To be asked after `settle`. */
  get needsAgain(): boolean {
    return this.#needsAgain;
  }

  addAgain(cell: string): void {
    if (this.#texts !== null) this.#texts.add(cell);
    else this.#series?.addAgain(cell);
  }

  addBatchAgain(batch: RowBatch, column: number): void {
    let row = 0;
    while (row < batch.rows) {
      if (this.#texts === null) row = this.#series!.addPlainAgain(batch, column, row);
      if (row < batch.rows) this.addAgain(batch.cell(column, row++));
    }
  }

  finish(): Column {
    const verdict = this.#verdict;
    if (verdict === null) throw new Error("A column has no type before it is settled.");
    const column = this.#series?.finish(this.#name, this.#rows, verdict) ?? this.#decoded(verdict);
    this.#texts?.end(this.evidence.isOneKind);
    const reason = verdict.type === "categorical" ? verdict.reason : this.#doubt;
    const { dateOrder } = this.evidence;
    const date_order = verdict.type === "date" && dateOrder !== null ? { date_order: dateOrder } : {};
    return { ...column, summary: { ...column.summary, reason, ...date_order } };
  }

  /** The texts of a column without classes, if they are kept. To be asked after `finish`. */
  get texts(): KeptTexts | null {
    return this.#texts;
  }

  #decoded(verdict: Decision): Column {
    const dictionary = this.#dictionary as Dictionary;
    const isWordMissing = verdict.type !== "categorical" || this.evidence.isOneKind;
    const { codes, cells, missing } = dictionary.compact(this.#rows, isWordMissing);
    const name = this.#name;
    if ("as" in verdict) {
      const few = this.#valuesOf(cells, verdict.as);
      const values = tabulated(codes, few);
      return verdict.type === "date"
        ? dateColumn(name, missing, values, few)
        : numericColumn(name, missing, values, few);
    }
    const isListed = !(verdict.type === "categorical" && verdict.isText) && cells.length <= MAX_CLASSES;
    const { summary, values } = categoricalColumn(name, missing, isListed ? codes : null, cells);
    if (values === null) this.#keepTexts(dictionary);
    if (verdict.type === "boolean") return { summary: { ...summary, type: "boolean" }, values };
    const all_different = areNearlyAll(cells.length, codes.length - missing);
    return { summary: { ...summary, all_different }, values };
  }

  #valuesOf(cells: readonly string[], as: ValueKind): Float64Array {
    const evidence = new Evidence(this.#declared);
    return Float64Array.from(cells, (cell) => evidence.value(evidence.note(cell, 0), as));
  }
}

function doubtOf(cell: Located | null): Reason | null {
  if (cell === null) return null;
  const what = JSON.stringify(cell.cell);
  const message = `${what} is read with a decimal point, and could have a point between thousands: no cell of the file tells. Upload the file with ?decimal=. or ?decimal=, to say which mark is the decimal one.`;
  return { ...cell, message };
}
