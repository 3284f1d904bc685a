/** The device's side of a packed virtqueue (2.8): one ring of descriptors that both sides write, and two event structures. */
import { VirtioViolation } from '../device.js';
import { Chain } from './chain.js';
import { DESC_INDIRECT, DESC_NEXT, DESC_SIZE, DESC_WRITE, Ring, type RingOptions, type RingState } from './ring.js';

/** A descriptor is available where AVAIL is the driver's wrap counter and USED is not, and used where both are (2.8.1). */
const DESC_AVAIL = 1 << 7;
const DESC_USED = 1 << 15;
/** Half-words of a descriptor. */
const HALF_WORDS = DESC_SIZE / 2;
const ID = 6;
const FLAGS = 7;

/** The event structure: place and wrap counter, then flags (2.8.14). */
const EVENT_DESC = 0;
const EVENT_FLAGS = 1;
const EVENTS_ENABLE = 0;
const EVENTS_DISABLE = 1;
const EVENTS_AT_DESC = 2;
const WRAP = 0x8000;

const INDIRECT_SECTIONS = ['2.8.7', '2.8.19'] as const;

export class PackedRing extends Ring {
  private readonly words: Uint32Array;
  private readonly halves: Uint16Array;
  private readonly driverEvents: Uint16Array;
  private readonly deviceEvents: Uint16Array;
  private readonly desc: number;
  private readonly device: number;
  /** In flight, by buffer ID. */
  private readonly chains = new Map<number, Chain>();
  /** To use again. */
  private readonly idle: Chain[] = [];
  /** Places of the ring that chains in flight hold. */
  private held = 0;
  /** Places of the next descriptor to look at and of the next used one, with the wrap counters. */
  private availAt = 0;
  private availWrap = true;
  private usedAt = 0;
  private usedWrap = true;
  /** Places used since the last `shouldSignal`. */
  private fresh = 0;

  /** @throws VirtioViolation where a part is not aligned or not in RAM. */
  constructor(options: RingOptions) {
    super(options);
    const { size, desc, driver, device, ram } = options;
    const ringPiece = this.part('descriptor ring', desc, DESC_SIZE * size, 16, '2.8.10.1');
    const driverPiece = this.part('driver event suppression structure', driver, 4, 4, '2.8.10.1');
    const devicePiece = this.part('device event suppression structure', device, 4, 4, '2.8.10.1');
    this.words = ram.words(ringPiece, desc, 4 * size);
    this.halves = ram.halfWords(ringPiece, desc, HALF_WORDS * size);
    this.driverEvents = ram.halfWords(driverPiece, driver, 2);
    this.deviceEvents = ram.halfWords(devicePiece, device, 2);
    this.desc = desc;
    this.device = device;
  }

  protected override take(): Chain | undefined {
    if (!this.available(this.availAt, this.availWrap)) {
      if (!this.eventIdx || !this.ask() || !this.available(this.availAt, this.availWrap)) return undefined;
    }
    const chain = this.idle.pop() ?? new Chain(this.ram);
    chain.begin(0);
    this.gather(chain);
    if (this.held + chain.slots > this.size) {
      throw new VirtioViolation('the driver makes descriptors available in places that it has not got back', '2.8.21');
    }
    if (this.chains.has(chain.head)) {
      throw new VirtioViolation(`buffer ID ${chain.head} is made available while its buffer is in use`, '2.8.21');
    }
    this.chains.set(chain.head, chain);
    this.held += chain.slots;
    this.availAt += chain.slots;
    if (this.availAt >= this.size) {
      this.availAt -= this.size;
      this.availWrap = !this.availWrap;
    }
    return chain;
  }

  private available(at: number, wrap: boolean): boolean {
    const flags = Atomics.load(this.halves, at * HALF_WORDS + FLAGS);
    return ((flags & DESC_AVAIL) !== 0) === wrap && ((flags & DESC_USED) !== 0) !== wrap;
  }

  /** Asks the driver to notify of the next place. @returns false where it has been asked before */
  private ask(): boolean {
    const events = this.deviceEvents;
    const place = this.availAt | (this.availWrap ? WRAP : 0);
    if (events[EVENT_FLAGS] === EVENTS_AT_DESC && events[EVENT_DESC] === place) return false;
    Atomics.store(events, EVENT_DESC, place);
    Atomics.store(events, EVENT_FLAGS, EVENTS_AT_DESC);
    this.ram.memory.dirtied(this.device, 4);
    return true;
  }

  /** Reads a list of descriptors from the ring, or the table that its only one refers to. */
  private gather(chain: Chain): void {
    const { words, halves, size } = this;
    let at = this.availAt;
    let wrap = this.availWrap;
    for (;;) {
      if (++chain.slots > size) throw this.tooLong('2.8.17');
      const word = at * 4;
      const flags = halves[at * HALF_WORDS + FLAGS];
      if (chain.slots > 1 && !this.available(at, wrap)) {
        throw new VirtioViolation(`the list of descriptors ends at place ${at}, which is not available`, '2.8.6');
      }
      if ((flags & DESC_INDIRECT) !== 0) {
        if (chain.slots > 1) {
          throw new VirtioViolation(`the list of descriptors goes on in an indirect table at place ${at}`, '2.8.19');
        }
        const entries = this.openIndirect(words[word], words[word + 1], words[word + 2], flags, INDIRECT_SECTIONS);
        this.gatherIndirect(chain, entries);
      } else {
        chain.add(words[word], words[word + 1], words[word + 2], (flags & DESC_WRITE) !== 0, '2.8.4');
      }
      if ((flags & DESC_NEXT) === 0) {
        chain.head = halves[at * HALF_WORDS + ID];
        return;
      }
      if (++at === size) {
        at = 0;
        wrap = !wrap;
      }
    }
  }

  /** A table is one buffer, from its first entry to its last; of the flags only WRITE counts (2.8.7). */
  private gatherIndirect(chain: Chain, entries: number): void {
    if (entries > this.size) throw this.tooLong('2.8.19');
    const table = this.indirectWords;
    for (let index = 0; index < entries; index++) {
      const at = this.indirectAt(index);
      const flags = table[at + 3] >>> 16;
      if ((flags & (DESC_NEXT | DESC_INDIRECT)) !== 0) {
        this.remark(
          new VirtioViolation(
            `entry ${index} of an indirect table has flags ${flags.toString(16)}h, and only VIRTQ_DESC_F_WRITE is allowed`,
            '2.8.19',
          ),
        );
      }
      chain.add(table[at], table[at + 1], table[at + 2], (flags & DESC_WRITE) !== 0, '2.8.4');
    }
  }

  protected override use(chain: Chain, written: number): void {
    const { words, halves, usedAt, usedWrap } = this;
    words[usedAt * 4 + 2] = written;
    halves[usedAt * HALF_WORDS + ID] = chain.head;
    const flags = (written > 0 ? DESC_WRITE : 0) | (usedWrap ? DESC_AVAIL | DESC_USED : 0);
    Atomics.store(halves, usedAt * HALF_WORDS + FLAGS, flags);
    this.ram.memory.dirtied(this.desc + usedAt * DESC_SIZE + 8, 8);
    this.usedAt += chain.slots;
    if (this.usedAt >= this.size) {
      this.usedAt -= this.size;
      this.usedWrap = !usedWrap;
    }
    this.fresh += chain.slots;
    this.held -= chain.slots;
    this.chains.delete(chain.head);
    this.idle.push(chain);
  }

  override shouldSignal(): boolean {
    const { fresh, size } = this;
    if (fresh === 0) return false;
    this.fresh = 0;
    const flags = Atomics.load(this.driverEvents, EVENT_FLAGS) & 3;
    if (flags === EVENTS_DISABLE) return false;
    if (flags === EVENTS_ENABLE) return true;
    if (flags !== EVENTS_AT_DESC || !this.eventIdx) {
      this.remark(
        new VirtioViolation(
          `the driver's event suppression flags are ${flags} with${this.eventIdx ? '' : 'out'} VIRTIO_F_EVENT_IDX`,
          '2.8.10',
        ),
      );
      return true;
    }
    // Whether the place that the driver waits for is among the last `fresh` ones. Place and wrap counter together count
    // modulo two rounds.
    const event = Atomics.load(this.driverEvents, EVENT_DESC);
    const rounds = 2 * size;
    const wanted = (event & ~WRAP) + ((event & WRAP) !== 0 ? size : 0);
    const end = this.usedAt + (this.usedWrap ? size : 0);
    const back = (end - wanted + rounds) % rounds;
    return back > 0 && back <= fresh;
  }

  protected override owns(chain: Chain): boolean {
    return this.chains.get(chain.head) === chain;
  }

  protected override flying(): Chain[] {
    return [...this.chains.values()].filter((chain) => chain.serial !== 0);
  }

  protected override chainFor(id: number): Chain {
    const chain = new Chain(this.ram);
    this.chains.set(id, chain);
    return chain;
  }

  protected override saveIndices(): { avail: number; used: number } {
    return {
      avail: this.availAt | (this.availWrap ? WRAP : 0),
      used: this.usedAt | (this.usedWrap ? WRAP : 0),
    };
  }

  protected override restoreIndices({ avail, used, inFlight }: RingState): void {
    this.availAt = avail & ~WRAP;
    this.availWrap = (avail & WRAP) !== 0;
    this.usedAt = used & ~WRAP;
    this.usedWrap = (used & WRAP) !== 0;
    this.held = inFlight.reduce((sum, { slots }) => sum + slots, 0);
    this.fresh = 0;
  }
}
