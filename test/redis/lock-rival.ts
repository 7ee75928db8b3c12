// A process that tries for a lock when it is told to, and keeps it until it is told to end.
import { pino } from "pino";
import { acquireLock } from "../../src/redis/lock.ts";

process.on("message", (word) => {
  if (word === "end") process.exit();
  acquireLock(process.argv[2], { log: pino({ level: "silent" }), onLost: () => undefined }).then(
    () => process.send!("acquired"),
    (error: Error) => process.send!(error.name),
  );
});
process.send!("ready");
