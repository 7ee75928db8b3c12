/**
 * What the cells of a column could be, as far as they are known. Each cell is noted once, with the
 * line on which it first stands. For each type the first cell is kept that contradicts it. So the
 * type can be decided after the last row, when the decimal mark of the file is known, and the cells
 * need not be kept.
 */
import { DateReader } from "./cell-date.ts";
import { NumberReader } from "./cell-number.ts";
import { booleanOf } from "./cell-word.ts";
import type { PlainCells } from "./plain-cells.ts";
import type { DateOrder, DecimalMark, DeclaredType } from "../reading.ts";

export interface Located {
  readonly line: number;
  readonly cell: string;
}

/** Each kind is a bit. */
export const NUMBER = 1;
export const DATE = 2;
export const BOOLEAN = 4;
/** It has the shape of a date, but no such date exists. */
export const ODD_DATE = 8;
export const TEXT = 16;

/** How the values of a column are read: numbers under a mark, or dates in an order. */
export type Order = "dayFirst" | "monthFirst";
export type ValueKind = DecimalMark | Order;

export class Evidence {
  readonly number = new NumberReader();
  readonly date = new DateReader();
  /** The kinds of all cells together. */
  kinds = 0;
  /** Which of the two the column had first: a number or a date. */
  leading: 0 | typeof NUMBER | typeof DATE = 0;
  firstNumber: Located | null = null;
  notNumber: Located | null = null;
  /** A number, but not under this mark. */
  notPoint: Located | null = null;
  notComma: Located | null = null;
  /** Commas group the digits under the point: `1,234`. */
  commaGroups: Located | null = null;
  /** The marks give it two values, or one gives it none. */
  marksDiffer: Located | null = null;
  firstDate: Located | null = null;
  notDate: Located | null = null;
  oddDate: Located | null = null;
  /** A date, but not in this order. */
  notDayFirst: Located | null = null;
  notMonthFirst: Located | null = null;
  /** A date whose order matters. */
  ordered: Located | null = null;
  /** An integer that a double does not give back. */
  code: Located | null = null;
  /** A number with another unit than the first number. */
  otherUnit: Located | null = null;
  /** A boolean that does not fit those before it. */
  notBoolean: Located | null = null;
  #pair = -1;
  readonly #spellings: [string | null, string | null] = [null, null];
  #unit = "";
  readonly #declared: DeclaredType | null;

  constructor(declared: DeclaredType | null) {
    this.#declared = declared;
  }

  /** Gives the kind of the cell. `number` and `date` hold its values until the next call. */
  note(cell: string, line: number): number {
    const kind = this.#kindOf(cell);
    this.kinds |= kind;
    if (this.leading === 0 && (kind === NUMBER || kind === DATE)) this.leading = kind;
    if (kind === NUMBER) this.#noteNumber(cell, line);
    else this.notNumber ??= located(cell, line);
    if (kind === DATE) this.#noteDate(cell, line);
    else this.notDate ??= located(cell, line);
    if (kind === ODD_DATE) this.oddDate ??= located(cell, line);
    if (kind === BOOLEAN) this.#noteBoolean(cell, line);
    else this.notBoolean ??= located(cell, line);
    return kind;
  }

  /** The value of a cell that was just noted, or NaN if it has none of this kind. */
  value(kind: number, as: ValueKind): number {
    if (kind === NUMBER) return as === "." ? this.number.point : as === "," ? this.number.comma : Number.NaN;
    if (kind === DATE) return as === "dayFirst" || as === "monthFirst" ? this.date[as] : Number.NaN;
    return Number.NaN;
  }

  /**
   * Which cells tell nothing new, if the column is read as this kind (null: as texts). Kernels may
   * take those. Null: each cell may tell something.
   */
  plain(as: ValueKind | null): PlainCells | null {
    if (as === null) return this.#plainTexts();
    return as === "." || as === "," ? this.#plainNumbers(as) : this.#plainDates(as);
  }

  #plainNumbers(mark: DecimalMark): PlainCells | null {
    if (this.leading !== NUMBER || !this.#knowsIntegers) return null;
    const other = mark === "." ? this.notComma : this.notPoint;
    const takesMark = other !== null && this.marksDiffer !== null;
    return { as: "numbers", mark, takesMark, takesGroups: mark === "." || this.commaGroups !== null };
  }

  #plainDates(order: Order): PlainCells | null {
    if (this.leading !== DATE || this.notNumber === null || this.notBoolean === null) return null;
    const oneOrder = order === "dayFirst" ? this.notMonthFirst : this.notDayFirst;
    return { as: "dates", order, takesOrders: this.ordered !== null, takesOneOrder: oneOrder !== null };
  }

  #plainTexts(): PlainCells | null {
    if (this.firstOther !== null) return { as: "texts", takes: "any" };
    if ((this.kinds & TEXT) !== 0 && this.notBoolean !== null) return { as: "texts", takes: "texts" };
    const isOfDigits = this.#declared !== "date" && this.#declared !== "boolean" && this.code !== null;
    return isOfDigits && this.leading === NUMBER && this.#knowsIntegers ? { as: "texts", takes: "digits" } : null;
  }

  /** Whether an integer without a unit tells nothing new, if it is no code. */
  get #knowsIntegers(): boolean {
    const knowsUnit = this.#unit === "" || this.otherUnit !== null;
    return this.firstNumber !== null && this.notDate !== null && this.notBoolean !== null && knowsUnit;
  }

  /** Whether all cells are numbers, all dates, or all booleans. */
  get isOneKind(): boolean {
    return this.kinds === 0 || this.kinds === NUMBER || this.kinds === DATE || this.kinds === BOOLEAN;
  }

  /** The first cell that is not what the first number or date is. */
  get firstOther(): Located | null {
    return this.leading === NUMBER ? this.notNumber : this.leading === DATE ? this.notDate : null;
  }

  /**
   * The cell that is a number under this mark alone. Null unless all cells are numbers under this
   * mark.
   */
  proof(mark: DecimalMark): Located | null {
    if (this.kinds !== NUMBER || (mark === "." ? this.notPoint : this.notComma) !== null) return null;
    return mark === "." ? this.notComma : this.notPoint;
  }

  /** The order of the dates, if a cell is a date in one order alone. Not asked if each has one. */
  get dateOrder(): DateOrder | null {
    if (this.notDayFirst !== null) return "month_first";
    return this.notMonthFirst === null ? null : "day_first";
  }

  #kindOf(cell: string): number {
    const declared = this.#declared;
    const { date } = this;
    if (declared === "boolean" && booleanOf(cell) !== null) return BOOLEAN;
    if (declared === "date" && date.readDeclared(cell)) return kindOfDate(date);
    // No cell is both a number and a date. What the other cells are is tried first.
    if (this.leading === DATE && date.read(cell)) return kindOfDate(date);
    if (this.number.read(cell)) return NUMBER;
    if (date.read(cell)) return kindOfDate(date);
    return booleanOf(cell, false) === null ? TEXT : BOOLEAN;
  }

  #noteNumber(cell: string, line: number): void {
    const { number } = this;
    if (this.firstNumber === null) {
      this.firstNumber = located(cell, line);
      this.#unit = number.unit;
    }
    if (Number.isNaN(number.point)) this.notPoint ??= located(cell, line);
    if (Number.isNaN(number.comma)) this.notComma ??= located(cell, line);
    if (number.point !== number.comma) this.marksDiffer ??= located(cell, line);
    if (number.commaGroups) this.commaGroups ??= located(cell, line);
    if (number.isCode) this.code ??= located(cell, line);
    if (number.unit !== this.#unit) this.otherUnit ??= located(cell, line);
  }

  #noteDate(cell: string, line: number): void {
    const { date } = this;
    this.firstDate ??= located(cell, line);
    if (Number.isNaN(date.dayFirst)) this.notDayFirst ??= located(cell, line);
    if (Number.isNaN(date.monthFirst)) this.notMonthFirst ??= located(cell, line);
    if (date.hasOrder) this.ordered ??= located(cell, line);
  }

  /** Each of the two words may have one spelling only. */
  #noteBoolean(cell: string, line: number): void {
    const truth = booleanOf(cell);
    if (truth === null) return;
    if (this.#pair < 0) this.#pair = truth.pair;
    const side = truth.value ? 1 : 0;
    this.#spellings[side] ??= cell;
    if (truth.pair !== this.#pair || this.#spellings[side] !== cell) this.notBoolean ??= located(cell, line);
  }
}

function kindOfDate({ dayFirst, monthFirst }: DateReader): typeof DATE | typeof ODD_DATE {
  return Number.isNaN(dayFirst) && Number.isNaN(monthFirst) ? ODD_DATE : DATE;
}

/** How many characters of a long cell a message quotes. */
const MAX_CELL_TOLD = 100;

function located(cell: string, line: number): Located {
  return { line, cell: cell.length > MAX_CELL_TOLD ? `${cell.slice(0, MAX_CELL_TOLD)}…` : cell };
}
