/**
 * One description of a machine, whoever asks for it: every front end only produces a `MachineConfig`. The schema is the
 * source of the type and, through `npm run generate`, of `validate.generated.ts`: checking a configuration when a
 * machine starts must not cost the 200 ms that a schema compiler takes to load.
 */
import Type from 'typebox';
import {
  ARCHITECTURES,
  DEVICE_KINDS,
  DISK_FORMATS,
  ENGINES,
  IRQCHIPS,
  LARGEST_MEMORY,
  MAC_PATTERN,
  MIB,
  MOST_CPUS,
  NET_KINDS,
  SMALLEST_MEMORY,
} from './limits.js';

const strict = { additionalProperties: false };

/** A virtio block device: vda, vdb and so on, in this order. */
const DiskSchema = Type.Object(
  {
    path: Type.String(),
    /** `auto` looks at the file's first bytes. */
    format: Type.Enum([...DISK_FORMATS]),
    readonly: Type.Boolean(),
  },
  strict,
);

/** A port of the host that leads to one of the guest. */
const ForwardSchema = Type.Object(
  {
    protocol: Type.Enum(['tcp', 'udp']),
    hostAddress: Type.String(),
    /** 0: any free port. */
    hostPort: Type.Integer({ minimum: 0, maximum: 65535 }),
    /** Default: the address that DHCP gives, 10.0.2.15. */
    guestAddress: Type.Optional(Type.String()),
    guestPort: Type.Integer({ minimum: 1, maximum: 65535 }),
  },
  strict,
);

/** A virtio network device and what it is plugged into. */
const NetSchema = Type.Object(
  {
    kind: Type.Enum([...NET_KINDS]),
    /** Default: 52:54:00:12:34:56 and up for user networks; random where two machines may share a cable. */
    mac: Type.Optional(Type.String({ pattern: MAC_PATTERN })),
    /** user: 10.0.2.2 leads to the host's loopback. */
    hostLoopback: Type.Optional(Type.Boolean()),
    /** user: ports of the host that lead into the guest. */
    forwards: Type.Optional(Type.Array(ForwardSchema)),
    /** tap: the interface's name, where the kernel puts a free number for %d; bridge: the bridge's. */
    name: Type.Optional(Type.String()),
    /** tap: the IPv4 address that the host's end gets, as lguest's --tunnet does. */
    address: Type.Optional(Type.String()),
    /** tap: the length of that address's network part; default: what its class says, as lguest leaves it. */
    prefix: Type.Optional(Type.Integer({ minimum: 1, maximum: 32 })),
    /** socket: the Unix socket. */
    path: Type.Optional(Type.String()),
  },
  strict,
);

/** A folder of the host that the guest mounts by its tag (9p over virtio). */
const ShareSchema = Type.Object({ path: Type.String(), tag: Type.String(), readonly: Type.Boolean() }, strict);

/** A virtio socket device: connections go to Unix sockets beside `path`. */
const VsockSchema = Type.Object(
  { path: Type.String(), cid: Type.Integer({ minimum: 3, maximum: 0xffff_fffe }) },
  strict,
);

const PinSchema = Type.Object(
  { vcpu: Type.Integer({ minimum: 0, maximum: MOST_CPUS - 1 }), cpu: Type.Integer({ minimum: 0, maximum: 1023 }) },
  strict,
);

export const MachineConfigSchema = Type.Object(
  {
    /** RAM in bytes. */
    memory: Type.Integer({ minimum: SMALLEST_MEMORY, maximum: LARGEST_MEMORY, multipleOf: MIB }),
    cpus: Type.Integer({ minimum: 1, maximum: MOST_CPUS }),
    engine: Type.Enum([...ENGINES]),
    arch: Type.Enum([...ARCHITECTURES]),
    /** On KVM: where the interrupt controllers are. The software engine's are the machine's. */
    irqchip: Type.Enum([...IRQCHIPS]),
    /** Processors of the host that vCPUs keep to, by the vCPU's number; only KVM's vCPUs have threads to pin. */
    pins: Type.Array(PinSchema),
    /** Guest time follows the instruction count, date and entropy are fixed: every run is the same. */
    deterministic: Type.Boolean(),
    /** The guest's reboot starts it afresh; false: it ends the machine. */
    reboot: Type.Boolean(),
    /** Ends the machine after this many seconds of the host's time. */
    timeout: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** Port access that no device claims ends the machine. */
    strictIo: Type.Boolean(),
    /** An unknown MSR raises #GP in the guest; false: warn and ignore. */
    strictMsr: Type.Boolean(),
    /** A driver that breaks the virtio standard ends the machine; false: its device goes to NEEDS_RESET. */
    strictVirtio: Type.Boolean(),
    /** HLT lets the host's processor rest. */
    exitOnHlt: Type.Boolean(),
    /** Count exits per port and page too. */
    detailedExits: Type.Boolean(),
    /** A virtio console (hvc0) on the machine's terminal, beside the serial ports. */
    virtioConsole: Type.Boolean(),
    disks: Type.Array(DiskSchema),
    nets: Type.Array(NetSchema),
    /** A virtio entropy device. */
    rng: Type.Boolean(),
    /** A virtio memory balloon, which gives back what the guest does not use. */
    balloon: Type.Boolean(),
    shares: Type.Array(ShareSchema),
    vsock: Type.Optional(VsockSchema),
    /** Where the devices stand on the PCI bus: each word is the next of its kind. Those left out follow. */
    deviceOrder: Type.Array(Type.Enum([...DEVICE_KINDS])),
  },
  strict,
);

export type MachineConfig = Type.Static<typeof MachineConfigSchema>;
export type DiskConfig = Type.Static<typeof DiskSchema>;
export type NetConfig = Type.Static<typeof NetSchema>;
export type ForwardConfig = Type.Static<typeof ForwardSchema>;
export type ShareConfig = Type.Static<typeof ShareSchema>;
export type VsockConfig = Type.Static<typeof VsockSchema>;
