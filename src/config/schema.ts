/**
 * One description of a machine, whoever asks for it: every front end only produces a `MachineConfig`. The schema is the
 * source of the type and, through `npm run generate`, of `validate.generated.ts`: checking a configuration when a
 * machine starts must not cost the 200 ms that a schema compiler takes to load.
 */
import Type from 'typebox';
import { ARCHITECTURES, ENGINES, LARGEST_MEMORY, MIB, MOST_CPUS, SMALLEST_MEMORY } from './limits.js';

export const MachineConfigSchema = Type.Object(
  {
    /** RAM in bytes. */
    memory: Type.Integer({ minimum: SMALLEST_MEMORY, maximum: LARGEST_MEMORY, multipleOf: MIB }),
    cpus: Type.Integer({ minimum: 1, maximum: MOST_CPUS }),
    engine: Type.Enum([...ENGINES]),
    arch: Type.Enum([...ARCHITECTURES]),
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
    /** HLT lets the host's processor rest. */
    exitOnHlt: Type.Boolean(),
    /** Count exits per port and page too. */
    detailedExits: Type.Boolean(),
  },
  { additionalProperties: false },
);

export type MachineConfig = Type.Static<typeof MachineConfigSchema>;
