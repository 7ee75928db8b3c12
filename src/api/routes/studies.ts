import type { Readable } from "node:stream";
import { z } from "zod";
import { faulty, Problem } from "../../contract/errors.ts";
import { parametersOf, studyOf } from "../../contract/resolve/study.ts";
import { StudyId } from "../../contract/wire/common.ts";
import { isFinal } from "../../contract/wire/job.ts";
import {
  Extension,
  Importance,
  MAX_STUDIES,
  Study,
  StudyEventList,
  StudyList,
  StudyRequest,
  TrialList,
  type StudyEvent,
  type StudyStatus,
} from "../../contract/wire/study.ts";
import type { EndedTrial } from "../../studies/study.ts";
import { importances } from "../../studies/importance.ts";
import type { CreatedStudy, StoredTrial, StudyChange } from "../../store/studies.ts";
import { Follower } from "../follow.ts";
import { EVENT_STREAM, eventHeaders, sendEvents } from "../event-stream.ts";
import { idempotencyHeaders, idempotencyOf, keyMismatch, once } from "../job-creation.ts";
import { Pace } from "../pace.ts";
import { numberCursor, pageQuery } from "../requests.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { StudyController } from "../study-controller.ts";
import { createStudy } from "../study-creation.ts";
import { extendStudy, noSuchStudy } from "../study-extension.ts";

const params = z.object({ id: StudyId });
/** How many trials are read at once. */
const READ_AT_ONCE = 500;

export const studies: Routes = async (app, services) => {
  const { store, news } = services;
  const controller = new StudyController(services, app.log as never);
  app.addHook("onListen", async () => controller.start());
  app.addHook("onClose", async () => await controller.close());
  const follower = new Follower(store?.studies, news);

  app.post(
    "/v1/studies",
    {
      schema: {
        tags: ["studies"],
        operationId: "createStudy",
        summary: "Search for the best parameters of a spec",
        description: `Its trials are jobs of the owner, whose limits and turns hold. The same study has the same trials and the same winner, whatever runs it. The specs of up to 128 trials are checked now. An owner may have ${MAX_STUDIES} studies. \`Location\` names the study.`,
        headers: idempotencyHeaders,
        body: StudyRequest,
        response: {
          201: json(Study, "The study, which starts its first trials."),
          ...problems("malformed_json", "too_large", "unsupported_media_type", "invalid_spec", "idempotency_mismatch"),
        },
      },
    },
    async (request, reply) => {
      const { owner, bodyText } = request;
      if (bodyText === "") throw new Problem("malformed_json", "The body is empty; it must be a study in JSON.");
      const use = idempotencyOf(request.headers["idempotency-key"], request, "studies");
      const created = await once(store.studies, owner, use, () => createStudy(services, reply, use));
      const record = createdStudy(created);
      controller.wake();
      if (created.outcome === "replayed") reply.header("idempotency-replayed", "true");
      return reply.code(201).header("location", `/v1/studies/${record.id}`).send(record);
    },
  );

  app.get(
    "/v1/studies",
    {
      schema: {
        tags: ["studies"],
        operationId: "listStudies",
        summary: "List studies, newest first",
        querystring: z.strictObject(pageQuery(StudyId)),
        response: { 200: json(StudyList, "A page."), ...problems() },
      },
    },
    async (request) => await store.studies.list(request.owner, request.query),
  );

  app.get(
    "/v1/studies/:id",
    {
      schema: {
        tags: ["studies"],
        operationId: "getStudy",
        summary: "Read a study",
        params,
        response: { 200: json(Study, "The study."), ...problems("not_found") },
      },
    },
    async (request) => await found(request.owner, request.params.id),
  );

  app.get(
    "/v1/studies/:id/trials",
    {
      schema: {
        tags: ["studies"],
        operationId: "listTrials",
        summary: "List a study's trials in the order of their numbers",
        params,
        querystring: z.strictObject(pageQuery(numberCursor)),
        response: { 200: json(TrialList, "A page."), ...problems("not_found") },
      },
    },
    async (request) => {
      const page = await store.studies.trials(request.owner, request.params.id, request.query);
      if (page === null) throw noSuchStudy();
      return page;
    },
  );

  app.post(
    "/v1/studies/:id/trials",
    {
      schema: {
        tags: ["studies"],
        operationId: "extendStudy",
        summary: "Give a study that has ended more trials",
        description:
          "It goes on as if it had been asked for so many from the start. A study that has as many stays as it is. Not for one that was cancelled, or whose time was over.",
        params,
        body: Extension,
        response: {
          202: json(Study, "It goes on."),
          ...problems(
            "malformed_json",
            "not_found",
            "wrong_status",
            "too_large",
            "unsupported_media_type",
            "invalid_spec",
          ),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, body, bodyText } = request;
      if (bodyText === "") throw new Problem("malformed_json", "The body is empty; it must be JSON with a total.");
      const extended = await extendStudy(services, owner, params.id, body);
      controller.wake();
      return reply.code(202).send(extended);
    },
  );

  app.get(
    "/v1/studies/:id/importance",
    {
      schema: {
        tags: ["studies"],
        operationId: "getImportance",
        summary: "Read how much each parameter matters",
        description:
          "The share of the variance of the trials' ranks that lies between the values of a parameter: Kruskal and Wallis' epsilon squared, divided by the sum over all parameters. It is the effect of each parameter alone.",
        params,
        response: { 200: json(Importance, "The importance of each parameter."), ...problems("not_found") },
      },
    },
    async (request) => {
      const { owner, params } = request;
      const record = await store.studies.record(owner, params.id);
      if (record === null) throw noSuchStudy();
      const parameters = parametersOf(record.settings.space, []);
      const study = studyOf(record.settings, parameters, record.settings.epochs, []);
      const ended = await endedTrials(owner, params.id);
      const shares = importances(study, ended);
      const importance = Object.fromEntries(parameters.map(({ pointer }, i) => [pointer, shares[i]]));
      return { method: "epsilon_squared" as const, trials: ended.length, importance };
    },
  );

  app.get(
    "/v1/studies/:id/events",
    {
      schema: {
        tags: ["studies"],
        operationId: "listStudyEvents",
        summary: "List what happened to a study, oldest first, or follow it",
        description: `With \`Accept: ${EVENT_STREAM}\` the answer is a stream of server-sent events, as of a job's events, up to the one that ends the study.`,
        params,
        querystring: z.strictObject(pageQuery(numberCursor)),
        headers: eventHeaders,
        response: {
          200: {
            description: "A page, or the stream.",
            content: {
              "application/json": { schema: StudyEventList },
              [EVENT_STREAM]: { schema: z.custom<Readable>().meta({ type: "string" }) },
            },
          },
          204: z.undefined().describe("There is nothing more to stream."),
          ...problems("not_found"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      const over = async () => isFinal((await store.studies.progress(owner, params.id))?.status ?? "failed");
      return await sendEvents<StudyEvent>(request, reply, {
        source: store.studies,
        follower,
        followed: { owner, id: params.id, progress: false },
        query,
        over,
        missing: noSuchStudy,
      });
    },
  );

  const actions = {
    pause: {
      summary: "Pause a study",
      description: "No more trials start. Those that run go on to their end.",
      done: "No more trials start.",
      change: { to: "paused", from: ["running"], event: { type: "paused", message: "Paused.", data: null } },
      rule: "Only a study that is running can be paused",
    },
    resume: {
      summary: "Resume a paused study",
      description: "Its trials are as if it had never been paused.",
      done: "Trials start again.",
      change: { to: "running", from: ["paused"], event: { type: "resumed", message: "Resumed.", data: null } },
      rule: "Only a paused study can be resumed",
    },
    cancel: {
      summary: "Cancel a study",
      description: "Trials that run are cancelled. Those that have ended stay.",
      done: "It is about to be cancelled.",
      change: {
        to: "cancelling",
        from: ["running", "paused"],
        event: { type: "cancelling", message: "The trials that run are cancelled.", data: null },
      },
      rule: "Only a study that is running or paused can be cancelled",
    },
  } as const satisfies Record<string, { change: StudyChange } & Record<string, unknown>>;

  for (const [action, { summary, description, done, change, rule }] of Object.entries(actions)) {
    app.post(
      `/v1/studies/:id/${action}`,
      {
        schema: {
          tags: ["studies"],
          operationId: `${action}Study`,
          summary,
          description,
          params,
          response: { 202: json(Study, done), ...problems("not_found", "wrong_status") },
        },
      },
      async (request, reply) => {
        const changed = await store.studies.change(request.owner, request.params.id, change);
        if (changed === null) throw noSuchStudy();
        if (changed.outcome === "wrong_status") throw wrongStatus(rule, changed.record.status);
        return reply.code(202).send(changed.record);
      },
    );
  }

  app.delete(
    "/v1/studies/:id",
    {
      schema: {
        tags: ["studies"],
        operationId: "deleteStudy",
        summary: "Delete a study that has ended",
        description: "With its trials and events. The jobs of the trials stay.",
        params,
        response: { 204: z.undefined().describe("It is gone."), ...problems("not_found", "wrong_status") },
      },
    },
    async (request, reply) => {
      const removed = await store.studies.remove(request.owner, request.params.id);
      if (removed === null) throw noSuchStudy();
      const { outcome, record } = removed;
      if (outcome === "wrong_status")
        throw wrongStatus("Only a study that has ended can be deleted (cancel it first)", record.status);
      return reply.code(204).send();
    },
  );

  async function found(owner: string, id: string): Promise<Study> {
    const record = await store.studies.get(owner, id);
    if (record === null) throw noSuchStudy();
    return record;
  }

  async function endedTrials(owner: string, id: string): Promise<EndedTrial[]> {
    const ended: EndedTrial[] = [];
    const pace = new Pace();
    for (let from = 0; ; from += READ_AT_ONCE) {
      const texts = await store.studies.stored(owner, id, from, READ_AT_ONCE);
      for (const text of texts) {
        await pace.turn();
        const { status, ...trial } = JSON.parse(text) as StoredTrial;
        if (status !== "running") ended.push({ ...trial, status });
      }
      if (texts.length < READ_AT_ONCE) return ended;
    }
  }
};

function wrongStatus(rule: string, status: StudyStatus): Problem {
  return new Problem("wrong_status", `${rule}; this one is ${status}.`, { current_status: status });
}

/** @throws Problem if there is none */
function createdStudy({ outcome, record }: CreatedStudy): Study {
  if (outcome === "mismatch") throw keyMismatch();
  if (outcome === "dataset_missing")
    throw faulty("invalid_spec", [{ pointer: "/spec/data", message: "names a dataset that was deleted just now" }]);
  return record;
}
