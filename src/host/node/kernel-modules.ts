/**
 * Chooses kernel modules for the guest's initial RAM disk, with what they depend on, and writes the indexes that modprobe
 * reads (depmod, which a package's installation would run, never has).
 */

import * as zlib from 'node:zlib';
import { decompress as unzstd } from 'fzstd';
import type { CpioEntry } from '../../boot/cpio.js';
import { unpackXz } from '../../boot/xz.js';
import { loadUnpackModule } from './decompressors.js';
import type { TarFile } from './tar.js';

/** Bumped when the list below changes, so that cached guests are fetched again. */
export const MODULES_VERSION = 1;

/** What our machines can have, and the file systems that people put on their disks. Absent ones may be built in. */
const WANTED = new Set(
  [
    'virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio_rng virtio_balloon virtio_scsi virtio_input virtiofs',
    '9p 9pnet_virtio vmw_vsock_virtio_transport overlay loop af_packet',
    'ext4 isofs vfat fat nls_cp437 nls_ascii nls_utf8 crc32c_generic crc32c_intel',
    'sd_mod sr_mod ahci ata_piix nvme e1000',
  ].flatMap((line) => line.split(' ')),
);

const MAX_MODULE = 64 << 20;

interface Module {
  readonly name: string;
  /** Relative to the release's folder: `kernel/drivers/…/x.ko`. */
  readonly path: string;
  readonly data: Uint8Array;
  readonly depends: readonly string[];
  readonly aliases: readonly string[];
}

const IS_BUILTIN_LIST = /^(usr\/)?lib\/modules\/[^/]+\/modules\.builtin$/;

/** Whether `chooseModules` can use a file of the kernel package: modules, and the list of those that are built in. */
export function isModulePath(path: string): boolean {
  return /^(usr\/)?lib\/modules\/[^/]+\/kernel\/.*\.ko(\.xz|\.zst)?$/.test(path) || IS_BUILTIN_LIST.test(path);
}

/** Entries below `lib/modules/RELEASE` for the wanted modules among `files`. */
export function chooseModules(files: readonly TarFile[], release: string): CpioEntry[] {
  const builtin = files.find((file) => IS_BUILTIN_LIST.test(file.path));
  const paths = new Map(files.map((file) => [moduleName(file.path), file]));
  const chosen = new Map<string, Module>();
  const visited = new Set<string>();
  const add = (name: string): boolean => {
    if (chosen.has(name)) return true;
    const file = paths.get(name);
    // One that is being looked at already depends on itself, which no loader can satisfy.
    if (!file || visited.has(name)) return false;
    visited.add(name);
    const module = readModule(name, file, release);
    for (const needed of module.depends) if (!add(needed)) return false;
    chosen.set(name, module);
    return true;
  };
  for (const name of WANTED) add(name);
  // Dependencies come before their users in `chosen`; depmod lists them the other way round.
  const order = [...chosen.keys()];
  const modules = [...chosen.values()];
  const closure = (module: Module, seen: Set<string>): Set<string> => {
    for (const needed of module.depends) {
      const dependency = chosen.get(needed);
      if (dependency && !seen.has(needed)) closure(dependency, seen.add(needed));
    }
    return seen;
  };
  const dependencies = modules.map((module) => {
    const needed = [...closure(module, new Set())].sort((a, b) => order.indexOf(b) - order.indexOf(a));
    return `${module.path}:${needed.map((name) => ` ${chosen.get(name)?.path}`).join('')}\n`;
  });
  const aliases = modules.flatMap(({ name, aliases }) => aliases.map((alias) => `alias ${alias} ${name}\n`));
  const text = (path: string, lines: readonly string[]): CpioEntry => ({
    type: 'file',
    path: `lib/modules/${release}/${path}`,
    mode: 0o644,
    data: new TextEncoder().encode(lines.join('')),
  });
  return [
    ...modules.map(
      ({ path, data }): CpioEntry => ({ type: 'file', path: `lib/modules/${release}/${path}`, mode: 0o644, data }),
    ),
    text('modules.dep', dependencies),
    text('modules.alias', aliases),
    text('modules.symbols', []),
    text('modules.builtin', [builtin ? new TextDecoder().decode(builtin.data) : '']),
    text('modules.softdep', []),
  ];
}

/** As the kernel calls it: dashes are underscores. */
function moduleName(path: string): string {
  return path
    .replace(/^.*\//, '')
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

function readModule(name: string, file: TarFile, release: string): Module {
  const data = unpackModule(file);
  const info = moduleInfo(data);
  const values = (key: string) =>
    info.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1));
  const depends = values('depends')
    .flatMap((list) => list.split(','))
    .filter((item) => item !== '');
  const path = file.path.replace(/^(usr\/)?lib\/modules\/[^/]+\//, '').replace(/\.ko\.\w+$/, '.ko');
  if (!file.path.includes(`/${release}/`)) throw new Error(`${file.path} does not belong to kernel ${release}`);
  return { name, path, data, depends: depends.map((item) => item.replaceAll('-', '_')), aliases: values('alias') };
}

function unpackModule({ path, data }: TarFile): Uint8Array {
  if (path.endsWith('.xz')) return unpackXz(loadUnpackModule(), data, 0, MAX_MODULE);
  if (path.endsWith('.zst'))
    return typeof zlib.zstdDecompressSync === 'function' ? zlib.zstdDecompressSync(data) : unzstd(data);
  return data;
}

/** The strings of a module's `.modinfo` section (ELF, gABI chapter 4). */
export function moduleInfo(elf: Uint8Array): string[] {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  if (elf.length < 64 || view.getUint32(0, false) !== 0x7f454c46) throw new Error('a kernel module is not an ELF file');
  const wide = elf[4] === 2;
  const word = (at: number) => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const table = word(wide ? 40 : 32);
  const size = view.getUint16(wide ? 58 : 46, true);
  const count = view.getUint16(wide ? 60 : 48, true);
  const names = view.getUint16(wide ? 62 : 50, true);
  const section = (index: number) => {
    const at = table + index * size;
    return { name: view.getUint32(at, true), offset: word(at + (wide ? 24 : 16)), length: word(at + (wide ? 32 : 20)) };
  };
  const strings = section(names);
  const decoder = new TextDecoder();
  for (let i = 0; i < count; i++) {
    const { name, offset, length } = section(i);
    const at = strings.offset + name;
    const end = elf.indexOf(0, at);
    if (decoder.decode(elf.subarray(at, end)) !== '.modinfo') continue;
    return decoder
      .decode(elf.subarray(offset, offset + length))
      .split('\0')
      .filter((line) => line !== '');
  }
  return [];
}
