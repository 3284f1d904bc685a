/**
 * The kernel's interrupt controllers (KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2), as a board drives them. Each input of the 8259
 * pair and each pin of the IOAPIC gets a GSI of its own, so that the board's wiring is the board's; GSI 0 is what the
 * kernel's PIT drives: input 0, and pin 2, as on every PC.
 */
import type { EngineControllers } from '../contract.js';
import * as A from './abi.js';
import type { KvmVm } from './vm.js';

const PINS = 24;
const TIMER_PIN = 2;
/** First GSI of the inputs of the 8259 pair, and of the IOAPIC's pins. */
const GSI_PIC = 32;
const GSI_IOAPIC = 64;
const PIC_INPUTS = 16;
/** struct kvm_irqchip: the chip's state; struct kvm_pic_state: the edge/level control register. */
const CHIP_STATE = 8;
const PIC_ELCR = 14;

export class KernelControllers implements EngineControllers {
  readonly ioapicPins = PINS;
  private readonly vm: KvmVm;
  private readonly line = new DataView(new ArrayBuffer(A.SIZE.irqLevel));

  constructor(vm: KvmVm) {
    this.vm = vm;
    this.route();
  }

  setPicInput(irq: number, level: boolean): void {
    this.set(GSI_PIC + irq, level);
  }

  setIoapicPin(pin: number, level: boolean): void {
    this.set(GSI_IOAPIC + pin, level);
  }

  signalMsi(address: number, data: number): void {
    this.vm.signalMsi(address, data);
  }

  setLevelInputs(mask: number): void {
    const { vm } = this;
    for (const chip of [A.KVM_IRQCHIP_PIC_MASTER, A.KVM_IRQCHIP_PIC_SLAVE]) {
      const state = new DataView(new ArrayBuffer(A.SIZE.irqchip));
      state.setUint32(0, chip, true);
      vm.set(A.KVM_GET_IRQCHIP, state, 'KVM_GET_IRQCHIP');
      state.setUint8(CHIP_STATE + PIC_ELCR, (mask >> (8 * chip)) & 0xff);
      vm.set(A.KVM_SET_IRQCHIP, state, 'KVM_SET_IRQCHIP');
    }
  }

  private set(gsi: number, level: boolean): void {
    this.line.setUint32(0, gsi, true);
    this.line.setUint32(4, level ? 1 : 0, true);
    this.vm.set(A.KVM_IRQ_LINE, this.line, 'KVM_IRQ_LINE');
  }

  private route(): void {
    const entries: [gsi: number, chip: number, pin: number][] = [
      [0, A.KVM_IRQCHIP_PIC_MASTER, 0],
      [0, A.KVM_IRQCHIP_IOAPIC, TIMER_PIN],
    ];
    for (let irq = 0; irq < PIC_INPUTS; irq++)
      entries.push([GSI_PIC + irq, irq < 8 ? A.KVM_IRQCHIP_PIC_MASTER : A.KVM_IRQCHIP_PIC_SLAVE, irq & 7]);
    for (let pin = 0; pin < PINS; pin++) entries.push([GSI_IOAPIC + pin, A.KVM_IRQCHIP_IOAPIC, pin]);
    const table = new DataView(new ArrayBuffer(A.SIZE.routing + entries.length * A.SIZE.routingEntry));
    table.setUint32(0, entries.length, true);
    entries.forEach(([gsi, chip, pin], i) => {
      const at = A.SIZE.routing + i * A.SIZE.routingEntry;
      table.setUint32(at, gsi, true);
      table.setUint32(at + 4, A.KVM_IRQ_ROUTING_IRQCHIP, true);
      table.setUint32(at + 16, chip, true);
      table.setUint32(at + 20, pin, true);
    });
    this.vm.set(A.KVM_SET_GSI_ROUTING, table, 'KVM_SET_GSI_ROUTING');
  }
}
