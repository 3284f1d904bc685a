/** The initial RAM disk of the guest that we build: busybox with its applets, /init and kernel modules. */

import { type CpioEntry, withParents, writeCpio } from './cpio.js';
import { crc32 } from './crc32.js';
import { DHCP_SCRIPT, INIT_SCRIPT } from './guest-init.js';

const encoder = new TextEncoder();

/** busybox's own would signal PID 1, which is a shell script here; these act at once. */
const DIRECT = ['poweroff', 'reboot', 'halt'];

const FILES: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  'etc/group': 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n',
  'etc/hostname': 'typevisor\n',
  'etc/hosts': '127.0.0.1 localhost typevisor\n::1 localhost\n',
  'etc/profile': [
    'export PATH=/usr/sbin:/usr/bin:/sbin:/bin ENV=/etc/profile',
    "export PS1='\\u@\\h:\\w\\$ '",
    // The shell would take its own applets, whatever lies on the PATH.
    ...DIRECT.map((name) => `${name}() { /bin/busybox ${name} -f; }`),
    '',
  ].join('\n'),
};

/** Changes whenever an initial RAM disk built by an older version of this file should be built again. */
export function initramfsVersion(): string {
  return crc32(buildInitramfs(new Uint8Array(), [])).toString(16).padStart(8, '0');
}

/**
 * Packs it, uncompressed: inflating takes the guest longer than copying.
 * @param busybox the static program
 * @param modules entries below `lib/modules/`
 */
export function buildInitramfs(busybox: Uint8Array, modules: readonly CpioEntry[]): Uint8Array {
  const files: CpioEntry[] = Object.entries(FILES).map(([path, text]) => ({
    type: 'file',
    path,
    mode: 0o644,
    data: encoder.encode(text),
  }));
  return writeCpio(withParents([...fixedEntries(busybox), ...applets(busybox), ...files, ...modules]));
}

function fixedEntries(busybox: Uint8Array): CpioEntry[] {
  const directories = ['bin', 'dev', 'etc', 'lib', 'mnt', 'proc', 'run', 'sys', 'usr', 'var'];
  const script = (path: string, text: string): CpioEntry => ({
    type: 'file',
    path,
    mode: 0o755,
    data: encoder.encode(text),
  });
  return [
    ...directories.map((path): CpioEntry => ({ type: 'directory', path, mode: 0o755 })),
    { type: 'directory', path: 'root', mode: 0o700 },
    { type: 'directory', path: 'tmp', mode: 0o1777 },
    { type: 'symlink', path: 'sbin', mode: 0o777, target: 'bin' },
    { type: 'symlink', path: 'usr/bin', mode: 0o777, target: '../bin' },
    { type: 'symlink', path: 'usr/sbin', mode: 0o777, target: '../bin' },
    { type: 'symlink', path: 'var/run', mode: 0o777, target: '../run' },
    { type: 'char', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { type: 'char', path: 'dev/null', mode: 0o666, major: 1, minor: 3 },
    script('init', INIT_SCRIPT),
    script('etc/udhcpc/default.script', DHCP_SCRIPT),
    { type: 'file', path: 'bin/busybox', mode: 0o755, data: busybox },
    ...DIRECT.map((name) => script(`bin/${name}`, `#!/bin/sh\nexec /bin/busybox ${name} -f\n`)),
  ];
}

function applets(busybox: Uint8Array): CpioEntry[] {
  const names = appletNames(busybox).filter((name) => !DIRECT.includes(name) && name !== 'busybox');
  return names.map((name): CpioEntry => ({ type: 'symlink', path: `bin/${name}`, mode: 0o777, target: 'busybox' }));
}

/**
 * The names that a busybox program answers to. It keeps them as one sorted run of NUL-terminated strings that begins with
 * `[` and `[[`; read from the file, they can be had for a processor that is not the host's.
 */
export function appletNames(busybox: Uint8Array): string[] {
  const start = find(busybox, encoder.encode('\0[\0[['));
  const names: string[] = [];
  if (start < 0) return names;
  const decoder = new TextDecoder();
  for (let at = start + 1; at < busybox.length && names.length < 1000; ) {
    const end = busybox.indexOf(0, at);
    if (end <= at) break;
    const name = decoder.decode(busybox.subarray(at, end));
    if (!/^[\w.[+-]{1,32}$/.test(name)) break;
    names.push(name);
    at = end + 1;
  }
  return names;
}

function find(bytes: Uint8Array, pattern: Uint8Array): number {
  for (let at = bytes.indexOf(pattern[0]); at >= 0; at = bytes.indexOf(pattern[0], at + 1)) {
    let i = 1;
    while (i < pattern.length && bytes[at + i] === pattern[i]) i++;
    // A name of its own, and not the beginning of a longer one.
    if (i === pattern.length && bytes[at + i] === 0) return at;
  }
  return -1;
}
