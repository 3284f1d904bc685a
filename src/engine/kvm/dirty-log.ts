/** The account of written pages (KVM_MEM_LOG_DIRTY_PAGES): the kernel's of what the guest writes, and our own of what devices do. */
import type { DirtyLog } from '../contract.js';
import { ramOffset } from '../ram.js';
import * as A from './abi.js';
import type { KvmVm } from './vm.js';

const PAGE = 4096;

export class KvmDirtyLog implements DirtyLog {
  private readonly vm: KvmVm;
  /** A bit for each page of RAM, regions end to end: what we have written. */
  private ours: Uint8Array | undefined;

  constructor(vm: KvmVm) {
    this.vm = vm;
  }

  start(): void {
    const { vm } = this;
    const { size } = vm.memory;
    const ours = new Uint8Array(Math.ceil(size / PAGE / 8));
    this.ours = ours;
    vm.mapMemory(A.KVM_MEM_LOG_DIRTY_PAGES);
    vm.memory.onChanged = (gpa, length) => {
      const from = ramOffset(size, gpa, length);
      for (let page = Math.floor(from / PAGE); page * PAGE < from + length; page++) ours[page >> 3] |= 1 << (page & 7);
    };
  }

  take(visit: (gpa: number) => void): void {
    const { vm, ours } = this;
    if (ours === undefined) return;
    let first = 0;
    vm.memory.regions.forEach(({ gpa, length }, slot) => {
      const pages = length / PAGE;
      // The kernel writes whole 64-bit words.
      const bitmap = new Uint8Array(Math.ceil(pages / 64) * 8);
      const request = new DataView(new ArrayBuffer(A.SIZE.dirtyLog));
      request.setUint32(0, slot, true);
      request.setBigUint64(8, vm.calls.addressOf(bitmap), true);
      vm.set(A.KVM_GET_DIRTY_LOG, request, 'KVM_GET_DIRTY_LOG');
      for (let page = 0; page < pages; page++) {
        const at = first + page;
        if (((bitmap[page >> 3] >> (page & 7)) | (ours[at >> 3] >> (at & 7))) & 1) visit(gpa + page * PAGE);
      }
      first += pages;
    });
    ours.fill(0);
  }

  stop(): void {
    if (this.ours === undefined) return;
    this.ours = undefined;
    this.vm.memory.onChanged = undefined;
    this.vm.mapMemory();
  }
}
