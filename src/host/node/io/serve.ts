/** The thread's side of io-thread.ts: takes requests in their order, one at a time, and sleeps when there is none. */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Doorbell } from './doorbell.js';
import { ALWAYS, ATTACH, CLOSE, CONTROL, type Greeting, LONGEST_MESSAGE, type ThreadSetup, TOLD } from './io-thread.js';
import { type RamHandle, ThreadRam } from './ram.js';
import { WordRing } from './word-ring.js';

export interface Service<R> {
  /** Told to the machine's thread. */
  readonly ready: R;
  /**
   * Does a request, words from its identifier on. @returns the words of the answer behind the identifier, at most two. Throws
   * only for a defect of ours.
   */
  serve(words: Int32Array, count: number, ram: ThreadRam): readonly number[];
  /** The answer to a request that was called off. */
  readonly cancelled: readonly number[];
  /** Nothing is coming at the moment: a chance for work that can wait. Absent: there is none. */
  idle?(): void;
  close(): void;
}

/**
 * Opens the service and serves until told to close.
 * @param open makes the service of the task; what it throws as `Refusal` goes to the user as the sentence that it is
 */
export function serveThread<T, R>(open: (task: T) => Service<R>, isRefusal: (error: unknown) => error is Error): void {
  const setup = workerData as ThreadSetup;
  const { control, port } = setup;
  const requests = new WordRing(setup.requests);
  const answers = new WordRing(setup.answers);
  const bell = new Doorbell(setup.bell);
  const greet = (greeting: Greeting<R>) => port.postMessage(greeting);
  let service: Service<R>;
  try {
    service = open(setup.task as T);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    greet({ refused: error.message });
    port.close();
    return;
  }
  greet({ ready: service.ready });
  const message = new Int32Array(LONGEST_MESSAGE + 1);
  const words = message.subarray(1);
  const answer = new Int32Array(4);
  let ram = new ThreadRam([]);

  /** @returns whether to go on */
  const serveOne = (count: number): boolean => {
    let results: readonly number[] = [];
    if (words[0] === ATTACH) {
      ram = new ThreadRam((receiveMessageOnPort(port) as { message: RamHandle[] }).message);
    } else if (words[0] !== CLOSE) {
      // Whoever cancels changes the epoch first and looks then whether we serve: one of us sees the other.
      Atomics.store(control, CONTROL.serving, 1);
      const stale = message[0] !== ALWAYS && message[0] !== Atomics.load(control, CONTROL.epoch);
      results = stale ? service.cancelled : service.serve(words, count - 1, ram);
      Atomics.store(control, CONTROL.serving, 0);
      Atomics.notify(control, CONTROL.serving);
    }
    if (words[0] === TOLD) return true;
    answer[0] = words[0];
    for (const [i, word] of results.entries()) answer[1 + i] = word;
    // The machine's thread may not be looking for some milliseconds.
    while (!answers.push(answer, 1 + results.length)) Atomics.wait(control, CONTROL.words - 1, 0, 1);
    bell.ring();
    return words[0] !== CLOSE;
  };

  for (;;) {
    const before = Atomics.load(control, CONTROL.requests);
    const count = requests.pop(message);
    if (count >= 0) {
      if (!serveOne(count)) break;
      continue;
    }
    service.idle?.();
    Atomics.wait(control, CONTROL.requests, before);
  }
  service.close();
  port.close();
}
