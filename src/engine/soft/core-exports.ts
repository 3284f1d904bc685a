/** What the engine calls of core.wasm, and what core.wasm calls of the engine (core/env.ts). */

export interface CoreExports {
  /** Power-on state of the vCPU in place. */
  resetCpu(): void;
  /** After state was written from outside: recomputes what is derived (mode, TLBs, FPU guards). */
  stateLoaded(): void;
  stepOnce(): void;
  getFlags(): number;
  setFlags(value: number, mask: number): void;
  /** FXSAVE64 image at / from a linear-memory address. */
  fxsaveImage(at: number): void;
  fxrstorImage(at: number): void;
  /** Makes FIP and FOP true (they are worked out lazily). */
  x87_resolve(): void;
  /** Bytes of RAM at this linear-memory address were written by something that is not the vCPU. */
  notifyWrite(host: number, length: number): void;
  /** Linear to guest-physical without side effects; the address in TRANSLATED (two u32), 0 where nothing is mapped. */
  translate(low: number, high: number): number;
  /** Lets `events` look at PENDING at the next block border. */
  requestEvents(): void;
  /** Drops TLBs and the jump cache whole: another vCPU's state is put in place. */
  flushAll(): void;
  /** The block at RIP, decoded if need be; 0: the fetch faulted, which has been delivered. */
  lookup(): number;
  /** The block decoded for a RIP under the present mappings, or 0. */
  peekBlock(low: number, high: number): number;
  /** Jumps between regions are to be searched for anew: a region has come or gone. */
  forgetLinks(): void;
}

/** Functions of module "env" (core/env.ts says what each does). */
export interface CoreImports {
  memory: WebAssembly.Memory;
  portIn(port: number, size: number): number;
  portOut(port: number, size: number, value: number): void;
  mmioRead(low: number, high: number, size: number): number;
  mmioWrite(low: number, high: number, size: number, value: number): void;
  msrRead(msr: number): number;
  msrWrite(msr: number, low: number, high: number): number;
  ack(): number;
  readCr8(): number;
  writeCr8(value: number): void;
  tscRead(): void;
  entropy(): void;
  trace(a: number, b: number): void;
  regionDropped(block: number): void;
  regionHot(block: number): void;
  pageIn(low: number, high: number): number;
}
