/** The thread that compiles regions: is sent a port for each engine, takes jobs from it and answers there. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { restoreHandlers, type StoredHandler } from '../../engine/soft/isa/stored.js';
import { compileJobs, type RegionJob } from '../../engine/soft/region/job.js';
import { collectGarbage } from './collect.js';
import { loadLibc, NoFfiError } from './ffi/libc.js';
import { stepBack } from './priority.js';

stepBack();
const handlers = restoreHandlers(JSON.parse(workerData as string) as (StoredHandler | null)[]);

/** Modules made before this thread lets go of those that the vCPU's has let go of. */
const COLLECT_EVERY = 64;
let made = 0;

/**
 * Milliseconds without a job before freed memory goes back to the system: V8's compilers take and free some 20 MB on each of
 * their threads, and the C library keeps what it has.
 */
const REST = 250;
let resting: NodeJS.Timeout | undefined;

function rest(): void {
  try {
    loadLibc().trimHeap();
  } catch (error) {
    if (!(error instanceof NoFfiError)) throw error;
  }
}

parentPort!.on('message', (port: MessagePort) => {
  port.on('message', (jobs: RegionJob[]) => {
    port.postMessage(compileJobs(jobs, handlers));
    if (++made % COLLECT_EVERY === 0) collectGarbage();
    clearTimeout(resting);
    resting = setTimeout(rest, REST);
  });
});
parentPort!.postMessage('ready');
