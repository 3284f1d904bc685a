// Compares the engine with the processor under us by whole sequences: the same random state, the same code at the same
// addresses, then every register, flag and byte of memory, at the end or where an exception ends it.

import { compareFrames, type Rules } from './compare.js';
import { EngineFrame, type EngineMode } from './engine-frame.js';
import { Generator, type Sequence } from './generator.js';
import {
  CODE_SIZE,
  copyFrame,
  DATA_SIZE,
  F_CR2,
  F_FLAGS,
  F_FX,
  F_RIP,
  F_VECTOR,
  FRAME_SIZE,
  GUARD_SIZE,
  NativeFrame,
} from './native-frame.js';
import { Random } from './random.js';
import { COMPARED_FLAGS, isMaskedStore, isMmxFault, undefinedMxcsr } from './rules.js';
import { type Assembled, assemble, listing, type Piece, undefinedFlagsOf } from './sequence.js';
import { fillFloat } from './state.js';

const PAGE = 0x1000;
const DB = 1;
const BP = 3;
const PF = 14;

/** Blocks that have been entered so often are compiled, where regions are: between slices, so that there are soon regions everywhere. */
const HOT = 1;

/** How a sequence is run on the engine. */
const WAYS = ['first time', 'in small slices', 'again'] as const;
type Way = (typeof WAYS)[number];

export interface SequenceMismatch {
  readonly seed: number;
  readonly way: Way;
  /** The smallest sequence that was found, as it lies in memory. */
  readonly listing: readonly string[];
  /** Registers before it, all sixteen. */
  readonly registers: string;
  readonly problems: readonly string[];
}

/** A sequence put together, and what is compared of it. */
interface Case {
  readonly assembled: Assembled;
  readonly offset: number;
  readonly sequence: Sequence;
  readonly undefinedFlags: readonly number[];
}

export class SequenceOracle {
  readonly native: NativeFrame;
  readonly engine: EngineFrame;
  readonly #memory = new Uint8Array(DATA_SIZE);
  readonly #state = new DataView(new ArrayBuffer(FRAME_SIZE));
  readonly #compiled: boolean;
  #slices = new Random(1);
  /** Sequences that were compared, that stored into themselves, and that could not be run natively. */
  cases = 0;
  modified = 0;
  refused = 0;
  /** Sequences by the exception that ended them. */
  readonly faults = new Map<number, number>();

  private constructor(native: NativeFrame, engine: EngineFrame, compiled: boolean) {
    this.native = native;
    this.engine = engine;
    this.#compiled = compiled;
  }

  static async create(mode: EngineMode): Promise<SequenceOracle> {
    const native = new NativeFrame(mode === '64' || mode === 'compiled' ? 64 : 32);
    return new SequenceOracle(native, await EngineFrame.create(mode, native, HOT), mode.startsWith('compiled'));
  }

  /** One sequence; undefined: equal (or not to be run). */
  check(seed: number): SequenceMismatch | undefined {
    const random = new Random(seed);
    const { bits, dataAddress, codeAddress } = this.native;
    const generator = new Generator(bits, random, dataAddress, codeAddress - GUARD_SIZE);
    const sequence = generator.sequence(5 + random.below(56));
    const offset = random.chance(50) ? PAGE - random.below(400) : random.below(PAGE);
    this.#fill(random, sequence);
    const made = this.#put(sequence, sequence.pieces, offset);
    const found = made && this.#run(made, seed);
    if (found === undefined) {
      this.refused++;
      return undefined;
    }
    this.cases++;
    if (sequence.modifies) this.modified++;
    const vector = this.native.output.getInt32(F_VECTOR, true);
    if (vector >= 0) this.faults.set(vector, (this.faults.get(vector) ?? 0) + 1);
    return found ? this.#shrink(made!, seed, found) : undefined;
  }

  // ---- one run -----------------------------------------------------------------------------------------------------------

  #put(sequence: Sequence, pieces: readonly Piece[], offset: number): Case | undefined {
    const { before, bad } = undefinedFlagsOf(pieces);
    if (bad >= 0) return undefined;
    const assembled = assemble(pieces, this.native.codeAddress + offset);
    if (offset + assembled.code.length > CODE_SIZE) return undefined;
    return { assembled, offset, sequence, undefinedFlags: before };
  }

  /**
   * The engine goes first: it has nothing but the data area, so whatever would touch our own memory is not run natively.
   * @returns undefined: not to be run; false: equal
   */
  #run(made: Case, seed: number): { way: Way; problems: string[] } | false | undefined {
    const { native, engine } = this;
    const { code, end } = made.assembled;
    const { offset } = made;
    for (const way of WAYS) {
      engine.writeSequence(code, offset, offset + end);
      engine.data.set(this.#memory);
      copyFrame(this.#state, engine.input);
      this.#slices = new Random(seed);
      let error: unknown;
      try {
        const budget = way === 'in small slices' ? () => 1 + this.#slices.below(12) : () => 10_000;
        engine.runSequence(offset, offset + end, budget, this.#compiled && way !== 'first time');
      } catch (thrown) {
        error = thrown;
      }
      if (way === 'first time') {
        if (error !== undefined || !this.#isContained()) return undefined;
        native.data.set(this.#memory);
        copyFrame(this.#state, native.input);
        native.runSequence(code, offset, offset + end);
      }
      const problems = error === undefined ? compareFrames(native, engine, this.#rules(made)) : [`${error}`];
      if (problems.length > 0) return { way, problems };
    }
    return false;
  }

  /** Whether the engine has ended with what the processor under us can have as well: then it may be asked. */
  #isContained(): boolean {
    const out = this.engine.output;
    const vector = out.getInt32(F_VECTOR, true);
    if (vector < 0) return true;
    const rip = Number(out.getBigUint64(F_RIP, true)) - this.native.codeAddress;
    if (!(rip >= 0 && rip < CODE_SIZE) || vector === DB || vector === BP) return false;
    if (this.native.refusesStack(out.getBigUint64(4 * 8, true))) return false;
    return vector !== PF || this.native.isGuard(Number(out.getBigUint64(F_CR2, true)));
  }

  #rules({ assembled, sequence, undefinedFlags }: Case): Rules {
    const { addresses, pieces } = assembled;
    const out = this.native.output;
    const faulted = out.getInt32(F_VECTOR, true) >= 0;
    const rip = Number(out.getBigUint64(F_RIP, true));
    const at = faulted ? addresses.lastIndexOf(rip) : pieces.findIndex((p) => p.end);
    const piece = pieces[at];
    const flags = at < 0 ? 0 : COMPARED_FLAGS & ~(undefinedFlags[at] | (faulted ? piece.spoils : 0));
    return {
      flags,
      status: sequence.silent ? ~0x200 : ~0,
      sticky: (fault) => ~undefinedMxcsr(piece?.name ?? '', fault),
      isMmxFault: (vector) => isMmxFault(piece?.name ?? '', vector),
      pageOfFault: isMaskedStore(piece?.name ?? ''),
      near: false,
    };
  }

  #fill(random: Random, sequence: Sequence): void {
    const s = this.#state;
    for (let i = 0; i < DATA_SIZE; i++) this.#memory[i] = random.u32();
    const memory = new DataView(this.#memory.buffer);
    for (let at = 0; at < DATA_SIZE; at += 16) if (random.chance(30)) random.vector(memory, at);
    for (let r = 0; r < 16; r++) s.setBigUint64(r * 8, random.integer(), true);
    for (const [r, value] of sequence.registers) s.setBigUint64(r * 8, value, true);
    if (this.native.bits === 32)
      for (let r = 0; r < 16; r++) s.setBigUint64(r * 8, r < 8 ? BigInt(s.getUint32(r * 8, true)) : 0n, true);
    s.setBigUint64(F_FLAGS, BigInt(0x202 | (random.u32() & 0xcd5 & (random.chance(30) ? -1 : ~0x400))), true);
    fillFloat(random, s, random.chance(50) ? 'f' : '');
    // Masked, mostly: else few sequences would come far.
    if (random.chance(85)) {
      s.setUint32(F_FX + 24, s.getUint32(F_FX + 24, true) | 0x1f80, true);
      s.setUint16(F_FX, s.getUint16(F_FX, true) | 0x3f, true);
    }
  }

  // ---- smaller -----------------------------------------------------------------------------------------------------------

  /** Takes groups of instructions out as long as the two still differ. */
  #shrink(made: Case, seed: number, found: { way: Way; problems: string[] }): SequenceMismatch {
    let best = made;
    let result = found;
    for (let smaller = true; smaller; ) {
      smaller = false;
      for (const group of new Set(best.assembled.pieces.map((p) => p.group))) {
        const { pieces } = best.assembled;
        const rest = pieces.filter((p) => p.group !== group || p.end);
        if (rest.length === pieces.length) continue;
        const candidate = this.#tryPut(made, rest);
        const again = candidate && this.#run(candidate, seed);
        if (!candidate || !again) continue;
        best = candidate;
        result = again;
        smaller = true;
      }
    }
    const registers = Array.from({ length: 16 }, (_, r) => this.#state.getBigUint64(r * 8, true).toString(16)).join(
      ' ',
    );
    return {
      seed,
      way: result.way,
      listing: listing(best.assembled, this.native.bits),
      registers,
      problems: result.problems,
    };
  }

  /** A jump whose label is gone has nowhere to go: such a sequence is none. */
  #tryPut(made: Case, pieces: readonly Piece[]): Case | undefined {
    const labels = new Set(pieces.map((p) => p.label));
    const whole = pieces.every((p) => p.fixups.every(({ to }) => typeof to === 'number' || labels.has(to)));
    const reachable = pieces.every((p) => p.to === undefined || labels.has(p.to));
    return whole && reachable ? this.#put(made.sequence, pieces, made.offset) : undefined;
  }
}
