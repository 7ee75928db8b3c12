/** The program of the thread of a lane (runner/lane-thread.ts). */
import { workerData } from "node:worker_threads";
import { createLog } from "./log.ts";
import { connector } from "./redis/connect.ts";
import type { LaneData } from "./runner/lane-messages.ts";
import { serveLane } from "./runner/lane-thread.ts";
import { storeConnection } from "./store/database.ts";
import { Store } from "./store/store.ts";

const { redisUrl, logLevel } = workerData as LaneData;
const log = createLog(logLevel).child({ lane: true });
const redis = connector(redisUrl, log)({ ...storeConnection, lazyConnect: true });
// If Redis is away, a run waits for it.
await redis.connect().catch(() => undefined);
serveLane(new Store(redis), log);
