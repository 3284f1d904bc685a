/**
 * The first program of the guest that we build ourselves (kernel, busybox and this), and how a run tells it what to do.
 *
 * Ports: ttyS0 is the kernel's console. A command's standard input and output are on ttyS1, its standard error on ttyS3
 * (with a terminal: everything on ttyS1). ttyS2 carries lines of control: from the guest `ready` when it takes input and
 * `exit N` when the command has ended; to the guest `size ROWS COLUMNS` whenever the window has changed.
 *
 * A run hands its command over as a second, tiny archive behind the cached one (`overlayCpio`), since the kernel's command
 * line holds only 2047 bytes. Kernel command line words:
 *   tv.do=shell|report|poweroff|reboot|none   what to do without a command (default shell); vmm.do= is the same
 *   tv.root=auto|none|DEVICE|LABEL=L|UUID=U   the disk whose system takes over from tv.do=shell; auto (the default) is the first
 *                                             disk or partition with a /sbin/init
 *   tv.size=ROWSxCOLUMNS                      the console's window
 *   tv.mods=a,b                               modules to load besides those of the PCI devices that are there
 *   tv.mark                                   print `BOOT-OK <uptime>` first, for measuring
 */

import { type CpioEntry, withParents, writeCpio } from './cpio.js';

/** busybox ash. Forks are what costs time here, so it reads and writes files with the shell's own means where it can. */
export const INIT_SCRIPT = `#!/bin/busybox sh
# Typevisor's guest: the first program. See src/boot/guest-init.ts for what it can be told.
/bin/busybox mount -t proc proc /proc
set -f
read -r words </proc/cmdline
DO=shell ROOT=auto SIZE= SHARES= UNSERVED= MODULES= COMMAND= TERMINAL= STDIN= DIR=/root
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux PS1='\\u@\\h:\\w\\$ '
for word in $words; do
  case $word in
    tv.mark) read -r up rest </proc/uptime; echo "BOOT-OK $up" ;;
    tv.do=*|vmm.do=*) DO=\${word#*=} ;;
    tv.root=*) ROOT=\${word#*=} ;;
    tv.size=*) SIZE=\${word#*=} ;;
    tv.mods=*) MODULES=\${word#*=} ;;
  esac
done
set +f
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
echo typevisor >/proc/sys/kernel/hostname
ip link set lo up
if [ -f /tv/config ]; then . /tv/config; fi

# Modules: those of the PCI devices (bridges need none), then those of the virtio devices that have appeared thereby.
modules() { # bus directory
  list=
  for device in "$1"/*/modalias; do
    [ -f "$device" ] || continue
    read -r alias <"$device"
    case $alias in *bc06sc*) ;; *) list="$list $alias" ;; esac
  done
  [ -z "$list" ] || modprobe -a -q $list 2>/dev/null
}
modules /sys/bus/pci/devices
[ ! -d /sys/bus/virtio ] || modules /sys/bus/virtio/devices
if [ -n "$MODULES" ]; then IFS=,; modprobe -a $MODULES; unset IFS; fi

has_system() { # device: mounted read-only on /newroot where it has a first program
  [ -b "$1" ] || return 1
  # Looking changes nothing: without its journal's being replayed first.
  mount -t ext4 -o ro,noload "$1" /newroot 2>/dev/null || mount -o ro "$1" /newroot 2>/dev/null || return 1
  # A link may lead to a place that is right only once this is the root.
  if [ -x /newroot/sbin/init ] || [ -L /newroot/sbin/init ]; then
    umount /newroot
    mount -t ext4 -o ro "$1" /newroot 2>/dev/null || mount -o ro "$1" /newroot
    return
  fi
  umount /newroot
  return 1
}
# The system on a disk, read-only: its own first program checks it and makes it writable. The network is its affair, too.
boot_disk() {
  case $ROOT in
    none) return ;;
    auto) set -- /dev/vd? /dev/vd?[0-9]* ;;
    *=*) set -- $(findfs "$ROOT") ;;
    *) set -- "$ROOT" ;;
  esac
  modprobe -q ext4 2>/dev/null
  mkdir -p /newroot
  for device in "$@"; do
    has_system "$device" || continue
    # The kernel's modules, where the disk has none that fit.
    release=$(uname -r)
    if [ -d /newroot/lib/modules ] && [ ! -d "/newroot/lib/modules/$release" ]; then
      mount -t tmpfs -o mode=755 modules /newroot/lib/modules
      cp -r "/lib/modules/$release" /newroot/lib/modules/
    fi
    umount /dev/pts
    for directory in proc sys dev; do mount --move /$directory /newroot/$directory; done
    exec switch_root -c /dev/console /newroot /sbin/init
  done
  [ "$ROOT" = auto ] || echo "There is no system on $ROOT; this is the initial RAM disk."
}
case $COMMAND$DO in
  report|poweroff|reboot|none|short*|long*) ;;
  *) boot_disk ;;
esac

# Cards get what the network gives them: at once where it answers, else in the background, for as long as it takes. On a cable
# to another machine nobody answers as a rule, and nobody waits.
for card in /sys/class/net/eth*; do
  [ -e "$card" ] || continue
  card=\${card##*/}
  ip link set "$card" up
  case " $UNSERVED " in
    *" $card "*) udhcpc -i "$card" -b -q -S -t 2 -T 1 </dev/null >/dev/null 2>&1 & ;;
    *) udhcpc -i "$card" -b -q -S -t 2 -T 1 </dev/null >/dev/null 2>&1 ;;
  esac
done

# Shared folders: each by its tag below /mnt.
for tag in $SHARES; do
  modprobe -q 9p
  mkdir -p "/mnt/$tag"
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 "$tag" "/mnt/$tag" ||
    echo "The shared folder $tag can't be mounted: does this kernel have 9p?"
done

resize() { # device: SIZE is ROWSxCOLUMNS
  case $SIZE in *x*) stty -F "$1" rows "\${SIZE%x*}" cols "\${SIZE#*x}" ;; esac
}
control() { # device whose window follows the lines on ttyS2
  exec </dev/ttyS2 || return
  stty raw -echo 115200
  while read -r verb a b; do
    case $verb in size) stty -F "$1" rows "$a" cols "$b" ;; esac
  done
}
ready() { # the other side may send input from now on
  echo ready >&5
}
finish() { # status
  echo "exit $1" >&5
  stty raw <&5 # Waits for the output, as it sets the line.
  poweroff -f
}
run() { # the command, in a session of its own, with the descriptors that it has been given
  cd "$DIR" 2>/dev/null || cd /
  if [ "$COMMAND" = long ]; then exec setsid sh /tv/command; else exec setsid sh -c "$(cat /tv/command)"; fi
}
on_terminal() {
  exec 4<>/dev/ttyS1 # Held open, or it would forget its size.
  stty sane 115200 <&4
  resize /dev/ttyS1
  control /dev/ttyS1 2>/dev/null 4>&- 5>&- &
  ready
  # The terminal that the leader of a session opens becomes its controlling terminal. In the foreground, for a shell's
  # background jobs are deaf to ^C; the trap keeps the first program from dying of it, too.
  export DIR COMMAND
  trap : INT
  setsid sh -c 'exec <>/dev/ttyS1 >&0 2>&1
    cd "$DIR" 2>/dev/null || cd /
    if [ "$COMMAND" = long ]; then exec sh /tv/command; else exec sh -c "$(cat /tv/command)"; fi' 4>&- 5>&- 2>/dev/null
  status=$?
  stty sane <&4
  finish $status
}
on_pipes() {
  exec 4</dev/ttyS1 # Held open, or input that comes early would be lost.
  # Input comes in lines that ^D may end, with ^V before a byte that is ^D or ^V itself: so it has an end, and any byte passes.
  # RTS holds the other side back while the buffer is full.
  stty raw -echo 115200 crtscts icanon iexten eof ^D lnext ^V erase undef kill undef werase undef rprnt undef eol undef eol2 undef <&4
  stty -F /dev/ttyS3 raw -echo 115200
  mkfifo /tv/out /tv/err
  cat /tv/out >/dev/ttyS1 4<&- 5>&- & out=$!
  cat /tv/err >/dev/ttyS3 4<&- 5>&- & err=$!
  if [ -n "$STDIN" ]; then
    mkfifo /tv/in
    cat /dev/ttyS1 >/tv/in 4<&- 5>&- &
  else
    ln -s /dev/null /tv/in
  fi
  ready
  # What busybox's poweroff, reboot and halt send to the first program.
  trap 'poweroff -f' USR2
  trap 'reboot -f' TERM
  trap 'halt -f' USR1
  run </tv/in >/tv/out 2>/tv/err 4<&- 5>&- &
  wait $!
  status=$?
  # Whatever the command left running would hold the pipes open.
  for process in /proc/[0-9]*; do
    process=\${process#/proc/}
    case $process in 1|$out|$err) ;; *) kill -9 "$process" ;; esac
  done
  exec 4<&- # The last to close a port waits until its output is out.
  wait $out $err
  finish $status
}

if [ -n "$COMMAND" ]; then
  exec 5<>/dev/ttyS2 2>/dev/null # What the shell itself says of ended processes is for nobody.
  stty raw -echo 115200 <&5
  if [ -n "$TERMINAL" ]; then on_terminal; else on_pipes; fi
fi
case $DO in
  report)
    uname -a
    free -m
    poweroff -f ;;
  poweroff) poweroff -f ;;
  reboot) reboot -f ;;
  none) ;;
  *)
    resize /dev/console
    control /dev/console 2>/dev/null &
    cd /root
    setsid cttyhack sh -l
    poweroff -f ;;
esac
while :; do sleep 100000; done
`;

/** What udhcpc runs when it has news: `etc/udhcpc/default.script`, where Debian's busybox looks for it. */
export const DHCP_SCRIPT = `#!/bin/busybox sh
# busybox's udhcpc tells by words and variables.
case $1 in
  deconfig)
    ip -4 addr flush dev "$interface"
    ip link set "$interface" up ;;
  bound|renew)
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/\${mask:-24}" broadcast "\${broadcast:-+}" dev "$interface"
    for gateway in $router; do ip route add default via "$gateway" dev "$interface" && break; done
    {
      [ -z "$domain" ] || echo "search $domain"
      for server in $dns; do echo "nameserver $server"; done
    } >/etc/resolv.conf ;;
esac
`;

/** What a run asks of the guest. */
export interface GuestTask {
  /** Run by /bin/sh -c; may be of any length. Without it the guest does what `tv.do` says. */
  readonly command?: string;
  /** The command gets a terminal (ttyS1, in its usual cooked mode) instead of three pipes. */
  readonly terminal?: boolean;
  /** Whether there will be standard input (see `encodeStdin`). Without, the command reads /dev/null. Pipes only. */
  readonly stdin?: boolean;
  readonly size?: { readonly rows: number; readonly columns: number };
  /** Default /root. */
  readonly directory?: string;
  /** Tags of shared folders, which appear below /mnt. */
  readonly shares?: readonly string[];
  /** Network cards, `eth0` and so on, on whose networks nobody has promised to serve addresses. */
  readonly unserved?: readonly string[];
  /** Environment variables, TERM among them. Names that no shell takes are left out. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Longest single argument that Linux passes on (MAX_ARG_STRLEN, 32 pages), with room to spare. */
const ARGUMENT_MAX = 100_000;

/** The archive to put behind the guest's own initial RAM disk. */
export function overlayCpio(task: GuestTask): Uint8Array {
  const encoder = new TextEncoder();
  const lines: string[] = [];
  for (const [name, value] of Object.entries(task.environment ?? {})) {
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !value.includes('\0')) lines.push(`export ${name}=${quote(value)}`);
  }
  const entries: CpioEntry[] = [];
  if (task.size) lines.push(`SIZE=${Math.trunc(task.size.rows)}x${Math.trunc(task.size.columns)}`);
  if (task.shares?.length) lines.push(`SHARES=${quote(task.shares.join(' '))}`);
  if (task.unserved?.length) lines.push(`UNSERVED=${quote(task.unserved.join(' '))}`);
  if (task.directory !== undefined) lines.push(`DIR=${quote(task.directory)}`);
  if (task.command !== undefined) {
    const command = encoder.encode(task.command.endsWith('\n') ? task.command : `${task.command}\n`);
    lines.push(`COMMAND=${command.length > ARGUMENT_MAX ? 'long' : 'short'}`);
    if (task.terminal) lines.push('TERMINAL=1');
    if (task.stdin) lines.push('STDIN=1');
    entries.push({ type: 'file', path: 'tv/command', mode: 0o600, data: command });
  }
  entries.push({ type: 'file', path: 'tv/config', mode: 0o600, data: encoder.encode(`${lines.join('\n')}\n`) });
  return writeCpio(withParents(entries));
}

/** One word of shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** A command from a list of words: one word is a shell command as it stands, several are quoted each. */
export function shellCommand(words: readonly string[]): string {
  return words.length === 1
    ? words[0]
    : words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : quote(word))).join(' ');
}

const EOF = 0x04;
const LITERAL_NEXT = 0x16;
/** The guest's terminal holds 4095 bytes of an unfinished line; a ^D finishes it well before. */
const STDIN_PIECE = 1024;

/** Bytes for ttyS1 that give the command exactly `bytes` on its standard input. Send them while the port's RTS is set. */
export function encodeStdin(bytes: Uint8Array): Uint8Array {
  const encoded = new Uint8Array(bytes.length * 2 + Math.ceil(bytes.length / STDIN_PIECE));
  let at = 0;
  bytes.forEach((byte, i) => {
    if (byte === EOF || byte === LITERAL_NEXT) encoded[at++] = LITERAL_NEXT;
    encoded[at++] = byte;
    // Right behind a newline the line is empty, where ^D would mean the end.
    if ((i % STDIN_PIECE === STDIN_PIECE - 1 || i === bytes.length - 1) && byte !== 0x0a) encoded[at++] = EOF;
  });
  return encoded.slice(0, at);
}

/** Bytes for ttyS1 that end the command's standard input; after `encodeStdin` of everything. */
export const STDIN_END: Uint8Array = new Uint8Array([EOF]);

/** Whether the guest takes a command's input yet, from what it has sent on ttyS2 so far. What is sent earlier is lost. */
export function isReady(control: string): boolean {
  return /^ready\r?\n/m.test(control);
}

/** The exit status in what the guest has sent on ttyS2 so far; undefined until the line is there. */
export function exitStatus(control: string): number | undefined {
  const match = /^exit (\d{1,3})\r?\n/m.exec(control);
  return match ? Number(match[1]) : undefined;
}
