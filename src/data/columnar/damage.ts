/** What is said of a file that is not as its format demands. */
import { DatasetTooLarge, InvalidDataset } from "../dataset.ts";

export type FileFormat = "Parquet" | "Arrow";

/** The message says where. */
export class DamagedFile extends Error {}

export function damaged(format: FileFormat, what: string, column?: string): InvalidDataset {
  const where = column === undefined ? "" : ` in the column ${JSON.stringify(column)}`;
  return new InvalidDataset(`The ${format} file is damaged or cut off${where}: ${what.replace(/\.$/, "")}.`, null);
}

/** For what was thrown. What reads a file does not expect damage, and may throw anything. */
export function asDamage(format: FileFormat, error: unknown, column?: string): Error {
  if (error instanceof InvalidDataset || error instanceof DatasetTooLarge) return error;
  return damaged(format, (error as Error).message, column);
}

export function columnFault(name: string, message: string): InvalidDataset {
  return new InvalidDataset(`The column ${JSON.stringify(name)} ${message}`, null);
}

export function nestedFault(name: string, nesting: string): InvalidDataset {
  return columnFault(name, `is nested (${nesting}). Only flat columns can be read: take it apart, or leave it out.`);
}

export function typeFault(name: string, type: string): InvalidDataset {
  return columnFault(name, `holds ${type}, which cannot be read. Write it as numbers or texts, or leave it out.`);
}
