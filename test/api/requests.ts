/**
 * Requests for the operations of openapi.yaml, as it says, spoiled in one place, or wild; with ids
 * of what earlier ones created.
 */
import { asked, type Asked, type Described, type Draft } from "./asked.ts";
import { openapi, type Answer, type Parameter, type Schema } from "./described.ts";
import { fitting, freshId, Random, segment, spoiled, strangeTexts } from "./generate.ts";
import { csv, specFor } from "./service.ts";

/** Of what the schema alone does not say: texts of JSON, and how long a test may take. */
const likely: Record<string, readonly string[]> = {
  wait_ms: ["0", "5", "20", "40"],
  columns: ["{}", '{"x": "numeric"}', '{"colour": "categorical", "y": "ignore"}', '{"none": "date"}'],
  missing_values: ["", "0", "NA,-1", "[]", '["red", "?"]'],
};
/** How many of the latest jobs and datasets are asked about. */
const REMEMBERED = 40;
const operations = Object.entries(openapi.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ ...operation, path, method: method.toUpperCase() })),
);
/**
 * Those that make something are asked for more often: the others live on it. But the store must
 * not get full. So are those that few jobs and studies are in the state for.
 */
const often: Readonly<Record<string, number>> = {
  createJob: 8,
  createJobs: 1,
  createPrediction: 9,
  pauseStudy: 5,
  resumeStudy: 5,
  pauseJob: 2,
  resumeJob: 2,
};
const weighted = operations.flatMap((operation) => {
  const times = often[operation.operationId] ?? (operation.requestBody === undefined ? 1 : 3);
  return Array.from({ length: times }, () => operation);
});

export class Requests {
  readonly operations: readonly Described[] = operations;
  readonly #random: Random;
  readonly #ids: Record<string, string[]> = { job_: [], ds_: [], w_: [], study_: [] };
  /** The jobs and ids of predictions over datasets. */
  readonly #predictions: (readonly [string, string])[] = [];
  /** Jobs that are sets of models. */
  readonly #sets: string[] = [];
  /** Those with a pooled model. */
  readonly #pooledSets: string[] = [];
  /** Jobs and studies that were paused, by the prefix of their ids. */
  readonly #paused: Record<string, string[]> = { job_: [], study_: [] };
  readonly #next: Asked[] = [];
  #etag = '""';

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  next(): Asked {
    const planned = this.#next.shift();
    if (planned !== undefined) return planned;
    const share = this.#random.unit();
    if (share < 0.1) return this.#wild();
    const operation = this.#random.pick(weighted);
    const draft = this.#fitting(operation);
    if (share < 0.55) return asked(draft, operation, "fitting");
    const { method, path } = draft;
    this.#spoil(draft);
    const same = draft.method === method && draft.path === path;
    return asked(draft, same ? operation : null, "spoiled");
  }

  plain(method: string, url: string): Asked {
    return { method, url, headers: {}, body: undefined, operation: null, kind: "wild" };
  }

  /** Heeds what an answer says of ids, and has long jobs cancelled. */
  learn({ operation, method, url }: Asked, { status, headers, body }: Answer, maxSteps: number): void {
    if (operation === null || status >= 300) return;
    this.#etag = headers.etag ?? this.#etag;
    const { id, job_id, data, progress, results, models, spec } = body as {
      spec?: { training?: { pooled?: boolean } };
      models?: object | null;
      id?: string;
      job_id?: string;
      results?: { status: number; job?: object }[];
      /** Of a list; a document may have another member of this name. */
      data?: { id?: string }[] | object;
      progress?: { total_steps: number };
    };
    for (const found of [id, ...(Array.isArray(data) ? data : []).map((item) => item.id)]) this.#remember(found);
    if (status === 201 && models) this.#sets.push(id!);
    if (status === 201 && models && spec?.training?.pooled) this.#pooledSets.push(id!);
    if (status === 201 && job_id !== undefined) this.#predictions.push([job_id, id!]);
    // The jobs of a batch, each as if it had been posted alone.
    for (const { status: each, job } of results ?? [])
      if (job !== undefined)
        this.learn({ operation, method, url } as Asked, { status: each, headers, body: job }, maxSteps);
    if (status === 201 && progress !== undefined && progress.total_steps > maxSteps)
      this.#next.push(this.plain("POST", `/v1/jobs/${id}/cancel`));
    const [, , , asked, action] = new URL(url, "http://localhost").pathname.split("/");
    const paused = Object.entries(this.#paused).find(([prefix]) => asked?.startsWith(prefix))?.[1];
    if (action === "pause") paused?.push(asked);
    if (action === "resume" && paused !== undefined) remove(paused, asked);
    if (method !== "DELETE" && action !== "cancel") return;
    if (paused !== undefined) remove(paused, asked);
    if (method === "DELETE") for (const ids of Object.values(this.#ids)) remove(ids, url.split("/").at(-1)!);
  }

  #remember(id = ""): void {
    const ids = Object.entries(this.#ids).find(([prefix]) => id.startsWith(prefix))?.[1];
    if (ids === undefined) return;
    remove(ids, id);
    ids.push(id);
    if (ids.length > REMEMBERED) ids.shift();
  }

  /** What of it can be read, for a report. */
  shown({ method, url, headers, body }: Asked): string {
    const text = body === undefined ? "" : ` ${JSON.stringify(body.toString("latin1").slice(0, 4000))}`;
    return `${method} ${url} ${JSON.stringify(headers)}${text}`;
  }

  #fitting(operation: Described): Draft {
    const { method, path, parameters = [], requestBody } = operation;
    const draft: Draft = { method, path, query: [], headers: {}, body: undefined };
    for (const parameter of parameters) this.#fill(draft, parameter);
    if (this.#random.chance(0.2)) draft.headers["if-none-match"] = this.#etag;
    if (/^list(Study)?Events$/.test(operation.operationId))
      draft.headers.accept = this.#random.pick(["*/*", "application/json", "text/event-stream"]);
    if (requestBody === undefined) return draft;
    const [[type, { schema }]] = Object.entries(requestBody.content);
    draft.headers["content-type"] = type;
    if (operation.operationId === "createWeights") draft.body = this.#weights();
    else draft.body = Buffer.from(type === "text/csv" ? this.#csv() : JSON.stringify(this.#body(operation, schema)));
    return draft;
  }

  #fill(draft: Draft, { in: place, name, schema, required }: Parameter): void {
    const random = this.#random;
    if (place === "path") {
      // One of the latest, or an older one, which has ended.
      const latest = random.chance(0.4) ? this.#predictions.slice(-3) : this.#predictions.slice(-REMEMBERED);
      if (draft.path.includes("{prediction}") && name === "id" && latest.length > 0 && random.chance(0.9)) {
        const [job, prediction] = random.pick(latest);
        draft.path = draft.path.replace("{id}", job).replace("{prediction}", prediction);
      }
      draft.path = draft.path.replace(`{${name}}`, encodeURIComponent(this.#pathValue(draft.path, name, schema)));
    } else if (required || random.chance(0.4)) {
      const value = name in likely ? random.pick(likely[name]) : fitting(schema, random);
      if (place === "query") draft.query.push([name, String(value)]);
      // Few, so that some come again.
      else draft.headers[name] = name === "idempotency-key" ? `key ${random.below(50)}` : String(value);
    }
  }

  #pathValue(path: string, name: string, schema: Schema): string {
    const random = this.#random;
    if (name === "type") return random.pick(["adam", "sgd", "linear", "relu", "mse", "constant", "plateau", "step"]);
    if (name === "number") return String(random.below(3));
    if (path.includes("/models/pooled") && this.#pooledSets.length > 0 && random.chance(0.9))
      return random.pick(this.#pooledSets.slice(-REMEMBERED));
    if (path.includes("/models") && this.#sets.length > 0 && random.chance(0.9))
      return random.pick(this.#sets.slice(-REMEMBERED));
    if (name !== "id") return String(random.chance(0.7) ? random.pick([5, 10, 12, 15, 20]) : fitting(schema, random));
    const prefix = { datasets: "ds_", weights: "w_", studies: "study_" }[path.split("/")[2]] ?? "job_";
    const paused = this.#paused[prefix] ?? [];
    if (path.endsWith("/resume") && paused.length > 0 && random.chance(0.9)) return random.pick(paused.slice(-3));
    const known = this.#ids[prefix];
    if (known.length === 0 || random.chance(0.15)) return freshId(random, prefix);
    // The latest one has hardly begun.
    return random.chance(0.3) ? known.at(-1)! : random.pick(known);
  }

  /** A table like the one that sound specs are for, or any. */
  #csv(): string {
    const random = this.#random;
    if (random.chance(0.5)) return `${csv}\n${random.below(5)},1,red,cat,${random.below(10)}`;
    const cell = () => random.pick(["1", "2.5", "-1e3", "", "a", '"b, c"', '"d""e"', "ü"]);
    const columns = 1 + random.below(5);
    const rows = Array.from({ length: random.below(20) }, () => Array.from({ length: columns }, cell).join(","));
    return [Array.from({ length: columns }, (_, i) => `c${i}`).join(","), ...rows].join(random.pick(["\n", "\r\n"]));
  }

  /** A safetensors file of one tensor. */
  #weights(): Buffer {
    const length = this.#random.below(4);
    const end = 4 * length + this.#random.below(2) * this.#random.below(2);
    const header = JSON.stringify({ "0.bias": { dtype: "F32", shape: [length], data_offsets: [0, end] } });
    const size = Buffer.alloc(8);
    size.writeUInt32LE(header.length);
    return Buffer.concat([size, Buffer.from(header), Buffer.alloc(4 * length)]);
  }

  #body({ operationId }: Described, schema: Schema): unknown {
    const random = this.#random;
    if (operationId === "createJob" && random.chance(0.8)) return this.#sound();
    if (operationId === "createJobs" && random.chance(0.8))
      return { jobs: Array.from({ length: 1 + random.below(2) }, () => (random.chance(0.7) ? this.#sound() : {})) };
    if (operationId === "createStudy" && random.chance(0.8))
      return { spec: this.#sound(3), space: { "/optimizer/lr": { log_uniform: [1e-4, 1] } }, trials: 2, parallel: 1 };
    // As many as it has, or more, once it has ended.
    if (operationId === "extendStudy" && random.chance(0.8)) return { total: 2 + random.below(2) };
    if (operationId === "forkJob" && random.chance(0.8)) {
      const overrides = random.pick([{}, { training: { epochs: 4 } }, this.#sections()]);
      return {
        step: random.pick(["final", "best", 5, 10]),
        overrides,
        ...(random.chance(0.5) ? { optimizer: false } : {}),
      };
    }
    // A row for every table that a sound spec has.
    if (operationId === "predict" && random.chance(0.8))
      return { rows: [{ x: random.below(5), y: 1, colour: "red", price: 2, x0: 0.5, x1: 0 }] };
    if (operationId === "createPrediction" && random.chance(0.8) && this.#ids.ds_.length > 0)
      return { dataset: random.pick(this.#ids.ds_), which: random.pick(["final", "final", "best"]), unseen: "zeros" };
    return fitting(schema, random);
  }

  /** A spec that mostly becomes a job. */
  #sound(epochs = this.#random.pick([2, 3, 3, 3, 4000])): unknown {
    const random = this.#random;
    const inline = { columns: ["x", "label"], rows: Array.from({ length: 12 }, (_, i) => [i, ["a", "b"][i % 2]]) };
    const synthetic = { type: "two_moons", rows: 20, noise: 0.1, seed: random.below(3) };
    const known = random.pick([...this.#ids.ds_, undefined]);
    const data = random.pick([
      { dataset: known ?? freshId(random, "ds_"), target: "label", validation: { every: 5 } },
      { inline, target: "label" },
      { synthetic, target: "target", validation: { every: 4 } },
    ]);
    // A long one is there to be paused and cancelled.
    const training = { epochs, batch_size: 4, seeds: random.chance(0.15) ? 3 : 1 };
    return {
      ...specFor(""),
      data,
      ...(random.chance(0.1) ? this.#ofTexts(known ?? freshId(random, "ds_")) : {}),
      checkpoint: { every_steps: 5, keep_best: random.chance(0.5) },
      training,
      ...(random.chance(0.1) ? this.#pooled(epochs) : {}),
      ...this.#sections(),
    };
  }

  /** Parts of a set with a pooled model. */
  #pooled(epochs: number): Record<string, unknown> {
    const rows = Array.from({ length: 24 }, (_, i) => [i % 7, ["a", "b"][i % 2], i % 3]);
    const data = { inline: { columns: ["x", "label", "k"], rows }, target: "label", partition_by: "k" };
    const training = { epochs, batch_size: 4, pooled: true };
    return { data: { ...data, encoders: "shared" }, training, init: this.#random.pick(["pooled", null]) };
  }

  /** Data of texts in a column, and a model of tokens. */
  #ofTexts(dataset: string): Record<string, unknown> {
    const random = this.#random;
    const target = random.pick(["label", "next_token"]);
    const text = { context: random.pick([1, 2, 40]), vocabulary: random.pick(["characters", "bytes", { bpe: 260 }]) };
    const output = target === "label" ? "last" : "all";
    const data = { dataset, features: ["colour"], target, text, validation: random.pick([null, { every: 5 }]) };
    const layers = [
      { type: "embedding", embedding_dim: 3 },
      { type: "rnn", hidden_size: 3, output },
      { type: "linear" },
    ];
    return { data, model: { layers } };
  }

  /** Parts of a spec, each mostly the usual one. */
  #sections(): Record<string, unknown> {
    const { properties } = openapi.components.schemas.SpecInput as { properties: Record<string, Schema> };
    const free = ["name", "metadata", "optimizer", "schedule", "loss", "observe", "detectors", "resources"];
    const chosen = free.filter(() => this.#random.chance(0.15));
    return Object.fromEntries(chosen.map((name) => [name, fitting(properties[name], this.#random)]));
  }

  #spoil(draft: Draft): void {
    const random = this.#random;
    const ways = [() => this.#spoilQuery(draft), () => this.#spoilHeader(draft), () => this.#spoilPath(draft)];
    if (draft.body !== undefined) ways.push(...Array.from({ length: 5 }, () => () => this.#spoilBody(draft)));
    else ways.push(() => (draft.body = Buffer.from("{}")));
    random.pick(ways)();
  }

  #spoilQuery({ query }: Draft): void {
    const random = this.#random;
    const name = random.pick([
      ...query.map(([known]) => known),
      "limit",
      "after",
      "status",
      "metadata.a",
      "x",
      "__proto__",
    ]);
    query.push([name, random.pick([...strangeTexts, "1,2", ",", "running,queued", "%", "&", "1e3", "0x10", " 1"])]);
  }

  #spoilHeader({ headers }: Draft): void {
    const random = this.#random;
    const names = [...Object.keys(headers), "content-type", "content-encoding", "accept", "range", "last-event-id"];
    const name = random.pick([...names, "idempotency-key", "if-none-match", "x-request-id", "expect", "traceparent"]);
    const types = [
      "text/plain",
      "application/json; charset=latin1",
      "application/problem+json",
      "multipart/form-data",
      ";",
    ];
    headers[name] = random.pick([
      ...types,
      "",
      "gzip",
      "x".repeat(300),
      "bytes=0-1",
      "\u00ff",
      '"',
      "*",
      "-1",
      "text/csv",
    ]);
  }

  #spoilPath(draft: Draft): void {
    const random = this.#random;
    if (random.chance(0.3)) {
      draft.method = random.pick(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);
      return;
    }
    const segments = draft.path.split("/");
    segments[1 + random.below(segments.length - 1)] = segment(random);
    draft.path = segments.join("/");
  }

  #spoilBody(draft: Draft): void {
    const random = this.#random;
    const text = draft.body!.toString();
    const at = random.below(text.length);
    if (draft.headers["content-type"] === "application/json" && random.chance(0.7)) {
      draft.body = Buffer.from(JSON.stringify(spoiled(JSON.parse(text), random)));
      return;
    }
    const inserted = random.pick([
      '"',
      ",",
      "\n",
      "\0",
      "{",
      "[".repeat(5000),
      "\ufeff",
      ' "data": 1,',
      "1e999",
      "\\ud800",
    ]);
    draft.body = random.pick([
      Buffer.from(text.slice(0, at)),
      Buffer.from(text.slice(0, at) + inserted + text.slice(at)),
      Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from([0xff, 0xc0, 0x80]), Buffer.from(text.slice(at))]),
    ]);
  }

  #wild(): Asked {
    const random = this.#random;
    const segments = Array.from({ length: random.below(6) }, () =>
      random.pick(["v1", "jobs", "datasets", segment(random)]),
    );
    const method = random.pick(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);
    const bytes = Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256)));
    const type = random.pick(["application/json", "text/csv", "text/plain"]);
    const draft: Draft = {
      method,
      path: `/${segments.join("/")}`,
      query: [],
      headers: { "content-type": type },
      body: bytes,
    };
    if (random.chance(0.5)) this.#spoilQuery(draft);
    return asked(draft, null, "wild");
  }
}

function remove(ids: string[], id: string): void {
  const at = ids.indexOf(id);
  if (at !== -1) ids.splice(at, 1);
}
