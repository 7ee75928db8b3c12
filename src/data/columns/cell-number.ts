/*
 * What a number looks like in a cell.
 *
 * The decimal mark belongs to the file (table-columns.ts decides it), so each cell is read under
 * both marks: `1.5` is a number under the point alone, `1,5` under the comma alone, and `1,234` is
 * 1234 under the point and 1.234 under the comma. The other mark groups digits by threes. Spaces
 * and apostrophes do so under either mark. Commas also group as in India: `12,34,567.89`. An IP
 * address such as `192.168.178.101` is no number, although it looks like digits in groups.
 *
 * Most cells are a sign, digits, a mark and an exponent. Those are read in one pass over their
 * characters, which is faster than a regular expression and `Number`. The quotient of two integers
 * that doubles hold exactly is rounded once, so it is the same double that `Number` gives.
 *
 * All other numbers have extra signs: a percent sign, a currency, parentheses for a negative value,
 * digits in groups. Such cells are short, so the regular expressions that take them apart end soon.
 */

const DECIMAL = /^[ \t]*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[ \t]*$/;

/**
 * The value of a decimal number, or NaN if the cell is none. `+1`, `.5`, `1.` and `1e-3` are; so is
 * a number between spaces or tabs. `0x10`, `1_000`, `NaN`, `Infinity` and what a double cannot hold
 * (`1e999`) are not.
 */
export function parseDecimal(cell: string): number {
  if (!DECIMAL.test(cell)) return Number.NaN;
  const value = Number(cell);
  return Number.isFinite(value) ? value : Number.NaN;
}

/** Every integer with so many digits is a double. */
const EXACT_DIGITS = 15;
/** The powers of ten that are doubles. */
const POWERS = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));
/** No double is as large as an integer of more digits. */
const MAX_INTEGER_DIGITS = 309;
const MAX_DECORATED_LENGTH = 64;

const TAB = 9;
const SPACE = 32;
const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;
const CLOSING = 41;
const PERCENT = 37;

const FREQUENT_CURRENCIES = "$€£¥";

/** These count besides every character that Unicode calls a currency symbol. */
const CURRENCIES =
  "R\\$|US\\$|A\\$|C\\$|kr|zł|Kč|Ft|" +
  "AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|ILS|INR|JPY|KRW|MXN|NOK|NZD|PLN|RUB|SEK|SGD|THB|TRY|USD|ZAR";
const CURRENCY = `(?:${CURRENCIES}|\\p{Sc})`;
const SPACES = " \\u00a0\\u2007\\u2009\\u202f";
const SIGN = "[+\\-\\u2212]?";
const DECORATED = new RegExp(
  `^(\\(?)(${SIGN})(${CURRENCY}?)[${SPACES}]?(\\(?)(${SIGN})` +
    `([.,]?\\d(?:[\\d.,'’${SPACES}]*\\d)?[.,]?(?:[eE][+-]?\\d+)?)` +
    `[${SPACES}]?((?:%|${CURRENCY})?)(\\)?)[${SPACES}]?((?:%|${CURRENCY})?)$`,
  "u",
);
const GROUPED = new RegExp(`^[1-9]\\d{0,2}([.,'’${SPACES}])\\d{3}(?:\\1\\d{3})*(?:([.,])(\\d+))?$`);

/** An IPv4 address: four bytes. */
const ADDRESS = /^(?:(?:1?\d?\d|2[0-4]\d|25[0-5])(?:\.|$)){4}$/;

const INDIAN = /^[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?$/;

/** Reads one cell after the other. Its fields describe the last cell that it read. */
export class NumberReader {
  /**
   * The value under the decimal point, and under the comma; NaN where the cell is no number under
   * it.
   */
  point = Number.NaN;
  comma = Number.NaN;
  /** Whether commas group the digits under the point. */
  commaGroups = false;
  /** The percent sign or currency, as it is written. */
  unit = "";
  /**
   * Whether it is an integer, digits alone, that a double does not give back as it is written,
   * because of a leading zero or its size.
   */
  isCode = false;

  /** Whether the cell is a number under either mark. */
  read(cell: string): boolean {
    this.unit = "";
    if (this.#readPlain(cell) || this.#readDecorated(cell)) return true;
    this.point = this.comma = Number.NaN;
    return false;
  }

  #readPlain(cell: string): boolean {
    let at = 0;
    let end = cell.length;
    while (at < end && isBlank(cell.charCodeAt(at))) at++;
    while (end > at && isBlank(cell.charCodeAt(end - 1))) end--;
    const begin = at;
    const sign = cell.charCodeAt(at);
    if (sign === MINUS || sign === PLUS) at++;
    const firstDigit = at;
    // The value of all digits as an integer. It is exact while there are few of them.
    let digits = 0;
    let mark = 0;
    let markAt = end;
    for (; at < end; at++) {
      const code = cell.charCodeAt(at);
      const digit = code - ZERO;
      if (digit >= 0 && digit <= 9) digits = 10 * digits + digit;
      else if (mark === 0 && (code === POINT || code === COMMA)) {
        mark = code;
        markAt = at;
      } else break;
    }
    const whole = Math.min(at, markAt) - firstDigit;
    const fraction = mark === 0 ? 0 : at - markAt - 1;
    if (whole + fraction === 0) return false;
    const hasExponent = at < end;
    if (hasExponent && !isExponent(cell, at, end)) return false;

    let value: number;
    if (whole + fraction <= EXACT_DIGITS && !hasExponent) {
      value = fraction === 0 ? digits : digits / POWERS[fraction];
      if (sign === MINUS) value = -value;
    } else {
      const text = cell.slice(begin, end);
      value = Number(mark === COMMA ? text.replace(",", ".") : text);
      if (!Number.isFinite(value)) return false;
    }
    const isGrouped =
      fraction === 3 && whole >= 1 && whole <= 3 && !hasExponent && cell.charCodeAt(firstDigit) !== ZERO;
    const grouped = isGrouped ? (sign === MINUS ? -digits : digits) : Number.NaN;
    this.point = mark === COMMA ? grouped : value;
    this.comma = mark === POINT ? grouped : value;
    this.commaGroups = mark === COMMA && isGrouped;
    this.isCode =
      mark === 0 &&
      !hasExponent &&
      ((whole > 1 && cell.charCodeAt(firstDigit) === ZERO) ||
        (whole > EXACT_DIGITS && !isExact(cell.slice(firstDigit, end), Math.abs(value))));
    return true;
  }

  #readDecorated(cell: string): boolean {
    if (cell.length > MAX_DECORATED_LENGTH || cell.length === 0) return false;
    const last = cell.charCodeAt(cell.length - 1);
    // Most texts begin with letters. A number does so only after a currency code of three letters.
    const isWord =
      isLetter(cell.charCodeAt(0)) && (isLetter(cell.charCodeAt(3)) || !(isDigit(last) || last === CLOSING));
    if (isWord) return false;
    return this.#readUnit(cell, last) || this.#readAnyDecoration(cell.trim());
  }

  /** The most frequent unit is a single character, which is removed fast. */
  #readUnit(cell: string, last: number): boolean {
    const isPercent = last === PERCENT;
    if (!isPercent && !FREQUENT_CURRENCIES.includes(cell[0])) return false;
    if (!this.#readPlain(isPercent ? cell.slice(0, -1) : cell.slice(1))) return false;
    this.unit = isPercent ? "%" : cell[0];
    this.isCode = false;
    return true;
  }

  #readAnyDecoration(cell: string): boolean {
    const parts = DECORATED.exec(cell);
    if (parts === null) return false;
    const [, opening, sign, before, innerOpening, innerSign, body, within, closing, after] = parts;
    const brackets = opening.length + innerOpening.length;
    const signs = sign.length + innerSign.length;
    const unit = before + within + after;
    if (brackets !== closing.length || brackets + signs > 1) return false;
    if (unit.length !== Math.max(before.length, within.length, after.length)) return false;
    if (!this.#readPlain(body) && !this.#readGrouped(body) && !this.#readIndian(body)) return false;
    this.unit = unit;
    this.isCode &&= unit === "" && brackets === 0;
    if (brackets === 1 || (signs === 1 && sign + innerSign !== "+")) {
      this.point = -this.point;
      this.comma = -this.comma;
    }
    return true;
  }

  #readGrouped(body: string): boolean {
    const parts = GROUPED.exec(body);
    if (parts === null || ADDRESS.test(body)) return false;
    const [, separator, mark] = parts;
    if (separator === mark) return false;
    const end = mark === undefined ? body.length : body.lastIndexOf(mark);
    const value = Number(body.slice(0, end).replace(/\D/g, "") + (mark === undefined ? "" : `.${body.slice(end + 1)}`));
    this.point = separator === "." || mark === "," ? Number.NaN : value;
    this.comma = separator === "," || mark === "." ? Number.NaN : value;
    this.commaGroups = separator === ",";
    this.isCode = false;
    return true;
  }

  #readIndian(body: string): boolean {
    if (!INDIAN.test(body)) return false;
    this.point = Number(body.replaceAll(",", ""));
    this.comma = Number.NaN;
    this.commaGroups = true;
    this.isCode = false;
    return true;
  }
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

export function isDigit(code: number): boolean {
  return code >= ZERO && code <= ZERO + 9;
}

function isLetter(code: number): boolean {
  const lower = code | 32;
  return lower >= 97 && lower <= 122;
}

function isExponent(cell: string, at: number, end: number): boolean {
  if ((cell.charCodeAt(at) | 32) !== 101) return false;
  const sign = cell.charCodeAt(++at);
  if (sign === PLUS || sign === MINUS) at++;
  if (at >= end) return false;
  while (at < end) if (!isDigit(cell.charCodeAt(at++))) return false;
  return true;
}

function isExact(digits: string, value: number): boolean {
  return digits.length <= MAX_INTEGER_DIGITS && BigInt(digits) === BigInt(value);
}
