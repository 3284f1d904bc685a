/** The thread that compiles regions: takes jobs from the port it was given, answers there. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { restoreHandlers, type StoredHandler } from '../../engine/soft/isa/stored.js';
import { compileJobs, type RegionJob } from '../../engine/soft/region/job.js';
import { collectGarbage } from './collect.js';
import { stepBack } from './priority.js';

stepBack();
const { port, handlers: stored } = workerData as { port: MessagePort; handlers: string };
const handlers = restoreHandlers(JSON.parse(stored) as (StoredHandler | null)[]);

/** Modules made before this thread lets go of those that the vCPU's has let go of. */
const COLLECT_EVERY = 256;
let made = 0;

port.on('message', (jobs: RegionJob[]) => {
  port.postMessage(compileJobs(jobs, handlers));
  if (++made % COLLECT_EVERY === 0) collectGarbage();
});
