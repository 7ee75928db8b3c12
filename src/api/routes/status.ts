import { meters } from "../../meters.ts";
import { ServiceStatus } from "../../contract/wire/status.ts";
import { json, problems } from "../responses.ts";
import type { Routes, Services } from "../services.ts";
import { prometheus } from "./prometheus.ts";

export const status: Routes = async (app, services) => {
  await app.register(prometheus, { refresh: () => measure(services) });

  app.get(
    "/v1/status",
    {
      schema: {
        tags: ["operations"],
        operationId: "getStatus",
        summary: "See the workers and the queue",
        response: { 200: json(ServiceStatus, "The service as a whole."), ...problems() },
      },
    },
    async ({ owner }) => {
      const { jobs, queue, workers, room } = await look(services);
      return {
        workers: workers.map(({ max_jobs: max, running, ...worker }) => {
          // A shard of a set has the id of its set, and a number behind it.
          const ids = new Set(running.filter((job) => job.owner === owner).map(({ id }) => id.split(".")[0]));
          return { ...worker, jobs: { running: running.length, max, ids: [...ids] } };
        }),
        jobs,
        queue,
        store: { used_bytes: room.used, reserved_bytes: room.reserved, limit_bytes: room.limit, full: room.full },
      };
    },
  );
};

async function look({ store: { overview } }: Pick<Services, "store">) {
  const [jobs, lengths, oldest, workers, room] = await Promise.all([
    overview.jobs(),
    overview.queue(),
    overview.oldestWaitingSeconds(),
    overview.workers(),
    overview.room(),
  ]);
  return { jobs, queue: { ...lengths, oldest_seconds: oldest }, workers, room };
}

/**
 * A scrape while Redis is away still has the metrics of the process. Metrics from Redis are left
 * out.
 */
async function measure(services: Pick<Services, "store">): Promise<void> {
  try {
    const { overview } = services.store;
    const [{ jobs, queue, workers, room }, ends, archive] = await Promise.all([
      look(services),
      overview.ends(),
      overview.archive(),
    ]);
    const { oldest_seconds: oldest, ...lengths } = queue;
    for (const [status, count] of Object.entries(jobs)) meters.jobs.set({ status }, count);
    for (const [state, count] of Object.entries(lengths)) meters.deliveries.set({ state }, count);
    // The store counts them, from before this process began.
    meters.jobEnds.reset();
    for (const { status, code, count } of ends) meters.jobEnds.inc({ status, code }, count);
    meters.oldestWaiting.set(oldest ?? 0);
    meters.workers.set(workers.length);
    meters.storeUsed.set(room.used);
    meters.storeReserved.set(room.reserved);
    if (room.limit === null) meters.storeLimit.remove();
    else meters.storeLimit.set(room.limit);
    meters.archiveJobs.set(archive.jobs);
    meters.archiveBytes.set(archive.bytes);
    meters.archiveWaiting.set(archive.waiting);
    meters.redisUp.set(1);
  } catch {
    for (const labelled of [meters.jobs, meters.jobEnds, meters.deliveries]) labelled.reset();
    const { oldestWaiting, workers, storeUsed, storeReserved, storeLimit } = meters;
    for (const single of [oldestWaiting, workers, storeUsed, storeReserved, storeLimit]) single.remove();
    for (const single of [meters.archiveJobs, meters.archiveBytes, meters.archiveWaiting]) single.remove();
    meters.redisUp.set(0);
  }
}
