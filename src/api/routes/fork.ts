import { z } from "zod";
import { Problem } from "../../contract/errors.ts";
import { Fork, resolveFork } from "../../contract/resolve/fork.ts";
import { JobId } from "../../contract/wire/common.ts";
import { Job } from "../../contract/wire/job.ts";
import { beginning, checkpointOf } from "../fork-source.ts";
import { createJob, idempotencyHeaders, idempotencyOf, once, resolveContext, sendCreated } from "../job-creation.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

export const fork: Routes = async (app, services) => {
  const { store } = services;
  app.post(
    "/v1/jobs/:id/fork",
    {
      schema: {
        tags: ["jobs"],
        operationId: "forkJob",
        summary: "Create a job from a checkpoint of another",
        description:
          "With the optimizer's state the fork goes on where the checkpoint was taken; unchanged, it ends with the very weights of its parent. Without, it begins at step 0 with the checkpoint's weights instead of random ones. It keeps a copy of what it needs, so the parent may be deleted. Its model must have the tensors of the checkpoint. Pointers of faults lead into this body.",
        params: z.object({ id: JobId }),
        headers: idempotencyHeaders,
        body: Fork,
        response: {
          201: json(Job, "The new job, which waits in the queue."),
          ...problems(
            "malformed_json",
            "not_found",
            "wrong_status",
            "too_large",
            "unsupported_media_type",
            "invalid_spec",
            "idempotency_mismatch",
          ),
        },
      },
    },
    async (request, reply) => {
      const { owner, bodyText, params } = request;
      if (bodyText === "") throw new Problem("malformed_json", "The body is empty; it must be a fork in JSON.");
      const use = idempotencyOf(request.headers["idempotency-key"], request, params.id);
      const create = async () => {
        const parent = await store.jobs.get(owner, params.id);
        if (parent === null) throw noSuchJob();
        const find = (step: Fork["step"]) => checkpointOf(store, owner, parent, step);
        const fork = await resolveFork(request.body, parent, find, resolveContext(services, reply));
        return createJob(services, request, fork.resolved, { idempotency: use, fork: beginning(parent, fork) });
      };
      return sendCreated(reply, await once(store.jobs, owner, use, create));
    },
  );
};
