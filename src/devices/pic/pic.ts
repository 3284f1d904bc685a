/**
 * The PC's two 8259As: the master at 20h-21h, the slave at A0h-A1h whose INT drives the master's input 2, and the
 * edge/level control registers at 4D0h-4D1h (PIIX4 data sheet, 4.2.5).
 */

import { BytePortBlock } from '../byte-ports.js';
import type { IrqLine, Persist, PortDevice } from '../device.js';
import { requireVersion } from '../persist.js';
import { Chip8259, type ChipState } from './chip.js';

const CASCADE_LEVEL = 2;
/** IRQ 0, 1, 2, 8 and 13 are always edge-triggered: their ELCR bits read 0. */
const ELCR_MASTER_MASK = 0xf8;
const ELCR_SLAVE_MASK = 0xde;
/** What an 8259A answers to INTA when the request has gone away (data sheet, "a default IR7"). */
const SPURIOUS_LEVEL = 7;

export interface PicState {
  version: 1;
  master: ChipState;
  slave: ChipState;
  irq2: boolean;
}

export class Pic8259Pair implements Persist<PicState> {
  /** Ports 20h-21h. */
  readonly master: PortDevice;
  /** Ports A0h-A1h. */
  readonly slave: PortDevice;
  /** Ports 4D0h-4D1h. */
  readonly elcr: PortDevice;
  readonly #master: Chip8259;
  readonly #slave: Chip8259;
  readonly #lines: IrqLine[] = [];
  #irq2 = false;
  #intr = false;
  #busy = false;
  #onIntr: ((level: boolean) => void) | undefined;

  constructor() {
    const changed = () => this.#update();
    this.#master = new Chip8259(1 << CASCADE_LEVEL, changed);
    this.#slave = new Chip8259(0, changed);
    const ports = (chip: Chip8259) =>
      new BytePortBlock(
        2,
        (offset) => chip.read(offset),
        (offset, value) => chip.write(offset, value),
      );
    this.master = ports(this.#master);
    this.slave = ports(this.#slave);
    this.elcr = new BytePortBlock(
      2,
      (offset) => (offset === 0 ? this.#master.elcr : this.#slave.elcr),
      (offset, value) => {
        if (offset === 0) this.#master.elcr = value & ELCR_MASTER_MASK;
        else this.#slave.elcr = value & ELCR_SLAVE_MASK;
      },
    );
    for (let n = 0; n < 16; n++) {
      if (n === CASCADE_LEVEL) {
        this.#lines.push({
          set: (level) => {
            this.#irq2 = level;
            this.#update();
          },
        });
      } else {
        const chip = n < 8 ? this.#master : this.#slave;
        this.#lines.push({ set: (level) => chip.setInput(n & 7, level) });
      }
    }
  }

  /**
   * The input of ISA interrupt `n`, 0 to 15. Input 2 is the cascade: driving it by hand is or-ed with the slave's INT, and
   * an INTA then finds nothing in the slave and gives the spurious IRQ 15.
   * @throws RangeError for any other number.
   */
  irq(n: number): IrqLine {
    const line = this.#lines[n];
    if (line === undefined) throw new RangeError(`The PIC pair has inputs 0 to 15, not ${n}.`);
    return line;
  }

  /** Level of the INTR output: something is deliverable. */
  get intr(): boolean {
    return this.#intr;
  }

  /** Calls back on every change of `intr`. One listener; a second call replaces the first. */
  onIntr(callback: (level: boolean) => void): void {
    this.#onIntr = callback;
  }

  /** INTA: the vector of the request that thereby becomes in service; the spurious IRQ 7 or 15 where it has gone away. */
  acknowledge(): number {
    const level = this.#hold(() => this.#master.acknowledge());
    if (level < 0) return this.#master.vector(SPURIOUS_LEVEL);
    if (level !== CASCADE_LEVEL) {
      this.#update();
      return this.#master.vector(level);
    }
    const slaveLevel = this.#hold(() => this.#slave.acknowledge());
    this.#update();
    return this.#slave.vector(slaveLevel < 0 ? SPURIOUS_LEVEL : slaveLevel);
  }

  /** Power-on state. The inputs keep the level that their devices drive. */
  reset(): void {
    this.#slave.reset();
    this.#master.reset();
  }

  save(): PicState {
    return { version: 1, master: this.#master.save(), slave: this.#slave.save(), irq2: this.#irq2 };
  }

  restore(state: PicState): void {
    requireVersion('8259A', state, 1);
    this.#master.restore(state.master);
    this.#slave.restore(state.slave);
    this.#irq2 = state.irq2;
    this.#update();
  }

  /** Runs `action` without looking at the outputs in between: an INTA cycle is one step for both chips. */
  #hold<T>(action: () => T): T {
    this.#busy = true;
    try {
      return action();
    } finally {
      this.#busy = false;
    }
  }

  /** Carries the slave's INT to the master and the master's to the CPU. */
  #update(): void {
    if (this.#busy) return;
    this.#hold(() => this.#master.setInput(CASCADE_LEVEL, this.#irq2 || this.#slave.int));
    const intr = this.#master.int;
    if (intr === this.#intr) return;
    this.#intr = intr;
    this.#onIntr?.(intr);
  }
}
