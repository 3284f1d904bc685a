/**
 * For tests: the decoder alone, compiled with a stand-in for the MMU, over tables made of any list of instructions.
 * Decodes bytes in a mode and gives back what the records say, in words that can be compared.
 */
import asc from 'assemblyscript/asc';
import type { HandlerSpec, Instruction } from '../isa/define.js';
import { expand } from '../isa/expand.js';
import * as L from '../layout.js';

interface DecoderExports {
  decodeBlock(lin: bigint, host: number, room: bigint): number;
  recordsLeft(): number;
  resetRecords(): void;
  nextRecord(rec: number): number;
}

/** Where the stand-in MMU says that the following page lies; 0: it faults. */
const SECOND_PAGE = L.RAM_BASE + 0x4000;
const CODE_PAGE = L.RAM_BASE + 0x1000;

/** What decode.ts imports of the rest of the core. */
const STAND_INS: Record<string, string> = {
  'core/mmu.ts': 'export declare function fetchPage(lin: i64): i32;',
};
const FLAGS = '-O3 --runtime stub --importMemory --noAssert --memoryBase 8192 --enable simd --use abort=';
let compiled: Promise<WebAssembly.Module> | undefined;

async function compile(): Promise<WebAssembly.Module> {
  const { readFile } = await import('node:fs/promises');
  const folder = new URL('..', import.meta.url).pathname;
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await asc.main(['core/decode.ts', '--outFile', 'decoder.wasm', ...FLAGS.split(' ')], {
    readFile: async (name: string) => {
      if (name in STAND_INS) return STAND_INS[name];
      if (name === 'asconfig.json' || name.includes('node_modules')) return null;
      return readFile(`${folder}${name}`, 'utf8').catch(() => null);
    },
    writeFile: (_name: string, contents: Uint8Array | string) => {
      if (typeof contents !== 'string') wasm = contents;
    },
    listFiles: () => [],
  });
  if (error || !wasm) throw new Error(`asc: ${error?.message}\n${stderr.toString()}`);
  return new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
}

/** A memory operand as the records say it. `segment`: 255 for none; `bits`: address size. */
export interface Address {
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly disp: number;
  readonly segment: number;
  readonly bits: number;
  /** Absolute offset of an H_EAMOFFS. */
  readonly offset: bigint | undefined;
  /** Size and write flag of a checked access; -1 where nothing is checked. */
  readonly checkedSize: number;
  readonly write: boolean;
}

export interface DecodedInstruction {
  /** H_UD, H_GP0, or the handler. */
  readonly handler: number;
  readonly spec: HandlerSpec | undefined;
  readonly length: number;
  readonly a: number;
  readonly b: number;
  readonly base: number;
  readonly scale: number;
  readonly imm: number;
  readonly disp: number;
  readonly imm64: bigint;
  readonly address: Address;
}

export interface DecodedBlock {
  readonly instructions: readonly DecodedInstruction[];
  /** Offset of the next instruction in the page. */
  readonly next: number;
  readonly fallsThrough: boolean;
  readonly count: number;
  readonly bytes: number;
  readonly page2: number;
}

export const MODES = {
  16: L.MODE_PE | L.MODE_SEGMENTED,
  32: L.MODE_PE | L.MODE_D | L.MODE_SS32,
  64: L.MODE_PE | L.MODE_LONG | L.MODE_64,
} as const;

export class DecodeHarness {
  readonly handlers: readonly HandlerSpec[];
  readonly tableBytes: number;
  readonly memory = new WebAssembly.Memory({ initial: (L.RAM_BASE + 0x10000) / 65536 });
  readonly exports: DecoderExports;
  /** Linear addresses that the decoder asked the MMU for. */
  readonly fetched: bigint[] = [];
  secondPagePresent = true;
  readonly #view = new DataView(this.memory.buffer);
  readonly #bytes = new Uint8Array(this.memory.buffer);

  private constructor(module: WebAssembly.Module, instructions: readonly Instruction[]) {
    const { handlers, buildTables } = expand(instructions);
    this.handlers = handlers;
    const numbers = new Map(handlers.map((h, i) => [h.key, L.H_FIRST_FREE + i]));
    const tables = buildTables((h) => numbers.get(h.key)!);
    this.tableBytes = tables.length;
    const imports = {
      env: { memory: this.memory },
      mmu: {
        fetchPage: (lin: bigint) => {
          this.fetched.push(lin);
          return this.secondPagePresent ? SECOND_PAGE : 0;
        },
      },
    };
    this.exports = new WebAssembly.Instance(module, imports).exports as unknown as DecoderExports;
    this.#bytes.set(tables, L.TABLES);
  }

  static async create(instructions: readonly Instruction[]): Promise<DecodeHarness> {
    compiled ??= compile();
    return new DecodeHarness(await compiled, instructions);
  }

  /**
   * Decodes a block that starts with `bytes` at `offset` of a page, in `mode` (MODE_*). Bytes past the page's end go to
   * the second page; whatever follows is `filler`.
   */
  decode(
    bytes: Uint8Array,
    mode: number,
    offset = 0x100,
    page = 0x7f0000_0000n,
    filler = 0x06,
  ): DecodedBlock | undefined {
    this.#bytes.fill(filler, CODE_PAGE, CODE_PAGE + 0x1000);
    this.#bytes.fill(filler, SECOND_PAGE, SECOND_PAGE + 0x40);
    return this.decodeRaw(bytes, mode, offset, page);
  }

  /** As `decode`, without clearing the pages first. */
  decodeRaw(bytes: Uint8Array, mode: number, offset = 0x100, page = 0n): DecodedBlock | undefined {
    const header = this.#run(bytes, mode, offset, page);
    return header ? this.#readBlock(header, mode) : undefined;
  }

  /** Address of the block's header, or 0. */
  #run(bytes: Uint8Array, mode: number, offset: number, page: bigint): number {
    const first = Math.min(bytes.length, 4096 - offset);
    this.#bytes.set(bytes.subarray(0, first), CODE_PAGE + offset);
    this.#bytes.set(bytes.subarray(first), SECOND_PAGE);
    this.#view.setInt32(L.MODE, mode, true);
    this.fetched.length = 0;
    this.exports.resetRecords();
    // Stale bytes must not show through.
    this.#bytes.fill(0xa5, L.RECORDS, L.RECORDS + 0x2000);
    return this.exports.decodeBlock(page + BigInt(offset), CODE_PAGE + offset, 0x1000n);
  }

  /** The plain records of a block up to its end, extension records folded in. */
  decodeParts(bytes: Uint8Array, mode: number, offset: number) {
    const header = this.#run(bytes, mode, offset, 0n);
    const v = this.#view;
    const parts = [];
    for (
      let rec = header + L.BLK_HEADER;
      rec < v.getInt32(header + L.BLK_END, true);
      rec = this.exports.nextRecord(rec)
    )
      parts.push({
        handler: v.getUint16(rec, true),
        a: v.getUint8(rec + L.REC_A),
        base: v.getUint8(rec + L.REC_BASE),
        index: v.getUint8(rec + L.REC_INDEX),
        scale: v.getUint8(rec + L.REC_SCALE) & 3,
        disp: v.getInt32(rec + L.REC_DISP, true),
        extension: v.getBigUint64(rec + L.REC_SIZE, true),
      });
    return parts;
  }

  #readBlock(header: number, mode: number): DecodedBlock {
    const v = this.#view;
    const end = v.getInt32(header + L.BLK_END, true);
    const instructions: DecodedInstruction[] = [];
    const count = v.getUint16(header + L.BLK_COUNT, true);
    let rec = header + L.BLK_HEADER;
    let micro: number[] = [];
    while (instructions.length < count) {
      if (rec >= end) throw new Error('records end before the instructions do');
      if (v.getUint8(rec + L.REC_LEN) === 0) micro.push(rec);
      else {
        instructions.push(this.#readInstruction(rec, micro, mode));
        micro = [];
      }
      rec = this.exports.nextRecord(rec);
    }
    const fallsThrough = rec < end && v.getUint16(rec, true) === L.H_FALL;
    if (fallsThrough) rec += L.REC_SIZE;
    const next = v.getInt32(rec, true);
    if (v.getInt32(rec + 4, true) || v.getInt32(rec + 8, true)) throw new Error('chain slots are not empty');
    rec += L.REC_SIZE;
    if (rec !== end) throw new Error(`BLK_END ${end} but the records end at ${rec}`);
    return {
      instructions,
      next,
      fallsThrough,
      count,
      bytes: v.getUint16(header + L.BLK_BYTES, true),
      page2: v.getInt32(header + L.BLK_PAGE2, true),
    };
  }

  #readInstruction(rec: number, micro: readonly number[], mode: number): DecodedInstruction {
    const v = this.#view;
    const handler = v.getUint16(rec, true);
    return {
      handler,
      spec: this.handlers[handler - L.H_FIRST_FREE],
      length: v.getUint8(rec + L.REC_LEN),
      a: v.getUint8(rec + L.REC_A),
      b: v.getUint8(rec + L.REC_B),
      base: v.getUint8(rec + L.REC_BASE),
      scale: v.getUint8(rec + L.REC_SCALE),
      imm: v.getInt32(rec + L.REC_IMM, true),
      disp: v.getInt32(rec + L.REC_DISP, true),
      imm64: v.getUint8(rec + L.REC_SCALE) & L.REC_SCALE_EXT ? v.getBigUint64(rec + L.REC_SIZE, true) : 0n,
      address: this.#address(rec, micro, mode),
    };
  }

  #address(rec: number, micro: readonly number[], mode: number): Address {
    const v = this.#view;
    const [at, ...more] = micro.length ? micro : [rec];
    if (more.length) throw new Error('more than one micro-op');
    const fields = {
      base: v.getUint8(at + L.REC_BASE),
      index: v.getUint8(at + L.REC_INDEX),
      scale: v.getUint8(at + L.REC_SCALE) & 3,
      disp: v.getInt32(at + L.REC_DISP, true),
      segment: 255,
      bits: mode & L.MODE_64 ? 64 : 32,
      offset: undefined,
      checkedSize: -1,
      write: false,
    };
    const spec = this.handlers[v.getUint16(rec, true) - L.H_FIRST_FREE];
    if (spec?.instruction.attributes.addressParts) {
      const imm = v.getInt32(rec + L.REC_IMM, true);
      const segment = mode & L.MODE_64 && (imm & 255) < L.FS ? 255 : imm & 255;
      return { ...fields, segment, bits: 16 << (imm >> 8) };
    }
    if (!micro.length) return fields;
    const rest = [L.REC_BASE, L.REC_INDEX, L.REC_SCALE].map((f) => v.getUint8(rec + f));
    if (rest.join() !== `${L.R_EA},${L.R_ZERO},0` || v.getInt32(rec + L.REC_DISP, true))
      throw new Error(`instruction after a micro-op has base, index, scale ${rest.join()}`);
    const handler = v.getUint16(at, true);
    const bits = handler === L.H_EA16 ? 16 : handler === L.H_EASEG || handler === L.H_EA32IN64 ? 32 : 64;
    return {
      ...fields,
      bits,
      segment: v.getUint8(at + L.REC_A),
      offset: handler === L.H_EAMOFFS ? v.getBigUint64(at + L.REC_SIZE, true) : undefined,
      checkedSize: bits < 64 && !(mode & L.MODE_64) ? v.getUint8(at + L.REC_B) : -1,
      write: (v.getInt32(at + L.REC_IMM, true) & 1) !== 0,
    };
  }
}
