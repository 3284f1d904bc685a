/**
 * A test machine: one vCPU, 8 MiB, tables ready (layout.ts), every vector going to a HLT of its own. A test places a
 * program, runs it to its HLT, and looks at what has become of registers and memory.
 */

import { getCurrentTest } from 'vitest/suite';
import type { Engine, Exit, ExitSink, Vcpu, VcpuState } from '../../src/engine/contract.js';
import { assemble, type Bits, type Program } from '../asm/assemble.js';
import { REGISTER_NAMES } from '../registers.js';
import { forgetTranslations, openEngine } from './engines.js';
import { GAPS, type Gap } from './lacks.js';
import * as L from './layout.js';

export type Mode = 'real' | 'protected' | 'long' | 'compat' | 'v8086';
export type Paging = 'none' | '32' | 'pae' | '4-level';

export interface Options {
  mode: Mode;
  /** Default 0; 3 in v8086 mode. */
  ring?: number;
  /** Default: none in protected and v8086 mode. */
  paging?: Paging;
  /** Default amd64. */
  arch?: 'amd64' | 'i386';
}

/** How a run ended: at a HLT of the program's own, or at the stub of a vector with what was pushed there. */
export interface Outcome {
  readonly exit: Exit['kind'];
  /** -1: no exception or interrupt. */
  readonly vector: number;
  /** Error code, or -1. */
  readonly error: number;
  /** Return address of the frame; without a vector, RIP (after the HLT). */
  readonly rip: number;
  readonly cs: number;
  readonly flags: number;
  /** Frame's SS:(R)SP, where it has one; else those of the machine. */
  readonly sp: number;
  readonly ss: number;
  /** CR2 after a page fault, else -1. */
  readonly cr2: number;
}

export interface PortAccess {
  readonly port: number;
  readonly size: number;
  readonly value: number;
}

export type RegisterName = (typeof REGISTER_NAMES)[number];
const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17]);
const SELECTORS = ['K64', 'KDATA', 'K32', 'U32', 'UDATA', 'U64', 'K16', 'KDATA16', 'TR', 'LDTR'] as const;
/** Enough for every program here, and little enough that one that hangs ends soon. */
const LIMIT = 200_000;
const PIECE = 50_000;
/** An engine that can't count takes µs of a host that may be busy. */
const UNCOUNTED = 25;
/** And less for a program that looks for a gap: it may well hang. */
const UNCOUNTED_GAP = 5;

/** What the outside does; a test may replace any of it. */
interface Outside {
  readPort: (port: number, size: number) => number;
  onPortWrite: (access: PortAccess) => void;
  acknowledge: () => number;
  readMsr: (msr: number) => bigint | undefined;
  writeMsr: (msr: number, value: bigint) => boolean;
  tpr: number;
  tsc: bigint;
  entropy: bigint;
  mmio: { gpa: number; size: number; value: number | undefined }[];
}

let outside: Outside;
const portWrites: PortAccess[] = [];
const sink: ExitSink = {
  portIn: (port, size) => outside.readPort(port, size),
  portOut: (port, size, value) => {
    portWrites.push({ port, size, value });
    outside.onPortWrite({ port, size, value });
  },
  mmioRead: (gpa, size) => {
    outside.mmio.push({ gpa, size, value: undefined });
    return 0xa5a5_a5a5 >>> (32 - size * 8);
  },
  mmioWrite: (gpa, size, value) => outside.mmio.push({ gpa, size, value }),
  readMsr: (_cpu, msr) => {
    const value = outside.readMsr(msr);
    return value === undefined ? undefined : { low: Number(value & 0xffff_ffffn), high: Number(value >> 32n) };
  },
  writeMsr: (_cpu, msr, low, high) => outside.writeMsr(msr, (BigInt(high) << 32n) | BigInt(low)),
  acknowledgeInterrupt: () => outside.acknowledge(),
  readCr8: () => outside.tpr,
  writeCr8: (_cpu, value) => {
    outside.tpr = value;
  },
  readTsc: () => Number((outside.tsc += 100n)),
  entropy: () => {
    outside.entropy = BigInt.asUintN(64, outside.entropy * 6364136223846793005n + 1442695040888963407n);
    return Number(outside.entropy >> 32n);
  },
};

/** One engine for all tests of a file: each starts with a reset and clear memory. */
const engines = new Map<string, Engine>();

function newOutside(): Outside {
  return {
    readPort: () => 0xffff_ffff,
    onPortWrite: () => {},
    acknowledge: () => -1,
    readMsr: () => undefined,
    writeMsr: () => false,
    tpr: 0,
    tsc: 1000n,
    entropy: 1n,
    mmio: [],
  };
}

/** Gaps of the host's KVM, found out once for a file of tests; the software engine has none. */
let gaps: readonly Gap[] | undefined;
let finding = false;

function findGaps(): readonly Gap[] {
  gaps = [];
  finding = true;
  const works = (gap: Gap) => {
    try {
      return gap.works(machine);
    } catch {
      return false;
    }
  };
  gaps = machine('real').engine.name === 'kvm' ? GAPS.filter((gap) => !works(gap)) : [];
  finding = false;
  return gaps;
}

export class Bench {
  readonly engine: Engine;
  readonly cpu: Vcpu;
  readonly mode: Mode;
  readonly ring: number;
  readonly paging: Paging;
  readonly outside: Outside;
  readonly ports: readonly PortAccess[] = portWrites;
  /** What the vCPU is set to when it runs next; after a run, what it has. */
  state: VcpuState;

  #source = '';
  #userSource = '';

  constructor(options: Options) {
    if (gaps === undefined) findGaps();
    this.mode = options.mode;
    this.ring = options.ring ?? (options.mode === 'v8086' ? 3 : 0);
    this.paging = options.paging ?? (options.mode === 'long' || options.mode === 'compat' ? '4-level' : 'none');
    outside = newOutside();
    this.outside = outside;
    portWrites.length = 0;
    const arch = options.arch ?? 'amd64';
    const engine = engines.get(arch) ?? openEngine({ memorySize: L.RAM, cpus: 1, sink, tscHz: 1e9, arch });
    engines.set(arch, engine);
    this.engine = engine;
    this.cpu = engine.vcpus[0];
    this.cpu.reset();
    this.cpu.setInterruptRequest(false);
    engine.memory.write(0, new Uint8Array(L.RAM));
    forgetTranslations(engine);
    this.state = this.cpu.getState();
    this.#tables();
    this.#registers();
    this.#skipForGaps();
  }

  get #patience(): number {
    return this.engine.countsInstructions ? 1 : finding ? UNCOUNTED_GAP : UNCOUNTED;
  }

  /** Skips the test where it needs what the host's KVM lacks. */
  #skipForGaps(): void {
    const test = gaps!.length > 0 ? getCurrentTest() : undefined;
    if (test === undefined) return;
    const { mode, paging, state } = this;
    const name = test.fullTestName.replaceAll(' > ', ' ');
    const use = { test: name, mode, paging, source: this.#source, userSource: this.#userSource, state };
    const gap = gaps!.find(({ needed }) => needed(use));
    if (gap !== undefined) test.context.skip(`this KVM ${gap.name}`);
  }

  get bits(): Bits {
    return this.mode === 'long' ? 64 : this.mode === 'real' || this.mode === 'v8086' ? 16 : 32;
  }

  /** Bytes of a descriptor table's gate. */
  get #wide(): boolean {
    return this.mode === 'long' || this.mode === 'compat';
  }

  // ---- memory ----------------------------------------------------------------------------------------------------------
  write(gpa: number, bytes: ArrayLike<number>): void {
    this.engine.memory.write(gpa, Uint8Array.from(bytes));
  }

  put(gpa: number, size: 1 | 2 | 4 | 8, value: number | bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
    this.engine.memory.write(gpa, bytes.subarray(0, size));
  }

  put8 = (gpa: number, value: number) => this.put(gpa, 1, value);
  put16 = (gpa: number, value: number) => this.put(gpa, 2, value);
  put32 = (gpa: number, value: number) => this.put(gpa, 4, value);
  put64 = (gpa: number, value: number | bigint) => this.put(gpa, 8, value);

  #view(gpa: number, length: number): DataView {
    const bytes = this.engine.memory.view(gpa, length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  u8 = (gpa: number) => this.#view(gpa, 1).getUint8(0);
  u16 = (gpa: number) => this.#view(gpa, 2).getUint16(0, true);
  u32 = (gpa: number) => this.#view(gpa, 4).getUint32(0, true);
  u64 = (gpa: number) => this.#view(gpa, 8).getBigUint64(0, true);

  // ---- tables ------------------------------------------------------------------------------------------------------------
  setDescriptor(selector: number, base: number, limit: number, attributes: number): void {
    this.put64(L.GDT + (selector & 0xfff8), L.descriptor(base, limit, attributes));
  }

  setGate(vector: number, offset: number | bigint, options: L.GateOptions & { selector?: number } = {}): void {
    const selector = options.selector ?? (this.#wide ? L.K64 : L.K32);
    if (!this.#wide) {
      this.put64(L.IDT + vector * 8, L.gate(selector, offset, options));
      return;
    }
    this.put64(L.IDT + vector * 16, L.gate(selector, offset, options));
    this.put64(L.IDT + vector * 16 + 8, L.gateHigh(offset));
  }

  /** Address of the leaf entry of a linear address below 2 MiB or in the window. */
  entry(linear: number): number {
    const size = this.paging === '32' ? 4 : 8;
    if (linear < 0x20_0000) return L.PT + (linear >> 12) * size;
    return L.WINDOW_PT + ((linear - L.WINDOW) >> 12) * size;
  }

  /** Maps a page: the gpa with flags (P, W, U ...). */
  map(linear: number, gpa: number, flags: number | bigint): void {
    this.put(this.entry(linear), this.paging === '32' ? 4 : 8, BigInt(gpa) | BigInt(flags));
  }

  pte(linear: number): bigint {
    return this.paging === '32' ? BigInt(this.u32(this.entry(linear))) : this.u64(this.entry(linear));
  }

  // ---- programs ----------------------------------------------------------------------------------------------------------
  /** Assembles at an address (default: where this machine's code goes) and places it. */
  load(source: string, at: number = this.code, bits: Bits = this.bits): Program {
    const program = assemble(
      bits,
      this.mode === 'real' || this.mode === 'v8086' ? at & 0xffff : at,
      source,
      this.symbols(),
    );
    this.write(at, program.bytes);
    this.#source += `${source}\n`;
    if (this.ring === 3 || (at >= L.USER_START && at < L.USER_END)) this.#userSource += `${source}\n`;
    return program;
  }

  /** Default place of code: pages that the ring may execute. */
  get code(): number {
    return this.ring === 3 && this.mode !== 'v8086' ? L.USER_CODE : L.CODE;
  }

  /** Names for programs: addresses and selectors. */
  symbols(): Record<string, number> {
    const table = L as unknown as Record<string, number>;
    const names = [
      'GDT',
      'IDT',
      'TSS',
      'LDT',
      'TSS2',
      'CODE',
      'DATA',
      'USER_CODE',
      'USER_DATA',
      'USER_STACK',
      'STACK',
      'WINDOW',
      'SPARE',
      'FREE',
    ];
    return Object.fromEntries([...names, ...SELECTORS].map((name) => [name, table[name]]));
  }

  /** Places a program and runs it from its first instruction. */
  go(source: string, limit = LIMIT): Outcome {
    this.load(source);
    return this.run(limit);
  }

  /** Runs to a HLT, a shutdown, or the end of patience (exit 'budget'). */
  run(limit = LIMIT): Outcome {
    this.state.activity = 'running';
    this.cpu.setState(this.state);
    return this.resume(limit);
  }

  /** Runs on without touching the registers. */
  resume(limit = LIMIT): Outcome {
    this.#skipForGaps();
    const end = this.cpu.instructions + limit * this.#patience;
    let exit: Exit;
    do exit = this.cpu.run(Math.max(1, Math.min(PIECE, end - this.cpu.instructions)));
    while ((exit.kind === 'budget' || exit.kind === 'kick') && this.cpu.instructions < end);
    this.state = this.cpu.getState();
    return this.#outcome(exit.kind);
  }

  reg(name: RegisterName): bigint {
    return this.state.gpr[REGISTER_NAMES.indexOf(name)];
  }

  set(values: Partial<Record<RegisterName, number | bigint>>): this {
    for (const [name, value] of Object.entries(values))
      this.state.gpr[REGISTER_NAMES.indexOf(name as RegisterName)] = BigInt.asUintN(64, BigInt(value));
    return this;
  }

  /** Linear address of a frame's word. */
  #frame(index: number, size: number): number {
    const wide = this.state.ss.attributes & 0x4000 || this.#wide;
    const sp = wide ? Number(this.reg('rsp')) : Number(this.reg('rsp') & 0xffffn);
    const base = this.#wide ? 0 : Number(this.state.ss.base);
    const at = base + sp + index * size;
    if (!this.engine.memory.contains(at, size)) return -1;
    return size === 2 ? this.u16(at) : size === 4 ? this.u32(at) : Number(this.u64(at));
  }

  #outcome(exit: Exit['kind']): Outcome {
    const { state } = this;
    const rip = Number(state.rip + (state.efer & L.EFER.LMA && state.cs.attributes & 0x2000 ? 0n : state.cs.base));
    const stub = rip - 1 - L.STUBS;
    if (exit !== 'hlt' || stub < 0 || stub >= 0x1000 || stub % 16 !== 0)
      return {
        exit,
        vector: -1,
        error: -1,
        rip: Number(state.rip),
        cs: state.cs.selector,
        flags: Number(state.rflags),
        sp: Number(this.reg('rsp')),
        ss: state.ss.selector,
        cr2: -1,
      };
    const vector = stub / 16;
    const size = !(state.cr0 & L.CR0.PE) ? 2 : state.efer & L.EFER.LMA ? 8 : 4;
    const hasError = size !== 2 && WITH_ERROR.has(vector);
    const at = (i: number) => this.#frame(i + (hasError ? 1 : 0), size);
    const cs = at(1) & 0xffff;
    const hasStack = size === 8 || (size === 4 && ((cs & 3) !== (state.cs.selector & 3) || (at(2) & L.F.VM) !== 0));
    return {
      exit,
      vector,
      error: hasError ? this.#frame(0, size) : -1,
      rip: at(0),
      cs,
      flags: at(2),
      sp: hasStack ? at(3) : Number(this.reg('rsp')) + (3 + (hasError ? 1 : 0)) * size,
      ss: hasStack ? at(4) & 0xffff : state.ss.selector,
      cr2: vector === L.V.PF ? Number(state.cr2) : -1,
    };
  }

  // ---- start ---------------------------------------------------------------------------------------------------------------
  #tables(): void {
    const flat = 0xffff_ffff;
    const { ATTR } = L;
    this.setDescriptor(L.K64, 0, flat, ATTR.code64);
    this.setDescriptor(L.KDATA, 0, flat, ATTR.data32);
    this.setDescriptor(L.K32, 0, flat, ATTR.code32);
    this.setDescriptor(L.KDATA2, 0, flat, ATTR.data32);
    this.setDescriptor(L.U32, 0, flat, ATTR.userCode32);
    this.setDescriptor(L.UDATA, 0, flat, ATTR.userData);
    this.setDescriptor(L.U64, 0, flat, ATTR.userCode64);
    this.setDescriptor(L.UDATA2, 0, flat, ATTR.userData);
    this.setDescriptor(L.K16, 0, 0xffff, ATTR.code16);
    this.setDescriptor(L.KDATA16, 0, 0xffff, ATTR.data16);
    this.setDescriptor(L.TR, L.TSS, 0xfff, ATTR.busyTss32);
    this.setDescriptor(L.LDTR, L.LDT, 0xff, ATTR.ldt);
    const stubs = new Uint8Array(0x1000).fill(0x90);
    for (let v = 0; v < 256; v++) {
      stubs[v * 16] = 0xf4;
      if (this.mode === 'real') this.put32(v * 4, ((L.STUBS >> 4) << 16) | (v * 16));
      else this.setGate(v, L.STUBS + v * 16, { dpl: v === 3 || v === 4 || v >= 0x40 ? 3 : 0 });
    }
    this.write(L.STUBS, stubs);
    // Both kinds of TSS keep the inner stacks from offset 4 on. The I/O bitmap lies beyond the limit.
    if (this.#wide) {
      for (const [at, sp] of [
        [4, L.RING0_STACK],
        [12, L.RING1_STACK],
        [20, L.RING2_STACK],
        [0x24, L.IST1],
        [0x2c, L.IST2],
      ])
        this.put64(L.TSS + at, sp);
    } else {
      for (const [ring, sp] of [L.RING0_STACK, L.RING1_STACK, L.RING2_STACK].entries()) {
        this.put32(L.TSS + 4 + ring * 8, sp);
        this.put32(L.TSS + 8 + ring * 8, L.KDATA);
      }
    }
    this.put16(L.TSS + 0x66, 0x2000);
    this.#pageTables();
  }

  #pageTables(): void {
    const size = this.paging === '32' ? 4 : 8;
    const all = L.P | L.W | L.U;
    for (let page = 0; page < 512; page++) {
      const linear = page << 12;
      const user = linear >= L.USER_START && linear < L.USER_END;
      this.put(L.PT + page * size, size, linear | L.P | L.W | (user ? L.U : 0));
    }
    if (this.paging === '32') {
      this.put32(L.ROOT, L.PT | all);
      this.put32(L.ROOT + 4, L.WINDOW_PT | all);
      return;
    }
    if (this.paging === 'pae') this.put64(L.ROOT, L.PD | L.P);
    else {
      this.put64(L.ROOT, L.PDPT | all);
      this.put64(L.PDPT, L.PD | all);
    }
    this.put64(L.PD, L.PT | all);
    this.put64(L.PD + 16, L.WINDOW_PT | all);
  }

  #registers(): void {
    const { state, mode, ring } = this;
    const segment = (selector: number, attributes: number, limit = 0xffff_ffff, base = 0) => ({
      selector,
      base: BigInt(base),
      limit,
      attributes,
    });
    state.gpr[4] = BigInt(L.STACK);
    state.rflags = 2n;
    state.rip = BigInt(this.code);
    if (mode === 'real') {
      state.cs = segment(L.CODE >> 4, 0x9b, 0xffff, L.CODE);
      for (const s of ['ss', 'ds', 'es', 'fs', 'gs'] as const) state[s] = segment(0, 0x93, 0xffff);
      state.rip = 0n;
      state.idtr = { base: 0n, limit: 0x3ff };
      state.gdtr = { base: BigInt(L.GDT), limit: L.GDT_LIMIT };
      return;
    }
    state.gdtr = { base: BigInt(L.GDT), limit: L.GDT_LIMIT };
    state.idtr = { base: BigInt(L.IDT), limit: this.#wide ? 0xfff : 0x7ff };
    state.tr = segment(L.TR, L.ATTR.busyTss32, 0xfff, L.TSS);
    state.cr0 = L.CR0.PE | L.CR0.ET | L.CR0.NE;
    if (this.paging !== 'none') {
      state.cr0 |= L.CR0.PG;
      state.cr3 = BigInt(L.ROOT);
      if (this.paging !== '32') state.cr4 |= L.CR4.PAE;
    }
    if (mode === 'v8086') {
      state.rflags |= BigInt(L.F.VM);
      state.cs = segment(L.CODE >> 4, 0xf3, 0xffff, L.CODE);
      for (const s of ['ss', 'ds', 'es', 'fs', 'gs'] as const) state[s] = segment(0, 0xf3, 0xffff);
      state.rip = 0n;
      return;
    }
    if (this.#wide) {
      state.efer = L.EFER.LME | L.EFER.LMA | L.EFER.NXE;
      state.cr0 |= L.CR0.WP;
    }
    if (ring === 3) state.gpr[4] = BigInt(L.USER_STACK);
    const long = mode === 'long';
    const dpl = ring << 5;
    const code = ring === 3 ? (long ? L.U64 : L.U32) : long ? L.K64 : L.K32;
    state.cs = segment(code, (long ? L.ATTR.code64 : L.ATTR.code32) | dpl);
    for (const s of ['ss', 'ds', 'es', 'fs', 'gs'] as const)
      state[s] = segment(ring === 3 ? L.UDATA : L.KDATA, L.ATTR.data32 | dpl);
  }
}

/** A machine in the given mode. */
export function machine(mode: Mode, options: Omit<Options, 'mode'> = {}): Bench {
  return new Bench({ mode, ...options });
}
