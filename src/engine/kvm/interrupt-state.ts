/**
 * What the kernel holds of interrupts and time, to be saved and put back: each vCPU's local APIC with what is pending, in
 * delivery or held back there; the chips and the PIT where they are the kernel's; and kvmclock. Kept as the kernel's own
 * structures, for nobody else reads them.
 */
import type { EngineInterruptState } from '../contract.js';
import * as A from './abi.js';
import { knownMsrs, readMsr, writeMsrs } from './state.js';
import type { KvmVcpu } from './vcpu.js';
import type { KvmVm } from './vm.js';

/** Time-stamp counter and its deadline (SDM vol. 4): time, which goes on between two looks at a vCPU's state. */
const MSR_TSC = 0x10;
const MSR_TSC_DEADLINE = 0x6e0;

interface CpuState {
  readonly apicBase: bigint;
  readonly lapic: Uint8Array;
  readonly events: Uint8Array;
  readonly mpState: number;
  readonly tsc: bigint;
  readonly tscDeadline: bigint | undefined;
}

export interface KvmInterruptState extends EngineInterruptState {
  readonly version: 1;
  readonly cpus: readonly CpuState[];
  /** struct kvm_irqchip: both 8259s and the IOAPIC; none where they are the machine's. */
  readonly chips: readonly Uint8Array[];
  readonly pit: Uint8Array | undefined;
  /** kvmclock in ns. */
  readonly clock: bigint;
}

const CHIPS = [A.KVM_IRQCHIP_PIC_MASTER, A.KVM_IRQCHIP_PIC_SLAVE, A.KVM_IRQCHIP_IOAPIC];

/** The vCPUs are out of the guest. */
export function saveInterrupts(vm: KvmVm, vcpus: readonly KvmVcpu[]): KvmInterruptState {
  const whole = vm.irqchip === 'kernel';
  const get = (request: number, bytes: Uint8Array, what: string) => {
    vm.calls.ioctlBytes(vm.fd, request, bytes, what);
    return bytes;
  };
  const chips = (whole ? CHIPS : []).map((chip) => {
    const bytes = new Uint8Array(A.SIZE.irqchip);
    bytes[0] = chip;
    return get(A.KVM_GET_IRQCHIP, bytes, 'KVM_GET_IRQCHIP');
  });
  const pit = whole ? get(A.KVM_GET_PIT2, new Uint8Array(A.SIZE.pitState), 'KVM_GET_PIT2') : undefined;
  const clock = get(A.KVM_GET_CLOCK, new Uint8Array(A.SIZE.clock), 'KVM_GET_CLOCK');
  return {
    version: 1,
    cpus: vcpus.map((vcpu) => saveCpu(vm, vcpu)),
    chips,
    pit,
    clock: new DataView(clock.buffer).getBigUint64(0, true),
  };
}

/** Into a machine of the same make, whose vCPUs have their registers by now. @throws RangeError where it is of another */
export function restoreInterrupts(vm: KvmVm, vcpus: readonly KvmVcpu[], state: EngineInterruptState): void {
  const { version, cpus, chips, pit, clock } = state as KvmInterruptState;
  if (version !== 1) throw new RangeError(`The interrupt controllers' state has version ${version}, not 1.`);
  if (cpus.length !== vcpus.length)
    throw new RangeError(`The snapshot has ${cpus.length} vCPUs; this machine has ${vcpus.length}.`);
  if (chips.length > 0 !== (vm.irqchip === 'kernel'))
    throw new RangeError('The snapshot has its interrupt controllers elsewhere than this machine.');
  const set = (request: number, bytes: Uint8Array, what: string) =>
    vm.calls.ioctlBytes(vm.fd, request, bytes.slice(), what);
  // Time first, for timers are started by it; the chips before the local APICs, which they would interrupt.
  const time = new DataView(new ArrayBuffer(A.SIZE.clock));
  time.setBigUint64(0, clock, true);
  vm.set(A.KVM_SET_CLOCK, time, 'KVM_SET_CLOCK');
  for (const chip of chips) set(A.KVM_SET_IRQCHIP, chip, 'KVM_SET_IRQCHIP');
  if (pit !== undefined) set(A.KVM_SET_PIT2, pit, 'KVM_SET_PIT2');
  vcpus.forEach((vcpu, i) => {
    restoreCpu(vm, vcpu, cpus[i]);
  });
}

function saveCpu(vm: KvmVm, { fd }: KvmVcpu): CpuState {
  const { calls, state } = vm;
  const get = (request: number, length: number, what: string) => {
    const bytes = new Uint8Array(length);
    calls.ioctlBytes(fd, request, bytes, what);
    return bytes;
  };
  // First, as it has the kernel take what INIT and SIPI have left pending.
  const [mpState] = get(A.KVM_GET_MP_STATE, A.SIZE.mpState, 'KVM_GET_MP_STATE');
  const deadline = knownMsrs(calls, fd, [MSR_TSC_DEADLINE]).length > 0;
  return {
    mpState,
    apicBase: state.readApicBase(fd),
    events: get(A.KVM_GET_VCPU_EVENTS, A.SIZE.events, 'KVM_GET_VCPU_EVENTS'),
    lapic: get(A.KVM_GET_LAPIC, A.SIZE.lapic, 'KVM_GET_LAPIC'),
    tsc: readMsr(calls, fd, MSR_TSC),
    tscDeadline: deadline ? readMsr(calls, fd, MSR_TSC_DEADLINE) : undefined,
  };
}

function restoreCpu(vm: KvmVm, vcpu: KvmVcpu, saved: CpuState): void {
  const { calls, state } = vm;
  const { fd } = vcpu;
  state.writeApicBase(fd, saved.apicBase);
  writeMsrs(calls, fd, [[MSR_TSC, saved.tsc]]);
  calls.ioctlBytes(fd, A.KVM_SET_LAPIC, saved.lapic.slice(), 'KVM_SET_LAPIC');
  // The deadline arms the local APIC's timer, so both must be there.
  if (saved.tscDeadline !== undefined) writeMsrs(calls, fd, [[MSR_TSC_DEADLINE, saved.tscDeadline]]);
  const events = saved.events.slice();
  new DataView(events.buffer).setUint32(A.EVENTS_FLAGS, A.KVM_VCPUEVENT_ALL, true);
  calls.ioctlBytes(fd, A.KVM_SET_VCPU_EVENTS, events, 'KVM_SET_VCPU_EVENTS');
  vcpu.restoreMpState(saved.mpState);
}
