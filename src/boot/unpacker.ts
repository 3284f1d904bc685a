/**
 * The unpackers' WebAssembly module (unpack/, AssemblyScript) and its memory: what it reads comes first, then everything that
 * has been unpacked, one after another.
 */

import { BootError } from './errors.js';

interface Exports {
  readonly memory: WebAssembly.Memory;
  unpackLz4(from: number, end: number, start: number, to: number, limit: number, pause: number): number;
  readTo(): number;
  writtenTo(): number;
  setProperties(lc: number, lp: number, pb: number): void;
  resetState(): void;
  decodeChunk(from: number, end: number, dictionary: number, to: number, size: number): number;
  unfilterX86(start: number, length: number): void;
}

/** By what the module answers (unpack/progress.ts). */
const REFUSALS = [
  undefined,
  'literals run beyond the end',
  'an offset is cut off',
  'a match reaches before the start',
  'a match runs beyond the end',
  'an LZMA chunk does not begin with a zero',
  'an LZMA chunk has an end marker',
  'a match runs beyond its chunk',
  'a chunk reads beyond its end',
] as const;

const PAGE = 65536;
/** Bytes that the module may write behind what it unpacks. */
const SLACK = 64;

/** One unpacking: what it gives back is a part of its memory. */
export class Unpacker {
  readonly module: Exports;
  /** Bytes that have been unpacked. */
  length = 0;
  readonly damaged: (why: string) => BootError;
  /** Where `input` goes, and the first byte unpacked: addresses in the module's memory. */
  readonly #input: number;
  readonly #start: number;

  /**
   * @param module dist/boot/unpack.wasm
   * @param inputRoom the most that `input` is given, in bytes
   * @param damaged makes the error for what is wrong with the data
   */
  constructor(module: WebAssembly.Module, inputRoom: number, damaged: (why: string) => BootError) {
    this.module = new WebAssembly.Instance(module).exports as unknown as Exports;
    this.damaged = damaged;
    this.#input = this.module.memory.buffer.byteLength;
    this.#start = this.#input + Math.ceil((inputRoom + SLACK) / PAGE) * PAGE;
    this.reserve(0);
  }

  /** Address of the byte at `offset` of all that is unpacked. */
  address(offset: number): number {
    return this.#start + offset;
  }

  /** Copies packed bytes to where the module can read them: their address. Overwrites those before. */
  input(bytes: Uint8Array): number {
    new Uint8Array(this.module.memory.buffer).set(bytes, this.#input);
    return this.#input;
  }

  /** Takes bytes over as they are. There must be room for them. */
  append(bytes: Uint8Array): void {
    new Uint8Array(this.module.memory.buffer).set(bytes, this.address(this.length));
    this.length += bytes.length;
  }

  /** Makes room for `more` bytes. What `bytes` has given before is no longer valid. @throws BootError without memory */
  reserve(more: number): void {
    const missing = this.address(this.length + more) + SLACK - this.module.memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      this.module.memory.grow(Math.ceil(missing / PAGE));
    } catch {
      throw new BootError('bad-payload', `There is no memory for ${this.length + more} unpacked bytes.`);
    }
  }

  /** @throws BootError where `answer` is one of the module's that refuse */
  check(answer: number): void {
    const why = REFUSALS[answer];
    if (why !== undefined) throw this.damaged(why);
  }

  /** What has been unpacked from `offset` on. */
  bytes(offset = 0): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.module.memory.buffer, this.address(offset), this.length - offset);
  }
}
