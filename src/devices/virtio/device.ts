/**
 * What stands between a virtio device and its transport (Virtual I/O Device Version 1.2, section 2). A device knows its
 * features, its configuration space and what to do with the buffers of its queues; how a driver finds it, negotiates and
 * places its rings is the transport's (`pci/`), and how a ring is read is the queue's (`queue/`). So a device is tested
 * with a driver that we play ourselves (`testing/`), and a transport with a device that does nothing.
 */

/** VIRTIO_F_* feature bits that belong to no device type (6). */
export const VIRTIO_F_INDIRECT_DESC = 28;
export const VIRTIO_F_EVENT_IDX = 29;
export const VIRTIO_F_VERSION_1 = 32;
export const VIRTIO_F_ACCESS_PLATFORM = 33;
export const VIRTIO_F_RING_PACKED = 34;
export const VIRTIO_F_IN_ORDER = 35;
export const VIRTIO_F_ORDER_PLATFORM = 36;
export const VIRTIO_F_NOTIFICATION_DATA = 38;
export const VIRTIO_F_RING_RESET = 40;

/** The set of a few feature bits, for `VirtioDevice.features` (bit numbers as in the standard). */
export function featureSet(...bits: readonly number[]): bigint {
  return bits.reduce((set, bit) => set | (1n << BigInt(bit)), 0n);
}

/**
 * What a driver did against the standard: the message is one sentence that quotes it, and `section` says where in virtio 1.2
 * it is forbidden. Whoever finds one throws it, out of `notify` or a queue's method; the transport decides what follows: the
 * device goes to NEEDS_RESET, or (`--virtio-strict`) the machine ends.
 */
export class VirtioViolation extends Error {
  override readonly name = 'VirtioViolation';
  /** As in `2.7.5.3.1`. */
  readonly section: string;

  constructor(message: string, section: string) {
    super(`${message} (virtio 1.2, ${section})`);
    this.section = section;
  }
}

/**
 * A buffer that the driver has made available: first the bytes that the device reads, then those that it writes (2.6), each
 * in pieces that lie wholly in guest RAM. Valid until it is used, or the device is reset.
 */
export interface DescriptorChain {
  /** Identifies the buffer in its ring; of no meaning to a device. */
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  /** Bytes in all pieces. */
  readonly readableLength: number;
  readonly writableLength: number;
  /** Copies from the readable part, from byte `offset` on, as much as there is and fits. @returns the bytes copied. */
  read(offset: number, into: Uint8Array): number;
  /** Copies into the writable part and tells the engine. @returns the bytes copied: fewer where there is no more room. */
  write(offset: number, bytes: Uint8Array): number;
}

export interface Segment {
  readonly gpa: number;
  readonly length: number;
  /** A live view of guest RAM, made when it is asked for. Whoever writes into it says so with `GuestMemory.dirtied`. */
  readonly bytes: Uint8Array;
}

/** The device's side of a virtqueue, split or packed (2.7, 2.8). */
export interface Virtqueue {
  readonly index: number;
  /** Entries, as the driver has set it. */
  readonly size: number;
  /** Whether the driver has enabled it. A queue that is not gives no buffer and takes none. */
  readonly enabled: boolean;
  /** The next available buffer, undefined where there is none (the driver will notify of the next). @throws VirtioViolation */
  pop(): DescriptorChain | undefined;
  /**
   * Gives a buffer back with the number of bytes written, in any order (in order of `pop` with VIRTIO_F_IN_ORDER).
   * @throws VirtioViolation where the used ring can't be written
   */
  push(chain: DescriptorChain, written: number): void;
  /** Sends the driver a used buffer notification for what has been pushed since the last one, if it wants one (2.7.7). */
  signal(): void;
  /** Buffers popped and not yet pushed. */
  readonly inFlight: number;
}

/** What a started device has of its transport. Dead after the next reset: late completions must ask `live`. */
export interface VirtioDriver {
  readonly live: boolean;
  /** The negotiated features, a subset of the device's and the transport's. */
  readonly features: bigint;
  has(feature: number): boolean;
  queue(index: number): Virtqueue;
  /** The configuration space has changed: raises its generation and notifies the driver (2.5). */
  configChanged(): void;
  /** Outside of `notify`: a violation that was found while completing a request. Calls `reset`. See `attempt`. */
  violation(violation: VirtioViolation): void;
}

/** Device-specific configuration (2.5). Accesses beyond `length` never arrive. Fields are little-endian. */
export interface VirtioConfigSpace {
  readonly length: number;
  read(offset: number, size: 1 | 2 | 4): number;
  /** Absent where nothing is writable: the transport then ignores writes (strict: refuses them). */
  write?(offset: number, size: 1 | 2 | 4, value: number): void;
}

export interface VirtioDevice<S extends { version: number } = { version: number }> {
  /** As people call it: `virtio-blk`. */
  readonly name: string;
  /** Device ID (5). */
  readonly type: number;
  /** Base class, sub-class and interface on PCI: 24 bits. */
  readonly classCode: number;
  /** Feature bits of the device type; the transport adds its own (6). */
  readonly features: bigint;
  /** The most entries of each queue; each a power of two. */
  readonly queueSizes: readonly number[];
  readonly config: VirtioConfigSpace;
  /** The features are settled (FEATURES_OK): false refuses the combination (3.1.1). Absent: anything offered is fine. */
  accepts?(features: bigint): boolean;
  /** DRIVER_OK: from now on queues may be used (3.1.1). */
  start(driver: VirtioDriver): void;
  /** An available buffer notification for a queue (2.7.13). Never blocks: what takes long completes later. @throws VirtioViolation */
  notify(queue: number): void;
  /**
   * The driver or the machine resets the device: forget the driver and what is in flight, keep the back end. `notify` comes
   * only after another `start`. Harmless when repeated.
   */
  reset(): void;
  /**
   * The driver has reset one queue (2.6.1): forget what was popped of it. A device that has this method gets
   * VIRTIO_F_RING_RESET offered.
   */
  resetQueue?(queue: number): void;
  /** The device's own state, apart from transport and queues. */
  save(): S;
  /**
   * Where a driver was running, `start` follows, which must not undo this, and then `notify` for every enabled queue.
   * Buffers that were in flight when the snapshot was taken come out of `pop` once more.
   */
  restore(state: S): void;
}

/**
 * Runs what touches queues outside of `notify`: the end of a request, input from the host. A violation found on the way goes
 * to the transport.
 */
export function attempt(driver: VirtioDriver, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof VirtioViolation)) throw error;
    driver.violation(error);
  }
}
