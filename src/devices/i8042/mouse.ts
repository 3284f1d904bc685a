/**
 * A PS/2 mouse with three buttons and a wheel (Microsoft IntelliMouse) at the far end of the 8042's second wire. It is a
 * plain three-button mouse until the driver sets the sample rates 200, 100, 80 in a row; then it sends a fourth byte.
 */

const CMD_SCALING_1_1 = 0xe6;
const CMD_SCALING_2_1 = 0xe7;
const CMD_RESOLUTION = 0xe8;
const CMD_STATUS = 0xe9;
const CMD_STREAM_MODE = 0xea;
const CMD_READ_DATA = 0xeb;
const CMD_RESET_WRAP = 0xec;
const CMD_WRAP_MODE = 0xee;
const CMD_REMOTE_MODE = 0xf0;
const CMD_IDENTIFY = 0xf2;
const CMD_SAMPLE_RATE = 0xf3;
const CMD_ENABLE = 0xf4;
const CMD_DISABLE = 0xf5;
const CMD_DEFAULTS = 0xf6;
const CMD_RESEND = 0xfe;
const CMD_RESET = 0xff;
const ACK = 0xfa;
const SELF_TEST_PASSED = 0xaa;
const RESEND = 0xfe;
const ID_PLAIN = 0;
const ID_WHEEL = 3;
const WHEEL_KNOCK = [200, 100, 80];

/** Packet byte 0. */
const ALWAYS_ONE = 0x08;
const X_SIGN = 0x10;
const Y_SIGN = 0x20;

/** Packets that wait, in bytes. Beyond it movement adds up and clicks are lost. */
const MAX_QUEUED = 64;
const MAX_ANSWERS = 16;
/** Movement that has not been sent, at most: a guest that doesn't read gets no endless chase afterwards. */
const MAX_PENDING = 2048;

/** Buttons as bits: left 0, right 1, middle 2. */
export type MouseButtons = number;

export interface MouseState {
  answers: number[];
  packets: number[];
  awaiting: number;
  wrap: boolean;
  remote: boolean;
  reporting: boolean;
  scaling2: boolean;
  resolution: number;
  sampleRate: number;
  knock: number[];
  id: number;
  dx: number;
  dy: number;
  dz: number;
  buttons: number;
  lastSent: number;
}

function powerOn(): MouseState {
  return {
    answers: [],
    packets: [],
    awaiting: 0,
    wrap: false,
    remote: false,
    reporting: false,
    scaling2: false,
    resolution: 2,
    sampleRate: 100,
    knock: [],
    id: ID_PLAIN,
    dx: 0,
    dy: 0,
    dz: 0,
    buttons: 0,
    lastSent: 0,
  };
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

export class Ps2Mouse {
  #s: MouseState = powerOn();

  /** A byte from the host. */
  write(byte: number): void {
    const s = this.#s;
    if (s.wrap && byte !== CMD_RESET && byte !== CMD_RESET_WRAP) {
      this.#answer(byte);
      return;
    }
    const command = s.awaiting;
    s.awaiting = 0;
    if (command !== 0) this.#parameter(command, byte);
    else this.#command(byte);
  }

  /** The next byte for the host, undefined where there is nothing to say. */
  next(): number | undefined {
    const s = this.#s;
    if (s.answers.length === 0 && s.packets.length === 0) this.#report();
    const byte = s.answers.shift() ?? s.packets.shift();
    if (byte !== undefined) s.lastSent = byte;
    return byte;
  }

  /**
   * The mouse moved and its buttons are now as given. `dx` right, `dy` and `wheel` down (as a screen counts); whole
   * counts, fractions are dropped.
   */
  move(dx: number, dy: number, wheel: number, buttons: MouseButtons): void {
    const s = this.#s;
    const pending = (sum: number, by: number) => clamp(sum + Math.trunc(by || 0), -MAX_PENDING, MAX_PENDING);
    s.dx = pending(s.dx, dx);
    s.dy = pending(s.dy, dy);
    s.dz = pending(s.dz, wheel);
    const clicked = (buttons & 7) !== s.buttons;
    s.buttons = buttons & 7;
    if (!this.#streaming) {
      // A mouse that is not asked to report forgets movement, not buttons.
      if (!s.remote) s.dx = s.dy = s.dz = 0;
      return;
    }
    // A click must not melt into the next one; plain movement adds up until the queue is empty.
    if (clicked ? s.packets.length + 4 <= MAX_QUEUED : s.packets.length === 0) this.#packet();
  }

  save(): MouseState {
    const s = this.#s;
    return { ...s, answers: [...s.answers], packets: [...s.packets], knock: [...s.knock] };
  }

  restore(state: MouseState): void {
    this.#s = {
      ...state,
      answers: state.answers.slice(0, MAX_ANSWERS),
      packets: state.packets.slice(0, MAX_QUEUED),
      knock: state.knock.slice(-WHEEL_KNOCK.length),
    };
  }

  get #streaming(): boolean {
    return this.#s.reporting && !this.#s.remote && !this.#s.wrap;
  }

  #answer(...bytes: number[]): void {
    this.#s.answers.push(...bytes);
    while (this.#s.answers.length > MAX_ANSWERS) this.#s.answers.shift();
  }

  #command(byte: number): void {
    const s = this.#s;
    switch (byte) {
      case CMD_RESOLUTION:
      case CMD_SAMPLE_RATE:
        s.awaiting = byte;
        break;
      case CMD_SCALING_1_1:
      case CMD_SCALING_2_1:
        s.scaling2 = byte === CMD_SCALING_2_1;
        break;
      case CMD_STATUS:
        this.#answer(ACK, this.#status, s.resolution, s.sampleRate);
        return;
      case CMD_STREAM_MODE:
        s.remote = false;
        break;
      case CMD_REMOTE_MODE:
        s.remote = true;
        s.packets = [];
        break;
      case CMD_READ_DATA:
        this.#answer(ACK);
        s.packets = [];
        this.#packet();
        return;
      case CMD_WRAP_MODE:
        s.wrap = true;
        s.packets = [];
        break;
      case CMD_RESET_WRAP:
        s.wrap = false;
        break;
      case CMD_IDENTIFY:
        this.#answer(ACK, s.id);
        return;
      case CMD_ENABLE:
        s.reporting = true;
        break;
      case CMD_DISABLE:
        s.reporting = false;
        s.packets = [];
        break;
      case CMD_DEFAULTS:
        this.#s = { ...powerOn(), answers: s.answers, id: s.id, buttons: s.buttons };
        break;
      case CMD_RESEND:
        this.#answer(s.lastSent);
        return;
      case CMD_RESET:
        this.#s = { ...powerOn(), buttons: s.buttons };
        this.#answer(ACK, SELF_TEST_PASSED, ID_PLAIN);
        return;
      default:
        this.#answer(RESEND);
        return;
    }
    this.#answer(ACK);
  }

  #parameter(command: number, byte: number): void {
    const s = this.#s;
    if (command === CMD_RESOLUTION) {
      s.resolution = byte & 3;
    } else {
      s.sampleRate = byte;
      s.knock = [...s.knock, byte].slice(-WHEEL_KNOCK.length);
      if (s.knock.join() === WHEEL_KNOCK.join()) s.id = ID_WHEEL;
    }
    this.#answer(ACK);
  }

  /** Status byte 1: remote mode, reporting, scaling 2:1, then left, middle and right button. */
  get #status(): number {
    const s = this.#s;
    const [left, right, middle] = [s.buttons & 1, (s.buttons >> 1) & 1, (s.buttons >> 2) & 1];
    return (
      (s.remote ? 0x40 : 0) | (s.reporting ? 0x20 : 0) | (s.scaling2 ? 0x10 : 0) | (left << 2) | (middle << 1) | right
    );
  }

  /** Movement that could not be sent at once goes out when the queue has drained. */
  #report(): void {
    const s = this.#s;
    if (this.#streaming && (s.dx !== 0 || s.dy !== 0 || s.dz !== 0)) this.#packet();
  }

  /** Queues one packet with as much of the movement as it can hold. PS/2 counts y upwards. */
  #packet(): void {
    const s = this.#s;
    const x = clamp(s.dx, -256, 255);
    const y = clamp(-s.dy, -256, 255);
    s.dx -= x;
    s.dy += y;
    s.packets.push(ALWAYS_ONE | s.buttons | (x < 0 ? X_SIGN : 0) | (y < 0 ? Y_SIGN : 0), x & 0xff, y & 0xff);
    if (s.id === ID_WHEEL) {
      const z = clamp(s.dz, -8, 7);
      s.dz -= z;
      s.packets.push(z & 0xff);
    } else {
      s.dz = 0;
    }
  }
}
