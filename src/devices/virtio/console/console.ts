/**
 * The console device (5.3): one port, or several with a pair of control queues. Port 0 is the console that Linux calls
 * hvc0; other ports are consoles too or, with a name, /dev/virtio-ports/NAME.
 */
import type { Clock } from '../../device.js';
import { requireVersion } from '../../persist.js';
import { configField } from '../config.js';
import {
  attempt,
  type DescriptorChain,
  featureSet,
  type VirtioConfigSpace,
  type VirtioDevice,
  type VirtioDriver,
  VirtioViolation,
} from '../device.js';
import { BUFFER_COST, TURN, Turns } from '../turns.js';
import { type ConsoleBackend, ConsolePort, type PortState } from './port.js';

export const VIRTIO_CONSOLE = 3;
export const VIRTIO_CONSOLE_F_SIZE = 0;
export const VIRTIO_CONSOLE_F_MULTIPORT = 1;
export const VIRTIO_CONSOLE_F_EMERG_WRITE = 2;

const QUEUE_SIZE = 128;
const CONTROL_RECEIVEQ = 2;
const CONTROL_TRANSMITQ = 3;

/** Configuration (5.3.4): cols, rows, max_nr_ports, emerg_wr. */
const CONFIG_LENGTH = 12;
const EMERG_WR = 8;

/** Events of control messages (5.3.6.2). */
const DEVICE_READY = 0;
const DEVICE_ADD = 1;
const PORT_READY = 3;
const CONSOLE_PORT = 4;
const RESIZE = 5;
const PORT_OPEN = 6;
const PORT_NAME = 7;
const MESSAGE_LENGTH = 8;
/** Control messages that wait for the driver's buffers: with more, we take no more of its messages. */
const MOST_MESSAGES = 256;

export interface ConsolePortOptions {
  readonly backend: ConsoleBackend;
  /** Multiport: a console with a tty in the guest (default for port 0), or a plain port. */
  readonly console?: boolean;
  /** Multiport: the guest's name for it. */
  readonly name?: string;
}

export interface ConsoleSize {
  readonly cols: number;
  readonly rows: number;
}

export interface VirtioConsoleOptions {
  /** At least one. */
  readonly ports: readonly ConsolePortOptions[];
  readonly clock: Clock;
  /** Characters of the window behind port 0, where there is one. */
  readonly size?: ConsoleSize;
  /** Default: where there are several ports or the only one has a name. */
  readonly multiport?: boolean;
}

export interface VirtioConsoleState {
  version: 1;
  ports: PortState[];
  hostOpen: boolean[];
  ready: boolean;
  messages: number[][];
}

export class VirtioConsole implements VirtioDevice<VirtioConsoleState> {
  readonly name = 'virtio-console';
  readonly type = VIRTIO_CONSOLE;
  /** Communication controller, other. */
  readonly classCode = 0x07_8000;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly config: VirtioConfigSpace;
  private readonly portOptions: readonly ConsolePortOptions[];
  private readonly ports: readonly ConsolePort[];
  private readonly controlTurns: Turns;
  private readonly bytes = new Uint8Array(CONFIG_LENGTH);
  private readonly layout = new DataView(this.bytes.buffer);
  private size: ConsoleSize | undefined;
  private driver: VirtioDriver | undefined;
  private multiport = false;
  private readonly hostOpen: boolean[];
  /** The driver has said DEVICE_READY. */
  private ready = false;
  private messages: Uint8Array[] = [];

  constructor(options: VirtioConsoleOptions) {
    const { ports, clock, size } = options;
    const multiport = options.multiport ?? (ports.length > 1 || ports[0].name !== undefined);
    this.portOptions = ports;
    this.ports = ports.map(({ backend }, i) => new ConsolePort(i, backend, clock));
    this.hostOpen = ports.map(() => true);
    this.controlTurns = new Turns(clock, (driver) => this.controlTurn(driver));
    this.size = size;
    this.features = featureSet(
      VIRTIO_CONSOLE_F_EMERG_WRITE,
      ...(size === undefined ? [] : [VIRTIO_CONSOLE_F_SIZE]),
      ...(multiport ? [VIRTIO_CONSOLE_F_MULTIPORT] : []),
    );
    this.queueSizes = new Array<number>(multiport ? 2 * ports.length + 2 : 2).fill(QUEUE_SIZE);
    this.layout.setUint32(4, ports.length, true);
    this.putSize();
    this.config = {
      length: CONFIG_LENGTH,
      read: (offset, width) => configField(this.bytes, offset, width),
      write: (offset, _width, value) => {
        // The lower byte of emerg_wr counts (5.3.5.1); nothing else is writable.
        if (offset === EMERG_WR) this.ports[0].sendEmergency(value & 0xff);
      },
    };
  }

  // ---- the host's side ---------------------------------------------------------------------------------------------

  /** Input for a port. @returns the bytes taken; the rest is to be offered again after `roomForInput` */
  receive(port: number, bytes: Uint8Array): number {
    return this.ports[port].receive(bytes, this.driver);
  }

  /** Bytes that `receive` would take now. */
  inputRoom(port: number): number {
    return this.ports[port].inputRoom;
  }

  /** The back end of a port takes output again. */
  resume(port: number): void {
    this.ports[port].unblock();
    this.work((driver) => this.ports[port].transmit(driver));
  }

  /** The window behind port 0 has a new size: told where the device was made with one. */
  setSize(size: ConsoleSize): void {
    if (this.size === undefined) return;
    this.size = size;
    this.putSize();
    this.driver?.configChanged();
    this.tell((driver) => {
      if (this.ready && this.isConsole(0)) this.sendSize(0);
      this.sendMessages(driver);
    });
  }

  /** Multiport: the host's end is open (as in the beginning) or closed. A program in the guest gets a hang-up. */
  setOpen(port: number, open: boolean): void {
    if (this.hostOpen[port] === open) return;
    this.hostOpen[port] = open;
    this.tell((driver) => {
      if (this.ready) this.send(port, PORT_OPEN, open ? 1 : 0);
      this.sendMessages(driver);
    });
  }

  private work(work: (driver: VirtioDriver) => void): void {
    const { driver } = this;
    if (driver !== undefined) attempt(driver, () => work(driver));
  }

  private tell(work: (driver: VirtioDriver) => void): void {
    if (this.multiport) this.work(work);
  }

  private isConsole(port: number): boolean {
    return this.portOptions[port].console ?? port === 0;
  }

  private putSize(): void {
    this.layout.setUint16(0, this.size?.cols ?? 0, true);
    this.layout.setUint16(2, this.size?.rows ?? 0, true);
  }

  // ---- the driver's side -------------------------------------------------------------------------------------------

  start(driver: VirtioDriver): void {
    this.driver = driver;
    this.multiport = driver.has(VIRTIO_CONSOLE_F_MULTIPORT);
    // Without control messages there is nobody to say that a port is open.
    if (!this.multiport) this.ports[0].setOpen(true);
    // Linux looks at the window only when it is told that something has changed.
    if (!this.multiport && this.size !== undefined) driver.configChanged();
  }

  notify(queue: number): void {
    const driver = this.driver!;
    if (queue === CONTROL_RECEIVEQ || queue === CONTROL_TRANSMITQ) {
      if (!this.multiport) return;
      if (queue === CONTROL_RECEIVEQ) this.sendMessages(driver);
      this.controlTurns.run(driver);
      return;
    }
    const port = this.ports[queue < 2 ? 0 : (queue >> 1) - 1];
    if (queue === port.receiveQueue) port.serveInput(driver);
    else port.transmit(driver);
  }

  private controlTurn(driver: VirtioDriver): boolean {
    const queue = driver.queue(CONTROL_TRANSMITQ);
    let left = TURN;
    while (left > 0 && this.messages.length < MOST_MESSAGES) {
      const chain = queue.pop();
      if (chain === undefined) break;
      left -= BUFFER_COST;
      this.obey(chain, driver);
      queue.push(chain, 0);
    }
    queue.signal();
    this.sendMessages(driver);
    return left <= 0;
  }

  private obey(chain: DescriptorChain, driver: VirtioDriver): void {
    const bytes = new Uint8Array(MESSAGE_LENGTH);
    if (chain.read(0, bytes) < MESSAGE_LENGTH) {
      throw new VirtioViolation(`a control message has ${chain.readableLength} bytes`, '5.3.6.2');
    }
    const view = new DataView(bytes.buffer);
    const id = view.getUint32(0, true);
    const event = view.getUint16(4, true);
    const value = view.getUint16(6, true);
    if (event === DEVICE_READY) {
      if (value === 1 && !this.ready) {
        this.ready = true;
        for (const { index } of this.ports) this.send(index, DEVICE_ADD);
      }
      return;
    }
    const port = this.ports[id];
    if (port === undefined)
      throw new VirtioViolation(`a control message names port ${id}, which is not there`, '5.3.6.2');
    if (event === PORT_READY && value === 1) {
      this.introduce(id);
    } else if (event === PORT_OPEN) {
      port.setOpen(value !== 0);
      port.serveInput(driver);
    }
  }

  /** What the driver needs to know of a port that it has made. */
  private introduce(port: number): void {
    const { name } = this.portOptions[port];
    if (this.isConsole(port)) {
      this.send(port, CONSOLE_PORT, 1);
      if (port === 0 && this.size !== undefined) this.sendSize(port);
    }
    if (name !== undefined) this.send(port, PORT_NAME, 1, new TextEncoder().encode(name));
    if (this.hostOpen[port]) this.send(port, PORT_OPEN, 1);
  }

  /** Columns first, as the standard has it. Linux before 6.16 takes them for rows; its single-port consoles do not. */
  private sendSize(port: number): void {
    // The newest counts: a guest that reads none shall not make a heap of them.
    this.messages = this.messages.filter((message) => message[4] !== RESIZE);
    this.send(port, RESIZE, 0, this.bytes.slice(0, 4));
  }

  private send(port: number, event: number, value = 0, more = new Uint8Array(0)): void {
    const bytes = new Uint8Array(MESSAGE_LENGTH + more.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, port, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    bytes.set(more, MESSAGE_LENGTH);
    this.messages.push(bytes);
  }

  private sendMessages(driver: VirtioDriver): void {
    const queue = driver.queue(CONTROL_RECEIVEQ);
    while (this.messages.length > 0) {
      const chain = queue.pop();
      if (chain === undefined) break;
      queue.push(chain, chain.write(0, this.messages.shift()!));
    }
    queue.signal();
  }

  // ---- life --------------------------------------------------------------------------------------------------------

  reset(): void {
    this.driver = undefined;
    this.multiport = false;
    this.ready = false;
    this.messages = [];
    this.controlTurns.cancel();
    for (const port of this.ports) port.reset();
  }

  resetQueue(queue: number): void {
    for (const port of this.ports) if (port.transmitQueue === queue) port.forget();
  }

  save(): VirtioConsoleState {
    return {
      version: 1,
      ports: this.ports.map((port) => port.save()),
      hostOpen: [...this.hostOpen],
      ready: this.ready,
      messages: this.messages.map((message) => Array.from(message)),
    };
  }

  restore(state: VirtioConsoleState): void {
    requireVersion(this.name, state, 1);
    this.ready = state.ready;
    this.messages = state.messages.map((message) => Uint8Array.from(message));
    this.ports.forEach((port, i) => {
      port.restore(state.ports[i]);
      this.hostOpen[i] = state.hostOpen[i];
    });
  }
}
