/** Which x2APIC MSRs exist, and what may be written to them: everything else is #GP(0) (SDM vol. 3, 11.12.1.2, 11.12.1.3). */
import * as R from './registers.js';

/** @param index MSR number - 800h, 0 to FFh, of a register that exists in either mode */
export function x2apicReadable(index: number): boolean {
  switch (index) {
    case R.APIC_APR: // xAPIC only, as are the next three
    case R.APIC_RRD:
    case R.APIC_DFR:
    case R.APIC_ICR_HIGH:
    case R.APIC_EOI: // write-only, as is SELF IPI
    case R.APIC_SELF_IPI:
      return false;
    default:
      return true;
  }
}

/**
 * Whether the value has reserved bits clear. Read-only registers and such as do not exist are not refused here.
 * @param index MSR number - 800h
 * @param low bits 31:0, unsigned
 * @param high bits 63:32
 */
export function x2apicWritable(index: number, low: number, high: number): boolean {
  // Reserved: 13, 17:16 and 31:20. Bit 12, delivery status, is gone in x2APIC mode; old guests write it back.
  if (index === R.APIC_ICR_LOW) return (low & 0xfff3_2000) === 0;
  if (high !== 0) return false;
  switch (index) {
    case R.APIC_EOI:
    case R.APIC_ESR:
      return low === 0;
    case R.APIC_TPR:
    case R.APIC_SELF_IPI:
      return low <= 0xff;
    case R.APIC_SVR:
      return (low & ~0x11ff) === 0;
    case R.APIC_DIVIDE:
      return (low & ~0b1011) === 0;
    case R.APIC_LDR: // read-only in x2APIC mode
    case R.APIC_DFR:
    case R.APIC_ICR_HIGH:
      return false;
    default: {
      const lvt = index - R.APIC_LVT_TIMER;
      // Delivery status (12) and remote IRR (14) are read-only, not reserved.
      return lvt < 0 || lvt > 5 || (low & ~(R.LVT_WRITABLE[lvt] | 0x5000)) === 0;
    }
  }
}
