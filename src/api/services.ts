import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { Config } from "../config.ts";
import type { DatasetFiles } from "../data/files/dataset-files.ts";
import type { WakeUps } from "../queue/wake-ups.ts";
import type { Predictor } from "../predict/predictor.ts";
import type { News } from "../queue/news.ts";
import type { Store } from "../store/store.ts";

export type Checks = Readonly<Record<string, () => unknown>>;

/** What the routes work with. */
export interface Services {
  readonly store: Store;
  readonly files: DatasetFiles;
  readonly queue: WakeUps;
  readonly news: News;
  readonly predictor: Predictor;
  /** The trace context of the present request, as JSON; absent without traces. */
  readonly traceContext?: () => string;
  readonly config: Pick<
    Config,
    | "adminKey"
    | "apiKeys"
    | "host"
    | "maxDatasetBytes"
    | "maxJobBytes"
    | "maxStateBytes"
    | "redisMaxBytes"
    | "requestsPerMinute"
    | "webhookHosts"
    | "webhookSecrets"
  >;
  /**
   * What must work for this process to be ready, by name; each throws if it does not, and may
   * return a sentence on what works in part.
   */
  readonly checks: Checks;
  /** What must be so for it to be alive. If it is not, only a new process helps. */
  readonly livenessChecks: Checks;
}

/** The routes of one resource. */
export type Routes = FastifyPluginAsyncZod<Services>;
