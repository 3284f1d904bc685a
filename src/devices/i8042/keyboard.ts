/**
 * A PS/2 keyboard at the far end of the 8042's first wire (IBM Personal System/2 Hardware Interface Technical Reference,
 * "Keyboard"). It answers at once; what it has to say waits in `next` until the controller can take it.
 */

import { set1Sequence, set2Sequence } from './scancodes.js';

const CMD_SET_LEDS = 0xed;
const CMD_ECHO = 0xee;
const CMD_SCAN_CODE_SET = 0xf0;
const CMD_IDENTIFY = 0xf2;
const CMD_TYPEMATIC = 0xf3;
const CMD_ENABLE = 0xf4;
const CMD_DISABLE = 0xf5;
const CMD_DEFAULTS = 0xf6;
/** F7h to FDh set key types of scan code set 3, which this keyboard hasn't: F7-FA acknowledge, FB-FD are refused. */
const CMD_ALL_TYPEMATIC = 0xf7;
const CMD_ALL_MAKE_BREAK_TYPEMATIC = 0xfa;
const CMD_RESEND = 0xfe;
const CMD_RESET = 0xff;
const ACK = 0xfa;
const SELF_TEST_PASSED = 0xaa;
const RESEND = 0xfe;
const ID = [0xab, 0x83];

/**
 * Scan codes that wait, in bytes: with the controller's own, no more than the 16 of a real keyboard, for Linux takes a
 * controller that still has bytes after 16 for broken. Presses leave some room so that releases still find it.
 */
const ROOM_FOR_PRESSES = 12;
const ROOM_FOR_RELEASES = 15;
/** Answers that wait: a guest that sends commands without reading loses the oldest answers. */
const MAX_ANSWERS = 16;

export interface KeyboardState {
  answers: number[];
  scanCodes: number[];
  awaiting: number;
  scanning: boolean;
  set: number;
  leds: number;
  lastSent: number;
}

export class Ps2Keyboard {
  #answers: number[] = [];
  #scanCodes: number[] = [];
  /** The command that waits for its parameter, 0 for none. */
  #awaiting = 0;
  #scanning = true;
  #set = 2;
  #leds = 0;
  #lastSent = 0;

  /** Scroll lock, num lock, caps lock in bits 0 to 2. */
  get leds(): number {
    return this.#leds;
  }

  /** No scan codes wait. */
  get idle(): boolean {
    return this.#scanCodes.length === 0;
  }

  /** A byte from the host. */
  write(byte: number): void {
    const command = this.#awaiting;
    this.#awaiting = 0;
    // A command in place of a parameter ends the earlier command.
    if (command !== 0 && byte < CMD_SET_LEDS) this.#parameter(command, byte);
    else this.#command(byte);
  }

  /** The next byte for the host, undefined where there is nothing to say. */
  next(): number | undefined {
    const byte = this.#answers.shift() ?? this.#scanCodes.shift();
    if (byte !== undefined) this.#lastSent = byte;
    return byte;
  }

  /**
   * A key goes down (again: the host's auto-repeat) or up. A key that the queue has no room for is lost, as on a real
   * keyboard. Returns false where no PC key has this name.
   */
  pressKey(code: string, down: boolean): boolean {
    const set2 = set2Sequence(code, down);
    if (set2 === undefined) return false;
    if (!this.#scanning) return true;
    const bytes = this.#set === 1 ? set1Sequence(set2) : set2;
    const room = down ? ROOM_FOR_PRESSES : ROOM_FOR_RELEASES;
    if (this.#scanCodes.length + bytes.length <= room) this.#scanCodes.push(...bytes);
    return true;
  }

  save(): KeyboardState {
    return {
      answers: [...this.#answers],
      scanCodes: [...this.#scanCodes],
      awaiting: this.#awaiting,
      scanning: this.#scanning,
      set: this.#set,
      leds: this.#leds,
      lastSent: this.#lastSent,
    };
  }

  restore(state: KeyboardState): void {
    this.#answers = state.answers.slice(0, MAX_ANSWERS);
    this.#scanCodes = state.scanCodes.slice(0, ROOM_FOR_RELEASES);
    this.#awaiting = state.awaiting;
    this.#scanning = state.scanning;
    this.#set = state.set;
    this.#leds = state.leds;
    this.#lastSent = state.lastSent;
  }

  #answer(...bytes: number[]): void {
    this.#answers.push(...bytes);
    while (this.#answers.length > MAX_ANSWERS) this.#answers.shift();
  }

  #defaults(scanning: boolean): void {
    this.#scanCodes = [];
    this.#scanning = scanning;
    this.#set = 2;
  }

  #command(byte: number): void {
    switch (byte) {
      case CMD_SET_LEDS:
      case CMD_SCAN_CODE_SET:
      case CMD_TYPEMATIC:
        this.#awaiting = byte;
        this.#answer(ACK);
        break;
      case CMD_ECHO:
        this.#answer(CMD_ECHO);
        break;
      case CMD_IDENTIFY:
        this.#answer(ACK, ...ID);
        break;
      case CMD_ENABLE:
        this.#scanCodes = [];
        this.#scanning = true;
        this.#answer(ACK);
        break;
      case CMD_DISABLE:
        this.#defaults(false);
        this.#answer(ACK);
        break;
      case CMD_DEFAULTS:
        this.#defaults(true);
        this.#answer(ACK);
        break;
      case CMD_RESEND:
        this.#answer(this.#lastSent);
        break;
      case CMD_RESET:
        this.#defaults(true);
        this.#leds = 0;
        this.#answers = [];
        this.#answer(ACK, SELF_TEST_PASSED);
        break;
      default:
        if (byte >= CMD_ALL_TYPEMATIC && byte <= CMD_ALL_MAKE_BREAK_TYPEMATIC) this.#answer(ACK);
        else this.#answer(RESEND);
    }
  }

  #parameter(command: number, byte: number): void {
    if (command === CMD_SET_LEDS) {
      this.#leds = byte & 7;
      this.#answer(ACK);
    } else if (command === CMD_TYPEMATIC) {
      // Auto-repeat is the host's; the rate is accepted and has no effect.
      this.#answer(ACK);
    } else if (byte === 0) {
      this.#answer(ACK, this.#set);
    } else if (byte === 1 || byte === 2) {
      this.#set = byte;
      this.#answer(ACK);
    } else {
      this.#answer(RESEND);
    }
  }
}
