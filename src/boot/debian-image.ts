/**
 * How a Debian gets onto an empty disk: a script that runs in the debian guest (guest-init.ts), as root there, so that nobody
 * has to be root here. It makes the file system, unpacks the base packages, and lets their own dpkg install everything.
 *
 * It finds below /image: `debs` (the packages), three lists of their file names (`tools`: what mkfs.ext4 needs; `base`: what
 * dpkg needs, in an order that can be unpacked; `order`: all of them), and `files`, which are laid over the system before
 * it is configured.
 */
import { type CpioEntry, withParents, writeCpio } from './cpio.js';

/** The file system's label. */
export const IMAGE_LABEL = 'typevisor-root';

/** Each `step` line says what begins, on standard output; what went wrong is on standard error. */
export const BUILD_SCRIPT = `
set -e
root=/mnt
fail() {
  [ ! -f /image/log ] || tail -n 20 /image/log >&2
  echo "$*" >&2
  exit 1
}
step() { echo "step $*"; }
run() { # a program of the new system; busybox would take its own
  chroot $root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \\
    DEBCONF_NONINTERACTIVE_SEEN=true "$@"
}
unpack() { # list, folder
  while read -r deb; do dpkg-deb -x "/image/debs/$deb" "$2" || fail "The package $deb can't be unpacked."; done <"$1"
}
install() { # words for dpkg
  run /bin/sh -c 'cd /image/debs && exec "$@"' sh "$@" >>/image/log 2>&1
}

step Making the file system
mkdir /stage
unpack /image/tools /stage
mkdir -p /stage/dev
mount --bind /dev /stage/dev
modprobe -q ext4 || true
chroot /stage /sbin/mkfs.ext4 -q -F -L ${IMAGE_LABEL} /dev/vda >/image/log 2>&1 || fail 'The file system could not be made.'
mount -t ext4 -o noatime /dev/vda $root

step Unpacking the base system
# Everything lies below /usr, and these are links: the packages expect it, and not every release's bring the links along.
for directory in bin sbin lib $LIB64; do
  mkdir -p $root/usr/$directory
  ln -s usr/$directory $root/$directory
done
unpack /image/base $root
mkdir -p $root/var/lib/dpkg/updates $root/usr/lib/modules $root/image $root/proc $root/sys $root/dev
touch $root/var/lib/dpkg/status $root/var/lib/dpkg/available
for directory in image dev proc sys; do mount --bind /$directory $root/$directory; done
# Nothing is to be started in here (policy-rc.d of invoke-rc.d(8)).
printf '#!/bin/sh\\nexit 101\\n' >$root/usr/sbin/policy-rc.d
chmod 755 $root/usr/sbin/policy-rc.d
cp -a /image/files/. $root/

step Unpacking the packages
install xargs -a /image/order dpkg --force-depends --force-unsafe-io --force-confold --unpack ||
  fail 'The packages could not be unpacked.'
step Configuring the packages
install dpkg --force-unsafe-io --force-confold --configure -a || fail 'The packages could not be configured.'

step Finishing
install passwd -d root || fail 'The password of root could not be taken away.'
install systemctl enable $SERVICES || fail 'The network could not be enabled.'
# Debian's kernels for machines like ours do without its module.
install systemctl mask proc-sys-fs-binfmt_misc.automount || true
rm $root/usr/sbin/policy-rc.d
# Made at the first boot: each copy of the image is a machine of its own.
: >$root/etc/machine-id
rm -f $root/var/lib/dbus/machine-id
for directory in sys proc dev image; do umount $root/$directory; done
rmdir $root/image
umount $root
chroot /stage /sbin/e2fsck -f -n /dev/vda >/image/log 2>&1 || fail 'The new file system is damaged.'
sync
`;

export interface ImageSystem {
  readonly arch: 'amd64' | 'i386';
  /** Lines of /etc/apt/sources.list. */
  readonly sources: readonly string[];
  /** Lines of apt's configuration: the way to the network. */
  readonly aptSettings: readonly string[];
  readonly services: readonly string[];
}

export interface ImagePackages {
  /** File names, each list in the order in which it is unpacked. */
  readonly tools: readonly string[];
  readonly base: readonly string[];
  readonly all: readonly string[];
  /** The packages by their file names. */
  readonly contents: ReadonlyMap<string, Uint8Array>;
}

/** The command for the guest: `overlayCpio`'s. */
export function buildCommand({ arch, services }: ImageSystem): string {
  const lib64 = arch === 'amd64' ? 'lib64' : '';
  return `LIB64=${lib64} SERVICES='${services.join(' ')}'\n${BUILD_SCRIPT}`;
}

/** The archive with the packages and what is told about the system. */
export function buildArchive(system: ImageSystem, packages: ImagePackages): Uint8Array {
  const encoder = new TextEncoder();
  const file = (path: string, data: Uint8Array | string, mode = 0o644): CpioEntry => ({
    type: 'file',
    path: `image/${path}`,
    mode,
    data: typeof data === 'string' ? encoder.encode(data) : data,
  });
  const list = (path: string, names: readonly string[]) => file(path, names.map((name) => `${name}\n`).join(''));
  return writeCpio(
    withParents([
      list('tools', packages.tools),
      list('base', packages.base),
      list('order', packages.all),
      ...packages.all.map((name) => file(`debs/${name}`, packages.contents.get(name)!)),
      ...Object.entries(systemFiles(system)).map(([path, text]) => file(`files/${path}`, text)),
    ]),
  );
}

function systemFiles({ sources, aptSettings }: ImageSystem): Record<string, string> {
  return {
    'etc/hostname': 'typevisor\n',
    'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 typevisor\n::1 localhost ip6-localhost ip6-loopback\n',
    'etc/fstab': `LABEL=${IMAGE_LABEL} / ext4 errors=remount-ro 0 1\n`,
    'etc/default/locale': 'LANG=C.UTF-8\n',
    'etc/issue.d/typevisor.issue': 'Log in as root; there is no password until passwd sets one.\n\n',
    // A processor of software on a busy host is slower than Debian's patience of 90 s supposes.
    'etc/systemd/system.conf.d/50-patience.conf':
      '[Manager]\nDefaultTimeoutStartSec=900s\nDefaultDeviceTimeoutSec=900s\n',
    'etc/systemd/network/80-ethernet.network': '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n',
    'etc/apt/sources.list': sources.map((line) => `${line}\n`).join(''),
    ...(aptSettings.length > 0 && {
      'etc/apt/apt.conf.d/30typevisor': aptSettings.map((line) => `${line}\n`).join(''),
    }),
  };
}

/** A Debian package (deb(5)) of its two archives, which are compressed as `extension` says: `.gz`. */
export function writeDeb(control: Uint8Array, data: Uint8Array, extension: string): Uint8Array {
  return writeAr([
    ['debian-binary', new TextEncoder().encode('2.0\n')],
    [`control.tar${extension}`, control],
    [`data.tar${extension}`, data],
  ]);
}

const AR_MAGIC = '!<arch>\n';
const AR_HEADER = 60;

/** The archive of ar(5): a header of text before each member, which ends at an even offset. */
function writeAr(members: readonly (readonly [name: string, data: Uint8Array])[]): Uint8Array {
  const even = (length: number) => length + (length & 1);
  const size = members.reduce((sum, [, data]) => sum + AR_HEADER + even(data.length), AR_MAGIC.length);
  const archive = new Uint8Array(size).fill(0x0a);
  const encoder = new TextEncoder();
  archive.set(encoder.encode(AR_MAGIC));
  let at = AR_MAGIC.length;
  for (const [name, data] of members) {
    // Name, time, user, group, mode, size, end.
    const fields = [name.padEnd(16), '0'.padEnd(12), '0'.padEnd(6), '0'.padEnd(6), '100644'.padEnd(8)];
    archive.set(encoder.encode(`${fields.join('')}${String(data.length).padEnd(10)}\`\n`), at);
    archive.set(data, at + AR_HEADER);
    at += AR_HEADER + even(data.length);
  }
  return archive;
}
