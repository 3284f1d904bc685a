/** Says in a module how large the memory is that it will get. */
import { ByteWriter } from './bytes.js';

const SECTION_IMPORT = 2;
const KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;
/** Limits of a memory or table (core specification, 5.3.4; threads proposal): a maximum follows. */
const HAS_MAXIMUM = 0x01;
const PREAMBLE = 8;

/**
 * The module with an imported memory of just `pages` pages of 64 KiB, be it shared or not. V8 takes a memory that can't grow
 * for one that stays where it is, and does not look up its address again after every call (measured: the interpreter gains
 * a tenth). It can be instantiated with such a memory only.
 * @throws Error where the module imports no memory
 */
export function withFixedMemory(module: Uint8Array, pages: number): Uint8Array<ArrayBuffer> {
  const reader = new Reader(module, PREAMBLE);
  while (reader.at < module.length) {
    const start = reader.at;
    const id = reader.u8();
    const size = reader.u32();
    const contents = reader.at;
    if (id === SECTION_IMPORT) {
      const section = new ByteWriter();
      const [limits, behind] = memoryLimits(reader);
      section.bytes(module.subarray(contents, limits));
      section.u8(module[limits] | HAS_MAXIMUM);
      section.u32(pages);
      section.u32(pages);
      section.bytes(module.subarray(behind, contents + size));
      const whole = new ByteWriter();
      whole.bytes(module.subarray(0, start));
      whole.u8(SECTION_IMPORT);
      whole.u32(section.length);
      whole.bytes(section.view());
      whole.bytes(module.subarray(contents + size));
      return whole.view().slice();
    }
    reader.at = contents + size;
  }
  throw new Error('the module imports nothing');
}

/** Where the limits of the imported memory begin and end. The reader stands at the contents of the import section. */
function memoryLimits(reader: Reader): [start: number, end: number] {
  for (let count = reader.u32(); count > 0; count--) {
    reader.skip(reader.u32()); // The names of module and field.
    reader.skip(reader.u32());
    const kind = reader.u8();
    if (kind > KIND.global) throw new Error(`an import has the kind ${kind}`);
    if (kind === KIND.function) reader.u32();
    else if (kind === KIND.global) reader.skip(2);
    else {
      if (kind === KIND.table) reader.skip(1);
      const limits = reader.at;
      if (reader.u8() & HAS_MAXIMUM) reader.u32();
      reader.u32();
      if (kind === KIND.memory) return [limits, reader.at];
    }
  }
  throw new Error('the module imports no memory');
}

class Reader {
  at: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  u8(): number {
    return this.#bytes[this.at++];
  }

  /** Unsigned LEB128. */
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.u8();
      value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value >>> 0;
    }
  }

  skip(count: number): void {
    this.at += count;
  }
}
