/**
 * How a disk's thread waits for its next request: awake for a while, because a guest that reads and writes piece by piece
 * soon asks again, and to be woken takes longer than most requests, and waking takes the guest's time. What comes of it is
 * watched: where nothing comes in time the thread soon sleeps at once, and on a host with one processor always.
 */
import { availableParallelism } from 'node:os';
import type { WordRing } from '../io/word-ring.js';
import { Luck } from './luck.js';

/** In ms: what a guest takes from one small request to the next. */
const AWAKE = 0.3;
/** Times in a row that nothing came, after which the thread goes to sleep as often. */
const PATIENCE = 8;

export class Vigil {
  private readonly requests: WordRing;
  private readonly luck = new Luck(PATIENCE);
  private readonly hasOthers = availableParallelism() > 1;

  /** @param requests is looked into, and nothing is taken from it */
  constructor(requests: WordRing) {
    this.requests = requests;
  }

  /** Comes back when there is a request, or when it is time to sleep. */
  keep(): void {
    if (!this.hasOthers || !this.luck.isGood) return;
    const { requests } = this;
    const end = performance.now() + AWAKE;
    while (requests.isEmpty && performance.now() < end);
    this.luck.note(!requests.isEmpty);
  }
}
