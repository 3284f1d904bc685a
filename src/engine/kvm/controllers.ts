/**
 * The kernel's interrupt controllers (KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2), as a board drives them. Each input of the 8259
 * pair and each pin of the IOAPIC gets a GSI of its own, so that the board's wiring is the board's; GSI 0 is what the
 * kernel's PIT drives: input 0, and pin 2, as on every PC.
 */
import type { EngineControllers } from '../contract.js';
import * as A from './abi.js';
import { KernelInterrupts } from './kernel-interrupts.js';
import type { Route } from './routing.js';
import type { KvmVcpu } from './vcpu.js';
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

export class KernelControllers extends KernelInterrupts implements EngineControllers {
  readonly ioapicPins = PINS;
  private readonly line = new DataView(new ArrayBuffer(A.SIZE.irqLevel));

  constructor(vm: KvmVm, vcpus: readonly KvmVcpu[]) {
    super(vm, vcpus);
    this.routes.set(wiring());
  }

  setPicInput(irq: number, level: boolean): void {
    this.set(GSI_PIC + irq, level);
  }

  setIoapicPin(pin: number, level: boolean): void {
    this.set(GSI_IOAPIC + pin, level);
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
}

function* wiring(): Generator<readonly [gsi: number, routes: readonly Route[]]> {
  const route = (chip: number, pin: number): Route => ({ kind: 'pin', chip, pin });
  yield [0, [route(A.KVM_IRQCHIP_PIC_MASTER, 0), route(A.KVM_IRQCHIP_IOAPIC, TIMER_PIN)]];
  for (let irq = 0; irq < PIC_INPUTS; irq++)
    yield [GSI_PIC + irq, [route(irq < 8 ? A.KVM_IRQCHIP_PIC_MASTER : A.KVM_IRQCHIP_PIC_SLAVE, irq & 7)]];
  for (let pin = 0; pin < PINS; pin++) yield [GSI_IOAPIC + pin, [route(A.KVM_IRQCHIP_IOAPIC, pin)]];
}
