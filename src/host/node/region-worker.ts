/** The thread that compiles regions: takes jobs from the port it was given, answers there. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { restoreHandlers, type StoredHandler } from '../../engine/soft/isa/stored.js';
import { compileJobs, type RegionJob } from '../../engine/soft/region/job.js';

const { port, handlers: stored } = workerData as { port: MessagePort; handlers: string };
const handlers = restoreHandlers(JSON.parse(stored) as (StoredHandler | null)[]);

port.on('message', (jobs: RegionJob[]) => port.postMessage(compileJobs(jobs, handlers)));
