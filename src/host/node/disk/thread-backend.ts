/** The back end of a block device whose image is served by a thread (disk-worker.ts). */
import type { BlockBackend, BlockDone, BlockRequest } from '../../../devices/virtio/block/backend.js';
import type { GuestMemory } from '../../../engine/contract.js';
import type { IoHub, IoSource } from '../io/hub.js';
import { IoThread, LONGEST_MESSAGE, TOLD } from '../io/io-thread.js';
import { Waiting } from '../io/waiting.js';
import { AtOnce } from './at-once.js';
import { type DiskReady, type DiskRequest, type DiskTask, encodeRequest } from './protocol.js';
import { WriteOut } from './write-out.js';

export interface ThreadBackendOptions {
  readonly task: DiskTask;
  readonly id: string;
  /** Does at once what needs no waiting. */
  readonly atOnce: boolean;
  readonly hub: IoHub;
  readonly onDeath: (sentence: string) => void;
}

export class ThreadBackend implements BlockBackend, IoSource {
  readonly readonly: boolean;
  readonly id: string;
  onBatch: () => void = () => {};
  private readonly thread: IoThread<DiskTask>;
  private readonly words = new Int32Array(LONGEST_MESSAGE);
  private readonly waiting = new Waiting<BlockDone>();
  private found: DiskReady | undefined;
  private readonly mayDoAtOnce: boolean;
  private atOnce: AtOnce | undefined;
  private readonly writeOut = new WriteOut();
  /** Done without the thread, and not yet told. */
  private done: BlockDone[] = [];
  private readonly hub: IoHub;

  constructor({ task, id, atOnce, hub, onDeath }: ThreadBackendOptions) {
    this.mayDoAtOnce = atOnce;
    this.hub = hub;
    hub.add(this);
    this.readonly = task.readonly;
    this.id = id;
    this.thread = new IoThread({
      name: `disk ${task.path}`,
      script: 'host/node/disk/disk-worker.js',
      hub,
      task,
      onAnswer: ([identifier, ok]) => this.waiting.take(identifier)?.(ok === 1),
      onBatch: () => this.onBatch(),
      onDeath,
    });
  }

  /** @throws ThreadRefusal where the image can't be opened */
  async open(): Promise<DiskReady> {
    try {
      this.found = await this.thread.ready<DiskReady>();
    } catch (error) {
      this.hub.remove(this);
      throw error;
    }
    return this.found;
  }

  get capacity(): number {
    return this.ready.size - (this.ready.size % 512);
  }

  get physicalBlock(): number {
    return this.ready.physicalBlock;
  }

  get discardUnit(): number {
    return this.ready.discardUnit;
  }

  /** The guest memory of a new life. */
  attach(memory: GuestMemory): void {
    const { plainFile } = this.ready;
    this.atOnce = plainFile === undefined || !this.mayDoAtOnce ? undefined : AtOnce.over(plainFile, memory);
    this.thread.attach(memory);
  }

  submit(request: BlockRequest, done: BlockDone): void {
    const { operation, length } = request;
    if (operation === 'flush') this.writeOut.flushed();
    if (this.atOnce?.does(request)) {
      this.done.push(done);
      this.hub.bell.ring();
    } else {
      this.thread.send(this.words, this.encode(this.waiting.add(done), request));
    }
    const isPlain = this.atOnce !== undefined && operation === 'write' && !request.durable;
    if (isPlain && this.writeOut.wrote(length))
      this.thread.tell(this.words, this.encode(TOLD, { ...request, operation: 'write-out', data: [] }));
  }

  private encode(id: number, request: DiskRequest): number {
    const count = encodeRequest(id, request, this.words);
    if (count === 0) throw new RangeError('a block request in more pieces than a queue has entries');
    return count;
  }

  /** Tells of what was done without the thread: from the hub, as the thread's answers are. */
  poll(): void {
    if (this.done.length === 0) return;
    for (const done of this.done.splice(0)) done(true);
    this.onBatch();
  }

  cancel(): void {
    this.done.length = 0;
    this.waiting.forget();
    this.thread.cancel();
  }

  close(): Promise<void> {
    this.hub.remove(this);
    return this.thread.close();
  }

  private get ready(): DiskReady {
    if (this.found === undefined) throw new Error('The disk has not been opened yet.');
    return this.found;
  }
}
