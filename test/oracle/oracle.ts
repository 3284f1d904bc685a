// Compares the software engine with the processor under us, instruction by instruction: the same random state, the same
// bytes at the same addresses, then every register, flag and byte of memory.

import { REGISTER_NAMES } from '../registers.js';
import { type Encoded, encode, type Form, type Vsib } from './encodings.js';
import { EngineFrame, type EngineMode } from './engine-frame.js';
import {
  DATA_SIZE,
  F_ERROR,
  F_FLAGS,
  F_FX,
  F_LANDED,
  F_VECTOR,
  F_YMM,
  FRAME_SIZE,
  LANDING,
  NativeFrame,
} from './native-frame.js';
import { Random } from './random.js';
import {
  COMPARED_FLAGS,
  isApproximate,
  isMmxFault,
  isSkipped,
  undefinedFlags,
  undefinedMemory,
  undefinedMxcsr,
  undefinedStatus,
} from './rules.js';

const FLAG_BITS: [string, number][] = [
  ['CF', 1],
  ['PF', 4],
  ['AF', 16],
  ['ZF', 64],
  ['SF', 128],
  ['DF', 0x400],
  ['OF', 0x800],
];

export interface Mismatch {
  readonly form: string;
  readonly bytes: string;
  readonly seed: number;
  readonly problems: string[];
}

export class Oracle {
  readonly native: NativeFrame;
  engine: EngineFrame;
  readonly #mode: EngineMode;
  /** Regions of engines that have been replaced. */
  #retired = 0;
  readonly #state = new DataView(new ArrayBuffer(FRAME_SIZE));
  cases = 0;
  faults = 0;

  private constructor(mode: EngineMode, native: NativeFrame, engine: EngineFrame) {
    this.#mode = mode;
    this.native = native;
    this.engine = engine;
    const random = new Random(1);
    for (let i = 0; i < DATA_SIZE; i++) native.data[i] = random.u32();
    engine.data.set(native.data);
  }

  static async create(mode: EngineMode): Promise<Oracle> {
    const native = new NativeFrame(mode === '64' || mode === 'compiled' ? 64 : 32);
    return new Oracle(mode, native, await EngineFrame.create(mode, native.slot, native.dataAddress));
  }

  /** Regions made so far. */
  get regions(): number {
    return this.#retired + this.engine.regions;
  }

  /** Another engine where the present one has many regions: V8 looks at all instances that share a table for each new one. */
  async renew(): Promise<void> {
    if (this.engine.regions < 500) return;
    this.#retired += this.engine.regions;
    this.engine = await EngineFrame.create(this.#mode, this.native.slot, this.native.dataAddress);
    this.engine.data.set(this.native.data);
  }

  /** One case; undefined: equal (or not comparable). */
  check(form: Form, seed: number): Mismatch | undefined {
    const random = new Random(seed);
    const { dataAddress, slot } = this.native;
    const target = dataAddress + this.#place(random);
    const encoded = encode(form, this.native.bits, random, target, slot);
    this.#fill(random, form, encoded, target);
    if (isSkipped(form, encoded, this.#state, target) || this.#stackAway(form)) return undefined;
    if (this.native.bits === 32)
      for (let r = 0; r < 16; r++)
        this.#state.setBigUint64(r * 8, r < 8 ? BigInt(this.#state.getUint32(r * 8, true)) : 0n, true);
    copy(this.#state, this.native.input);
    copy(this.#state, this.engine.input);
    this.native.run(encoded.bytes);
    const bytes = [...encoded.bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ');
    let problems: string[];
    try {
      this.engine.run(encoded.bytes);
      this.#ignoreMemory(form, encoded, target);
      problems = this.#compare(form);
    } catch (error) {
      problems = [String(error)];
    }
    this.cases++;
    if (this.native.output.getInt32(F_VECTOR, true) >= 0) this.faults++;
    if (problems.length) this.engine.data.set(this.native.data);
    return problems.length ? { form: form.text, bytes, seed, problems } : undefined;
  }

  /** The stack pointer may be a base register: then it may lie where the processor must not write. */
  #stackAway(form: Form): boolean {
    const rsp = this.#state.getBigUint64(4 * 8, true);
    const offset = Number(rsp) - this.native.dataAddress;
    if (this.native.refusesStack(rsp)) return true;
    return form.instruction.attributes.stack === true && !(offset >= 0x400 && offset < DATA_SIZE - 0x400);
  }

  /** Makes bytes that are not to be compared alike. */
  #ignoreMemory(form: Form, encoded: Encoded, target: number): void {
    const at = target - this.native.dataAddress;
    for (const [from, to] of undefinedMemory(form.instruction.name, encoded.size16))
      this.engine.data.set(this.native.data.subarray(at + from, at + to), at + from);
  }

  /** Offset of the memory operand: mostly aligned, sometimes not, sometimes over the border of two pages. */
  #place(random: Random): number {
    const offset = 0x1800 + random.below(0x800);
    if (random.chance(8)) return 0x2000 - 1 - random.below(15);
    return random.chance(75) ? offset & ~15 : offset;
  }

  #fill(random: Random, form: Form, encoded: Encoded, target: number): void {
    const s = this.#state;
    const { name } = form.instruction;
    const { dataAddress } = this.native;
    for (let r = 0; r < 16; r++) s.setBigUint64(r * 8, random.integer(), true);
    const inData = (r: number, offset = 0x1000 + random.below(0x1000)) =>
      s.setBigUint64(r * 8, BigInt(dataAddress + offset), true);
    inData(4);
    if (random.chance(70)) s.setBigUint64(4 * 8, s.getBigUint64(4 * 8, true) & ~7n, true);
    if (/^(movs|cmps|stos|lods|scas)$/.test(name)) {
      inData(6);
      inData(7);
      s.setBigUint64(8, BigInt(random.below(40)), true);
    }
    if (name === 'leave' || name === 'enter') inData(5);
    if (name === 'xlat') inData(3);
    if (/^v?maskmov/.test(name)) inData(7);
    if (/^bt/.test(name) && encoded.memory && encoded.reg >= 0)
      s.setBigInt64(encoded.reg * 8, BigInt((random.u32() << 16) >> 16), true);
    if (/^i?div$/.test(name) && random.chance(70)) s.setBigUint64(16, BigInt(random.below(3)), true);
    if (/^v?pcmpe/.test(name))
      for (const r of [0, 2]) if (random.chance(70)) s.setBigInt64(r * 8, BigInt(random.below(40) - 18), true);
    if (/^loop|^jcxz/.test(name))
      s.setBigUint64(8, BigInt(random.below(3)) | (random.chance(30) ? 1n << 32n : 0n), true);
    if (encoded.short && form.instruction.attributes.rep)
      for (const r of [1, 3, 6, 7]) s.setUint32(r * 8 + 4, random.u32(), true);
    const landing = BigInt(this.native.slot + LANDING);
    const indirect = /^(jmp|call)$/.test(name) && form.operands.some((o) => o.kind === 'rm');
    if (indirect && !encoded.memory) s.setBigUint64(encoded.rm * 8, landing, true);
    for (const [register, value] of encoded.bindings) s.setBigUint64(register * 8, value, true);
    s.setBigUint64(F_FLAGS, BigInt(0x202 | (random.u32() & 0xcd5 & (random.chance(50) ? -1 : ~0x400))), true);

    for (let x = 0; x < 16; x++) random.vector(s, F_FX + 160 + x * 16);
    for (let x = 0; x < 16 && this.native.hasUppers; x++) random.vector(s, F_YMM + x * 16);
    // Equal and nearly equal operands matter to comparisons and subtractions.
    if (random.chance(15))
      for (let x = 1; x < 16; x++) copyBytes(s, F_FX + 160, F_FX + 160 + x * 16, 8 + 8 * random.below(2));
    if (encoded.vsib) this.#fillIndexes(random, encoded.vsib, target);
    s.setUint32(F_FX + 24, this.#mxcsr(random), true);
    s.setUint32(F_FX + 28, 0xffff, true);
    const masks = random.chance(80) ? 0x3f : random.below(64);
    s.setUint16(
      F_FX,
      0x40 | masks | (random.chance(60) ? 0x300 : random.pick([0, 0x200, 0x300]) | (random.below(4) << 10)),
      true,
    );
    s.setUint16(F_FX + 2, (random.below(8) << 11) | (random.u32() & 0x4700), true);
    s.setUint8(F_FX + 4, random.chance(70) ? 0xff : random.below(256));
    if (/^f/.test(name) && random.chance(60)) s.setUint8(F_FX + 4, random.pick([0x7f, 0xfe, 0x3f, 0xf0, 0x0f, 0xff]));
    for (let r = 0; r < 8; r++) random.extended(s, F_FX + 32 + r * 16);

    const memory = new DataView(this.native.data.buffer, this.native.data.byteOffset);
    const at = target - dataAddress;
    if (form.operands.some((o) => o.size === 't')) random.extended(memory, at);
    else for (const half of [0, 16]) random.vector(memory, at + half);
    if (name === 'cmpxchg' && random.chance(50) && !encoded.bindings.has(0))
      s.setBigUint64(0, memory.getBigUint64(at, true), true);
    const free = !encoded.bindings.has(0) && !encoded.bindings.has(2);
    if (name === 'cmpxchg8b' && free && random.chance(50)) {
      s.setBigUint64(0, BigInt(memory.getUint32(at, true)), true);
      s.setBigUint64(16, BigInt(memory.getUint32(at + 4, true)), true);
    }
    if (name === 'cmpxchg16b' && free && random.chance(50)) {
      s.setBigUint64(0, memory.getBigUint64(at, true), true);
      s.setBigUint64(16, memory.getBigUint64(at + 8, true), true);
    }
    const stack = Number(s.getBigUint64(4 * 8, true)) - dataAddress;
    if (indirect && encoded.memory) memory.setBigUint64(at, landing, true);
    if (name === 'ret' || name === 'popf') {
      if (name === 'ret')
        memory.setBigUint64(stack, landing, true); // the low half is all that a 32-bit RET takes
      else memory.setBigUint64(stack, BigInt(0x202 | (random.u32() & 0xcd5)), true);
      this.engine.data.set(this.native.data.subarray(stack, stack + 8), stack);
    }
    if (name === 'fxrstor') {
      new Uint8Array(memory.buffer, memory.byteOffset + at).set(new Uint8Array(s.buffer, F_FX, 512));
      memory.setUint32(at + 24, this.#mxcsr(random), true);
      this.engine.data.set(this.native.data.subarray(at, at + 512), at);
    }
    if (name === 'ldmxcsr') memory.setUint32(at, random.chance(80) ? this.#mxcsr(random) : random.u32(), true);
    this.engine.data.set(this.native.data.subarray(at, at + 32), at);
  }

  /** Elements of a gather lie around the target; now and then one lies in page 0, where nothing is. */
  #fillIndexes(random: Random, { register, size, scale }: Vsib, target: number): void {
    const lost = random.chance(15) ? random.below(32 / size) * size : -1;
    for (let at = 0; at < 32; at += size) {
      const value = at === lost ? -(target >> scale) : random.below(0x100) - 0x80;
      const to = (at < 16 ? F_FX + 160 : F_YMM - 16) + register * 16 + at;
      if (size === 4) this.#state.setInt32(to, value, true);
      else this.#state.setBigInt64(to, BigInt(value), true);
    }
  }

  #mxcsr(random: Random): number {
    if (random.chance(40)) return 0x1fa0;
    if (random.chance(40)) return 0x1f80 | random.below(64);
    return (
      (random.below(4) << 13) |
      (random.chance(80) ? 0x1f80 : random.below(64) << 7) |
      (random.below(2) << 15) |
      (random.below(2) << 6) |
      random.below(64)
    );
  }

  #compare(form: Form): string[] {
    const problems: string[] = [];
    const [a, b] = [this.native.output, this.engine.output];
    const differ = (what: string, native: number | bigint | string, ours: number | bigint | string) => {
      const text = (v: number | bigint | string) =>
        typeof v === 'string' ? v : `${v < 0 ? '-' : ''}${(v < 0 ? -v : v).toString(16)}`;
      if (native !== ours) problems.push(`${what}: native ${text(native)}, ours ${text(ours)}`);
    };
    // A non-canonical address with a stack base is #SS(0) on a processor and #GP(0) here.
    if (a.getInt32(F_VECTOR, true) === 12 && b.getInt32(F_VECTOR, true) === 13) a.setInt32(F_VECTOR, 13, true);
    differ('vector', a.getInt32(F_VECTOR, true), b.getInt32(F_VECTOR, true));
    differ('branched', a.getInt32(F_LANDED, true), b.getInt32(F_LANDED, true));
    const faulted = a.getInt32(F_VECTOR, true) >= 0;
    if (faulted && a.getInt32(F_VECTOR, true) === 13)
      differ('error code', a.getInt32(F_ERROR, true), b.getInt32(F_ERROR, true));
    for (let r = 0; r < (this.native.bits === 64 ? 16 : 8); r++)
      differ(REGISTER_NAMES[r], a.getBigUint64(r * 8, true), b.getBigUint64(r * 8, true));
    const mask = COMPARED_FLAGS & ~undefinedFlags(form, this.#state);
    const [fa, fb] = [a.getUint32(F_FLAGS, true) & mask, b.getUint32(F_FLAGS, true) & mask];
    if (fa !== fb) {
      const names = FLAG_BITS.filter(([, bit]) => (fa ^ fb) & bit).map(([name, bit]) => `${name}=${fa & bit ? 1 : 0}`);
      problems.push(`flags: native has ${names.join(' ')}`);
    }
    if (isMmxFault(form.instruction.name, a.getInt32(F_VECTOR, true))) return problems;
    differ('FCW', a.getUint16(F_FX, true), b.getUint16(F_FX, true));
    const status = ~undefinedStatus(form.instruction.name);
    differ('FSW', a.getUint16(F_FX + 2, true) & status, b.getUint16(F_FX + 2, true) & status);
    differ('FTW', a.getUint8(F_FX + 4), b.getUint8(F_FX + 4));
    const sticky = ~undefinedMxcsr(form.instruction.name, faulted);
    differ('MXCSR', a.getUint32(F_FX + 24, true) & sticky, b.getUint32(F_FX + 24, true) & sticky);
    const near = isApproximate(form.instruction.name);
    for (let r = 0; r < 8; r++) {
      const at = F_FX + 32 + r * 16;
      if (!(near && nearExtended(a, b, at))) differ(`st${r}`, hex(a, at, 10), hex(b, at, 10));
    }
    for (let x = 0; x < 16; x++) {
      const at = F_FX + 160 + x * 16;
      if (!(near && nearSingles(a, b, at))) differ(`xmm${x}`, hex(a, at, 16), hex(b, at, 16));
      const upper = F_YMM + x * 16;
      if (this.native.hasUppers && !(near && nearSingles(a, b, upper)))
        differ(`upper half of ymm${x}`, hex(a, upper, 16), hex(b, upper, 16));
    }
    if (Buffer.compare(this.native.data, this.engine.data)) {
      const at = this.native.data.findIndex((v, i) => v !== this.engine.data[i]);
      const view = (d: Uint8Array) => new DataView(d.buffer, d.byteOffset);
      const start = Math.min(at, DATA_SIZE - 16);
      differ(
        `memory at +${start.toString(16)}`,
        hex(view(this.native.data), start, 16),
        hex(view(this.engine.data), start, 16),
      );
    }
    return problems;
  }
}

function copy(from: DataView, to: DataView): void {
  new Uint8Array(to.buffer, to.byteOffset, FRAME_SIZE).set(new Uint8Array(from.buffer, from.byteOffset, FRAME_SIZE));
}

function copyBytes(view: DataView, from: number, to: number, count: number): void {
  for (let i = 0; i < count; i++) view.setUint8(to + i, view.getUint8(from + i));
}

/** Most significant byte first, as one number. */
function hex(view: DataView, at: number, length: number): string {
  let text = '';
  for (let i = length - 1; i >= 0; i--)
    text += view
      .getUint8(at + i)
      .toString(16)
      .padStart(2, '0');
  return text;
}

/** RCPPS, RSQRTPS: a relative error of 1.5 * 2^-12 on either side. */
function nearSingles(a: DataView, b: DataView, at: number): boolean {
  for (let i = at; i < at + 16; i += 4) {
    const [x, y] = [a.getFloat32(i, true), b.getFloat32(i, true)];
    const equal = a.getUint32(i, true) === b.getUint32(i, true);
    if (!equal && !(Math.abs(x - y) <= Math.abs(x) * 3 * 2 ** -12)) return false;
  }
  return true;
}

/** x87 functions: the last places of either side may be off by one. */
function nearExtended(a: DataView, b: DataView, at: number): boolean {
  const value = (v: DataView) => {
    const se = BigInt(v.getUint16(at + 8, true));
    const magnitude = ((se & 0x7fffn) << 63n) + (v.getBigUint64(at, true) & ((1n << 63n) - 1n));
    return se & 0x8000n ? -magnitude : magnitude;
  };
  const difference = value(a) - value(b);
  return difference >= -2n && difference <= 2n;
}
