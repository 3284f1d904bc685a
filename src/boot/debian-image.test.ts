import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readCpio } from './cpio.js';
import { buildArchive, buildCommand, type ImageSystem, writeDeb } from './debian-image.js';

const system: ImageSystem = {
  arch: 'i386',
  sources: ['deb http://deb.debian.org/debian bookworm main'],
  aptSettings: [],
  services: ['systemd-networkd.service'],
};
const packages = {
  tools: ['e2fsprogs.deb'],
  base: ['libc6.deb'],
  all: ['libc6.deb', 'e2fsprogs.deb'],
  contents: new Map([
    ['libc6.deb', Uint8Array.of(1, 2, 3)],
    ['e2fsprogs.deb', Uint8Array.of(4)],
  ]),
};

describe('what the guest that makes a disk is told', () => {
  test('has links for 64-bit libraries only where there are some', () => {
    expect(buildCommand({ ...system, arch: 'amd64' })).toMatch(/^LIB64=lib64 SERVICES='systemd-networkd.service'\n/);
    expect(buildCommand(system)).toMatch(/^LIB64= SERVICES=/);
  });

  test('is a script that a shell can parse', () => {
    expect(spawnSync('sh', ['-n'], { input: buildCommand(system) }).stderr.toString()).toBe('');
  });

  test('lists the packages and holds each of them once, with the files of the new system', () => {
    const entries = readCpio(buildArchive(system, packages));
    const fileAt = (path: string) => {
      const entry = entries.find((e) => e.path === `image/${path}`);
      return entry?.type === 'file' ? new TextDecoder().decode(entry.data) : undefined;
    };
    expect(fileAt('tools')).toBe('e2fsprogs.deb\n');
    expect(fileAt('base')).toBe('libc6.deb\n');
    expect(fileAt('order')).toBe('libc6.deb\ne2fsprogs.deb\n');
    expect(fileAt('debs/libc6.deb')).toBe('\x01\x02\x03');
    expect(entries.filter(({ path }) => path.endsWith('.deb'))).toHaveLength(2);
    expect(fileAt('files/etc/apt/sources.list')).toBe(`${system.sources[0]}\n`);
    expect(fileAt('files/etc/hostname')).toBe('typevisor\n');
    expect(fileAt('files/etc/apt/apt.conf.d/30typevisor')).toBeUndefined();
  });
});

describe.skipIf(spawnSync('dpkg-deb', ['--version']).error !== undefined)(
  'a package that is repacked (with dpkg)',
  () => {
    test('is read by dpkg-deb', () => {
      const folder = mkdtempSync(join(tmpdir(), 'typevisor-deb-'));
      try {
        const tar = (name: string, text: string) => {
          writeFileSync(join(folder, name), text);
          return spawnSync('tar', ['-cz', '-C', folder, `./${name}`]).stdout;
        };
        const control = tar('control', 'Package: odd\nVersion: 1\nArchitecture: i386\nMaintainer: x\nDescription: x\n');
        const data = tar('file', 'hello');
        writeFileSync(join(folder, 'odd.deb'), writeDeb(control, data, '.gz'));
        const field = spawnSync('dpkg-deb', ['-f', join(folder, 'odd.deb'), 'Architecture'], { encoding: 'utf8' });
        expect(field.stdout).toBe('i386\n');
        const list = spawnSync('dpkg-deb', ['-c', join(folder, 'odd.deb')], { encoding: 'utf8' });
        expect(list.stdout).toMatch(/ 5 .* \.\/file$/m);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  },
);
