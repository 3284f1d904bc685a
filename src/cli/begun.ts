/** What the front door (main.ts) has begun with before it knew what is wanted. */
import type { ModulesBegun } from '../host/node/engine-modules.js';
import type { SpareThread } from '../host/node/kvm/spare-thread.js';

export interface Begun {
  /** The threads that were there before. */
  readonly others?: readonly string[];
  /** For a first vCPU of whoever asks for KVM. */
  readonly thread?: SpareThread;
  /** For a machine on the software engine. */
  readonly modules?: ModulesBegun;
}
