/**
 * The engine contract: what a machine may ask of a CPU engine, and what an engine may ask of its machine.
 *
 * Two engines stand behind it: `engine/soft` (our own x86-64) and, later, `engine/kvm`. Nothing in here names either of
 * them, and nothing in here is Node's: numbers, byte arrays and functions only.
 *
 * Guest-physical addresses (`gpa`) and lengths are plain numbers in bytes (exact to 2^53). 64-bit register values are
 * `bigint`, for they cross this border only when somebody inspects the machine, never while it runs.
 */

/** Width of one port or MMIO access in bytes. MMIO may also be 8; ports are 1, 2 or 4 (SDM vol. 1, 19.3). */
export type AccessSize = 1 | 2 | 4 | 8;

/** Guest RAM as the devices and the boot code see it: the hole below 4 GiB is not RAM. */
export interface GuestMemory {
  /** RAM in bytes, the hole not counted. */
  readonly size: number;
  /** RAM as contiguous pieces, ascending by gpa: below the PCI hole, and above 4 GiB. */
  readonly regions: readonly MemoryRegion[];
  /**
   * RAM as live arrays, ascending: each region in one, or in several that overlap, so that whatever lies in one region and
   * is at most 512 MiB long (WHOLE_IN_A_PIECE) lies whole in one of them.
   */
  readonly pieces: readonly MemoryPiece[];
  /**
   * A live view of guest RAM. The bytes must lie in one region, and be at most 1 GiB (LONGEST_VIEW).
   * @throws RangeError where [gpa, gpa+length) is not wholly RAM, or too long.
   */
  view(gpa: number, length: number): Uint8Array;
  /** Whether [gpa, gpa+length) lies wholly inside one region of RAM. */
  contains(gpa: number, length: number): boolean;
  /** Copies bytes into RAM, telling the engine (decoded code may be stale). @throws RangeError as `view`. */
  write(gpa: number, bytes: Uint8Array): void;
  /**
   * Tells the engine that bytes were changed through `view` (decoded code may be stale, pages are dirty). Whoever lets a
   * device or the host write into a view calls it afterwards. @throws RangeError as `view`.
   */
  dirtied(gpa: number, length: number): void;
}

/** No bytes: a region may be longer than an array can be. */
export interface MemoryRegion {
  readonly gpa: number;
  readonly length: number;
}

export interface MemoryPiece {
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

export const WHOLE_IN_A_PIECE = 0x2000_0000;

/** Of one view of guest RAM, in bytes. */
export const LONGEST_VIEW = 0x4000_0000;

/** An MSR's 64 bits as two unsigned halves: no bigint where a guest can ask a million times a second. */
export interface MsrValue {
  readonly low: number;
  readonly high: number;
}

/**
 * Exits that an engine completes inside `run`, by calling the machine synchronously. The machine's implementation is the
 * exit table (counters, policies, buses). `value` of a read is little-endian and zero-extended; 8-byte MMIO is split by the
 * engine into two 4-byte accesses, low half first.
 */
export interface ExitSink {
  portIn(port: number, size: 1 | 2 | 4): number;
  portOut(port: number, size: 1 | 2 | 4, value: number): void;
  mmioRead(gpa: number, size: 1 | 2 | 4): number;
  mmioWrite(gpa: number, size: 1 | 2 | 4, value: number): void;
  /**
   * MSRs that the engine does not own (the local APIC's, and unknown ones). `cpu` is the vCPU's index.
   * Returning undefined from a read, or false from a write, makes the engine raise #GP(0). What a read returns is the
   * machine's own and holds until the next call.
   *
   * A write of IA32_TSC_ADJUST (3Bh) is news, not a question: the guest has moved its TSC, by that MSR or by IA32_TSC,
   * `Vcpu.tscOffset` has changed, and TSC deadlines follow.
   */
  readMsr(cpu: number, msr: number): MsrValue | undefined;
  writeMsr(cpu: number, msr: number, low: number, high: number): boolean;
  /** INTA: the vector to deliver, which thereby becomes in service; -1 when the request has gone away (spurious). */
  acknowledgeInterrupt(cpu: number): number;
  /** CR8 is the local APIC's task priority, bits 7:4 (SDM vol. 3, 11.8.6). 0 to 15. */
  readCr8(cpu: number): number;
  writeCr8(cpu: number, value: number): void;
  /**
   * The machine's time-stamp counter now, before `Vcpu.tscOffset`: ticks, a whole number below 2^53 (104 days at 1 GHz).
   */
  readTsc(cpu: number): number;
  /** 32 random bits, unsigned. RDRAND and RDSEED take two of them for 64. */
  entropy(): number;
}

/** Why `Vcpu.run` came back. */
export type Exit =
  /** The instruction budget is used up. */
  | { readonly kind: 'budget' }
  /** `kick()` was called, or a device changed something that the run loop must look at. */
  | { readonly kind: 'kick' }
  /** HLT with nothing to deliver: run again after an interrupt has been requested. */
  | { readonly kind: 'hlt' }
  /** Triple fault (SDM vol. 3, 6.15). The registers are those at the last fault. */
  | { readonly kind: 'shutdown'; readonly detail: string }
  /** A breakpoint, watchpoint or single step that the debugger asked for. */
  | { readonly kind: 'debug'; readonly reason: 'step' | 'breakpoint' | 'watchpoint' }
  /** The engine cannot go on: a defect of ours, named. */
  | { readonly kind: 'error'; readonly detail: string };

export interface SegmentRegister {
  selector: number;
  base: bigint;
  limit: number;
  /** Descriptor bits 55:40 as in VMCS access rights: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16. */
  attributes: number;
}

export interface DescriptorTable {
  base: bigint;
  limit: number;
}

/** Everything that a debugger, a loader and a snapshot need of one vCPU. */
export interface VcpuState {
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8..R15, the encoding's order. */
  gpr: bigint[];
  rip: bigint;
  rflags: bigint;
  es: SegmentRegister;
  cs: SegmentRegister;
  ss: SegmentRegister;
  ds: SegmentRegister;
  fs: SegmentRegister;
  gs: SegmentRegister;
  ldtr: SegmentRegister;
  tr: SegmentRegister;
  gdtr: DescriptorTable;
  idtr: DescriptorTable;
  cr0: bigint;
  cr2: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  /** DR0 to DR3, DR6, DR7. */
  dr: bigint[];
  xcr0: bigint;
  /** 512 bytes as FXSAVE64 writes them: x87, MXCSR and XMM0-15 (SDM vol. 1, 10.5.1). */
  fxsave: Uint8Array;
  /** 256 bytes: bits 255:128 of YMM0-15 (SDM vol. 1, 13.5.3). */
  ymmHigh: Uint8Array;
  /** MSRs that the engine owns, by number. */
  msrs: Map<number, bigint>;
  /** Halted, waiting for INIT/SIPI, and so on. */
  activity: 'running' | 'halted' | 'wait-for-sipi';
}

/** Counters of one engine, for `--stats`. An engine that has no such thing leaves it at zero. */
export interface EngineStats {
  /** Executed, by all vCPUs: what `Vcpu.instructions` counts. */
  instructions: number;
  /** Stretches of code that were decoded for the interpreter, and the instructions in them. */
  blocksDecoded: number;
  instructionsDecoded: number;
  /** Look-ups of a block by address that no link and no jump cache has spared. */
  blockLookups: number;
  /** Accesses that missed the TLB: each is a page walk. */
  tlbMisses: number;
  /** Flushes of the whole TLB or of its non-global part. */
  tlbFlushes: number;
  /** Delivered: page faults, all exceptions (page faults among them), and external interrupts. */
  pageFaults: number;
  exceptions: number;
  interrupts: number;
  /** Regions of hot code: compiled, dropped since (their code has changed, or room was needed), refused by the compiler. */
  regionsCompiled: number;
  regionsDropped: number;
  regionsRefused: number;
  /** Instructions in the regions that were compiled: how much was translated, not how often it ran. */
  instructionsTranslated: number;
  /** How often regions were entered from the interpreter, and the instructions executed in them: part of `instructions`. */
  regionsEntered: number;
  instructionsInRegions: number;
  /** Time spent compiling in ms, in whatever thread. */
  compileMs: number;
}

/** Before anything has run. */
export const NO_STATS: EngineStats = {
  instructions: 0,
  blocksDecoded: 0,
  instructionsDecoded: 0,
  tlbMisses: 0,
  pageFaults: 0,
  interrupts: 0,
  exceptions: 0,
  tlbFlushes: 0,
  blockLookups: 0,
  regionsCompiled: 0,
  regionsDropped: 0,
  regionsRefused: 0,
  instructionsTranslated: 0,
  regionsEntered: 0,
  instructionsInRegions: 0,
  compileMs: 0,
};

export interface Vcpu {
  readonly index: number;
  /**
   * Runs at most about `budget` instructions (an integer from 1 to 2^31-1; overrun: one block). An engine that can't count
   * them (`countsInstructions`) takes one for a microsecond, here and in `instructions`.
   */
  run(budget: number): Exit;
  /**
   * Instructions since the vCPU was made: the deterministic clock. Attempts that faulted count, and a long REP string
   * instruction counts more than once, so no guest can stand still in this time.
   */
  readonly instructions: number;
  /**
   * What the guest's writes of IA32_TSC and IA32_TSC_ADJUST add to the machine's TSC, in ticks: from -2^63 to 2^63, exact
   * to 2^53.
   */
  readonly tscOffset: number;
  /** Level of the INTR pin: the local APIC (or the PIC) has something deliverable. May be called from an ExitSink call. */
  setInterruptRequest(level: boolean): void;
  /** Non-maskable interrupt, edge. */
  nmi(): void;
  /** INIT: back to wait-for-sipi (APs) or to the reset vector (BSP). */
  init(): void;
  /** Start-up IPI: real mode at vector << 12 (SDM vol. 3, 9.4.4). */
  sipi(vector: number): void;
  /** Makes `run` return soon with `kick`. May be called from an ExitSink call. */
  kick(): void;
  getState(): VcpuState;
  setState(state: VcpuState): void;
  /** Power-on state, SDM vol. 3, table 10-1: real mode, CS:IP = F000:FFF0, base FFFF0000h. */
  reset(): void;
  /** Linear to guest-physical by the current page tables, without side effects; undefined where nothing is mapped. */
  translate(linear: bigint): number | undefined;
  /**
   * Has `run` end with `debug` after each instruction, or where a breakpoint or watchpoint hits, until told otherwise; what
   * the guest does with its own debug registers is not seen meanwhile. Absent: the engine can't.
   * @throws RangeError for more than four points, or a length that can't be
   */
  setDebug?(debug: GuestDebug): void;
  readonly stats: EngineStats;
}

/** What a debugger wants of a vCPU. Nothing: `{ step: false, points: [] }`. */
export interface GuestDebug {
  readonly step: boolean;
  readonly points: readonly DebugPoint[];
}

export interface DebugPoint {
  readonly kind: 'execute' | 'write' | 'access';
  /** Linear. */
  readonly address: bigint;
  /** Bytes watched: 1, 2, 4 or 8; 1 for `execute`. */
  readonly length: 1 | 2 | 4 | 8;
}

/** An account of the pages of RAM that are written, by the guest and by `GuestMemory.write` and `dirtied`. */
export interface DirtyLog {
  start(): void;
  /** Calls `visit` with the gpa of each page of 4 KiB written since `start`, or since it was last asked; some pages that were not may be among them. */
  take(visit: (gpa: number) => void): void;
  stop(): void;
}

export interface Engine {
  readonly name: string;
  readonly memory: GuestMemory;
  readonly vcpus: readonly Vcpu[];
  /** Whether `Vcpu.instructions` counts instructions: what a deterministic machine needs. */
  readonly countsInstructions: boolean;
  /** Interrupt controllers that the engine has in place of the machine's. */
  readonly controllers?: EngineControllers | undefined;
  /** Local APICs alone. */
  readonly localApics?: EngineLocalApics | undefined;
  /** Absent: the engine keeps no such account. */
  readonly dirtyLog?: DirtyLog | undefined;
  /** Writes that the engine can take without stopping the vCPU. */
  readonly shortcuts?: EngineShortcuts | undefined;
  /** vCPUs that run by themselves; without it the machine gives each of them its slices with `Vcpu.run`. */
  readonly parallel?: ParallelVcpus | undefined;
  close(): void;
}

/** 8259 pair, IOAPIC, local APICs and PIT of an engine: a board drives their inputs, and sees nothing else of them. */
export interface EngineControllers {
  readonly ioapicPins: number;
  /** Level of an input of the 8259 pair, by ISA interrupt. */
  setPicInput(irq: number, level: boolean): void;
  setIoapicPin(pin: number, level: boolean): void;
  /** A message-signalled interrupt: a write of `data` to `address`. */
  signalMsi(address: number, data: number): void;
  /** The 8259 pair's edge/level control registers: a bit for each ISA interrupt that is a level. */
  setLevelInputs(mask: number): void;
  /** All of them, with what is pending, and the guest's clocks; the vCPUs rest. */
  save(): EngineInterruptState;
  /** After the vCPUs' registers. @throws RangeError where it is of another make of machine */
  restore(state: EngineInterruptState): void;
}

/**
 * Local APICs of an engine; 8259 pair, IOAPIC and PIT are the board's. The 8259 pair's interrupts come to vCPU 0 by
 * `Vcpu.setInterruptRequest` and `ExitSink.acknowledgeInterrupt`.
 */
export interface EngineLocalApics {
  /** A message of a device. @returns whether a local APIC took it, as far as the engine can tell */
  signalMsi(address: number, data: number): boolean;
  /** A message of an IOAPIC's pin, as one of a device would look. @returns whether a local APIC took it */
  signalPin(address: number, data: number): boolean;
  /** What a pin that is a level sends: its ends are told to `onEoi` from now on. */
  routeLevel(pin: number, address: number, data: number): void;
  onEoi(listener: (vector: number) => void): void;
  save(): EngineInterruptState;
  restore(state: EngineInterruptState): void;
}

/** What an engine's interrupt controllers hold, in a form of the engine's. */
export interface EngineInterruptState {
  readonly version: number;
}

/** Writes that an engine can take by itself: they do not come through `ExitSink` then. */
export interface EngineShortcuts {
  /**
   * From now on a write of `value`, `size` bytes wide, at `gpa` rings: `rung` is called in the machine's thread soon
   * afterwards, once for one or several writes. @returns what ends it
   */
  doorbell(gpa: number, size: 1 | 2 | 4, value: number, rung: () => void): () => void;
  /** Writes of a byte to this port are only kept. @returns what reads the last one; undefined: none yet */
  latch(port: number): () => number | undefined;
}

/**
 * vCPUs that run all at once, each on a thread of the engine's. They ask for what they need of the machine and wait; the
 * machine's thread answers when it serves: calls of `ExitSink` and ends of runs happen there and nowhere else.
 */
export interface ParallelVcpus {
  /** Lets all vCPUs run. */
  start(): void;
  /** Stops them: afterwards their state may be looked at and changed until the next `start`. */
  stop(): void;
  /**
   * Answers what is asked for now; where nothing is, waits at most `ns` for it.
   * @param server told whose turn it is, and of runs that have ended: such a vCPU rests until the next `start`
   * @returns how many were served
   */
  serve(ns: number, server: VcpuServer): number;
  /** Calls `ring` in the event loop whenever something is asked for; undefined: no longer. */
  onRequest(ring: (() => void) | undefined): void;
}

export interface VcpuServer {
  select(vcpu: Vcpu): void;
  ended(vcpu: Vcpu, exit: Exit): void;
}

/**
 * Who has the interrupt controllers: the machine all of them; an engine that can the local APICs (split), or local APICs,
 * IOAPIC, 8259s and PIT (kernel).
 */
export type IrqchipMode = 'machine' | 'split' | 'kernel';

export interface EngineConfig {
  /** RAM in bytes: a multiple of 1 MiB. */
  memorySize: number;
  cpus: number;
  sink: ExitSink;
  /** TSC frequency in Hz, told to the guest in CPUID 15h. */
  tscHz: number;
  /** 'amd64' offers long mode; 'i386' hides it (CPUID LM clear). Default amd64. */
  arch?: 'amd64' | 'i386';
  /** Default machine. An engine that has no interrupt controllers of its own knows no other. */
  irqchip?: IrqchipMode;
}

/** Where the PCI hole starts: RAM above this moves to 4 GiB. */
export const PCI_HOLE_START = 0xc000_0000;
export const FOUR_GIB = 0x1_0000_0000;
