/** Says what a file looks like, so that a refusal can name the mistake instead of only refusing. */

interface Signature {
  readonly at: number;
  readonly bytes: readonly number[] | string;
  /** Completes "This looks like …". */
  readonly name: string;
  /** What to do with it, where that is known. */
  readonly advice?: string;
}

const UNPACK_FIRST = 'unpack it first';
const SIGNATURES: readonly Signature[] = [
  { at: 0x38, bytes: 'ARM\x64', name: 'a 64-bit ARM Linux kernel', advice: 'take the x86 kernel' },
  { at: 0x38, bytes: 'RSC\x05', name: 'a RISC-V Linux kernel', advice: 'take the x86 kernel' },
  {
    at: 0x24,
    bytes: [0x18, 0x28, 0x6f, 0x01],
    name: 'a 32-bit ARM Linux kernel (zImage)',
    advice: 'take the x86 kernel',
  },
  { at: 4, bytes: 'zimg', name: 'a Linux kernel packed for EFI (zboot)', advice: 'take the x86 kernel' },
  { at: 0x8001, bytes: 'CD001', name: 'an ISO 9660 disc image', advice: 'give the kernel file from inside it' },
  { at: 0, bytes: [0x1f, 0x8b], name: 'gzip data', advice: UNPACK_FIRST },
  { at: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], name: 'xz data', advice: UNPACK_FIRST },
  { at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], name: 'zstd data', advice: UNPACK_FIRST },
  { at: 0, bytes: [0x04, 0x22, 0x4d, 0x18], name: 'LZ4 data', advice: UNPACK_FIRST },
  { at: 0, bytes: [0x02, 0x21, 0x4c, 0x18], name: 'LZ4 data', advice: UNPACK_FIRST },
  { at: 0, bytes: 'BZh', name: 'bzip2 data', advice: UNPACK_FIRST },
  { at: 0, bytes: 'PK\x03\x04', name: 'a zip archive', advice: UNPACK_FIRST },
  { at: 0, bytes: '070701', name: 'a cpio archive', advice: 'an initial RAM disk goes to --initrd' },
  { at: 0, bytes: '070702', name: 'a cpio archive', advice: 'an initial RAM disk goes to --initrd' },
  {
    at: 0,
    bytes: '!<arch>\n',
    name: 'a Debian package or a static library',
    advice: 'unpack it and take boot/vmlinuz-*',
  },
  { at: 257, bytes: 'ustar', name: 'a tar archive', advice: UNPACK_FIRST },
  { at: 0, bytes: 'QFI\xfb', name: 'a qcow2 disk image', advice: 'a disk goes to --disk' },
  { at: 0, bytes: 'KDMV', name: 'a VMDK disk image', advice: 'a disk goes to --disk' },
  { at: 0, bytes: 'hsqs', name: 'a squashfs file system', advice: 'a disk goes to --disk' },
  { at: 0, bytes: [0xcf, 0xfa, 0xed, 0xfe], name: 'a macOS program' },
  { at: 0, bytes: [0x27, 0x05, 0x19, 0x56], name: 'a U-Boot image' },
  { at: 0, bytes: [0, 0x61, 0x73, 0x6d], name: 'a WebAssembly module' },
  { at: 0, bytes: '#!', name: 'a script' },
  { at: 0, bytes: 'MZ', name: 'a Windows or EFI program', advice: 'take the x86 kernel itself (bzImage or vmlinux)' },
  { at: 0, bytes: [0x7f, 0x45, 0x4c, 0x46], name: 'an ELF file' },
  { at: 0x1fe, bytes: [0x55, 0xaa], name: 'a disk image or a boot sector', advice: 'a disk goes to --disk' },
];

export interface Identity {
  readonly name: string;
  readonly advice?: string;
}

/** What `bytes` look like; undefined for nothing known. */
export function identify(bytes: Uint8Array): Identity | undefined {
  for (const signature of SIGNATURES) {
    if (matches(bytes, signature)) {
      return { name: signature.name, ...(signature.advice === undefined ? {} : { advice: signature.advice }) };
    }
  }
  if (bytes.length > 0 && looksLikeText(bytes.subarray(0, 512))) return { name: 'text' };
  return undefined;
}

function matches(bytes: Uint8Array, { at, bytes: magic }: Signature): boolean {
  if (bytes.length < at + magic.length) return false;
  for (let i = 0; i < magic.length; i++) {
    const wanted = typeof magic === 'string' ? magic.charCodeAt(i) : magic[i];
    if (bytes[at + i] !== wanted) return false;
  }
  return true;
}

function looksLikeText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => (byte >= 0x20 && byte !== 0x7f) || (byte >= 9 && byte <= 13));
}
