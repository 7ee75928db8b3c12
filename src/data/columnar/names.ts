import { InvalidDataset, MAX_COLUMNS, MAX_NAME_CHARACTERS, MAX_NAME_LENGTH } from "../dataset.ts";
import type { FileFormat } from "./damage.ts";

/** @throws InvalidDataset */
export function checkNames(format: FileFormat, names: readonly string[]): void {
  const wrong = (message: string) => new InvalidDataset(message, null);
  if (names.length === 0) throw wrong(`The ${format} file has no columns.`);
  if (names.length > MAX_COLUMNS)
    throw wrong(`The ${format} file has ${names.length} columns; a dataset may have ${MAX_COLUMNS}.`);
  if (names.reduce((sum, name) => sum + name.length, 0) > MAX_NAME_CHARACTERS)
    throw wrong(`The names of all columns have more than ${MAX_NAME_CHARACTERS} characters together: shorten them.`);
  for (const [i, name] of names.entries()) {
    if (name === "") throw wrong(`Column ${i + 1} has no name. Name it.`);
    if (name.length > MAX_NAME_LENGTH)
      throw wrong(`The name of column ${i + 1} has more than ${MAX_NAME_LENGTH} characters: shorten it.`);
  }
  const seen = new Set<string>();
  const twice = names.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) throw wrong(`Two columns are named ${JSON.stringify(twice)}. Rename one of them.`);
}
