/**
 * A thread that does the host's blocking work for a machine, seen from the machine's thread. Requests go to it and answers
 * come back through rings in shared memory, without any message of Node's; each answer rings the hub's bell. What requests
 * and answers mean is the back end's affair: here they are words, the first of which identifies the request.
 *
 * The thread's own side is serve.ts.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { GuestMemory } from '../../../engine/contract.js';
import { PACKAGE_ROOT } from '../package.js';
import type { IoHub, IoSource } from './hub.js';
import { handOver } from './ram.js';
import { WordRing } from './word-ring.js';

/** Words of the control block that both sides know. */
export const CONTROL = { epoch: 0, serving: 1, requests: 2, words: 16 } as const;
/** In place of an epoch, where a request is for the thread itself. */
export const ALWAYS = -1;
/** Longest message in words, without the epoch: a virtio queue's largest buffer in pieces of three words. */
export const LONGEST_MESSAGE = 8192;
const RING_WORDS = 65_536;

/** First words of the requests that every thread knows. Identifiers of other requests are not negative. */
export const ATTACH = -1;
export const CLOSE = -2;
/** First word of what has no answer, see `tell`. */
export const TOLD = -3;

/** What a thread is given when it starts. */
export interface ThreadSetup {
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly requests: SharedArrayBuffer;
  readonly answers: SharedArrayBuffer;
  readonly bell: Int32Array<SharedArrayBuffer>;
  readonly port: MessagePort;
  readonly task: unknown;
}

/** The thread's first word: what its task has told about itself, or one sentence that says why it can't be done. */
export type Greeting<T> = { readonly ready: T } | { readonly refused: string };

export interface IoThreadOptions<T> {
  /** As a profiler shows the thread. */
  readonly name: string;
  /** Below `dist/`. */
  readonly script: string;
  readonly hub: IoHub;
  /** Structured-cloned to the thread. */
  readonly task: T;
  /** Words of an answer; the array is used again. */
  readonly onAnswer: (words: Int32Array, count: number) => void;
  /** After the last answer of a poll. */
  readonly onBatch: () => void;
  /** The thread has died of a defect: one sentence. */
  readonly onDeath: (sentence: string) => void;
}

/** The thread could not do what it was made for; the message is one sentence for the user. */
export class ThreadRefusal extends Error {
  override readonly name = 'ThreadRefusal';
}

export class IoThread<T> implements IoSource {
  private readonly options: IoThreadOptions<T>;
  private readonly worker: Worker;
  private readonly port: MessagePort;
  private readonly control = new Int32Array(new SharedArrayBuffer(CONTROL.words * 4));
  private readonly requests = new WordRing(RING_WORDS);
  private readonly answers = new WordRing(RING_WORDS);
  private readonly message = new Int32Array(LONGEST_MESSAGE + 1);
  /** What did not fit into the ring: goes out when answers have made room. */
  private backlog: Int32Array[] = [];
  private readonly received = new Int32Array(LONGEST_MESSAGE);
  private readonly exited: Promise<void>;
  private alive = true;
  private closing = false;
  /** Requests without an answer. */
  private outstanding = 0;
  /** Foreign memory has to live as long as the thread may use it: what it uses now, and what it has been told to use. */
  private readonly kept: GuestMemory[] = [];
  private attached = false;

  constructor(options: IoThreadOptions<T>) {
    this.options = options;
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const setup: ThreadSetup = {
      control: this.control,
      requests: this.requests.shared,
      answers: this.answers.shared,
      bell: options.hub.bell.cell,
      port: port2,
      task: options.task,
    };
    this.worker = new Worker(new URL(`dist/${options.script}`, PACKAGE_ROOT), {
      name: options.name,
      workerData: setup,
      transferList: [port2],
    });
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', () => resolve(this.died('has ended')));
    });
    this.worker.once('error', (error: unknown) => {
      this.died(`has failed: ${error instanceof Error ? error.message : String(error)}`);
    });
    options.hub.add(this);
  }

  /** What the thread says when it has opened what it needs. @throws ThreadRefusal with the thread's sentence */
  async ready<R>(): Promise<R> {
    const greeting = new Promise<Greeting<R>>((resolve) => {
      this.port.once('message', resolve);
      void this.exited.then(() => resolve({ refused: `The thread of ${this.options.name} has ended at once.` }));
    });
    const answer = await greeting;
    this.port.unref();
    this.worker.unref();
    if ('ready' in answer) return answer.ready;
    await this.end();
    throw new ThreadRefusal(answer.refused);
  }

  /** The guest memory that requests from now on speak of. */
  attach(memory: GuestMemory): void {
    this.port.postMessage(handOver(memory));
    this.post(ALWAYS, Int32Array.of(ATTACH), 1);
    this.kept.push(memory);
  }

  /** Hands over a request; its answer begins with the same word. */
  send(words: Int32Array, count: number): void {
    this.post(Atomics.load(this.control, CONTROL.epoch), words, count);
  }

  /** Hands over what needs no answer and touches no guest memory; its first word is `TOLD`. */
  tell(words: Int32Array, count: number): void {
    this.push(Atomics.load(this.control, CONTROL.epoch), words, count);
  }

  /**
   * Nothing sent until now touches guest memory any more when this comes back: what the thread has not begun it answers
   * without doing it; what it is doing is waited for.
   */
  cancel(): void {
    if (this.outstanding === 0) return;
    Atomics.add(this.control, CONTROL.epoch, 1);
    while (this.alive && Atomics.load(this.control, CONTROL.serving) === 1) {
      // With a limit, for a thread that dies meanwhile can't say so.
      Atomics.wait(this.control, CONTROL.serving, 1, 100);
    }
  }

  poll(): void {
    let any = false;
    for (;;) {
      const count = this.answers.pop(this.received);
      if (count < 0) break;
      any = true;
      this.outstanding--;
      this.options.hub.expect(-1);
      if (this.received[0] >= 0) this.options.onAnswer(this.received, count);
      else if (this.received[0] === ATTACH) this.letGo();
    }
    if (this.backlog.length > 0) this.sendBacklog();
    if (any) this.options.onBatch();
  }

  private sendBacklog(): void {
    while (this.backlog.length > 0 && this.requests.push(this.backlog[0], this.backlog[0].length)) this.backlog.shift();
    this.wakeThread();
  }

  /** Everything sent is done, then the thread closes what it has open and ends. */
  async close(): Promise<void> {
    if (!this.closing && this.alive) this.post(ALWAYS, Int32Array.of(CLOSE), 1);
    this.closing = true;
    // What does not fit into the ring yet goes out as the thread makes room.
    while (this.alive && this.backlog.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      this.poll();
    }
    await this.end();
  }

  /** The thread uses the next memory from now on. */
  private letGo(): void {
    if (this.attached) this.kept.shift();
    this.attached = true;
  }

  private async end(): Promise<void> {
    this.closing = true;
    this.worker.ref();
    await this.exited;
    this.poll();
    this.options.hub.remove(this);
    this.options.hub.expect(-this.outstanding);
    this.outstanding = 0;
    this.port.close();
    this.kept.length = 0;
  }

  private post(epoch: number, words: Int32Array, count: number): void {
    this.outstanding++;
    this.options.hub.expect(1);
    this.push(epoch, words, count);
  }

  private push(epoch: number, words: Int32Array, count: number): void {
    const { message } = this;
    message[0] = epoch;
    for (let i = 0; i < count; i++) message[1 + i] = words[i];
    if (this.backlog.length > 0 || !this.requests.push(message, count + 1)) {
      this.backlog.push(message.slice(0, count + 1));
    }
    this.wakeThread();
  }

  private wakeThread(): void {
    Atomics.add(this.control, CONTROL.requests, 1);
    Atomics.notify(this.control, CONTROL.requests);
  }

  private died(how: string): void {
    if (!this.alive) return;
    this.alive = false;
    if (!this.closing) this.options.onDeath(`The thread of ${this.options.name} ${how}.`);
  }
}
