/** What is known of a prediction over a dataset when it is posted, and why it is refused. */
import { faulty, Problem } from "../contract/errors.ts";
import { datasetIds } from "../contract/facts.ts";
import type { Fault } from "../contract/resolve/faults.ts";
import { foldsOf } from "../contract/resolve/set-shape.ts";
import { findTable } from "../contract/resolve/tables.ts";
import { MAX_DATASET_ROWS, type BatchPredictionRequest } from "../contract/wire/batch-prediction.ts";
import type { DatasetSummary } from "../data/beside.ts";
import type { Caller } from "../data/pool.ts";
import type { ColumnSummary } from "../data/dataset.ts";
import { partitionColumns } from "../data/encode/features.ts";
import { noValueFault } from "../data/encode/where.ts";
import { linesOfModel, mostBytes } from "../predict/batch.ts";
import { unfit } from "../predict/blocks.ts";
import type { Lines } from "../predict/lines.ts";
import { unfitPlaces } from "../predict/series.ts";
import { choiceFaults, type SetSource } from "../predict/set.ts";
import { linesOfSet, mostBytesOfSet } from "../predict/set-batch.ts";
import { oneModel, sourceOf } from "../predict/source.ts";
import { runForSets } from "../sets/pool.ts";
import { pooledModel } from "../store/pooled-model.ts";
import type { NewPrediction } from "../store/predictions.ts";
import { noSuchJob } from "./routes/jobs.ts";
import { servedModel } from "./served-model.ts";
import type { Services } from "./services.ts";
import { servedSet, unlessLost } from "./set-models.ts";

interface Known {
  readonly services: Services;
  readonly owner: string;
  /** Of the job. */
  readonly id: string;
  readonly asked: BatchPredictionRequest;
  readonly caller: Caller;
}

type Facts = Omit<NewPrediction, "id" | "owner" | "job_id" | "idempotency" | "trace">;

/** @throws Problem if there is no such model, or it does not predict from the dataset */
export async function factsOfModel({ services, owner, id, asked }: Known): Promise<Facts> {
  const forSets = (["split", "fold", "seed"] as const).filter((name) => asked[name] !== undefined && asked[name] !== 0);
  settle(forSets.map((name) => ({ pointer: `/${name}`, message: "is for a set of models" })));
  const { which } = asked;
  const { job, file } = await servedModel(services.store, owner, id, which);
  const description = await services.store.jobs.description(owner, id);
  if (description === null) throw noSuchJob();
  const source = sourceOf(job.spec, description, file.sha256);
  if (job.spec.data.text !== null) {
    const message =
      "cannot be predicted from: the model goes on with a text. Send its beginning as the prompt of /predict";
    throw faulty("invalid_spec", [{ pointer: "/dataset", message }]);
  }
  const datasets = datasetIds(asked);
  const content = await tableOf(services, owner, datasets, "/dataset");
  const { inputs, window, unseen } = source;
  const places = window === null ? [] : unfitPlaces(window, content.rows, content.columns);
  settle([...unfit(inputs, content.columns), ...places, ...nameFaults(linesOfModel(source), "/dataset")]);
  const sizes = sizesOf(services, content, mostBytes(source, content));
  const chosen = { split: null, which, fold: null, seed: null, unseen: asked.unseen ?? unseen };
  return { datasets, ...chosen, weights_sha256: file.sha256, ...sizes };
}

/** As `factsOfModel`. @throws DatasetLost too */
export async function factsOfSet({ services, owner, id, asked, caller }: Known): Promise<Facts> {
  const { which, seed, split = null } = asked;
  const found = await servedSet(services, owner, id, which);
  if (found === null) throw noSuchJob();
  const { source } = found;
  settle(askedFaults(source, asked));
  const { shards, shardModels, index } = source;
  const parts = { shards, shardModels, index };
  const model = await unlessLost(services.store, owner, id, () => runForSets("firstModel", parts, caller));
  const pooled = model === null ? await pooledModel(services.store, owner, id, which) : null;
  const first = model
    ? sourceOf(source.spec, model.notes, model.sha256)
    : pooled && oneModel(source.spec, pooled).source;
  if (first === null)
    throw faulty("invalid_spec", [{ pointer: "", message: "asks a set none of whose models succeeded" }]);
  const datasets = split === null ? datasetIds(asked) : [...found.set.datasetIds];
  const content = await tableOf(services, owner, datasets, split === null ? "/dataset" : "/split");
  settle(nameFaults(linesOfSet(first, source.spec, split !== null), "/split"));
  if (split === null) settle([...unfit(first.inputs, content.columns), ...unfitKeys(source, content.columns)]);
  const facts = { spec: source.spec, outOfFold: split !== null, keyBytes: model?.keyBytes ?? 0 };
  const sizes = sizesOf(services, content, mostBytesOfSet(first, facts, content.rows));
  // A class that no row of the other folds has was zeros in the validation of the model too.
  const own = split === null ? { fold: asked.fold, unseen: first.unseen } : { fold: null, unseen: "zeros" as const };
  const chosen = { split, which, fold: own.fold, seed, unseen: asked.unseen ?? own.unseen };
  return { datasets, ...chosen, weights_sha256: source.weights_sha256, ...sizes };
}

function askedFaults({ shape, spec }: SetSource, { split, ...asked }: BatchPredictionRequest): Fault[] {
  const faults = choiceFaults(shape, { ...asked, at: "/" });
  if (split !== undefined && foldsOf(spec.data) === 1)
    faults.push({ pointer: "/split", message: "is for a set of folds: its validation has `folds`, and no `fold`" });
  else if (split !== undefined && asked.fold > 0)
    faults.push({ pointer: "/fold", message: "does not go with split, by which each row has its own fold" });
  if (spec.data.window !== null) {
    const message = "cannot be predicted: the models take windows. Send the rows of a key to /predict";
    faults.push({ pointer: split === undefined ? "/dataset" : "/split", message });
  }
  return faults;
}

/** Why the rows of a dataset have no keys, whatever they hold. */
function unfitKeys({ spec }: SetSource, columns: readonly ColumnSummary[]): Fault[] {
  return partitionColumns(spec.data).flatMap((name) => {
    const column = columns.find((each) => each.name === name);
    const why = column === undefined ? "" : noValueFault(column);
    if (why === null) return [];
    const what = column === undefined ? "lacks the column" : "has the column";
    const end = why === "" ? "" : `, ${why}`;
    return [{ pointer: "/dataset", message: `${what} ${JSON.stringify(name)}${end}: it says which model predicts` }];
  });
}

/** A CSV in which two columns have one name cannot be read by the names. */
function nameFaults({ twice }: Lines, pointer: string): Fault[] {
  if (twice === null) return [];
  const name = JSON.stringify(twice);
  const message = `makes a CSV with two columns ${name}: train from a dataset whose column ${name} has another name`;
  return [{ pointer, message }];
}

/** @throws Problem unless the datasets are there */
async function tableOf({ store }: Services, owner: string, ids: readonly string[], pointer: string) {
  const { content, faults } = await findTable(ids, pointer, { dataset: (id) => store.datasets.get(owner, id) });
  if (content === null) throw faulty("invalid_spec", faults);
  return content;
}

/** @throws Problem if there are too many rows, or the CSV may be too large */
function sizesOf({ config }: Services, { rows }: DatasetSummary, resultBytes: number) {
  if (rows > MAX_DATASET_ROWS) {
    const message = `has ${rows} rows, and a prediction may have ${MAX_DATASET_ROWS}: split it`;
    throw faulty("invalid_spec", [{ pointer: "/dataset", message }]);
  }
  if (resultBytes <= config.maxDatasetBytes) return { rows, resultBytes };
  const detail = `The CSV may take ${resultBytes} bytes, and may take ${config.maxDatasetBytes} (RAPPEL_MAX_DATASET_BYTES): predict from fewer rows at a time.`;
  throw new Problem("too_large", detail);
}

function settle(faults: readonly Fault[]): void {
  if (faults.length > 0) throw faulty("invalid_spec", faults);
}
