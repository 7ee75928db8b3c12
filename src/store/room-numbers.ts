/**
 * The numbers by which room is counted (room.ts). Here is their only place: database.ts defines
 * each of them in every script, as a local of its name.
 */

/** Large values are cut into chunks of this size (blobs.ts). */
export const CHUNK_BYTES = 4 * 1024 * 1024;
/** What the key of a chunk takes. */
export const CHUNK_KEY_BYTES = 250;
/**
 * How many numbers, steps included, a slice of metrics (rows.ts) has at most, if that is not more
 * than one step, and how many make it complete.
 */
export const SLICE_NUMBERS = 4096;
export const OPEN_NUMBERS = 512;
/** What Redis adds to a slice of metrics, an event and a field of a hash. */
export const SLICE_BYTES = 150;
export const EVENT_BYTES = 16;
export const FIELD_BYTES = 50;
/** What a job takes in indexes, in the queue, and in later fields that do not grow. */
export const RECORD_BYTES = 3000;
/** What it takes to note on a dataset that a job uses it. */
export const HOLD_BYTES = 250;
/** What a dataset takes in indexes. */
export const DATASET_RECORD_BYTES = 750;
/** What the manifest of a checkpoint takes. */
export const MANIFEST_BYTES = 900;
/** How many shards of a set are open at a time (lua/shared/set.lua). */
export const OPEN_SHARDS = 64;
/** Redis rounds up what it allocates: a blob by a quarter at most, a text by less. */
export const BLOB_GROWTH = 1.25;
export const TEXT_GROWTH = 1.15;
/** How many events of a frequent type a run may write at most, and how many of any other type. */
export const MAX_EVENTS = 1000;
export const OTHER_EVENTS = 8;
