/**
 * The page that a vCPU shares with the kernel (struct kvm_run), as the machine's thread reads it while the vCPU is out of
 * the guest: what the guest wants, and where the answer goes.
 */
import * as A from './abi.js';

export class RunPage {
  readonly view: DataView;
  private readonly bytes: Uint8Array;

  constructor(buffer: ArrayBuffer) {
    this.view = new DataView(buffer);
    this.bytes = new Uint8Array(buffer);
  }

  get reason(): number {
    return this.view.getUint32(A.RUN_EXIT_REASON, true);
  }

  /** KVM_RUN comes back at once, after completing what the last exit has left to do. */
  set immediateExit(on: boolean) {
    Atomics.store(this.bytes, A.RUN_IMMEDIATE_EXIT, on ? 1 : 0);
  }

  set requestInterruptWindow(on: boolean) {
    this.bytes[A.RUN_REQUEST_INTERRUPT_WINDOW] = on ? 1 : 0;
  }

  /** As of the last exit. */
  get readyForInterrupt(): boolean {
    return this.bytes[A.RUN_READY_FOR_INTERRUPT] !== 0 && this.bytes[A.RUN_IF_FLAG] !== 0;
  }

  get interruptFlag(): boolean {
    return this.bytes[A.RUN_IF_FLAG] !== 0;
  }

  get cr8(): number {
    return this.bytes[A.RUN_CR8];
  }

  set cr8(value: number) {
    this.bytes[A.RUN_CR8] = value;
  }

  // ---- KVM_EXIT_IO ---------------------------------------------------------------------------------------------------
  get isOut(): boolean {
    return this.bytes[A.RUN_IO_DIRECTION] === A.KVM_EXIT_IO_OUT;
  }

  get ioSize(): 1 | 2 | 4 {
    return this.bytes[A.RUN_IO_SIZE] as 1 | 2 | 4;
  }

  get port(): number {
    return this.view.getUint16(A.RUN_IO_PORT, true);
  }

  /** More than one for string instructions. */
  get ioCount(): number {
    return this.view.getUint32(A.RUN_IO_COUNT, true);
  }

  ioValue(index: number, size: 1 | 2 | 4): number {
    return this.get(this.ioData(index, size), size);
  }

  setIoValue(index: number, size: 1 | 2 | 4, value: number): void {
    this.put(this.ioData(index, size), size, value);
  }

  // ---- KVM_EXIT_MMIO -------------------------------------------------------------------------------------------------
  get gpa(): number {
    return this.view.getUint32(A.RUN_MMIO_GPA, true) + this.view.getUint32(A.RUN_MMIO_GPA + 4, true) * 0x1_0000_0000;
  }

  /** Bytes, 1 to 8: an access across pages may come in pieces of any length. */
  get mmioLength(): number {
    return this.view.getUint32(A.RUN_MMIO_LENGTH, true);
  }

  get isWrite(): boolean {
    return this.bytes[A.RUN_MMIO_IS_WRITE] !== 0;
  }

  mmioValue(offset: number, size: 1 | 2 | 4): number {
    return this.get(A.RUN_MMIO_DATA + offset, size);
  }

  setMmioValue(offset: number, size: 1 | 2 | 4, value: number): void {
    this.put(A.RUN_MMIO_DATA + offset, size, value);
  }

  // ---- KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR ------------------------------------------------------------------------
  get msr(): number {
    return this.view.getUint32(A.RUN_MSR_INDEX, true);
  }

  /** KVM_MSR_EXIT_REASON_*. */
  get msrReason(): number {
    return this.view.getUint32(A.RUN_MSR_REASON, true);
  }

  get msrLow(): number {
    return this.view.getUint32(A.RUN_MSR_DATA, true);
  }

  get msrHigh(): number {
    return this.view.getUint32(A.RUN_MSR_DATA + 4, true);
  }

  setMsr(low: number, high: number): void {
    this.view.setUint32(A.RUN_MSR_DATA, low, true);
    this.view.setUint32(A.RUN_MSR_DATA + 4, high, true);
  }

  /** True makes KVM raise #GP(0). */
  set msrRefused(refused: boolean) {
    this.bytes[A.RUN_MSR_ERROR] = refused ? 1 : 0;
  }

  word(offset: number): number {
    return this.view.getUint32(offset, true);
  }

  /** Numbers in hexadecimal that KVM gives with an internal error. */
  get internalData(): string[] {
    const count = Math.min(16, this.word(A.RUN_INTERNAL_NDATA));
    return Array.from({ length: count }, (_, i) =>
      this.view.getBigUint64(A.RUN_INTERNAL_DATA + i * 8, true).toString(16),
    );
  }

  /** The instruction that KVM can't emulate and what follows it, where KVM tells. */
  get unemulated(): Uint8Array {
    if ((this.word(A.RUN_EMULATION_FLAGS) & 1) === 0) return new Uint8Array(0);
    const length = Math.min(15, this.bytes[A.RUN_EMULATION_SIZE]);
    return this.bytes.slice(A.RUN_EMULATION_BYTES, A.RUN_EMULATION_BYTES + length);
  }

  /** The same for messages. */
  get unemulatedText(): string {
    const bytes = [...this.unemulated].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return bytes === '' ? 'an instruction' : `the instruction ${bytes}`;
  }

  private ioData(index: number, size: number): number {
    return Number(this.view.getBigUint64(A.RUN_IO_DATA_OFFSET, true)) + index * size;
  }

  private get(at: number, size: 1 | 2 | 4): number {
    if (size === 1) return this.bytes[at];
    return size === 2 ? this.view.getUint16(at, true) : this.view.getUint32(at, true);
  }

  private put(at: number, size: 1 | 2 | 4, value: number): void {
    if (size === 1) this.bytes[at] = value;
    else if (size === 2) this.view.setUint16(at, value, true);
    else this.view.setUint32(at, value, true);
  }
}
