/**
 * What a date looks like in a cell: by ISO 8601, or day, month and year in one of two orders. Which
 * order it is is a matter of the column, so a cell is read under both. Times are UTC unless they
 * say otherwise. Years have four digits.
 */

/** Longer cells are no dates. */
const MAX_LENGTH = 40;

const YEAR_FIRST = /^(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[T ](\d.*))?$/;
const YEAR_AND_MONTH = /^(\d{4})-(\d{2})$/;
const YEAR_LAST = /^(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?:[T ](\d.*))?$/;
const EIGHT_DIGITS = /^(\d{4})(\d{2})(\d{2})$/;
const TIME = /^(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?(?: ?([AP]M))?(?: ?(Z|([+-])(\d{2})(?::?(\d{2}))?))?$/i;

const DAY_MS = 86_400_000;

/** Reads one cell after the other; what it read stays until the next. */
export class DateReader {
  /**
   * Milliseconds since 1970-01-01T00:00:00Z where the day comes before the month, and where it comes
   * after it; NaN if there is no such date. They are the same where the year comes first.
   */
  dayFirst = Number.NaN;
  monthFirst = Number.NaN;
  /** Whether the order matters. */
  hasOrder = false;

  /** Whether the cell has the shape of a date, even of none that there is. */
  read(cell: string): boolean {
    this.dayFirst = this.monthFirst = Number.NaN;
    this.hasOrder = false;
    // Few other cells begin with a digit and end in no time.
    if (cell.length < 6 || cell.length > MAX_LENGTH || !(cell.charCodeAt(0) <= 57)) return false;
    return this.#readYearFirst(cell) || this.#readYearLast(cell);
  }

  /** Digits alone are a date only where the column is declared to hold dates. */
  readDeclared(cell: string): boolean {
    const parts = EIGHT_DIGITS.exec(cell);
    if (parts === null) return this.read(cell);
    this.dayFirst = this.monthFirst = dateOf(parts[1], parts[2], parts[3], undefined);
    this.hasOrder = false;
    return true;
  }

  #readYearFirst(cell: string): boolean {
    const parts = YEAR_FIRST.exec(cell);
    if (parts !== null) {
      this.dayFirst = this.monthFirst = dateOf(parts[1], parts[3], parts[4], parts[5]);
      return true;
    }
    const short = YEAR_AND_MONTH.exec(cell);
    if (short === null) return false;
    this.dayFirst = this.monthFirst = dateOf(short[1], short[2], "1", undefined);
    return true;
  }

  #readYearLast(cell: string): boolean {
    const parts = YEAR_LAST.exec(cell);
    if (parts === null) return false;
    const [, first, , second, year, time] = parts;
    this.hasOrder = true;
    if (year.length === 4) {
      this.dayFirst = dateOf(year, second, first, time);
      this.monthFirst = dateOf(year, first, second, time);
    }
    return true;
  }
}

function dateOf(yearText: string, monthText: string, dayText: string, time: string | undefined): number {
  const year = Number(yearText);
  const month = Number(monthText);
  const day = Number(dayText);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return Number.NaN;
  return DAY_MS * daysSince1970(year, month, day) + (time === undefined ? 0 : timeOf(time));
}

function daysOf(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** In the Gregorian calendar. Years begin in March here, so that a leap day is the last of its year. */
function daysSince1970(year: number, month: number, day: number): number {
  const marchYear = month > 2 ? year : year - 1;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return 365 * marchYear + leapDays + dayOfYear - 719_468;
}

/** The milliseconds of a time of day, or NaN if there is none such. */
function timeOf(text: string): number {
  const parts = TIME.exec(text);
  if (parts === null) return Number.NaN;
  const [
    ,
    hourText,
    minuteText,
    secondText = "0",
    fraction,
    half,
    ,
    offsetSign,
    offsetHours = "0",
    offsetMinutes = "0",
  ] = parts;
  const minute = Number(minuteText);
  const second = Number(secondText);
  const hour = half === undefined ? Number(hourText) : hourOf(Number(hourText), half);
  const offset = 60 * Number(offsetHours) + Number(offsetMinutes);
  if (!(hour < 24) || minute > 59 || second > 59 || Number(offsetHours) > 23 || Number(offsetMinutes) > 59)
    return Number.NaN;
  // Read together with its unit, it is rounded once.
  const rest = fraction === undefined ? 0 : Number(`.${fraction}e3`);
  const minutes = 60 * hour + minute - (offsetSign === "-" ? -offset : offset);
  return 60_000 * minutes + 1000 * second + rest;
}

/** Of a clock with two halves of a day. */
function hourOf(hour: number, half: string): number {
  if (hour < 1 || hour > 12) return Number.NaN;
  return (hour % 12) + (half.toLowerCase() === "pm" ? 12 : 0);
}
