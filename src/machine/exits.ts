/**
 * The exit table: every reason why a vCPU needs its machine, in one place. Each kind has a row: a counter and a
 * handler. Exits that the engine completes inside `run` (port, MMIO, MSR and interrupt accesses) come in as calls of
 * `ExitSink`; those that end `run` come in through `dispatch`. What a machine does about the unusual, strictly or
 * leniently, is decided here and nowhere else.
 */
import type { UnhandledAccess } from '../board/bus.js';
import type { Exit, ExitSink, MsrValue, Vcpu } from '../engine/contract.js';

/** What the board does for the vCPUs. `Board` has this shape; tests hand in less. */
export type Buses = Omit<ExitSink, 'readTsc' | 'entropy'>;

export interface ExitPolicy {
  /** Port access that no device claims: true ends the machine and names it, false reads all ones and ignores writes. */
  readonly strictIo: boolean;
  /** Unknown MSR: true raises #GP in the guest, false warns once, reads zero and ignores writes. */
  readonly strictMsr: boolean;
  /** HLT: true lets the processor of the host rest until something happens, false spins (as a guest's own idle=poll). */
  readonly exitOnHlt: boolean;
  /** Count per port and per page of MMIO too (`--verbose`, `--stats`). Costs a look-up per exit. */
  readonly detailed: boolean;
}

export const DEFAULT_POLICY: ExitPolicy = { strictIo: false, strictMsr: true, exitOnHlt: true, detailed: false };

/** A refusal of the strict I/O policy. The message names direction, width, port and rip, as an operator needs them. */
export class UnclaimedPortError extends Error {
  override readonly name = 'UnclaimedPortError';
  readonly direction: 'in' | 'out';
  readonly size: 1 | 2 | 4;
  readonly port: number;
  readonly rip: bigint | undefined;

  constructor(direction: 'in' | 'out', size: 1 | 2 | 4, port: number, rip: bigint | undefined) {
    const width = { 1: 'byte', 2: 'word', 4: 'dword' }[size];
    const where = rip === undefined ? '' : ` at rip 0x${rip.toString(16)}`;
    super(
      `No device answers the guest's ${width}-wide ${direction} of port ${hex(port)}${where}, and strict I/O is on.`,
    );
    this.direction = direction;
    this.size = size;
    this.port = port;
    this.rip = rip;
  }
}

/** All kinds, in the order of their counters. The first ten are calls, the rest are `Exit`s that end `run`. */
export const EXIT_KINDS = [
  'port-in',
  'port-out',
  'mmio-read',
  'mmio-write',
  'rdmsr',
  'wrmsr',
  'interrupt',
  'cr8',
  'rdtsc',
  'entropy',
  'budget',
  'kick',
  'hlt',
  'shutdown',
  'debug',
  'error',
] as const;
export type ExitKind = (typeof EXIT_KINDS)[number];

const PORT_IN = 0;
const PORT_OUT = 1;
const MMIO_READ = 2;
const MMIO_WRITE = 3;
const RDMSR = 4;
const WRMSR = 5;
const INTERRUPT = 6;
const CR8 = 7;
const RDTSC = 8;
const ENTROPY = 9;

/** Handlers of the exits that end `run`: one each, so a new kind in the contract does not compile until it has one. */
export type RunHandlers = { readonly [K in Exit['kind']]: (vcpu: Vcpu, exit: Extract<Exit, { kind: K }>) => void };

/** One exit that is remembered for the report on a crash. */
export interface RecentExit {
  readonly kind: ExitKind;
  /** Port, guest-physical address, MSR or vector. */
  readonly address: number;
  /** Value read or written (MSRs: low 32 bits). */
  readonly value: number;
}

/** How many exits the crash report shows. A power of two. */
const RECENT = 16;
/** Exits between two looks at the clock, see `onBusy`. */
const BUSY_EXITS = 64;
/** Different ports and MMIO pages that are counted one by one; a guest must not make us remember more. */
const DETAIL_LIMIT = 4096;
/** Different MSRs that are warned about. */
const WARN_LIMIT = 64;

export interface ExitTableOptions {
  readonly policy?: Partial<ExitPolicy>;
  readonly handlers: RunHandlers;
  /** The time-stamp counter now, in ticks. */
  readonly ticks: () => number;
  /** 32 unpredictable bits, unsigned. */
  readonly entropy: () => number;
  /** Instruction pointer of the vCPU that runs now, for messages. */
  readonly rip: () => bigint | undefined;
  /** The guest did something that the policy refuses; the machine must end. */
  readonly refuse: (error: Error) => void;
  /** Something worth a line on the operator's screen. */
  readonly warn: (message: string) => void;
  /**
   * Called every 64 exits. A guest that polls a device runs far fewer instructions in a millisecond than the budget
   * was made for, so somebody has to look at the clock inside the slice.
   */
  readonly onBusy: () => void;
  /** Whether the host has something for the guest: asked after what may have been a request that needed no waiting. */
  readonly isDue?: () => boolean;
}

/** Before there is a board: an empty bus, as on a machine without devices. */
const NOTHING_CONNECTED: Buses = {
  portIn: (_port, size) => 0xffff_ffff >>> (32 - 8 * size),
  portOut: () => {},
  mmioRead: (_gpa, size) => 0xffff_ffff >>> (32 - 8 * size),
  mmioWrite: () => {},
  readMsr: () => undefined,
  writeMsr: () => false,
  acknowledgeInterrupt: () => -1,
  readCr8: () => 0,
  writeCr8: () => {},
};

/** What an unknown MSR reads as, where that is allowed. */
const MSR_ZERO: MsrValue = { low: 0, high: 0 };

export class ExitTable implements ExitSink {
  readonly policy: ExitPolicy;
  private buses: Buses = NOTHING_CONNECTED;
  private readonly options: ExitTableOptions;
  private readonly counters = new Float64Array(EXIT_KINDS.length);
  private readonly perPort = new Map<number, number>();
  private readonly perPage = new Map<number, number>();
  private readonly warned = new Set<number>();
  private readonly detailed: boolean;
  /** Port and MMIO accesses that nobody answered. */
  unclaimed = 0;
  private untilBusy = BUSY_EXITS;
  private recentNext = 0;
  private readonly recentKind = new Uint8Array(RECENT);
  private readonly recentAddress = new Float64Array(RECENT);
  private readonly recentValue = new Float64Array(RECENT);

  constructor(options: ExitTableOptions) {
    this.options = options;
    this.policy = { ...DEFAULT_POLICY, ...options.policy };
    this.detailed = this.policy.detailed;
  }

  /** The board that answers from now on. An engine is made before its board, and a reset makes a new board. */
  connect(buses: Buses): void {
    this.buses = buses;
  }

  // ---- exits that the engine completes by a call -------------------------------------------------------------------

  portIn(port: number, size: 1 | 2 | 4): number {
    if (this.detailed) this.detail(this.perPort, port);
    const value = this.buses.portIn(port, size);
    this.note(PORT_IN, port, value);
    return value;
  }

  portOut(port: number, size: 1 | 2 | 4, value: number): void {
    if (this.detailed) this.detail(this.perPort, port);
    this.note(PORT_OUT, port, value);
    this.buses.portOut(port, size, value);
  }

  mmioRead(gpa: number, size: 1 | 2 | 4): number {
    if (this.detailed) this.detail(this.perPage, Math.floor(gpa / 4096));
    const value = this.buses.mmioRead(gpa, size);
    this.note(MMIO_READ, gpa, value);
    return value;
  }

  mmioWrite(gpa: number, size: 1 | 2 | 4, value: number): void {
    if (this.detailed) this.detail(this.perPage, Math.floor(gpa / 4096));
    this.note(MMIO_WRITE, gpa, value);
    this.buses.mmioWrite(gpa, size, value);
    if (this.options.isDue?.()) this.busy();
  }

  readMsr(cpu: number, msr: number): MsrValue | undefined {
    const value = this.buses.readMsr(cpu, msr);
    this.note(RDMSR, msr, value === undefined ? 0 : value.low);
    if (value !== undefined || this.policy.strictMsr) return value;
    this.warnMsr('read', msr);
    return MSR_ZERO;
  }

  writeMsr(cpu: number, msr: number, low: number, high: number): boolean {
    this.note(WRMSR, msr, low);
    if (this.buses.writeMsr(cpu, msr, low, high)) return true;
    if (this.policy.strictMsr) return false;
    this.warnMsr('write', msr);
    return true;
  }

  acknowledgeInterrupt(cpu: number): number {
    const vector = this.buses.acknowledgeInterrupt(cpu);
    this.note(INTERRUPT, vector, 0);
    return vector;
  }

  readCr8(cpu: number): number {
    this.counters[CR8]++;
    return this.buses.readCr8(cpu);
  }

  writeCr8(cpu: number, value: number): void {
    this.counters[CR8]++;
    this.buses.writeCr8(cpu, value);
  }

  /** The board found nobody at this address: what that means is the policy's business. */
  readonly unhandled = (access: UnhandledAccess): void => {
    this.unclaimed++;
    if (access.bus !== 'port' || !this.policy.strictIo) return;
    this.options.refuse(new UnclaimedPortError(access.direction, access.size, access.address, this.options.rip()));
  };

  /** Not among the recent exits: guests read the time so often that nothing else would be left there. */
  readTsc(_cpu: number): number {
    this.counters[RDTSC]++;
    if (--this.untilBusy <= 0) this.busy();
    return this.options.ticks();
  }

  entropy(): number {
    this.counters[ENTROPY]++;
    return this.options.entropy();
  }

  // ---- exits that end `run` ----------------------------------------------------------------------------------------

  dispatch<K extends Exit['kind']>(vcpu: Vcpu, exit: Extract<Exit, { kind: K }>): void {
    this.counters[EXIT_KINDS.indexOf(exit.kind)]++;
    (this.options.handlers[exit.kind] as (vcpu: Vcpu, exit: Exit) => void)(vcpu, exit);
  }

  // ---- what is known about them ------------------------------------------------------------------------------------

  /** Exits so far, by kind. Kinds that never happened are left out. */
  counts(): Partial<Record<ExitKind, number>> {
    const counts: Partial<Record<ExitKind, number>> = {};
    EXIT_KINDS.forEach((kind, row) => {
      if (this.counters[row] > 0) counts[kind] = this.counters[row];
    });
    return counts;
  }

  /** With the detailed policy: the `most` busiest ports and MMIO pages, busiest first. */
  busiest(most: number): { port: string; count: number }[] {
    const rows = [
      ...[...this.perPort].map(([port, count]) => ({ port: `port ${hex(port)}`, count })),
      ...[...this.perPage].map(([page, count]) => ({ port: `page ${hex(page * 4096)}`, count })),
    ];
    return rows.sort((a, b) => b.count - a.count).slice(0, most);
  }

  /** The last exits, oldest first: what led to a crash. */
  recent(): RecentExit[] {
    const exits: RecentExit[] = [];
    for (let i = Math.max(0, this.recentNext - RECENT); i < this.recentNext; i++) {
      const at = i & (RECENT - 1);
      exits.push({
        kind: EXIT_KINDS[this.recentKind[at]],
        address: this.recentAddress[at],
        value: this.recentValue[at],
      });
    }
    return exits;
  }

  private note(row: number, address: number, value: number): void {
    this.counters[row]++;
    const at = this.recentNext++ & (RECENT - 1);
    this.recentKind[at] = row;
    this.recentAddress[at] = address;
    this.recentValue[at] = value;
    if (--this.untilBusy <= 0) this.busy();
  }

  private busy(): void {
    this.untilBusy = BUSY_EXITS;
    this.options.onBusy();
  }

  private detail(counts: Map<number, number>, key: number): void {
    const count = counts.get(key);
    if (count === undefined && counts.size >= DETAIL_LIMIT) return;
    counts.set(key, (count ?? 0) + 1);
  }

  private warnMsr(direction: 'read' | 'write', msr: number): void {
    if (this.warned.has(msr) || this.warned.size >= WARN_LIMIT) return;
    this.warned.add(msr);
    this.options.warn(`The guest's ${direction} of the unknown MSR ${hex(msr)} was ignored.`);
  }
}

/** A number as people write ports and addresses: 0x3f8. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
