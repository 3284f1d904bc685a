// The same as native-frame.ts on the software engine: long mode, CPL 0, the same linear addresses for code and data. An
// exception ends at a HLT of its own (through an IST stack, so that the data area stays as the instruction left it).

import * as L from '../../src/engine/soft/layout.js';
import { generatedParts } from '../core/compile.js';
import { TestMachine } from '../core/machine.js';
import {
  CODE_SIZE,
  DATA_SIZE,
  F_CR2,
  F_ERROR,
  F_FLAGS,
  F_FX,
  F_LANDED,
  F_RIP,
  F_VECTOR,
  F_YMM,
  FRAME_SIZE,
  LANDING,
} from './native-frame.js';

const PAGE = 4096;
const LONG = 0xa09b;
const COMPATIBLE = 0xc09b;
const CODE_GPA = 0x200000;
const DATA_GPA = 0x210000;
const SEQUENCE_GPA = 0x220000;
const TABLES_GPA = 0x300000;
const IDT_GPA = 0x400000;
const GDT_GPA = 0x402000;
const TSS_GPA = 0x403000;
/** Handlers: one HLT for each vector, mapped where nothing of the test lies. */
const HLT = 0xf4;
const CR0_TS = 8;
const SYSTEM_LINEAR = 0x7f00_0000_0000n;

/** 64-bit mode; compatibility mode with flat segments, or with some that need checks at every access. */
/** `compiled` and `compiled-32`: each instruction as a region of its own, in 64-bit mode and with flat segments. */
/** Instructions after which a sequence is taken for one without an end. */
const ENDLESS = 50_000;

export type EngineMode = '64' | 'flat' | 'segmented' | 'compiled' | 'compiled-32';

/** Linear addresses: of a single instruction, of the data area, of the room for sequences. */
interface Places {
  readonly slot: number;
  readonly dataAddress: number;
  readonly codeAddress: number;
}

export class EngineFrame {
  readonly input = new DataView(new ArrayBuffer(FRAME_SIZE));
  readonly output = new DataView(new ArrayBuffer(FRAME_SIZE));
  readonly data: Uint8Array;
  readonly #machine: TestMachine;
  readonly #mode: EngineMode;
  readonly #slot: number;
  readonly #codeAddress: number;
  readonly #linear: Uint8Array;
  #next = TABLES_GPA + PAGE;
  #last = '';

  private constructor(machine: TestMachine, mode: EngineMode, { slot, dataAddress, codeAddress }: Places) {
    this.#machine = machine;
    this.#mode = mode;
    this.#slot = slot;
    this.#codeAddress = codeAddress;
    this.#linear = new Uint8Array(machine.engine.linear.buffer);
    this.data = machine.engine.memory.view(DATA_GPA, DATA_SIZE);
    const code = slot & ~(PAGE - 1);
    this.#map(BigInt(code), CODE_GPA);
    for (let at = 0; at < DATA_SIZE; at += PAGE) this.#map(BigInt(dataAddress + at), DATA_GPA + at);
    for (let at = 0; at < CODE_SIZE; at += PAGE) this.#map(BigInt(codeAddress + at), SEQUENCE_GPA + at);
    for (let at = 0; at < 0x10000; at += PAGE) this.#map(SYSTEM_LINEAR + BigInt(at), IDT_GPA + at);
    this.#prepare();
  }

  /** @param hotEvery the compiled modes also compile blocks that have been entered so often (a power of two) */
  static async create(mode: EngineMode, places: Places, hotEvery?: number): Promise<EngineFrame> {
    const regions = mode === 'compiled' || mode === 'compiled-32';
    return new EngineFrame(await TestMachine.create({ regions, ...(hotEvery && { hotEvery }) }), mode, places);
  }

  /** Regions made so far. */
  get regions(): number {
    return this.#machine.engine.regions?.stats.compiled ?? 0;
  }

  /** Share of all instructions so far that regions have executed. */
  get compiledShare(): number {
    const { cpu, engine } = this.#machine;
    return Number(engine.view.getBigUint64(L.STAT_COMPILED, true)) / cpu.instructions;
  }

  /** Name of the handler that a block at the slot begins with, for messages. */
  get handlerNames(): readonly string[] {
    return generatedParts().names;
  }

  #map(linear: bigint, gpa: number): void {
    let table = TABLES_GPA;
    for (let shift = 39; shift > 12; shift -= 9) {
      const at = table + Number((linear >> BigInt(shift)) & 511n) * 8;
      let entry = Number(this.#machine.u64(at));
      if (!entry) {
        entry = this.#next | 7;
        this.#next += PAGE;
        this.#machine.setU64(at, BigInt(entry));
      }
      table = entry & ~0xfff;
    }
    this.#machine.setU64(table + Number((linear >> 12n) & 511n) * 8, BigInt(gpa | 0x67));
  }

  #prepare(): void {
    const m = this.#machine;
    const handlers = SYSTEM_LINEAR + 0x1000n;
    m.write(IDT_GPA + 0x1000, new Uint8Array(256).fill(0xf4));
    for (let v = 0; v < 32; v++) {
      const at = handlers + BigInt(v);
      const low = (at & 0xffffn) | (8n << 16n) | (1n << 32n) | (0x8en << 40n) | (((at >> 16n) & 0xffffn) << 48n);
      m.setU64(IDT_GPA + v * 16, low);
      m.setU64(IDT_GPA + v * 16 + 8, at >> 32n);
    }
    m.setU64(GDT_GPA + 8, 0x00af9b000000ffffn);
    m.setU64(GDT_GPA + 16, 0x00cf93000000ffffn);
    m.setU64(TSS_GPA + 36, SYSTEM_LINEAR + 0x8000n); // IST1
    m.set((s) => {
      s.cr0 = 0x8001_0033n & ~8n; // PG WP NE ET MP PE
      s.cr3 = BigInt(TABLES_GPA);
      s.cr4 = 0x40620n; // PAE OSFXSR OSXMMEXCPT OSXSAVE
      s.xcr0 = 7n;
      s.efer = 0x500n;
      s.cs = { selector: 8, base: 0n, limit: 0xffff_ffff, attributes: this.#attributes };
      for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const)
        s[name] = { selector: 16, base: 0n, limit: 0xffff_ffff, attributes: 0xc093 };
      if (this.#mode === 'segmented') s.es.limit = s.ds.limit = 0xffff_fffe;
      s.tr = { selector: 0x18, base: SYSTEM_LINEAR + 0x3000n, limit: 0x67, attributes: 0x8b };
      s.gdtr = { base: SYSTEM_LINEAR + 0x2000n, limit: 0xff };
      s.idtr = { base: SYSTEM_LINEAR, limit: 0x1ff };
      s.rip = BigInt(this.#slot);
    });
  }

  /** Access rights of CS. */
  get #attributes(): number {
    return this.#mode === '64' || this.#mode === 'compiled' ? LONG : COMPATIBLE;
  }

  /** After an exception, which has gone to 64-bit mode. */
  #returnToMode(): void {
    const { view, core } = this.#machine.engine;
    view.setUint32(L.SEGS + L.CS * L.SEG_SIZE + L.SEG_ATTR, this.#attributes, true);
    view.setUint32(L.SEGS + L.SS * L.SEG_SIZE + L.SEG_ATTR, 0xc093, true);
    view.setUint32(L.SEGS + L.SS * L.SEG_SIZE + L.SEG_SEL, 16, true);
    core.stateLoaded();
  }

  run(instruction: Uint8Array): void {
    const text = instruction.join();
    if (text !== this.#last) {
      const at = CODE_GPA + (this.#slot & (PAGE - 1));
      this.#machine.write(at, [...instruction, HLT]);
      this.#machine.write(at + LANDING, [HLT]);
      this.#last = text;
    }
    this.#load(this.#slot);
    this.compile();
    const exit = this.#machine.cpu.run(10_000);
    if (exit.kind !== 'hlt') throw new Error(`the engine left with ${JSON.stringify(exit)}`);
    const landed = this.#machine.engine.view.getBigUint64(L.RIP, true) === BigInt(this.#slot + LANDING + 1);
    this.#store(landed ? this.#slot + LANDING : this.#slot + instruction.length);
    this.output.setInt32(F_LANDED, landed ? 1 : 0, true);
  }

  /** Puts a sequence's code into the room for it, with a HLT at `end`: what is there already stays, and what is compiled of it. */
  writeSequence(code: Uint8Array, offset: number, end: number): void {
    const { engine } = this.#machine;
    const wanted = code.slice();
    wanted[end - offset] = HLT;
    const there = engine.memory.view(SEQUENCE_GPA + offset, code.length);
    for (let at = 0; at < wanted.length; at++) {
      if (there[at] === wanted[at]) continue;
      let to = at + 1;
      while (to < wanted.length && there[to] !== wanted[to]) to++;
      engine.memory.write(SEQUENCE_GPA + offset + at, wanted.subarray(at, to));
      at = to;
    }
  }

  /**
   * Runs a sequence.
   * @param budget instructions of the next slice
   * @throws Error where it does not come to an end, or to one that it should not come to
   */
  runSequence(offset: number, end: number, budget: () => number, compiled: boolean): void {
    this.#load(this.#codeAddress + offset);
    if (compiled) this.compile();
    const { cpu } = this.#machine;
    const limit = cpu.instructions + ENDLESS;
    let exit = cpu.run(budget());
    while (exit.kind === 'budget' && cpu.instructions < limit) exit = cpu.run(budget());
    if (exit.kind !== 'hlt') throw new Error(`the engine left with ${JSON.stringify(exit)}`);
    this.output.setInt32(F_LANDED, 0, true);
    this.#store(this.#codeAddress + end);
  }

  /** CR0.TS: the next instruction of x87, MMX or SSE is to raise #NM. */
  setTaskSwitched(on: boolean): void {
    const { view, core } = this.#machine.engine;
    const cr0 = view.getUint32(L.CR0, true);
    view.setUint32(L.CR0, on ? cr0 | CR0_TS : cr0 & ~CR0_TS, true);
    core.stateLoaded();
  }

  /** Compiles what RIP is at, in the compiled modes. */
  compile(): void {
    const { engine } = this.#machine;
    if (engine.regions && engine.core.lookup()) engine.regions.compileAtRip();
  }

  #load(rip: number): void {
    const { core, view } = this.#machine.engine;
    for (let r = 0; r < 16; r++) view.setBigUint64(L.REGS + r * 8, this.input.getBigUint64(r * 8, true), true);
    this.#linear.set(new Uint8Array(this.input.buffer, F_FX, 512), L.FX_IMAGE);
    core.fxrstorImage(L.FX_IMAGE);
    this.#linear.set(new Uint8Array(this.input.buffer, F_YMM, 256), L.YMMH);
    core.setFlags(this.input.getInt32(F_FLAGS, true), -1);
    view.setBigUint64(L.RIP, BigInt(rip), true);
    view.setUint32(L.ACTIVITY, L.ACT_RUNNING, true);
  }

  /** @param end address of the HLT that ends a run without an exception */
  #store(end: number): void {
    const { core, view } = this.#machine.engine;
    const out = this.output;
    out.setBigInt64(F_VECTOR, -1n, true);
    let flags = core.getFlags() >>> 0;
    for (let r = 0; r < 16; r++) out.setBigUint64(r * 8, view.getBigUint64(L.REGS + r * 8, true), true);
    const rip = view.getBigUint64(L.RIP, true);
    if (rip !== BigInt(end + 1)) this.#takeException(Number(rip - SYSTEM_LINEAR) - 0x1001, (f) => (flags = f));
    out.setUint32(F_FLAGS, flags, true);
    core.fxsaveImage(L.FX_IMAGE);
    new Uint8Array(out.buffer, F_FX, 512).set(this.#linear.subarray(L.FX_IMAGE, L.FX_IMAGE + 512));
    new Uint8Array(out.buffer, F_YMM, 256).set(this.#linear.subarray(L.YMMH, L.YMMH + 256));
  }

  /** The exception's frame on the IST stack: [error] RIP CS RFLAGS RSP SS. */
  #takeException(vector: number, setFlags: (flags: number) => void): void {
    const m = this.#machine;
    if (!(vector >= 0 && vector < 32)) throw new Error(`the engine stopped at an unexpected place (${vector})`);
    const hasError = [8, 10, 11, 12, 13, 14, 17].includes(vector);
    const frame = IDT_GPA + 0x8000 - (hasError ? 48 : 40);
    const at = frame + (hasError ? 8 : 0);
    this.output.setBigInt64(F_VECTOR, BigInt(vector), true);
    this.output.setBigUint64(F_ERROR, hasError ? m.u64(frame) : 0n, true);
    this.output.setBigUint64(F_CR2, m.engine.view.getBigUint64(L.CR2, true), true);
    this.output.setBigUint64(F_RIP, m.u64(at), true);
    setFlags(Number(m.u64(at + 16)) & ~0x10000);
    this.output.setBigUint64(4 * 8, m.u64(at + 24), true);
    if (this.#mode !== '64') this.#returnToMode();
  }
}
