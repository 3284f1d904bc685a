/** What is measured: Typevisor and its peers as commands, each with the same kernel, initial RAM disk and command line. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchCache, benchGuest } from './guests.mjs';
import { biosFolder } from './v86.mjs';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const QEMU = 'qemu-system-x86_64';

/** The version that the targets were set against. */
const V86_VERSION = '0.5.462';
const MEMORY = 512;

export const LAUNCHERS = ['ours', 'qemu', 'v86', 'native'];

let v86Folder;
let v86Asked = false;

/**
 * The folder of the v86 package: fetched by npm into the user's cache when it is first wanted, for it is needed by nothing
 * but this comparison. Undefined, with a line that says why, where it can't be had.
 */
function v86Module() {
  if (v86Asked) return v86Folder;
  v86Asked = true;
  const without = (why) => console.log(`Without v86: ${why}`);
  if (biosFolder() === undefined) return without('it needs SeaBIOS (package seabios), which was not found.');
  const folder = join(benchCache(), `v86-${V86_VERSION}`);
  if (!existsSync(folder)) {
    mkdirSync(benchCache(), { recursive: true });
    const work = mkdtempSync(join(benchCache(), '.new-'));
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
    const r = spawnSync(npm, ['install', '--prefix', work, ...flags, `v86@${V86_VERSION}`], { encoding: 'utf8' });
    if (r.status === 0) renameSync(work, folder);
    else {
      rmSync(work, { recursive: true, force: true });
      return without(`npm could not install it: ${(r.error?.message ?? r.stderr).trim().split('\n').at(-1)}`);
    }
  }
  v86Folder = join(folder, 'node_modules', 'v86');
  return v86Folder;
}

/** Names of the launchers that boot this guest. */
export function bootable(arch, wanted) {
  return wanted.filter((who) => {
    if (who === 'v86') return arch === 'i386' && v86Module() !== undefined;
    return who !== 'native';
  });
}

/**
 * The command of a launcher.
 * @param words what /init shall do (programs/init)
 * @param verbose ours tells at its end, on standard error, how many instructions it has executed. `--stats` would tell too,
 *   but it samples where time goes, which takes some.
 */
export function launcher(who, arch, words, verbose = false) {
  const { kernel, initrd } = benchGuest(arch);
  const append = `console=ttyS0 quiet cryptomgr.notests ${words}`;
  if (who === 'ours') {
    const guest = [
      '--engine',
      'soft',
      '--arch',
      arch,
      '--kernel',
      kernel,
      '--initrd',
      initrd,
      '--memory',
      `${MEMORY}M`,
      '--append',
      append,
    ];
    return [process.execPath, CLI, 'run', ...guest, '--no-reboot', ...(verbose ? ['--verbose'] : [])];
  }
  if (who === 'qemu') {
    const machine = ['-accel', 'tcg', '-M', 'pc', '-m', String(MEMORY), '-nodefaults', '-no-reboot'];
    const guest = ['-kernel', kernel, '-initrd', initrd, '-append', append];
    return [QEMU, ...machine, '-display', 'none', '-serial', 'stdio', ...guest];
  }
  const request = { module: v86Module(), kernel, initrd, append, memory: MEMORY * 2 ** 20 };
  return [process.execPath, fileURLToPath(new URL('v86.mjs', import.meta.url)), JSON.stringify(request)];
}
