// One instruction on the engine and on the processor under us, with one state after the other: for tests that go through values at
// borders, two and three at a time, which random operands hardly ever meet together.

import { compareFrames } from './compare.js';
import { EngineFrame } from './engine-frame.js';
import { copyFrame, F_FLAGS, F_FX, NativeFrame } from './native-frame.js';
import { COMPARED_FLAGS } from './rules.js';

/** Offset in the data of what RAX points to. */
const POINTER = 0x1800;
/** Differences after which enough is known. */
const ENOUGH = 5;

export class Borders {
  readonly engine: EngineFrame;
  /** 16 bytes that RAX points to. */
  readonly memory: DataView;
  cases = 0;
  readonly problems: string[] = [];
  readonly #native: NativeFrame;
  readonly #code: Uint8Array;
  readonly #status: number;

  private constructor(native: NativeFrame, engine: EngineFrame, code: Uint8Array, status: number) {
    this.#native = native;
    this.engine = engine;
    this.#code = code;
    this.#status = status;
    this.memory = new DataView(native.data.buffer, native.data.byteOffset + POINTER, 16);
    engine.data.set(native.data);
  }

  /** @param status bits of FSW that are compared */
  static async create(mode: '64' | 'compiled', bytes: readonly number[], status = ~0): Promise<Borders> {
    const native = new NativeFrame(64);
    return new Borders(native, await EngineFrame.create(mode, native), Uint8Array.from(bytes), status);
  }

  /** @param fill what differs from a state of zeros, with everything masked */
  check(what: () => string, fill: (state: DataView) => void): void {
    const [native, engine] = [this.#native, this.engine];
    const s = native.input;
    new Uint8Array(s.buffer, s.byteOffset + F_FX, 512).fill(0);
    s.setUint16(F_FX, 0x37f, true);
    s.setUint32(F_FX + 24, 0x1f80, true);
    s.setUint32(F_FX + 28, 0xffff, true);
    s.setUint32(F_FLAGS, 0x202, true);
    s.setBigUint64(0, BigInt(native.dataAddress + POINTER), true);
    s.setBigUint64(4 * 8, BigInt(native.dataAddress + 0x1000), true);
    fill(s);
    copyFrame(s, engine.input);
    engine.data.set(native.data.subarray(POINTER, POINTER + 16), POINTER);
    native.run(this.#code);
    engine.run(this.#code);
    this.cases++;
    const found = compareFrames(native, engine, {
      flags: COMPARED_FLAGS,
      status: this.#status,
      sticky: () => ~0,
      isMmxFault: () => false,
      pageOfFault: false,
      near: false,
    });
    if (found.length > 0 && this.problems.length < ENOUGH) this.problems.push(`${what()}: ${found.join('; ')}`);
  }
}
