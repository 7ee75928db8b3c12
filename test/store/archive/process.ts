// A process that moves all ended jobs into the archive, compacts it once, and ends. Tests kill it.
import { Redis } from "ioredis";
import { pino } from "pino";
import { ArchiveDirectory } from "../../../src/store/archive/directory.ts";
import { storeConnection } from "../../../src/store/database.ts";
import { Store } from "../../../src/store/store.ts";

const { REDIS, ARCHIVE, DAY_MS } = process.env as Record<string, string>;
const redis = new Redis(REDIS, { ...storeConnection, lazyConnect: true });
await redis.connect();
const { mover, compaction } = new Store(redis).archiving(
  new ArchiveDirectory(ARCHIVE),
  pino({ level: "silent" }),
  Number(DAY_MS),
);
await mover.prove();
while ((await mover.moveSome()) > 0);
await mover.bury();
await mover.close();
await compaction.run();
await mover.close();
process.exit(0);
