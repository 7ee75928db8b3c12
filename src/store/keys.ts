/**
 * Every Redis key of the service. All share the hash tag `{rappel}`, so that one script may change
 * any of them, on a cluster too.
 *
 * - `{rappel}:format` (string): the number of the store's format (format.ts); absent for 1
 * - `{rappel}:epoch` (string): a random id, which is lost if these data are lost (store-epoch.ts)
 * - `{rappel}:upgrade` (string): held by the process that upgrades the store now
 * - `{rappel}:open` (hash): job id → owner, for every job that has not ended
 * - `{rappel}:statuses` (hash): status → how many jobs of all owners have it
 * - `{rappel}:ends` (hash): status, or `failed:<code>` → how many jobs of all owners have ever
 *   ended so
 * - `{rappel}:waiting` (sorted set): ids of the queued jobs, by the time since which they wait
 * - `{rappel}:owners` (sorted set): owners with jobs that wait, by their next turn
 *   (lua/shared/queue.lua)
 * - `{rappel}:turn` (string): the last turn that came; absent for 0
 * - `{rappel}:held` (sorted set): owners who run as many jobs as they may while others of theirs
 *   wait, by the time when the reconciler looks at them again
 * - `{rappel}:begun` (sorted set): record keys of the jobs that have begun and that no run holds,
 *   by the time since when; they go before all turns
 * - `{rappel}:claim:<token>` (string): what lua/claim.lua answered to this claim; expires when the
 *   claim lapses
 * - `{rappel}:concluding` (sorted set): record keys of the sets of models all of whose shards have
 *   ended, by the time since when (lua/shared/set.lua)
 * - `{rappel}:discarded` (sorted set): record keys of the sets of models that ended without a
 *   result and whose files are to be removed, by the time since when
 * - `{rappel}:alone` (string): the worker that waits to be idle, for a job that needs an idle one;
 *   expires
 * - `{rappel}:limits` (hash): what one owner may have: `waiting`, `running`, `dataset_bytes`,
 *   `checkpoint_bytes`, `archived_bytes`; absent for no limit
 * - `{rappel}:workers` (set): ids of the known workers; those that are alive have a heartbeat
 * - `{rappel}:worker:<id>` (string): the worker's last heartbeat, which expires
 * - `{rappel}:ended` (sorted set): record keys of the jobs that have ended, by the time of their
 *   end
 * - `{rappel}:unarchived` (sorted set): record keys of ended jobs that are not in the archive, by
 *   the time from which they may be moved there
 * - `{rappel}:archive` (hash): `id`: the name of the archive's directory (archive/directory.ts);
 *   `ready`: present once the directory has it; `restoring`: present while records are written
 *   again; `jobs`, `bytes`: what the archive holds
 * - `{rappel}:earlier-epochs` (hash): epoch of an earlier store whose archived jobs have records
 *   here again → the last segment that it wrote
 * - `{rappel}:segments` (hash): segment → bytes of the entries in it to which records point
 * - `{rappel}:buried` (list): `<owner> <job id>` of deleted jobs, for tombstones
 * - `{rappel}:archivist` (string): the process that has the archivists' turn
 * - `{rappel}:files` (hash): name of a file → how many records of uploads of all owners refer to
 *   it. A SHA-256 alone → how many records without `columns_sha256` refer to both files of that
 *   name
 * - `{rappel}:results` (hash): id → owner, for every prediction, and every set of models, that may
 *   have files of results
 * - `{rappel}:room` (hash): `promised`: bytes that open jobs may still take; `loose`: bytes of
 *   dropped blobs; `refused`: the smallest need that was refused, as long as there is no room for
 *   it
 * - `{rappel}:loose` (sorted set): dropped blobs, by the time when they expire: `<bytes> <key of
 *   the first chunk, without its number>`; and what archived jobs left behind: `<bytes> <key of
 *   the record>`
 * - `{rappel}:pending` (sorted set): promises to jobs that are being created, by the time when
 *   they lapse: `<bytes> <owner> <job id>`
 * - `{rappel}:outbox` (list): `<owner> <job or study id> <event id>` of events that a webhook wants
 *   and that are not yet in the queue
 * - `{rappel}:webhook_turn`, `{rappel}:webhook_turns` (string, hash): the same for messages to
 *   webhooks (lua/notice_turn.lua)
 * - `{rappel}:due` (sorted set): record keys of the jobs that have not ended, by the time when the
 *   reconciler looks at them (lua/sweep.lua); those that are paused, or wait for nothing but their
 *   turn, have the time `+inf`
 * - `{rappel}:reconciler` (string): there while it is too early for the reconcilers' next turn
 * - `{rappel}:studies` (hash): study id → owner, for every study that has not ended
 * - `{rappel}:studies:turn` (string): the process that controls them now; expires
 * - `{rappel}:ticket:<random>` (string): `<owner> <dataset id>`: the dataset whose columns the
 *   bearer of the ticket may read
 * - `{rappel}:control` (channel): `<job id> <status>`: what is wanted of the run that has the job
 * - `{rappel}:news:<id>` (channel): `event` or `progress`: what the followers of the job, or of the
 *   study, should read again; `{rappel}:news:sets`: a set can be concluded
 * - `{rappel}:deliveries:…`, `{rappel}:webhooks:…`: BullMQ's
 * - `{rappel}:owner:<owner>:jobs` (sorted set): ids of all jobs in the order of their names, which
 *   for ULIDs is the order of creation; behind them those of all predictions over datasets
 * - `{rappel}:owner:<owner>:jobs:<status>` (sorted set): the same by status
 * - `{rappel}:owner:<owner>:usage` (hash): `dataset_bytes`, `checkpoint_bytes`,
 *   `archived_bytes`
 * - `{rappel}:owner:<owner>:waiting` (sorted set): ids of the queued jobs that are not claimed, the
 *   most urgent first; among equally urgent ones the oldest first
 * - `{rappel}:owner:<owner>:idempotency:<sha256>` (hash): `job`, `body_sha256`; the SHA-256 is
 *   that of the idempotency key, which may be long
 * - `{rappel}:owner:<owner>:datasets` (sorted set): ids of all datasets
 * - `{rappel}:owner:<owner>:datasets:sha256` (hash): SHA-256 of the file of columns → dataset id
 * - `{rappel}:owner:<owner>:dataset:<id>` (string): the dataset as the API shows it
 * - `{rappel}:owner:<owner>:dataset:<id>:jobs` (set): jobs that use it and have not ended
 * - `{rappel}:owner:<owner>:weights` (sorted set), `…:weights:sha256` (hash), `…:weights:<id>`
 *   (string), `…:weights:<id>:jobs` (set): the same of uploaded weights, by the SHA-256 of their
 *   bytes
 * - `{rappel}:owner:<owner>:studies` (sorted set): ids of all studies
 * - `{rappel}:owner:<owner>:study:<id>` (hash): the record of a study (studies.ts); `…:trials`
 *   (list): its trials by number, as JSON; `…:events` (list): its events
 * - `{rappel}:owner:<owner>:job:<id>` (hash): the record of a job, or of a prediction; its fields
 *   are in record.ts
 * - `…:job:<id>.<number>` (hash): the record of an open shard of a set of models
 * - `…:shards` (set), `…:todo` (list): of a set: numbers of its open shards, and of those that were
 *   given back; `…:damaged` (hash): number of a shard → how often its results were found damaged
 * - `…:events` (list): events, some of them packed (events.ts); an event's id is its position
 *   among all events, from 1
 * - `…:rows` (list): rows of metrics in packed slices (rows.ts), in the order of their steps
 * - `…:metrics` (sorted set): rows of metrics of an earlier version, as JSON, by step; they come
 *   before those in the slices
 * - `…:checkpoints` (sorted set): steps of the committed checkpoints
 * - `…:checkpoint:<step>` (hash): the manifest: `run`, `blob`, `bytes`, `sha256`, `kinds`,
 *   `metrics`, `score`, `arithmetic_version`, `created_at`
 * - `…:model:<final or best>` (hash): `blob`, `bytes`, `sha256` of a model file
 * - `…:uploads` (hash): blob → bytes, for uploads that are not committed
 * - `…:dropped` (list): the job's dropped blobs, as in `{rappel}:loose`
 * - `…:predictions` (sorted set): ids of the predictions with the job's model
 * - `…:messages` (hash): event id → bytes, for messages to the webhook that are neither delivered
 *   nor given up
 * - `…:chunk:<blob>:<number>` (string): a piece of a blob; blobs are named
 *   `<run>.<token>.<upload>.<purpose>` or `origin`; expires unless committed
 */
export const hashTag = "{rappel}";

export const keys = {
  format: `${hashTag}:format`,
  epoch: `${hashTag}:epoch`,
  upgrade: `${hashTag}:upgrade`,
  open: `${hashTag}:open`,
  due: `${hashTag}:due`,
  ended: `${hashTag}:ended`,
  unarchived: `${hashTag}:unarchived`,
  archive: `${hashTag}:archive`,
  earlierEpochs: `${hashTag}:earlier-epochs`,
  segments: `${hashTag}:segments`,
  buried: `${hashTag}:buried`,
  archivist: `${hashTag}:archivist`,
  ends: `${hashTag}:ends`,
  files: `${hashTag}:files`,
  limits: `${hashTag}:limits`,
  outbox: `${hashTag}:outbox`,
  statuses: `${hashTag}:statuses`,
  waiting: `${hashTag}:waiting`,
  claim: (token: string) => `${hashTag}:claim:${token}`,
  workers: `${hashTag}:workers`,
  worker: (id: string) => `${hashTag}:worker:${id}`,
  results: `${hashTag}:results`,
  concluding: `${hashTag}:concluding`,
  discarded: `${hashTag}:discarded`,
  room: `${hashTag}:room`,
  reconciler: `${hashTag}:reconciler`,
  control: `${hashTag}:control`,
  studies: `${hashTag}:studies`,
  studiesTurn: `${hashTag}:studies:turn`,
  ticket: (ticket: string) => `${hashTag}:ticket:${ticket}`,
  news: (jobId: string) => `${hashTag}:news:${jobId}`,
  jobs: (owner: string) => `${hashTag}:owner:${owner}:jobs`,
  jobsWith: (owner: string, status: string) => `${hashTag}:owner:${owner}:jobs:${status}`,
  idempotency: (owner: string, sha256: string) => `${hashTag}:owner:${owner}:idempotency:${sha256}`,
  usage: (owner: string) => `${hashTag}:owner:${owner}:usage`,
  datasets: (owner: string) => `${hashTag}:owner:${owner}:datasets`,
  dataset: (owner: string, id: string) => `${hashTag}:owner:${owner}:dataset:${id}`,
  datasetJobs: (owner: string, id: string) => `${hashTag}:owner:${owner}:dataset:${id}:jobs`,
  weightsList: (owner: string) => `${hashTag}:owner:${owner}:weights`,
  weights: (owner: string, id: string) => `${hashTag}:owner:${owner}:weights:${id}`,
  weightsJobs: (owner: string, id: string) => `${hashTag}:owner:${owner}:weights:${id}:jobs`,
  studiesOf: (owner: string) => `${hashTag}:owner:${owner}:studies`,
  study: (owner: string, id: string) => `${hashTag}:owner:${owner}:study:${id}`,
  trials: (study: string) => `${study}:trials`,
  job: (owner: string, id: string) => `${hashTag}:owner:${owner}:job:${id}`,
  events: (job: string) => `${job}:events`,
  rows: (job: string) => `${job}:rows`,
  olderRows: (job: string) => `${job}:metrics`,
  checkpoints: (job: string) => `${job}:checkpoints`,
  checkpoint: (job: string, step: string) => `${job}:checkpoint:${step}`,
  predictions: (job: string) => `${job}:predictions`,
  model: (job: string, which: string) => `${job}:model:${which}`,
  chunk: (job: string, blob: string, number: number) => `${job}:chunk:${blob}:${number}`,
};
