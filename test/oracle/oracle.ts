// Compares the software engine with the processor under us, instruction by instruction: the same random state, the same
// bytes at the same addresses, then every register, flag and byte of memory.

import { compareFrames, settleGather } from './compare.js';
import { type Encoded, encode, type Form, type Vsib } from './encodings.js';
import { EngineFrame, type EngineMode } from './engine-frame.js';
import {
  copyFrame,
  DATA_SIZE,
  F_FLAGS,
  F_FX,
  F_VECTOR,
  F_YMM,
  FRAME_SIZE,
  LANDING,
  NativeFrame,
} from './native-frame.js';
import { Random } from './random.js';
import {
  anyNan,
  COMPARED_FLAGS,
  isApproximate,
  isMaskedStore,
  isMmxFault,
  isRefusedStore,
  isSkipped,
  undefinedFlags,
  undefinedMemory,
  undefinedMxcsr,
  undefinedStatus,
} from './rules.js';
import { fillFloat, randomMxcsr } from './state.js';

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
    return new Oracle(mode, native, await EngineFrame.create(mode, native));
  }

  /** Regions made so far. */
  get regions(): number {
    return this.#retired + this.engine.regions;
  }

  /** Another engine where the present one has many regions: V8 looks at all instances that share a table for each new one. */
  async renew(): Promise<void> {
    if (this.engine.regions < 500) return;
    this.#retired += this.engine.regions;
    this.engine = await EngineFrame.create(this.#mode, this.native);
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
    copyFrame(this.#state, this.native.input);
    copyFrame(this.#state, this.engine.input);
    this.native.run(encoded.bytes);
    const bytes = [...encoded.bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ');
    let problems: string[];
    try {
      this.engine.run(encoded.bytes);
      this.#ignoreMemory(form, encoded, target);
      if (encoded.vsib) this.#settleGather(form, encoded);
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

  #settleGather({ operands }: Form, { vvvv, reg, wide }: Encoded): void {
    if (this.native.output.getInt32(F_VECTOR, true) < 0) return;
    const size = operands.some((o) => o.size === 'd') ? 4 : 8;
    for (const { output } of [this.native, this.engine]) settleGather(output, vvvv, reg, size, wide);
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

    fillFloat(random, s, name);
    if (encoded.vsib) this.#fillIndexes(random, encoded.vsib, target);

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
      memory.setUint32(at + 24, randomMxcsr(random), true);
      this.engine.data.set(this.native.data.subarray(at, at + 512), at);
    }
    if (name === 'ldmxcsr') memory.setUint32(at, random.chance(80) ? randomMxcsr(random) : random.u32(), true);
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

  #compare(form: Form): string[] {
    const { name } = form.instruction;
    const [native, ours] = [this.native.output, this.engine.output];
    const onlyOursFaulted = native.getInt32(F_VECTOR, true) < 0 && ours.getInt32(F_VECTOR, true) >= 0;
    if (onlyOursFaulted && isRefusedStore(name, native.getUint16(F_FX + 2, true))) return [];
    return compareFrames(this.native, this.engine, {
      flags: COMPARED_FLAGS & ~undefinedFlags(form, this.#state),
      status: ~undefinedStatus(name),
      sticky: (faulted) => ~undefinedMxcsr(name, faulted),
      isMmxFault: (vector) => isMmxFault(name, vector),
      pageOfFault: isMaskedStore(name),
      near: isApproximate(name),
      anyNan: anyNan(name),
    });
  }
}
