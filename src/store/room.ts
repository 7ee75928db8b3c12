/**
 * Room: why a job that was accepted ends, however many others there are.
 *
 * Redis' memory is bounded (`maxmemory`), and only a part of it (SHARE in lua/shared/room.lua) may
 * be filled. A job is accepted only if the store can promise it all that it may need until it ends:
 *
 *     used + promised + need ≤ SHARE × maxmemory
 *
 * - `used`: what Redis holds (`used_memory`, so that datasets, the queue and everything else count
 *   too), without dropped blobs. These stay ten minutes for downloads. When their room is needed,
 *   they are deleted, the oldest first.
 * - `promised`: the sum over all open jobs of what each was promised (`reserved` in its record) and
 *   does not have yet (`spent`). Every script that adds to a job or deletes from it moves bytes
 *   between the two. So the sum is always there, and no script looks at all jobs.
 * - `need`: what `roomOf` says, here below.
 *
 * All of it happens in the script that creates the job, so that two requests cannot both get the
 * last room. Some jobs bring data along: the rows of an inline table, the checkpoint that a fork
 * begins with. Such a job is promised its room before the data are stored. The promise lapses after
 * ten minutes if the process that creates the job dies meanwhile. When a job ends, it gives back
 * what it did not need.
 *
 * The same bytes count against the owner's limit: for an open job what it was promised, for an
 * ended job what it has, until it is deleted. A message to a webhook counts until it is delivered
 * or given up.
 *
 * A need can be computed only if everything is bounded. The spec bounds rows. `keep_last` bounds
 * checkpoints, and so does the number that a job will make. A run may write only so many events of
 * each type; it leaves out the rest, and `events_omitted` says so. A run that takes over repeats
 * events of the run before, if there is room. The sizes are upper bounds for Redis 7 with jemalloc.
 * What few jobs write, and never much of (findings, pauses), has a lump sum. What goes beyond a
 * promise uses the part of the memory that may not be filled.
 *
 * Room is never made by deleting what an owner may still want.
 *
 * The scripts count what is there (lua/shared/room.lua), and this file what may come. Both must
 * count alike, so both take the numbers of room-numbers.ts.
 */
import { datasetIds } from "../contract/facts.ts";
import type { EventType } from "../contract/schema/event-type.ts";
import type { NewSet } from "../contract/resolve/model-set.ts";
import type { Sizes } from "../contract/resolve/sizes.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import type { Inherited } from "../contract/resolve/encoders.ts";
import type { Told } from "../contract/resolve/resolve.ts";
import type { Warning } from "../contract/resolve/warnings.ts";
import {
  BLOB_GROWTH,
  CHUNK_BYTES,
  CHUNK_KEY_BYTES,
  EVENT_BYTES,
  FIELD_BYTES,
  HOLD_BYTES,
  MANIFEST_BYTES,
  MAX_EVENTS,
  OTHER_EVENTS,
  OPEN_NUMBERS,
  OPEN_SHARDS,
  RECORD_BYTES,
  SLICE_BYTES,
  SLICE_NUMBERS,
  TEXT_GROWTH,
} from "./room-numbers.ts";

const MODEL_BYTES = 300;

/**
 * For the fields that come later: progress, result, error, without their metrics, which are there
 * twice.
 */
const LATER_BYTES = 2500;
/** What one rewind leaves: an event, and its finding in two fields. */
const REWIND_BYTES = 2500;
/** All events that are not counted separately: started, paused, resumed, diagnosed, succeeded, … */
const OTHER_EVENTS_BYTES = 6000;
/** The sizes of events, without their metrics. */
const EVALUATED_BYTES = 150;
const COMMITTED_BYTES = 260;
/** What a group of rows takes in a slice, without its numbers and names. */
const HEADER_BYTES = 20;
/** The small slices with which runs begin and end. */
const OTHER_SLICES = 10;
/** All that a prediction over a dataset may need: its record, its error and its events. */
export const PREDICTION_BYTES = RECORD_BYTES + LATER_BYTES + OTHER_EVENTS_BYTES + 4000;

/** A message on its way to a webhook, without its event and what its owner wrote. */
const MESSAGE_BYTES = 2500;

/** What the record of an open shard of a set takes, with its places in lists. */
const SHARD_RECORD_BYTES = 1500;
/** How a metric is spread over the models of a set. */
const SPREAD_BYTES = 250;

export interface Room {
  /** All that the job may need until it ends. */
  readonly bytes: number;
  /** How many events of a type a run may write, if that is not OTHER_EVENTS. */
  readonly eventLimits: Readonly<Partial<Record<EventType, number>>>;
  /** What a message to the webhook takes, without its event. */
  readonly messageBytes: number;
  /** How many checkpoints are kept at most, besides the best and those to rewind to. */
  readonly keepMost: number;
}

export interface Needs {
  readonly spec: ResolvedSpec;
  readonly sizes: Sizes;
  readonly totalSteps: number;
  readonly warnings: readonly Warning[];
  readonly inherited: Inherited | null;
  readonly told: Told;
  /** Null: the job trains one model. */
  readonly set?: NewSet | null;
}

/** @param originBytes size of the checkpoint or the weights that the job begins with, or 0 */
export function roomOf(job: Needs, originBytes: number): Room {
  if (!job.set) return roomOfModel(job, originBytes);
  const { pooled } = job.set;
  const set = roomOfSet(job);
  if (pooled === null) return set;
  const model = roomOfModel({ ...job, ...pooled, set: null }, 0);
  return { ...model, bytes: set.bytes + model.bytes + textRoom(text(pooled.spec), FIELD_BYTES) };
}

/** A set of models has its results in files, and here as much as its open shards take. */
function roomOfSet(job: Needs): Room {
  const { spec } = job;
  const messageBytes = messageBytesOf(spec);
  const message = messageBytes + textRoom(COMMITTED_BYTES, COMMITTED_BYTES);
  const distribution = textRoom(SPREAD_BYTES * sizeOfMetrics(job), 0);
  const bytes =
    recordBytes(job, 0) +
    distribution +
    OTHER_EVENTS_BYTES +
    messagesOf(spec, {}) * message +
    OPEN_SHARDS * SHARD_RECORD_BYTES;
  return { bytes: Math.ceil(bytes), eventLimits: {}, messageBytes, keepMost: 0 };
}

/** How many numbers an evaluation has, at most. */
function sizeOfMetrics({ sizes }: Needs): number {
  return sizes.evaluationRow.numbers;
}

function messageBytesOf({ webhook, name, metadata }: ResolvedSpec): number {
  return webhook === null ? 0 : MESSAGE_BYTES + 2 * text([name, metadata, webhook]);
}

function roomOfModel(job: Needs, originBytes: number): Room {
  const { spec, sizes } = job;
  const { evaluated, committed, rewinds, keepMost } = counts(job);
  const eventLimits = {
    evaluated,
    checkpoint_committed: committed,
    diagnosed: OTHER_EVENTS * (rewinds + 1),
    rewound: OTHER_EVENTS + rewinds,
  };
  const messageBytes = messageBytesOf(spec);
  const message = messageBytes + textRoom(COMMITTED_BYTES, COMMITTED_BYTES);
  const bytes =
    recordBytes(job, rewinds) +
    rowBytes(job) +
    evaluated * textRoom(EVALUATED_BYTES + sizes.evaluation, EVENT_BYTES) +
    committed * textRoom(COMMITTED_BYTES, EVENT_BYTES) +
    OTHER_EVENTS_BYTES +
    2 * text(job.told) +
    messagesOf(spec, eventLimits) * message +
    blobBytes(job, keepMost, originBytes);
  return { bytes: Math.ceil(bytes), eventLimits, messageBytes, keepMost };
}

/**
 * How many events of the frequent types a run may write, how often a job may be rewound, and how
 * many checkpoints it keeps at most.
 */
function counts({ spec: { data, training, checkpoint, detectors }, totalSteps }: Needs) {
  const evaluations = data.validation === null ? 0 : Math.ceil(training.epochs / training.eval_every_epochs);
  const bySteps = checkpoint.every_steps === null ? 0 : Math.ceil(totalSteps / checkpoint.every_steps);
  // Nobody knows how many checkpoints `every_seconds` will make. Short jobs make few.
  const byTime = checkpoint.every_seconds === null ? 0 : totalSteps;
  const { policy, rewind } = detectors.diverging;
  return {
    evaluated: Math.min(MAX_EVENTS, evaluations + 1),
    committed: Math.min(MAX_EVENTS, bySteps + Math.max(OTHER_EVENTS, Math.ceil(byTime / 16))),
    // Pauses and the end make checkpoints too.
    keepMost: Math.min(checkpoint.keep_last, bySteps + byTime + 3),
    rewinds: policy === "rewind" ? (rewind as { max: number }).max : 0,
  };
}

/** Inherited encoders are in the record twice: from the beginning, and with the model. */
function recordBytes({ spec, sizes, warnings, inherited }: Needs, rewinds: number): number {
  const texts = 2 * text(spec.metadata) + text(spec) + text(warnings) + sizes.notes + 2 * text(inherited);
  const written = textRoom(texts, 40 * FIELD_BYTES);
  const metrics = 2 * textRoom(sizes.evaluation, 0);
  const holds = datasetIds(spec.data).length * HOLD_BYTES;
  return RECORD_BYTES + LATER_BYTES + holds + metrics + 2 * MODEL_BYTES + rewinds * REWIND_BYTES + written;
}

/** The most that the rows of metrics may take, packed (rows.ts). */
function rowBytes({ spec: { data, training, observe }, sizes, totalSteps }: Needs): number {
  const logged = Math.ceil(totalSteps / training.log_every_steps) + 1;
  const evaluated = data.validation === null ? 0 : Math.ceil(training.epochs / training.eval_every_epochs) + 1;
  const observed = observe === null ? 0 : Math.floor(totalSteps / observe.every_steps);
  const kinds = [
    { rows: logged, ...sizes.logRow },
    { rows: evaluated, ...sizes.evaluationRow },
    { rows: observed, ...sizes.observedRow },
  ];
  const numbers = kinds.reduce((total, { rows, numbers: each }) => total + rows * each, 0);
  // Half of the slices may be small, because a large row came after them. Each run may begin with a
  // small one, and leave one of which only the beginning counts.
  const slices = Math.ceil((2 * numbers) / OPEN_NUMBERS) + OTHER_SLICES;
  const header = kinds.reduce((total, { names }) => total + names + HEADER_BYTES, 0);
  const taken = 8 * (numbers + Math.min(numbers, SLICE_NUMBERS));
  return BLOB_GROWTH * (taken + slices * header) + slices * SLICE_BYTES;
}

/** One message for the end, and those for the earlier events that the webhook wants. */
function messagesOf({ webhook }: ResolvedSpec, limits: Room["eventLimits"]): number {
  if (webhook === null) return 0;
  const before = webhook.events.filter((type) => !ENDS.has(type));
  return before.reduce((total, type) => total + (limits[type] ?? OTHER_EVENTS), 1);
}

const ENDS: ReadonlySet<EventType> = new Set(["succeeded", "failed", "cancelled"]);

/**
 * The checkpoints that are kept, the one that is being written, the best, and that of the start;
 * two to rewind to; and the one that a fork began with. A fork has that one until it has two of its
 * own. If it keeps only one, or may need it to rewind to, it has it until it ends. At the end all
 * of them are there besides the models.
 */
function blobBytes({ spec: { checkpoint, detectors }, sizes }: Needs, keepMost: number, originBytes: number): number {
  const { keep_best: best, at_start: start } = checkpoint;
  const rewinds = detectors.diverging.policy === "rewind";
  const states = keepMost + 1 + (best ? 1 : 0) + (start ? 1 : 0) + (rewinds ? 2 : 0);
  const state = blobRoom(sizes.state) + MANIFEST_BYTES + textRoom(sizes.evaluation, 0);
  const origin = originBytes === 0 ? 0 : blobRoom(originBytes);
  const keepsOrigin = rewinds || keepMost === 1;
  const checkpoints = keepsOrigin ? origin + states * state : Math.max(origin + 2 * state, states * state);
  return checkpoints + (best ? 2 : 1) * blobRoom(sizes.model);
}

function blobRoom(bytes: number): number {
  return Math.ceil(bytes * BLOB_GROWTH) + CHUNK_KEY_BYTES * Math.ceil(bytes / CHUNK_BYTES);
}

function textRoom(bytes: number, added: number): number {
  return Math.ceil(bytes * TEXT_GROWTH) + added;
}

function text(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
