/** The 9P device's back end: messages go to a thread (share-worker.ts), which answers them in guest RAM. */
import type { NinepBackend } from '../../../devices/virtio/9p/ninep.js';
import type { DescriptorChain, Segment } from '../../../devices/virtio/device.js';
import type { GuestMemory } from '../../../engine/contract.js';
import type { IoHub } from '../io/hub.js';
import { IoThread, LONGEST_MESSAGE } from '../io/io-thread.js';
import { Waiting } from '../io/waiting.js';

/** What the thread is to share. */
export interface ShareTask {
  readonly path: string;
  readonly readonly: boolean;
}

export interface ShareBackendOptions {
  readonly task: ShareTask;
  readonly hub: IoHub;
  readonly onDeath: (sentence: string) => void;
}

/** Operation of a request: answer a message, or let go of what the guest holds. */
export const ANSWER = 0;
export const LET_GO = 1;
/** identifier, operation, number of readable pieces; then address (two words) and length of each piece. */
export const FIXED_WORDS = 3;
export const PIECE_WORDS = 3;
const TWO_32 = 2 ** 32;

export class ShareBackend implements NinepBackend {
  private readonly thread: IoThread<ShareTask>;
  private readonly words = new Int32Array(LONGEST_MESSAGE);
  private readonly waiting = new Waiting<(written: number) => void>();

  constructor({ task, hub, onDeath }: ShareBackendOptions) {
    this.thread = new IoThread({
      name: `share ${task.path}`,
      script: 'host/node/share/share-worker.js',
      hub,
      task,
      onAnswer: ([identifier, written]) => this.waiting.take(identifier)?.(written),
      onBatch: () => {},
      onDeath,
    });
  }

  /** @throws ThreadRefusal where the folder can't be shared */
  async open(): Promise<void> {
    await this.thread.ready();
  }

  /** The guest memory of a new life. */
  attach(memory: GuestMemory): void {
    this.thread.attach(memory);
  }

  serve({ readable, writable }: DescriptorChain, done: (written: number) => void): void {
    const { words } = this;
    words[0] = this.waiting.add(done);
    words[1] = ANSWER;
    words[2] = readable.length;
    let count = FIXED_WORDS;
    for (const pieces of [readable, writable]) count = addPieces(pieces, words, count);
    this.thread.send(words, count);
  }

  reset(): void {
    this.waiting.forget();
    this.thread.cancel();
    this.thread.send(Int32Array.of(this.waiting.add(undefined), LET_GO), 2);
  }

  close(): Promise<void> {
    return this.thread.close();
  }
}

/** A queue has 128 entries, so the pieces of a buffer always fit into a message. */
function addPieces(pieces: readonly Segment[], words: Int32Array, at: number): number {
  let count = at;
  for (const { gpa, bytes } of pieces) {
    words[count] = gpa % TWO_32;
    words[count + 1] = Math.floor(gpa / TWO_32);
    words[count + 2] = bytes.length;
    count += PIECE_WORDS;
  }
  return count;
}
