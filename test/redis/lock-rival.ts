// A process that tries for a lock when it is told to, and keeps it until it is told to end.
import { pino } from "pino";
import { acquireLock } from "../../src/redis/lock.ts";

process.on("message", async (word) => {
  if (word === "end") process.exit();
  try {
    await acquireLock(process.argv[2], { log: pino({ level: "silent" }), onLost: () => undefined });
    process.send!("acquired");
  } catch (error) {
    process.send!((error as Error).name);
  }
});
process.send!("ready");
