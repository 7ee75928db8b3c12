// Posts a job, from a process of its own that may die on the way.
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { createLog } from "../../src/log.ts";
import { WakeUps } from "../../src/queue/wake-ups.ts";
import { connector } from "../../src/redis/connect.ts";
import { storeConnection } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { postJob } from "./support.ts";

const { REDIS_URL, DATA_DIR, SPEC } = process.env as Record<string, string>;
const redis = connector(REDIS_URL, createLog("warn"))({ ...storeConnection, lazyConnect: true });
await redis.connect();
const files = new DatasetFiles(DATA_DIR);
await postJob({ store: new Store(redis), wakeUps: new WakeUps(redis), files }, JSON.parse(SPEC));
process.exit(0);
