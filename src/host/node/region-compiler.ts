/** Compiles regions on a thread of its own, so that the guest goes on meanwhile (region-worker.ts). */
import { readFileSync } from 'node:fs';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { RegionAnswer, RegionCompiler, RegionJob } from '../../engine/soft/region/job.js';
import { PACKAGE_ROOT } from './package.js';

export class ThreadedCompiler implements RegionCompiler {
  #worker: Worker | undefined;
  #port: MessagePort | undefined;

  submit(jobs: readonly RegionJob[]): void {
    // Made when first needed: many guests are gone before anything of them is hot.
    this.#port ??= this.#start();
    this.#port.postMessage(
      jobs,
      jobs.map((j) => j.bytes.buffer),
    );
  }

  poll(): RegionAnswer | undefined {
    return this.#port && (receiveMessageOnPort(this.#port)?.message as RegionAnswer | undefined);
  }

  close(): void {
    this.#port?.close();
    void this.#worker?.terminate();
    this.#port = undefined;
    this.#worker = undefined;
  }

  #start(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    const handlers = readFileSync(new URL('dist/engine/soft/handlers.json', PACKAGE_ROOT), 'utf8');
    this.#worker = new Worker(new URL('dist/host/node/region-worker.js', PACKAGE_ROOT), {
      name: 'region compiler',
      workerData: { port: port2, handlers },
      transferList: [port2],
    });
    this.#worker.unref();
    port1.unref();
    return port1;
  }
}
