/**
 * ELF executables as kernels: the program headers, the entry point and the PVH note. Parsing only; `linux.ts` places.
 *
 * Sources: System V ABI (gABI) chapters 4 and 5; Xen's docs/misc/pvh.pandoc and xen/include/public/elfnote.h for the note.
 */

import { BootError, hex } from './errors.js';

/** One PT_LOAD segment: file bytes to go to `gpa`, then zeroes up to `memorySize`. */
export interface ElfSegment {
  readonly gpa: number;
  readonly memorySize: number;
  readonly bytes: Uint8Array;
}

export interface ElfImage {
  readonly bits: 32 | 64;
  /** Physical address of the entry point. */
  readonly entry: number;
  /** Physical address of the 32-bit PVH entry, where the image has XEN_ELFNOTE_PHYS32_ENTRY. */
  readonly pvhEntry: number | undefined;
  /** In file order, none empty. */
  readonly segments: readonly ElfSegment[];
}

const ELFCLASS32 = 1;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
const ET_REL = 1;
const ET_EXEC = 2;
const ET_DYN = 3;
const EM_386 = 3;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
/** Far more than a kernel has (Linux has five); it bounds the work that a hostile file can ask for. */
const MAX_PROGRAM_HEADERS = 256;
/** Physical addresses have at most 52 bits (SDM vol. 3, 4.1.4). */
const MAX_GPA = 2n ** 52n;

/** Names of `e_machine` that people meet, for the refusal. */
const MACHINES = new Map([
  [2, 'SPARC'],
  [8, 'MIPS'],
  [20, '32-bit PowerPC'],
  [21, '64-bit PowerPC'],
  [22, 'S/390'],
  [40, '32-bit ARM'],
  [50, 'Itanium'],
  [183, '64-bit ARM'],
  [243, 'RISC-V'],
  [258, 'LoongArch'],
]);

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** Parses an x86 ELF executable. The segments' bytes are views of `bytes`. @throws BootError on anything malformed. */
export function parseElf(bytes: Uint8Array): ElfImage {
  if (!isElf(bytes)) throw new BootError('bad-elf', 'This is not an ELF file: it does not begin with 7F 45 4C 46.');
  const header = parseHeader(bytes);
  const { view, bits } = header;
  const segments: (ElfSegment & { vaddr: bigint })[] = [];
  const notes: Uint8Array[] = [];
  for (let i = 0; i < header.phnum; i++) {
    const at = header.phoff + i * header.phentsize;
    const type = view.getUint32(at, true);
    if (type === PT_INTERP) {
      throw new BootError(
        'not-a-kernel',
        'This ELF file is a program for an operating system (it names an interpreter), not a kernel.',
      );
    }
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    const ph = programHeader(view, at, bits);
    const end = ph.offset + ph.fileSize;
    if (end > BigInt(bytes.length)) {
      throw new BootError(
        'truncated',
        `The ELF file is truncated: segment ${i} ends at byte ${end}, the file at byte ${bytes.length}; fetch or build it again.`,
      );
    }
    const data = bytes.subarray(Number(ph.offset), Number(end));
    if (type === PT_NOTE) notes.push(data);
    else if (ph.memorySize > 0n) segments.push(loadSegment(ph, i, data));
  }
  if (segments.length === 0)
    throw new BootError('bad-elf', 'The ELF file has nothing to load (no PT_LOAD segment), so it is not a kernel.');
  const pvhEntry = findPvhEntry(notes);
  if (pvhEntry !== undefined && !segments.some((s) => contains(s, pvhEntry))) {
    throw new BootError('bad-elf', `The ELF file's PVH entry ${hex(pvhEntry)} lies outside its segments.`);
  }
  return {
    bits,
    entry: physicalEntry(header.entry, segments),
    pvhEntry,
    segments: segments.map(({ gpa, memorySize, bytes }) => ({ gpa, memorySize, bytes })),
  };
}

interface Header {
  readonly view: DataView;
  readonly bits: 32 | 64;
  readonly entry: bigint;
  readonly phoff: number;
  readonly phentsize: number;
  readonly phnum: number;
}

function parseHeader(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const elfClass = bytes[4];
  const headerSize = elfClass === ELFCLASS64 ? 64 : 52;
  if (bytes.length < headerSize) {
    throw new BootError(
      'truncated',
      `The ELF file is truncated: its header takes ${headerSize} bytes and the file has ${bytes.length}.`,
    );
  }
  if (elfClass !== ELFCLASS32 && elfClass !== ELFCLASS64)
    throw new BootError('bad-elf', `The ELF header names class ${elfClass}, which does not exist.`);
  if (bytes[5] !== ELFDATA2LSB)
    throw new BootError('wrong-machine', 'The ELF file is big-endian, so it is not for x86.');
  if (bytes[6] !== 1) throw new BootError('bad-elf', `The ELF header has version ${bytes[6]}; only version 1 exists.`);
  const bits = elfClass === ELFCLASS64 ? 64 : 32;
  const type = view.getUint16(16, true);
  const machine = view.getUint16(18, true);
  if (machine !== EM_386 && machine !== EM_X86_64) {
    const name = MACHINES.get(machine) ?? `machine number ${machine}`;
    throw new BootError('wrong-machine', `The ELF file is for ${name}; only x86 kernels can run here.`);
  }
  if ((machine === EM_X86_64) !== (bits === 64))
    throw new BootError(
      'bad-elf',
      `The ELF file mixes a ${bits}-bit class with ${machine === EM_386 ? 'the 386' : 'x86-64'}.`,
    );
  if (type === ET_REL)
    throw new BootError('not-a-kernel', 'The ELF file is an object file or a kernel module, not a kernel.');
  if (type !== ET_EXEC && type !== ET_DYN)
    throw new BootError('not-a-kernel', `The ELF file has type ${type}, not an executable, so it is not a kernel.`);
  const phoff = bits === 64 ? view.getBigUint64(32, true) : BigInt(view.getUint32(28, true));
  const phentsize = view.getUint16(bits === 64 ? 54 : 42, true);
  const phnum = view.getUint16(bits === 64 ? 56 : 44, true);
  const wanted = bits === 64 ? 56 : 32;
  if (phnum === 0) throw new BootError('bad-elf', 'The ELF file has no program headers, so it is not a kernel.');
  if (phentsize !== wanted)
    throw new BootError('bad-elf', `The ELF file's program headers have ${phentsize} bytes each, not ${wanted}.`);
  if (phnum > MAX_PROGRAM_HEADERS)
    throw new BootError(
      'bad-elf',
      `The ELF file has ${phnum} program headers; more than ${MAX_PROGRAM_HEADERS} are refused.`,
    );
  if (phoff + BigInt(phnum * phentsize) > BigInt(bytes.length)) {
    throw new BootError(
      'truncated',
      'The ELF file is truncated: its program headers lie beyond its end; fetch or build it again.',
    );
  }
  const entry = bits === 64 ? view.getBigUint64(24, true) : BigInt(view.getUint32(24, true));
  return { view, bits, entry, phoff: Number(phoff), phentsize, phnum };
}

interface ProgramHeader {
  readonly offset: bigint;
  readonly vaddr: bigint;
  readonly paddr: bigint;
  readonly fileSize: bigint;
  readonly memorySize: bigint;
}

function programHeader(view: DataView, at: number, bits: 32 | 64): ProgramHeader {
  if (bits === 64) {
    const word = (offset: number) => view.getBigUint64(at + offset, true);
    return { offset: word(8), vaddr: word(16), paddr: word(24), fileSize: word(32), memorySize: word(40) };
  }
  const word = (offset: number) => BigInt(view.getUint32(at + offset, true));
  return { offset: word(4), vaddr: word(8), paddr: word(12), fileSize: word(16), memorySize: word(20) };
}

function loadSegment(ph: ProgramHeader, index: number, bytes: Uint8Array): ElfSegment & { vaddr: bigint } {
  if (ph.fileSize > ph.memorySize) {
    throw new BootError(
      'bad-elf',
      `The ELF file's segment ${index} has more bytes in the file (${ph.fileSize}) than in memory (${ph.memorySize}).`,
    );
  }
  if (ph.paddr + ph.memorySize > MAX_GPA) {
    throw new BootError(
      'bad-elf',
      `The ELF file's segment ${index} lies at ${hex(ph.paddr)}, beyond any physical address.`,
    );
  }
  return { gpa: Number(ph.paddr), memorySize: Number(ph.memorySize), bytes, vaddr: ph.vaddr };
}

function contains(segment: ElfSegment, gpa: number): boolean {
  return gpa >= segment.gpa && gpa < segment.gpa + segment.memorySize;
}

/** Linux gives the entry as a physical address; others as a virtual one, which the segment that holds it translates. */
function physicalEntry(entry: bigint, segments: readonly (ElfSegment & { vaddr: bigint })[]): number {
  for (const s of segments) if (entry <= MAX_GPA && contains(s, Number(entry))) return Number(entry);
  for (const s of segments) {
    if (entry >= s.vaddr && entry < s.vaddr + BigInt(s.memorySize)) return s.gpa + Number(entry - s.vaddr);
  }
  throw new BootError('bad-elf', `The ELF file's entry point ${hex(entry)} lies outside its segments.`);
}

/** Walks PT_NOTE segments: namesz, descsz, type, then name and descriptor, each padded to 4 bytes (gABI, "Note Section"). */
function findPvhEntry(notes: readonly Uint8Array[]): number | undefined {
  for (const note of notes) {
    const view = new DataView(note.buffer, note.byteOffset, note.byteLength);
    let at = 0;
    while (at + 12 <= note.length) {
      const nameSize = view.getUint32(at, true);
      const descSize = view.getUint32(at + 4, true);
      const type = view.getUint32(at + 8, true);
      const name = at + 12;
      const desc = name + align4(nameSize);
      const next = desc + align4(descSize);
      if (desc + descSize > note.length)
        throw new BootError('bad-elf', 'The ELF file has a note that runs beyond its segment.');
      if (
        type === XEN_ELFNOTE_PHYS32_ENTRY &&
        nameSize === 4 &&
        view.getUint32(name, true) === 0x006e6558 /* "Xen\0" */
      ) {
        if (descSize === 4) return view.getUint32(desc, true);
        if (descSize === 8 && view.getUint32(desc + 4, true) === 0) return view.getUint32(desc, true);
        throw new BootError('bad-elf', 'The ELF file has a PVH note whose address is not one of 32 bits.');
      }
      at = next;
    }
  }
  return undefined;
}

function align4(size: number): number {
  return Math.ceil(size / 4) * 4;
}
