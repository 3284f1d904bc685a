/** What the host's KVM is like, for tests that need it: each is skipped by name where it can't run. */
import { examineKvm, type KvmVerdict } from './choose.js';

export const kvm: KvmVerdict = examineKvm(true);

/** Whether virtual machines can be made here at all. */
export const kvmOpens: boolean = kvm.state === 'tested';

/** For names of tests: why KVM can't be used, or nothing. */
export const kvmAbsence: string = kvm.state === 'tested' ? '' : ` (skipped: ${kvm.text})`;
