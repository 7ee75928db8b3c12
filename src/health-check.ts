// Whether the service in this container lives, for the HEALTHCHECK of the Dockerfile. The exit code
// is 0 if it does. A worker listens on one port and any other role on another, and a container runs
// one service: so the one that answers is it, however its role was set.
import { env } from "node:process";

const { RAPPEL_PORT, RAPPEL_WORKER_PORT } = env;
const answers = [RAPPEL_PORT, RAPPEL_WORKER_PORT].map(async (port) => {
  const response = await fetch(`http://127.0.0.1:${port}/healthz`);
  if (!response.ok) throw new Error(await response.text());
});
try {
  await Promise.any(answers);
} catch (error) {
  // Docker keeps the last words.
  for (const each of (error as AggregateError).errors as Error[]) process.stderr.write(`${each.message}\n`);
  process.exit(1);
}
