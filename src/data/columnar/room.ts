import { DatasetTooLarge } from "../dataset.ts";

/** In a page of a Parquet file, or in a dictionary. */
export const MAX_VALUES = 2 ** 24;

/** How many more unpacked bytes a dataset may have. */
export interface Room {
  bytes: number;
  readonly limitBytes: number;
}

/** @throws DatasetTooLarge */
export function spend(room: Room, bytes: number): void {
  room.bytes -= bytes;
  if (room.bytes < 0) throw new DatasetTooLarge(room.limitBytes);
}
