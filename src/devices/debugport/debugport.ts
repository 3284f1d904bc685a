/**
 * The two ports that firmware and kernels talk to without a driver: POST codes at 80h, which Linux also writes to pass a
 * microsecond, and a debug console that takes bytes (E9h or 402h).
 */

import type { Persist, PortDevice } from '../device.js';
import { requireVersion } from '../persist.js';

export interface PostCodeState {
  version: 1;
  last: number;
}

/** Port 80h: swallows what is written and reads back the last byte, as the DMA page register there does. */
export class PostCodePort implements PortDevice, Persist<PostCodeState> {
  #last = 0;
  readonly #latch: () => number | undefined;

  /** @param latch reads the last byte that somebody else has taken in our place; undefined: none since it was asked last */
  constructor(latch: () => number | undefined = () => undefined) {
    this.#latch = latch;
  }

  /** The last code written. */
  get last(): number {
    this.#last = this.#latch() ?? this.#last;
    return this.#last;
  }

  portIn(_offset: number, size: 1 | 2 | 4): number {
    const { last } = this;
    // The ports beside it float.
    return size === 1 ? last : ((size === 2 ? 0xff00 : 0xffff_ff00) | last) >>> 0;
  }

  portOut(_offset: number, _size: 1 | 2 | 4, value: number): void {
    this.#last = value & 0xff;
  }

  save(): PostCodeState {
    return { version: 1, last: this.last };
  }

  restore(state: PostCodeState): void {
    requireVersion('POST code port', state, 1);
    this.#last = state.last & 0xff;
  }
}

/** What a debug console reads as: firmware takes any other value for "there is none". */
export const DEBUG_CONSOLE_PRESENT = 0xe9;

export interface DebugConsoleState {
  version: 1;
}

/** Port E9h or 402h: each byte written goes to the sink. A wider write carries its low byte only. */
export class DebugConsole implements PortDevice, Persist<DebugConsoleState> {
  readonly #sink: (byte: number) => void;

  constructor(sink: (byte: number) => void) {
    this.#sink = sink;
  }

  portIn(_offset: number, size: 1 | 2 | 4): number {
    if (size === 1) return DEBUG_CONSOLE_PRESENT;
    return ((size === 2 ? 0xff00 : 0xffff_ff00) | DEBUG_CONSOLE_PRESENT) >>> 0;
  }

  portOut(_offset: number, _size: 1 | 2 | 4, value: number): void {
    this.#sink(value & 0xff);
  }

  save(): DebugConsoleState {
    return { version: 1 };
  }

  restore(state: DebugConsoleState): void {
    requireVersion('debug console', state, 1);
  }
}
