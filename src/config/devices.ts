/**
 * Devices as people type them: `--disk FILE,readonly,format=qcow2`, `--net user,hostfwd=tcp:127.0.0.1:2222-:22`. A value
 * comes first, then words and `key=value` pairs, separated by commas; a comma that belongs to a value is doubled, as QEMU
 * has it. What a value means is checked here where the schema can't; ranges are the schema's.
 */
import { ConfigError } from './config.js';
import { DISK_FORMATS, MAC_PATTERN, NET_KINDS } from './limits.js';
import type { DiskConfig, ForwardConfig, NetConfig, ShareConfig, VsockConfig } from './schema.js';

/** The first vsock address that is a guest's (virtio 1.2, 5.10.4), as Firecracker's examples have it. */
const DEFAULT_CID = 3;
/** Longest path of a Unix socket: sun_path with its final 0 (unix(7)). */
const LONGEST_SOCKET_PATH = 107;
/** Longest mount tag that its 16-bit length and Linux's buffer take comfortably. */
const LONGEST_TAG = 31;
/** Longest name of a network interface: IFNAMSIZ with its final 0 (netdevice(7)). */
const LONGEST_INTERFACE = 15;

/** `FILE[,readonly][,format=raw|qcow2]`. @throws ConfigError */
export function parseDisk(text: string, option = '--disk'): DiskConfig {
  const { value: path, words } = split(text, option, 'FILE[,readonly][,format=raw|qcow2]', ['readonly', 'format=']);
  if (path === '') throw new ConfigError(`${option} needs a file, as in "${option} disk.img".`);
  const format = words.get('format') ?? 'auto';
  if (!isOneOf(DISK_FORMATS, format))
    throw new ConfigError(`${option}: format must be one of ${DISK_FORMATS.join(', ')}, not "${format}".`);
  return { path, format, readonly: flag(words, 'readonly', option) };
}

const NET_SHAPE: { readonly [kind in NetConfig['kind']]: { usage: string; options: readonly string[] } } = {
  user: { usage: 'user[,host-loopback=on][,hostfwd=…]', options: ['host-loopback', 'hostfwd=', 'mac='] },
  tap: { usage: 'tap=NAME[,ip=ADDRESS[/PREFIX]]', options: ['ip=', 'mac='] },
  bridge: { usage: 'bridge=NAME', options: ['mac='] },
  socket: { usage: 'socket=PATH', options: ['mac='] },
};

/**
 * `user[,host-loopback=on][,hostfwd=PROTOCOL:[ADDRESS]:PORT-[ADDRESS]:PORT]…`, `tap=NAME`, `bridge=NAME` or `socket=PATH`, each
 * with `,mac=…`; undefined for `none`. @throws ConfigError
 */
export function parseNet(text: string, option = '--net'): NetConfig | undefined {
  const [, kind, rest] = /^(\w+)(.*)$/s.exec(text) ?? ['', '', ''];
  if (text === 'none') return undefined;
  if (!isOneOf(NET_KINDS, kind) || !/^([=,]|$)/.test(rest))
    throw new ConfigError(`${option} is written like user, tap=NAME, bridge=NAME, socket=PATH or none, not "${text}".`);
  const shape = NET_SHAPE[kind];
  const { value, words, lists } = split(
    kind === 'user' ? rest.replace(/^,/, 'user,') || 'user' : rest.slice(1),
    option,
    shape.usage,
    shape.options,
  );
  const mac = words.get('mac');
  const common = { kind, ...(mac !== undefined && { mac: parseMac(mac, option) }) };
  switch (kind) {
    case 'user': {
      if (value !== 'user') throw new ConfigError(`${option} is written like ${shape.usage}, not "${text}".`);
      const forwards = (lists.get('hostfwd') ?? []).map((forward) => parseForward(forward, option));
      return {
        ...common,
        ...(flag(words, 'host-loopback', option) && { hostLoopback: true }),
        ...(forwards.length > 0 && { forwards }),
      };
    }
    case 'socket':
      return { ...common, path: socketPath(value, option) };
    default: {
      const name = parseInterface(value, `${kind}=`, option);
      const address = words.get('ip');
      return { ...common, name, ...(address !== undefined && parseAddress(address, option)) };
    }
  }
}

/** @param what as in `tap=`. @throws ConfigError */
export function parseInterface(text: string, what: string, option = '--net'): string {
  if (!new RegExp(`^[^\\s/]{1,${LONGEST_INTERFACE}}$`).test(text))
    throw new ConfigError(
      `${option}: ${what} needs the name of an interface, at most ${LONGEST_INTERFACE} characters long, not "${text}".`,
    );
  return text;
}

/** `ADDRESS[/PREFIX]`. */
function parseAddress(text: string, option: string): { address: string; prefix?: number } {
  const [, address, prefix] = /^([^/]*)(?:\/(\d{1,2}))?$/.exec(text) ?? [];
  if (address === undefined || !isIpv4(address))
    throw new ConfigError(
      `${option}: ip must be an IPv4 address such as 192.168.7.1 or 192.168.7.1/24, not "${text}".`,
    );
  return prefix === undefined ? { address } : { address, prefix: Number(prefix) };
}

/** `DIR[,tag=T][,readonly]`. `index` counts the shares before it, for the default tag. @throws ConfigError */
export function parseShare(text: string, index: number, option = '--share'): ShareConfig {
  const { value: path, words } = split(text, option, 'DIR[,tag=T][,readonly]', ['tag=', 'readonly']);
  if (path === '') throw new ConfigError(`${option} needs a folder, as in "${option} ./data".`);
  const tag = words.get('tag') ?? (index === 0 ? 'share' : `share${index}`);
  if (!/^[\w.+-]+$/.test(tag) || tag.length > LONGEST_TAG)
    throw new ConfigError(
      `${option}: a tag is at most ${LONGEST_TAG} letters, digits and ".+-_" long; "${tag}" is not.`,
    );
  return { path, tag, readonly: flag(words, 'readonly', option) };
}

/** `PATH[,cid=N]`. @throws ConfigError */
export function parseVsock(text: string, option = '--vsock'): VsockConfig {
  const { value, words } = split(text, option, 'PATH[,cid=N]', ['cid=']);
  const cid = words.get('cid') ?? String(DEFAULT_CID);
  if (!/^\d{1,10}$/.test(cid)) throw new ConfigError(`${option}: cid must be a whole number, not "${cid}".`);
  return { path: socketPath(value, option), cid: Number(cid) };
}

/** A unicast MAC address, in lower case. @throws ConfigError */
export function parseMac(text: string, option = '--mac'): string {
  if (!new RegExp(MAC_PATTERN).test(text))
    throw new ConfigError(`${option} needs a unicast MAC address such as 52:54:00:12:34:56, not "${text}".`);
  return text.toLowerCase();
}

/** `tcp:[ADDRESS]:PORT-[ADDRESS]:PORT`, an absent protocol being tcp, as QEMU has it. */
function parseForward(text: string, option: string): ForwardConfig {
  const match = /^(?:(tcp|udp):)?([^:]*):(\d{1,5})-([^:]*):(\d{1,5})$/.exec(text);
  const fits = (port: string, least: number) => Number(port) >= least && Number(port) <= 65535;
  if (match === null || !fits(match[3], 0) || !fits(match[5], 1))
    throw new ConfigError(`${option}: hostfwd is written like tcp:127.0.0.1:2222-:22, not "${text}".`);
  const [, protocol = 'tcp', host, hostPort, guest, guestPort] = match;
  for (const address of [host, guest])
    if (address !== '' && !isIpv4(address))
      throw new ConfigError(`${option}: hostfwd needs IPv4 addresses, and "${address}" is none.`);
  return {
    protocol: protocol as ForwardConfig['protocol'],
    // Nobody but this host reaches the guest unless that is said.
    hostAddress: host || '127.0.0.1',
    hostPort: Number(hostPort),
    ...(guest !== '' && { guestAddress: guest }),
    guestPort: Number(guestPort),
  };
}

/** Four numbers from 0 to 255 with dots between them. */
export function isIpv4(text: string): boolean {
  const bytes = text.split('.');
  return bytes.length === 4 && bytes.every((byte) => /^\d{1,3}$/.test(byte) && Number(byte) < 256);
}

function socketPath(path: string, option: string): string {
  if (path === '') throw new ConfigError(`${option} needs the path of a socket.`);
  if (new TextEncoder().encode(path).length > LONGEST_SOCKET_PATH)
    throw new ConfigError(`${option}: "${path}" is too long for a socket: at most ${LONGEST_SOCKET_PATH} bytes.`);
  return path;
}

interface Words {
  /** What stands before the first comma. */
  readonly value: string;
  /** The last of each key; a word without `=` is `on`. */
  readonly words: ReadonlyMap<string, string>;
  /** All of each key. */
  readonly lists: ReadonlyMap<string, readonly string[]>;
}

/** @param known keys: `name=` needs a value, `name` may be a bare word. */
function split(text: string, option: string, usage: string, known: readonly string[]): Words {
  const [value, ...rest] = pieces(text);
  const words = new Map<string, string>();
  const lists = new Map<string, string[]>();
  for (const piece of rest) {
    const at = piece.indexOf('=');
    const key = at < 0 ? piece : piece.slice(0, at);
    if (!known.includes(key) && !(at >= 0 && known.includes(`${key}=`)))
      throw new ConfigError(`${option} is written like ${usage}; "${piece}" is not understood.`);
    const content = at < 0 ? 'on' : piece.slice(at + 1);
    words.set(key, content);
    lists.set(key, [...(lists.get(key) ?? []), content]);
  }
  return { value, words, lists };
}

/** Cut at single commas; doubled ones stand for one. */
function pieces(text: string): string[] {
  const list = [''];
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== ',') list[list.length - 1] += text[i];
    else if (text[i + 1] === ',') list[list.length - 1] += text[i++];
    else list.push('');
  }
  return list;
}

function flag(words: ReadonlyMap<string, string>, key: string, option: string): boolean {
  const content = words.get(key);
  if (content === undefined || content === 'off') return false;
  if (content !== 'on') throw new ConfigError(`${option}: ${key} must be on or off, not "${content}".`);
  return true;
}

function isOneOf<T extends string>(list: readonly T[], text: string): text is T {
  return (list as readonly string[]).includes(text);
}
