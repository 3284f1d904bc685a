/** Makes a complete, checked `MachineConfig` of what a front end was told, or says in one sentence what is wrong. */
import { ConfigError } from './config-error.js';
import {
  ARCHITECTURES,
  DEFAULT_MEMORY,
  DISK_FORMATS,
  ENGINES,
  IRQCHIPS,
  LARGEST_MEMORY,
  LARGEST_SOFT_MEMORY,
  MIB,
  MOST_CPUS,
  NET_KINDS,
  SMALLEST_MEMORY,
} from './limits.js';
import type { MachineConfig } from './schema.js';
import { validate } from './validate.generated.js';

export { ConfigError } from './config-error.js';
export type {
  DiskConfig,
  ForwardConfig,
  MachineConfig,
  NetConfig,
  ShareConfig,
  VsockConfig,
} from './schema.js';
export { parseSize } from './size.js';

export const DEFAULT_CONFIG: MachineConfig = {
  memory: DEFAULT_MEMORY,
  cpus: 1,
  engine: 'auto',
  arch: 'amd64',
  irqchip: 'kernel',
  pins: [],
  deterministic: false,
  reboot: true,
  strictIo: false,
  strictMsr: true,
  strictVirtio: false,
  exitOnHlt: true,
  detailedExits: false,
  virtioConsole: false,
  disks: [],
  nets: [],
  rng: false,
  balloon: false,
  shares: [],
  deviceOrder: [],
};

/** Fills in the defaults and checks everything. @throws ConfigError */
export function machineConfig(asked: { readonly [key: string]: unknown }): MachineConfig {
  const config: { [key: string]: unknown } = { ...DEFAULT_CONFIG };
  for (const [key, value] of Object.entries(asked)) if (value !== undefined) config[key] = value;
  if (!validate(config)) throw new ConfigError(sentence((validate as { errors?: SchemaError[] }).errors![0]));
  checkEngine(config as MachineConfig);
  return config as MachineConfig;
}

/** What only one of the engines can do. @throws ConfigError */
function checkEngine({ engine, memory, deterministic, pins, cpus }: MachineConfig): void {
  if (engine === 'kvm' && deterministic) {
    throw new ConfigError('A deterministic machine needs an engine that counts instructions; give --engine soft.');
  }
  if (memory > LARGEST_SOFT_MEMORY && (engine === 'soft' || deterministic)) {
    throw new ConfigError(
      `${formatSize(memory)} of memory is more than one WebAssembly memory can hold beside the engine; ` +
        `give at most ${LARGEST_SOFT_MEMORY / MIB}M, or --engine kvm.`,
    );
  }
  const beyond = pins.find(({ vcpu }) => vcpu >= cpus);
  if (beyond !== undefined) {
    throw new ConfigError(`There is no vCPU ${beyond.vcpu} to pin: the machine has ${cpus}, counted from 0.`);
  }
}

/** What the generated validator reports (the shape of ajv's ErrorObject). */
interface SchemaError {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: { readonly [key: string]: unknown };
  readonly data?: unknown;
}

/** What each setting must be, for messages. Sizes are shown as people give them. */
const EXPECTED: { readonly [key: string]: string } = {
  memory: `a whole number of MiB from ${SMALLEST_MEMORY / MIB}M to ${LARGEST_MEMORY / MIB}M, such as 512M`,
  cpus: `a whole number from 1 to ${MOST_CPUS}`,
  engine: `one of ${ENGINES.join(', ')}`,
  arch: `one of ${ARCHITECTURES.join(', ')}`,
  irqchip: `one of ${IRQCHIPS.join(', ')}`,
  timeout: 'a number of seconds greater than 0',
  'disks.format': `one of ${DISK_FORMATS.join(', ')}`,
  'nets.kind': `one of ${NET_KINDS.join(', ')}`,
  'nets.mac': 'a unicast MAC address such as 52:54:00:12:34:56',
  'nets.prefix': 'a whole number from 1 to 32',
  'nets.forwards.hostPort': 'a port number from 0 to 65535',
  'nets.forwards.guestPort': 'a port number from 1 to 65535',
  'vsock.cid': 'a whole number from 3 to 4294967294',
};

function sentence(error: SchemaError): string {
  // As in `nets.0.mac`.
  const name = error.instancePath.slice(1).replaceAll('/', '.');
  if (error.keyword === 'additionalProperties') {
    const owner = name === '' ? 'a machine' : name;
    return `"${error.params.additionalProperty}" is no setting of ${owner}; remove it.`;
  }
  const shown = name === 'memory' && typeof error.data === 'number' ? formatSize(error.data) : show(error.data);
  return `${name || 'A configuration'} must be ${EXPECTED[name.replace(/\d+\./g, '')] ?? describe(error)}, not ${shown}.`;
}

function describe(error: SchemaError): string {
  return error.keyword === 'type' ? `of type ${error.params.type}` : 'what the schema allows';
}

function show(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : String(value);
}

/** A whole number, decimal. @throws ConfigError */
export function parseWhole(text: string, what: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new ConfigError(`${what} must be a whole number, not "${text}".`);
  return Number(text);
}

/** A vCPU and the processor of the host that it keeps to, as 0:3. @throws ConfigError */
export function parsePin(text: string): MachineConfig['pins'][number] {
  const match = /^(\d{1,4}):(\d{1,4})$/.exec(text);
  if (match === null) throw new ConfigError(`--pin is written as VCPU:CPU, such as 0:3, not "${text}".`);
  return { vcpu: Number(match[1]), cpu: Number(match[2]) };
}

/** A number of seconds, fractions allowed. @throws ConfigError */
export function parseSeconds(text: string, what: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds > 0 && seconds <= 1e8)) {
    throw new ConfigError(`${what} must be a number of seconds greater than 0, not "${text}".`);
  }
  return seconds;
}

/** Bytes as people write them: the largest unit that keeps the number short. */
export function formatSize(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 1024 * MIB],
    ['MiB', MIB],
    ['KiB', 1024],
  ] as const) {
    if (bytes >= size) return `${Number((bytes / size).toFixed(2))} ${unit}`;
  }
  return `${bytes} bytes`;
}
