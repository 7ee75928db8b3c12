/**
 * What a date looks like in a cell: ISO 8601, or day, month and year in one of two orders. The
 * column decides the order, so each cell is read in both. Times are UTC unless the cell says
 * otherwise. Years have four digits.
 */

/** Longer cells are no dates. */
const MAX_LENGTH = 40;

const YEAR_FIRST = /^(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[T ](\d.*))?$/;
const YEAR_AND_MONTH = /^(\d{4})-(\d{2})$/;
const COMPACT = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})?(Z?)$/;
const YEAR_LAST = /^(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?:[T ](\d.*))?$/;
const EIGHT_DIGITS = /^(\d{4})(\d{2})(\d{2})$/;
const TIME =
  /^(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?(?: ?([AP]M))?(?: ?(Z|UTC|GMT|([+-])(\d{2})(?::?(\d{2}))?))?$/i;

const DAY_MS = 86_400_000;
const DASH = 45;
const ZERO = 48;

/** Reads one cell after the other. Its fields describe the last cell that it read. */
export class DateReader {
  /**
   * Milliseconds since 1970-01-01T00:00:00Z, if the day comes before the month (`dayFirst`) or
   * after it (`monthFirst`); NaN if there is no such date. Both are the same if the year comes
   * first.
   */
  dayFirst = Number.NaN;
  monthFirst = Number.NaN;
  /** Whether the order matters. */
  hasOrder = false;

  /** Whether the cell has the shape of a date. The date itself may not exist. */
  read(cell: string): boolean {
    this.dayFirst = this.monthFirst = Number.NaN;
    this.hasOrder = false;
    // Few other cells begin with a digit, so this sorts them out fast.
    if (cell.length < 6 || cell.length > MAX_LENGTH || !(cell.charCodeAt(0) <= 57)) return false;
    return this.#readIso(cell) || this.#readYearFirst(cell) || this.#readYearLast(cell);
  }

  /**
   * The most frequent shapes, `2024-01-31` and `2024-01-31T10:20:30`, without regular expressions.
   */
  #readIso(cell: string): boolean {
    if (cell.charCodeAt(4) !== DASH || cell.charCodeAt(7) !== DASH) return false;
    const date = dateOf(100 * pair(cell, 0) + pair(cell, 2), pair(cell, 5), pair(cell, 8));
    let time = 0;
    if (cell.length === 19 && (cell[10] === "T" || cell[10] === " ") && cell[13] === ":" && cell[16] === ":")
      time = timeOf(pair(cell, 11), pair(cell, 14), pair(cell, 17));
    else if (cell.length !== 10) return false;
    this.dayFirst = this.monthFirst = date + time;
    return !Number.isNaN(date + time);
  }

  /** Digits alone are a date only where the column is declared to hold dates. */
  readDeclared(cell: string): boolean {
    const parts = EIGHT_DIGITS.exec(cell);
    if (parts === null) return this.read(cell);
    this.dayFirst = this.monthFirst = momentOf(parts[1], parts[2], parts[3], undefined);
    this.hasOrder = false;
    return true;
  }

  #readYearFirst(cell: string): boolean {
    const parts = YEAR_FIRST.exec(cell);
    if (parts !== null) {
      this.dayFirst = this.monthFirst = momentOf(parts[1], parts[3], parts[4], parts[5]);
      return true;
    }
    const short = YEAR_AND_MONTH.exec(cell);
    if (short !== null) {
      this.dayFirst = this.monthFirst = momentOf(short[1], short[2], "1", undefined);
      return true;
    }
    const compact = COMPACT.exec(cell);
    if (compact === null) return false;
    const [, year, month, day, hour, minute, second = "00", zone] = compact;
    this.dayFirst = this.monthFirst = momentOf(year, month, day, `${hour}:${minute}:${second}${zone}`);
    return true;
  }

  #readYearLast(cell: string): boolean {
    const parts = YEAR_LAST.exec(cell);
    if (parts === null) return false;
    const [, first, , second, year, time] = parts;
    this.hasOrder = true;
    if (year.length === 4) {
      this.dayFirst = momentOf(year, second, first, time);
      this.monthFirst = momentOf(year, first, second, time);
    }
    return true;
  }
}

function momentOf(year: string, month: string, day: string, time: string | undefined): number {
  return dateOf(Number(year), Number(month), Number(day)) + (time === undefined ? 0 : clockOf(time));
}

/** Its first millisecond, or NaN if there is no such day. */
function dateOf(year: number, month: number, day: number): number {
  const isDay = year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysOf(year, month);
  return isDay ? DAY_MS * daysSince1970(year, month, day) : Number.NaN;
}

/** The number of two digits, or NaN if there are none. */
function pair(cell: string, at: number): number {
  const tens = cell.charCodeAt(at) - ZERO;
  const ones = cell.charCodeAt(at + 1) - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? 10 * tens + ones : Number.NaN;
}

function daysOf(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/**
 * In the Gregorian calendar. Years begin in March here, so that a leap day is the last day of its
 * year.
 */
function daysSince1970(year: number, month: number, day: number): number {
  const marchYear = month > 2 ? year : year - 1;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return 365 * marchYear + leapDays + dayOfYear - 719_468;
}

/** The milliseconds since midnight UTC of what a clock shows, or NaN if it cannot show that. */
function clockOf(text: string): number {
  const parts = TIME.exec(text);
  if (parts === null) return Number.NaN;
  const [, hour, minute, second = "0", fraction, half, , sign, offsetHours = "0", offsetMinutes = "0"] = parts;
  const time = timeOf(half === undefined ? Number(hour) : hourOf(Number(hour), half), Number(minute), Number(second));
  const offset = timeOf(Number(offsetHours), Number(offsetMinutes), 0);
  // The fraction is read as milliseconds at once, so that it is rounded only once.
  const rest = fraction === undefined ? 0 : Number(`.${fraction}e3`);
  return time + rest - (sign === "-" ? -offset : offset);
}

function timeOf(hour: number, minute: number, second: number): number {
  return hour < 24 && minute < 60 && second < 60 ? 1000 * (60 * (60 * hour + minute) + second) : Number.NaN;
}

/** The hour of a clock with AM and PM. */
function hourOf(hour: number, half: string): number {
  if (hour < 1 || hour > 12) return Number.NaN;
  return (hour % 12) + (half.toLowerCase() === "pm" ? 12 : 0);
}
