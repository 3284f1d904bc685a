/** One port of a console device (5.3): bytes in both directions, none of them lost. */
import type { Clock } from '../../device.js';
import { attempt, type DescriptorChain, type VirtioDriver, VirtioViolation } from '../device.js';
import { BUFFER_COST, TURN, Turns } from '../turns.js';

/** Input that waits for the driver's buffers, in bytes. */
export const BACKLOG_SIZE = 65_536;
/** Emergency output that waits for the back end. */
const EMERGENCY_SIZE = 4096;
/** Output handed to the back end at once. */
const CHUNK = 16_384;

/** What a port is connected to. */
export interface ConsoleBackend {
  /**
   * Bytes that the guest has written; a view of memory that is used again.
   * @returns how many were taken. Where these are not all, the rest comes after `VirtioConsole.resume`.
   */
  transmit(bytes: Uint8Array): number;
  /** `receive` had not taken everything, and there is room again. May call `receive`. */
  roomForInput?(): void;
  /** Multiport: a program in the guest has opened or closed the port. */
  opened?(open: boolean): void;
}

export interface PortState {
  backlog: number[];
  emergency: number[];
  sent: number;
  open: boolean;
}

export class ConsolePort {
  readonly index: number;
  readonly receiveQueue: number;
  readonly transmitQueue: number;
  /** The guest's end: input is held back from a closed port, whose driver would throw it away. */
  open = false;
  private readonly backend: ConsoleBackend;
  private readonly turns: Turns;
  private readonly backlog = new Uint8Array(BACKLOG_SIZE);
  private head = 0;
  private count = 0;
  private askedForRoom = false;
  private readonly chunk = new Uint8Array(CHUNK);
  private emergency: number[] = [];
  /** The buffer that is being sent, and how much of it is. */
  private chain: DescriptorChain | undefined;
  private sent = 0;
  /** The back end did not take everything. */
  private blocked = false;

  constructor(index: number, backend: ConsoleBackend, clock: Clock) {
    this.index = index;
    // Between the queues of port 0 and those of port 1 are the control queues (5.3.2).
    this.receiveQueue = index === 0 ? 0 : 2 * index + 2;
    this.transmitQueue = this.receiveQueue + 1;
    this.backend = backend;
    this.turns = new Turns(clock, (driver) => this.transmitTurn(driver));
  }

  get inputRoom(): number {
    return BACKLOG_SIZE - this.count;
  }

  // ---- to the guest ------------------------------------------------------------------------------------------------

  /** Keeps input, and with a driver hands it on. @returns how many bytes: the rest is to come after `roomForInput` */
  receive(bytes: Uint8Array, driver: VirtioDriver | undefined): number {
    let accepted = 0;
    for (let more = 1; more > 0; accepted += more) {
      more = this.keep(bytes.subarray(accepted));
      if (driver !== undefined) attempt(driver, () => this.deliver(driver));
    }
    this.askedForRoom = accepted < bytes.length;
    return accepted;
  }

  /** As much as there is room for. @returns how many bytes */
  private keep(bytes: Uint8Array): number {
    const accepted = Math.min(bytes.length, this.inputRoom);
    for (let done = 0; done < accepted; ) {
      const at = (this.head + this.count) % BACKLOG_SIZE;
      const piece = bytes.subarray(done, Math.min(accepted, done + BACKLOG_SIZE - at));
      this.backlog.set(piece, at);
      this.count += piece.length;
      done += piece.length;
    }
    return accepted;
  }

  /** Gives the driver what there is, and asks for more where that was wanted. @throws VirtioViolation */
  serveInput(driver: VirtioDriver): void {
    this.deliver(driver);
    if (!this.askedForRoom || this.inputRoom === 0) return;
    this.askedForRoom = false;
    this.backend.roomForInput?.();
  }

  /** As far as the driver has buffers. */
  private deliver(driver: VirtioDriver): void {
    const queue = driver.queue(this.receiveQueue);
    while (this.open && this.count > 0) {
      const chain = queue.pop();
      if (chain === undefined) break;
      if (chain.readableLength > 0) {
        throw new VirtioViolation(
          `a buffer in receiveq of port ${this.index} has ${chain.readableLength} device-readable bytes`,
          '5.3.6.1',
        );
      }
      let written = 0;
      while (this.count > 0 && written < chain.writableLength) {
        const piece = this.backlog.subarray(this.head, Math.min(this.head + this.count, BACKLOG_SIZE));
        const moved = chain.write(written, piece);
        written += moved;
        this.head = (this.head + moved) % BACKLOG_SIZE;
        this.count -= moved;
      }
      queue.push(chain, written);
    }
    queue.signal();
  }

  // ---- from the guest ----------------------------------------------------------------------------------------------

  /** Sends what the driver has put into the transmit queue. @throws VirtioViolation */
  transmit(driver: VirtioDriver): void {
    if (!this.blocked) this.turns.run(driver);
  }

  /** The back end takes output again. */
  unblock(): void {
    this.blocked = false;
    this.flushEmergency();
  }

  private transmitTurn(driver: VirtioDriver): boolean {
    const queue = driver.queue(this.transmitQueue);
    let left = TURN;
    while (left > 0 && !this.blocked) {
      const chain = (this.chain ??= queue.pop());
      if (chain === undefined) break;
      if (chain.writableLength > 0) {
        throw new VirtioViolation(
          `a buffer in transmitq of port ${this.index} has ${chain.writableLength} device-writable bytes`,
          '5.3.6.1',
        );
      }
      left -= BUFFER_COST + this.send(chain);
      if (this.sent < chain.readableLength) continue;
      this.chain = undefined;
      this.sent = 0;
      queue.push(chain, 0);
    }
    queue.signal();
    return left <= 0 && !this.blocked;
  }

  private send(chain: DescriptorChain): number {
    const length = chain.read(this.sent, this.chunk);
    if (length === 0) return 0;
    const taken = this.backend.transmit(this.chunk.subarray(0, length));
    this.sent += taken;
    this.blocked = taken < length;
    return taken;
  }

  /** A byte by way of the configuration space, whatever state the queues are in (5.3.5). */
  sendEmergency(byte: number): void {
    if (this.emergency.length < EMERGENCY_SIZE) this.emergency.push(byte);
    if (!this.blocked) this.flushEmergency();
  }

  private flushEmergency(): void {
    if (this.emergency.length === 0) return;
    const taken = this.backend.transmit(Uint8Array.from(this.emergency));
    this.emergency = this.emergency.slice(taken);
    this.blocked = this.emergency.length > 0;
  }

  // ---- life --------------------------------------------------------------------------------------------------------

  setOpen(open: boolean): void {
    if (open === this.open) return;
    this.open = open;
    this.backend.opened?.(open);
  }

  /** What has not been delivered waits for the next driver. */
  reset(): void {
    this.turns.cancel();
    this.forget();
    this.setOpen(false);
  }

  /** The transmit queue has been reset, with whatever was being sent. */
  forget(): void {
    this.chain = undefined;
    this.sent = 0;
  }

  save(): PortState {
    const backlog = Array.from({ length: this.count }, (_, i) => this.backlog[(this.head + i) % BACKLOG_SIZE]);
    return { backlog, emergency: [...this.emergency], sent: this.sent, open: this.open };
  }

  restore({ backlog, emergency, sent, open }: PortState): void {
    this.head = this.count = 0;
    this.keep(Uint8Array.from(backlog));
    this.emergency = [...emergency];
    this.sent = sent;
    this.open = open;
  }
}
