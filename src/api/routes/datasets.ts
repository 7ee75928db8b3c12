import type { IncomingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import { z } from "zod";
import { DatasetLost, UnrecognisedDataset } from "../../data/dataset.ts";
import type { TablePath } from "../../data/beside.ts";
import { runInHelper } from "../../data/pool.ts";
import { MAX_PREVIEW_ROWS } from "../../data/preview-limits.ts";
import { isGzip, packings, type Packing } from "../../data/table/unpack.ts";
import { Problem } from "../../contract/errors.ts";
import { DatasetId } from "../../contract/wire/common.ts";
import { Dataset, DatasetList, DatasetPreview } from "../../contract/wire/dataset.ts";
import { readTable, recordDataset, removeDataset } from "../datasets.ts";
import { notFound, wrongMediaType } from "../plugins/problems.ts";
import { ignoreUnwantedBodies } from "../plugins/validation.ts";
import { readingOptions, readingQuery } from "../reading-query.ts";
import { sendLongJson } from "../json.ts";
import { pageQuery, queryInteger } from "../requests.ts";
import { Uploads } from "../uploads.ts";
import { bytes, json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";

const GZIP = "application/gzip";
const OTHERS = "application/octet-stream";

const params = z.object({ id: DatasetId });
const missing = () => notFound("There is no such dataset.");

/** Bytes of this type are a text unless they are recognised as another format. */
const TEXT = "text/plain";
/**
 * What browsers and other programs call a CSV file, packed or not. Other formats are recognised by
 * their bytes, whatever they are called; under another type than these a table is not taken.
 */
const csvTypes = [
  "text/csv",
  "application/csv",
  "text/tab-separated-values",
  "application/vnd.ms-excel",
  "text/x-csv",
  "application/gzip",
  "application/x-gzip",
  "application/octet-stream",
  "application/x-www-form-urlencoded",
];

export const datasets: Routes = async (app, { store, files, config }) => {
  const uploads = new Uploads(store);
  // A dataset is streamed to disk as it arrives, and nothing else is taken for one.
  app.removeAllContentTypeParsers();
  ignoreUnwantedBodies(app, (payload) => payload);
  app.addHook("onRequest", async ({ method, raw: { headers } }) => {
    // Some programs give no type.
    if (method === "POST") headers["content-type"] ??= "application/octet-stream";
  });

  app.post(
    "/v1/datasets",
    {
      config: { packings },
      schema: {
        tags: ["datasets"],
        operationId: "createDataset",
        summary: "Upload a dataset",
        description:
          "The body is the file itself, streamed. A Parquet or Arrow file, and arrays as NPY, NPZ, safetensors or IDX, are recognised whatever the Content-Type says. Else `text/plain` is a text in UTF-8, and all other types are a CSV table. It may be packed with gzip, or sent with a Content-Encoding. How a CSV table is read is found out, unless the query says it, and answered as `reading`. `Location` names the dataset.",
        consumes: [...csvTypes, TEXT],
        querystring: z.strictObject({
          name: z.string().min(1).max(128).optional().describe("What to call it. Ignored if these bytes are known."),
          ...readingQuery,
        }),
        body: z.string().meta({ examples: ["x,y\n0.5,1\n0.25,0\n"] }),
        response: {
          200: json(Dataset, "These bytes, read in this way, were known already."),
          201: json(Dataset, "A new dataset."),
          ...problems("too_large", "unsupported_media_type", "invalid_dataset"),
        },
      },
    },
    async (request, reply) => {
      const { body, headers } = request as { body: unknown; headers: IncomingHttpHeaders };
      if (!(body instanceof Readable)) throw wrongMediaType(request);
      const asked = readingOptions(request.query, headers["content-type"]);
      const packing = packingOf(headers["content-encoding"]);
      const type = mediaTypeOf(headers["content-type"]);
      const plain = type === TEXT ? "text" : csvTypes.includes(type) ? "csv" : null;
      const draft = await uploads
        .during(request.owner, Number(headers["content-length"] ?? 0), (arrived) =>
          files.receive(body, config.maxDatasetBytes, reply.caller(), arrived, asked, packing, plain),
        )
        .catch((error: unknown) => {
          throw error instanceof UnrecognisedDataset ? wrongMediaType(request, helpWith(type)) : error;
        });
      try {
        const name = request.query.name ?? null;
        const { record, created } = await recordDataset({ store, files }, request.owner, name, draft);
        reply.code(created ? 201 : 200).header("location", `/v1/datasets/${record.id}`);
        return record;
      } finally {
        await draft.discard();
      }
    },
  );

  app.get(
    "/v1/datasets",
    {
      schema: {
        tags: ["datasets"],
        operationId: "listDatasets",
        summary: "List datasets, newest first",
        querystring: z.strictObject(pageQuery(DatasetId)),
        response: {
          200: json(DatasetList, "A page, which is shorter where tables have very many columns."),
          ...problems(),
        },
      },
    },
    async (request) => store.datasets.list(request.owner, request.query),
  );

  app.get(
    "/v1/datasets/:id",
    {
      schema: {
        tags: ["datasets"],
        operationId: "getDataset",
        summary: "Read a dataset's description",
        params,
        response: { 200: json(Dataset, "The dataset."), ...problems("not_found") },
      },
    },
    async (request) => {
      const record = await store.datasets.get(request.owner, request.params.id);
      if (record === null) throw missing();
      return record;
    },
  );

  app.get(
    "/v1/datasets/:id/content",
    {
      schema: {
        tags: ["datasets"],
        operationId: "getDatasetContent",
        summary: "Read a dataset's bytes",
        params,
        response: {
          200: bytes("text/csv", "The bytes as they were uploaded.", TEXT, GZIP, OTHERS),
          ...problems("not_found"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      const record = await store.datasets.get(owner, params.id);
      if (record === null) throw missing();
      const original = await files.original(record);
      if (original === null) {
        // It may have been deleted meanwhile.
        if ((await store.datasets.get(owner, params.id)) === null) throw missing();
        throw new DatasetLost("The file of this dataset is missing on this machine.");
      }
      return reply
        .type(contentType(original.start, record))
        .header("content-length", original.bytes)
        .header("etag", `"${record.sha256}"`)
        .send(original.checked(record.sha256));
    },
  );

  app.get(
    "/v1/datasets/:id/preview",
    {
      schema: {
        tags: ["datasets"],
        operationId: "previewDataset",
        summary: "Read the first rows of a dataset",
        description: "There are fewer rows than asked for where they would have more than 20,000 numbers or cells.",
        params,
        querystring: z.strictObject({
          rows: queryInteger(z.int().min(1).max(MAX_PREVIEW_ROWS).default(10)).describe(
            "How many rows. Of a text: how many times 100 characters.",
          ),
        }),
        response: {
          200: json(DatasetPreview, "The rows."),
          ...problems("invalid_parameter", "not_found", "rate_limited", "unavailable"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      const read = (table: TablePath) => runInHelper("previewFile", { table, rows: query.rows }, reply.caller());
      const preview = await readTable({ store, files }, owner, [params.id], read);
      if (preview === null) throw missing();
      return sendLongJson(reply, { dataset_id: params.id, ...preview });
    },
  );

  app.delete(
    "/v1/datasets/:id",
    {
      schema: {
        tags: ["datasets"],
        operationId: "deleteDataset",
        summary: "Delete a dataset",
        params,
        response: {
          204: z.undefined().describe("It is gone."),
          ...problems("not_found", "dataset_in_use"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      const record = await store.datasets.get(owner, params.id);
      const outcome = record === null ? "missing" : await removeDataset({ store, files }, owner, record);
      if (outcome === "missing") throw missing();
      if (outcome === "in_use") throw new Problem("dataset_in_use", "A job that has not ended uses this dataset.");
      return reply.code(204).send();
    },
  );
};

/** Of the bytes as they came, which may be packed. */
function contentType(start: Buffer, { format, reading }: Dataset): string {
  if (isGzip(start)) return GZIP;
  if (format === "text") return `${TEXT}; charset=utf-8`;
  return reading === null ? OTHERS : `text/csv; charset=${reading.encoding}`;
}

/** Without its parameters, such as the charset. */
function mediaTypeOf(contentType = ""): string {
  return contentType.split(";", 1)[0].trim().toLowerCase();
}

/** Null: the body is as it is. Others were refused when the request came. */
function packingOf(encoding: string | undefined): Packing | null {
  return packings.find((known) => known === encoding?.toLowerCase()) ?? null;
}

/** What to do with a body that is no file of a known kind. */
function helpWith(type: string): string {
  if (type.includes("json")) return ' Rows in JSON go into a spec: "inline": {"columns": ["x"], "rows": [[1]]}.';
  if (type.startsWith("multipart/"))
    return " The body is the file alone, not a form: curl --data-binary @FILE, not -F.";
  return " Arrays, Parquet and Arrow are known by their bytes, and these are none.";
}
