import { describe, expect, it } from 'vitest';
import { chooseModules, isModulePath, moduleInfo } from './kernel-modules.js';
import type { TarFile } from './tar.js';

const RELEASE = '6.1.0-test';

/** An ELF object with a .modinfo section and nothing else. */
function moduleFile(bits: 32 | 64, info: readonly string[]): Uint8Array {
  const wide = bits === 64;
  const names = Buffer.from('\0.shstrtab\0.modinfo\0');
  const data = Buffer.from(info.map((line) => `${line}\0`).join('\0\0'));
  const headerSize = wide ? 64 : 52;
  const sectionSize = wide ? 64 : 40;
  const table = headerSize + names.length + data.length;
  const file = Buffer.alloc(table + 3 * sectionSize);
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  const word = (at: number, value: number) =>
    wide ? file.writeBigUInt64LE(BigInt(value), at) : file.writeUInt32LE(value, at);
  word(wide ? 40 : 32, table);
  file.writeUInt16LE(sectionSize, wide ? 58 : 46);
  file.writeUInt16LE(3, wide ? 60 : 48);
  file.writeUInt16LE(1, wide ? 62 : 50);
  file.set(names, headerSize);
  file.set(data, headerSize + names.length);
  const section = (index: number, name: number, offset: number, length: number) => {
    const at = table + index * sectionSize;
    file.writeUInt32LE(name, at);
    word(at + (wide ? 24 : 16), offset);
    word(at + (wide ? 32 : 20), length);
  };
  section(1, 1, headerSize, names.length);
  section(2, 11, headerSize + names.length, data.length);
  return new Uint8Array(file);
}

const file = (path: string, info: readonly string[]): TarFile => ({
  path: `lib/modules/${RELEASE}/kernel/${path}`,
  data: moduleFile(64, info),
});

describe('kernel modules', () => {
  it('reads .modinfo of 32-bit and 64-bit modules', () => {
    for (const bits of [32, 64] as const)
      expect(moduleInfo(moduleFile(bits, ['depends=a,b', 'license=GPL']))).toEqual(['depends=a,b', 'license=GPL']);
  });

  it('takes wanted modules with all that they depend on, and writes the indexes of modprobe', () => {
    const entries = chooseModules(
      [
        file('drivers/virtio/virtio_pci.ko', ['depends=virtio-ring,virtio', 'alias=pci:v00001AF4d*']),
        file('drivers/virtio/virtio_ring.ko', ['depends=']),
        file('drivers/virtio/virtio.ko', ['depends=virtio-ring']),
        file('drivers/sound/unwanted.ko', ['depends=']),
        file('fs/overlayfs/overlay.ko', ['depends=is_not_there']),
        { path: `lib/modules/${RELEASE}/modules.builtin`, data: new TextEncoder().encode('kernel/fs/ext4/ext4.ko\n') },
      ],
      RELEASE,
    );
    const root = `lib/modules/${RELEASE}`;
    const text = (path: string) => {
      const entry = entries.find((e) => e.path === `${root}/${path}`);
      return entry?.type === 'file' ? new TextDecoder().decode(entry.data) : undefined;
    };
    expect(entries.filter((e) => e.path.endsWith('.ko')).map((e) => e.path.replace(/.*\//, ''))).toEqual([
      'virtio_ring.ko',
      'virtio.ko',
      'virtio_pci.ko',
    ]);
    const v = 'kernel/drivers/virtio';
    expect(text('modules.dep')).toBe(
      `${v}/virtio_ring.ko:\n${v}/virtio.ko: ${v}/virtio_ring.ko\n${v}/virtio_pci.ko: ${v}/virtio.ko ${v}/virtio_ring.ko\n`,
    );
    expect(text('modules.alias')).toBe('alias pci:v00001AF4d* virtio_pci\n');
    expect(text('modules.builtin')).toBe('kernel/fs/ext4/ext4.ko\n');
  });

  it('survives modules that depend on one another in a circle', () => {
    expect(() =>
      chooseModules([file('a/loop.ko', ['depends=overlay']), file('a/overlay.ko', ['depends=loop'])], RELEASE),
    ).not.toThrow();
  });

  it('knows module files by their path, packed or not', () => {
    expect(isModulePath('lib/modules/6.1/kernel/fs/x.ko')).toBe(true);
    expect(isModulePath('usr/lib/modules/6.12/kernel/fs/x.ko.xz')).toBe(true);
    expect(isModulePath('lib/modules/6.1/modules.builtin')).toBe(true);
    expect(isModulePath('boot/vmlinuz-6.1')).toBe(false);
  });
});
