/** The exits of KVM, one by one: what the guest asked for is asked of the machine, and the answer put where KVM takes it. */
import type { Exit } from '../contract.js';
import * as A from './abi.js';
import { completeInstruction } from './completion.js';
import { debugExit } from './debug.js';
import type { RunPage } from './run-page.js';
import type { KvmVcpu } from './vcpu.js';

/** IA32_APIC_BASE and the x2APIC registers, which KVM refuses where it has no local APIC: the machine has it. */
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;

/** @returns an exit that ends `run`; undefined where the vCPU may go on */
export function completeExit(vcpu: KvmVcpu): Exit | undefined {
  const { page } = vcpu;
  switch (page.reason) {
    case A.KVM_EXIT_IO:
      return port(vcpu, page);
    case A.KVM_EXIT_MMIO:
      return mmio(vcpu, page);
    case A.KVM_EXIT_HLT:
      return vcpu.halt();
    case A.KVM_EXIT_X86_RDMSR:
      return readMsr(vcpu, page);
    case A.KVM_EXIT_X86_WRMSR:
      return writeMsr(vcpu, page);
    case A.KVM_EXIT_INTR:
    case A.KVM_EXIT_IRQ_WINDOW_OPEN:
    case A.KVM_EXIT_SET_TPR:
      return undefined;
    case A.KVM_EXIT_IOAPIC_EOI:
      vcpu.vm.onEoi?.(page.word(A.RUN_EOI_VECTOR) & 0xff);
      return undefined;
    case A.KVM_EXIT_SHUTDOWN:
      return { kind: 'shutdown', detail: 'triple fault' };
    case A.KVM_EXIT_DEBUG:
      return debugExit(page, vcpu.debug);
    case A.KVM_EXIT_SYSTEM_EVENT:
      return { kind: 'error', detail: `The guest asked KVM for system event ${page.word(A.RUN_SYSTEM_EVENT_TYPE)}.` };
    case A.KVM_EXIT_INTERNAL_ERROR:
      return internalError(vcpu, page);
    case A.KVM_EXIT_FAIL_ENTRY:
      return {
        kind: 'error',
        detail: `The processor refuses this guest state (hardware reason 0x${page.word(A.RUN_HARDWARE_REASON).toString(16)}).`,
      };
    default:
      return { kind: 'error', detail: `KVM left with exit ${page.reason}, which Typevisor does not know.` };
  }
}

/** Exits for a port, a register or an MSR: KVM puts what was read where it belongs when it runs the vCPU next. */
export function takesAnswer(reason: number): boolean {
  return (
    reason === A.KVM_EXIT_IO ||
    reason === A.KVM_EXIT_MMIO ||
    reason === A.KVM_EXIT_X86_RDMSR ||
    reason === A.KVM_EXIT_X86_WRMSR
  );
}

function port(vcpu: KvmVcpu, page: RunPage): undefined {
  const { sink } = vcpu.vm;
  // Read before the sink is called: what it does may make KVM write the page.
  const { port, ioSize: size, ioCount: count, isOut } = page;
  for (let i = 0; i < count; i++) {
    if (isOut) sink.portOut(port, size, page.ioValue(i, size));
    else page.setIoValue(i, size, sink.portIn(port, size));
  }
}

function mmio(vcpu: KvmVcpu, page: RunPage): undefined {
  const { sink } = vcpu.vm;
  const { gpa, mmioLength: length, isWrite } = page;
  for (let at = 0; at < length; ) {
    const left = length - at;
    const size = left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (isWrite) sink.mmioWrite(gpa + at, size, page.mmioValue(at, size));
    else page.setMmioValue(at, size, sink.mmioRead(gpa + at, size));
    at += size;
  }
}

/** KVM asks about what its filter holds back and about what it does not know; the rest it has refused with good reason. */
function isAsked(page: RunPage): boolean {
  const { msr } = page;
  return page.msrReason !== A.KVM_MSR_EXIT_REASON_INVAL || (msr >= X2APIC_FIRST && msr <= X2APIC_LAST);
}

function readMsr(vcpu: KvmVcpu, page: RunPage): undefined {
  const value = isAsked(page) ? vcpu.vm.sink.readMsr(vcpu.index, page.msr) : undefined;
  if (value !== undefined) page.setMsr(value.low, value.high);
  page.msrRefused = value === undefined;
}

function writeMsr(vcpu: KvmVcpu, page: RunPage): undefined {
  page.msrRefused = !isAsked(page) || !vcpu.vm.sink.writeMsr(vcpu.index, page.msr, page.msrLow, page.msrHigh);
}

function internalError(vcpu: KvmVcpu, page: RunPage): Exit | undefined {
  const suberror = page.word(A.RUN_INTERNAL_SUBERROR);
  if (suberror !== A.KVM_INTERNAL_ERROR_EMULATION) {
    return {
      kind: 'error',
      detail: `KVM failed (suberror ${suberror}: ${page.internalData.join(' ') || 'no words'}).`,
    };
  }
  if (vcpu.vm.helper !== undefined) return completeInstruction(vcpu, vcpu.vm.helper());
  return { kind: 'error', detail: `KVM can't emulate ${page.unemulatedText}.` };
}
