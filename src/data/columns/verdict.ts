/**
 * Decides the type of a column by the evidence of its cells and the decimal mark of the file, and
 * names the cell that made it categorical.
 */
import type { Reason } from "../dataset.ts";
import { BOOLEAN, DATE, NUMBER, ODD_DATE, type Evidence, type Located, type ValueKind } from "./evidence.ts";
import type { DecimalMark, DeclaredType } from "../reading.ts";

/** The decimal mark of a file, and what it rests on. */
export interface Mark {
  readonly mark: DecimalMark;
  /** Null: no cell of the file proves a mark, so it is the point. */
  readonly proof: "declared" | (Located & { readonly column: string }) | null;
  /** Whether points that nothing proves could group thousands. */
  readonly pointMayGroup?: boolean;
}

export type Decision =
  | { readonly type: "numeric" | "date"; readonly as: ValueKind }
  | { readonly type: "boolean" }
  | { readonly type: "categorical"; readonly isText: boolean; readonly reason: Reason | null };

/** A fault: the column is not what was declared. */
export type Verdict = Decision | { readonly type: "fault"; readonly reason: Reason };

/** @param areTokensDeclared whether the client declared the missing tokens */
export function verdictOn(
  evidence: Evidence,
  declared: DeclaredType | null,
  name: string,
  mark: Mark,
  areTokensDeclared: boolean,
): Verdict {
  switch (declared) {
    case "numeric":
      return faultOr(numberProblem(evidence, mark, areTokensDeclared), { type: "numeric", as: mark.mark });
    case "date":
      return faultOr(dateProblem(evidence, areTokensDeclared), { type: "date", as: orderOf(evidence) });
    case "boolean":
      return faultOr(booleanProblem(evidence, areTokensDeclared), { type: "boolean" });
    case "categorical":
    case "text":
      return { type: "categorical", isText: declared === "text", reason: null };
    default:
      return found(evidence, name, mark, areTokensDeclared);
  }
}

function faultOr(problem: Reason | null, verdict: Verdict): Verdict {
  return problem === null ? verdict : { type: "fault", reason: problem };
}

function found(evidence: Evidence, name: string, mark: Mark, areTokensDeclared: boolean): Verdict {
  const { kinds, leading } = evidence;
  if (kinds === BOOLEAN && evidence.notBoolean === null) return { type: "boolean" };
  if (kinds === 0 || leading === NUMBER) {
    const reason = numberProblem(evidence, mark, areTokensDeclared) ?? codeProblem(evidence, name);
    return reason === null ? { type: "numeric", as: mark.mark } : { type: "categorical", isText: false, reason };
  }
  const isAboutDates = leading === DATE || kinds === ODD_DATE;
  const reason = isAboutDates ? dateProblem(evidence, areTokensDeclared) : null;
  if (isAboutDates && reason === null) return { type: "date", as: orderOf(evidence) };
  return { type: "categorical", isText: false, reason };
}

function orderOf({ notDayFirst }: Evidence): ValueKind {
  return notDayFirst === null ? "dayFirst" : "monthFirst";
}

function numberProblem(evidence: Evidence, { mark, proof }: Mark, areTokensDeclared: boolean): Reason | null {
  const { notNumber, firstNumber, notPoint, notComma, commaGroups, otherUnit } = evidence;
  if (notNumber !== null) {
    const other = firstNumber === null ? "" : `, as ${quoted(firstNumber)}${placeOf(firstNumber)} is`;
    return about(notNumber, `is no number${other}. ${missingRemedy(notNumber, areTokensDeclared)}`);
  }
  const [under, over] = mark === "." ? [notPoint, notComma] : [notComma, notPoint];
  if (under !== null)
    return about(
      under,
      `is a number only with a decimal ${markName(mark === "." ? "," : ".")}, ${against(mark, proof, over)}`,
    );
  if (proof === null && commaGroups !== null) {
    return about(
      commaGroups,
      `could have a decimal comma or a comma between thousands, and no cell of the file tells. ` +
        `Upload the file with ?decimal=. or ?decimal=, to say which mark is the decimal one.`,
    );
  }
  if (otherUnit !== null && firstNumber !== null) {
    return about(
      otherUnit,
      `and ${quoted(firstNumber)}${placeOf(firstNumber)} do not have the same percent sign or currency. ` +
        `Write one throughout the column, or none.`,
    );
  }
  return null;
}

function against(mark: DecimalMark, proof: Mark["proof"], other: Located | null): string {
  const remedy = `If the column is right, upload the file with ?decimal=${mark === "." ? "," : "."}`;
  if (proof === "declared") return `and the file is read with a decimal ${markName(mark)}. Write one mark throughout.`;
  if (proof !== null)
    return (
      `but ${quoted(proof)}${placeOf(proof)}, column ${JSON.stringify(proof.column)}, is one only with ` +
      `a decimal ${markName(mark)}. Write one mark throughout the file. ${remedy}.`
    );
  const cell = other === null ? "" : ` (${quoted(other)}${placeOf(other)})`;
  return `and another cell${cell} only with a decimal ${markName(mark)}. Write one mark throughout the file.`;
}

function markName(mark: DecimalMark): string {
  return mark === "." ? "point" : "comma";
}

function codeProblem({ code }: Evidence, name: string): Reason | null {
  if (code === null) return null;
  const why = /^[+\-\u2212 \t]*0/.test(code.cell)
    ? "begins with a zero that a number would lose"
    : "is an integer that no double-precision number holds exactly";
  return about(
    code,
    `${why}, so the column keeps its spellings. If the column counts or measures something, ` +
      `upload the file with ?columns=${JSON.stringify({ [name]: "numeric" })}.`,
  );
}

function dateProblem(evidence: Evidence, areTokensDeclared: boolean): Reason | null {
  const { notDate, oddDate, firstDate, notDayFirst, notMonthFirst, ordered } = evidence;
  if (notDate !== null) {
    if (notDate.cell === oddDate?.cell) {
      return about(
        notDate,
        "is no date: there is no such day or time, or its year has no four digits. Write dates like 2024-01-31.",
      );
    }
    const other = firstDate === null ? "" : `, as ${quoted(firstDate)}${placeOf(firstDate)} is`;
    return about(notDate, `is no date${other}. ${missingRemedy(notDate, areTokensDeclared)}`);
  }
  if (notDayFirst !== null && notMonthFirst !== null) {
    return about(
      notDayFirst,
      `has its month first, and ${quoted(notMonthFirst)}${placeOf(notMonthFirst)} its day. ` +
        `Write dates like 2024-01-31.`,
    );
  }
  if (ordered !== null && notDayFirst === null && notMonthFirst === null) {
    return about(
      ordered,
      "could have its day or its month first, and no cell of the column tells. Write dates like 2024-01-31.",
    );
  }
  return null;
}

function booleanProblem({ kinds, notBoolean }: Evidence, areTokensDeclared: boolean): Reason | null {
  if (notBoolean === null) return null;
  return (kinds & ~BOOLEAN) !== 0
    ? about(notBoolean, `is neither true nor false. ${missingRemedy(notBoolean, areTokensDeclared)}`)
    : about(
        notBoolean,
        "is another word or spelling for true or false than in the cells before. Write one throughout.",
      );
}

/** A declaration replaces all tokens before it, so the remedy adds another token to the list. */
function missingRemedy({ cell }: Located, areTokensDeclared: boolean): string {
  if (cell.length > MAX_TOKEN_TOLD) return "Mend the cell, or leave it empty if its value is missing.";
  const upload = "If it means a missing value, upload the file with";
  return areTokensDeclared
    ? `${upload} ${JSON.stringify(cell)} added to ?missing_values=.`
    : `${upload} ?missing_values=${JSON.stringify([cell])}, and what else is missing in it.`;
}

/** Nobody writes a longer token. */
const MAX_TOKEN_TOLD = 20;

function about(where: Located, predicate: string): Reason {
  return { line: where.line, cell: where.cell, message: `${quoted(where)} ${predicate}` };
}

function quoted({ cell }: Located): string {
  return JSON.stringify(cell);
}

/** A class has no line. */
function placeOf({ line }: Located): string {
  return line === 0 ? "" : ` in line ${line}`;
}
