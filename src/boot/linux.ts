/**
 * Booting a Linux kernel (or any kernel with a PVH entry): takes the parsed image, chooses how to enter it, and places it
 * with its initial RAM disk, command line and memory map. The preference is: the unpacked vmlinux through its PVH entry;
 * else through its startup_64 or startup_32 with boot_params; else the bzImage as it is, which unpacks itself.
 *
 * A vmlinux placed at its link address needs no relocation, so address randomisation, which the unpacker does, is off.
 */

import { type BzImage, isBzImage, parseBzImage } from './bzimage.js';
import { canUnpack, type Decompressors, detectCompression, unpackPayload } from './decompress.js';
import { type E820Entry, E820Type, pcMemoryMap } from './e820.js';
import { type ElfImage, isElf, parseElf } from './elf.js';
import { gdt, identityPageTables, LowMemory, linux32State, linux64State, pvhState } from './entry-state.js';
import { BootError, formatBytes, hex } from './errors.js';
import { bootParams, type Handover, pvhStartInfo } from './handover.js';
import { identify } from './identify.js';
import {
  type BootPlan,
  type BootProtocol,
  type BootWrite,
  type BootZeroes,
  checkPlacement,
  type RamRange,
} from './plan.js';

/** A kernel, parsed. At least one of `elf` and `bzImage` is there. */
export interface Kernel {
  /** The vmlinux: the file itself, or unpacked out of the bzImage. */
  readonly elf: ElfImage | undefined;
  readonly bzImage: BzImage | undefined;
  readonly bits: 32 | 64;
  /** How the payload is packed, where there is one. */
  readonly compression: string | undefined;
}

/** Parses a kernel file: vmlinux or bzImage. @throws BootError that says what the file looks like instead. */
export function parseKernel(file: Uint8Array, decompressors: Decompressors): Kernel {
  if (file.length === 0)
    throw new BootError('truncated', 'The kernel file is empty; give a Linux bzImage or an ELF vmlinux.');
  if (isElf(file)) {
    const elf = parseElf(file);
    return { elf, bzImage: undefined, bits: elf.bits, compression: undefined };
  }
  if (!isBzImage(file)) throw foreign(file);
  const bzImage = parseBzImage(file);
  const compression = bzImage.payload && detectCompression(bzImage.payload);
  let elf: ElfImage | undefined;
  if (bzImage.payload && compression && canUnpack(compression)) {
    const unpacked = unpackPayload(bzImage.payload, decompressors);
    // Something else than an ELF file in there is the guest's own business.
    if (isElf(unpacked)) elf = parseElf(unpacked);
  }
  return { elf, bzImage, bits: elf?.bits ?? (bzImage.has64BitEntry ? 64 : 32), compression };
}

function foreign(file: Uint8Array): BootError {
  const identity = identify(file);
  const what = identity ? `looks like ${identity.name}` : 'is not one that is known';
  const advice = identity?.advice ?? 'give a Linux bzImage or an ELF vmlinux for x86';
  return new BootError('not-a-kernel', `The kernel file ${what}, not an x86 kernel; ${advice}.`);
}

export interface LinuxBoot {
  readonly kernel: Kernel;
  /** Pieces of the initial RAM disk, placed one after another, each padded to four bytes. */
  readonly initrd?: readonly Uint8Array[];
  readonly commandLine: string;
  readonly ram: readonly RamRange[];
  /** Default: the usual PC's map over `ram`. Only its RAM entries get the initrd. */
  readonly memoryMap?: readonly E820Entry[];
  /** Where the board has put the ACPI root pointer. Default 0: the kernel searches below 1 MiB. */
  readonly acpiRsdp?: number;
  /** The processor: 'i386' has no long mode. Default amd64. */
  readonly arch?: 'amd64' | 'i386';
  /** Default: the best that the kernel offers. 'self' makes a bzImage unpack itself. */
  readonly enter?: BootProtocol | 'self';
}

const PAGE = 4096;
/** Without a header that says more, what a 32-bit kernel maps directly (boot.rst, initrd_addr_max before 2.03). */
const LOWMEM_END = 0x3800_0000;
const INITRD_END_64 = 0x8000_0000;
/** COMMAND_LINE_SIZE of x86, less the NUL. */
const COMMAND_LINE_MAX = 2047;

/** Decides everything about a boot without touching a machine. @throws BootError */
export function planLinux(boot: LinuxBoot): BootPlan {
  const { kernel, ram } = boot;
  if (kernel.bits === 64 && boot.arch === 'i386') {
    throw new BootError(
      'wrong-machine',
      'The kernel is a 64-bit one and the machine is i386; run it with --arch amd64, or give a 32-bit kernel.',
    );
  }
  const memoryMap = boot.memoryMap ?? pcMemoryMap(ram);
  const commandLine = encodeCommandLine(boot.commandLine, kernel.bzImage?.commandLineMax ?? COMMAND_LINE_MAX);
  const placed = chooseEntry(boot);
  checkPlacement(placed.occupied, ram);
  const initrd = placeInitrd(boot, memoryMap, placed);
  const handover: Handover = {
    commandLineGpa: LowMemory.commandLine,
    initrd:
      initrd.length === 0 ? undefined : { gpa: initrd[0].gpa, size: endOf(initrd[initrd.length - 1]) - initrd[0].gpa },
    memoryMap,
    acpiRsdp: boot.acpiRsdp ?? 0,
  };
  const long = placed.protocol === 'linux64';
  const writes: BootWrite[] = [
    ...placed.writes,
    ...initrd,
    { gpa: LowMemory.gdt, bytes: gdt(long), what: "the loader's segment table" },
    { gpa: LowMemory.commandLine, bytes: commandLine, what: 'the command line' },
  ];
  if (placed.protocol === 'pvh')
    writes.push({ gpa: LowMemory.startInfo, bytes: pvhStartInfo(handover), what: 'the PVH start info' });
  else {
    const page = bootParams(kernel.bzImage, kernel.bits, placed.loadGpa, handover);
    writes.push({ gpa: LowMemory.bootParams, bytes: page, what: 'the boot parameters' });
  }
  if (long) writes.push({ gpa: LowMemory.pageTables, bytes: identityPageTables(), what: "the loader's page tables" });
  const pieces = [...writes.map(({ gpa, bytes, what }) => ({ gpa, length: bytes.length, what })), ...placed.zeroes];
  checkPlacement(pieces, ram);
  const { protocol, entry, description, zeroes } = placed;
  const cpu = { pvh: pvhState, linux64: linux64State, linux32: linux32State }[protocol](entry);
  return { protocol, description, entry, writes, zeroes, cpu };
}

interface PlacedKernel {
  readonly protocol: BootProtocol;
  readonly entry: number;
  readonly description: string;
  readonly loadGpa: number;
  readonly writes: readonly BootWrite[];
  readonly zeroes: readonly BootZeroes[];
  /** All that the kernel takes before it reads the memory map, `writes` and `zeroes` included. */
  readonly occupied: readonly (RamRange & { readonly what: string })[];
}

function chooseEntry({ kernel, enter, ram }: LinuxBoot): PlacedKernel {
  const { elf, bzImage, bits } = kernel;
  if (elf && enter !== 'self') {
    if (elf.pvhEntry !== undefined && (enter === undefined || enter === 'pvh')) {
      return placeElf(elf, 'pvh', elf.pvhEntry, `vmlinux through its PVH entry ${hex(elf.pvhEntry)}`);
    }
    const protocol = bits === 64 ? 'linux64' : 'linux32';
    if (enter === undefined || enter === protocol) {
      return placeElf(elf, protocol, elf.entry, `vmlinux through its ${bits}-bit entry ${hex(elf.entry)}`);
    }
  }
  if (bzImage && enter !== 'pvh') return placeBzImage(bzImage, enter, ram);
  throw new BootError(
    'no-entry',
    `The kernel has no ${enter} entry; leave the choice to the loader, or give another kernel.`,
  );
}

function placeElf(elf: ElfImage, protocol: BootProtocol, entry: number, description: string): PlacedKernel {
  const writes: BootWrite[] = [];
  const zeroes: BootZeroes[] = [];
  for (const { gpa, bytes, memorySize } of elf.segments) {
    const what = `the kernel's segment at ${hex(gpa)}`;
    if (bytes.length > 0) writes.push({ gpa, bytes, what });
    if (memorySize > bytes.length) zeroes.push({ gpa: gpa + bytes.length, length: memorySize - bytes.length, what });
  }
  const occupied = elf.segments.map(({ gpa, memorySize }) => ({
    gpa,
    length: memorySize,
    what: `the kernel's segment at ${hex(gpa)}`,
  }));
  const loadGpa = Math.min(...elf.segments.map((s) => s.gpa));
  return { protocol, entry, description, loadGpa, writes, zeroes, occupied };
}

function placeBzImage(image: BzImage, enter: LinuxBoot['enter'], ram: readonly RamRange[]): PlacedKernel {
  const length = Math.max(image.initSize, image.protectedMode.length);
  let loadGpa = image.prefAddress;
  if (image.relocatable && !fits(loadGpa, length, ram)) {
    // The lowest address that it may have; whether that is in RAM is checked with everything else.
    loadGpa = Math.ceil(0x10_0000 / image.alignment) * image.alignment;
  }
  const protocol = image.has64BitEntry && enter !== 'linux32' ? 'linux64' : 'linux32';
  if (enter === 'linux64' && protocol !== 'linux64')
    throw new BootError('no-entry', 'The kernel has no 64-bit entry; leave the choice to the loader.');
  const entry = protocol === 'linux64' ? loadGpa + 0x200 : loadGpa;
  return {
    protocol,
    entry,
    description: `bzImage, unpacking itself, through its ${protocol === 'linux64' ? 64 : 32}-bit entry ${hex(entry)}`,
    loadGpa,
    writes: [{ gpa: loadGpa, bytes: image.protectedMode, what: 'the kernel' }],
    zeroes: [],
    occupied: [{ gpa: loadGpa, length, what: 'the kernel' }],
  };
}

function fits(gpa: number, length: number, ram: readonly RamRange[]): boolean {
  return ram.some((r) => gpa >= r.gpa && gpa + length <= r.gpa + r.length);
}

/** At the top of RAM, as high as the kernel allows, in whole pages, clear of the kernel. */
function placeInitrd(boot: LinuxBoot, memoryMap: readonly E820Entry[], placed: PlacedKernel): BootWrite[] {
  const pieces = (boot.initrd ?? []).filter((piece) => piece.length > 0);
  if (pieces.length === 0) return [];
  const size = pieces.reduce((sum, piece) => align(sum, 4) + piece.length, 0);
  const { bits, bzImage } = boot.kernel;
  const end = Math.min((bzImage?.initrdMax ?? 0xffff_ffff) + 1, bits === 64 ? INITRD_END_64 : LOWMEM_END);
  const gpa = highestFree(size, end, memoryMap, placed.occupied);
  if (gpa === undefined) {
    const total = boot.ram.reduce((sum, r) => sum + r.length, 0);
    throw new BootError(
      'initrd-too-large',
      `The initial RAM disk (${formatBytes(size)}) does not fit beside the kernel in ${formatBytes(total)} of RAM below ${hex(end)}; ` +
        'give the machine more memory, or a smaller initrd.',
    );
  }
  const writes: BootWrite[] = [];
  let at = gpa;
  for (const bytes of pieces) {
    at = gpa + align(at - gpa, 4);
    writes.push({ gpa: at, bytes, what: 'the initial RAM disk' });
    at += bytes.length;
  }
  return writes;
}

/** The highest page-aligned place for `size` bytes in RAM from 1 MiB to `end`, off the occupied pieces. */
function highestFree(
  size: number,
  end: number,
  map: readonly E820Entry[],
  occupied: readonly RamRange[],
): number | undefined {
  let best: number | undefined;
  for (const range of map) {
    if (range.type !== E820Type.ram) continue;
    const bottom = Math.max(range.gpa, 0x10_0000);
    let gpa = Math.floor((Math.min(range.gpa + range.length, end) - size) / PAGE) * PAGE;
    for (let moved = true; moved && gpa >= bottom; ) {
      moved = false;
      for (const o of occupied) {
        if (gpa < o.gpa + o.length && o.gpa < gpa + size) {
          gpa = Math.floor((o.gpa - size) / PAGE) * PAGE;
          moved = true;
        }
      }
    }
    if (gpa >= bottom && (best === undefined || gpa > best)) best = gpa;
  }
  return best;
}

function encodeCommandLine(text: string, max: number): Uint8Array {
  if (text.includes('\0'))
    throw new BootError(
      'bad-command-line',
      'The kernel command line has a NUL character in it; take it out of --append.',
    );
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > max) {
    throw new BootError(
      'bad-command-line',
      `The kernel command line has ${bytes.length} bytes and this kernel takes at most ${max}; shorten --append.`,
    );
  }
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}

function endOf(write: BootWrite): number {
  return write.gpa + write.bytes.length;
}

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
