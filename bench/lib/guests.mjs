/**
 * Guests for measuring: Debian's kernels as the package has them, and an initial RAM disk with busybox, the benchmark
 * program and an /init that obeys kernel words (programs/init). Both launchers get the very same files.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeCpio } from '../../dist/boot/cpio.js';

const PROGRAMS = join(dirname(fileURLToPath(import.meta.url)), '..', 'programs');
export const PACKAGES = {
  amd64: ['linux-image-cloud-amd64', 'busybox-static'],
  i386: ['linux-image-686', 'busybox-static'],
};

function run(command, args, options = {}) {
  const r = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (r.error) throw new Error(`${command} is needed for the benchmarks and did not start: ${r.error.message}`);
  if (r.status !== 0)
    throw new Error(`${command} ${args.join(' ')} failed (${r.status}): ${r.stderr.trim().split('\n').at(-1)}`);
  return r.stdout;
}

function download(arch, directory) {
  const apt = join(directory, `apt-${arch}`);
  for (const d of ['state/lists/partial', 'cache/archives/partial', 'debs'])
    mkdirSync(join(apt, d), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  const options = [
    '-q',
    `APT::Architecture=${arch}`,
    `APT::Architectures=${arch}`,
    `Dir::State=${apt}/state`,
    `Dir::State::status=${apt}/status`,
    `Dir::Cache=${apt}/cache`,
    'Acquire::Languages=none',
    'Debug::NoLocking=1',
    'APT::Sandbox::User=root',
  ].flatMap((o) => (o === '-q' ? [o] : ['-o', o]));
  // A source without this architecture fails the update as a whole; the downloads below tell whether the rest will do.
  spawnSync('apt-get', [...options, 'update']);
  for (const name of PACKAGES[arch]) {
    const depends = run('apt-cache', [...options, 'depends', name]);
    const real = /Depends: (linux-image-[0-9]\S*)/.exec(depends)?.[1] ?? name;
    run('apt-get', [...options, 'download', real], { cwd: join(apt, 'debs') });
  }
  const root = join(apt, 'root');
  for (const deb of readdirSync(join(apt, 'debs'))) run('dpkg-deb', ['-x', join(apt, 'debs', deb), root]);
  const kernel = readdirSync(join(root, 'boot')).find((f) => f.startsWith('vmlinuz-'));
  return {
    kernel: join(root, 'boot', kernel),
    busybox: join(root, 'bin/busybox'),
    modules: join(root, 'lib/modules', kernel.slice('vmlinuz-'.length)),
  };
}

/** What a guest with a virtio disk needs (`vmm.mods`), in an order in which it can be loaded. */
const DISK_MODULES = [
  'virtio',
  'virtio_ring',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_blk',
];

/** The modules that the package has (others are part of the kernel), and a list that /init reads. */
function diskModules(folder) {
  const files = readdirSync(folder, { recursive: true });
  const found = DISK_MODULES.flatMap((name) => {
    const file = files.find((f) => f.endsWith(`/${name}.ko`));
    return file === undefined ? [] : [{ name, data: readFileSync(join(folder, file)) }];
  });
  const order = found.map(({ name }) => `${name}\n`).join('');
  return [
    { path: 'lib/m/order', type: 'file', mode: 0o644, data: new TextEncoder().encode(order) },
    ...found.map(({ name, data }) => ({ path: `lib/m/${name}.ko`, type: 'file', mode: 0o644, data })),
  ];
}

function initramfs(busybox, program, modules) {
  const directories = ['bin', 'sbin', 'dev', 'proc', 'sys', 'tmp', 'etc', 'lib', 'lib/m'];
  return writeCpio([
    ...directories.map((path) => ({ path, type: 'directory', mode: 0o755 })),
    { path: 'dev/console', type: 'char', mode: 0o600, major: 5, minor: 1 },
    ...diskModules(modules),
    { path: 'bin/busybox', type: 'file', mode: 0o755, data: readFileSync(busybox) },
    { path: 'bin/bench', type: 'file', mode: 0o755, data: readFileSync(program) },
    { path: 'bin/applets', type: 'file', mode: 0o644, data: readFileSync(join(PROGRAMS, 'applets')) },
    { path: 'init', type: 'file', mode: 0o755, data: readFileSync(join(PROGRAMS, 'init')) },
  ]);
}

/** Where the guests are kept, and what else is fetched for measuring. */
export const benchCache = () => join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'typevisor', 'bench');

/** Kernel and initrd, and the guest's programs for the host itself: made once and kept in the user's cache. */
export function benchGuest(arch) {
  const key = createHash('sha256');
  key.update(DISK_MODULES.join());
  for (const f of readdirSync(PROGRAMS).sort()) key.update(readFileSync(join(PROGRAMS, f)));
  const cache = benchCache();
  const directory = join(cache, `${arch}-${key.digest('hex').slice(0, 12)}`);
  const guest = {
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd.cpio'),
    program: join(directory, 'bench'),
    busybox: join(directory, 'busybox'),
    applets: join(PROGRAMS, 'applets'),
  };
  if (existsSync(directory)) return guest;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, '.new-'));
  try {
    const found = download(arch, work);
    for (const f of readdirSync(PROGRAMS)) copyFileSync(join(PROGRAMS, f), join(work, f));
    run('make', ['-s', '-C', work, `bench.${arch}`]);
    const ready = join(work, 'ready');
    mkdirSync(ready);
    copyFileSync(found.kernel, join(ready, 'vmlinuz'));
    copyFileSync(join(work, `bench.${arch}`), join(ready, 'bench'));
    copyFileSync(found.busybox, join(ready, 'busybox'));
    writeFileSync(join(ready, 'initrd.cpio'), initramfs(found.busybox, join(ready, 'bench'), found.modules));
    renameSync(ready, directory);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return guest;
}
