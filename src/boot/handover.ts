/**
 * What the loader tells the kernel: Linux's boot_params ("zero page", Documentation/arch/x86/zero-page.rst) and PVH's
 * hvm_start_info (Xen's xen/include/public/arch-x86/hvm/start_info.h).
 */

import { type BzImage, CAN_USE_HEAP, HDRS, LOADED_HIGH, SetupHeader, XLF_KERNEL_64 } from './bzimage.js';
import type { E820Entry } from './e820.js';
import { LowMemory } from './entry-state.js';
import { BootError } from './errors.js';

export interface Handover {
  readonly commandLineGpa: number;
  readonly initrd: { readonly gpa: number; readonly size: number } | undefined;
  readonly memoryMap: readonly E820Entry[];
  /** Where the ACPI root pointer lies; 0 makes the kernel look for it below 1 MiB. */
  readonly acpiRsdp: number;
}

const ACPI_RSDP_ADDR = 0x070;
const E820_ENTRIES = 0x1e8;
const E820_TABLE = 0x2d0;
/** E820_MAX_ENTRIES_ZEROPAGE; Linux's PVH entry copies into the same table. */
const E820_MAX = 128;
const LOADER_UNDEFINED = 0xff;
const VIDEO_NORMAL = 0xffff;

/** boot_params, one page. `image` is undefined for a vmlinux that came without a bzImage: then its header is made up. */
export function bootParams(image: BzImage | undefined, bits: 32 | 64, loadGpa: number, handover: Handover): Uint8Array {
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  if (image) page.set(image.setupHeader, SetupHeader.setup_sects);
  else {
    view.setUint16(SetupHeader.boot_flag, 0xaa55, true);
    view.setUint32(SetupHeader.header, HDRS, true);
    view.setUint16(SetupHeader.version, 0x020f, true);
    view.setUint32(SetupHeader.kernel_alignment, 0x100_0000, true);
    view.setUint16(SetupHeader.xloadflags, bits === 64 ? XLF_KERNEL_64 : 0, true);
    view.setUint32(SetupHeader.cmdline_size, 2047, true);
    view.setUint32(SetupHeader.initrd_addr_max, 0x7fff_ffff, true);
  }
  view.setUint16(SetupHeader.vid_mode, VIDEO_NORMAL, true);
  view.setUint8(SetupHeader.type_of_loader, LOADER_UNDEFINED);
  view.setUint8(SetupHeader.loadflags, (page[SetupHeader.loadflags] | LOADED_HIGH) & ~CAN_USE_HEAP);
  view.setUint32(SetupHeader.code32_start, loadGpa, true);
  view.setUint32(SetupHeader.cmd_line_ptr, handover.commandLineGpa, true);
  if (handover.initrd) {
    view.setUint32(SetupHeader.ramdisk_image, handover.initrd.gpa, true);
    view.setUint32(SetupHeader.ramdisk_size, handover.initrd.size, true);
  }
  setU64(view, ACPI_RSDP_ADDR, handover.acpiRsdp);
  const map = checkedMap(handover.memoryMap);
  view.setUint8(E820_ENTRIES, map.length);
  map.forEach((entry, i) => {
    const at = E820_TABLE + i * 20;
    setU64(view, at, entry.gpa);
    setU64(view, at + 8, entry.length);
    view.setUint32(at + 16, entry.type, true);
  });
  return page;
}

const START_MAGIC = 0x336ec578;
const MODULE_LIST = 0x40;
const MEMORY_MAP = 0x80;

/** hvm_start_info version 1 with its module list and memory map behind it, to lie at LowMemory.startInfo. */
export function pvhStartInfo(handover: Handover): Uint8Array {
  const map = checkedMap(handover.memoryMap);
  const bytes = new Uint8Array(MEMORY_MAP + map.length * 24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, START_MAGIC, true);
  view.setUint32(4, 1, true);
  setU64(view, 24, handover.commandLineGpa);
  setU64(view, 32, handover.acpiRsdp);
  setU64(view, 40, LowMemory.startInfo + MEMORY_MAP);
  view.setUint32(48, map.length, true);
  if (handover.initrd) {
    view.setUint32(12, 1, true);
    setU64(view, 16, LowMemory.startInfo + MODULE_LIST);
    setU64(view, MODULE_LIST, handover.initrd.gpa);
    setU64(view, MODULE_LIST + 8, handover.initrd.size);
  }
  map.forEach((entry, i) => {
    const at = MEMORY_MAP + i * 24;
    setU64(view, at, entry.gpa);
    setU64(view, at + 8, entry.length);
    view.setUint32(at + 16, entry.type, true);
  });
  return bytes;
}

function checkedMap(map: readonly E820Entry[]): readonly E820Entry[] {
  if (map.length > E820_MAX) {
    throw new BootError(
      'bad-memory-map',
      `The memory map has ${map.length} entries; a kernel takes at most ${E820_MAX}.`,
    );
  }
  return map;
}

function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}
