/** Limits of a machine, apart from the schema: whoever prints them need not load a schema library. */

export const MIB = 1024 * 1024;
/** Least RAM: a real-mode memory map and a small kernel. */
export const SMALLEST_MEMORY = 2 * MIB;
/** Most RAM: what lies between 4 GiB and the 64-bit BARs, and 3 GiB below the hole. */
export const LARGEST_MEMORY = 512 * 1024 * MIB - 1024 * MIB;
/** Most RAM of the software engine: it shares one WebAssembly.Memory, which holds 4 GiB, with the engine's own tables. */
export const LARGEST_SOFT_MEMORY = 4032 * MIB;
export const MOST_CPUS = 16;
export const DEFAULT_MEMORY = 512 * MIB;
export const ENGINES = ['auto', 'kvm', 'soft'] as const;
/** Who has the interrupt controllers: the kernel, the kernel the local APICs alone, or the machine as on the software engine. */
export const IRQCHIPS = ['kernel', 'split', 'machine'] as const;
export const ARCHITECTURES = ['amd64', 'i386'] as const;
export const DISK_FORMATS = ['auto', 'raw', 'qcow2'] as const;
/** Kinds of devices on the PCI bus, in the order in which they stand there unless that is said. */
export const DEVICE_KINDS = ['console', 'disk', 'net', 'rng', 'balloon', 'share', 'vsock'] as const;
export const NET_KINDS = ['user', 'tap', 'bridge', 'socket'] as const;
/** A unicast MAC address as people write it: bit 0 of the first byte is clear. */
export const MAC_PATTERN = '^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$';
