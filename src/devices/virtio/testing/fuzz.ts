/**
 * Whatever a driver does, a device neither crashes nor hangs, and changes no byte but in the device's part of rings and in
 * the writable pieces of buffers, of which it tells the engine. One test for every virtio device:
 *
 *   it('survives any driver', () => survives(fc, (clock) => ({ device: new VirtioRng({ clock, fill }) })));
 *
 * A sample of cases runs with the suite; the environment's TYPEVISOR_VIRTIO_CASES asks for more.
 */
import type { Arbitrary, default as FastCheck } from 'fast-check';
import { TestMemory } from '../../../engine/testing.js';
import { FakeClock } from '../../testing.js';
import { type DescriptorChain, featureSet, VIRTIO_F_RING_PACKED, type VirtioDevice } from '../device.js';
import * as L from '../pci/layout.js';
import { DESC_INDIRECT, DESC_NEXT, DESC_WRITE } from '../queue/ring.js';
import { VirtioRig } from './rig.js';
import type { Piece } from './ring.js';
import { walkPacked, walkSplit } from './walk.js';
import { WatchedDevice } from './watch.js';

/** Little RAM, so that random addresses often hit something. */
const RAM = 0x5000;
/** From here on lies what the driver lays; indirect tables at its beginning. */
const TABLES = 0x2000;
const TABLE_ENTRIES = 24;
const HEAP = 0x2200;
const QUEUE_SIZE = 8;
const BAR = 0xc000_0000;

export interface FuzzSubject {
  readonly device: VirtioDevice;
  /** Feature bits that the device refuses in some combination: not accepted. */
  readonly without?: readonly number[];
  /** Something that happens on the host's side: input, completions, a change of the configuration. `n` is below 256. */
  readonly happen?: (n: number) => void;
}

type Size = 1 | 2 | 4;

interface DescriptorOp {
  readonly kind: 'descriptor';
  /** Which queue's table or ring; the last one is the indirect tables. */
  readonly queue: number;
  readonly at: number;
  readonly gpa: number;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** A chain that is nearly as it should be, and a kick. */
interface ChainOp {
  readonly kind: 'chain';
  readonly queue: number;
  readonly head: number;
  readonly pieces: readonly { readonly gpa: number; readonly length: number }[];
  /** How many of the pieces the device reads. */
  readonly readable: number;
  /** In a table from this entry on. */
  readonly table: number | null;
}

type Op =
  | DescriptorOp
  | ChainOp
  | { readonly kind: 'offer'; readonly queue: number; readonly head: number }
  | { readonly kind: 'kick'; readonly queue: number; readonly value: number; readonly size: Size }
  | {
      readonly kind: 'send';
      readonly queue: number;
      readonly readable: readonly Uint8Array[];
      readonly writable: readonly number[];
      readonly indirect: boolean;
    }
  | {
      readonly kind: 'register' | 'configuration';
      readonly offset: number;
      readonly size: Size;
      readonly value: number;
    }
  | { readonly kind: 'memory'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'happen'; readonly n: number }
  | { readonly kind: 'wait' | 'snapshot' }
  | { readonly kind: 'restart'; readonly packed: boolean };

export interface FuzzCase {
  readonly packed: boolean;
  /** Features not accepted. */
  readonly without: readonly number[];
  readonly ops: readonly Op[];
}

export function fuzzCases(fc: typeof FastCheck): Arbitrary<FuzzCase> {
  const size = fc.constantFrom<Size>(1, 2, 4);
  const word = fc.oneof(fc.nat(16), fc.integer({ min: 0, max: 0xffff_ffff }));
  const queue = fc.oneof({ weight: 3, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(8) });
  const gpa = fc.oneof(
    { weight: 8, arbitrary: fc.nat(RAM - 1) },
    { weight: 3, arbitrary: fc.nat(TABLE_ENTRIES).map((i) => TABLES + 16 * i) },
    { weight: 1, arbitrary: fc.constantFrom(RAM - 1, RAM, 0xffff_ffff, 0x1_0000_0000, 2 ** 40, 2 ** 53) },
  );
  const length = fc.oneof(
    { weight: 6, arbitrary: fc.nat(200) },
    { weight: 2, arbitrary: fc.nat(6).map((n) => 16 * n) },
    { weight: 1, arbitrary: fc.constantFrom(0x4000, RAM, 0xffff_fff0, 0xffff_ffff) },
  );
  const flags = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(0, 1, 1, 2, 2, 3) },
    { weight: 2, arbitrary: fc.constantFrom(4, 4, 6) },
    { weight: 1, arbitrary: fc.nat(0xffff) },
  );
  const near = fc.oneof({ weight: 12, arbitrary: fc.nat(QUEUE_SIZE) }, { weight: 1, arbitrary: fc.nat(0xffff) });
  const op: Arbitrary<Op> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('descriptor' as const),
        queue: fc.oneof(queue, fc.constant(9)),
        at: fc.nat(TABLE_ENTRIES - 1),
        gpa,
        length,
        flags,
        next: near,
      }),
    },
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant('chain' as const),
        queue,
        head: fc.nat(QUEUE_SIZE - 1),
        pieces: fc.array(
          fc.record({
            gpa: fc.oneof(
              { weight: 9, arbitrary: fc.integer({ min: TABLES, max: RAM - 200 }) },
              { weight: 1, arbitrary: gpa },
            ),
            length: fc.oneof({ weight: 19, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: length }),
          }),
          { minLength: 1, maxLength: 5, size: 'max' },
        ),
        readable: fc.nat(5),
        table: fc.option(fc.nat(TABLE_ENTRIES - 5), { freq: 3 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('offer' as const), queue, head: near }) },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('kick' as const),
        queue,
        value: fc.nat(3),
        size: fc.constantFrom<Size>(2, 2, 4),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('send' as const),
        queue,
        readable: fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 3 }),
        writable: fc.array(fc.nat(60), { maxLength: 3 }),
        indirect: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('register' as const),
        offset: fc.oneof(
          fc.constantFrom(...L.COMMON_FIELDS.keys()),
          fc.nat(0x80).map((n) => L.DEVICE_OFFSET + n),
          fc.nat(L.REGISTER_BAR_SIZE - 1),
        ),
        size,
        value: word,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('configuration' as const),
        offset: fc.integer({ min: 0x40, max: 0xff }),
        size,
        value: word,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('memory' as const),
        at: fc.integer({ min: TABLES, max: RAM - 1 }),
        bytes: fc.uint8Array({ maxLength: 20 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('happen' as const), n: fc.nat(255) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('snapshot' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), packed: fc.boolean() }) },
  );
  return fc.record({
    packed: fc.boolean(),
    without: fc.oneof(fc.constant([35]), fc.subarray([28, 29, 35, 38])),
    ops: fc.array(op, { minLength: 1, maxLength: 40, size: 'max' }),
  });
}

/** Plays cases against new devices. @throws with the case that was survived least */
export function survives(
  fc: typeof FastCheck,
  make: (clock: FakeClock, memory: TestMemory) => FuzzSubject,
  cases = Number(environment('TYPEVISOR_VIRTIO_CASES') ?? 250),
): void {
  fc.assert(
    fc.property(fuzzCases(fc), (it) => new Fuzz(make, it).play()),
    { numRuns: cases, endOnFailure: cases > 10_000 },
  );
}

/** This folder is in a layer without Node, and tests run in Node. */
function environment(name: string): string | undefined {
  return (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env[name];
}

class Fuzz {
  private readonly clock = new FakeClock();
  private readonly rig: VirtioRig;
  private readonly subject: FuzzSubject;
  private readonly it: FuzzCase;
  /** RAM as it was when the driver last had it. */
  private readonly shadow: Uint8Array;
  private readonly shadowWords: Uint32Array;
  /** 1: the device may write here. */
  private readonly allowed: Uint8Array;
  /** The next place in packed rings, by queue; undefined where we have lost the thread. */
  private places: number[] | undefined;
  /** Buffers may come from a snapshot rather than from the ring. */
  private revived = false;

  constructor(make: (clock: FakeClock, memory: TestMemory) => FuzzSubject, it: FuzzCase) {
    this.it = it;
    const memory = new TestMemory(RAM);
    this.subject = make(this.clock, memory);
    const device = new WatchedDevice(this.subject.device, (queue, chain) => this.popped(queue, chain));
    this.rig = new VirtioRig({ device, ram: memory, heapStart: HEAP, notificationData: true });
    this.shadow = new Uint8Array(RAM);
    this.shadowWords = new Uint32Array(this.shadow.buffer);
    this.allowed = new Uint8Array(RAM);
  }

  play(): void {
    const { rig } = this;
    rig.memory.view(0, TABLES).fill(0xa5);
    this.start(this.it.packed);
    for (const op of this.it.ops) this.step(op);
    this.device(() => rig.reset());
    if (rig.status !== 0) throw new Error(`the device status is ${rig.status} after a reset`);
    if (this.clock.pending > 0) throw new Error('the device has an alarm after a reset');
  }

  private start(packed: boolean): void {
    const { rig } = this;
    const bits = [...this.it.without, ...(this.subject.without ?? []), ...(packed ? [] : [VIRTIO_F_RING_PACKED])];
    this.device(() => {
      rig.negotiate({ features: (offered) => offered & ~featureSet(...bits) });
      rig.enableMsix();
      this.places = rig.fn.transport.queues.map(() => 0);
      this.revived = false;
      rig.heap.restart();
      const queues = rig.common(L.NUM_QUEUES);
      for (let queue = 0; queue < queues && queue < 9; queue++) rig.layQueue(queue, QUEUE_SIZE);
      this.copy();
      rig.status |= 4;
    });
  }

  private step(op: Op): void {
    const { rig } = this;
    switch (op.kind) {
      case 'descriptor':
        if (op.queue === 9) rig.putDescriptor(TABLES + 16 * op.at, op.gpa, op.length, op.flags, op.next);
        else this.ring(op.queue)?.putRaw(op.at, op.gpa, op.length, op.flags, op.next);
        this.copy();
        break;
      case 'chain':
        this.chain(op);
        break;
      case 'offer':
        this.ring(op.queue)?.offer(op.head);
        this.copy();
        break;
      case 'kick':
        this.device(() =>
          rig.pci.write(rig.structures.notify + 4 * op.queue, op.size, op.value === 3 ? op.value : op.queue),
        );
        break;
      case 'send':
        this.send(op);
        break;
      case 'register':
        this.device(() => rig.pci.write(BAR + op.offset, op.size, op.value % 2 ** (8 * op.size)));
        this.device(() => inRange(rig.pci.read(BAR + op.offset, op.size), op.size));
        this.places = undefined;
        break;
      case 'configuration':
        this.device(() => rig.configWrite(op.offset, op.size, op.value % 2 ** (8 * op.size)));
        this.device(() => inRange(rig.configRead(op.offset, op.size), op.size));
        this.places = undefined;
        break;
      case 'memory': {
        const bytes = op.bytes.subarray(0, RAM - op.at);
        rig.memory.view(op.at, bytes.length).set(bytes);
        this.copy();
        break;
      }
      case 'happen':
        this.device(() => this.subject.happen?.(op.n));
        break;
      case 'wait':
        for (let i = 0; i < 3; i++) this.device(() => this.clock.advance(100_000));
        break;
      case 'snapshot': {
        const state = JSON.parse(JSON.stringify(rig.pci.bus.save()));
        this.revived = true;
        this.device(() => {
          rig.pci.bus.restore(state);
          rig.pci.bus.resume();
        });
        break;
      }
      case 'restart':
        this.start(op.packed);
        break;
    }
  }

  private ring(queue: number) {
    return this.rig.hasQueue(queue) ? this.rig.queue(queue) : undefined;
  }

  private chain({ queue, head, pieces, readable, table }: ChainOp): void {
    const { rig } = this;
    const ring = this.ring(queue);
    if (ring === undefined) return;
    pieces.forEach(({ gpa, length }, i) => {
      const flags = (i >= readable ? DESC_WRITE : 0) | (i < pieces.length - 1 ? DESC_NEXT : 0);
      if (table !== null) rig.putDescriptor(TABLES + 16 * (table + i), gpa, length, flags, i + 1);
      else ring.putRaw(head + i, gpa, length, flags, (head + i + 1) % QUEUE_SIZE);
    });
    if (table !== null) ring.putRaw(head, TABLES + 16 * table, 16 * pieces.length, DESC_INDIRECT, head);
    ring.offer(head);
    this.copy();
    this.device(() => rig.notify(queue));
  }

  private send({ queue, readable, writable, indirect }: Extract<Op, { kind: 'send' }>): void {
    const ring = this.ring(queue);
    if (ring === undefined || readable.length + writable.length === 0) return;
    try {
      ring.add(readable, writable, indirect);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // the ring is full
    }
    this.copy();
    this.device(() => ring.kick());
    try {
      ring.collect();
    } catch {
      // Our driver has lost track of a ring that has been written over.
    }
  }

  /** The driver has changed memory. */
  private copy(): void {
    this.shadow.set(this.rig.memory.pieces[0].bytes);
  }

  /** Lets the device do something, and looks what it has done to memory. */
  private device(work: () => void): void {
    const { rig, shadow, allowed } = this;
    this.allowRings();
    rig.memory.written.length = 0;
    work();
    this.allowRings();
    const { bytes } = rig.memory.pieces[0];
    let told: Uint8Array | undefined;
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, RAM / 4);
    for (let i = 0; i < RAM; i++) {
      if ((i & 3) === 0 && words[i >> 2] === this.shadowWords[i >> 2]) {
        i += 3;
        continue;
      }
      if (bytes[i] === shadow[i]) continue;
      if (told === undefined) {
        told = new Uint8Array(RAM);
        for (const { gpa, length } of rig.memory.written) told.fill(1, gpa, gpa + length);
      }
      if (allowed[i] === 0)
        throw new Error(`the device has changed the byte at ${i.toString(16)}h, which nobody has given it`);
      if (told[i] === 0) throw new Error(`the device has changed the byte at ${i.toString(16)}h and not said so`);
    }
    shadow.set(bytes);
  }

  /** The device's part of every ring. */
  private allowRings(): void {
    const { transport } = this.rig.fn;
    const packed = transport.has(VIRTIO_F_RING_PACKED);
    transport.queues.forEach(({ size, addresses }, i) => {
      if (!transport.queueEnabled(i)) return;
      const [desc, , , , device] = addresses;
      if (packed) this.allow(desc, 16 * size);
      this.allow(device, packed ? 4 : 6 + 8 * size);
    });
  }

  private allow(gpa: number, length: number): void {
    this.allowed.fill(1, gpa, gpa + length);
  }

  private popped(queue: number, chain: DescriptorChain): void {
    for (const { gpa, bytes } of chain.writable) this.allow(gpa, bytes.length);
    const wanted = this.named(queue, chain);
    if (wanted === undefined) return;
    const got: Piece[] = [
      ...chain.readable.map(({ gpa, bytes }) => ({ gpa, length: bytes.length, write: false })),
      ...chain.writable.map(({ gpa, bytes }) => ({ gpa, length: bytes.length, write: true })),
    ];
    const told = JSON.stringify(wanted.filter(({ length }) => length > 0));
    if (told !== JSON.stringify(got)) throw new Error(`the ring names ${told}, the device got ${JSON.stringify(got)}`);
  }

  /** What the ring names, by our own reading; undefined where we have lost its thread. */
  private named(queue: number, chain: DescriptorChain): Piece[] | undefined {
    const { transport } = this.rig.fn;
    const { size, addresses } = transport.queues[queue];
    if (this.revived) return undefined;
    if (!transport.has(VIRTIO_F_RING_PACKED)) return walkSplit(this.rig.memory, addresses[0], chain.head);
    if (this.places === undefined) return undefined;
    const place = this.places[queue];
    const [pieces, slots] = walkPacked(this.rig.memory, addresses[0], size, place);
    this.places[queue] = (place + slots) % size;
    return pieces;
  }
}

function inRange(value: number, size: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) throw new Error(`a read gave ${value}`);
}
