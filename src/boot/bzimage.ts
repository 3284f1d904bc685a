/**
 * The Linux x86 boot image (bzImage): the setup header, the protected-mode part and the packed vmlinux inside it.
 * Parsing only; `linux.ts` places. Source: the kernel's Documentation/arch/x86/boot.rst, boot protocol 2.02 to 2.15.
 */

import { BootError, hex } from './errors.js';

/** Offsets of the setup header's fields, from the image's first byte and, alike, from that of boot_params. */
export const SetupHeader = {
  setup_sects: 0x1f1,
  syssize: 0x1f4,
  vid_mode: 0x1fa,
  boot_flag: 0x1fe,
  jump: 0x200,
  header: 0x202,
  version: 0x206,
  kernel_version: 0x20e,
  type_of_loader: 0x210,
  loadflags: 0x211,
  code32_start: 0x214,
  ramdisk_image: 0x218,
  ramdisk_size: 0x21c,
  heap_end_ptr: 0x224,
  cmd_line_ptr: 0x228,
  initrd_addr_max: 0x22c,
  kernel_alignment: 0x230,
  relocatable_kernel: 0x234,
  min_alignment: 0x235,
  xloadflags: 0x236,
  cmdline_size: 0x238,
  payload_offset: 0x248,
  payload_length: 0x24c,
  pref_address: 0x258,
  init_size: 0x260,
} as const;

/** "HdrS", the setup header's magic. */
export const HDRS = 0x53726448;
/** loadflags bit 0: the protected-mode code goes to 1 MiB or above (a bzImage, not a zImage). */
export const LOADED_HIGH = 1 << 0;
/** loadflags bit 7: heap_end_ptr is valid. */
export const CAN_USE_HEAP = 1 << 7;
/** xloadflags bit 0: there is a 64-bit entry at code32_start + 0x200. */
export const XLF_KERNEL_64 = 1 << 0;

export interface BzImage {
  /** Boot protocol, as 0x020f for 2.15. */
  readonly version: number;
  /** Bytes from `setup_sects` (0x1f1) to the header's end, to be copied into boot_params. */
  readonly setupHeader: Uint8Array;
  /** What is loaded at 1 MiB or at the preferred address. */
  readonly protectedMode: Uint8Array;
  readonly has64BitEntry: boolean;
  readonly relocatable: boolean;
  /** Bytes; 0 where the header is too old to say. */
  readonly alignment: number;
  readonly prefAddress: number;
  /** Memory that the kernel needs, linearly from its load address, before it reads the memory map. Bytes. */
  readonly initSize: number;
  /** Longest command line in bytes, without the final NUL. */
  readonly commandLineMax: number;
  /** Highest address that the initrd's last byte may have. */
  readonly initrdMax: number;
  /** The packed vmlinux, its 4 bytes of unpacked size at the end included; undefined before protocol 2.08. */
  readonly payload: Uint8Array | undefined;
  /** As in `6.1.0-56-cloud-amd64 (…)`; empty where the image names none. */
  readonly kernelVersion: string;
}

export function isBzImage(bytes: Uint8Array): boolean {
  if (bytes.length < SetupHeader.version + 2) return false;
  return (
    bytes[0x1fe] === 0x55 &&
    bytes[0x1ff] === 0xaa &&
    new DataView(bytes.buffer, bytes.byteOffset).getUint32(SetupHeader.header, true) === HDRS
  );
}

/** Parses a bzImage; all byte arrays are views of `bytes`. @throws BootError on anything malformed or too old. */
export function parseBzImage(bytes: Uint8Array): BzImage {
  if (!isBzImage(bytes))
    throw new BootError('bad-bzimage', 'This is not a Linux bzImage: it has no "HdrS" header at byte 0x202.');
  if (bytes.length < 0x400)
    throw new BootError(
      'truncated',
      `The kernel is truncated: ${bytes.length} bytes cannot hold its setup code; fetch or build it again.`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (at: number) => view.getUint32(at, true);
  const version = view.getUint16(SetupHeader.version, true);
  const name = `${version >> 8}.${(version & 0xff).toString().padStart(2, '0')}`;
  if (version < 0x0202)
    throw new BootError(
      'bad-bzimage',
      `The kernel speaks boot protocol ${name}; 2.02 (Linux 2.4) is the oldest that works here.`,
    );
  if ((bytes[SetupHeader.loadflags] & LOADED_HIGH) === 0) {
    throw new BootError('bad-bzimage', 'The kernel is a zImage, which loads below 1 MiB; build it as a bzImage.');
  }
  const setupSize = ((bytes[SetupHeader.setup_sects] || 4) + 1) * 512;
  const headerEnd = SetupHeader.header + bytes[SetupHeader.jump + 1];
  // Protocol 2.04 made syssize 32 bits wide; before, the upper half held something else.
  const paragraphs = version >= 0x0204 ? u32(SetupHeader.syssize) : view.getUint16(SetupHeader.syssize, true);
  const wanted = setupSize + paragraphs * 16;
  if (setupSize >= bytes.length || (version >= 0x0204 && wanted - 15 > bytes.length)) {
    throw new BootError(
      'truncated',
      `The kernel is truncated: it should have ${wanted} bytes and has ${bytes.length}; fetch or build it again.`,
    );
  }
  if (headerEnd > Math.min(setupSize, 0x290) || headerEnd < SetupHeader.initrd_addr_max) {
    throw new BootError('bad-bzimage', `The kernel's setup header ends at byte ${hex(headerEnd)}, which cannot be.`);
  }
  const since = (protocol: number, at: number) => version >= protocol && at <= headerEnd;
  const protectedMode = bytes.subarray(setupSize, version >= 0x0204 ? Math.min(wanted, bytes.length) : bytes.length);
  const relocatable = since(0x0205, 0x235) && bytes[SetupHeader.relocatable_kernel] !== 0;
  const prefAddress = since(0x020a, 0x260) ? view.getBigUint64(SetupHeader.pref_address, true) : 0x100000n;
  if (prefAddress > 0xffff_ffffn)
    throw new BootError(
      'bad-bzimage',
      `The kernel prefers to lie at ${hex(prefAddress)}, above 4 GiB, which no loader can do.`,
    );
  const alignment = since(0x0205, 0x234) ? u32(SetupHeader.kernel_alignment) : 0;
  if (relocatable && (alignment === 0 || (alignment & (alignment - 1)) !== 0)) {
    throw new BootError(
      'bad-bzimage',
      `The kernel asks for an alignment of ${hex(alignment)}, which is no power of two.`,
    );
  }
  return {
    version,
    setupHeader: bytes.subarray(SetupHeader.setup_sects, headerEnd),
    protectedMode,
    has64BitEntry:
      since(0x020c, 0x238) &&
      (view.getUint16(SetupHeader.xloadflags, true) & XLF_KERNEL_64) !== 0 &&
      protectedMode.length > 0x200,
    relocatable,
    alignment,
    prefAddress: Number(prefAddress),
    initSize: since(0x020a, 0x264) ? u32(SetupHeader.init_size) : 0,
    commandLineMax: since(0x0206, 0x23c) ? u32(SetupHeader.cmdline_size) : 255,
    initrdMax: since(0x0203, 0x230) ? u32(SetupHeader.initrd_addr_max) : 0x37ff_ffff,
    payload: since(0x0208, 0x250)
      ? payloadOf(protectedMode, u32(SetupHeader.payload_offset), u32(SetupHeader.payload_length))
      : undefined,
    kernelVersion: kernelVersion(bytes, view.getUint16(SetupHeader.kernel_version, true), setupSize),
  };
}

function payloadOf(protectedMode: Uint8Array, offset: number, length: number): Uint8Array | undefined {
  if (length === 0) return undefined;
  if (offset + length > protectedMode.length) {
    throw new BootError(
      'truncated',
      'The kernel is truncated: its packed part lies beyond its end; fetch or build it again.',
    );
  }
  return protectedMode.subarray(offset, offset + length);
}

/** `kernel_version` points, less 0x200, to a NUL-terminated string in the setup code. */
function kernelVersion(bytes: Uint8Array, pointer: number, setupSize: number): string {
  if (pointer === 0 || pointer + 0x200 >= setupSize) return '';
  let text = '';
  for (let at = pointer + 0x200; at < setupSize && text.length < 256; at++) {
    if (bytes[at] < 0x20 || bytes[at] > 0x7e) break;
    text += String.fromCharCode(bytes[at]);
  }
  return text;
}
