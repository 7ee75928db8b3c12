/** The words that mean more than text: those for a missing value, and those for true and false. */
import { isDigit } from "./cell-number.ts";

/** The tokens of pandas' `read_csv`, and three more that people write. */
const MISSING_TOKENS = [
  "",
  "#N/A",
  "#N/A N/A",
  "#NA",
  "-1.#IND",
  "-1.#QNAN",
  "-NaN",
  "-nan",
  "1.#IND",
  "1.#QNAN",
  "<NA>",
  "N/A",
  "NA",
  "NULL",
  "NaN",
  "None",
  "n/a",
  "nan",
  "null",
  "?",
  "-",
  ".",
];
/** Among texts these are words: Namibia's code, and the answer "none". */
const WORDS_AMONG_TEXTS = ["NA", "None"];

const SPACE = 32;

/** `besideValues`: missing among numbers, dates or booleans, and a class among texts. */
export type Missing = "no" | "besideValues" | "always";

/** Which cells are missing. */
export class MissingCells {
  readonly #tokens: ReadonlySet<string>;
  readonly #words: ReadonlySet<string>;
  readonly isDefault: boolean;
  #longest = 0;

  /** Null: the default tokens. Declared tokens count in every column. */
  constructor(declared: readonly string[] | null) {
    this.isDefault = declared === null;
    this.#words = new Set(declared === null ? WORDS_AMONG_TEXTS : []);
    this.#tokens = new Set(declared === null ? MISSING_TOKENS : ["", ...declared]);
    for (const token of this.#tokens) this.#longest = Math.max(this.#longest, token.length);
  }

  /** The words and what they are, without the empty cell. */
  words(): [string, Exclude<Missing, "no">][] {
    const words = [...this.#tokens].filter((token) => token !== "");
    return words.map((token) => [token, this.#words.has(token) ? "besideValues" : "always"]);
  }

  is(cell: string): Missing {
    // Most cells are numbers and end in a digit. No default token does.
    if (this.isDefault && isDigit(cell.charCodeAt(cell.length - 1))) return "no";
    if (cell.length <= this.#longest && this.#tokens.has(cell))
      return this.#words.has(cell) ? "besideValues" : "always";
    // A cell of spaces alone was quoted: others have been trimmed.
    return this.isDefault && cell.charCodeAt(0) === SPACE && cell.trim() === "" ? "besideValues" : "no";
  }
}

interface BooleanWord {
  readonly value: boolean;
  /** The number of the pair, such as yes and no, that the word belongs to. */
  readonly pair: number;
}

const booleanWords = new Map<string, BooleanWord>();
for (const [pair, [no, yes]] of [
  ["false", "true"],
  ["no", "yes"],
  ["f", "t"],
  ["n", "y"],
  ["0", "1"],
].entries()) {
  booleanWords.set(no, { value: false, pair });
  booleanWords.set(yes, { value: true, pair });
}
const UNDECLARED_PAIRS = 2;

/**
 * What a cell says, in upper or lower case. The short pairs count only if the column is declared
 * boolean.
 */
export function booleanOf(cell: string, isDeclared = true): BooleanWord | null {
  if (cell.length > "false".length) return null;
  const truth = booleanWords.get(cell.toLowerCase());
  return truth !== undefined && (isDeclared || truth.pair < UNDECLARED_PAIRS) ? truth : null;
}
