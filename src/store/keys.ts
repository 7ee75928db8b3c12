/**
 * Every Redis key of the service. They share the hash tag `{rappel}`, so that one script may change
 * any of them, on a cluster too.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{rappel}:format` | string | the number of the format that all of this has (format.ts); absent for 1 |
 * | `{rappel}:epoch` | string | a random id that is gone if these data are (src/epoch.ts) |
 * | `{rappel}:upgrade` | string | held by the process that upgrades the store now |
 * | `{rappel}:open` | hash | job id → owner, of every job that has not ended; how a worker finds the owner of what BullMQ delivers |
 * | `{rappel}:statuses` | hash | status → how many jobs, of any owner, have it |
 * | `{rappel}:ends` | hash | status, of failed jobs `failed:<code>` → how many jobs, of any owner, ever ended so |
 * | `{rappel}:waiting` | sorted set | ids of the queued jobs, by since when they wait |
 * | `{rappel}:turn` | string | the turn that is on (shared.lua); absent for 0 |
 * | `{rappel}:turns` | hash | owner → the last turn that was given to a job of theirs |
 * | `{rappel}:limits` | hash | what one owner may have: `waiting`, `running`, `dataset_bytes`, `checkpoint_bytes`; absent for no limit |
 * | `{rappel}:workers` | set | ids of the workers that were heard of; the live ones have a heartbeat |
 * | `{rappel}:worker:<id>` | string | its last heartbeat, which expires |
 * | `{rappel}:ended` | sorted set | record keys of the jobs that have ended, by when |
 * | `{rappel}:files` | hash | name of a file → how many dataset records, of any owner, have it; a SHA-256 alone: how many records without `columns_sha256`, which have both files of that name |
 * | `{rappel}:room` | hash | `promised`, `loose`: bytes that open jobs may yet take, and of blobs let go; `refused`: the least that there was no room for, while there is none |
 * | `{rappel}:loose` | sorted set | blobs let go, by when they expire: `<bytes> <key of the first chunk, without its number>` |
 * | `{rappel}:pending` | sorted set | what was promised to jobs that are being created, by when that lapses: `<bytes> <owner> <job id>` |
 * | `{rappel}:outbox` | list | `<owner> <job id> <event id>`: events that a webhook wants and the queue does not have yet |
 * | `{rappel}:webhook_turn`, `{rappel}:webhook_turns` | string, hash | the same for what goes to webhooks (lua/notice_turn.lua) |
 * | `{rappel}:reconciler` | string | held by the process that reconciles now |
 * | `{rappel}:ticket:<random>` | string | `<owner> <dataset id>`: the dataset whose columns whoever shows it may have |
 * | `{rappel}:control` | channel | `<job id> <status>`: what is wanted of the run that has the job |
 * | `{rappel}:news:<job id>` | channel | `event` or `progress`: what there is to read anew for whoever follows the job |
 * | `{rappel}:deliveries:…`, `{rappel}:webhooks:…` | | BullMQ's |
 * | `{rappel}:owner:<owner>:jobs` | sorted set | ids of all jobs, to be read by name; a ULID's order is that of creation |
 * | `{rappel}:owner:<owner>:jobs:<status>` | sorted set | the same by status |
 * | `{rappel}:owner:<owner>:usage` | hash | `dataset_bytes`, `checkpoint_bytes` |
 * | `{rappel}:owner:<owner>:waiting` | sorted set | ids of the queued jobs, the most urgent first, of those the oldest |
 * | `{rappel}:owner:<owner>:idempotency:<sha256>` | hash | `job`, `body_sha256`; the name is that of the key, which may be long |
 * | `{rappel}:owner:<owner>:datasets` | sorted set | ids of all datasets |
 * | `{rappel}:owner:<owner>:datasets:sha256` | hash | SHA-256 that its columns are named by → dataset id |
 * | `{rappel}:owner:<owner>:dataset:<id>` | string | the dataset as the API shows it |
 * | `{rappel}:owner:<owner>:dataset:<id>:jobs` | set | jobs that use it and have not ended |
 * | `{rappel}:owner:<owner>:job:<id>` | hash | the record; its fields are in record.ts |
 * | `…:events` | list | events as JSON; an event's id is its position, from 1 |
 * | `…:metrics` | sorted set | rows of metrics as JSON, by step: writing one twice is writing it once |
 * | `…:checkpoints` | sorted set | steps of the committed checkpoints |
 * | `…:checkpoint:<step>` | hash | the manifest: `run`, `blob`, `bytes`, `sha256`, `kinds`, `metrics`, `score`, `arithmetic_version`, `created_at` |
 * | `…:model:<final or best>` | hash | `blob`, `bytes`, `sha256` of a model file |
 * | `…:uploads` | hash | blob → bytes, of what is being uploaded and not committed |
 * | `…:dropped` | list | its blobs that were let go, as in `{rappel}:loose` |
 * | `…:told` | hash | type → how many events of it this run has told; `bytes`: what they take |
 * | `…:messages` | hash | event id → bytes, of the messages to its webhook that are neither delivered nor given up |
 * | `…:chunk:<blob>:<number>` | string | a piece of a blob, which is named `<run>.<token>.<upload>.<purpose>`, or `origin`; expires unless committed |
 */
export const hashTag = "{rappel}";

/**
 * BullMQ takes no higher priority. It would take two million turns during which somebody always
 * waits; from then on it is first come, first served.
 */
export const LAST_TURN = 2 ** 21 - 1;

export const keys = {
  format: `${hashTag}:format`,
  epoch: `${hashTag}:epoch`,
  upgrade: `${hashTag}:upgrade`,
  open: `${hashTag}:open`,
  ended: `${hashTag}:ended`,
  ends: `${hashTag}:ends`,
  files: `${hashTag}:files`,
  limits: `${hashTag}:limits`,
  outbox: `${hashTag}:outbox`,
  statuses: `${hashTag}:statuses`,
  waiting: `${hashTag}:waiting`,
  workers: `${hashTag}:workers`,
  worker: (id: string) => `${hashTag}:worker:${id}`,
  room: `${hashTag}:room`,
  reconciler: `${hashTag}:reconciler`,
  control: `${hashTag}:control`,
  ticket: (ticket: string) => `${hashTag}:ticket:${ticket}`,
  news: (jobId: string) => `${hashTag}:news:${jobId}`,
  jobs: (owner: string) => `${hashTag}:owner:${owner}:jobs`,
  jobsWith: (owner: string, status: string) => `${hashTag}:owner:${owner}:jobs:${status}`,
  idempotency: (owner: string, sha256: string) => `${hashTag}:owner:${owner}:idempotency:${sha256}`,
  usage: (owner: string) => `${hashTag}:owner:${owner}:usage`,
  datasets: (owner: string) => `${hashTag}:owner:${owner}:datasets`,
  dataset: (owner: string, id: string) => `${hashTag}:owner:${owner}:dataset:${id}`,
  datasetJobs: (owner: string, id: string) => `${hashTag}:owner:${owner}:dataset:${id}:jobs`,
  job: (owner: string, id: string) => `${hashTag}:owner:${owner}:job:${id}`,
  events: (job: string) => `${job}:events`,
  metrics: (job: string) => `${job}:metrics`,
  checkpoints: (job: string) => `${job}:checkpoints`,
  checkpoint: (job: string, step: string) => `${job}:checkpoint:${step}`,
  model: (job: string, which: string) => `${job}:model:${which}`,
  chunk: (job: string, blob: string, number: number) => `${job}:chunk:${blob}:${number}`,
};
