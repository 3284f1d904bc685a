import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TestMemory } from '../engine/testing.js';
import { loadUnpackModule } from '../host/node/decompressors.js';
import { SetupHeader } from './bzimage.js';
import { pureDecompressors } from './decompress.js';
import { E820Type, pcMemoryMap } from './e820.js';
import { LowMemory } from './entry-state.js';
import { BootError } from './errors.js';
import { type LinuxBoot, parseKernel, planLinux } from './linux.js';
import { applyBoot, type BootPlan } from './plan.js';
import { makeBzImage, makeElf, pvhNote, TestVcpu } from './testing.js';

const MIB = 1 << 20;
const code = new Uint8Array(5000).fill(0x90);
const decompressors = pureDecompressors(loadUnpackModule);
const ram = [{ gpa: 0, length: 64 * MIB }];
const vmlinux64 = makeElf(64, 0x100_0000, [{ paddr: 0x100_0000, bytes: code, memorySize: 0x4000 }]);
const vmlinux32 = makeElf(32, 0x100_0000, [{ paddr: 0x100_0000, bytes: code }]);
const pvh = makeElf(64, 0x100_0000, [{ paddr: 0x100_0000, bytes: code }], pvhNote(0x100_0010));

function plan(file: Uint8Array, options: Partial<LinuxBoot> = {}): BootPlan {
  return planLinux({ kernel: parseKernel(file, decompressors), commandLine: 'console=ttyS0', ram, ...options });
}

function refusal(work: () => unknown): BootError {
  try {
    work();
  } catch (error) {
    if (error instanceof BootError) return error;
    throw error;
  }
  throw new Error('not refused');
}

/** The plan carried out: memory and vCPU. */
function booted(file: Uint8Array, options: Partial<LinuxBoot> = {}) {
  const memory = new TestMemory(64 * MIB);
  const vcpu = new TestVcpu();
  applyBoot(memory, vcpu, plan(file, options));
  const bytes = memory.pieces[0].bytes;
  return { memory, vcpu, bytes, view: new DataView(bytes.buffer), state: vcpu.getState() };
}

const textAt = (bytes: Uint8Array, at: number) => new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)));

describe('entering a kernel', () => {
  it('prefers the PVH entry: 32-bit, paging off, EBX at the start info', () => {
    const { state, view, bytes } = booted(pvh, { initrd: [new Uint8Array([1, 2, 3])], acpiRsdp: 0xe_0000 });
    expect(state).toMatchObject({ rip: 0x100_0010n, cr0: 0x11n, cr4: 0n, efer: 0n, rflags: 2n });
    expect(state.gpr[3]).toBe(BigInt(LowMemory.startInfo));
    expect(state.cs).toEqual({ selector: 0x10, base: 0n, limit: 0xffff_ffff, attributes: 0xc09b });
    const at = LowMemory.startInfo;
    expect(view.getUint32(at, true)).toBe(0x336ec578);
    expect(view.getUint32(at + 4, true)).toBe(1);
    expect(view.getUint32(at + 12, true)).toBe(1);
    const module = Number(view.getBigUint64(at + 16, true));
    const initrd = Number(view.getBigUint64(module, true));
    expect(initrd % 4096).toBe(0);
    expect([...bytes.subarray(initrd, initrd + 3)]).toEqual([1, 2, 3]);
    expect(view.getBigUint64(module + 8, true)).toBe(3n);
    expect(textAt(bytes, Number(view.getBigUint64(at + 24, true)))).toBe('console=ttyS0');
    expect(view.getBigUint64(at + 32, true)).toBe(0xe_0000n);
    const map = Number(view.getBigUint64(at + 40, true));
    expect(view.getUint32(at + 48, true)).toBe(4);
    expect(view.getBigUint64(map + 3 * 24 + 8, true)).toBe(BigInt(63 * MIB));
    expect(view.getUint32(map + 24 + 16, true)).toBe(E820Type.reserved);
  });

  it('enters a 64-bit vmlinux without the note in long mode over an identity map, RSI at boot_params', () => {
    const { state, view } = booted(vmlinux64);
    expect(state).toMatchObject({ rip: 0x100_0000n, cr0: 0x8000_0011n, cr4: 0x20n, efer: 0x500n });
    expect(state.cs.attributes).toBe(0xa09b);
    expect(state.gpr[6]).toBe(BigInt(LowMemory.bootParams));
    // Walk the tables for an address in the fourth GiB.
    const gpa = 0xfee0_0000;
    const entry = (table: number, index: number) => view.getUint32(table + index * 8, true);
    const pdpt = entry(Number(state.cr3), 0) & ~0xfff;
    const directory = entry(pdpt, Math.floor(gpa / 2 ** 30)) & ~0xfff;
    expect(entry(directory, Math.floor(gpa / 2 ** 21) % 512)).toBe(gpa + 0x83);
    // And the descriptor behind CS is a 64-bit one.
    expect(view.getUint8(LowMemory.gdt + 0x10 + 6) & 0x60).toBe(0x20);
  });

  it('enters a 32-bit vmlinux in protected mode, ESI at boot_params', () => {
    const { state, view, bytes } = booted(vmlinux32);
    expect(state).toMatchObject({ rip: 0x100_0000n, cr0: 0x11n, efer: 0n });
    const at = LowMemory.bootParams;
    expect(state.gpr[6]).toBe(BigInt(at));
    expect(view.getUint32(at + SetupHeader.header, true)).toBe(0x53726448);
    expect(textAt(bytes, view.getUint32(at + SetupHeader.cmd_line_ptr, true))).toBe('console=ttyS0');
    expect(view.getUint8(at + 0x1e8)).toBe(4);
    expect(view.getBigUint64(at + 0x2d0 + 8, true)).toBe(0x9_fc00n);
  });

  it('unpacks a bzImage and enters the vmlinux, with its own setup header in boot_params', () => {
    const { state, view } = booted(makeBzImage({ payload: vmlinux32 }));
    expect(state.rip).toBe(0x100_0000n);
    expect(view.getUint32(LowMemory.bootParams + SetupHeader.init_size, true)).toBe(0x20_0000);
    expect(view.getUint8(LowMemory.bootParams + SetupHeader.type_of_loader)).toBe(0xff);
  });

  it('lets a bzImage unpack itself where we cannot, at its preferred address', () => {
    const lzo = new Uint8Array([0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0, 0, 0, 0, 0, 0]);
    const thirtyTwo = booted(makeBzImage({ payload: lzo, prefAddress: 0x200_0000 }));
    expect(thirtyTwo.state).toMatchObject({ rip: 0x200_0000n, efer: 0n });
    expect(thirtyTwo.bytes[0x200_0000]).toBe(0x90);
    const sixtyFour = booted(makeBzImage({ payload: lzo, has64BitEntry: true }));
    expect(sixtyFour.state).toMatchObject({ rip: 0x100_0200n, efer: 0x500n });
    expect(sixtyFour.view.getUint32(LowMemory.bootParams + SetupHeader.code32_start, true)).toBe(0x100_0000);
  });

  it('puts a relocatable bzImage lower where its preferred address is not RAM', () => {
    const file = makeBzImage({ prefAddress: 0x1000_0000 });
    expect(plan(file).entry).toBe(0x20_0000);
    expect(refusal(() => plan(makeBzImage({ prefAddress: 0x1000_0000, relocatable: false }))).code).toBe('outside-ram');
  });

  it('enters as asked, and refuses an entry that the kernel does not have', () => {
    expect(plan(pvh, { enter: 'linux64' }).protocol).toBe('linux64');
    expect(plan(makeBzImage({ payload: pvh, has64BitEntry: true }), { enter: 'self' }).entry).toBe(0x100_0200);
    expect(plan(makeBzImage({ payload: pvh, has64BitEntry: true }), { enter: 'linux32' }).entry).toBe(0x100_0000);
    expect(refusal(() => plan(vmlinux64, { enter: 'pvh' })).code).toBe('no-entry');
    expect(refusal(() => plan(vmlinux32, { enter: 'self' })).code).toBe('no-entry');
    expect(refusal(() => plan(makeBzImage(), { enter: 'linux64' })).code).toBe('no-entry');
  });

  it('refuses a 64-bit kernel on a machine without long mode', () => {
    expect(refusal(() => plan(pvh, { arch: 'i386' })).message).toMatch(/--arch amd64/);
    expect(plan(vmlinux32, { arch: 'i386' }).protocol).toBe('linux32');
  });
});

describe('placing', () => {
  it('refuses segments outside RAM and says how much there is', () => {
    const error = refusal(() => plan(vmlinux64, { ram: [{ gpa: 0, length: 8 * MIB }] }));
    expect(error.code).toBe('outside-ram');
    expect(error.message).toMatch(/segment at 0x1000000 .* 8 MiB of RAM; give the machine more memory\.$/);
  });

  it('refuses segments that overlap one another or the structures in low memory', () => {
    const twice = makeElf(64, 0x100_0000, [
      { paddr: 0x100_0000, bytes: code },
      { paddr: 0x100_1000, bytes: code },
    ]);
    expect(refusal(() => plan(twice)).code).toBe('overlap');
    const low = makeElf(64, 0x1000, [{ paddr: 0x1000, bytes: code }]);
    expect(refusal(() => plan(low)).code).toBe('overlap');
  });

  it('puts the initrd at the top of RAM, in whole pages, below the kernel that is in the way', () => {
    const initrdOf = (p: BootPlan) => p.writes.filter((w) => w.what === 'the initial RAM disk').map((w) => w.gpa);
    expect(initrdOf(plan(vmlinux64, { initrd: [new Uint8Array(5000)] }))).toEqual([64 * MIB - 8192]);
    const high = makeElf(64, 0x3f0_0000, [{ paddr: 0x3f0_0000, bytes: code, memorySize: MIB }]);
    expect(initrdOf(plan(high, { initrd: [new Uint8Array(5000)] }))).toEqual([63 * MIB - 8192]);
    // Pieces follow one another at multiples of four, and empty ones do not count.
    expect(initrdOf(plan(vmlinux64, { initrd: [new Uint8Array(5), new Uint8Array(), new Uint8Array(3)] }))).toEqual([
      64 * MIB - 4096,
      64 * MIB - 4096 + 8,
    ]);
  });

  it('keeps the initrd where the kernel can reach it and off reserved memory', () => {
    const big = [{ gpa: 0, length: 3 * 1024 * MIB }];
    const at = (file: Uint8Array, extra: Partial<LinuxBoot> = {}) =>
      plan(file, { ram: big, initrd: [new Uint8Array(4096)], ...extra }).writes.find(
        (w) => w.what === 'the initial RAM disk',
      )?.gpa;
    expect(at(vmlinux64)).toBe(0x8000_0000 - 4096);
    expect(at(vmlinux32)).toBe(0x3800_0000 - 4096);
    const memoryMap = [
      { gpa: 0, length: 100 * MIB, type: E820Type.ram },
      { gpa: 100 * MIB, length: MIB, type: E820Type.acpi },
    ];
    expect(at(vmlinux64, { memoryMap })).toBe(100 * MIB - 4096);
  });

  it('refuses an initrd that does not fit', () => {
    const error = refusal(() => plan(vmlinux64, { initrd: [new Uint8Array(60 * MIB)] }));
    expect(error.code).toBe('initrd-too-large');
    expect(error.message).toMatch(/60 MiB\) does not fit beside the kernel in 64 MiB/);
  });

  it('leaves room below the initrd for a kernel that unpacks itself', () => {
    const file = makeBzImage({ initSize: 40 * MIB });
    expect(refusal(() => plan(file, { initrd: [new Uint8Array(20 * MIB)] })).code).toBe('initrd-too-large');
    expect(plan(file, { initrd: [new Uint8Array(7 * MIB)] }).entry).toBe(0x100_0000);
  });

  it('refuses command lines that are too long for the kernel, in bytes, or hold a NUL', () => {
    expect(plan(vmlinux64, { commandLine: 'x'.repeat(2047) }).entry).toBe(0x100_0000);
    expect(refusal(() => plan(vmlinux64, { commandLine: 'x'.repeat(2048) })).message).toMatch(
      /2048 bytes .* at most 2047/,
    );
    expect(refusal(() => plan(vmlinux64, { commandLine: 'ü'.repeat(1024) })).code).toBe('bad-command-line');
    expect(refusal(() => plan(makeBzImage({ version: 0x0202 }), { commandLine: 'x'.repeat(256) })).code).toBe(
      'bad-command-line',
    );
    expect(refusal(() => plan(vmlinux64, { commandLine: 'a\0b' })).code).toBe('bad-command-line');
  });

  it('refuses a memory map that the kernel has no room for', () => {
    const memoryMap = Array.from({ length: 129 }, (_, i) => ({ gpa: i * MIB, length: MIB, type: E820Type.ram }));
    for (const file of [pvh, vmlinux64]) expect(refusal(() => plan(file, { memoryMap })).code).toBe('bad-memory-map');
  });

  it('never plans a write outside RAM or over another, whatever the segments', () => {
    const segment = fc.record({
      paddr: fc.integer({ min: 0, max: 20 * MIB }),
      memorySize: fc.integer({ min: 1, max: 8 * MIB }),
    });
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.nat(6 * MIB), (segments, initrd) => {
        const parts = segments.map((s) => ({ ...s, bytes: new Uint8Array(Math.min(s.memorySize, 64)) }));
        let made: BootPlan;
        try {
          const small = [{ gpa: 0, length: 16 * MIB }];
          made = plan(makeElf(64, parts[0].paddr, parts), { ram: small, initrd: [new Uint8Array(initrd)] });
        } catch (error) {
          expect(error).toBeInstanceOf(BootError);
          return;
        }
        const pieces = [...made.writes.map((w) => ({ gpa: w.gpa, length: w.bytes.length })), ...made.zeroes].sort(
          (a, b) => a.gpa - b.gpa,
        );
        pieces.forEach((piece, i) => {
          expect(piece.gpa + piece.length).toBeLessThanOrEqual(i + 1 < pieces.length ? pieces[i + 1].gpa : 16 * MIB);
        });
      }),
      { numRuns: 500 },
    );
  });
});

describe('carrying a plan out', () => {
  it('resets the vCPU first and keeps what the protocol does not set', () => {
    const { vcpu, state } = booted(vmlinux64);
    expect(vcpu.resets).toBe(1);
    expect(state.dr[5]).toBe(0x400n);
    expect(state.activity).toBe('running');
  });

  it('writes no page of zeroes, for memory is zero already', () => {
    const bytes = new Uint8Array(4 * 4096);
    bytes[0] = 1;
    bytes[3 * 4096] = 2;
    const file = makeElf(64, 0x10_0000, [{ paddr: 0x10_0000, bytes, memorySize: 6 * 4096 }]);
    const memory = new TestMemory(4 * MIB);
    const small = [{ gpa: 0, length: 4 * MIB }];
    const boot = plan(file, { ram: small });
    applyBoot(memory, new TestVcpu(), boot);
    const pages = () => memory.written.filter((w) => w.gpa >= 0x10_0000).map((w) => (w.gpa - 0x10_0000) / 4096);
    expect(pages()).toEqual([0, 3]);
    expect(memory.view(0x10_0000, bytes.length)).toEqual(bytes);
  });
});

describe('files that are no kernel', () => {
  const ascii = (text: string) => new TextEncoder().encode(text);
  const at = (offset: number, bytes: Uint8Array) =>
    new Uint8Array([...new Array(offset).fill(0), ...bytes, ...new Array(64).fill(0)]);
  it.each([
    ['an empty file', new Uint8Array(), /is empty/],
    ['an ARM64 Image', at(0x38, ascii('ARMd')), /64-bit ARM Linux kernel/],
    ['gzip data', at(0, new Uint8Array([0x1f, 0x8b])), /gzip data, not an x86 kernel; unpack it first\./],
    ['an ISO image', at(0x8001, ascii('CD001')), /ISO 9660/],
    ['a Windows program', at(0, ascii('MZ')), /Windows or EFI program/],
    ['a cpio archive', at(0, ascii('070701')), /--initrd/],
    ['a qcow2 disk', at(0, new Uint8Array([0x51, 0x46, 0x49, 0xfb])), /qcow2 disk image, .* --disk/],
    ['a Debian package', at(0, ascii('!<arch>\n')), /Debian package/],
    ['a text', ascii('hello\nworld\n'), /looks like text/],
    ['noise', new Uint8Array([1, 2, 3, 250, 251, 0, 9]), /is not one that is known/],
  ])('refuses %s and says what it is', (_name, bytes, message) => {
    const error = refusal(() => parseKernel(bytes, decompressors));
    expect(error.message).toMatch(message);
    expect(error.message.match(/\.(\s|$)/g)).toHaveLength(1);
  });

  it('answers any bytes with a kernel or a BootError', () => {
    const start = fc.constantFrom('', 'MZ', '\x7fELF\x02\x01\x01', '#!', '07070');
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 2000 }), (magic, tail) => {
        try {
          parseKernel(new Uint8Array([...magic].map((c) => c.charCodeAt(0)).concat([...tail])), decompressors);
        } catch (error) {
          expect(error).toBeInstanceOf(BootError);
        }
      }),
    );
  });
});

describe('the memory map of a PC', () => {
  it('reserves the firmware area and leaves the hole to the VGA window', () => {
    expect(
      pcMemoryMap([
        { gpa: 0, length: 16 * MIB },
        { gpa: 2 ** 32, length: MIB },
      ]),
    ).toEqual([
      { gpa: 0, length: 0x9_fc00, type: 1 },
      { gpa: 0x9_fc00, length: 0x400, type: 2 },
      { gpa: 0xe_0000, length: 0x2_0000, type: 2 },
      { gpa: 0x10_0000, length: 15 * MIB, type: 1 },
      { gpa: 2 ** 32, length: MIB, type: 1 },
    ]);
  });
});
