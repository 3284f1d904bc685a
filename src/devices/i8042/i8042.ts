/**
 * The PC's keyboard controller, an Intel 8042 with the PS/2's program: data port 60h, command and status port 64h, and
 * port 92h beside it (IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller"). Behind it a keyboard and a mouse.
 *
 * Bytes for the host meet in one output buffer. While it is full everything waits; its interrupt line is high.
 */

import { BytePortBlock } from '../byte-ports.js';
import type { IrqLine, Persist, PortDevice } from '../device.js';
import { requireVersion } from '../persist.js';
import { type KeyboardState, Ps2Keyboard } from './keyboard.js';
import { type MouseButtons, type MouseState, Ps2Mouse } from './mouse.js';
import { translateToSet1 } from './scancodes.js';

/** Status register. IBF is never seen set: a byte written is taken at once. */
const STS_OBF = 0x01;
const STS_SYS = 0x04;
const STS_A2 = 0x08;
/** The keylock is open. */
const STS_NOT_INHIBITED = 0x10;
const STS_AUX = 0x20;

/** Command byte: byte 0 of the controller's RAM. */
const CTR_KBD_INT = 0x01;
const CTR_AUX_INT = 0x02;
const CTR_SYS = 0x04;
const CTR_KBD_DISABLE = 0x10;
const CTR_AUX_DISABLE = 0x20;
const CTR_XLATE = 0x40;

const CMD_READ_RAM = 0x20;
const CMD_WRITE_RAM = 0x60;
const CMD_PASSWORD_TEST = 0xa4;
const CMD_AUX_DISABLE = 0xa7;
const CMD_AUX_ENABLE = 0xa8;
const CMD_AUX_TEST = 0xa9;
const CMD_SELF_TEST = 0xaa;
const CMD_KBD_TEST = 0xab;
const CMD_KBD_DISABLE = 0xad;
const CMD_KBD_ENABLE = 0xae;
const CMD_READ_INPUT_PORT = 0xc0;
const CMD_READ_OUTPUT_PORT = 0xd0;
const CMD_WRITE_OUTPUT_PORT = 0xd1;
const CMD_WRITE_KBD_BUFFER = 0xd2;
const CMD_WRITE_AUX_BUFFER = 0xd3;
const CMD_WRITE_AUX = 0xd4;
const CMD_A20_OFF = 0xdd;
const CMD_A20_ON = 0xdf;
const CMD_READ_TEST_INPUTS = 0xe0;
/** F0h to FFh pulse the output port's low bits that are 0 in the command: bit 0 is the CPU's reset. */
const CMD_PULSE = 0xf0;

/** Output port. */
const OUT_NOT_RESET = 0x01;
const OUT_A20 = 0x02;
const OUT_OBF = 0x10;
const OUT_AUX_OBF = 0x20;
const OUT_LINES_IDLE = 0xc0;

/** Port 92h. */
const PORT92_FAST_RESET = 0x01;
const PORT92_A20 = 0x02;

const RAM_SIZE = 32;
const MAX_ANSWERS = 16;
const BREAK_PREFIX = 0xf0;
/** As firmware leaves it, for most guests here start without one: translating, keyboard with interrupt, no mouse yet. */
const POWER_ON_CTR = CTR_KBD_INT | CTR_SYS | CTR_XLATE | CTR_AUX_DISABLE;

type Source = 'controller' | 'keyboard' | 'aux';

export interface I8042Options {
  irq1: IrqLine;
  irq12: IrqLine;
  /** The guest asked for a reset of the CPU: command FEh, the output port's bit 0, or port 92h. */
  onReset: () => void;
  /** The address line A20 is let through or forced to 0. Called on changes only; it is let through at first. */
  onA20?: (enabled: boolean) => void;
  /** The keyboard's lamps changed: scroll lock, num lock, caps lock in bits 0 to 2. */
  onLeds?: (leds: number) => void;
}

export interface I8042State {
  version: 1;
  ram: number[];
  obf: { byte: number; source: Source } | null;
  answers: { byte: number; aux: boolean }[];
  data: number;
  command: number;
  lastWriteWasCommand: boolean;
  breakPrefix: boolean;
  a20: boolean;
  port92: number;
  keyboard: KeyboardState;
  mouse: MouseState;
}

export class I8042 implements Persist<I8042State> {
  /** Port 60h. */
  readonly data: PortDevice;
  /** Port 64h. */
  readonly command: PortDevice;
  /** Port 92h. */
  readonly port92: PortDevice;
  readonly #options: I8042Options;
  readonly #keyboard = new Ps2Keyboard();
  readonly #mouse = new Ps2Mouse();
  readonly #ram = new Uint8Array(RAM_SIZE);
  /** The full output buffer; null while it is empty. */
  #obf: { byte: number; source: Source } | null = null;
  /** The controller's own answers, and bytes that commands D2h and D3h put in. They go before the devices' bytes. */
  #answers: { byte: number; aux: boolean }[] = [];
  /** What port 60h reads while the buffer is empty: the last byte. */
  #data = 0;
  /** The command that waits for its byte at port 60h, 0 for none. */
  #command = 0;
  #lastWriteWasCommand = false;
  /** Translation has swallowed F0h: the next code is a break. */
  #breakPrefix = false;
  #a20 = true;
  #port92 = 0;

  constructor(options: I8042Options) {
    this.#options = options;
    this.#ram[0] = POWER_ON_CTR;
    const port = (read: () => number, write: (value: number) => void) =>
      new BytePortBlock(1, read, (_offset, value) => write(value));
    this.data = port(
      () => this.#readData(),
      (value) => this.#writeData(value),
    );
    this.command = port(
      () => this.#status,
      (value) => this.#writeCommand(value),
    );
    this.port92 = port(
      () => this.#port92 | (this.#a20 ? PORT92_A20 : 0),
      (value) => this.#writePort92(value),
    );
  }

  /**
   * A key of the host's keyboard goes down or up. `code` is a W3C KeyboardEvent code such as 'KeyA' or 'ArrowUp'; a
   * further down without an up is auto-repeat. The keyboard holds about six keys that the guest has not read; who types
   * text into a guest waits for `keyboardIdle` in between. Returns false where a PC keyboard has no such key.
   */
  pressKey(code: string, down: boolean): boolean {
    const known = this.#keyboard.pressKey(code, down);
    this.#update();
    return known;
  }

  /** The guest has read all keys. */
  get keyboardIdle(): boolean {
    return this.#keyboard.idle && this.#obf?.source !== 'keyboard';
  }

  /** The mouse moved by `dx`, `dy` counts (right, down), its wheel by `wheel` (down), with `buttons` down (`MouseButtons`). */
  moveMouse(dx: number, dy: number, wheel: number, buttons: MouseButtons): void {
    this.#mouse.move(dx, dy, wheel, buttons);
    this.#update();
  }

  /** Whether address line 20 is let through. */
  get a20(): boolean {
    return this.#a20;
  }

  save(): I8042State {
    return {
      version: 1,
      ram: [...this.#ram],
      obf: this.#obf === null ? null : { ...this.#obf },
      answers: this.#answers.map((answer) => ({ ...answer })),
      data: this.#data,
      command: this.#command,
      lastWriteWasCommand: this.#lastWriteWasCommand,
      breakPrefix: this.#breakPrefix,
      a20: this.#a20,
      port92: this.#port92,
      keyboard: this.#keyboard.save(),
      mouse: this.#mouse.save(),
    };
  }

  restore(state: I8042State): void {
    requireVersion('8042', state, 1);
    this.#ram.set(state.ram.slice(0, RAM_SIZE));
    this.#obf = state.obf === null ? null : { ...state.obf };
    this.#answers = state.answers.slice(0, MAX_ANSWERS).map((answer) => ({ ...answer }));
    this.#data = state.data;
    this.#command = state.command;
    this.#lastWriteWasCommand = state.lastWriteWasCommand;
    this.#breakPrefix = state.breakPrefix;
    this.#port92 = state.port92;
    this.#keyboard.restore(state.keyboard);
    this.#mouse.restore(state.mouse);
    this.#setA20(state.a20);
    this.#driveLines();
  }

  get #ctr(): number {
    return this.#ram[0]!;
  }

  get #status(): number {
    const obf = this.#obf;
    return (
      STS_NOT_INHIBITED |
      (obf !== null ? STS_OBF : 0) |
      (obf?.source === 'aux' ? STS_AUX : 0) |
      (this.#ctr & CTR_SYS ? STS_SYS : 0) |
      (this.#lastWriteWasCommand ? STS_A2 : 0)
    );
  }

  #readData(): number {
    if (this.#obf !== null) {
      this.#data = this.#obf.byte;
      this.#obf = null;
      // The line goes low before the next byte raises it, so each byte is an edge.
      this.#driveLines();
      this.#update();
    }
    return this.#data;
  }

  /** Fills the output buffer if it is empty and somebody has a byte. */
  #update(): void {
    if (this.#obf === null) this.#obf = this.#nextByte();
    this.#driveLines();
  }

  #nextByte(): { byte: number; source: Source } | null {
    const answer = this.#answers.shift();
    if (answer !== undefined) return { byte: answer.byte, source: answer.aux ? 'aux' : 'controller' };
    if ((this.#ctr & CTR_KBD_DISABLE) === 0) {
      const byte = this.#nextKeyboardByte();
      if (byte !== undefined) return { byte, source: 'keyboard' };
    }
    if ((this.#ctr & CTR_AUX_DISABLE) === 0) {
      const byte = this.#mouse.next();
      if (byte !== undefined) return { byte, source: 'aux' };
    }
    return null;
  }

  #nextKeyboardByte(): number | undefined {
    for (;;) {
      const byte = this.#keyboard.next();
      if (byte === undefined || (this.#ctr & CTR_XLATE) === 0) return byte;
      if (byte === BREAK_PREFIX) {
        this.#breakPrefix = true;
        continue;
      }
      const release = this.#breakPrefix ? 0x80 : 0;
      this.#breakPrefix = false;
      return translateToSet1(byte) | release;
    }
  }

  #driveLines(): void {
    const full = this.#obf !== null;
    const aux = this.#obf?.source === 'aux';
    this.#options.irq1.set(full && !aux && (this.#ctr & CTR_KBD_INT) !== 0);
    this.#options.irq12.set(full && aux && (this.#ctr & CTR_AUX_INT) !== 0);
  }

  #answer(byte: number, aux = false): void {
    this.#answers.push({ byte, aux });
    if (this.#answers.length > MAX_ANSWERS) this.#answers.shift();
  }

  #writeCommand(command: number): void {
    this.#lastWriteWasCommand = true;
    this.#command = 0;
    if (command >= CMD_READ_RAM && command < CMD_READ_RAM + RAM_SIZE) {
      this.#answer(this.#ram[command - CMD_READ_RAM]!);
    } else if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + RAM_SIZE) {
      this.#command = command;
    } else if (command >= CMD_PULSE) {
      if ((command & OUT_NOT_RESET) === 0) this.#options.onReset();
    } else {
      this.#controllerCommand(command);
    }
    this.#update();
  }

  /** Commands that are none of these do nothing, as in the original. */
  #controllerCommand(command: number): void {
    switch (command) {
      case CMD_PASSWORD_TEST:
        // No password is installed.
        this.#answer(0xf1);
        break;
      case CMD_AUX_DISABLE:
        this.#ram[0] = this.#ctr | CTR_AUX_DISABLE;
        break;
      case CMD_AUX_ENABLE:
        this.#ram[0] = this.#ctr & ~CTR_AUX_DISABLE;
        break;
      case CMD_SELF_TEST:
        this.#ram[0] = this.#ctr | CTR_SYS;
        this.#answer(0x55);
        break;
      case CMD_AUX_TEST:
      case CMD_KBD_TEST:
      case CMD_READ_TEST_INPUTS:
        this.#answer(0x00);
        break;
      case CMD_KBD_DISABLE:
        this.#ram[0] = this.#ctr | CTR_KBD_DISABLE;
        break;
      case CMD_KBD_ENABLE:
        this.#ram[0] = this.#ctr & ~CTR_KBD_DISABLE;
        break;
      case CMD_READ_INPUT_PORT:
        // Keylock open.
        this.#answer(0x80);
        break;
      case CMD_READ_OUTPUT_PORT:
        this.#answer(this.#outputPort);
        break;
      case CMD_WRITE_OUTPUT_PORT:
      case CMD_WRITE_KBD_BUFFER:
      case CMD_WRITE_AUX_BUFFER:
      case CMD_WRITE_AUX:
        this.#command = command;
        break;
      case CMD_A20_OFF:
      case CMD_A20_ON:
        this.#setA20(command === CMD_A20_ON);
        break;
    }
  }

  #writeData(value: number): void {
    this.#lastWriteWasCommand = false;
    const command = this.#command;
    this.#command = 0;
    switch (command) {
      case 0:
        // Writing to a device starts its clock again.
        this.#ram[0] = this.#ctr & ~CTR_KBD_DISABLE;
        this.#writeKeyboard(value);
        break;
      case CMD_WRITE_OUTPUT_PORT:
        this.#setA20((value & OUT_A20) !== 0);
        if ((value & OUT_NOT_RESET) === 0) this.#options.onReset();
        break;
      case CMD_WRITE_KBD_BUFFER:
        this.#answer(value);
        break;
      case CMD_WRITE_AUX_BUFFER:
        this.#answer(value, true);
        break;
      case CMD_WRITE_AUX:
        this.#ram[0] = this.#ctr & ~CTR_AUX_DISABLE;
        this.#mouse.write(value);
        break;
      default:
        this.#ram[command - CMD_WRITE_RAM] = value;
    }
    this.#update();
  }

  #writeKeyboard(value: number): void {
    const leds = this.#keyboard.leds;
    this.#keyboard.write(value);
    if (this.#keyboard.leds !== leds) this.#options.onLeds?.(this.#keyboard.leds);
  }

  get #outputPort(): number {
    const obf = this.#obf;
    return (
      OUT_LINES_IDLE |
      OUT_NOT_RESET |
      (this.#a20 ? OUT_A20 : 0) |
      (obf !== null && obf.source !== 'aux' ? OUT_OBF : 0) |
      (obf?.source === 'aux' ? OUT_AUX_OBF : 0)
    );
  }

  #setA20(enabled: boolean): void {
    if (enabled === this.#a20) return;
    this.#a20 = enabled;
    this.#options.onA20?.(enabled);
  }

  #writePort92(value: number): void {
    const reset = (value & ~this.#port92 & PORT92_FAST_RESET) !== 0;
    this.#port92 = value & ~PORT92_A20;
    this.#setA20((value & PORT92_A20) !== 0);
    // A rising bit 0 pulses the CPU's reset.
    if (reset) this.#options.onReset();
  }
}
