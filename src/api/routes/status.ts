import { meters } from "../../meters.ts";
import { ServiceStatus } from "../../spec/wire.ts";
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
      const { jobs, queue, workers } = await look(services);
      return {
        workers: workers.map(({ max_jobs: max, running, ...worker }) => {
          const ids = running.filter((job) => job.owner === owner).map(({ id }) => id);
          return { ...worker, jobs: { running: running.length, max, ids } };
        }),
        jobs,
        queue,
      };
    },
  );
};

async function look({ store: { overview }, queue }: Pick<Services, "store" | "queue">) {
  const [jobs, lengths, oldest, workers] = await Promise.all([
    overview.jobs(),
    queue.lengths(),
    overview.oldestWaitingSeconds(),
    overview.workers(),
  ]);
  return { jobs, queue: { ...lengths, oldest_seconds: oldest }, workers };
}

/** A scrape while Redis is away still tells of the process; what is not known then is left out. */
async function measure(services: Pick<Services, "store" | "queue">): Promise<void> {
  try {
    const { jobs, queue, workers } = await look(services);
    const { oldest_seconds: oldest, ...lengths } = queue;
    for (const [status, count] of Object.entries(jobs)) meters.jobs.set({ status }, count);
    for (const [state, count] of Object.entries(lengths)) meters.deliveries.set({ state }, count);
    meters.oldestWaiting.set(oldest ?? 0);
    meters.workers.set(workers.length);
    meters.redisUp.set(1);
  } catch {
    for (const labelled of [meters.jobs, meters.deliveries]) labelled.reset();
    for (const single of [meters.oldestWaiting, meters.workers]) single.remove();
    meters.redisUp.set(0);
  }
}
