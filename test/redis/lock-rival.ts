// A process that tries for a lock when it is told to, and keeps it until it is told to end.
import { acquireLock } from "../../src/redis/lock.ts";

process.on("message", (word) => {
  if (word === "end") process.exit();
  try {
    acquireLock(process.argv[2]);
    process.send!("acquired");
  } catch (error) {
    process.send!((error as Error).name);
  }
});
process.send!("ready");
