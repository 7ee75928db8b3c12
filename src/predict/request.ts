/*
 * Reads the body of a request for predictions: rows of a table as JSON or as CSV, or samples as
 * nested arrays. It runs in a thread, so it may take its time. Faults have a pointer to what is
 * wrong, such as /rows/3/age; in a CSV the rows count from 0 too, after the header.
 */
import type { Reading } from "../data/reading.ts";
import { InvalidDataset } from "../data/dataset.ts";
import { namesOf } from "../data/table/header.ts";
import { readText } from "../data/table/read.ts";
import { faulty, notJson, Problem } from "../contract/errors.ts";
import { check } from "../contract/resolve/faults.ts";
import { MAX_ROWS, PredictionRequest } from "../contract/wire/prediction.ts";

/** What a cell of a request may be. Undefined: there is no such column. */
export type Cell = unknown;

/** Rows of a table, whose cells are asked for one by one. */
export interface Rows {
  readonly kind: "rows";
  readonly count: number;
  cell(row: number, column: string): Cell;
}

/** Samples, each of nested arrays. */
export interface Samples {
  readonly kind: "inputs";
  readonly count: number;
  readonly samples: readonly unknown[];
}

/** The beginning of a text, and how to go on. */
export interface Prompt extends Pick<PredictionRequest, "max_tokens" | "temperature" | "top_k" | "seed"> {
  readonly kind: "prompt";
  readonly prompt: string;
}

export type Asked = Rows | Samples;

/** Which of the models of a job predicts. A set has several of each key. */
export interface Choice extends Pick<PredictionRequest, "which" | "fold" | "seed"> {
  /** What stands before the names of these in a pointer. */
  readonly at: "/" | "?";
}

/** @throws Problem */
export function readJson(body: Buffer): { asked: Asked | Prompt; choice: Choice } {
  const parsed = parse(body.toString());
  const { value, faults } = check(PredictionRequest, outlineOf(parsed));
  if (faults !== null) throw faulty("invalid_spec", faults);
  const { prompt, which, fold, seed } = value;
  const choice = { which, fold, seed, at: "/" } as const;
  if (prompt !== undefined) return { asked: { ...value, kind: "prompt", prompt }, choice };
  const { rows, inputs } = parsed as { rows?: readonly unknown[]; inputs?: readonly unknown[] };
  const list = rows ?? inputs!;
  const name = rows === undefined ? "inputs" : "rows";
  if (list.length > MAX_ROWS) throw tooMany(name, list.length);
  if (rows === undefined) return { asked: { kind: "inputs", count: list.length, samples: list }, choice };
  const wrong = rows.findIndex((row) => typeof row !== "object" || row === null || Array.isArray(row));
  if (wrong >= 0)
    throw faulty("invalid_spec", [
      { pointer: `/rows/${wrong}`, message: 'must be an object such as {"<column>": <cell>}' },
    ]);
  const objects = rows as readonly Record<string, unknown>[];
  const cell = (row: number, column: string) =>
    Object.hasOwn(objects[row], column) ? objects[row][column] : undefined;
  return { asked: { kind: "rows", count: rows.length, cell }, choice };
}

function parse(text: string): unknown {
  if (text === "") throw new Problem("malformed_json", "The body is empty; it must say what to predict from, in JSON.");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notJson(error as SyntaxError);
  }
}

/**
 * The body with at most one row that holds nothing, so that the schema need not look at each. Those
 * who read the rows do.
 */
function outlineOf(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  const short = (list: unknown, item: unknown) => (Array.isArray(list) && list.length > 0 ? [item] : list);
  const { rows, inputs, ...rest } = body as Record<string, unknown>;
  return {
    ...rest,
    ...(rows === undefined ? {} : { rows: short(rows, {}) }),
    ...(inputs === undefined ? {} : { inputs: short(inputs, 0) }),
  };
}

/** @throws Problem */
export function readCsv(body: Buffer, reading: Reading): Rows {
  const rows: (readonly string[])[] = [];
  const places = new Map<string, number>();
  try {
    readText(body, reading, {
      begin: (cells, line) => namesOf(cells, line, true).names.forEach((name, at) => places.set(name, at)),
      row(cells) {
        rows.push(cells);
        if (rows.length > MAX_ROWS) throw tooMany("rows");
      },
    });
  } catch (error) {
    if (error instanceof InvalidDataset)
      throw new Problem("invalid_dataset", error.message, error.line === null ? {} : { line: error.line });
    throw error;
  }
  const cell = (row: number, column: string) => {
    const at = places.get(column);
    return at === undefined ? undefined : rows[row][at];
  };
  return { kind: "rows", count: rows.length, cell };
}

function tooMany(name: "rows" | "inputs", count?: number): Problem {
  const message = `may have at most ${MAX_ROWS} items${count === undefined ? "" : `, not ${count}`}: send them in several requests`;
  return faulty("invalid_spec", [{ pointer: `/${name}`, message }]);
}
