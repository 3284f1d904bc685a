/** Compiles regions on a thread of its own, so that the guest goes on meanwhile (region-worker.ts). */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { RegionAnswer, RegionCompiler, RegionJob } from '../../engine/soft/region/job.js';
import { PACKAGE_ROOT } from './package.js';

/** The thread, which serves one engine after another: each reset of the guest makes a new engine. */
export class CompilerThread {
  #worker: Worker | undefined;

  /** A compiler for one engine. The thread is started when it is first needed: many guests are gone before anything is hot. */
  connect(): RegionCompiler {
    return new ThreadedCompiler((port) => this.#start().postMessage(port, [port]));
  }

  /** Starts the thread and waits until it has read all its files. */
  async prepare(): Promise<void> {
    await once(this.#start(), 'message');
  }

  /** Ends the thread. Compilers that are still connected answer no more. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const handlers = readFileSync(new URL('dist/engine/soft/handlers.json', PACKAGE_ROOT), 'utf8');
    this.#worker = new Worker(new URL('dist/host/node/region-worker.js', PACKAGE_ROOT), {
      name: 'region compiler',
      workerData: handlers,
    });
    this.#worker.unref();
    return this.#worker;
  }
}

class ThreadedCompiler implements RegionCompiler {
  readonly #handOver: (port: MessagePort) => void;
  #port: MessagePort | undefined;

  constructor(handOver: (port: MessagePort) => void) {
    this.#handOver = handOver;
  }

  submit(jobs: readonly RegionJob[]): void {
    this.#port ??= this.#connect();
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
    this.#port = undefined;
  }

  #connect(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#handOver(port2);
    port1.unref();
    return port1;
  }
}
